#include "bindings.hpp"

#include <traitcore/nmf.hpp>

namespace traitcore_bindings {
namespace {

using namespace traitcore;

py::tuple totals_of(const nmf::Totals& totals, int k, int width) {
  py::array_t<double> gram({k, k}), sums(k);
  auto g = gram.mutable_unchecked<2>();
  auto s = sums.mutable_unchecked<1>();
  for (int i = 0; i < k; ++i) {
    s(i) = totals.sums[static_cast<std::size_t>(i)];
    for (int j = i; j < k; ++j) g(i, j) = g(j, i) = totals.gram[static_cast<std::size_t>(i * width + j)];
  }
  return py::make_tuple(gram, sums, totals.cross, totals.violation);
}

/// Rows at which strips begin, from 0 to `rows`.
struct Strips {
  Strips(const Caller& of, Arg value, std::int64_t rows) {
    const auto taken = of.array<const std::int64_t>("edges", value, {{"strips + 1"}});
    edges = taken.data, count = taken.shape[0] - 1;
    const bool whole = count >= 1 && edges[0] == 0 && edges[count] == rows;
    of.require(whole, "edges", "rising from 0 to the rows of X", count < 1 ? 0 : edges[count]);
  }
  const std::int64_t* edges;
  std::int64_t count;
};

/// X (n, m) and the other factor A (m, width); returns X.
template <class T, class Pass>
auto take_data(const Caller& of, Pass& pass, Arg X, Arg A) {
  const auto factor = of.array<const T>("A", A, {{"columns of X"}, {"width"}});
  pass.m = factor.shape[0], pass.width = static_cast<int>(factor.shape[1]), pass.A = factor.data;
  of.require(pass.width * sizeof(T) % 64 == 0, "A", "of rows that are whole cache lines", pass.width);
  const auto x = of.matrix<T, std::int64_t, std::int32_t>("X", X, {"rows of A", pass.m});
  pass.n = x.rows, pass.indptr = x.indptr, pass.indices = x.indices, pass.data = x.data;
  of.require(!x.indptr || x.indptr[x.rows] == x.entries, "X", "a CSR whose indptr ends at its entries", x.entries);
  return x;
}

/// The least-squares problem of a factor of pass.width columns.
template <class T, class Pass>
void take_problem(const Caller& of, Pass& pass, Arg G, Arg inverse, Arg order, double l1, Arg sweeps) {
  const Axis width{"width", pass.width};
  const auto components = of.array<const std::int32_t>("order", order, {{"k"}});
  of.require(components.shape[0] <= pass.width, "order", "of no more components than columns", components.shape[0]);
  pass.k = static_cast<int>(components.shape[0]), pass.order = components.data;
  pass.G = of.array<const T>("G", G, {width, width}).data;
  pass.inverse = of.array<const T>("inverse", inverse, {width}).data;
  pass.l1 = static_cast<T>(l1), pass.sweeps = of.integer<int>("sweeps", sweeps);
}

/// Runs a row pass that adds up C (strips, m, width), or None: in double where X is dense.
template <class T>
nmf::Totals accumulate(const Caller& of, const nmf::RowPass<T>& pass, Arg C, Arg edges, Arg workers) {
  const Strips strips(of, edges, pass.n);
  const Axis parts{"strips", strips.count}, columns{"rows of A", pass.m}, width{"width", pass.width};
  T* sums = pass.dense ? nullptr : of.data_or_null<T>("C", C, {parts, columns, width});
  double* total_sums = pass.dense ? of.data_or_null<double>("C", C, {parts, columns, width}) : nullptr;
  const auto threads = of.integer<int>("workers", workers, 1);
  py::gil_scoped_release release;
  return nmf::run_rows(pass, strips.edges, strips.count, sums, total_sums, threads, poll);
}

py::tuple row_pass(Arg X, Arg A, Arg G, Arg inverse, Arg order, double l1, Arg sweeps, Arg start, Arg out,
                   Arg previous, Arg extrapolated, double beta, Arg row_weights, Arg C, Arg edges, Arg workers) {
  const Caller of("nmf_row_pass");
  return of.with_dtype<float, double>("A", A, [&](auto zero) {
    using T = decltype(zero);
    nmf::RowPass<T> pass;
    pass.dense = take_data<T>(of, pass, X, A).dense;
    take_problem<T>(of, pass, G, inverse, order, l1, sweeps);
    const Axis rows{"rows of X", pass.n}, width{"width", pass.width};
    pass.beta = static_cast<T>(beta);
    pass.start = of.array<const T>("start", start, {rows, width}).data;
    if (pass.sweeps > 0) {
      pass.out = of.array<T>("out", out, {rows, width}).data;
      pass.extrapolated = of.data_or_null<T>("extrapolated", extrapolated, {rows, width});
      if (pass.extrapolated) pass.previous = of.array<const T>("previous", previous, {rows, width}).data;
    }
    pass.row_weights = of.data_or_null<const T>("row_weights", row_weights, {rows});
    return totals_of(accumulate(of, pass, C, edges, workers), pass.k, pass.width);
  });
}

py::tuple project_pass(Arg X, Arg A, Arg out, Arg C, Arg edges, Arg workers) {
  const Caller of("nmf_project_pass");
  return of.with_dtype<float, double>("A", A, [&](auto zero) {
    using T = decltype(zero);
    nmf::RowPass<T> pass;
    pass.dense = take_data<T>(of, pass, X, A).dense;
    const py::array_t<T> G({pass.width, pass.width}), inverse(pass.width);  // not read
    const py::array_t<std::int32_t> order(pass.width);
    take_problem<T>(of, pass, G, inverse, order, 0, py::int_(0));
    pass.project = true;
    pass.out = of.data_or_null<T>("out", out, {{"rows of X", pass.n}, {"width", pass.width}});
    return totals_of(accumulate(of, pass, C, edges, workers), pass.width, pass.width);
  });
}

void solve_pass(Arg X, Arg A, Arg G, Arg inverse, Arg order, double l1, Arg sweeps, double tol, Arg solution, Arg out,
                Arg edges, Arg workers) {
  const Caller of("nmf_solve_pass");
  of.with_dtype<float, double>("A", A, [&](auto zero) {
    using T = decltype(zero);
    nmf::RowPass<T> pass;
    pass.dense = take_data<T>(of, pass, X, A).dense;
    take_problem<T>(of, pass, G, inverse, order, l1, sweeps);
    const Axis width{"width", pass.width};
    pass.tol = static_cast<T>(tol);
    pass.solution = of.array<const T>("solution", solution, {width, width}).data;
    pass.out = of.array<T>("out", out, {{"rows of X", pass.n}, width}).data;
    const Strips strips(of, edges, pass.n);
    const auto threads = of.integer<int>("workers", workers, 1);
    py::gil_scoped_release release;
    nmf::run_solve(pass, strips.edges, strips.count, threads, poll);
  });
}

py::tuple column_pass(Arg C, Arg G, Arg inverse, Arg order, double l1, Arg sweeps, Arg start, Arg out, Arg workers) {
  const Caller of("nmf_column_pass");
  return of.with_dtype<float, double>("G", G, [&](auto zero) {
    using T = decltype(zero);
    nmf::ColumnPass<T> pass;
    of.with_dtype<double, T>("C", C, [&](auto sum) {
      const auto sums = of.array<decltype(sum)>("C", C, {{"strips"}, {"m"}, {"width"}});
      if constexpr (std::is_same_v<decltype(sum), double>)
        pass.C_total = sums.data;
      else
        pass.C = sums.data;
      pass.strips = static_cast<int>(sums.shape[0]), pass.m = sums.shape[1];
      pass.width = static_cast<int>(sums.shape[2]);
    });
    of.require(pass.width * sizeof(T) % 64 == 0, "C", "of rows that are whole cache lines", pass.width);
    take_problem<T>(of, pass, G, inverse, order, l1, sweeps);
    const Axis rows{"rows of C", pass.m}, width{"width", pass.width};
    pass.start = of.array<const T>("start", start, {rows, width}).data;
    pass.out = of.array<T>("out", out, {rows, width}).data;
    const auto threads = of.integer<int>("workers", workers, 1);
    return totals_of(without_gil([&] { return nmf::run_columns(pass, threads, poll); }), pass.k, pass.width);
  });
}

py::tuple entry_pass(Arg X, Arg A, Arg k, bool poisson, bool measure, Arg column_sums, Arg column_weights,
                     Arg row_weights, double l1, double l2, double floor, Arg sweeps, Arg start, Arg out, Arg edges,
                     Arg workers) {
  const Caller of("nmf_entry_pass");
  return of.with_dtype<float, double>("A", A, [&](auto zero) {
    using T = decltype(zero);
    nmf::EntryPass<T> pass;
    if (take_data<T>(of, pass, X, A).dense) of.refuse<py::type_error>("X", "a CSR", "a dense array");
    const Axis rows{"rows of X", pass.n}, width{"width", pass.width};
    pass.k = of.integer<int>("k", k, 0, pass.width), pass.sweeps = of.integer<int>("sweeps", sweeps);
    pass.poisson = poisson, pass.measure = measure;
    pass.column_sums = of.data_or_null<const T>("column_sums", column_sums, {width});
    pass.column_weights = of.data_or_null<const T>("column_weights", column_weights, {{"rows of A", pass.m}});
    pass.row_weights = of.data_or_null<const T>("row_weights", row_weights, {rows});
    pass.l1 = static_cast<T>(l1), pass.l2 = static_cast<T>(l2), pass.floor = static_cast<T>(floor);
    pass.start = of.array<const T>("start", start, {rows, width}).data;
    if (pass.sweeps > 0) pass.out = of.array<T>("out", out, {rows, width}).data;
    const Strips strips(of, edges, pass.n);
    const auto threads = of.integer<int>("workers", workers, 1);
    const auto run = [&] { return nmf::run_entries(pass, strips.edges, strips.count, threads, poll); };
    const nmf::Totals totals = without_gil(run);
    return py::make_tuple(totals.cross, totals.violation);
  });
}

double residual(Arg X, Arg A, Arg start, Arg row_weights, Arg edges, Arg workers) {
  const Caller of("nmf_residual");
  return of.with_dtype<float, double>("A", A, [&](auto zero) {
    using T = decltype(zero);
    nmf::EntryPass<T> pass;
    const T* dense = take_data<T>(of, pass, X, A).dense;
    const Axis rows{"rows of X", pass.n};
    pass.start = of.array<const T>("start", start, {rows, {"width", pass.width}}).data;
    pass.row_weights = of.data_or_null<const T>("row_weights", row_weights, {rows});
    const Strips strips(of, edges, pass.n);
    const auto threads = of.integer<int>("workers", workers, 1);
    py::gil_scoped_release release;
    return nmf::run_residual(pass, dense, strips.edges, strips.count, threads, poll);
  });
}

}  // namespace

void bind_nmf(py::module_& m) {
  define(m, "nmf_row_pass", &row_pass,
         "One pass over X's rows; see RowPass in nmf.hpp. Returns (Gram (k, k), sums (k,), 0, violation) in float64.",
         "X", "A", "G", "inverse", "order", "l1", "sweeps", "start", "out", "previous", "extrapolated", "beta",
         "row_weights", "C", "edges", "workers");
  define(m, "nmf_project_pass", &project_pass,
         "X A to `out` (n, width) and X^T X A to C (strips, m, width), each where given; returns as nmf_row_pass.",
         "X", "A", "out", "C", "edges", "workers");
  define(m, "nmf_solve_pass", &solve_pass,
         "Write the factor's rows to `out` (n, width), the other factor A fixed.",
         "X", "A", "G", "inverse", "order", "l1", "sweeps", "tol", "solution", "out", "edges", "workers");
  define(m, "nmf_column_pass", &column_pass,
         "Sum C (strips, m, width) into strip 0 and sweep the other factor (m, width). Returns (Gram (k, k), sums "
         "(k,), <C, out>, violation) in float64.",
         "C", "G", "inverse", "order", "l1", "sweeps", "start", "out", "workers");
  define(m, "nmf_entry_pass", &entry_pass,
         "One pass over X's stored entries; see EntryPass in nmf.hpp. Returns (loss at start, violation).",
         "X", "A", "k", "poisson", "measure", "column_sums", "column_weights", "row_weights", "l1", "l2", "floor",
         "sweeps", "start", "out", "edges", "workers");
  define(m, "nmf_residual", &residual,
         "Half the squared error of X against start A^T, over all entries (dense) or less 0.5 p^2 over stored ones.",
         "X", "A", "start", "row_weights", "edges", "workers");
}

}  // namespace traitcore_bindings
