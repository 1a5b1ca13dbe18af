#include <traitcore/topk.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <traitcore/rng.hpp>

#include "check.hpp"

namespace tc = traitcore;

namespace {

struct Problem {
  std::size_t m, n, d, k;
  std::vector<float> queries, vectors, scale, bias;
  std::vector<std::int64_t> first{0}, excluded;

  // Small integers: every sum is exact in any order, with FMA or without, and ties abound.
  Problem(std::size_t m_, std::size_t n_, std::size_t d_, std::size_t k_) : m(m_), n(n_), d(d_), k(k_) {
    tc::CounterRng rng(m * 1000 + n, d * 100 + k);
    const auto fill = [&](std::vector<float>& x, std::size_t size) {
      x.resize(size);
      for (float& value : x) value = static_cast<float>(rng.below(5)) - 2.0f;
    };
    fill(queries, m * d);
    fill(vectors, n * d);
    fill(scale, n);
    fill(bias, n);
    for (std::size_t i = 0; i < n; ++i)
      if (rng.below(8) == 0) bias[i] = -std::numeric_limits<float>::infinity();
    for (std::size_t q = 0; q < m; ++q) {
      for (std::size_t i = 0; i < n; ++i)
        if (rng.below(10) == 0) excluded.push_back(static_cast<std::int64_t>(i));
      first.push_back(static_cast<std::int64_t>(excluded.size()));
    }
  }

  tc::TopKBlock block(std::size_t begin, std::size_t end, bool exclude) const {
    return {queries.data(), m,           vectors.data(),      d, begin, end, scale.data(), bias.data(),
            exclude ? excluded.data() : nullptr, exclude ? first.data() : nullptr, k};
  }
};

struct Answer {
  std::vector<float> scores;
  std::vector<std::int64_t> rows;
};

Answer search(const Problem& p, std::size_t begin, std::size_t end, bool exclude) {
  // Just as large as needed: the sanitizer sees a write beyond.
  Answer answer{std::vector<float>(p.m * p.k, 77.0f), std::vector<std::int64_t>(p.m * p.k, 77)};
  tc::search_top_k(p.block(begin, end, exclude), {answer.scores.data(), answer.rows.data()});
  return answer;
}

/// The slow, obvious twin: all scores, sorted.
Answer expected(const Problem& p, std::size_t begin, std::size_t end, bool exclude) {
  Answer answer;
  for (std::size_t q = 0; q < p.m; ++q) {
    std::vector<std::pair<float, std::int64_t>> found;
    for (std::size_t i = begin; i < end; ++i) {
      if (std::isinf(p.bias[i])) continue;
      const auto row = static_cast<std::int64_t>(i);
      const auto from = p.excluded.begin() + p.first[q], to = p.excluded.begin() + p.first[q + 1];
      if (exclude && std::find(from, to, row) != to) continue;
      float dot = 0.0f;
      for (std::size_t j = 0; j < p.d; ++j) dot += p.queries[q * p.d + j] * p.vectors[i * p.d + j];
      found.emplace_back(-(dot * p.scale[i] + p.bias[i]), row);
    }
    std::sort(found.begin(), found.end());
    for (std::size_t i = 0; i < p.k; ++i) {
      const bool there = i < found.size();
      answer.scores.push_back(there ? -found[i].first : std::numeric_limits<float>::quiet_NaN());
      answer.rows.push_back(there ? found[i].second : -1);
    }
  }
  return answer;
}

void check_same(const Answer& a, const Answer& b) {
  CHECK(a.rows == b.rows);
  for (std::size_t i = 0; i < a.scores.size(); ++i)
    CHECK(a.scores[i] == b.scores[i] || (std::isnan(a.scores[i]) && std::isnan(b.scores[i])));
}

std::vector<tc::SimdLevel> levels() {
  std::vector<tc::SimdLevel> all;
  for (int i = 0; i <= static_cast<int>(tc::detected_simd_level()); ++i) all.push_back(static_cast<tc::SimdLevel>(i));
  return all;
}

void odd_sizes_at_every_level() {
  for (const auto level : levels()) {
    tc::set_simd_level(level);
    for (const std::size_t m : {1u, 2u, 3u, 5u, 6u, 8u, 9u, 13u, 16u, 17u, 33u, 65u})
      for (const std::size_t n : {0u, 1u, 5u, 12u, 13u, 61u, 97u})
        for (const std::size_t d : {0u, 1u, 3u, 16u, 19u})
          for (const std::size_t k : {0u, 1u, 4u, 100u}) {
            const Problem p(m, n, d, k);
            for (const bool exclude : {false, true}) check_same(search(p, 0, n, exclude), expected(p, 0, n, exclude));
          }
  }
}

void parts_of_the_rows() {
  const Problem p(11, 83, 7, 5);
  for (const auto level : levels()) {
    tc::set_simd_level(level);
    for (const std::size_t begin : {0u, 1u, 13u, 82u, 83u})
      for (const std::size_t end : {begin, std::size_t{83}})
        check_same(search(p, begin, end, true), expected(p, begin, end, true));
  }
}

// Threads that take chunks of rows, and what they found merged; many rows are alike, so ties cross every chunk.
void threads_over_the_rows() {
  for (const std::size_t m : {1u, 6u, 40u})
    for (const std::size_t n : {0u, 95u, 97u, 1009u})
      for (const std::size_t k : {0u, 1u, 7u, 1200u}) {
        const Problem p(m, n, 3, k);
        for (const auto level : levels()) {
          tc::set_simd_level(level);
          const Answer alone = search(p, 0, n, true);
          for (const std::size_t workers : {2u, 3u, 30u}) {
            Answer shared{std::vector<float>(m * k, 77.0f), std::vector<std::int64_t>(m * k, 77)};
            tc::search_top_k(p.block(0, n, true), {shared.scores.data(), shared.rows.data()}, workers, 96 * 3);
            check_same(shared, alone);
          }
        }
      }
}

void more_rows_than_a_cache_block() {
  const std::size_t d = 700, n = 3 * tc::detail::rows_in_cache(d) + 5;
  const Problem p(9, n, d, 10);
  for (const auto level : levels()) {
    tc::set_simd_level(level);
    check_same(search(p, 0, n, false), expected(p, 0, n, false));
  }
}

// A few queries must have the bits they have in a batch, also where sums are rounded.
void few_queries_are_rows_of_the_batch() {
  Problem p(40, 150, 33, 7);
  for (float& x : p.queries) x = std::sin(3.7f * x + 0.1f * static_cast<float>(&x - p.queries.data()));
  for (float& x : p.vectors) x = std::cos(1.3f * x + 0.7f * static_cast<float>(&x - p.vectors.data()));
  for (const auto level : levels()) {
    tc::set_simd_level(level);
    const Answer batch = search(p, 0, p.n, false);
    for (const std::size_t few : {1u, 2u, 4u, 5u, 8u, 10u})
      for (std::size_t q = 0; q + few <= p.m; q += few) {
        tc::TopKBlock part = p.block(0, p.n, false);
        part.queries += q * p.d;
        part.n_queries = few;
        std::vector<float> scores(few * p.k);
        std::vector<std::int64_t> rows(few * p.k);
        tc::search_top_k(part, {scores.data(), rows.data()});
        for (std::size_t i = 0; i < few * p.k; ++i) {
          CHECK(rows[i] == batch.rows[q * p.k + i]);
          CHECK(scores[i] == batch.scores[q * p.k + i]);
        }
      }
  }
}

}  // namespace

int main() {
  const Test tests[] = {
      {"odd_sizes_at_every_level", odd_sizes_at_every_level},
      {"parts_of_the_rows", parts_of_the_rows},
      {"threads_over_the_rows", threads_over_the_rows},
      {"more_rows_than_a_cache_block", more_rows_than_a_cache_block},
      {"few_queries_are_rows_of_the_batch", few_queries_are_rows_of_the_batch},
  };
  return run_tests(tests);
}
