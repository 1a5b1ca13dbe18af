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

/// Ctrl-C ends a long pass.
void poll() {
  py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
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

std::int64_t strips_in(const Array<std::int64_t>& edges, std::int64_t rows) {
  const std::int64_t strips = edges.shape(0) - 1;
  require(strips >= 1 && edges.data()[0] == 0 && edges.data()[strips] == rows, "edges");
  return strips;
}

/// X, the other factor and the least-squares problem; start and out are the caller's.
template <class T>
nmf::RowPass<T> rows_of(std::int64_t n, const Maybe<T>& dense, const std::optional<Array<std::int64_t>>& indptr,
                        const std::optional<Array<std::int32_t>>& indices, const Maybe<T>& data, const Array<T>& A,
                        const Array<T>& G, const Array<T>& inverse, const Array<std::int32_t>& order, double l1,
                        int sweeps) {
  nmf::RowPass<T> pass;
  pass.n = n, pass.m = A.shape(0), pass.k = static_cast<int>(order.shape(0));
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
  pass.l1 = static_cast<T>(l1);
  pass.sweeps = sweeps;
  return pass;
}

/// (strips, m, width) sums, of double where X is dense.
template <class N>
void strips_of(py::array& C, N*& pointer) {
  require(C.ndim() == 3 && C.writeable() && py::isinstance<Array<N>>(C), "C");
  pointer = static_cast<N*>(C.mutable_data());
}

template <class T>
py::tuple row_pass(const Maybe<T>& dense, const std::optional<Array<std::int64_t>>& indptr,
                   const std::optional<Array<std::int32_t>>& indices, const Maybe<T>& data, const Array<T>& A,
                   const Array<T>& G, const Array<T>& inverse, const Array<std::int32_t>& order, double l1, int sweeps,
                   const Array<T>& start, Maybe<T> out, const Maybe<T>& previous, Maybe<T> extrapolated,
                   double beta, const Maybe<T>& row_weights, std::optional<py::array> C, const Array<std::int64_t>& edges,
                   int workers) {
  nmf::RowPass<T> pass =
      rows_of(start.shape(0), dense, indptr, indices, data, A, G, inverse, order, l1, sweeps);
  pass.beta = static_cast<T>(beta);
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
  const std::int64_t strips = strips_in(edges, pass.n);
  T* sums = nullptr;
  double* total_sums = nullptr;
  if (C) {
    require(C->ndim() == 3 && C->shape(0) == strips && C->shape(1) == pass.m && C->shape(2) == pass.width, "C");
    if (pass.dense)
      strips_of(*C, total_sums);
    else
      strips_of(*C, sums);
  }
  nmf::Totals totals(pass.width);
  {
    py::gil_scoped_release release;
    totals = nmf::run_rows(pass, edges.data(), strips, sums, total_sums, workers, poll);
  }
  return totals_of(totals, pass.k, pass.width);
}

template <class T>
py::tuple project_pass(std::int64_t n, const Maybe<T>& dense, const std::optional<Array<std::int64_t>>& indptr,
                       const std::optional<Array<std::int32_t>>& indices, const Maybe<T>& data, const Array<T>& A,
                       Maybe<T> out, std::optional<py::array> C, const Array<std::int64_t>& edges, int workers) {
  const int width = static_cast<int>(A.shape(1));
  const Array<T> G({width, width}), inverse(width);
  const Array<std::int32_t> order(width);
  nmf::RowPass<T> pass = rows_of(n, dense, indptr, indices, data, A, G, inverse, order, 0, 0);
  pass.project = true;
  if (out) {
    require(out->writeable(), "out");
    pass.out = const_cast<T*>(shaped(*out, n, width, "out"));
  }
  const std::int64_t strips = strips_in(edges, n);
  T* sums = nullptr;
  double* total_sums = nullptr;
  if (C) {
    require(C->ndim() == 3 && C->shape(0) == strips && C->shape(1) == pass.m && C->shape(2) == width, "C");
    if (pass.dense)
      strips_of(*C, total_sums);
    else
      strips_of(*C, sums);
  }
  nmf::Totals totals(width);
  {
    py::gil_scoped_release release;
    totals = nmf::run_rows(pass, edges.data(), strips, sums, total_sums, workers, poll);
  }
  return totals_of(totals, width, width);
}

template <class T>
void solve_pass(const Maybe<T>& dense, const std::optional<Array<std::int64_t>>& indptr,
                const std::optional<Array<std::int32_t>>& indices, const Maybe<T>& data, const Array<T>& A,
                const Array<T>& G, const Array<T>& inverse, const Array<std::int32_t>& order, double l1, int sweeps,
                double tol, const Array<T>& solution, Array<T> out, const Array<std::int64_t>& edges, int workers) {
  nmf::RowPass<T> pass = rows_of(out.shape(0), dense, indptr, indices, data, A, G, inverse, order, l1, sweeps);
  pass.tol = static_cast<T>(tol);
  pass.solution = shaped(solution, pass.width, pass.width, "solution");
  require(out.writeable(), "out");
  pass.out = const_cast<T*>(shaped(out, pass.n, pass.width, "out"));
  const std::int64_t strips = strips_in(edges, pass.n);
  py::gil_scoped_release release;
  nmf::run_solve(pass, edges.data(), strips, workers, poll);
}

template <class T>
py::tuple column_pass(py::array C, const Array<T>& G, const Array<T>& inverse, const Array<std::int32_t>& order,
                      double l1, int sweeps, const Array<T>& start, Array<T> out, int workers) {
  nmf::ColumnPass<T> pass;
  if (py::isinstance<Array<double>>(C))
    strips_of(C, pass.C_total);
  else
    strips_of(C, pass.C);
  pass.strips = static_cast<int>(C.shape(0)), pass.m = C.shape(1), pass.width = static_cast<int>(C.shape(2));
  pass.k = static_cast<int>(order.shape(0));
  require(pass.width * sizeof(T) % 64 == 0 && pass.k <= pass.width, "width");
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
    totals = nmf::run_columns(pass, workers, poll);
  }
  return totals_of(totals, pass.k, pass.width);
}

template <class T>
nmf::EntryPass<T> entries_of(const std::optional<Array<std::int64_t>>& indptr,
                             const std::optional<Array<std::int32_t>>& indices, const Maybe<T>& data,
                             const Array<T>& A, const Array<T>& start, const Maybe<T>& row_weights) {
  nmf::EntryPass<T> pass;
  pass.n = start.shape(0), pass.m = A.shape(0), pass.width = static_cast<int>(A.shape(1));
  require(pass.width * sizeof(T) % 64 == 0, "width");
  if (indptr) {
    require(indices && data, "X");
    pass.indptr = long_as(*indptr, pass.n + 1, "indptr");
    require(indices->shape(0) == pass.indptr[pass.n] && data->shape(0) == pass.indptr[pass.n], "entries of X");
    pass.indices = indices->data(), pass.data = data->data();
  }
  pass.A = shaped(A, pass.m, pass.width, "A");
  pass.start = shaped(start, pass.n, pass.width, "start");
  if (row_weights) pass.row_weights = long_as(*row_weights, pass.n, "row_weights");
  return pass;
}

template <class T>
py::tuple entry_pass(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<T>& data,
                     const Array<T>& A, int k, bool poisson, bool measure, const Maybe<T>& column_sums,
                     const Maybe<T>& column_weights, const Maybe<T>& row_weights, double l1, double l2, double floor,
                     int sweeps, const Array<T>& start, Maybe<T> out, const Array<std::int64_t>& edges, int workers) {
  nmf::EntryPass<T> pass = entries_of<T>(indptr, indices, data, A, start, row_weights);
  require(k <= pass.width, "k");
  pass.k = k, pass.poisson = poisson, pass.measure = measure, pass.sweeps = sweeps;
  if (column_sums) pass.column_sums = long_as(*column_sums, pass.width, "column_sums");
  if (column_weights) pass.column_weights = long_as(*column_weights, pass.m, "column_weights");
  pass.l1 = static_cast<T>(l1), pass.l2 = static_cast<T>(l2), pass.floor = static_cast<T>(floor);
  if (sweeps > 0) {
    require(out && out->writeable(), "out");
    pass.out = const_cast<T*>(shaped(*out, pass.n, pass.width, "out"));
  }
  const std::int64_t strips = strips_in(edges, pass.n);
  nmf::Totals totals(0);
  {
    py::gil_scoped_release release;
    totals = nmf::run_entries(pass, edges.data(), strips, workers, poll);
  }
  return py::make_tuple(totals.cross, totals.violation);
}

template <class T>
double residual(const Maybe<T>& dense, const std::optional<Array<std::int64_t>>& indptr,
                const std::optional<Array<std::int32_t>>& indices, const Maybe<T>& data, const Array<T>& A,
                const Array<T>& start, const Maybe<T>& row_weights, const Array<std::int64_t>& edges, int workers) {
  const nmf::EntryPass<T> pass = entries_of<T>(indptr, indices, data, A, start, row_weights);
  const T* values = dense ? shaped(*dense, pass.n, pass.m, "X") : nullptr;
  require(values || pass.indptr, "X");
  const std::int64_t strips = strips_in(edges, pass.n);
  py::gil_scoped_release release;
  return nmf::run_residual(pass, values, edges.data(), strips, workers, poll);
}

template <class T>
void bind(py::module_& m) {
  const auto array = [](const char* name) { return py::arg(name).noconvert(); };
  const auto maybe = [](const char* name) { return py::arg(name).noconvert().none(true); };
  m.def("nmf_row_pass", &row_pass<T>, maybe("dense"), maybe("indptr"), maybe("indices"), maybe("data"), array("A"),
        array("G"), array("inverse"), array("order"), py::arg("l1"), py::arg("sweeps"), array("start"),
        maybe("out"), maybe("previous"), maybe("extrapolated"), py::arg("beta"), maybe("row_weights"), py::arg("C").none(true),
        array("edges"), py::arg("workers"),
        "One pass over X's rows; see RowPass in nmf.hpp. Returns (Gram (k, k), sums (k,), 0, violation) in float64.");
  m.def("nmf_project_pass", &project_pass<T>, py::arg("n"), maybe("dense"), maybe("indptr"), maybe("indices"),
        maybe("data"), array("A"), maybe("out"), py::arg("C").none(true), array("edges"), py::arg("workers"),
        "X A to `out` (n, width) and X^T X A to C (strips, m, width), each where given; returns as nmf_row_pass.");
  m.def("nmf_solve_pass", &solve_pass<T>, maybe("dense"), maybe("indptr"), maybe("indices"), maybe("data"), array("A"),
        array("G"), array("inverse"), array("order"), py::arg("l1"), py::arg("sweeps"), py::arg("tol"), array("solution"), array("out"),
        array("edges"), py::arg("workers"), "Write the factor's rows to `out` (n, width), the other factor A fixed.");
  m.def("nmf_column_pass", &column_pass<T>, py::arg("C"), array("G"), array("inverse"), array("order"), py::arg("l1"),
        py::arg("sweeps"), array("start"), array("out"), py::arg("workers"),
        "Sum C (strips, m, width) into strip 0 and sweep the other factor (m, width). Returns (Gram (k, k), sums (k,), "
        "<C, out>, violation) in float64.");
  m.def("nmf_entry_pass", &entry_pass<T>, array("indptr"), array("indices"), array("data"), array("A"), py::arg("k"),
        py::arg("poisson"), py::arg("measure"), maybe("column_sums"), maybe("column_weights"), maybe("row_weights"),
        py::arg("l1"), py::arg("l2"), py::arg("floor"), py::arg("sweeps"), array("start"), maybe("out"),
        array("edges"), py::arg("workers"),
        "One pass over X's stored entries; see EntryPass in nmf.hpp. Returns (loss at start, violation).");
  m.def("nmf_residual", &residual<T>, maybe("dense"), maybe("indptr"), maybe("indices"), maybe("data"), array("A"),
        array("start"), maybe("row_weights"), array("edges"), py::arg("workers"),
        "Half the squared error of X against start A^T, over all entries (dense) or less 0.5 p^2 over stored ones.");
}

}  // namespace

namespace traitcore_bindings {

void bind_nmf(py::module_& m) {
  bind<float>(m);
  bind<double>(m);
}

}  // namespace traitcore_bindings
