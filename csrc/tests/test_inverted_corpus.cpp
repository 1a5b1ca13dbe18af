#include <traitcore/inverted_corpus.hpp>

#include <numeric>
#include <vector>

#include <traitcore/rng.hpp>

#include "check.hpp"

namespace tc = traitcore;

namespace {

constexpr std::int64_t kSequences = 60, kKinds = 11;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

struct Corpus {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};

  Corpus() {
    tc::CounterRng rng(4, 2);
    for (std::int64_t s = 0; s < kSequences; ++s) {
      for (std::uint32_t i = rng.below(6); i > 0; --i) tokens.push_back(static_cast<std::int32_t>(rng.below(kKinds)));
      offsets.push_back(static_cast<std::int64_t>(tokens.size()));
    }
  }
};

/// Two blocks of sequences, each with a cursor of its own, as threads share them.
template <class Place>
void places_are_those_of_the_tokens() {
  const Corpus c;
  const auto n = static_cast<std::int64_t>(c.tokens.size()), half = kSequences / 2;
  std::vector<std::int64_t> counts[2] = {std::vector<std::int64_t>(kKinds), std::vector<std::int64_t>(kKinds)};
  tc::count_values(c.tokens.data(), 0, c.offsets[size(half)], counts[0].data());
  tc::count_values(c.tokens.data(), c.offsets[size(half)], n, counts[1].data());
  std::vector<std::int64_t> cursors[2] = {std::vector<std::int64_t>(kKinds), std::vector<std::int64_t>(kKinds)};
  std::int64_t begin = 0;
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    cursors[0][kind] = begin;
    cursors[1][kind] = begin + counts[0][kind];
    begin += counts[0][kind] + counts[1][kind];
  }
  CHECK(begin == n);
  std::vector<std::int32_t> padded(size(n + kSequences + 1), -9);
  std::vector<Place> places(size(n), -9);
  padded[0] = -1;
  tc::invert_sequences(c.tokens.data(), c.offsets.data(), half, kSequences, cursors[1].data(), padded.data(), places.data());
  tc::invert_sequences(c.tokens.data(), c.offsets.data(), 0, half, cursors[0].data(), padded.data(), places.data());
  std::vector<std::int32_t> expected{-1}, owner{0}, labels(padded.size());
  std::vector<std::vector<Place>> of_kind(kKinds);
  for (std::int64_t s = 0; s < kSequences; ++s) {
    for (auto i = c.offsets[size(s)]; i < c.offsets[size(s) + 1]; ++i) {
      of_kind[size(c.tokens[size(i)])].push_back(static_cast<Place>(expected.size()));
      expected.push_back(c.tokens[size(i)]), owner.push_back(static_cast<std::int32_t>(s));
    }
    expected.push_back(-1), owner.push_back(0);
  }
  CHECK(padded == expected);
  std::vector<Place> in_order;
  for (const auto& each : of_kind) in_order.insert(in_order.end(), each.begin(), each.end());
  CHECK(places == in_order);
  tc::label_places(c.offsets.data(), 0, half, labels.data());
  tc::label_places(c.offsets.data(), half, kSequences, labels.data());
  CHECK(labels == owner);
}

template <class T>
void the_largest_entries_are_kept() {
  tc::CounterRng rng(8, 1);
  for (const std::int64_t k : {1, 3, 50}) {
    std::vector<std::int64_t> lengths{99}, slow_lengths{99};  // of a row that is not asked for
    std::vector<std::int32_t> indices{-5, -5}, slow_indices{-5, -5};
    std::vector<T> data{T(7), T(7)}, slow_data{T(7), T(7)};
    for (int row = 0; row < 30; ++row) {
      const std::uint32_t length = rng.below(12);
      std::vector<std::size_t> order(length), chosen;
      std::vector<T> values;
      for (std::uint32_t e = 0; e < length; ++e) values.push_back(static_cast<T>(rng.below(5)));
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] > values[b]; });
      order.resize(std::min(order.size(), size(k)));
      std::sort(order.begin(), order.end());
      for (const auto e : order) slow_indices.push_back(static_cast<std::int32_t>(e)), slow_data.push_back(values[e]);
      slow_lengths.push_back(static_cast<std::int64_t>(order.size()));
      for (std::uint32_t e = 0; e < length; ++e) indices.push_back(static_cast<std::int32_t>(e)), data.push_back(values[e]);
      lengths.push_back(length);
    }
    const auto end = tc::keep_largest<T>(1, 31, k, lengths.data(), indices.data(), data.data(), 2);
    CHECK(end == static_cast<std::int64_t>(slow_data.size()));
    indices.resize(size(end)), data.resize(size(end));
    CHECK(indices == slow_indices && data == slow_data && lengths == slow_lengths);
  }
}

}  // namespace

int main() {
  const Test tests[] = {
      {"places are those of the tokens, int32", places_are_those_of_the_tokens<std::int32_t>},
      {"places are those of the tokens, int64", places_are_those_of_the_tokens<std::int64_t>},
      {"the largest entries are kept, float32", the_largest_entries_are_kept<float>},
      {"the largest entries are kept, int64", the_largest_entries_are_kept<std::int64_t>},
  };
  return run_tests(tests);
}
