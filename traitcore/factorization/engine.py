"""The native passes of the factorization, and the padded arrays they work on.

C++ and not numba: the sweep needs its blocks transposed in registers, tiles sized to the register file and prefetched
rows, none of which numba can express.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _core
from .._parallel import balanced_blocks
from .._validate import Checks

DTYPES = (np.float64, np.float32)
_LINE_BYTES = 64
# Rows are cut into this many strips whatever the number of threads, so that results don't depend on `workers`. Fewer
# where each has sums of X^T W, and these would be large, or as much work as its entries.
_STRIPS, _MOST_SUMS, _FEW_STRIPS = 64, 16, 4
_STRIP_BYTES = 1 << 29
_ENTRIES_PER_SUM = 16
# Lower bound of the Kullback-Leibler loss's predictions, as in scikit-learn.
_FLOOR = float(np.finfo(np.float32).eps)


def check_data(X: Any, check: Checks, *, nonnegative: bool = True, keep_zeros: bool = False) -> Any:
    """X as a CSR with sorted indices or a C-contiguous array, float32 or float64 (others become float64).

    A stored zero is dropped, unless the stored entries are the known ones (`keep_zeros`): it would move the cuts of
    sums, and by their rounding the number of iterations.
    """
    if sparse.issparse(X):
        matrix = check.csr("X", X, dtype=DTYPES, nonnegative=nonnegative)
        return matrix if keep_zeros else without_zeros(matrix)
    return check.array("X", X, dtype=DTYPES, shape=(None, None), nonnegative=nonnegative)


def without_zeros(matrix: sparse.csr_array) -> sparse.csr_array:
    """The same matrix where no entry is a stored zero, else a copy without them."""
    if matrix.data.all():
        return matrix
    matrix = matrix.copy()
    matrix.eliminate_zeros()
    return matrix


@dataclass(frozen=True, eq=False)
class NativeMatrix:
    """X (n, m) in the form of the native passes: `dense`, or the three arrays of a CSR."""

    n: int
    m: int
    dtype: np.dtype[Any]
    dense: NDArray[Any] | None
    indptr: NDArray[np.int64] | None
    indices: NDArray[np.int32] | None
    data: NDArray[Any] | None

    @classmethod
    def of(cls, X: Any, check: Checks) -> NativeMatrix:
        n, m = X.shape
        if not sparse.issparse(X):
            return cls(n, m, X.dtype, X, None, None, None)
        if m > np.iinfo(np.int32).max:
            raise check.value_error("X", "a matrix of fewer than 2**31 columns", f"shape {X.shape}")
        indptr = X.indptr.astype(np.int64, copy=False)
        return cls(n, m, X.dtype, None, indptr, X.indices.astype(np.int32, copy=False), X.data)

    def csr(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """indptr, indices, data of a sparse X."""
        assert self.indptr is not None
        assert self.indices is not None
        assert self.data is not None
        return self.indptr, self.indices, self.data

    def row(self, i: int) -> NDArray[Any]:
        """Row i (m,), dense."""
        if self.dense is not None:
            row: NDArray[Any] = self.dense[i]
            return row
        indptr, indices, data = self.csr()
        row = np.zeros(self.m, self.dtype)
        row[indices[indptr[i] : indptr[i + 1]]] = data[indptr[i] : indptr[i + 1]]
        return row

    @property
    def entries(self) -> int:
        """Numbers stored."""
        return self.n * self.m if self.data is None else len(self.data)

    def mass(self, row_weights: NDArray[Any] | None) -> tuple[float, float]:
        """Rows and numbers stored, each row counted by its weight."""
        if row_weights is None:
            return self.n, self.entries
        rows = float(row_weights.sum(dtype=np.float64))
        if self.indptr is None:
            return rows, rows * self.m
        return rows, float(np.diff(self.indptr) @ row_weights.astype(np.float64))

    def strips(
        self, width: int, workers: int, *, accumulate: bool = True, row_weights: NDArray[Any] | None = None
    ) -> Strips:
        """Strips of about equal work for factors of `width` columns; fewer if each must `accumulate` sums of X^T W."""
        count = _STRIPS
        if accumulate:
            count = min(_MOST_SUMS, max(_FEW_STRIPS, self.entries // (_ENTRIES_PER_SUM * max(1, self.m))))
            count = max(1, min(count, _STRIP_BYTES // max(1, self.m * width * self.dtype.itemsize)))
        work = np.arange(self.n + 1) if self.indptr is None else self.indptr + width * np.arange(self.n + 1)
        blocks = balanced_blocks(work, count) or [(0, 0)]
        edges = np.array([0, *(stop for _, stop in blocks)], dtype=np.int64)
        return Strips(self, edges, workers, row_weights)

    def square(self, row_weights: NDArray[Any] | None = None) -> float:
        """Sum of squares in float64, rows weighted."""
        total = 0.0
        step = max(1, (1 << 20) * self.n // max(1, self.entries))
        for start in range(0, self.n, step):
            stop = min(self.n, start + step)
            if self.dense is not None:
                part = np.einsum("ij,ij->i", *(self.dense[start:stop].astype(np.float64),) * 2)
            else:
                indptr, _, data = self.csr()
                squares = data[indptr[start] : indptr[stop]].astype(np.float64) ** 2
                rows = np.repeat(np.arange(stop - start), np.diff(indptr[start : stop + 1]))
                part = np.bincount(rows, weights=squares, minlength=stop - start)
            total += float(part.sum() if row_weights is None else part @ row_weights[start:stop])
        return total


class Strips(NamedTuple):
    """A matrix in strips of rows from edges[i] to edges[i + 1], and the threads that work on them."""

    X: NativeMatrix
    edges: NDArray[np.int64]
    workers: int
    row_weights: NDArray[Any] | None = None

    def sums(self, width: int) -> NDArray[Any]:
        """(strips, m, width) zeros for the passes' C: float64 where X is dense and the sums are long."""
        X = self.X
        return aligned_zeros((len(self.edges) - 1, X.m, width), np.float64 if X.data is None else X.dtype)


class Extrapolation(NamedTuple):
    """`out` = max(0, W + beta (W - previous)) of the row factor W that a pass finds."""

    previous: NDArray[Any]
    beta: float
    out: NDArray[Any]


def padded_width(k: int, dtype: Any) -> int:
    """k rounded up to whole cache lines."""
    lane: int = _LINE_BYTES // np.dtype(dtype).itemsize
    return -(-k // lane) * lane


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that begin on a cache line."""
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    raw = np.zeros(count * dtype.itemsize + _LINE_BYTES, dtype=np.uint8)
    skip = -raw.ctypes.data % _LINE_BYTES
    zeros: NDArray[Any] = raw[skip : skip + count * dtype.itemsize].view(dtype).reshape(shape)
    return zeros


def padded(factor: NDArray[Any]) -> NDArray[Any]:
    """A copy of (rows, k) with zero columns up to whole cache lines."""
    rows, k = factor.shape
    out = aligned_zeros((rows, padded_width(k, factor.dtype)), factor.dtype)
    out[:, :k] = factor
    return out


class RowSubproblem:
    """min 0.5 w G w - (x - l1) w over w >= 0, for all rows w of a factor at once.

    `gram` (k, k) is the Gram matrix of the other factor; the L2 penalty is added to its diagonal.
    """

    def __init__(self, gram: NDArray[Any], l1: float, l2: float, dtype: Any) -> None:
        k = len(gram)
        width = padded_width(k, dtype)
        self.G = np.zeros((width, width), dtype=dtype)
        self.G[:k, :k] = gram
        if l2:
            self.G[np.arange(k), np.arange(k)] += l2
        self.inverse = np.zeros(width, dtype=dtype)
        diagonal = self.G.diagonal()
        # Where a diagonal entry's reciprocal overflows, the component is effectively zero; its inverse is set to 0.
        with np.errstate(over="ignore"):
            np.divide(1, diagonal, out=self.inverse, where=diagonal != 0)
        self.inverse[~np.isfinite(self.inverse)] = 0
        self.l1 = l1
        self.order = np.arange(k, dtype=np.int32)


class EntryProblem(NamedTuple):
    """The loss of a factor's rows over stored entries: Kullback-Leibler (`poisson`) or squares, and their penalty."""

    k: int
    poisson: bool
    l1: float
    l2: float


def free_solution(problem: RowSubproblem) -> NDArray[Any]:
    """(width, width) approximate inverse of G, padding zero: maps x to the unconstrained minimum."""
    k = len(problem.order)
    G = problem.G[:k, :k].astype(np.float64)
    # A ridge far below G's scale keeps the start bounded where G is singular.
    ridge = 1e-6 * float(np.trace(G)) / k
    out = np.zeros_like(problem.G)
    if ridge > 0:
        out[:k, :k] = np.linalg.pinv(G + ridge * np.eye(k), hermitian=True)
    return out


def row_pass(
    strips: Strips, A: NDArray[Any], problem: RowSubproblem, start: NDArray[Any], out: NDArray[Any] | None, *,
    sweeps: int = 1, C: NDArray[Any] | None = None, ahead: Extrapolation | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Sweep the row factor and accumulate C (strips, m, width) = X^T B; returns (B^T B, column sums, 0, violation).

    B is the row factor, extrapolated where `ahead` is given.
    """
    X = strips.X
    previous, beta, extrapolated = (None, 0.0, None) if ahead is None else ahead
    return _core.nmf_row_pass(
        X, A, problem.G, problem.inverse, problem.order, problem.l1, sweeps,
        start, out, previous, extrapolated, beta, strips.row_weights, C, strips.edges, strips.workers,
    )


def project_pass(
    strips: Strips, A: NDArray[Any], *, out: NDArray[Any] | None = None, C: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """out = X A and C (strips, m, width) = X^T X A, each if given, in one pass over X; returns A^T X^T X A."""
    X = strips.X
    return _core.nmf_project_pass(X, A, out, C, strips.edges, strips.workers)[0]


def solve_pass(
    strips: Strips, A: NDArray[Any], problem: RowSubproblem, solution: NDArray[Any], out: NDArray[Any], *, sweeps: int,
    tol: float,
) -> None:
    """Write each row's solution with A fixed, to the tolerance or `sweeps` sweeps; `solution`: see `free_solution`."""
    X, edges, workers, _ = strips
    _core.nmf_solve_pass(
        X, A, problem.G, problem.inverse, problem.order, problem.l1, sweeps, tol,
        solution, out, edges, workers,
    )


def column_pass(
    C: NDArray[Any], problem: RowSubproblem, start: NDArray[Any], out: NDArray[Any], workers: int, *, sweeps: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Sum C into C[0] and sweep the column factor; returns (H^T H, column sums, <C, H>, violation)."""
    return _core.nmf_column_pass(
        C, problem.G, problem.inverse, problem.order, problem.l1, sweeps, start, out, workers
    )


def entry_pass(
    strips: Strips, A: NDArray[Any], problem: EntryProblem, start: NDArray[Any], out: NDArray[Any] | None, *,
    sweeps: int, measure: bool = False, column_sums: NDArray[Any] | None = None,
    column_weights: NDArray[Any] | None = None,
) -> tuple[float, float]:
    """Update each row of a factor from its stored entries alone; returns (loss at `start`, violation).

    Entries not stored are zeros with `column_sums` (width,), unknown without. The loss is 0 without `measure`.
    """
    return _core.nmf_entry_pass(
        strips.X, A, problem.k, problem.poisson, measure, column_sums, column_weights, strips.row_weights,
        problem.l1, problem.l2, _FLOOR, sweeps, start, out, strips.edges, strips.workers,
    )


def half_squared_error(
    X: NativeMatrix, W: NDArray[Any], Ht: NDArray[Any], row_weights: NDArray[Any] | None, workers: int
) -> float:
    """0.5 |X - W H|^2 in float64 from the entries themselves, rows weighted; factors padded. X is never densified."""
    edges = X.strips(W.shape[1], workers, accumulate=False).edges
    error = _core.nmf_residual(X, Ht, W, row_weights, edges, workers)
    if X.dense is None:  # the part that the stored entries don't cover: 0.5 |W H|^2
        gram_H = Ht.astype(np.float64)
        gram_H = gram_H.T @ gram_H
        for start in range(0, X.n, 1 << 16):
            part = W[start : start + (1 << 16)].astype(np.float64)
            weighted = part if row_weights is None else part * row_weights[start : start + (1 << 16), None]
            error += 0.5 * float(np.sum((weighted.T @ part) * gram_H))
    return max(0.0, error)
