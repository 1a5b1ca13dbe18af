#include "bindings.hpp"

#include <traitcore/nmf.hpp>

#include <optional>
#include <stdexcept>

namespace py = pybind11;

namespace {

using namespace traitcore;

template <class T>
using Array = py::array_t<T, py::array::c_style>;
template <class T>
using Maybe = std::optional<Array<T>>;

void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(std::string("nmf: ") + what);
}

template <class T>
const T* shaped(const Array<T>& a, std::int64_t rows, std::int64_t columns, const char* what) {
  require(a.ndim() == 2 && a.shape(0) == rows && a.shape(1) == columns, what);
  return a.data();
}

template <class T>
const T* long_as(const Array<T>& a, std::int64_t length, const char* what) {
  require(a.ndim() == 1 && a.shape(0) == length, what);
  return a.data();
}

py::tuple totals_of(const nmf::Totals& totals, int k, int width) {
  Array<double> gram({k, k}), sums(k);
  auto g = gram.mutable_unchecked<2>();
  auto s = sums.mutable_unchecked<1>();
  for (int i = 0; i < k; ++i) {
    s(i) = totals.sums[static_cast<std::size_t>(i)];
    for (int j = i; j < k; ++j) g(i, j) = g(j, i) = totals.gram[static_cast<std::size_t>(i * width + j)];
  }
  return py::make_tuple(gram, sums, totals.cross, totals.violation);
}

template <class T>
py::tuple row_pass(const Maybe<T>& dense, const std::optional<Array<std::int64_t>>& indptr,
                   const std::optional<Array<std::int32_t>>& indices, const Maybe<T>& data, const Array<T>& A,
                   const Array<T>& G, const Array<T>& inverse, const Array<std::int32_t>& order, double l1, int sweeps,
                   double tol, const Array<T>& start, Maybe<T> out, const Maybe<T>& previous, Maybe<T> extrapolated,
                   double beta, const Maybe<T>& row_weights, Maybe<T> C, const Array<std::int64_t>& edges,
                   int workers) {
  nmf::RowPass<T> pass;
  pass.n = start.shape(0), pass.m = A.shape(0), pass.k = static_cast<int>(order.shape(0));
  pass.width = static_cast<int>(A.shape(1));
  require(pass.width * sizeof(T) % 64 == 0 && pass.k <= pass.width, "width");
  if (dense) {
    pass.dense = shaped(*dense, pass.n, pass.m, "X");
  } else {
    require(indptr && indices && data, "X");
    pass.indptr = long_as(*indptr, pass.n + 1, "indptr");
    require(indices->shape(0) == pass.indptr[pass.n] && data->shape(0) == pass.indptr[pass.n], "entries of X");
    pass.indices = indices->data(), pass.data = data->data();
  }
  pass.A = shaped(A, pass.m, pass.width, "A");
  pass.G = shaped(G, pass.width, pass.width, "G");
  pass.inverse = long_as(inverse, pass.width, "inverse");
  pass.order = order.data();
  pass.l1 = static_cast<T>(l1), pass.tol = static_cast<T>(tol), pass.beta = static_cast<T>(beta);
  pass.sweeps = sweeps;
  pass.start = shaped(start, pass.n, pass.width, "start");
  if (sweeps > 0) {
    require(out.has_value(), "out");
    pass.out = const_cast<T*>(shaped(*out, pass.n, pass.width, "out"));
    require(out->writeable(), "out");
    if (extrapolated) {
      require(previous && extrapolated->writeable(), "previous");
      pass.previous = shaped(*previous, pass.n, pass.width, "previous");
      pass.extrapolated = const_cast<T*>(shaped(*extrapolated, pass.n, pass.width, "extrapolated"));
    }
  }
  if (row_weights) pass.row_weights = long_as(*row_weights, pass.n, "row_weights");
  const std::int64_t strips = edges.shape(0) - 1;
  require(strips >= 1 && edges.data()[0] == 0 && edges.data()[strips] == pass.n, "edges");
  T* sums = nullptr;
  if (C) {
    require(C->ndim() == 3 && C->shape(0) == strips && C->shape(1) == pass.m && C->shape(2) == pass.width &&
                C->writeable(), "C");
    sums = C->mutable_data();
  }
  nmf::Totals totals(pass.width);
  {
    py::gil_scoped_release release;
    totals = nmf::run_rows(pass, edges.data(), strips, sums, workers);
  }
  return totals_of(totals, pass.k, pass.width);
}

template <class T>
py::tuple column_pass(Array<T> C, const Array<T>& G, const Array<T>& inverse, const Array<std::int32_t>& order,
                      double l1, int sweeps, const Array<T>& start, Array<T> out, int workers) {
  require(C.ndim() == 3 && C.writeable(), "C");
  nmf::ColumnPass<T> pass;
  pass.strips = static_cast<int>(C.shape(0)), pass.m = C.shape(1), pass.width = static_cast<int>(C.shape(2));
  pass.k = static_cast<int>(order.shape(0));
  require(pass.width * sizeof(T) % 64 == 0 && pass.k <= pass.width, "width");
  pass.C = C.mutable_data();
  pass.G = shaped(G, pass.width, pass.width, "G");
  pass.inverse = long_as(inverse, pass.width, "inverse");
  pass.order = order.data();
  pass.l1 = static_cast<T>(l1);
  pass.sweeps = sweeps;
  pass.start = shaped(start, pass.m, pass.width, "start");
  require(out.writeable(), "out");
  pass.out = const_cast<T*>(shaped(out, pass.m, pass.width, "out"));
  nmf::Totals totals(pass.width);
  {
    py::gil_scoped_release release;
    totals = nmf::run_columns(pass, workers);
  }
  return totals_of(totals, pass.k, pass.width);
}

template <class T>
void bind(py::module_& m) {
  const auto array = [](const char* name) { return py::arg(name).noconvert(); };
  const auto maybe = [](const char* name) { return py::arg(name).noconvert().none(true); };
  m.def("nmf_row_pass", &row_pass<T>, maybe("dense"), maybe("indptr"), maybe("indices"), maybe("data"), array("A"),
        array("G"), array("inverse"), array("order"), py::arg("l1"), py::arg("sweeps"), py::arg("tol"), array("start"),
        maybe("out"), maybe("previous"), maybe("extrapolated"), py::arg("beta"), maybe("row_weights"), maybe("C"),
        array("edges"), py::arg("workers"),
        "One pass over X's rows; see RowPass in nmf.hpp. Returns (Gram (k, k), sums (k,), 0, violation) in float64.");
  m.def("nmf_column_pass", &column_pass<T>, array("C"), array("G"), array("inverse"), array("order"), py::arg("l1"),
        py::arg("sweeps"), array("start"), array("out"), py::arg("workers"),
        "Sum C (strips, m, width) into strip 0 and sweep the other factor (m, width). Returns (Gram (k, k), sums (k,), "
        "<C, out>, violation) in float64.");
}

}  // namespace

namespace traitcore_bindings {

void bind_nmf(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace traitcore_bindings
