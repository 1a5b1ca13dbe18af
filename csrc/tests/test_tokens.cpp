#include <traitcore/tokens.hpp>

#include <map>
#include <set>
#include <vector>

#include <traitcore/rng.hpp>

#include "check.hpp"

namespace tc = traitcore;

namespace {

struct Corpus {
  std::vector<std::int32_t> tokens, owner;
  std::vector<std::int64_t> offsets{0}, time;

  explicit Corpus(std::uint64_t seed) {
    tc::CounterRng rng(seed, 0);
    for (int s = 0; s < 200; ++s) {
      for (std::uint32_t i = rng.below(7); i > 0; --i) {
        tokens.push_back(static_cast<std::int32_t>(rng.below(31)) - 1);
        time.push_back(static_cast<std::int64_t>(rng()));
      }
      offsets.push_back(static_cast<std::int64_t>(tokens.size()));
      owner.push_back(s / 3);
    }
  }
};

void pairs_are_numbers_of_item_and_action() {
  const std::vector<std::int64_t> order{3, 0, 2, 1};
  const std::vector<std::int32_t> item{5, 6, 7, 8};
  const std::vector<std::int16_t> action{0, 1, 2, 1}, renamed{1, 0, -1};
  std::vector<std::int32_t> pairs(4, 99);
  tc::pair_codes(1, 4, order.data(), item.data(), action.data(), renamed.data(), 2, pairs.data());
  CHECK((pairs == std::vector<std::int32_t>{99, 11, -1, 12}));
  tc::pair_codes(0, 3, order.data(), item.data(), nullptr, renamed.data(), 2, pairs.data());
  CHECK((pairs == std::vector<std::int32_t>{8, 5, 7, 12}));
}

void counts_equal_a_map() {
  const Corpus c(1);
  for (const bool owned : {false, true}) {
    std::map<std::int32_t, std::int64_t> occurrences;
    std::map<std::int32_t, std::set<std::int32_t>> owners;
    for (std::size_t s = 0; s + 1 < c.offsets.size(); ++s)
      for (auto i = c.offsets[s]; i < c.offsets[s + 1]; ++i) {
        ++occurrences[c.tokens[static_cast<std::size_t>(i)]];
        owners[c.tokens[static_cast<std::size_t>(i)]].insert(owned ? c.owner[s] : static_cast<std::int32_t>(s));
      }
    std::vector<std::int64_t> counts(30), order;
    std::vector<std::int32_t> documents(30), last(30, -1);
    for (std::int64_t s = 199; s >= 0; --s) order.push_back(s);  // owners' sequences are neighbours in it, too
    const tc::TokenCounts sums{counts.data(), documents.data(), last.data()};
    const tc::OwnedSequences all{c.tokens.data(), c.offsets.data(), owned ? c.owner.data() : nullptr};
    for (const auto* places : {static_cast<const std::int64_t*>(nullptr), static_cast<const std::int64_t*>(order.data())}) {
      std::fill(counts.begin(), counts.end(), 0);
      std::fill(documents.begin(), documents.end(), 0);
      std::fill(last.begin(), last.end(), -1);
      tc::count_tokens(all, places, 0, 77, sums);
      tc::count_tokens(all, places, 77, 200, sums);
      for (std::int32_t token = 0; token < 30; ++token) {
        CHECK(counts[static_cast<std::size_t>(token)] == occurrences[token]);
        CHECK(documents[static_cast<std::size_t>(token)] == static_cast<std::int32_t>(owners[token].size()));
      }
    }
  }
}

void what_is_kept_equals_plain_loops() {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Corpus c(seed);
    const std::int64_t min_length = static_cast<std::int64_t>(seed % 4);
    std::vector<std::int32_t> row;
    for (std::int32_t token = 0; token < 30; ++token) row.push_back(token % 5 ? token / 2 : -1);
    Corpus slow(99);
    slow.tokens.clear(), slow.time.clear(), slow.owner.clear(), slow.offsets = {0};
    tc::KeptTokens expected;
    for (std::size_t s = 0; s + 1 < c.offsets.size(); ++s) {
      std::vector<std::int32_t> left;
      std::vector<std::int64_t> when;
      for (auto i = static_cast<std::size_t>(c.offsets[s]); i < static_cast<std::size_t>(c.offsets[s + 1]); ++i) {
        const std::int32_t token = c.tokens[i];
        if (token < 0)
          ++expected.lost_unmapped;
        else if (row[static_cast<std::size_t>(token)] < 0)
          ++expected.lost_rare;
        else
          left.push_back(row[static_cast<std::size_t>(token)]), when.push_back(c.time[i]);
      }
      if (static_cast<std::int64_t>(left.size()) < min_length) {
        expected.lost_short += static_cast<std::int64_t>(left.size()), ++expected.lost_sequences;
        continue;
      }
      slow.tokens.insert(slow.tokens.end(), left.begin(), left.end());
      slow.time.insert(slow.time.end(), when.begin(), when.end());
      slow.offsets.push_back(static_cast<std::int64_t>(slow.tokens.size()));
      slow.owner.push_back(c.owner[s]);
    }
    const bool more = seed % 2;
    const auto kept = tc::keep_tokens({200, c.tokens.data(), c.offsets.data(), more ? c.owner.data() : nullptr,
                                       more ? c.time.data() : nullptr}, row.data(), min_length);
    CHECK(kept.tokens == static_cast<std::int64_t>(slow.tokens.size()));
    CHECK(kept.sequences == static_cast<std::int64_t>(slow.owner.size()));
    CHECK(kept.lost_unmapped == expected.lost_unmapped && kept.lost_rare == expected.lost_rare);
    CHECK(kept.lost_short == expected.lost_short && kept.lost_sequences == expected.lost_sequences);
    c.tokens.resize(slow.tokens.size()), c.time.resize(slow.time.size());
    c.offsets.resize(slow.offsets.size()), c.owner.resize(slow.owner.size());
    CHECK(c.tokens == slow.tokens && c.offsets == slow.offsets);
    if (more) CHECK(c.owner == slow.owner && c.time == slow.time);
  }
}

}  // namespace

int main() {
  const Test tests[] = {
      {"pairs are numbers of item and action", pairs_are_numbers_of_item_and_action},
      {"counts equal a map's", counts_equal_a_map},
      {"what is kept equals plain loops", what_is_kept_equals_plain_loops},
  };
  return run_tests(tests);
}
