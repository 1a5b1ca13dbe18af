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
  static constexpr double kTokens = 256;  ///< kept tokens of a chunk at most
  static constexpr std::int64_t kPairs = 7;  ///< a token and its pairs, in the window that kTokens is meant for
  /// Lanes know of each other what the last super-step left: where an epoch has fewer than so many, that is too little.
  static constexpr double kSteps = 256;
  /// How far a super-step's tokens may move the rows they meet, in learning rates of 6 outputs, on average: lanes that move
  /// a row further, each from where it stood, overshoot together. Flat vocabularies of 40 to 600 items at rates of 0.025
  /// and 0.1 went astray from 2 on.
  static constexpr double kMoved = 0.7;
  /// Of fewer tokens a chunk is not worth its copies: one lane trains everything, in order.
  static constexpr double kLeastTokens = 32;

  int lanes = 1;
  std::int64_t tokens = 1;  ///< of a chunk, counted before subsampling
  double kept = 0;  ///< tokens of a super-step that subsampling keeps

  LaneSizes(const SgnsOptions& options, const std::int64_t* counts, std::size_t n, const std::vector<std::uint32_t>& keep) {
    double all = 0, staying = 0, squares = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto count = static_cast<double>(counts[i]), stays = count * (keep[i] / 4294967295.0);
      all += count;
      staying += stays;
      squares += stays * stays;
    }
    const bool given = options.lanes.lanes > 0;
    lanes = given ? options.lanes.lanes : kLanes;
    if (lanes > 64 || (lanes & (lanes - 1)) != 0) throw std::invalid_argument("lanes must be a power of two up to 64");
    double wanted = options.lanes.chunk > 0 ? static_cast<double>(options.lanes.chunk) : kTokens;
    if (!given && staying > 0) {
      const double met_again = squares / (staying * staying), rate = options.alpha * (1 + options.negative) / 6;
      wanted = std::min({wanted, staying / (kSteps * lanes), kMoved / (rate * met_again * lanes)});
      if (wanted < kLeastTokens) lanes = 1;
    }
    if (!(staying > 0)) lanes = 1;
    tokens = lanes > 1 ? std::max<std::int64_t>(1, static_cast<std::int64_t>(wanted / (staying / all))) : 1;
    kept = wanted * lanes;
  }
};

}  // namespace traitcore::detail
