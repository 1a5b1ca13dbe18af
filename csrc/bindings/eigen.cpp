// The small symmetric eigenproblem: see eigen.hpp.
#include "bindings.hpp"

#include <traitcore/eigen.hpp>

namespace py = pybind11;

namespace traitcore_bindings {

void bind_eigen(py::module_& m) {
  using Doubles = py::array_t<double, py::array::c_style>;
  m.def(
      "symmetric_eigen",
      [](Doubles& A, std::int64_t first, int workers) {
        if (A.ndim() != 2 || A.shape(0) != A.shape(1)) throw std::invalid_argument("A must be square");
        const auto n = static_cast<std::int64_t>(A.shape(0));
        if (first < 0 || first > n || workers < 1) throw std::invalid_argument("first and workers");
        Doubles values({static_cast<py::ssize_t>(n)});
        Doubles rows({static_cast<py::ssize_t>(n - first), static_cast<py::ssize_t>(n)});
        double *a = A.mutable_data(), *v = values.mutable_data(), *r = rows.mutable_data();
        {
          py::gil_scoped_release release;
          traitcore::symmetric_eigen(a, n, first, v, r, workers);
        }
        return py::make_tuple(values, rows);
      },
      py::arg("A").noconvert(), py::arg("first"), py::arg("workers"),
      "(values (n,), rows (n - first, n)) float64: eigenvalues of A, rising, and rows first ... of its eigenvectors. A "
      "(n, n) float64 is used up; its lower triangle is read.");
}

}  // namespace traitcore_bindings
