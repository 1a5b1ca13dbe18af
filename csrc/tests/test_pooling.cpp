#include <traitcore/pooling.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include <traitcore/rng.hpp>

#include "check.hpp"

namespace tc = traitcore;

namespace {

struct Corpus {
  std::int64_t n_owners, n_tokens, width;
  std::vector<std::int64_t> first{0}, starts, stops;
  std::vector<std::int32_t> tokens;
  std::vector<float> vectors, token_weights, event_weights;

  // Owners of no run, of empty runs and of several; the last events of the corpus are nobody's.
  Corpus(std::int64_t n, std::int64_t rows, std::int64_t width_) : n_owners(n), n_tokens(rows), width(width_) {
    tc::CounterRng rng(static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(width_));
    for (std::int64_t o = 0; o < n; ++o) {
      for (std::uint64_t r = rng.below(4); r > 0; --r) {
        starts.push_back(static_cast<std::int64_t>(tokens.size()));
        for (std::uint64_t e = rng.below(9) * rng.below(6); e > 0; --e) add(rng);
        stops.push_back(static_cast<std::int64_t>(tokens.size()));
      }
      first.push_back(static_cast<std::int64_t>(starts.size()));
    }
    add(rng);
    for (std::int64_t i = 0; i < rows * width; ++i) vectors.push_back(static_cast<float>(rng.below(2001)) / 7.0f - 140.0f);
    for (std::int64_t i = 0; i < rows; ++i) token_weights.push_back(static_cast<float>(rng.below(4)) / 3.0f);
  }

  void add(tc::CounterRng& rng) {
    tokens.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(n_tokens))));
    event_weights.push_back(static_cast<float>(rng.below(5)) / 4.0f);
  }

  tc::Pooling view(bool by_token, bool by_event) const {
    return {first.data(), starts.data(), stops.data(), tokens.data(), static_cast<std::int64_t>(tokens.size()),
            vectors.data(), width, by_token ? token_weights.data() : nullptr, by_event ? event_weights.data() : nullptr};
  }
};

struct Answer {
  std::vector<float> pooled;
  std::vector<double> mass;
  std::vector<std::int64_t> known;

  explicit Answer(const Corpus& c)
      : pooled(static_cast<std::size_t>(c.n_owners * c.width), 77.0f), mass(static_cast<std::size_t>(c.n_owners), 77.0),
        known(static_cast<std::size_t>(c.n_owners), 77) {}
  bool operator==(const Answer& other) const {
    return pooled == other.pooled && mass == other.mass && known == other.known;
  }
};

Answer pooled(const Corpus& c, const tc::Pooling& p) {
  Answer answer(c);
  tc::pool_owners(p, 0, c.n_owners, answer.pooled.data(), answer.mass.data(), answer.known.data());
  return answer;
}

/// The slow, obvious twin: one column of one owner at a time. A product of two floats is exact in a double.
Answer expected(const Corpus& c, const tc::Pooling& p) {
  Answer answer(c);
  for (std::int64_t o = 0; o < c.n_owners; ++o) {
    std::vector<double> sum(static_cast<std::size_t>(c.width), 0.0);
    double mass = 0.0;
    std::int64_t known = 0;
    for (std::int64_t r = p.first[o]; r < p.first[o + 1]; ++r)
      for (std::int64_t e = p.starts[r]; e < p.stops[r]; ++e) {
        float weight = p.token_weights ? p.token_weights[p.tokens[e]] : 1.0f;
        if (p.event_weights) weight *= p.event_weights[e];
        mass += weight;
        known += weight > 0.0f;
        for (std::int64_t j = 0; j < c.width; ++j)
          sum[static_cast<std::size_t>(j)] += static_cast<double>(weight) * p.vectors[p.tokens[e] * c.width + j];
      }
    answer.mass[static_cast<std::size_t>(o)] = mass;
    answer.known[static_cast<std::size_t>(o)] = known;
    for (std::int64_t j = 0; j < c.width; ++j)
      answer.pooled[static_cast<std::size_t>(o * c.width + j)] =
          mass > 0.0 ? static_cast<float>(sum[static_cast<std::size_t>(j)] / mass) : 0.0f;
  }
  return answer;
}

std::vector<tc::SimdLevel> levels() {
  std::vector<tc::SimdLevel> all;
  for (int i = 0; i <= static_cast<int>(tc::detected_simd_level()); ++i) all.push_back(static_cast<tc::SimdLevel>(i));
  return all;
}

void the_same_bits_as_plain_loops_at_every_level() {
  for (const auto level : levels()) {
    tc::set_simd_level(level);
    for (const std::int64_t width : {1, 3, 7, 8, 15, 16, 17, 31, 64, 67, 128, 131}) {
      const Corpus c(61, 37, width);
      for (const bool by_token : {false, true})
        for (const bool by_event : {false, true}) {
          const tc::Pooling p = c.view(by_token, by_event);
          CHECK(pooled(c, p) == expected(c, p));
        }
    }
  }
}

void blocks_of_owners_write_their_own_rows_only() {
  const Corpus c(23, 11, 19);
  const tc::Pooling p = c.view(true, true);
  const Answer whole = pooled(c, p);
  for (const auto level : levels()) {
    tc::set_simd_level(level);
    Answer parts(c);
    for (const std::int64_t start : {16, 0, 7}) {
      const std::int64_t stop = start == 16 ? 23 : start == 7 ? 16 : 7;
      tc::pool_owners(p, start, stop, parts.pooled.data(), parts.mass.data(), parts.known.data());
      if (start == 16) {
        for (std::int64_t i = 0; i < 16 * 19; ++i) CHECK(parts.pooled[static_cast<std::size_t>(i)] == 77.0f);
      }
    }
    CHECK(parts == whole);
  }
}

void rows_that_begin_anywhere() {
  const Corpus c(31, 13, 64);
  const tc::Pooling at = c.view(false, true);
  const Answer whole = pooled(c, at);
  for (const std::size_t skip : {1u, 4u, 9u}) {
    std::vector<float> moved(c.vectors.size() + skip), out(whole.pooled.size() + skip, 77.0f);
    std::copy(c.vectors.begin(), c.vectors.end(), moved.begin() + static_cast<std::ptrdiff_t>(skip));
    tc::Pooling p = at;
    p.vectors = moved.data() + skip;
    Answer answer(c);
    tc::pool_owners(p, 0, c.n_owners, out.data() + skip, answer.mass.data(), answer.known.data());
    for (std::size_t i = 0; i < whole.pooled.size(); ++i) CHECK(out[i + skip] == whole.pooled[i]);
  }
}

}  // namespace

int main() {
  const Test tests[] = {
      {"the same bits as plain loops at every level", the_same_bits_as_plain_loops_at_every_level},
      {"blocks of owners write their own rows only", blocks_of_owners_write_their_own_rows_only},
      {"rows that begin anywhere", rows_that_begin_anywhere},
  };
  return run_tests(tests);
}
