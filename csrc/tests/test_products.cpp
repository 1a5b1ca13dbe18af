// Sparse x dense and the panel products against plain loops in float64: every instruction set, odd sizes, both index
// types, on one thread and on several, whose results must be the same bytes.
#include <traitcore/products.hpp>
#include <traitcore/rng.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"

using namespace traitcore;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_floats(std::int64_t size, std::uint64_t seed) {
  CounterRng rng(seed, 1);
  std::vector<float> values(static_cast<std::size_t>(size));
  for (float& x : values) x = 2 * static_cast<float>(rng.unit()) - 1;
  return values;
}

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

std::size_t place(std::int64_t row, std::int64_t width, std::int64_t column) {
  return static_cast<std::size_t>(row * width + column);
}

template <class Index>
struct Sparse {
  std::vector<Index> indptr{0}, index;
  std::vector<float> value;
  std::int64_t rows, columns;

  Sparse(std::int64_t n, std::int64_t m, float fill) : rows(n), columns(m) {
    CounterRng rng(5, static_cast<std::uint64_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < m; ++j)
        if (i % 7 != 3 && rng.unit() < fill) {  // some rows are empty
          index.push_back(static_cast<Index>(j));
          value.push_back(2 * static_cast<float>(rng.unit()) - 1);
        }
      indptr.push_back(static_cast<Index>(index.size()));
    }
  }

  CsrView<Index> view() const {
    return {indptr.data(), index.data(), value.data(), rows, static_cast<std::int64_t>(index.size())};
  }
};

template <class Index>
void compare_sparse(const Sparse<Index>& A, std::int64_t k, float alpha, float beta) {
  const std::vector<float> B = random_floats(A.columns * k, 2);
  // With beta = 0 what C holds must not matter.
  std::vector<float> start = random_floats(A.rows * k, 3);
  if (beta == 0.0f) std::fill(start.begin(), start.end(), kNan);
  std::vector<float> C = start, again = start;
  sparse_times_dense(A.view(), A.columns, B.data(), k, alpha, beta, C.data(), 1);
  sparse_times_dense(A.view(), A.columns, B.data(), k, alpha, beta, again.data(), 3);
  CHECK(same_bytes(C, again));
  for (std::int64_t i = 0; i < A.rows; ++i)
    for (std::int64_t c = 0; c < k; ++c) {
      double sum = 0, size = 1;
      for (Index e = A.indptr[static_cast<std::size_t>(i)]; e < A.indptr[static_cast<std::size_t>(i) + 1]; ++e) {
        const auto entry = static_cast<std::size_t>(e);
        const double term = static_cast<double>(A.value[entry]) * B[place(A.index[entry], k, c)];
        sum += term, size += std::abs(term);
      }
      const double want = alpha * sum + (beta == 0.0f ? 0.0 : static_cast<double>(beta) * start[place(i, k, c)]);
      CHECK(std::abs(C[place(i, k, c)] - want) <= 1e-6 * size);
    }
}

template <class Index>
void compare_sparse_sizes() {
  const Sparse<Index> few(5, 3, 0.5f), some(70, 41, 0.3f), many(1100, 23, 0.2f), none(9, 4, 0.0f), empty(0, 4, 0.5f);
  for (const std::int64_t k : {1, 5, 15, 16, 17, 31, 32, 33, 48, 64, 70, 80, 128})
    for (const float beta : {0.0f, 1.0f, -0.5f})
      for (const Sparse<Index>* A : {&few, &some, &none, &empty}) compare_sparse(*A, k, 1.5f, beta);
  for (const std::int64_t k : {16, 37}) compare_sparse(many, k, -1.0f, 1.0f);  // more than one block of rows
}

void compare_panels(std::int64_t count, std::int64_t rows, std::int64_t b, std::int64_t q) {
  const std::vector<float> P = random_floats(count * rows * b, 7), W = random_floats(rows * q, 8);
  const std::vector<float> S = random_floats(count * b * q, 9);
  const PanelsView view{P.data(), count, rows, b};
  const std::int64_t depth = count * b;
  const auto entry = [&](std::int64_t i, std::int64_t j) -> double {
    return view.at(j / b, i)[j % b];
  };

  std::vector<double> H(static_cast<std::size_t>(depth * q), -1.0), again(H.size(), -2.0);
  panels_gram(view, W.data(), q, H.data(), 1);
  panels_gram(view, W.data(), q, again.data(), 3);
  CHECK(H == again);
  for (std::int64_t j = 0; j < depth; ++j)
    for (std::int64_t c = 0; c < q; ++c) {
      double sum = 0;
      for (std::int64_t i = 0; i < rows; ++i) sum += entry(i, j) * W[place(i, q, c)];
      CHECK(std::abs(H[place(j, q, c)] - sum) <= 1e-6 * static_cast<double>(rows + 8));
    }

  for (const bool fresh : {true, false}) {
    std::vector<float> start = random_floats(rows * q, 10);
    if (fresh) std::fill(start.begin(), start.end(), kNan);
    std::vector<float> Y = start, other = start;
    panels_combine(view, S.data(), q, fresh, Y.data(), 1);
    panels_combine(view, S.data(), q, fresh, other.data(), 3);
    CHECK(same_bytes(Y, other));
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t c = 0; c < q; ++c) {
        double sum = fresh ? 0.0 : start[place(i, q, c)];
        for (std::int64_t j = 0; j < depth; ++j) sum += entry(i, j) * S[place(j, q, c)];
        CHECK(std::abs(Y[place(i, q, c)] - sum) <= 1e-6 * static_cast<double>(depth + 8));
      }
  }
}

template <class Body>
void at_every_level(const Body& body) {
  for (int level = 0; level <= static_cast<int>(detected_simd_level()); ++level) {
    set_simd_level(static_cast<SimdLevel>(level));
    body();
  }
  reset_simd_level();
}

void sparse_times_dense_is_the_plain_sum() {
  at_every_level([] {
    compare_sparse_sizes<std::int32_t>();
    compare_sparse_sizes<std::int64_t>();
  });
}

void panels_are_the_plain_sums() {
  at_every_level([] {
    for (const std::int64_t rows : {1, 7, 127, 129, 300})
      for (const std::int64_t b : {16, 48}) {
        compare_panels(1, rows, b, 16);
        compare_panels(3, rows, b, 48);
      }
    compare_panels(2, 4500, 16, 32);  // more than one span of the sums over rows
  });
}

void a_phase_begins_when_the_one_before_is_done() {
  const std::vector<std::int64_t> sizes{0, 23, 0, 40, 1};
  std::vector<std::atomic<std::int64_t>> done(sizes.size());
  for (auto& count : done) count = 0;
  std::atomic<bool> in_order{true};
  for_each_phase(sizes, 4, [&](std::size_t phase, std::int64_t) {
    for (std::size_t p = 0; p < phase; ++p)
      if (done[p] != sizes[p]) in_order = false;
    ++done[phase];
  });
  CHECK(in_order);
  for (std::size_t p = 0; p < sizes.size(); ++p) CHECK(done[p] == sizes[p]);
}

void an_error_of_a_worker_reaches_the_caller() {
  check_throws<std::runtime_error>([] {
    for_each_task(40, 3, [](std::int64_t block) {
      if (block == 11) throw std::runtime_error("eleven");
    });
  });
  check_throws<std::runtime_error>([] {
    for_each_phase({30, 30}, 3, [](std::size_t phase, std::int64_t task) {
      if (phase == 0 && task == 11) throw std::runtime_error("eleven");
    });
  });
}

}  // namespace

int main() {
  const Test tests[] = {{"sparse_times_dense_is_the_plain_sum", sparse_times_dense_is_the_plain_sum},
                        {"panels_are_the_plain_sums", panels_are_the_plain_sums},
                        {"a_phase_begins_when_the_one_before_is_done", a_phase_begins_when_the_one_before_is_done},
                        {"an_error_of_a_worker_reaches_the_caller", an_error_of_a_worker_reaches_the_caller}};
  return run_tests(tests);
}
