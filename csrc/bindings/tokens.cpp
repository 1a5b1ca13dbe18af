// Tokens of sessions: see tokens.hpp. What arrays hold is trusted.
#include "bindings.hpp"

#include <traitcore/tokens.hpp>

namespace traitcore_bindings {
namespace {

using namespace traitcore;

void pairs_of_rows(Arg start, Arg stop, Arg order, Arg item, Arg action, Arg new_action, Arg n_actions, Arg pairs) {
  const Caller of("pair_codes");
  const auto out = of.array<std::int32_t>("pairs", pairs, {{"n"}});
  const std::int64_t n = out.shape[0];
  const auto rows = of.array<const std::int64_t>("order", order, {{"length of pairs", n}});
  const auto items = of.array<const std::int32_t>("item", item, {{"rows of the log"}});
  const Axis of_log{"rows of the log", items.shape[0]};
  const auto* actions = of.data_or_null<const std::int16_t>("action", action, {of_log});
  const auto renamed = of.array<const std::int16_t>("new_action", new_action, {{"actions"}});
  const auto number = of.integer<std::int32_t>("n_actions", n_actions, 1);
  const auto end = of.integer("stop", stop, 0, n), begin = of.integer("start", start, 0, end);
  without_gil([&] { pair_codes(begin, end, rows.data, items.data, actions, renamed.data, number, out.data); });
}

void count(Arg start, Arg stop, Arg order, Arg tokens, Arg offsets, Arg owner, Arg counts, Arg documents, Arg last_seen) {
  const Caller of("count_tokens");
  const auto ends = of.array<const std::int64_t>("offsets", offsets, {{"n + 1"}});
  const std::int64_t n = ends.shape[0] - 1;
  of.require(n >= 0, "offsets", "of length n + 1", n + 1);
  const Axis sequences{"sequences", n};
  const auto* places = of.data_or_null<const std::int64_t>("order", order, {sequences});
  const auto* whose = of.data_or_null<const std::int32_t>("owner", owner, {sequences});
  const auto flat = of.array<const std::int32_t>("tokens", tokens, {{"tokens"}});
  const auto occurrences = of.array<std::int64_t>("counts", counts, {{"kinds"}});
  const Axis kinds{"length of counts", occurrences.shape[0]};
  const TokenCounts sums{occurrences.data, of.array<std::int32_t>("documents", documents, {kinds}).data,
                         of.array<std::int32_t>("last_seen", last_seen, {kinds}).data};
  const auto end = of.integer("stop", stop, 0, n), begin = of.integer("start", start, 0, end);
  without_gil([&] { count_tokens({flat.data, ends.data, whose}, places, begin, end, sums); });
}

py::tuple keep(Arg tokens, Arg offsets, Arg owner, Arg time, Arg row, Arg min_length) {
  const Caller of("keep_tokens");
  const auto flat = of.array<std::int32_t>("tokens", tokens, {{"tokens"}});
  const auto ends = of.array<std::int64_t>("offsets", offsets, {{"n + 1"}});
  const std::int64_t n = ends.shape[0] - 1;
  of.require(n >= 0 && ends.data[n] == flat.shape[0], "offsets", "n + 1 that end at the number of tokens", n + 1);
  const TokenArrays arrays{n, flat.data, ends.data, of.data_or_null<std::int32_t>("owner", owner, {{"sequences", n}}),
                           of.data_or_null<std::int64_t>("time", time, {{"length of tokens", flat.shape[0]}})};
  const auto rows = of.array<const std::int32_t>("row", row, {{"kinds"}});
  const auto least = of.integer("min_length", min_length);
  const KeptTokens kept = without_gil([&] { return keep_tokens(arrays, rows.data, least); });
  return py::make_tuple(kept.tokens, kept.sequences, kept.lost_unmapped, kept.lost_rare, kept.lost_short,
                        kept.lost_sequences);
}

}  // namespace

void bind_tokens(py::module_& m) {
  define(m, "pair_codes", &pairs_of_rows,
         "pairs int32 (n,) at [start, stop) = item int32 * n_actions + new_action int16 of each row of order int64 (n,); -1 "
         "where action int16 maps to -1. Without actions (None), the items.",
         "start", "stop", "order", "item", "action", "new_action", "n_actions", "pairs");
  define(m, "count_tokens", &count,
         "Adds the tokens int32 of sequences [start, stop), of order int64 (n,) or None, to counts int64 and documents "
         "int32; last_seen int32 begins at -1 and goes from call to call. An owner's (int32 (n,), or None) sequences are "
         "neighbours.",
         "start", "stop", "order", "tokens", "offsets", "owner", "counts", "documents", "last_seen");
  define(m, "keep_tokens", &keep,
         "Replaces tokens int32 by row int32, in place, and closes the gaps of those without one (row or token below 0) and "
         "of sequences left shorter than min_length, in offsets int64, and owner int32 and time int64 or None, too. Returns "
         "(tokens, sequences) kept and (tokens below 0, without a row, in short sequences; short sequences) lost.",
         "tokens", "offsets", "owner", "time", "row", "min_length");
}

}  // namespace traitcore_bindings
