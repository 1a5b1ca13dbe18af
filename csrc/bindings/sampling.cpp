#include "bindings.hpp"

#include <traitcore/rng.hpp>

namespace py = pybind11;

namespace traitcore_bindings {

void bind_sampling(py::module_& m) {
  m.def(
      "random_words",
      [](std::uint64_t seed, std::uint64_t stream, std::uint64_t start, std::size_t n) {
        py::array_t<std::uint64_t> out(static_cast<py::ssize_t>(n));
        auto* p = out.mutable_data();
        py::gil_scoped_release release;
        traitcore::CounterRng rng(seed, stream, start);
        for (std::size_t i = 0; i < n; ++i) p[i] = rng();
        return out;
      },
      py::arg("seed"), py::arg("stream"), py::arg("start"), py::arg("n"),
      "(n,) uint64: words start ... start + n - 1 of stream `stream` of the counter-based generator.");
}

}  // namespace traitcore_bindings
