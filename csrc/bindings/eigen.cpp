// The small symmetric eigenproblem: see eigen.hpp.
#include "bindings.hpp"

#include <traitcore/eigen.hpp>

namespace traitcore_bindings {

void bind_eigen(py::module_& m) {
  define(
      m, "symmetric_eigen",
      [](Arg A, Arg first, Arg workers) {
        const Caller of("symmetric_eigen");
        const std::int64_t n = of.array<double>("A", A, {{"n"}, {"n"}}).shape[0];
        double* a = of.array<double>("A", A, {{"n", n}, {"n", n}}).data;
        const auto begin = of.integer("first", first, 0, n);
        const auto threads = of.integer<int>("workers", workers, 1);
        py::array_t<double> values(n), rows({n - begin, n});
        double *v = values.mutable_data(), *r = rows.mutable_data();
        without_gil([&] { traitcore::symmetric_eigen(a, n, begin, v, r, threads); });
        return py::make_tuple(values, rows);
      },
      "(values (n,), rows (n - first, n)) float64: eigenvalues of A, rising, and rows first ... of its eigenvectors. A "
      "(n, n) float64 is used up; its lower triangle is read.",
      "A", "first", "workers");
}

}  // namespace traitcore_bindings
