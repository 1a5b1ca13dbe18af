// Non-negative factorization by coordinate descent: the two passes an iteration is made of.
//
// `run_rows` goes through X once: for each block of rows it computes X A, sweeps the block's rows of the factor by
// cyclic coordinate descent (HALS; Cichocki & Phan 2009, algorithm 2), optionally extrapolates them (Ang & Gillis
// 2019, algorithm 1), and adds X^T B and B^T B while the block is still in the nearest cache. `run_columns` sums what
// the strips gathered and sweeps the other factor. Two products, one reading of X.
//
// Strips of rows are cut by the caller, never by the number of threads, and their sums are added in order: results
// are the same bytes for any number of threads.
#pragma once
#include <math.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "parallel.hpp"
#include "simd/memory.hpp"
#include "simd/vectors.hpp"

namespace traitcore::nmf {

/// What kernels ask, block by block, to learn whether to give up; whoever asked them to throws the outputs away. A
/// pointer to a function, because nothing of std:: may be compiled inside a target region.
struct Halt {
  bool (*asked)(const void*) = nullptr;
  const void* context = nullptr;
};

inline bool stop_asked(const void* stop) {
  return static_cast<const std::atomic<bool>*>(stop)->load(std::memory_order_relaxed);
}

/// Called about every 50 ms of a long pass; throws to end it.
using Poll = std::function<void()>;

/// Multiplications that take some tenths of a second at the least instruction set: shorter passes aren't watched.
constexpr double kLongPass = 1 << 28;

/// work(task, halt) for each task in [0, tasks), on up to `workers` threads. Where each thread's share of `cost`
/// multiplications is long, the calling thread does none of them but polls.
template <class Work>
void for_each_watched(std::int64_t tasks, int workers, double cost, const Poll& poll, const Work& work) {
  const int threads = static_cast<int>(tasks < workers ? tasks : workers);
  if (!poll || cost < kLongPass * threads) {
    for_each_task(tasks, workers, [&](std::int64_t task) { work(task, Halt{}); });
    return;
  }
  std::atomic<std::int64_t> next{0};
  run_workers(
      threads,
      [&](int, const std::atomic<bool>& stop) {
        const Halt halt{stop_asked, &stop};
        for (std::int64_t task; !stop_asked(&stop) && (task = next.fetch_add(1)) < tasks;) work(task, halt);
      },
      [&] {
        poll();
        return true;
      });
}

/// What one pass over the rows of X (n, m) reads and writes. Factors are (rows, width) row-major, columns k ... width
/// zero, width * sizeof(T) a multiple of 64.
template <class T>
struct RowPass {
  std::int64_t n = 0, m = 0;
  int k = 0, width = 0;
  const T* dense = nullptr;  ///< (n, m), or null: CSR below
  const std::int64_t* indptr = nullptr;
  const std::int32_t* indices = nullptr;
  const T* data = nullptr;
  const T* A = nullptr;              ///< (m, width) the other factor
  const T* G = nullptr;              ///< (width, width) its Gram matrix, with the L2 penalty on the diagonal
  const T* inverse = nullptr;        ///< (width) 1 / G[t, t], or 0 where that is 0
  const std::int32_t* order = nullptr;  ///< (k) components in the order of the sweep
  T l1 = 0, beta = 0;
  T tol = 0;                         ///< of run_solve
  const T* solution = nullptr;       ///< of run_solve: (width, width) about G's inverse, where rows start
  int sweeps = 1;                    ///< 0: leave the factor alone, accumulate only
  bool project = false;              ///< the factor is X A itself: no sweeps, `out` optional
  const T* start = nullptr;          ///< (n, width) where the sweeps start
  const T* previous = nullptr;       ///< (n, width) with `extrapolated`
  T* out = nullptr;                  ///< (n, width) after the sweeps; may be `start`
  T* extrapolated = nullptr;         ///< (n, width) max(0, out + beta (out - previous)), or null
  const T* row_weights = nullptr;    ///< (n) weights of rows in the sums, or null
  Halt halt;
};

template <class T>
struct ColumnPass {
  std::int64_t m = 0;
  int k = 0, width = 0, strips = 0;
  T* C = nullptr;                    ///< (strips, m, width), or `C_total`; the sum is left in strip 0
  double* C_total = nullptr;
  const T* G = nullptr;
  const T* inverse = nullptr;
  const std::int32_t* order = nullptr;
  T l1 = 0;
  int sweeps = 1;                    ///< 0: sum only
  const T* start = nullptr;
  T* out = nullptr;
  Halt halt;
};

/// A pass over the rows of a sparse X (n, m) that looks at stored entries only. For H, pass X^T.
template <class T>
struct EntryPass {
  std::int64_t n = 0, m = 0;
  int k = 0, width = 0;
  const std::int64_t* indptr = nullptr;
  const std::int32_t* indices = nullptr;
  const T* data = nullptr;
  const T* A = nullptr;               ///< (m, width) the other factor
  bool poisson = false;               ///< Kullback-Leibler loss, else least squares over the stored entries
  bool measure = false;               ///< add up the loss at `start`
  const T* column_sums = nullptr;     ///< (width) A's column sums, weighted: entries not stored are zeros (poisson).
                                      ///< Null: entries not stored are unknown
  const T* column_weights = nullptr;  ///< (m) or null
  const T* row_weights = nullptr;     ///< (n) weights in the loss, or null
  T l1 = 0, l2 = 0;
  T floor = 0;                        ///< least prediction that is divided by
  int sweeps = 1;                     ///< 0: measure only
  const T* start = nullptr;
  T* out = nullptr;
  Halt halt;
};

/// Multiplications of a product of X with a factor of this width.
template <class Pass>
double product_cost(const Pass& pass) {
  const double entries = pass.indptr ? static_cast<double>(pass.indptr[pass.n]) : static_cast<double>(pass.n) * pass.m;
  return entries * pass.width;
}

/// Multiplications of the sweeps over a factor of so many rows.
template <class Pass>
double sweep_cost(const Pass& pass, std::int64_t rows) {
  return static_cast<double>(rows) * pass.width * pass.k * pass.sweeps;
}

/// Where a kernel adds up, in double: Gram matrix (upper triangle) and column sums of the factor, <C, out>, and the
/// 1-norm of the projected gradient.
struct Sums {
  double* gram;
  double* sums;
  double cross = 0, violation = 0;
};

/// The storage behind Sums.
struct Totals {
  std::vector<double> gram, sums;
  double cross = 0, violation = 0;
  explicit Totals(int width)
      : gram(static_cast<std::size_t>(width) * static_cast<std::size_t>(width)),
        sums(static_cast<std::size_t>(width)) {}
  Sums view() { return Sums{gram.data(), sums.data()}; }
  void take(const Sums& done) { cross = done.cross, violation = done.violation; }
  void add(const Totals& other) {
    for (std::size_t i = 0; i < gram.size(); ++i) gram[i] += other.gram[i];
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
    cross += other.cross;
    violation += other.violation;
  }
};

template <class T>
struct Kernels {
  void (*rows)(const RowPass<T>&, std::int64_t, std::int64_t, T*, T*, double*, Sums&);
  void (*solve)(const RowPass<T>&, std::int64_t, std::int64_t, T*);
  void (*columns)(const ColumnPass<T>&, std::int64_t, std::int64_t, T*, Sums&);
  void (*entries)(const EntryPass<T>&, std::int64_t, std::int64_t, T*, Sums&);
  void (*residual)(const EntryPass<T>&, const T*, std::int64_t, std::int64_t, Sums&);
  int block;
};

#define TRAITCORE_KERNEL <traitcore/detail/nmf.inl>
#include "simd/foreach_level.hpp"

inline const Kernels<float>& kernels_for(float) {
  const SimdLevel level = simd_level();
  return TRAITCORE_AT_LEVEL(level, of_float::kernels());
}

inline const Kernels<double>& kernels_for(double) {
  const SimdLevel level = simd_level();
  return TRAITCORE_AT_LEVEL(level, of_double::kernels());
}

/// Numbers of scratch a pass needs: four blocks, a Gram matrix and its column sums.
inline std::size_t pass_scratch(int width, int block) {
  return static_cast<std::size_t>(width) * (4 * static_cast<std::size_t>(block) + width + 1);
}

/// \param[in]  edges    (strips + 1) rows at which strips begin
/// \param[out] C        (strips, m, width) for sparse X, or null
/// \param[out] C_total  (strips, m, width) for dense X, whose sums are long and whose m is short, or null
template <class T>
Totals run_rows(const RowPass<T>& whole, const std::int64_t* edges, std::int64_t strips, T* C, double* C_total,
                int workers, const Poll& poll = {}) {
  const Kernels<T>& kernels = kernels_for(T{});
  const std::int64_t size = whole.m * whole.width;
  std::vector<Totals> totals(static_cast<std::size_t>(strips), Totals(whole.width));
  const double cost = 2 * product_cost(whole) + sweep_cost(whole, whole.n);
  for_each_watched(strips, workers, cost, poll, [&](std::int64_t s, const Halt& halt) {
    RowPass<T> pass = whole;
    pass.halt = halt;
    AlignedBuffer<T> scratch(pass_scratch(pass.width, kernels.block));
    AlignedBuffer<T> part(C_total ? static_cast<std::size_t>(size) : 0);
    Totals& mine = totals[static_cast<std::size_t>(s)];
    Sums sums = mine.view();
    kernels.rows(pass, edges[s], edges[s + 1], scratch.data(), C_total ? part.data() : C ? C + s * size : nullptr,
                 C_total ? C_total + s * size : nullptr, sums);
    mine.take(sums);
  });
  Totals sum(whole.width);
  for (const Totals& part : totals) sum.add(part);
  return sum;
}

/// Rows of the factor with A fixed, each to pass.tol or pass.sweeps sweeps; writes pass.out.
template <class T>
void run_solve(const RowPass<T>& whole, const std::int64_t* edges, std::int64_t strips, int workers,
               const Poll& poll = {}) {
  const Kernels<T>& kernels = kernels_for(T{});
  // Most rows are done long before their last sweep.
  const double cost = product_cost(whole) + sweep_cost(whole, whole.n) / 16;
  for_each_watched(strips, workers, cost, poll, [&](std::int64_t s, const Halt& halt) {
    RowPass<T> pass = whole;
    pass.halt = halt;
    AlignedBuffer<T> scratch(pass_scratch(pass.width, kernels.block));
    kernels.solve(pass, edges[s], edges[s + 1], scratch.data());
  });
}

template <class T>
Totals run_columns(const ColumnPass<T>& whole, int workers, const Poll& poll = {}) {
  const Kernels<T>& kernels = kernels_for(T{});
  constexpr std::int64_t rows = 512;  // a task: several blocks of any instruction set
  const std::int64_t tasks = (whole.m + rows - 1) / rows;
  std::vector<Totals> totals(static_cast<std::size_t>(tasks), Totals(whole.width));
  const double cost = static_cast<double>(whole.m) * whole.width * whole.strips + sweep_cost(whole, whole.m);
  for_each_watched(tasks, workers, cost, poll, [&](std::int64_t s, const Halt& halt) {
    ColumnPass<T> pass = whole;
    pass.halt = halt;
    AlignedBuffer<T> scratch(pass_scratch(pass.width, kernels.block));
    const std::int64_t end = (s + 1) * rows < pass.m ? (s + 1) * rows : pass.m;
    Totals& mine = totals[static_cast<std::size_t>(s)];
    Sums sums = mine.view();
    kernels.columns(pass, s * rows, end, scratch.data(), sums);
    mine.take(sums);
  });
  Totals sum(whole.width);
  for (const Totals& part : totals) sum.add(part);
  return sum;
}

/// Numbers of scratch an entry pass needs.
inline std::size_t entry_scratch(int width) {
  return static_cast<std::size_t>(width) * (static_cast<std::size_t>(width) + 3);
}

/// {loss at `start`, projected gradient}; each row is its own problem.
template <class T>
Totals run_entries(const EntryPass<T>& whole, const std::int64_t* edges, std::int64_t strips, int workers,
                   const Poll& poll = {}) {
  const Kernels<T>& kernels = kernels_for(T{});
  std::vector<Totals> totals(static_cast<std::size_t>(strips), Totals(0));
  // Each entry is met once for a look, and again in each sweep: k times by least squares, which sums a Gram matrix.
  const double cost = product_cost(whole) * (1.0 + (whole.poisson ? 2 * whole.sweeps : whole.k));
  for_each_watched(strips, workers, cost, poll, [&](std::int64_t s, const Halt& halt) {
    EntryPass<T> pass = whole;
    pass.halt = halt;
    AlignedBuffer<T> scratch(entry_scratch(pass.width));
    Totals& mine = totals[static_cast<std::size_t>(s)];
    Sums sums = mine.view();
    kernels.entries(pass, edges[s], edges[s + 1], scratch.data(), sums);
    mine.take(sums);
  });
  Totals sum(0);
  for (const Totals& part : totals) sum.add(part);
  return sum;
}

/// \param[in] dense  (n, m), or null: `pass` holds a CSR
template <class T>
double run_residual(const EntryPass<T>& whole, const T* dense, const std::int64_t* edges, std::int64_t strips,
                    int workers, const Poll& poll = {}) {
  const Kernels<T>& kernels = kernels_for(T{});
  std::vector<double> parts(static_cast<std::size_t>(strips));
  for_each_watched(strips, workers, product_cost(whole), poll, [&](std::int64_t s, const Halt& halt) {
    EntryPass<T> pass = whole;
    pass.halt = halt;
    Sums sums{nullptr, nullptr};
    kernels.residual(pass, dense, edges[s], edges[s + 1], sums);
    parts[static_cast<std::size_t>(s)] = sums.cross;
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace traitcore::nmf
