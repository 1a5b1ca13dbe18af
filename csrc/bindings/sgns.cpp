#include "bindings.hpp"

#include <traitcore/sgns.hpp>

#include <memory>

namespace py = pybind11;

namespace traitcore_bindings {

namespace {

using traitcore::Matrix;
using traitcore::SgnsModel;
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
const T* vector_of(const Array<T>& array, py::ssize_t size, const char* what) {
  if (array.ndim() != 1 || array.shape(0) != size) throw std::invalid_argument(std::string(what) + " has a wrong shape");
  return array.data();
}

template <class T>
const T* vector_or_null(const std::optional<Array<T>>& array, py::ssize_t size, const char* what) {
  return array ? vector_of(*array, size, what) : nullptr;
}

std::unique_ptr<SgnsModel> make_model(const Array<std::int64_t>& counts, const std::optional<Array<std::int32_t>>& groups,
                                      std::size_t vector_size, std::int64_t window, bool dynamic_window, int negative,
                                      int group_negative, bool shared, double sample, double ns_exponent, double alpha,
                                      double min_alpha, std::uint64_t seed, double rounds) {
  const auto n = counts.shape(0);
  const auto* c = vector_of(counts, n, "counts");
  const auto* g = vector_or_null(groups, n, "groups");
  traitcore::SgnsOptions options;
  options.vector_size = vector_size;
  options.window = window;
  options.dynamic_window = dynamic_window;
  options.negative = negative;
  options.group_negative = group_negative;
  options.shared = shared;
  options.sample = sample;
  options.ns_exponent = ns_exponent;
  options.alpha = alpha;
  options.min_alpha = min_alpha;
  options.seed = seed;
  options.rounds = rounds;
  py::gil_scoped_release release;
  return std::make_unique<SgnsModel>(options, c, static_cast<std::size_t>(n), g);
}

py::tuple train(SgnsModel& model, const Array<std::int32_t>& tokens, const Array<std::int64_t>& offsets,
                const std::optional<Array<std::int32_t>>& global_context, std::uint64_t epoch,
                std::uint64_t first_sequence, double schedule_start, double schedule_stop, int workers, bool update,
                const py::object& progress) {
  if (tokens.ndim() != 1 || offsets.ndim() != 1 || offsets.shape(0) < 1)
    throw std::invalid_argument("tokens and offsets must have one axis");
  const auto n = offsets.shape(0) - 1;
  if (offsets.at(0) < 0 || offsets.at(n) > tokens.shape(0)) throw std::invalid_argument("offsets reach past the tokens");
  traitcore::SgnsBlock block;
  block.sequences = {tokens.data(), offsets.data(), n};
  block.global_context = vector_or_null(global_context, n, "global_context");
  block.epoch = epoch;
  block.first_sequence = first_sequence;
  block.schedule_start = schedule_start;
  block.schedule_stop = schedule_stop;
  // A signal's exception or the callback's own: kept, handed to the caller beside what was trained until then.
  std::unique_ptr<py::error_already_set> error;
  const auto poll = [&](std::int64_t done) {
    py::gil_scoped_acquire acquire;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!progress.is_none()) progress(done);
      return true;
    } catch (py::error_already_set& e) {
      error = std::make_unique<py::error_already_set>(std::move(e));
      return false;
    }
  };
  traitcore::SgnsStats stats;
  {
    py::gil_scoped_release release;
    stats = model.train(block, workers, update, poll);
  }
  const py::object raised = error ? py::reinterpret_borrow<py::object>(error->value()) : py::none();
  return py::make_tuple(stats.loss, stats.pairs, stats.kept_tokens, raised);
}

// An array over the model's own memory, kept alive by it.
py::array view(py::object self, Matrix& (SgnsModel::*which)()) {
  Matrix& matrix = (self.cast<SgnsModel&>().*which)();
  matrix.compact();
  return py::array_t<float>({static_cast<py::ssize_t>(matrix.rows()), static_cast<py::ssize_t>(matrix.columns())},
                            matrix.data(), self);
}

}  // namespace

void bind_sgns(py::module_& m) {
  py::class_<SgnsModel>(m, "SgnsModel", "Two embedding matrices, their noise distribution, and training on blocks.")
      .def(py::init(&make_model), py::kw_only(), py::arg("counts").noconvert(), py::arg("groups").noconvert(),
           py::arg("vector_size"), py::arg("window"), py::arg("dynamic_window"), py::arg("negative"),
           py::arg("group_negative"), py::arg("shared"), py::arg("sample"), py::arg("ns_exponent"), py::arg("alpha"),
           py::arg("min_alpha"), py::arg("seed"), py::arg("rounds"))
      .def("train", &train, py::kw_only(), py::arg("tokens").noconvert(), py::arg("offsets").noconvert(),
           py::arg("global_context").noconvert(), py::arg("epoch"), py::arg("first_sequence"),
           py::arg("schedule_start"), py::arg("schedule_stop"), py::arg("workers"), py::arg("update"),
           py::arg("progress"),
           "(summed loss, pairs, kept tokens, error that stopped it or None); progress(tokens handed out).")
      .def("item_vectors", [](py::object self) { return view(std::move(self), &SgnsModel::items); },
           "(n_items, vector_size) float32 over the model's memory: writable, invalid once training goes on.")
      .def("context_vectors", [](py::object self) { return view(std::move(self), &SgnsModel::contexts); },
           "The context vectors, likewise.");
}

}  // namespace traitcore_bindings
