// Sums that one more event updates: see running_sums.hpp. Rows, tokens and keys are trusted.
#include "bindings.hpp"

#include <traitcore/running_sums.hpp>

namespace traitcore_bindings {
namespace {

using namespace traitcore;

void add_live_events(Arg rows, Arg tokens, Arg times_us, Arg vectors, Arg weights, Arg half_life_us, Arg sums, Arg mass,
                     Arg known, Arg newest_us, Arg exponent) {
  const Caller of("add_live_events");
  const auto row = of.array<const std::int64_t>("rows", rows, {{"events"}});
  const Axis events{"length of rows", row.shape[0]};
  const auto* token = of.array<const std::int64_t>("tokens", tokens, {events}).data;
  const auto* time = of.array<const std::int64_t>("times_us", times_us, {events}).data;
  const auto v = of.array<const float>("vectors", vectors, {{"n_tokens"}, {"d"}});
  const auto* weight = of.array<const float>("weights", weights, {{"n_tokens", v.shape[0]}}).data;
  const auto total = of.array<double>("sums", sums, {{"customers"}, {"columns of vectors", v.shape[1]}});
  const Axis customers{"rows of sums", total.shape[0]};
  const LiveSums state{v.shape[1], total.data, of.array<double>("mass", mass, {customers}).data,
                       of.array<std::int64_t>("known", known, {customers}).data,
                       of.array<std::int64_t>("newest_us", newest_us, {customers}).data,
                       of.array<std::int64_t>("exponent", exponent, {customers}).data};
  const auto half_life = of.integer("half_life_us", half_life_us);
  without_gil([&] {
    for (std::int64_t e = 0; e < row.shape[0]; ++e)
      add_live_event(state, row.data[e], v.data + token[e] * v.shape[1], weight[token[e]], time[e], half_life);
  });
}

PairTable take_pairs(const Caller& of, const char* name, Arg keys, const char* counts_name, Arg counts) {
  const auto table = of.array<std::int64_t>(name, keys, {{"places"}});
  const std::int64_t n = table.shape[0];
  of.require(n > 0 && (n & (n - 1)) == 0, name, "of a power of two places", n);
  return {n, table.data, of.array<std::int32_t>(counts_name, counts, {{"places", n}}).data};
}

std::int64_t add_token_events(Arg rows, Arg tokens, Arg weights, Arg basis, Arg keys, Arg counts, Arg sums, Arg squares) {
  const Caller of("add_token_events");
  const auto row = of.array<const std::int64_t>("rows", rows, {{"events"}});
  const auto* token = of.array<const std::int64_t>("tokens", tokens, {{"length of rows", row.shape[0]}}).data;
  const auto b = of.array<const float>("basis", basis, {{"n_tokens"}, {"k"}});
  const auto total = of.array<double>("sums", sums, {{"customers"}, {"columns of basis", b.shape[1]}});
  const LiveProjection projection{b.shape[1], of.array<const float>("weights", weights, {{"n_tokens", b.shape[0]}}).data,
                                  b.data, total.data,
                                  of.array<double>("squares", squares, {{"rows of sums", total.shape[0]}}).data};
  const PairTable pairs = take_pairs(of, "keys", keys, "counts", counts);
  return without_gil([&] {
    std::int64_t fresh = 0;
    for (std::int64_t e = 0; e < row.shape[0]; ++e) fresh += add_token_event(pairs, projection, row.data[e], token[e]);
    return fresh;
  });
}

void move_pairs(Arg keys, Arg counts, Arg to_keys, Arg to_counts) {
  const Caller of("move_pairs");
  const auto from = of.array<const std::int64_t>("keys", keys, {{"n"}});
  const auto* count = of.array<const std::int32_t>("counts", counts, {{"length of keys", from.shape[0]}}).data;
  const PairTable to = take_pairs(of, "to_keys", to_keys, "to_counts", to_counts);
  without_gil([&] {
    for (std::int64_t i = 0; i < from.shape[0]; ++i) {
      const std::int64_t place = to.find(from.data[i]);
      to.keys[place] = from.data[i], to.counts[place] = count[i];
    }
  });
}

}  // namespace

void bind_running_sums(py::module_& m) {
  define(m, "add_live_events", &add_live_events,
         "Adds event e, token tokens[e] int64 of the customer in row rows[e] int64, to sums float64 (n, d), mass float64, "
         "known, newest_us and exponent int64 (n,).",
         "rows", "tokens", "times_us", "vectors", "weights", "half_life_us", "sums", "mass", "known", "newest_us",
         "exponent");
  define(m, "add_token_events", &add_token_events,
         "Counts token tokens[e] of the customer in row rows[e] in the hash table keys int64, counts int32, and updates sums "
         "float64 (n, k) and squares float64 (n,); returns how many pairs are new.",
         "rows", "tokens", "weights", "basis", "keys", "counts", "sums", "squares");
  define(m, "move_pairs", &move_pairs, "Puts distinct keys with their counts into a hash table that has room for them.",
         "keys", "counts", "to_keys", "to_counts");
}

}  // namespace traitcore_bindings
