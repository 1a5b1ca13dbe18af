#include <traitcore/alias.hpp>
#include <traitcore/matrix.hpp>
#include <traitcore/parallel.hpp>
#include <traitcore/rng.hpp>
#include <traitcore/simd/level.hpp>

#include <limits>
#include <vector>

#include "check.hpp"

namespace tc = traitcore;

namespace {

void words_are_a_function_of_their_place() {
  tc::CounterRng walking(1, 2);
  const tc::CounterRng standing(1, 2), later(1, 2, 10);
  for (std::uint64_t i = 0; i < 20; ++i) {
    CHECK(standing.at(i) == walking());
    CHECK(later.at(i) == standing.at(i + 10));
  }
  CHECK(tc::CounterRng(1, 3)() != tc::CounterRng(1, 2)() && tc::CounterRng(2, 2)() != tc::CounterRng(1, 2)());
}

void alias_draws_follow_the_weights() {
  const std::vector<double> weights{0, 5, 1, 0, 3, 0.5, 0};
  const tc::AliasTable table(weights.data(), weights.size());
  std::vector<double> seen(weights.size());
  tc::CounterRng rng(5, 0);
  const int n = 400000;
  for (int i = 0; i < n; ++i) seen[table(rng())] += 1;
  double chi_square = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double expected = n * weights[i] / 9.5;
    if (weights[i] == 0)
      CHECK(seen[i] == 0);
    else
      chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
  }
  CHECK(chi_square < 16.3);  // 3 degrees of freedom, p = 0.001
}

void bad_weights_are_refused() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& weights : {std::vector<double>{0, 0}, {1, -1}, {1, nan}, {}})
    check_throws<std::invalid_argument>([&] { tc::AliasTable(weights.data(), weights.size()); });
}

void the_first_error_of_a_worker_comes_back() {
  check_throws<std::out_of_range>([] {
    tc::run_workers(4, [](int id, const std::atomic<bool>& stop) {
      if (id == 2) throw std::out_of_range("two");
      while (!stop) std::this_thread::yield();
    });
  });
  std::atomic<int> sum{0};
  CHECK(tc::run_workers(7, [&](int id, const std::atomic<bool>&) { sum += id; }));
  CHECK(sum == 21);
  CHECK(!tc::run_workers(
      2, [](int, const std::atomic<bool>& stop) { while (!stop) std::this_thread::yield(); }, [] { return false; }));
}

void a_matrix_closes_and_opens_its_gaps() {
  tc::Matrix m(7, 5);
  CHECK(m.stride() == 16 && reinterpret_cast<std::uintptr_t>(m.row(3)) % 64 == 0);
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t k = 0; k < 5; ++k) m.row(i)[k] = static_cast<float>(10 * i + k);
  m.compact();
  CHECK(m.data()[6 * 5 + 4] == 64);
  m.expand();
  for (std::size_t i = 0; i < 7; ++i) {
    for (std::size_t k = 0; k < 5; ++k) CHECK(m.row(i)[k] == static_cast<float>(10 * i + k));
    for (std::size_t k = 5; k < 16; ++k) CHECK(m.row(i)[k] == 0);
  }
  tc::Matrix moved(std::move(m));
  CHECK(moved.row(1)[0] == 10);
}

void levels_can_be_forced_down_but_not_up() {
  tc::set_simd_level(tc::SimdLevel::baseline);
  CHECK(tc::simd_level() == tc::SimdLevel::baseline);
  tc::reset_simd_level();
  CHECK(tc::simd_level() == tc::detected_simd_level());
  if (tc::detected_simd_level() != tc::SimdLevel::avx512)
    check_throws<std::invalid_argument>([] { tc::set_simd_level(tc::SimdLevel::avx512); });
}

}  // namespace

int main() {
  return run_tests({{"words are a function of their place", words_are_a_function_of_their_place},
                    {"alias draws follow the weights", alias_draws_follow_the_weights},
                    {"bad weights are refused", bad_weights_are_refused},
                    {"the first error of a worker comes back", the_first_error_of_a_worker_comes_back},
                    {"a matrix closes and opens its gaps", a_matrix_closes_and_opens_its_gaps},
                    {"levels can be forced down", levels_can_be_forced_down_but_not_up}});
}
