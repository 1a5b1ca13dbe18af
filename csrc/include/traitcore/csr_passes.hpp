// Passes over the entries of a CSR matrix by ranges of rows, each of which owns what it writes: sums, positive pointwise
// mutual information, symmetry, and what a graph needs. Everything is trusted.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace traitcore {

/// The arrays of a CSR, or what a pass needs of them. Index is std::int32_t or std::int64_t.
template <class Index, class T>
struct CsrEntries {
  const Index *indptr, *indices;
  const T* data;
};

/// sums[i] of rows [start, stop).
template <class Index, class T>
void sum_rows(const CsrEntries<Index, T>& m, std::int64_t start, std::int64_t stop, double* sums) {
  for (std::int64_t i = start; i < stop; ++i) {
    double total = 0.0;
    for (auto e = m.indptr[i]; e < m.indptr[i + 1]; ++e) total += static_cast<double>(m.data[e]);
    sums[i] = total;
  }
}

/// sums[column] += entry, for entries [start, stop) in their order.
template <class Index, class T>
void sum_columns(const CsrEntries<Index, T>& m, std::int64_t start, std::int64_t stop, double* sums) {
  for (std::int64_t e = start; e < stop; ++e) sums[m.indices[e]] += static_cast<double>(m.data[e]);
}

/// Positive pointwise mutual information: the logarithm of data * row_scale * column_scale where that ratio exceeds 1
/// (Levy, Goldberg & Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", 2.1).
template <class Index, class T>
struct PositivePmi {
  CsrEntries<Index, T> counts;
  const double *row_scale, *column_scale;

  double ratio(std::int64_t row, std::int64_t entry) const {
    return static_cast<double>(counts.data[entry]) * (row_scale[row] * column_scale[counts.indices[entry]]);
  }

  /// lengths[i] = positive entries of rows [start, stop).
  void count(std::int64_t start, std::int64_t stop, std::int64_t* lengths) const {
    for (std::int64_t i = start; i < stop; ++i) {
      std::int64_t n = 0;
      for (auto e = counts.indptr[i]; e < counts.indptr[i + 1]; ++e) n += ratio(i, e) > 1.0;
      lengths[i] = n;
    }
  }

  /// Those entries, times n / (n + discount) of their counts n, from indptr[i] on.
  void write(std::int64_t start, std::int64_t stop, double discount, const std::int64_t* indptr, Index* indices,
             float* data) const {
    for (std::int64_t i = start; i < stop; ++i) {
      std::int64_t used = indptr[i];
      for (auto e = counts.indptr[i]; e < counts.indptr[i + 1]; ++e) {
        const double above = ratio(i, e), n = static_cast<double>(counts.data[e]);
        if (!(above > 1.0)) continue;
        indices[used] = counts.indices[e];
        data[used++] = static_cast<float>(std::log(above) * (n / (n + discount)));
      }
    }
  }
};

/// Whether rows [start, stop) of a square CSR with sorted, unique columns equal its columns [start, stop).
///
/// No transpose is made. Entries right of the diagonal come in the order in which their mirror images stand in their
/// rows, so each row needs no more than a place reached so far: `cursor` (n,), where each row begins, is used up in
/// [start, stop).
template <class Index, class T>
bool is_symmetric(const CsrEntries<Index, T>& m, std::int64_t start, std::int64_t stop, std::int64_t* cursor) {
  for (std::int64_t i = 0; i < stop; ++i) {
    std::int64_t e = m.indptr[i];
    const std::int64_t end = m.indptr[i + 1];
    if (i >= start) {
      e = cursor[i];
      if (e < end && m.indices[e] < i) return false;  // nothing above the diagonal has asked for it
      e += e < end && m.indices[e] == i;
    } else {  // the first entry of a column in the range
      e = std::lower_bound(m.indices + e, m.indices + end, static_cast<Index>(start)) - m.indices;
    }
    for (; e < end && m.indices[e] < stop; ++e) {
      const auto j = m.indices[e];
      const std::int64_t mirror = cursor[j];
      if (mirror >= m.indptr[j + 1] || m.indices[mirror] != i || m.data[mirror] != m.data[e]) return false;
      cursor[j] = mirror + 1;
    }
  }
  return true;
}

/// places (n,) where entries of these rows go: the next free one of each row, which moves `next` (n_rows,) on.
inline void next_places(const std::int64_t* rows, std::int64_t n, std::int64_t* next, std::int64_t* places) {
  for (std::int64_t e = 0; e < n; ++e) places[e] = next[rows[e]]++;
}

/// lengths[i] = marked entries of rows [start, stop).
template <class Index>
void count_marked(const Index* indptr, const bool* marked, std::int64_t start, std::int64_t stop, std::int64_t* lengths) {
  for (std::int64_t i = start; i < stop; ++i) {
    lengths[i] = 0;
    for (auto e = indptr[i]; e < indptr[i + 1]; ++e) lengths[i] += marked[e];
  }
}

/// Positive entries of the diagonal in rows [start, stop); they become 0 where `clear` is not null.
template <class Index>
std::int64_t find_loops(const CsrEntries<Index, double>& m, std::int64_t start, std::int64_t stop, double* clear) {
  std::int64_t found = 0;
  for (std::int64_t i = start; i < stop; ++i)
    for (auto e = m.indptr[i]; e < m.indptr[i + 1]; ++e)
      if (m.indices[e] == i && m.data[e] > 0) {
        ++found;
        if (clear) clear[e] = 0;
      }
  return found;
}

/// out = data over the root of rows[i] times the root of columns[j]; 0 where either is 0. Two roots, not the root of a
/// product: sums of large counts don't overflow.
template <class Index>
void scale_by_roots(const CsrEntries<Index, double>& m, std::int64_t start, std::int64_t stop, const double* rows,
                    const double* columns, double* out) {
  for (std::int64_t i = start; i < stop; ++i)
    for (auto e = m.indptr[i]; e < m.indptr[i + 1]; ++e) {
      const double scale = std::sqrt(rows[i]) * std::sqrt(columns[m.indices[e]]);
      out[e] = scale > 0 ? m.data[e] / scale : 0.0;
    }
}

/// Marks each row's `k` largest positive weights; ties go to the lower column. A heap of k values finds the row's
/// threshold, and one more pass marks in column order.
inline void keep_heaviest(const std::int64_t* indptr, const double* weights, std::int64_t start, std::int64_t stop,
                          std::int64_t k, bool* kept) {
  std::vector<double> heap;  // the smallest at the front
  for (std::int64_t row = start; row < stop; ++row) {
    heap.clear();
    for (std::int64_t e = indptr[row]; e < indptr[row + 1]; ++e) {
      const double weight = weights[e];
      const bool full = static_cast<std::int64_t>(heap.size()) == k;
      if (!(weight > 0.0) || (full && weight <= heap.front())) continue;
      if (full) {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        heap.pop_back();
      }
      heap.push_back(weight);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
    if (heap.empty()) continue;
    const double threshold = heap.front();
    auto at_threshold = std::count(heap.begin(), heap.end(), threshold);
    for (std::int64_t e = indptr[row]; e < indptr[row + 1]; ++e)
      if (weights[e] > threshold || (weights[e] == threshold && at_threshold-- > 0)) kept[e] = true;
  }
}

/// Union of the parts of i and j for each entry (i, j) of rows [start, stop); parent (n,) leads to a part's root, which
/// is its smallest node.
template <class Index>
void join_parts(const Index* indptr, const Index* indices, std::int64_t start, std::int64_t stop, std::int64_t* parent) {
  const auto root_of = [parent](std::int64_t node) {
    while (parent[node] != node) node = parent[node] = parent[parent[node]];
    return node;
  };
  for (std::int64_t i = start; i < stop; ++i) {
    std::int64_t a = root_of(i);
    for (auto e = indptr[i]; e < indptr[i + 1]; ++e) {
      const std::int64_t b = root_of(indices[e]);
      parent[std::max(a, b)] = std::min(a, b);
      a = std::min(a, b);
    }
  }
}

/// Leads each node to the root of its part; no parent may be larger than its child, as join_parts leaves them.
inline void settle_parts(std::int64_t n, std::int64_t* parent) {
  for (std::int64_t i = 0; i < n; ++i) parent[i] = parent[parent[i]];
}

}  // namespace traitcore
