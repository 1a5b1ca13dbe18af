// Tokens of sessions, and where they stand: see tokens.hpp, inverted_corpus.hpp. What arrays hold is trusted.
#include "bindings.hpp"

#include <traitcore/inverted_corpus.hpp>
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

void count_each(Arg start, Arg stop, Arg tokens, Arg counts) {
  const Caller of("count_values");
  const auto flat = of.array<const std::int32_t>("tokens", tokens, {{"tokens"}});
  auto* sums = of.array<std::int64_t>("counts", counts, {{"kinds"}}).data;
  const auto end = of.integer("stop", stop, 0, flat.shape[0]), begin = of.integer("start", start, 0, end);
  without_gil([&] { count_values(flat.data, begin, end, sums); });
}

void invert(Arg start, Arg stop, Arg tokens, Arg offsets, Arg cursor, Arg padded, Arg places) {
  const Caller of("invert_sequences");
  const auto flat = of.array<const std::int32_t>("tokens", tokens, {{"tokens"}});
  const auto ends = of.array<const std::int64_t>("offsets", offsets, {{"n + 1"}});
  const std::int64_t n = ends.shape[0] - 1;
  of.require(n >= 0, "offsets", "of length n + 1", n + 1);
  auto* next = of.array<std::int64_t>("cursor", cursor, {{"kinds"}}).data;
  auto* copy = of.array<std::int32_t>("padded", padded, {{"tokens + n + 1", flat.shape[0] + n + 1}}).data;
  const auto end = of.integer("stop", stop, 0, n), begin = of.integer("start", start, 0, end);
  of.with_dtype<std::int32_t, std::int64_t>("places", places, [&](auto place) {
    auto* out = of.array<decltype(place)>("places", places, {{"length of tokens", flat.shape[0]}}).data;
    without_gil([&] { invert_sequences(flat.data, ends.data, begin, end, next, copy, out); });
  });
}

void label(Arg start, Arg stop, Arg offsets, Arg sequence) {
  const Caller of("label_places");
  const auto ends = of.array<const std::int64_t>("offsets", offsets, {{"n + 1"}});
  const std::int64_t n = ends.shape[0] - 1;
  of.require(n >= 0, "offsets", "of length n + 1", n + 1);
  auto* out = of.array<std::int32_t>("sequence", sequence, {{"tokens + n + 1", ends.data[n] + n + 1}}).data;
  const auto end = of.integer("stop", stop, 0, n), begin = of.integer("start", start, 0, end);
  without_gil([&] { label_places(ends.data, begin, end, out); });
}

std::int64_t largest(Arg row, Arg stop, Arg k, Arg lengths, Arg indices, Arg data, Arg begin) {
  const Caller of("keep_largest");
  const auto each = of.array<std::int64_t>("lengths", lengths, {{"rows"}});
  const auto columns = of.array<std::int32_t>("indices", indices, {{"entries"}});
  const auto end = of.integer("stop", stop, 0, each.shape[0]), first = of.integer("row", row, 0, end);
  const auto most = of.integer("k", k, 1), from = of.integer("begin", begin, 0, columns.shape[0]);
  std::int64_t after = 0;
  of.with_dtype<float, double, std::int32_t, std::int64_t>("data", data, [&](auto number) {
    auto* values = of.array<decltype(number)>("data", data, {{"length of indices", columns.shape[0]}}).data;
    after = without_gil([&] { return keep_largest(first, end, most, each.data, columns.data, values, from); });
  });
  return after;
}

}  // namespace

void bind_tokens(py::module_& m) {
  define(m, "count_values", &count_each, "Adds the occurrences of tokens int32 [start, stop) to counts int64.", "start",
         "stop", "tokens", "counts");
  define(m, "invert_sequences", &invert,
         "Copies sequences [start, stop) of tokens int32 to padded int32, -1 after each, and writes each token's places "
         "there to places int32 or int64 at its cursor int64, which moves on.",
         "start", "stop", "tokens", "offsets", "cursor", "padded", "places");
  define(m, "label_places", &label, "sequence int32 of each place of the padded corpus, for sequences [start, stop).",
         "start", "stop", "offsets", "sequence");
  define(m, "keep_largest", &largest,
         "Keeps the k largest entries of each of the rows [row, stop), which lie end to end in indices int32 and data from "
         "`begin` on; lengths int64 (rows,) change too. Returns where they end afterwards.",
         "row", "stop", "k", "lengths", "indices", "data", "begin");
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
