// Tokens: pairs of item and action in sequences, how often each occurs and with how many owners, and their rows.
// Everything is trusted.
#pragma once
#include <cstdint>

#include "simd/memory.hpp"

namespace traitcore {

/// pairs[i] = item * n_actions + new_action of row order[i], for i in [start, stop); -1 where the action maps to -1.
/// Without actions (null), pairs are items.
inline void pair_codes(std::int64_t start, std::int64_t stop, const std::int64_t* order, const std::int32_t* item,
                       const std::int16_t* action, const std::int16_t* new_action, std::int32_t n_actions,
                       std::int32_t* pairs) {
  for (std::int64_t i = start; i < stop; ++i) {
    const std::int64_t row = order[i];
    if (!action) {
      pairs[i] = item[row];
      continue;
    }
    const std::int32_t to = new_action[action[row]];
    pairs[i] = to >= 0 ? item[row] * n_actions + to : -1;
  }
}

/// Sequence s is tokens[offsets[s]] ... tokens[offsets[s + 1] - 1], owner[s]'s; without owners (null) each has its own.
struct OwnedSequences {
  const std::int32_t* tokens;
  const std::int64_t* offsets;
  const std::int32_t* owner;
};

/// What count_tokens adds to, each (n_tokens,).
struct TokenCounts {
  std::int64_t* occurrences;
  std::int32_t* owners;     // with at least one
  std::int32_t* last_seen;  // the owner who last had the token: -1 at first, and then as the call before left it
};

/// Counts the tokens of sequences order[start] ... order[stop - 1] (null: start ... stop - 1); tokens below 0 are
/// skipped. Sequences of an owner are neighbours in this order.
inline void count_tokens(const OwnedSequences& sequences, const std::int64_t* order, std::int64_t start,
                         std::int64_t stop, const TokenCounts& counts) {
  for (std::int64_t place = start; place < stop; ++place) {
    const std::int64_t s = order ? order[place] : place;
    const std::int32_t who = sequences.owner ? sequences.owner[s] : static_cast<std::int32_t>(s);
    for (std::int64_t i = sequences.offsets[s]; i < sequences.offsets[s + 1]; ++i) {
      const std::int32_t token = sequences.tokens[i];
      if (token < 0) continue;
      ++counts.occurrences[token];
      counts.owners[token] += counts.last_seen[token] != who;
      counts.last_seen[token] = who;
    }
  }
}

/// What keep_tokens works on, in place; owner and time may be null.
struct TokenArrays {
  std::int64_t n_sequences;
  std::int32_t* tokens;
  std::int64_t* offsets;  // (n_sequences + 1,)
  std::int32_t* owner;    // (n_sequences,)
  std::int64_t* time;     // of each token
};

struct KeptTokens {
  std::int64_t tokens = 0, sequences = 0;
  std::int64_t lost_unmapped = 0;  // tokens below 0
  std::int64_t lost_rare = 0;      // without a row
  std::int64_t lost_short = 0;     // in sequences too short
  std::int64_t lost_sequences = 0;
};

/// Replaces tokens by their rows and closes the gaps of those without one (row[token] < 0) and of sequences that are
/// left with fewer than min_length.
inline KeptTokens keep_tokens(const TokenArrays& a, const std::int32_t* row, std::int64_t min_length) {
  KeptTokens kept;
  std::int64_t high = a.offsets[0];
  for (std::int64_t s = 0; s < a.n_sequences; ++s) {
    const std::int64_t low = high, first = kept.tokens;
    high = a.offsets[s + 1];
    std::int64_t out = first;
    for (std::int64_t i = low; i < high; ++i) {
      const std::int32_t token = a.tokens[i], to = token < 0 ? -1 : row[token];
      kept.lost_unmapped += token < 0;
      kept.lost_rare += token >= 0 && to < 0;
      if (to < 0) continue;
      a.tokens[out] = to;
      if (a.time) a.time[out] = a.time[i];
      ++out;
    }
    if (out - first < min_length) {
      kept.lost_short += out - first;
      ++kept.lost_sequences;
      continue;
    }
    a.offsets[kept.sequences] = first;
    if (a.owner) a.owner[kept.sequences] = a.owner[s];
    ++kept.sequences;
    kept.tokens = out;
  }
  a.offsets[kept.sequences] = kept.tokens;
  return kept;
}

}  // namespace traitcore
