// How large the super-steps of a reproducible training are. See sgns_lanes.hpp.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "sgns_sampling.hpp"

namespace traitcore::detail {

/// Sizes of super-steps, from the options where given, else by the counts. Never by the number of threads.
struct LaneSizes {
  static constexpr int kLanes = 16;
  static constexpr std::int64_t kTokens = 256;  ///< kept tokens of a chunk
  static constexpr std::int64_t kPairs = 7;  ///< a token and its pairs, in the window that kTokens is meant for
  /// Below these one lane trains everything in a fraction of a second; lanes that know little of each other would cost it
  /// some of what little it learns.
  static constexpr double kLeastTokens = 131072, kLeastRows = 512;

  int lanes = 1;
  std::int64_t tokens = kTokens;  ///< of a chunk, counted before subsampling
  double kept = 0;  ///< tokens of a super-step that subsampling keeps

  LaneSizes(const SgnsOptions& options, const std::int64_t* counts, std::size_t n, const std::vector<std::uint32_t>& keep) {
    double all = 0, staying = 0;
    std::size_t rows = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto count = static_cast<double>(counts[i]);
      all += count;
      staying += count * (keep[i] / 4294967295.0);
      rows += counts[i] > 0;
    }
    const double share = all > 0 ? std::max(staying / all, 1e-3) : 1.0;
    lanes = options.lanes.lanes;
    if (lanes == 0) lanes = all * share >= kLeastTokens && static_cast<double>(rows) >= kLeastRows ? kLanes : 1;
    if (lanes < 1 || lanes > 64 || (lanes & (lanes - 1)) != 0) throw std::invalid_argument("lanes must be a power of two up to 64");
    if (all == 0) lanes = 1;
    const auto wanted = options.lanes.chunk > 0 ? static_cast<double>(options.lanes.chunk) : static_cast<double>(kTokens);
    tokens = static_cast<std::int64_t>(wanted / share);
    kept = wanted * lanes;
  }
};

}  // namespace traitcore::detail
