// Passes over a CSR against plain loops over its dense form.
#include <traitcore/csr_passes.hpp>
#include <traitcore/nndsvd.hpp>

#include <memory>
#include <numeric>

#include <traitcore/rng.hpp>

#include "check.hpp"

namespace tc = traitcore;

namespace {

template <class Index, class T>
struct Csr {
  std::int64_t n;
  std::vector<T> dense;
  std::vector<Index> indptr{0}, indices;
  std::vector<T> data;

  Csr(std::int64_t n_, const std::vector<T>& from) : n(n_), dense(from) {
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j)
        if (at(i, j) != T(0)) indices.push_back(static_cast<Index>(j)), data.push_back(at(i, j));
      indptr.push_back(static_cast<Index>(indices.size()));
    }
  }
  const T& at(std::int64_t i, std::int64_t j) const { return dense[static_cast<std::size_t>(i * n + j)]; }
  tc::CsrEntries<Index, T> view() const { return {indptr.data(), indices.data(), data.data()}; }
};

template <class Index, class T>
Csr<Index, T> random_csr(std::int64_t n, std::uint64_t seed, bool mirrored = false) {
  tc::CounterRng rng(seed, static_cast<std::uint64_t>(n));
  std::vector<T> dense(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      const T value = rng.below(4) ? T(0) : static_cast<T>(1 + rng.below(5));
      if (!mirrored || j <= i) dense[static_cast<std::size_t>(i * n + j)] = value;
      if (mirrored && j <= i) dense[static_cast<std::size_t>(j * n + i)] = value;
    }
  return {n, dense};
}

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

template <class Index, class T>
void sums_and_pmi() {
  const auto m = random_csr<Index, T>(23, 1);
  std::vector<double> rows(23), columns(23);
  for (const std::int64_t start : {0, 9}) tc::sum_rows(m.view(), start, start ? 23 : 9, rows.data());
  tc::sum_columns(m.view(), 0, 11, columns.data());
  tc::sum_columns(m.view(), 11, m.indptr.back(), columns.data());
  const double total = std::accumulate(rows.begin(), rows.end(), 0.0);
  std::vector<double> row_scale, column_scale;
  for (std::int64_t i = 0; i < 23; ++i) {
    double down = 0, across = 0;
    for (std::int64_t j = 0; j < 23; ++j) across += double(m.at(i, j)), down += double(m.at(j, i));
    CHECK(rows[size(i)] == across && columns[size(i)] == down);
    row_scale.push_back(across > 0 ? total / across : 0), column_scale.push_back(down > 0 ? 1 / down : 0);
  }
  const tc::PositivePmi<Index, T> pmi{m.view(), row_scale.data(), column_scale.data()};
  std::vector<std::int64_t> lengths(23), indptr{0};
  pmi.count(0, 10, lengths.data());
  pmi.count(10, 23, lengths.data());
  for (const auto length : lengths) indptr.push_back(indptr.back() + length);
  std::vector<Index> indices(size(indptr.back()));
  std::vector<float> data(indices.size());
  pmi.write(10, 23, 5.0, indptr.data(), indices.data(), data.data());
  pmi.write(0, 10, 5.0, indptr.data(), indices.data(), data.data());
  for (std::int64_t i = 0; i < 23; ++i) {
    std::int64_t at = indptr[size(i)];
    for (std::int64_t j = 0; j < 23; ++j) {
      const double ratio = double(m.at(i, j)) * (row_scale[size(i)] * column_scale[size(j)]);
      if (!(ratio > 1)) continue;
      CHECK(indices[size(at)] == j);
      CHECK(data[size(at)] == static_cast<float>(std::log(ratio) * (double(m.at(i, j)) / (double(m.at(i, j)) + 5.0))));
      ++at;
    }
    CHECK(at == indptr[size(i) + 1]);
  }
}

bool symmetric(const Csr<std::int32_t, float>& m, std::int64_t cut) {
  bool equal = true;
  for (const auto& [start, stop] : {std::make_pair(std::int64_t{0}, cut), std::make_pair(cut, m.n)}) {
    std::vector<std::int64_t> cursor(m.indptr.begin(), m.indptr.end() - 1);
    equal = equal && tc::is_symmetric(m.view(), start, stop, cursor.data());
  }
  return equal;
}

void symmetry_is_seen_in_any_blocks() {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto m = random_csr<std::int32_t, float>(17, seed, true);
    for (const std::int64_t cut : {0, 1, 8, 17}) CHECK(symmetric(m, cut));
    auto other = m.dense;
    float& entry = other[size(static_cast<std::int64_t>(seed) % 17 * 17 + (static_cast<std::int64_t>(seed) * 5 + 1) % 17)];
    entry = entry != 0 ? 0.0f : 2.0f;
    const bool diagonal = static_cast<std::int64_t>(seed) % 17 == (static_cast<std::int64_t>(seed) * 5 + 1) % 17;
    for (const std::int64_t cut : {0, 1, 8, 17}) CHECK(symmetric({17, other}, cut) == diagonal);
  }
}

void loops_roots_and_marks() {
  auto m = random_csr<std::int64_t, double>(19, 4);
  std::vector<double> sums(19), out(m.data.size());
  for (std::size_t i = 0; i < 19; ++i) sums[i] = static_cast<double>(i);
  tc::scale_by_roots(m.view(), 0, 19, sums.data(), sums.data(), out.data());
  std::int64_t loops = 0;
  for (std::int64_t i = 0; i < 19; ++i) {
    loops += m.at(i, i) > 0;
    for (auto e = m.indptr[size(i)]; e < m.indptr[size(i) + 1]; ++e) {
      const std::int64_t j = m.indices[size(e)];
      CHECK(out[size(e)] == (i && j ? m.at(i, j) / (std::sqrt(double(i)) * std::sqrt(double(j))) : 0.0));
    }
  }
  for (const std::int64_t k : {1, 3, 30}) {
    std::vector<std::int64_t> indptr(m.indptr.begin(), m.indptr.end()), lengths(19);
    std::vector<char> slow(m.data.size());
    const std::unique_ptr<bool[]> kept(new bool[m.data.size()]());
    tc::keep_heaviest(indptr.data(), m.data.data(), 0, 19, k, kept.get());
    for (std::int64_t i = 0; i < 19; ++i) {
      std::vector<std::int64_t> order(size(indptr[size(i) + 1] - indptr[size(i)]));
      std::iota(order.begin(), order.end(), indptr[size(i)]);
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return m.data[size(a)] > m.data[size(b)]; });
      for (std::size_t r = 0; r < std::min(order.size(), size(k)); ++r) slow[size(order[r])] = 1;
    }
    CHECK(std::equal(slow.begin(), slow.end(), kept.get()));
    tc::count_marked(m.indptr.data(), kept.get(), 0, 19, lengths.data());
    for (std::int64_t i = 0; i < 19; ++i) CHECK(lengths[size(i)] == std::min(k, indptr[size(i) + 1] - indptr[size(i)]));
  }
  CHECK(tc::find_loops(m.view(), 0, 19, nullptr) == loops);
  CHECK(tc::find_loops(m.view(), 0, 19, m.data.data()) == loops);
  CHECK(tc::find_loops(m.view(), 0, 19, nullptr) == 0);
}

void parts_equal_a_search() {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    tc::CounterRng rng(seed, 9);
    std::vector<double> dense(40 * 40);
    for (int edge = 0; edge < 25; ++edge) dense[rng.below(40) * 40 + rng.below(40)] = 1;
    const Csr<std::int32_t, double> m(40, dense);
    std::vector<std::int64_t> slow(40), parent(40);
    std::iota(parent.begin(), parent.end(), 0);
    std::iota(slow.begin(), slow.end(), 0);
    for (int pass = 0; pass < 40; ++pass)
      for (std::int64_t i = 0; i < 40; ++i)
        for (std::int64_t j = 0; j < 40; ++j)
          if (m.at(i, j) > 0) slow[size(i)] = slow[size(j)] = std::min(slow[size(i)], slow[size(j)]);
    tc::join_parts(m.indptr.data(), m.indices.data(), 0, 13, parent.data());
    tc::join_parts(m.indptr.data(), m.indices.data(), 13, 40, parent.data());
    tc::settle_parts(40, parent.data());
    CHECK(parent == slow);
  }
}

void entries_keep_their_order_in_a_row() {
  const std::vector<std::int64_t> rows{1, 0, 1, 1};
  std::vector<std::int64_t> next{0, 1}, places(4);
  tc::next_places(rows.data(), 4, next.data(), places.data());
  CHECK((places == std::vector<std::int64_t>{1, 0, 2, 3}) && (next == std::vector<std::int64_t>{1, 4}));
}

void signed_parts_of_columns() {
  const std::vector<float> U{1, -2, 9, -3, 4, 9};
  double positive[2] = {}, negative[2] = {};
  tc::part_squares(U.data(), 3, 0, 2, 2, positive, negative);
  CHECK(positive[0] == 1 && positive[1] == 16 && negative[0] == 9 && negative[1] == 4);
  const std::vector<float> scale{2, -1};
  std::vector<float> out(8, 7.0f);
  tc::write_parts(U.data(), 3, 0, 2, scale.data(), 2, 0.5f, 0.25f, out.data(), 4);
  CHECK((out == std::vector<float>{2, 2, 7, 7, 6, 0.25f, 7, 7}));
}

}  // namespace

int main() {
  const Test tests[] = {
      {"sums and pmi, float32 by int32", sums_and_pmi<std::int32_t, float>},
      {"sums and pmi, int64 by int64", sums_and_pmi<std::int64_t, std::int64_t>},
      {"symmetry is seen in any blocks", symmetry_is_seen_in_any_blocks},
      {"loops, roots and marks", loops_roots_and_marks},
      {"parts equal a search", parts_equal_a_search},
      {"entries keep their order in a row", entries_keep_their_order_in_a_row},
      {"signed parts of columns", signed_parts_of_columns},
  };
  return run_tests(tests);
}
