// The passes of the factorization against three plain loops, at every instruction set, on one thread and on several.
#include <traitcore/nmf.hpp>
#include <traitcore/rng.hpp>

#include <cmath>
#include <vector>

#include "check.hpp"

using namespace traitcore;

namespace {

template <class T>
struct Problem {
  std::int64_t n, m;
  int k, width;
  std::vector<T> X, A, W, G, inverse;
  std::vector<std::int64_t> indptr{0}, edges;
  std::vector<std::int32_t> indices, order;
  std::vector<T> data;

  Problem(std::int64_t rows, std::int64_t columns, int components) : n(rows), m(columns), k(components) {
    const int lane = 64 / static_cast<int>(sizeof(T));
    width = (k + lane - 1) / lane * lane;
    CounterRng rng(1, 2);
    X.resize(static_cast<std::size_t>(n * m));
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < m; ++j)
        if (rng.unit() < 0.4f) {
          X[static_cast<std::size_t>(i * m + j)] = static_cast<T>(rng.unit());
          indices.push_back(static_cast<std::int32_t>(j));
          data.push_back(X[static_cast<std::size_t>(i * m + j)]);
        }
      indptr.push_back(static_cast<std::int64_t>(indices.size()));
    }
    A.assign(static_cast<std::size_t>(m * width), 0);
    W.assign(static_cast<std::size_t>(n * width), 0);
    for (std::int64_t j = 0; j < m; ++j)
      for (int t = 0; t < k; ++t) A[static_cast<std::size_t>(j * width + t)] = static_cast<T>(rng.unit());
    for (std::int64_t i = 0; i < n; ++i)
      for (int t = 0; t < k; ++t) W[static_cast<std::size_t>(i * width + t)] = static_cast<T>(rng.unit());
    G.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(width), 0);
    inverse.assign(static_cast<std::size_t>(width), 0);
    for (int a = 0; a < k; ++a)
      for (int b = 0; b < k; ++b)
        for (std::int64_t j = 0; j < m; ++j) at(G, a, b) += at(A, j, a) * at(A, j, b);
    for (int t = 0; t < k; ++t) {
      inverse[static_cast<std::size_t>(t)] = 1 / at(G, t, t);
      order.push_back(t);
    }
    for (int s = 0; s <= 5; ++s) edges.push_back(n * s / 5);
  }

  template <class N>
  N& at(std::vector<N>& matrix, std::int64_t i, std::int64_t j) const {
    return matrix[static_cast<std::size_t>(i * width + j)];
  }
  template <class N>
  N at(const std::vector<N>& matrix, std::int64_t i, std::int64_t j) const {
    return matrix[static_cast<std::size_t>(i * width + j)];
  }

  nmf::RowPass<T> pass(bool sparse, std::vector<T>& out) {
    nmf::RowPass<T> p;
    p.n = n, p.m = m, p.k = k, p.width = width;
    if (sparse)
      p.indptr = indptr.data(), p.indices = indices.data(), p.data = data.data();
    else
      p.dense = X.data();
    p.A = A.data(), p.G = G.data(), p.inverse = inverse.data(), p.order = order.data();
    p.start = W.data(), p.out = out.data();
    return p;
  }
};

template <class T>
void compare(std::int64_t n, std::int64_t m, int k, bool sparse, int workers) {
  Problem<T> problem(n, m, k);
  std::vector<T> out(problem.W.size(), 0), want = problem.W;
  nmf::RowPass<T> pass = problem.pass(sparse, out);
  const std::size_t size = static_cast<std::size_t>(5 * m * problem.width);
  std::vector<T> C(sparse ? size : 0);
  std::vector<double> C_total(sparse ? 0 : size);
  const nmf::Totals totals = nmf::run_rows(pass, problem.edges.data(), 5, sparse ? C.data() : nullptr,
                                           sparse ? nullptr : C_total.data(), workers);
  const double bound = sizeof(T) == 4 ? 2e-3 : 1e-9;
  for (std::int64_t i = 0; i < n; ++i)
    for (int t = 0; t < k; ++t) {
      double gradient = 0;
      for (std::int64_t j = 0; j < m; ++j)
        gradient -= static_cast<double>(problem.X[static_cast<std::size_t>(i * m + j)]) * problem.at(problem.A, j, t);
      for (int r = 0; r < k; ++r) gradient += static_cast<double>(problem.at(problem.G, t, r)) * problem.at(want, i, r);
      const double next = problem.at(want, i, t) - gradient / problem.at(problem.G, t, t);
      problem.at(want, i, t) = static_cast<T>(next > 0 ? next : 0);
    }
  for (std::int64_t i = 0; i < n; ++i)
    for (int t = 0; t < problem.width; ++t)
      CHECK(std::abs(problem.at(out, i, t) - problem.at(want, i, t)) < bound);
  for (std::int64_t j = 0; j < m; ++j)
    for (int t = 0; t < k; ++t) {
      double sum = 0, found = 0;
      for (std::int64_t i = 0; i < n; ++i)
        sum += static_cast<double>(problem.X[static_cast<std::size_t>(i * m + j)]) * problem.at(out, i, t);
      for (int s = 0; s < 5; ++s) {
        const std::size_t place = static_cast<std::size_t>((s * m + j) * problem.width + t);
        found += sparse ? static_cast<double>(C[place]) : C_total[place];
      }
      CHECK(std::abs(found - sum) < bound * (1 + sum));
    }
  double trace = 0, direct = 0;
  for (int t = 0; t < k; ++t) trace += totals.gram[static_cast<std::size_t>(t * problem.width + t)];
  for (const T w : out) direct += static_cast<double>(w) * w;
  CHECK(std::abs(trace - direct) < bound * (1 + direct));

  // Fold-in: every row ends at a stationary point of its own problem.
  std::vector<T> solution(problem.G.size(), 0), folded(problem.W.size(), 0);
  nmf::RowPass<T> solve = problem.pass(sparse, folded);
  solve.solution = solution.data(), solve.tol = static_cast<T>(1e-5), solve.sweeps = 20000;
  nmf::run_solve(solve, problem.edges.data(), 5, workers);
  for (std::int64_t i = 0; i < n; ++i)
    for (int t = 0; t < k; ++t) {
      double gradient = 0, scale = 1;
      for (std::int64_t j = 0; j < m; ++j) {
        const double x = problem.X[static_cast<std::size_t>(i * m + j)];
        gradient -= x * problem.at(problem.A, j, t);
        scale += x * k;
      }
      for (int r = 0; r < k; ++r)
        gradient += static_cast<double>(problem.at(problem.G, t, r)) * problem.at(folded, i, r);
      CHECK((problem.at(folded, i, t) > 0 ? std::abs(gradient) : -gradient) < 1e-3 * scale);
    }
}

/// The Kullback-Leibler pass: a multiplicative update of each row and the loss before it. Entries of value 0 are stored
/// too; rows end anywhere in a round of lanes.
template <class T>
void compare_entries(std::int64_t n, std::int64_t m, int k, bool partial, int workers) {
  Problem<T> problem(n, m, k);
  for (std::size_t e = 0; e < problem.data.size(); e += 7) problem.data[e] = 0;
  std::vector<T> out(problem.W.size(), -1), sums(static_cast<std::size_t>(problem.width), 0), weights, row_weights;
  for (std::int64_t j = 0; j < m; ++j) {
    weights.push_back(static_cast<T>(1 + j % 3));
    for (int t = 0; t < k; ++t) sums[static_cast<std::size_t>(t)] += problem.at(problem.A, j, t);
  }
  for (std::int64_t i = 0; i < n; ++i) row_weights.push_back(static_cast<T>(0.5 + static_cast<double>(i % 2)));
  nmf::EntryPass<T> pass;
  pass.n = n, pass.m = m, pass.k = k, pass.width = problem.width, pass.poisson = pass.measure = true;
  pass.indptr = problem.indptr.data(), pass.indices = problem.indices.data(), pass.data = problem.data.data();
  pass.A = problem.A.data(), pass.start = problem.W.data(), pass.out = out.data();
  pass.column_sums = partial ? nullptr : sums.data();
  pass.column_weights = weights.data(), pass.row_weights = row_weights.data();
  pass.l1 = T(0.25), pass.l2 = T(0.5), pass.floor = T(1e-7);
  const double measured = nmf::run_entries(pass, problem.edges.data(), 5, workers).cross;
  const double bound = sizeof(T) == 4 ? 1e-4 : 1e-11;
  double loss = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<double> above(static_cast<std::size_t>(k)), below(sums.begin(), sums.begin() + k);
    if (partial) below.assign(static_cast<std::size_t>(k), 0);
    const std::size_t row = static_cast<std::size_t>(i);
    for (std::int64_t e = problem.indptr[row]; e < problem.indptr[row + 1]; ++e) {
      const std::int64_t j = problem.indices[static_cast<std::size_t>(e)];
      const double x = problem.data[static_cast<std::size_t>(e)], weight = weights[static_cast<std::size_t>(j)];
      double p = 0;
      for (int t = 0; t < k; ++t) p += static_cast<double>(problem.at(problem.W, i, t)) * problem.at(problem.A, j, t);
      const double term = (x > 0 ? x * std::log(x / p) - x : 0) + (partial ? p : 0);
      loss += row_weights[row] * weight * term;
      for (int t = 0; t < k; ++t) {
        above[static_cast<std::size_t>(t)] += weight * x / p * problem.at(problem.A, j, t);
        if (partial) below[static_cast<std::size_t>(t)] += weight * problem.at(problem.A, j, t);
      }
    }
    for (int t = 0; t < problem.width; ++t) {
      double want = 0;
      if (t < k) {
        const double d = below[static_cast<std::size_t>(t)] + 0.25;
        const double target = above[static_cast<std::size_t>(t)] * problem.at(problem.W, i, t);
        want = target / ((d + std::sqrt(d * d + 2 * target)) / 2);
      }
      CHECK(std::abs(problem.at(out, i, t) - want) <= bound * (1 + want));
    }
  }
  CHECK(std::abs(measured - loss) <= bound * (1 + std::abs(loss)));
  pass.sweeps = 0, pass.out = nullptr;
  const double again = nmf::run_entries(pass, problem.edges.data(), 5, workers).cross;
  CHECK(std::abs(again - measured) <= bound * (1 + std::abs(loss)));
}

void every_level() {
  for (int level = 0; level <= static_cast<int>(detected_simd_level()); ++level) {
    set_simd_level(static_cast<SimdLevel>(level));
    for (const int workers : {1, 3})
      for (const bool sparse : {false, true}) {
        compare<float>(211, 13, 3, sparse, workers);
        compare<double>(211, 13, 3, sparse, workers);
        compare<float>(70, 37, 19, sparse, workers);
        compare<double>(1, 5, 9, sparse, workers);
        compare_entries<float>(61, 53, 3, sparse, workers);
        compare_entries<double>(40, 37, 19, sparse, workers);
      }
  }
  reset_simd_level();
}

/// What the first sweep over each row met, by plain loops: |gradient| where w > 0, its negative part where w = 0.
template <class T>
double violation_of(const Problem<T>& problem, const std::vector<T>& start, const std::vector<T>& product,
                    std::int64_t rows, const std::vector<T>& times) {
  double total = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    std::vector<double> w;
    for (int t = 0; t < problem.k; ++t) w.push_back(problem.at(start, i, t));
    for (int t = 0; t < problem.k; ++t) {
      double gradient = -static_cast<double>(problem.at(product, i, t));
      for (int r = 0; r < problem.k; ++r)
        gradient += static_cast<double>(problem.at(problem.G, t, r)) * w[static_cast<std::size_t>(r)];
      double& here = w[static_cast<std::size_t>(t)];
      total += times[static_cast<std::size_t>(i)] * (here > 0 || gradient < 0 ? std::abs(gradient) : 0);
      here -= gradient / problem.at(problem.G, t, t);
      if (here < 0) here = 0;
    }
  }
  return total;
}

/// The violation of both passes at every number of rows about a block: no row past the end counts, and a weighted row
/// counts so many times.
template <class T>
void compare_violations(std::int64_t n, int k) {
  Problem<T> problem(n, 23, k);
  const double bound = sizeof(T) == 4 ? 1e-3 : 1e-10;
  std::vector<T> out(problem.W.size(), 0), product(problem.W.size(), 0), weights, ones(static_cast<std::size_t>(n), 1);
  for (std::int64_t i = 0; i < n; ++i) {
    weights.push_back(static_cast<T>(i % 4));
    for (int t = 0; t < k; ++t)
      for (std::int64_t j = 0; j < problem.m; ++j)
        problem.at(product, i, t) += problem.X[static_cast<std::size_t>(i * problem.m + j)] * problem.at(problem.A, j, t);
  }
  const std::int64_t edges[] = {0, n};
  for (const bool weighted : {false, true}) {
    nmf::RowPass<T> pass = problem.pass(false, out);
    if (weighted) pass.row_weights = weights.data();
    const double found = nmf::run_rows<T>(pass, edges, 1, nullptr, nullptr, 1).violation;
    const double want = violation_of(problem, problem.W, product, n, weighted ? weights : ones);
    CHECK(std::abs(found - want) <= bound * (1 + want));
  }
  nmf::ColumnPass<T> pass;
  std::vector<T> C = product;
  pass.m = n, pass.k = k, pass.width = problem.width, pass.strips = 1, pass.C = C.data();
  pass.G = problem.G.data(), pass.inverse = problem.inverse.data(), pass.order = problem.order.data();
  pass.start = problem.W.data(), pass.out = out.data();
  const double want = violation_of(problem, problem.W, product, n, ones);
  CHECK(std::abs(nmf::run_columns(pass, 1).violation - want) <= bound * (1 + want));
}

void violations_stop_at_the_last_row() {
  for (int level = 0; level <= static_cast<int>(detected_simd_level()); ++level) {
    set_simd_level(static_cast<SimdLevel>(level));
    for (const std::int64_t n : {1, 7, 8, 15, 16, 17, 63, 64, 65, 130, 511, 513}) {
      compare_violations<float>(n, 3);
      compare_violations<double>(n, 9);
    }
  }
  reset_simd_level();
}

void a_poll_ends_a_long_pass() {
  Problem<double> problem(211, 13, 3);
  std::vector<double> out(problem.W.size(), 0), solution(problem.G.size(), 0);
  for (const int workers : {1, 3}) {
    nmf::RowPass<double> pass = problem.pass(false, out);
    pass.solution = solution.data(), pass.tol = 0, pass.sweeps = 2000000000;
    check_throws<std::runtime_error>([&] {
      nmf::run_solve(pass, problem.edges.data(), 5, workers, [] { throw std::runtime_error("stop"); });
    });
  }
}

void errors_of_workers_reach_the_caller() {
  check_throws<std::runtime_error>([] {
    for_each_task(50, 3, [](std::int64_t task) {
      if (task == 7) throw std::runtime_error("seven");
    });
  });
}

}  // namespace

int main() {
  const Test tests[] = {{"every_level", every_level},
                        {"violations_stop_at_the_last_row", violations_stop_at_the_last_row},
                        {"a_poll_ends_a_long_pass", a_poll_ends_a_long_pass},
                        {"errors_of_workers_reach_the_caller", errors_of_workers_reach_the_caller}};
  return run_tests(tests);
}
