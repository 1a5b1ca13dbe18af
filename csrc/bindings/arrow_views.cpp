// Arrow's string views: see arrow_views.hpp.
#include "bindings.hpp"

#include <traitcore/arrow_views.hpp>

#include <vector>

namespace traitcore_bindings {
namespace {

void gather_views(Arg views, const py::list& data, Arg offsets, Arg out) {
  const Caller of("gather_views");
  const auto ends = of.array<const std::int64_t>("offsets", offsets, {{"n + 1"}});
  const std::int64_t n = ends.shape[0] - 1;
  if (n < 0) of.refuse("offsets", "of length n + 1", "none");
  const auto each = of.array<const std::uint8_t>("views", views, {{"16 n", 16 * n}});
  std::vector<traitcore::ViewedBytes> buffers;
  for (const py::handle one : data) {
    const auto bytes = of.array<const std::uint8_t>("data", py::reinterpret_borrow<py::object>(one), {{"bytes"}});
    buffers.push_back({bytes.data, bytes.shape[0]});
  }
  const auto text = of.array<std::uint8_t>("out", out, {{"bytes"}});
  for (std::int64_t i = 0; i < n; ++i)
    if (ends.data[i] < 0 || ends.data[i] > ends.data[i + 1] || ends.data[i + 1] > text.shape[0])
      of.refuse("offsets", "rising, within out", std::to_string(ends.data[i + 1]));
  const bool good = without_gil([&] {
    return traitcore::gather_views(each.data, n, buffers.data(), static_cast<std::int64_t>(buffers.size()), ends.data,
                                   text.data);
  });
  if (!good) of.refuse("views", "places within data", "one outside it");
}

}  // namespace

void bind_arrow_views(py::module_& m) {
  define(m, "gather_views", &gather_views,
         "Copies the texts of Arrow string views uint8 (16 n,) into the uint8 buffers of the list `data` to out uint8 from "
         "offsets int64 (n + 1,) on.",
         "views", "data", "offsets", "out");
}

}  // namespace traitcore_bindings
