// Sparse x dense and panel products: see products.hpp.
#include "bindings.hpp"

#include <traitcore/products.hpp>

namespace py = pybind11;

namespace traitcore_bindings {

namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;

void require(bool fits, const char* what) {
  if (!fits) throw std::invalid_argument(what);
}

template <class Index>
void bind_sparse(py::module_& m) {
  using Indices = py::array_t<Index, py::array::c_style>;
  m.def(
      "sparse_times_dense",
      [](const Indices& indptr, const Indices& indices, const Floats& values, const Floats& B, Floats& C, float alpha,
         float beta, int workers) {
        require(indptr.ndim() == 1 && indptr.size() >= 1, "indptr must have one axis");
        require(B.ndim() == 2 && C.ndim() == 2 && B.shape(1) == C.shape(1), "B and C must have as many columns");
        require(C.shape(0) == indptr.size() - 1, "C must have a row for each row of A");
        require(indices.size() == values.size(), "indices and values must be of one length");
        require(workers >= 1, "workers must be positive");
        const traitcore::CsrView<Index> A{indptr.data(), indices.data(), values.data(),
                                          static_cast<std::int64_t>(C.shape(0)),
                                          static_cast<std::int64_t>(indices.size())};
        const float* b = B.data();
        float* c = C.mutable_data();
        const auto k = static_cast<std::int64_t>(B.shape(1)), columns = static_cast<std::int64_t>(B.shape(0));
        py::gil_scoped_release release;
        traitcore::sparse_times_dense(A, columns, b, k, alpha, beta, c, workers);
      },
      py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("values").noconvert(),
      py::arg("B").noconvert(), py::arg("C").noconvert(), py::arg("alpha"), py::arg("beta"), py::arg("workers"),
      "C (n, k) = alpha A B + beta C in place; A (n, m) CSR by indptr (n + 1,), indices and values (nnz,), B (m, k); all "
      "float32, indptr and indices int32 or int64. IndexError where they lead outside of A or B.");
}

traitcore::PanelsView view_of(const Floats& panels) {
  require(panels.ndim() == 3 && panels.shape(2) % 16 == 0, "panels must be (p, n, b), b a multiple of 16");
  return {panels.data(), panels.shape(0), panels.shape(1), panels.shape(2)};
}

}  // namespace

void bind_products(py::module_& m) {
  bind_sparse<std::int32_t>(m);
  bind_sparse<std::int64_t>(m);
  m.def(
      "panels_gram",
      [](const Floats& panels, const Floats& W, int workers) {
        const auto P = view_of(panels);
        require(W.ndim() == 2 && W.shape(0) == P.rows && W.shape(1) % 16 == 0, "W must be (n, q), q a multiple of 16");
        const auto q = static_cast<std::int64_t>(W.shape(1));
        Doubles H({static_cast<py::ssize_t>(P.count * P.b), static_cast<py::ssize_t>(q)});
        double* h = H.mutable_data();
        const float* w = W.data();
        {
          py::gil_scoped_release release;
          traitcore::panels_gram(P, w, q, h, workers);
        }
        return H;
      },
      py::arg("panels").noconvert(), py::arg("W").noconvert(), py::arg("workers"),
      "(p b, q) float64: [P_0 P_1 ...]' W for float32 panels (p, n, b) and W (n, q); b and q multiples of 16.");
  m.def(
      "panels_combine",
      [](const Floats& panels, const Floats& S, Floats& Y, bool fresh, int workers) {
        const auto P = view_of(panels);
        require(S.ndim() == 2 && S.shape(0) == P.count * P.b && S.shape(1) % 16 == 0,
                "S must be (p b, q), q a multiple of 16");
        require(Y.ndim() == 2 && Y.shape(0) == P.rows && Y.shape(1) == S.shape(1), "Y must be (n, q)");
        const auto q = static_cast<std::int64_t>(S.shape(1));
        const float* s = S.data();
        float* y = Y.mutable_data();
        py::gil_scoped_release release;
        traitcore::panels_combine(P, s, q, fresh, y, workers);
      },
      py::arg("panels").noconvert(), py::arg("S").noconvert(), py::arg("Y").noconvert(), py::arg("fresh"),
      py::arg("workers"),
      "Y (n, q) = [P_0 P_1 ...] S in place, added to Y unless `fresh`; panels (p, n, b), S (p b, q), all float32.");
}

}  // namespace traitcore_bindings
