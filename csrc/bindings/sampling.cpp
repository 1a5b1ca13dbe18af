// What the tests ask of the random side of the core, and the override of the instruction set.
#include "bindings.hpp"

#include <traitcore/alias.hpp>
#include <traitcore/rng.hpp>
#include <traitcore/simd/level.hpp>

#include <string>
#include <vector>

namespace py = pybind11;

namespace traitcore_bindings {

namespace {

using Weights = py::array_t<double, py::array::c_style>;

traitcore::SimdLevel level_of(const std::string& name) {
  for (const auto level : {traitcore::SimdLevel::baseline, traitcore::SimdLevel::avx2, traitcore::SimdLevel::avx512})
    if (name == traitcore::simd_name(level)) return level;
  throw std::invalid_argument("unknown simd level " + name);
}

}  // namespace

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
  m.def(
      "alias_draws",
      [](const Weights& weights, std::uint64_t seed, std::uint64_t stream, std::size_t n) {
        if (weights.ndim() != 1) throw std::invalid_argument("weights must have one axis");
        py::array_t<std::uint32_t> out(static_cast<py::ssize_t>(n));
        auto* p = out.mutable_data();
        const auto* w = weights.data();
        const auto size = static_cast<std::size_t>(weights.size());
        py::gil_scoped_release release;
        const traitcore::AliasTable table(w, size);
        traitcore::CounterRng rng(seed, stream);
        for (std::size_t i = 0; i < n; ++i) p[i] = table(rng());
        return out;
      },
      py::arg("weights").noconvert(), py::arg("seed"), py::arg("stream"), py::arg("n"),
      "(n,) uint32 values in [0, len(weights)) drawn in proportion to (len,) float64 weights.");
  m.def(
      "simd_levels",
      [] {
        std::vector<std::string> names;
        for (int i = 0; i <= static_cast<int>(traitcore::detected_simd_level()); ++i)
          names.emplace_back(traitcore::simd_name(static_cast<traitcore::SimdLevel>(i)));
        return names;
      },
      "Instruction sets this machine runs, from baseline up.");
  m.def("simd_level", [] { return std::string(traitcore::simd_name(traitcore::simd_level())); },
        "The instruction set kernels run at.");
  m.def(
      "set_simd_level",
      [](const std::optional<std::string>& name) {
        if (name)
          traitcore::set_simd_level(level_of(*name));
        else
          traitcore::reset_simd_level();
      },
      py::arg("level"), "Force 'baseline', 'avx2' or 'avx512' (ValueError where the machine lacks it); None: detect.");
}

}  // namespace traitcore_bindings
