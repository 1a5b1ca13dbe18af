// Pooling of token vectors: see pooling.hpp.
#include <optional>

#include "bindings.hpp"

#include <traitcore/pooling.hpp>

namespace py = pybind11;

namespace traitcore_bindings {

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Weights = std::optional<Array<float>>;

void require(bool fits, const char* what) {
  if (!fits) throw std::invalid_argument(what);
}

template <class T>
bool has_length(const Array<T>& array, py::ssize_t n) {
  return array.ndim() == 1 && array.size() == n;
}

const float* data_of(const Weights& weights, py::ssize_t n, const char* what) {
  if (!weights) return nullptr;
  require(has_length(*weights, n), what);
  return weights->data();
}

void pool(std::int64_t start, std::int64_t stop, const Array<std::int64_t>& first, const Array<std::int64_t>& starts,
          const Array<std::int64_t>& stops, const Array<std::int32_t>& tokens, const Array<float>& vectors,
          const Weights& token_weights, const Weights& event_weights, Array<float>& pooled, Array<double>& mass,
          Array<std::int64_t>& known) {
  require(vectors.ndim() == 2 && pooled.ndim() == 2 && pooled.shape(1) == vectors.shape(1),
          "vectors and pooled must have as many columns");
  const py::ssize_t n = pooled.shape(0);
  require(has_length(first, n + 1) && has_length(mass, n) && has_length(known, n),
          "first, mass and known must fit the rows of pooled");
  require(tokens.ndim() == 1 && has_length(stops, starts.size()), "tokens, starts and stops must have one axis");
  require(0 <= start && start <= stop && stop <= n, "owners out of range");
  const traitcore::Pooling p{
      first.data(), starts.data(), stops.data(), tokens.data(), static_cast<std::int64_t>(tokens.size()),
      vectors.data(), static_cast<std::int64_t>(vectors.shape(1)),
      data_of(token_weights, vectors.shape(0), "token_weights must have a value for each row of vectors"),
      data_of(event_weights, tokens.size(), "event_weights must have a value for each token")};
  float* out = pooled.mutable_data();
  double* masses = mass.mutable_data();
  std::int64_t* counts = known.mutable_data();
  py::gil_scoped_release release;
  traitcore::pool_owners(p, start, stop, out, masses, counts);
}

}  // namespace

void bind_pooling(py::module_& m) {
  m.def("pool_owners", &pool, py::arg("start"), py::arg("stop"), py::arg("first").noconvert(),
        py::arg("starts").noconvert(), py::arg("stops").noconvert(), py::arg("tokens").noconvert(),
        py::arg("vectors").noconvert(), py::arg("token_weights").noconvert(), py::arg("event_weights").noconvert(),
        py::arg("pooled").noconvert(), py::arg("mass").noconvert(), py::arg("known").noconvert(),
        "Weighted means of vectors (n_tokens, d) float32 over the events of owners [start, stop), into pooled "
        "(n_owners, d) float32, with mass (n_owners,) float64 and known (n_owners,) int64. Owner o's events are the "
        "runs [starts[r], stops[r]) of tokens int32, r in [first[o], first[o + 1]); weights are float32 by token, by "
        "event, their product, or None: all 1. Runs and tokens are trusted.");
}

}  // namespace traitcore_bindings
