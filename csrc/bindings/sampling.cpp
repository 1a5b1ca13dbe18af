// What the tests ask of the random side of the core, and the override of the instruction set.
#include "bindings.hpp"

#include <traitcore/alias.hpp>
#include <traitcore/rng.hpp>
#include <traitcore/simd/level.hpp>

#include <string>
#include <vector>

namespace traitcore_bindings {
void bind_sampling(py::module_& m) {
  define(
      m, "random_words",
      [](Arg seed, Arg stream, Arg start, Arg n) {
        const Caller of("random_words");
        traitcore::CounterRng rng(of.integer<std::uint64_t>("seed", seed), of.integer<std::uint64_t>("stream", stream),
                                  of.integer<std::uint64_t>("start", start));
        py::array_t<std::uint64_t> out(of.integer("n", n));
        auto* p = out.mutable_data();
        py::gil_scoped_release release;
        for (py::ssize_t i = 0; i < out.size(); ++i) p[i] = rng();
        return out;
      },
      "(n,) uint64: words start ... start + n - 1 of stream `stream` of the counter-based generator.",
      "seed", "stream", "start", "n");
  define(
      m, "alias_draws",
      [](Arg weights, Arg seed, Arg stream, Arg n) {
        const Caller of("alias_draws");
        const auto w = of.array<const double>("weights", weights, {{"number of values"}});
        traitcore::CounterRng rng(of.integer<std::uint64_t>("seed", seed), of.integer<std::uint64_t>("stream", stream));
        py::array_t<std::uint32_t> out(of.integer("n", n));
        auto* p = out.mutable_data();
        py::gil_scoped_release release;
        const traitcore::AliasTable table(w.data, static_cast<std::size_t>(w.shape[0]));
        for (py::ssize_t i = 0; i < out.size(); ++i) p[i] = table(rng());
        return out;
      },
      "(n,) uint32 values in [0, len(weights)) drawn in proportion to (len,) float64 weights.",
      "weights", "seed", "stream", "n");
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
  define(
      m, "set_simd_level",
      [](const std::optional<std::string>& name) {
        using traitcore::SimdLevel;
        if (!name) return traitcore::reset_simd_level();
        for (const auto level : {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512})
          if (*name == traitcore::simd_name(level)) return traitcore::set_simd_level(level);
        Caller("set_simd_level").refuse("level", "'baseline', 'avx2' or 'avx512'", "'" + *name + "'");
      },
      "Force 'baseline', 'avx2' or 'avx512' (ValueError where the machine lacks it); None: detect.",
      "level");
}

}  // namespace traitcore_bindings
