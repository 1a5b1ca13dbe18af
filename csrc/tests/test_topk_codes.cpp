#include <traitcore/topk_codes.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include <traitcore/rng.hpp>

#include "check.hpp"

namespace tc = traitcore;

namespace {

enum Kind { unit, coarse, alike, rising, tiny, wild, denormal, overflowing, kinds };

struct Problem {
  std::size_t n, d, k;
  std::vector<float> query, vectors, scale, bias;
  std::vector<std::int64_t> excluded;
  std::int64_t first[2];

  Problem(Kind kind, std::size_t n_, std::size_t d_, std::size_t k_) : n(n_), d(d_), k(k_) {
    tc::CounterRng rng(n * 1000 + d, static_cast<std::uint64_t>(kind) * 100 + k);
    const auto real = [&] { return static_cast<float>(rng.below(1u << 24)) * 0x1p-23f - 1.0f; };
    query.resize(d), vectors.resize(n * d), scale.assign(n, 1.0f), bias.assign(n, 0.0f);
    const float size = kind == denormal ? 0x1p-140f : kind == overflowing ? 0x1p120f : kind == tiny ? 0x1p-70f : 1.0f;
    for (float& x : query) x = kind == coarse ? static_cast<float>(rng.below(3)) - 1.0f : real() * size;
    for (float& x : vectors) x = kind == coarse ? static_cast<float>(rng.below(3)) - 1.0f : real() * size;
    for (std::size_t i = 0; i < n; ++i) {
      if (kind == alike && i > 0 && d > 0) std::memcpy(&vectors[i * d], &vectors[0], d * sizeof(float));
      if (kind == rising)
        for (std::size_t j = 0; j < d; ++j) vectors[i * d + j] = query[j] * static_cast<float>(i + 1);
      if (kind == wild) {
        const float by = std::ldexp(1.0f, static_cast<int>(rng.below(200)) - 100);
        for (std::size_t j = 0; j < d; ++j) vectors[i * d + j] *= by;
        scale[i] = rng.below(2) ? 1.0f / by : real() + 1.0f;
        bias[i] = real();
      }
      if (rng.below(8) == 0) bias[i] = -std::numeric_limits<float>::infinity();
      if (rng.below(9) == 0)
        for (std::size_t j = 0; j < d; ++j) vectors[i * d + j] = 0.0f;
      if (rng.below(10) == 0) excluded.push_back(static_cast<std::int64_t>(i));
    }
    first[0] = 0, first[1] = static_cast<std::int64_t>(excluded.size());
  }
  tc::TopKBlock block() const {
    return {query.data(), 1, vectors.data(), d, 0, n, scale.data(), bias.data(), excluded.data(), first, k};
  }
};

// The twin is the search of all rows, which has a twin of its own (test_topk.cpp).
void same_bytes_as_a_search_of_all() {
  for (int level = 0; level <= static_cast<int>(tc::detected_simd_level()); ++level) {
    tc::set_simd_level(static_cast<tc::SimdLevel>(level));
    for (int kind = 0; kind < kinds; ++kind)
      for (const std::size_t n : {0u, 1u, 15u, 16u, 33u, 200u, 5003u})
        for (const std::size_t d : {0u, 1u, 4u, 7u, 64u})
          for (const std::size_t k : {0u, 1u, 4u, 300u}) {
            const Problem p(static_cast<Kind>(kind), n, d, k);
            const tc::RowCodes codes(p.vectors.data(), n, d);
            std::vector<float> all(k, 77.0f), coded(k, 78.0f);
            std::vector<std::int64_t> all_rows(k, 77), coded_rows(k, 78);
            tc::search_top_k(p.block(), {all.data(), all_rows.data()});
            tc::search_top_k(p.block(), codes, nullptr, {coded.data(), coded_rows.data()});
            CHECK(coded_rows == all_rows);
            CHECK(k == 0 || std::memcmp(coded.data(), all.data(), k * sizeof(float)) == 0);
            // The rows left out with biases of their own: high, hidden, and what they were.
            std::vector<float> other, bias = p.bias;
            for (std::size_t i = 0; i < p.excluded.size(); ++i) {
              float& own = bias[static_cast<std::size_t>(p.excluded[i])];
              own = i % 3 == 0 ? own + 2.0f : i % 3 == 1 ? -std::numeric_limits<float>::infinity() : own;
              other.push_back(own);
            }
            tc::TopKBlock changed = p.block();
            changed.bias = bias.data(), changed.excluded = changed.first = nullptr;
            tc::search_top_k(changed, {all.data(), all_rows.data()});
            tc::search_top_k(p.block(), codes, other.data(), {coded.data(), coded_rows.data()});
            CHECK(coded_rows == all_rows);
            CHECK(k == 0 || std::memcmp(coded.data(), all.data(), k * sizeof(float)) == 0);
          }
  }
}

// What the search rests on: no product leaves its bounds, and the bounds are no wider than a few percent of |q| |v|.
void products_lie_within_their_bounds() {
  for (const Kind kind : {unit, coarse, rising, wild})
    for (const std::size_t d : {1u, 3u, 64u, 129u}) {
      const Problem p(kind, 500, d, 1);
      const tc::RowCodes rows(p.vectors.data(), p.n, d);
      const tc::detail::CodedQuery query(p.query.data(), d);
      if (!query.bounds(rows)) continue;
      double norm = 0.0;
      for (const float x : p.query) norm += static_cast<double>(x) * x;
      for (std::size_t i = 0; i < p.n; ++i) {
        const std::size_t tile = i / 16;
        std::int32_t sum = query.offset;
        double product = 0.0;
        for (std::size_t j = 0; j < d; ++j) {
          sum += rows.codes(tile)[j / 4 * 64 + i % 16 * 4 + j % 4] * query.codes()[j];
          product += static_cast<double>(p.query[j]) * p.vectors[i * d + j];
        }
        const double middle = static_cast<double>(rows.steps(tile)[i % 16]) * query.step * sum;
        const double error = static_cast<double>(query.per_error) * rows.error(tile) +
                             static_cast<double>(query.per_norm) * rows.norm(tile) + query.least;
        CHECK(std::fabs(product - middle) <= error);
        CHECK(error <= 0.1 * std::sqrt(norm) * rows.norm(tile) + 1e-30);
      }
    }
}

// The largest codes side by side: 16-bit sums of pairs must not saturate.
void largest_codes() {
  for (int level = 0; level <= static_cast<int>(tc::detected_simd_level()); ++level) {
    tc::set_simd_level(static_cast<tc::SimdLevel>(level));
    for (const float sign : {1.0f, -1.0f}) {
      const std::size_t n = 64, d = 64;
      std::vector<float> query(d, sign), vectors(n * d, 1.0f), scale(n, 1.0f), bias(n, 0.0f);
      vectors[17 * d] = 1.0f + sign * 0x1p-10f;
      const tc::RowCodes codes(vectors.data(), n, d);
      float score = 0.0f;
      std::int64_t row = -1;
      tc::search_top_k({query.data(), 1, vectors.data(), d, 0, n, scale.data(), bias.data(), nullptr, nullptr, 1}, codes,
                       nullptr, {&score, &row});
      CHECK(row == 17);
      CHECK(score == sign * 64.0f + 0x1p-10f);
    }
  }
}

}  // namespace

int main() {
  const Test tests[] = {
      {"same_bytes_as_a_search_of_all", same_bytes_as_a_search_of_all},
      {"products_lie_within_their_bounds", products_lie_within_their_bounds},
      {"largest_codes", largest_codes},
  };
  return run_tests(tests);
}
