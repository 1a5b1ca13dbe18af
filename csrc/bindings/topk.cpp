#include "bindings.hpp"

#include <optional>
#include <stdexcept>
#include <traitcore/topk.hpp>

namespace py = pybind11;

namespace traitcore_bindings {

namespace {
template <class T>
using Array = py::array_t<T, py::array::c_style>;

void require(bool good, const char* what) {
  if (!good) throw std::invalid_argument(what);
}
}  // namespace

void bind_topk(py::module_& m) {
  m.def(
      "search_top_k",
      [](const Array<float>& queries, std::size_t q_begin, std::size_t q_end, const Array<float>& vectors,
         std::size_t begin, std::size_t end, const Array<float>& scale, const Array<float>& bias,
         const std::optional<Array<std::int64_t>>& first, const std::optional<Array<std::int64_t>>& excluded,
         Array<std::int64_t> rows, Array<float> scores, std::size_t workers, bool euclidean) {
        require(queries.ndim() == 2 && vectors.ndim() == 2 && queries.shape(1) == vectors.shape(1), "width");
        require(rows.ndim() == 2 && scores.ndim() == 2 && rows.shape(1) == scores.shape(1), "k");
        const auto n = static_cast<std::size_t>(vectors.shape(0)), m_all = static_cast<std::size_t>(queries.shape(0));
        require(q_begin <= q_end && q_end <= m_all && begin <= end && end <= n, "range");
        require(static_cast<std::size_t>(scale.size()) == n && static_cast<std::size_t>(bias.size()) == n, "scale");
        require(static_cast<std::size_t>(rows.shape(0)) == m_all && static_cast<std::size_t>(scores.shape(0)) == m_all,
                "outputs");
        require(first.has_value() == excluded.has_value(), "exclusions");
        require(!first || static_cast<std::size_t>(first->size()) == m_all + 1, "exclusions");
        const auto k = static_cast<std::size_t>(rows.shape(1)), d = static_cast<std::size_t>(queries.shape(1));
        const traitcore::TopKBlock block{
            queries.data() + q_begin * d, q_end - q_begin, vectors.data(), d, begin, end, scale.data(), bias.data(),
            excluded ? excluded->data() : nullptr, first ? first->data() + q_begin : nullptr, k, euclidean};
        const traitcore::TopKOutput out{scores.mutable_data() + q_begin * k, rows.mutable_data() + q_begin * k};
        py::gil_scoped_release release;
        traitcore::search_top_k(block, out, workers);
      },
      py::arg("queries").noconvert(), py::arg("q_begin"), py::arg("q_end"), py::arg("vectors").noconvert(),
      py::arg("begin"), py::arg("end"), py::arg("scale").noconvert(), py::arg("bias").noconvert(), py::arg("first"),
      py::arg("excluded"), py::arg("rows").noconvert(), py::arg("scores").noconvert(), py::arg("workers"),
      py::arg("euclidean"),
      "Best k of rows [begin, end) for queries [q_begin, q_end), written into rows and scores (both (m, k)).");
  m.def(
      "squared_norms",
      [](const Array<float>& vectors, Array<double> out) {
        require(vectors.ndim() == 2 && out.ndim() == 1 && out.shape(0) == vectors.shape(0), "shapes");
        const auto n = static_cast<std::size_t>(vectors.shape(0)), d = static_cast<std::size_t>(vectors.shape(1));
        double* values = out.mutable_data();
        py::gil_scoped_release release;
        traitcore::squared_norms(vectors.data(), n, d, values);
      },
      py::arg("vectors").noconvert(), py::arg("out").noconvert(), "|row|^2 in double, written into out (n,).");
  m.def(
      "euclidean_biases",
      [](const Array<double>& squared, std::size_t width, Array<float> out) {
        require(squared.ndim() == 1 && out.ndim() == 1 && out.shape(0) == squared.shape(0), "shapes");
        traitcore::euclidean_biases(squared.data(), static_cast<std::size_t>(squared.size()), width,
                                    out.mutable_data());
      },
      py::arg("squared").noconvert(), py::arg("width"), py::arg("out").noconvert(),
      "The bias of each row of this squared norm and width in a euclidean search_top_k, written into out (n,).");
}

}  // namespace traitcore_bindings
