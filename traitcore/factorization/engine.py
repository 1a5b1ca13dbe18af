"""The native passes of the factorization, and the padded arrays they work on.

C++ and not numba: the sweep needs its blocks transposed in registers, tiles sized to the register file and prefetched
rows, none of which numba can say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _core
from .._errors import parameter_message
from .._parallel import balanced_blocks
from .._validate import check_array, check_csr

DTYPES = (np.float64, np.float32)
_LINE_BYTES = 64
# Rows are cut into this many strips whatever the number of threads (more only for more threads than this), so that
# results don't depend on `workers`; fewer where each strip's sums of X^T W would be large, or would be as much work
# as the strip's own entries.
_STRIPS, _FEW_STRIPS = 8, 4
_STRIP_BYTES = 1 << 29
_ENTRIES_PER_SUM = 16
# Predictions of the Kullback-Leibler loss are held above this, as scikit-learn's.
_FLOOR = float(np.finfo(np.float32).eps)


def check_data(X: Any, owner: str, *, nonnegative: bool = True) -> Any:
    """X as a CSR with sorted indices or a C-contiguous array, float32 or float64 (others become float64)."""
    if sparse.issparse(X):
        return check_csr("X", owner, X, dtype=DTYPES, nonnegative=nonnegative)
    return check_array("X", owner, X, dtype=DTYPES, shape=(None, None), nonnegative=nonnegative)


@dataclass(frozen=True, eq=False)
class Operand:
    """X (n, m) as the native passes take it: `dense`, or the three arrays of a CSR."""

    n: int
    m: int
    dtype: np.dtype[Any]
    dense: NDArray[Any] | None
    indptr: NDArray[np.int64] | None
    indices: NDArray[np.int32] | None
    data: NDArray[Any] | None

    @classmethod
    def of(cls, X: Any, owner: str) -> Operand:
        n, m = X.shape
        if not sparse.issparse(X):
            return cls(n, m, X.dtype, X, None, None, None)
        if m > np.iinfo(np.int32).max:
            raise ValueError(parameter_message("X", owner, "a matrix of fewer than 2**31 columns", f"shape {X.shape}"))
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

    def edges(self, width: int, workers: int, *, accumulate: bool = True) -> NDArray[np.int64]:
        """(strips + 1,) rows where strips begin, of about equal work."""
        strips = max(_STRIPS, workers)
        if accumulate:
            strips = min(strips, max(_FEW_STRIPS, self.entries // (_ENTRIES_PER_SUM * max(1, self.m))))
            strips = max(1, min(strips, _STRIP_BYTES // max(1, self.m * width * self.dtype.itemsize)))
        work = np.arange(self.n + 1) if self.indptr is None else self.indptr + width * np.arange(self.n + 1)
        blocks = balanced_blocks(work, strips) or [(0, 0)]
        return np.array([0, *(stop for _, stop in blocks)], dtype=np.int64)

    def sums(self, width: int, edges: NDArray[np.int64]) -> NDArray[Any]:
        """(strips, m, width) zeros for the passes' C: float64 where X is dense and the sums are long."""
        return aligned_zeros((len(edges) - 1, self.m, width), np.float64 if self.data is None else self.dtype)

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


class Quadratic:
    """One side's subproblem: min 0.5 w G w - (x - l1) w, for all rows w of a factor at once.

    `gram` (k, k) is the Gram matrix of the other factor; the L2 penalty goes on its diagonal.
    """

    def __init__(self, gram: NDArray[Any], l1: float, l2: float, dtype: Any, order: NDArray[Any] | None = None) -> None:
        k = len(gram)
        width = padded_width(k, dtype)
        self.G = np.zeros((width, width), dtype=dtype)
        self.G[:k, :k] = gram
        if l2:
            self.G[np.arange(k), np.arange(k)] += l2
        self.inverse = np.zeros(width, dtype=dtype)
        diagonal = self.G.diagonal()
        # Where the diagonal is so small that its reciprocal overflows, the component is as good as gone.
        with np.errstate(over="ignore"):
            np.divide(1, diagonal, out=self.inverse, where=diagonal != 0)
        self.inverse[~np.isfinite(self.inverse)] = 0
        self.l1 = l1
        self.order = np.arange(k, dtype=np.int32) if order is None else order.astype(np.int32)


def free_solution(problem: Quadratic) -> NDArray[Any]:
    """(width, width) about the inverse of G, padding zero: takes x to the minimum without the constraint."""
    k = len(problem.order)
    G = problem.G[:k, :k].astype(np.float64)
    # A ridge far below G's scale keeps a singular G from sending the start far away.
    ridge = 1e-6 * float(np.trace(G)) / k
    out = np.zeros_like(problem.G)
    if ridge > 0:
        out[:k, :k] = np.linalg.pinv(G + ridge * np.eye(k), hermitian=True)
    return out


def row_pass(
    X: Operand,
    A: NDArray[Any],
    problem: Quadratic,
    start: NDArray[Any],
    out: NDArray[Any] | None,
    edges: NDArray[np.int64],
    workers: int,
    *,
    sweeps: int = 1,
    C: NDArray[Any] | None = None,
    row_weights: NDArray[Any] | None = None,
    previous: NDArray[Any] | None = None,
    extrapolated: NDArray[Any] | None = None,
    beta: float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Sweep the row factor and accumulate C (strips, m, width) = X^T B; returns (B^T B, column sums, 0, violation)."""
    return _core.nmf_row_pass(
        X, A, problem.G, problem.inverse, problem.order, problem.l1, sweeps, start, out,
        previous, extrapolated, beta, row_weights, C, edges, workers,
    )  # fmt: skip


def project_pass(
    X: Operand, A: NDArray[Any], edges: NDArray[np.int64], workers: int, *, out: NDArray[Any] | None = None,
    C: NDArray[Any] | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """out = X A and C (strips, m, width) = X^T X A in one reading of X, each where given; returns A^T X^T X A."""
    return _core.nmf_project_pass(X, A, out, C, edges, workers)[0]


def solve_pass(
    X: Operand, A: NDArray[Any], problem: Quadratic, solution: NDArray[Any], out: NDArray[Any],
    edges: NDArray[np.int64], workers: int, *, sweeps: int, tol: float,
) -> None:  # fmt: skip
    """Write each row's solution with A fixed, to the tolerance or `sweeps` sweeps; `solution` from `Quadratic`."""
    _core.nmf_solve_pass(
        X, A, problem.G, problem.inverse, problem.order, problem.l1, sweeps, tol, solution, out, edges, workers,
    )  # fmt: skip


def column_pass(
    C: NDArray[Any], problem: Quadratic, start: NDArray[Any], out: NDArray[Any], workers: int, *, sweeps: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Sum C into C[0] and sweep the column factor; returns (H^T H, column sums, <C, H>, violation)."""
    return _core.nmf_column_pass(
        C, problem.G, problem.inverse, problem.order, problem.l1, sweeps, start, out, workers
    )


def entry_pass(
    X: Operand,
    A: NDArray[Any],
    k: int,
    start: NDArray[Any],
    out: NDArray[Any] | None,
    edges: NDArray[np.int64],
    workers: int,
    *,
    poisson: bool,
    measure: bool,
    sweeps: int = 1,
    column_sums: NDArray[Any] | None = None,
    column_weights: NDArray[Any] | None = None,
    row_weights: NDArray[Any] | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
) -> tuple[float, float]:
    """Update each row of a factor from its stored entries alone; returns (loss at `start`, violation).

    Kullback-Leibler with `poisson`, else least squares. With `column_sums` (width,) entries not stored are zeros,
    without they are unknown.
    """
    return _core.nmf_entry_pass(
        X, A, k, poisson, measure, column_sums, column_weights, row_weights, l1, l2,
        _FLOOR, sweeps, start, out, edges, workers,
    )  # fmt: skip


def half_squared_error(
    X: Operand, W: NDArray[Any], Ht: NDArray[Any], row_weights: NDArray[Any] | None, workers: int
) -> float:
    """0.5 |X - W H|^2 in float64 from the entries themselves, rows weighted; factors padded. X is never densified."""
    edges = X.edges(W.shape[1], workers, accumulate=False)
    error = _core.nmf_residual(X, Ht, W, row_weights, edges, workers)
    if X.dense is None:  # what the stored entries left out: 0.5 |W H|^2
        gram_H = Ht.astype(np.float64)
        gram_H = gram_H.T @ gram_H
        for start in range(0, X.n, 1 << 16):
            part = W[start : start + (1 << 16)].astype(np.float64)
            weighted = part if row_weights is None else part * row_weights[start : start + (1 << 16), None]
            error += 0.5 * float(np.sum((weighted.T @ part) * gram_H))
    return max(0.0, error)
