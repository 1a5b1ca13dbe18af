// Starts of a factorization: see nndsvd.hpp.
#include "bindings.hpp"

#include <traitcore/nndsvd.hpp>

namespace traitcore_bindings {
namespace {

py::array_t<double> squares(Arg start, Arg stop, Arg U, Arg k) {
  const Caller of("part_squares");
  py::array_t<double> sums;
  of.with_dtype<float, double>("U", U, [&](auto number) {
    const auto vectors = of.array<const decltype(number)>("U", U, {{"n"}, {"width"}});
    const std::int64_t n = vectors.shape[0], width = vectors.shape[1], columns = of.integer("k", k, 0, width);
    const auto end = of.integer("stop", stop, 0, n), begin = of.integer("start", start, 0, end);
    sums = py::array_t<double>({std::int64_t{2}, columns});
    double* out = sums.mutable_data();
    std::fill(out, out + 2 * columns, 0.0);
    without_gil([&] { traitcore::part_squares(vectors.data, width, begin, end, columns, out, out + columns); });
  });
  return sums;
}

void parts(Arg start, Arg stop, Arg U, Arg scale, double small, double fill, Arg out) {
  const Caller of("write_parts");
  of.with_dtype<float, double>("U", U, [&](auto number) {
    using T = decltype(number);
    const auto vectors = of.array<const T>("U", U, {{"n"}, {"width"}});
    const auto scales = of.array<const T>("scale", scale, {{"k"}});
    const auto to = of.array<T>("out", out, {{"rows of U", vectors.shape[0]}, {"columns"}});
    const std::int64_t k = scales.shape[0];
    of.require(k >= 1 && k <= vectors.shape[1] && k <= to.shape[1], "scale", "no longer than rows of U and out", k);
    const auto end = of.integer("stop", stop, 0, vectors.shape[0]), begin = of.integer("start", start, 0, end);
    without_gil([&] {
      traitcore::write_parts(vectors.data, vectors.shape[1], begin, end, scales.data, k, static_cast<T>(small),
                             static_cast<T>(fill), to.data, to.shape[1]);
    });
  });
}

}  // namespace

void bind_starts(py::module_& m) {
  define(m, "part_squares", &squares,
         "(2, k) float64: for rows [start, stop) of U (n, width), sums of squares of the positive and of the negative parts "
         "of its first k columns.",
         "start", "stop", "U", "k");
  define(m, "write_parts", &parts,
         "out (n, columns) = max(U * scale, 0) in the columns of scale, for rows [start, stop); what is below small becomes "
         "fill. The first column is taken by magnitude.",
         "start", "stop", "U", "scale", "small", "fill", "out");
}

}  // namespace traitcore_bindings
