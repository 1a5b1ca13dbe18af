// The small symmetric eigenproblem: A V = V diag(values) at every instruction set, some rows as all of them, the same
// bytes on several threads, and a matrix that is not finite.
#include <traitcore/eigen.hpp>
#include <traitcore/rng.hpp>

#include <cmath>
#include <vector>

#include "check.hpp"

using namespace traitcore;

namespace {

std::vector<double> random_symmetric(std::int64_t n) {
  CounterRng rng(3, static_cast<std::uint64_t>(n));
  std::vector<double> A(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j)
      A[static_cast<std::size_t>(i * n + j)] = A[static_cast<std::size_t>(j * n + i)] = 2 * rng.unit() - 1;
  return A;
}

void vectors_solve_the_problem() {
  for (int level = 0; level <= static_cast<int>(detected_simd_level()); ++level)
    for (const std::int64_t n : {1, 2, 3, 31, 33, 70}) {
      set_simd_level(static_cast<SimdLevel>(level));
      const std::vector<double> A = random_symmetric(n);
      const auto size = static_cast<std::size_t>(n);
      std::vector<double> used = A, values(size), V(size * size), again(size), rows(size * size);
      symmetric_eigen(used.data(), n, 0, values.data(), V.data(), 1);
      for (std::size_t i = 0; i < size; ++i)
        for (std::size_t j = 0; j < size; ++j) {
          double product = 0, overlap = 0;
          for (std::size_t k = 0; k < size; ++k) {
            product += A[i * size + k] * V[k * size + j];
            overlap += V[k * size + i] * V[k * size + j];
          }
          CHECK(std::abs(product - values[j] * V[i * size + j]) < 1e-12);
          CHECK(std::abs(overlap - (i == j ? 1 : 0)) < 1e-12);
          CHECK(j == 0 || values[j - 1] <= values[j]);
        }
      const std::int64_t first = n / 2;
      used = A;
      symmetric_eigen(used.data(), n, first, again.data(), rows.data(), 3);
      CHECK(again == values);
      for (std::size_t q = 0; q < static_cast<std::size_t>((n - first) * n); ++q)
        CHECK(rows[q] == V[static_cast<std::size_t>(first * n) + q]);
    }
  reset_simd_level();
}

void nan_is_an_error() {
  std::vector<double> A(9, std::nan("")), values(3), rows(9);
  check_throws<std::runtime_error>([&] { symmetric_eigen(A.data(), 3, 0, values.data(), rows.data(), 1); });
}

}  // namespace

int main() {
  const Test tests[] = {{"vectors_solve_the_problem", vectors_solve_the_problem}, {"nan_is_an_error", nan_is_an_error}};
  return run_tests(tests);
}
