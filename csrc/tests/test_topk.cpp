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
            tc::search_top_k(p.block(0, n, true), {shared.scores.data(), shared.rows.data()}, workers, {}, 96 * 3);
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

// 0: everything at hand resolves; else far from the origin, of many sizes, beyond what float32 sums hold.
std::vector<float> euclidean_points(int kind, std::size_t n, std::size_t d, std::uint64_t stream) {
  tc::CounterRng rng(stream, static_cast<std::uint64_t>(kind) * 1000 + n);
  std::vector<float> x(n * d);
  for (std::size_t i = 0; i < n; ++i) {
    const float sizes[] = {1.0f, 1.0f, std::ldexp(1.0f, static_cast<int>(rng.below(250)) - 130), 1e38f, 1e-42f};
    for (std::size_t j = 0; j < d; ++j) {
      const float value = (static_cast<float>(rng.below(33)) - 16.0f) / 16.0f;
      x[i * d + j] = kind == 1 ? 5e5f + 4.0f * value : sizes[kind] * value * (kind == 0 && rng.below(2) ? 1.3f : 1.0f);
    }
  }
  return x;
}

// The slow, obvious twin: all rows, sorted by exact comparisons. Whole tiles of far clouds go over to differences.
void euclidean_rows_are_exact() {
  for (int kind = 0; kind < 5; ++kind)
    for (const std::size_t m : {1u, 5u, 17u, 40u})
      for (const std::size_t d : {0u, 1u, 3u, 19u}) {
        const std::size_t n = m == 17 ? 2500 : 83, k = 4;
        const auto queries = euclidean_points(kind, m, d, 1), vectors = euclidean_points(kind, n, d, 2);
        std::vector<double> squared(n);
        std::vector<float> bias(n), scale(n, 1.0f);
        tc::squared_norms(vectors.data(), n, d, squared.data());
        tc::euclidean_biases(squared.data(), n, d, bias.data());
        for (std::size_t i = 0; i < n; i += 5) bias[i] = -std::numeric_limits<float>::infinity();
        const tc::TopKBlock block{queries.data(), m, vectors.data(), d, 0, n, scale.data(), bias.data(),
                                  nullptr, nullptr, k, true};
        std::vector<std::int64_t> expected_rows;
        for (std::size_t q = 0; q < m; ++q) {
          std::vector<std::int64_t> order;
          for (std::size_t i = 0; i < n; ++i)
            if (i % 5 != 0) order.push_back(static_cast<std::int64_t>(i));
          const float* query = queries.data() + q * d;
          std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](std::int64_t a, std::int64_t b) {
            const int sign = tc::detail::compare_distances(query, vectors.data() + static_cast<std::size_t>(a) * d,
                                                           vectors.data() + static_cast<std::size_t>(b) * d, d);
            return sign < 0 || (sign == 0 && a < b);
          });
          expected_rows.insert(expected_rows.end(), order.begin(), order.begin() + k);
        }
        for (const auto level : levels()) {
          tc::set_simd_level(level);
          for (const std::size_t workers : {1u, 3u}) {
            Answer answer{std::vector<float>(m * k), std::vector<std::int64_t>(m * k)};
            tc::search_top_k(block, {answer.scores.data(), answer.rows.data()}, workers, {}, 96 * 3);
            CHECK(answer.rows == expected_rows);
            for (std::size_t i = 0; i < m * k; ++i) CHECK(i % k == 0 || answer.scores[i] >= answer.scores[i - 1]);
          }
        }
      }
}

void distances_are_compared_exactly() {
  const float tiny = std::numeric_limits<float>::denorm_min(), most = std::numeric_limits<float>::max();
  const auto sign = [](std::vector<float> q, std::vector<float> a, std::vector<float> b) {
    return tc::detail::compare_distances(q.data(), a.data(), b.data(), q.size());
  };
  CHECK(sign({0, 0, 0}, {3, 4, 0}, {0, 0, -5}) == 0);
  CHECK(sign({most, 0}, {-most, tiny}, {-most, 0}) == 1);  // 277 binary digits apart
  CHECK(sign({most, 0}, {-most, 0}, {-most, -tiny}) == -1);
  CHECK(sign({tiny}, {0}, {3 * tiny}) == -1);
  CHECK(sign({1.5f, -2}, {-1, most}, {most, -1}) == 1);
  CHECK(sign({0.1f, 0.2f, 0.7f}, {0.3f, 0.1f, 0.9f}, {0.3f, 0.1f, 0.9f}) == 0);
  CHECK(sign({0, 0, 0}, {0.3f, 0.1f, 0.7f}, {-0.7f, 0.3f, 0.1f}) == 0);
  const auto measured = [](std::vector<float> a, std::vector<float> b) {
    return tc::detail::squared_distance(a.data(), b.data(), a.size());
  };
  CHECK(measured({1, 2, 3}, {4, 6, 3}).value == 25.0);
  CHECK(measured({1, 2, 3}, {4, 6, 3}).error == 0.0);
  CHECK(measured({1.0f}, {std::ldexp(1.0f, -60)}).error > 0.0);            // the gap is rounded
  CHECK(measured({1.0f}, {-std::ldexp(1.0f, -30)}).error > 0.0);           // its square
  CHECK(measured({1.0f, 0}, {0, std::ldexp(1.0f, -30)}).error > 0.0);      // the sum
  CHECK(measured(std::vector<float>(9, 0.0f), {1, 0, 0, 0, std::ldexp(1.0f, -30), 0, 0, 0, 0}).error > 0.0);
}

}  // namespace

int main() {
  const Test tests[] = {
      {"odd_sizes_at_every_level", odd_sizes_at_every_level},
      {"parts_of_the_rows", parts_of_the_rows},
      {"threads_over_the_rows", threads_over_the_rows},
      {"more_rows_than_a_cache_block", more_rows_than_a_cache_block},
      {"few_queries_are_rows_of_the_batch", few_queries_are_rows_of_the_batch},
      {"euclidean_rows_are_exact", euclidean_rows_are_exact},
      {"distances_are_compared_exactly", distances_are_compared_exactly},
  };
  return run_tests(tests);
}
