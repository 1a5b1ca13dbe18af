# mypy: allow-untyped-calls
"""Truncated singular value decomposition of a sparse or dense matrix, and token vectors from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of, parameter_message
from .._kernels import symmetry as kernels
from .._parallel import balanced_blocks, resolve_workers, run_blocks
from .._progress import Progress
from .._validate import RandomSource, check_array, check_bool, check_csr, check_int, check_random_state, check_real
from .eigen import symmetric_eigen
from .lanczos import EPS, Lanczos, Settings, Subspace
from .products import aligned_empty, multiply_add, panel_combine, panel_gram, transposed_csr

_OWNER = "randomized_svd"
# Up to this size LAPACK decomposes what the search could not, within seconds.
_DENSE_AFTER_ALL = 4000
# Ranges of rows whose places reached stay in cache while the rest of the matrix passes by.
_SYMMETRY_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class SVDResult:
    """A ~ U @ diag(singular_values) @ Vt.

    Attributes
    ----------
    U : (n, k) float32, orthonormal columns; each column's largest entry (in magnitude) is positive.
    singular_values : (k,) float32, falling.
    Vt : (k, m) float32, orthonormal rows.
    residuals : (k,) float64, the larger of |A v - s u| and |A' u - s v|: an upper bound of each value's error.
    error_estimate : estimated largest relative error of a singular value, by which the search was stopped.
    n_iter : blocks multiplied by A (and by A' where A is not symmetric).
    converged : the estimate reached `tol` (with `n_iter` given: always True).
    symmetric : A was taken as symmetric; Vt's rows then are U's columns, negated where the eigenvalue is negative.
    """

    U: NDArray[np.float32]
    singular_values: NDArray[np.float32]
    Vt: NDArray[np.float32]
    residuals: NDArray[np.float64]
    error_estimate: float
    n_iter: int
    converged: bool
    symmetric: bool

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """`U, s, Vt = randomized_svd(...)` works, as with scikit-learn's."""
        return iter((self.U, self.singular_values, self.Vt))


@dataclass(frozen=True, eq=False)
class SVDVectors:
    """`item_vectors` U s^power (n, k) and `context_vectors` V s^(1 - power) (m, k), float32; M ~ items @ contexts.T."""

    item_vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32]
    singular_values: NDArray[np.float32]
    svd: SVDResult

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """`items, contexts = svd_vectors(...)` works."""
        return iter((self.item_vectors, self.context_vectors))


def randomized_svd(
    A: Any,
    n_components: int,
    *,
    tol: float = 1e-3,
    n_iter: int | None = None,
    block_size: int | None = None,
    symmetric: bool | None = None,
    random_state: RandomSource = 0,
    memory_limit_mb: float | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> SVDResult:
    """The `n_components` largest singular values of A and their vectors.

    Parameters
    ----------
    A : (n, m) sparse or dense; float32 is used as it is, other dtypes are converted.
    n_components : k in [1, min(n, m)].
    tol : largest relative error allowed in any of the singular values; the search ends when its estimate is below half.
    n_iter : a fixed number of block products instead of `tol`.
    block_size : columns per block, a multiple of 16; by default 16 for k < 32, else 32.
    symmetric : A equals its transpose, which takes half of the products; None finds out, False ignores it.
    random_state : seed of the starting block.
    memory_limit_mb : most MiB for the basis; where it can't hold the search, MemoryError is raised before it starts.
    workers : threads, -1 for all cores; the result does not depend on the number.
    progress : called as progress("svd", done, 1.0).

    Raises
    ------
    TypeError, ValueError : A with NaN or infinity (named by row and column), k out of range, other bad parameters.
    """
    matrix = _check_matrix(A)
    k = check_int("n_components", _OWNER, n_components, 1, min(matrix.shape))
    block = 16 if k < 32 else 32
    if block_size is not None:
        block = check_int("block_size", _OWNER, block_size, 16)
        if block % 16:
            raise ValueError(parameter_message("block_size", _OWNER, "a multiple of 16", block_size))
    settings = Settings(
        n_components=k, block_size=block,
        tol=check_real("tol", _OWNER, tol, 0.0, 1.0, open_low=True),
        steps=None if n_iter is None else check_int("n_iter", _OWNER, n_iter, 1),
        max_columns=0, workers=resolve_workers(workers, _OWNER), progress=progress,
    )  # fmt: skip
    seed = check_random_state("random_state", _OWNER, random_state)
    is_symmetric = _check_symmetric(matrix, symmetric, settings.workers)
    matrix, scale = _scaled(matrix)
    settings.max_columns = _max_columns(matrix, settings, memory_limit_mb)
    if settings.max_columns == 0:
        return _signed(_dense(matrix, k, is_symmetric), scale, is_symmetric)
    operator = _Symmetric(matrix, settings.workers) if is_symmetric else _Gram(matrix, settings.workers)
    found = Lanczos(operator, settings, np.random.default_rng(seed)).run()
    if not found.converged and max(matrix.shape) <= _DENSE_AFTER_ALL and memory_limit_mb is None:
        return _signed(_dense(matrix, k, is_symmetric), scale, is_symmetric)
    return _signed(operator.extract(found, k), scale, is_symmetric)


@on_behalf_of("svd_vectors", A="M")
def svd_vectors(
    M: Any,
    n_components: int,
    *,
    power: float = 0.5,
    tol: float = 1e-3,
    n_iter: int | None = None,
    symmetric: bool | None = None,
    random_state: RandomSource = 0,
    memory_limit_mb: float | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> SVDVectors:
    """Token and context vectors from the SVD of an association matrix such as `positive_pmi`'s.

    Rows are tokens, columns contexts: M ~ item_vectors @ context_vectors.T at any `power` in [0, 1], the share of the
    singular values that goes to the items (Levy, Goldberg & Dagan 2015, 3.3: 0.5 or 0 does better than 1). For a
    symmetric M the two sides differ in the sign of the components with a negative eigenvalue, so that the product
    stays right.

    The other parameters and the errors are those of `randomized_svd`.
    """
    share = check_real("power", "svd_vectors", power, 0.0, 1.0)
    svd = randomized_svd(
        M, n_components, tol=tol, n_iter=n_iter, symmetric=symmetric, random_state=random_state,
        memory_limit_mb=memory_limit_mb, workers=workers, progress=progress,
    )  # fmt: skip
    s = svd.singular_values.astype(np.float64)
    items = np.ascontiguousarray(svd.U * (s**share).astype(np.float32))
    contexts = np.ascontiguousarray(svd.Vt.T * (s ** (1.0 - share)).astype(np.float32))
    return SVDVectors(items, contexts, svd.singular_values, svd)


Matrix: TypeAlias = sparse.csr_array | NDArray[np.float32]


def _check_matrix(A: Any) -> Matrix:
    if sparse.issparse(A):
        matrix: Matrix = check_csr("A", _OWNER, A, dtype=np.float32)
    else:
        matrix = check_array("A", _OWNER, A, dtype=np.float32, shape=(None, None))
    if min(matrix.shape) == 0:
        raise ValueError(parameter_message("A", _OWNER, "a matrix with rows and columns", f"shape {matrix.shape}"))
    return matrix


def _check_symmetric(matrix: Matrix, symmetric: Any, workers: int) -> bool:
    if symmetric is not None and not check_bool("symmetric", _OWNER, symmetric):
        return False
    if matrix.shape[0] != matrix.shape[1]:
        is_equal = False
    elif isinstance(matrix, np.ndarray):
        is_equal = bool(np.array_equal(matrix, matrix.T))
    else:
        arrays = (matrix.indptr, matrix.indices, matrix.data, matrix.indptr[:-1].astype(np.int64))
        blocks = balanced_blocks(matrix.indptr, max(workers, _SYMMETRY_BLOCKS))
        is_equal = all(run_blocks(kernels.is_symmetric, blocks, workers, *arrays))
    if symmetric and not is_equal:
        rule = "None or False: A differs from its transpose"
        raise ValueError(parameter_message("symmetric", _OWNER, rule, symmetric))
    return is_equal


def _scaled(matrix: Matrix) -> tuple[Matrix, float]:
    """The matrix times a power of two that keeps sums of squares far from float32's ends, and the factor to undo it."""
    data = matrix if isinstance(matrix, np.ndarray) else matrix.data
    largest = max(float(data.max()), -float(data.min())) if data.size else 0.0
    if largest == 0.0 or 1e-4 < largest < 1e6:
        return matrix, 1.0
    exponent = int(np.frexp(largest)[1])
    data = np.ldexp(data, -exponent)
    if isinstance(matrix, np.ndarray):
        return data, 2.0**exponent
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape), 2.0**exponent


def _max_columns(matrix: Matrix, settings: Settings, memory_limit_mb: Any) -> int:
    """Columns that the basis may reach; 0 where a dense decomposition is the shorter way."""
    n = min(matrix.shape)
    b = settings.block_size
    least = settings.n_components + 4 * b
    if n <= 256 or least > n // 2:
        most, need = 0, 16.0 * matrix.shape[0] * matrix.shape[1]
    else:
        most, need = n // 2 // b * b, 4.0 * n * least
    if memory_limit_mb is not None:
        limit = check_real("memory_limit_mb", _OWNER, memory_limit_mb, 0.0, open_low=True) * 2**20
        if need > limit:
            raise MemoryError(
                f"The SVD of a {matrix.shape[0]} x {matrix.shape[1]} matrix at n_components={settings.n_components} "
                f"needs at least {need / 2**20:,.0f} MiB, more than memory_limit_mb={memory_limit_mb:g}."
            )
        most = min(most, int(limit / (4.0 * n)) // b * b)
    return most


def _dense(matrix: Matrix, k: int, symmetric: bool) -> SVDResult:
    """LAPACK in float64, for small matrices and for nearly all of the singular values."""
    full = (matrix if isinstance(matrix, np.ndarray) else matrix.toarray()).astype(np.float64)
    if symmetric:
        values, Q = np.linalg.eigh(full)
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        U, s, V = Q[:, order], np.abs(values[order]), Q[:, order] * np.where(values[order] < 0, -1.0, 1.0)
    else:
        U, s, Vt = np.linalg.svd(full, full_matrices=False)
        U, s, V = U[:, :k], s[:k], Vt[:k].T
    residuals = np.maximum(
        np.linalg.norm(full @ V - U * s, axis=0), np.linalg.norm(full.T @ U - V * s, axis=0)
    )
    return SVDResult(
        U.astype(np.float32), s.astype(np.float32), V.T.astype(np.float32), residuals, 0.0, 0, True, symmetric
    )


def _signed(result: SVDResult, scale: float, symmetric: bool) -> SVDResult:
    """Signs fixed by the largest entry of each left vector; the scale put back."""
    U = result.U
    high, low = U.max(axis=0), -U.min(axis=0)
    flip = np.where(low > high, np.float32(-1), np.float32(1))
    for j in np.flatnonzero(low == high):  # of two as large, the first one counts
        flip[j] = -1.0 if U[np.abs(U[:, j]).argmax(), j] < 0 else 1.0
    return SVDResult(
        U=np.ascontiguousarray(U * flip),
        singular_values=(result.singular_values.astype(np.float64) * scale).astype(np.float32),
        Vt=(result.Vt.T * flip).T, residuals=result.residuals * scale,
        error_estimate=result.error_estimate, n_iter=result.n_iter, converged=result.converged, symmetric=symmetric,
    )  # fmt: skip


class _Symmetric:
    """A itself."""

    squared = False

    def __init__(self, matrix: Matrix, workers: int) -> None:
        self.matrix, self.workers = matrix, workers
        self.n = matrix.shape[0]
        self.density = _size(matrix) / self.n

    def apply(
        self, block: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        return _times(self.matrix, block, self.workers, out)

    def filtered(self, block: NDArray[np.float32], degree: int, edge: float) -> NDArray[np.float32]:
        """T_degree(A / edge) @ block, by the three-term recurrence."""
        before, now = block, self.apply(block) / np.float32(edge)
        for _ in range(degree - 1):
            before, now = now, self.apply(now) * np.float32(2.0 / edge) - before
        return now

    def extract(self, found: Subspace, k: int) -> SVDResult:
        """Rayleigh-Ritz for A on the subspace found."""
        Y = found.basis
        AY = self.apply(Y)
        half = _inverse_root(panel_gram(Y[None], Y, workers=self.workers), self.workers)
        T = half.T @ panel_gram(Y[None], AY, workers=self.workers) @ half
        values, S = symmetric_eigen(T, workers=self.workers)
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        values, S = values[order], half @ S[:, order]
        U = _combined(Y, S, self.workers)
        residuals = np.linalg.norm(_combined(AY, S, self.workers) - U * values.astype(np.float32), axis=0)
        V = U * np.where(values < 0, np.float32(-1), np.float32(1))
        return SVDResult(
            U, np.abs(values).astype(np.float32), V.T, residuals.astype(np.float64), found.error_estimate,
            found.products, found.converged, True,
        )  # fmt: skip


class _Gram:
    """A'A, or AA' where that is smaller; never formed."""

    squared = True

    def __init__(self, matrix: Matrix, workers: int) -> None:
        turned = matrix.T if isinstance(matrix, np.ndarray) else transposed_csr(matrix)
        self.wide = matrix.shape[1] > matrix.shape[0]
        # `tall` (rows, n) has the fewer columns; the search runs among those.
        self.tall: Matrix
        self.flat: Matrix
        self.tall, self.flat = (turned, matrix) if self.wide else (matrix, turned)
        self.workers = workers
        self.n = min(matrix.shape)
        self.density = 2 * _size(matrix) / self.n

    def apply(
        self, block: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        return _times(self.flat, _times(self.tall, block, self.workers), self.workers, out)

    def filtered(self, block: NDArray[np.float32], degree: int, edge: float) -> NDArray[np.float32]:
        """T_degree(2 A'A / edge^2 - 1) @ block."""
        step = np.float32(2.0 / edge**2)
        before, now = block, self.apply(block) * step - block
        for _ in range(degree - 1):
            before, now = now, 2 * (self.apply(now) * step - now) - before
        return now

    def extract(self, found: Subspace, k: int) -> SVDResult:
        """The SVD of A restricted to the subspace found: not of A'A, so small singular values keep their digits."""
        X = found.basis
        X = _combined(X, _inverse_root(panel_gram(X[None], X, workers=self.workers), self.workers), self.workers)
        Y = _times(self.tall, X, self.workers)
        Q, R = _orthonormal_factor(Y, self.workers)
        Z, s, Wt = np.linalg.svd(R)
        U = _combined(Q, Z[:, :k], self.workers)
        V = _combined(X, Wt[:k].T, self.workers)
        s = s[:k]
        residuals = np.linalg.norm(_times(self.flat, U, self.workers) - V * s.astype(np.float32), axis=0)
        if self.wide:
            U, V = V, U
        return SVDResult(
            U, s.astype(np.float32), V.T, residuals.astype(np.float64), found.error_estimate, found.products,
            found.converged, False,
        )  # fmt: skip


def _size(matrix: Matrix) -> int:
    return int(matrix.size if isinstance(matrix, np.ndarray) else matrix.nnz)


def _times(
    matrix: Matrix, block: NDArray[np.float32], workers: int, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    product = aligned_empty((matrix.shape[0], block.shape[1])) if out is None else out
    if isinstance(matrix, np.ndarray):
        return np.matmul(matrix, block, out=product)
    multiply_add(matrix, block, product, workers=workers)
    return product


def _orthonormal_factor(Y: NDArray[np.float32], workers: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Y = Q @ R with orthonormal columns of Q: two rounds by the Gram matrix (CholeskyQR2, Fukaya et al. 2014) in our
    own passes, a hundred times faster on tall blocks than Householder's; that one where Y is too near to losing rank
    for float32."""
    Q = Y
    for _ in range(2):
        values, vectors = symmetric_eigen(panel_gram(Q[None], Q, workers=workers), workers=workers)
        if values[0] <= 1e-5 * values[-1]:
            break
        Q = _combined(Q, vectors / np.sqrt(values), workers)
    else:
        return Q, panel_gram(Q[None], Y, workers=workers)
    exact, R = np.linalg.qr(Y.astype(np.float64))
    return exact.astype(np.float32), R


def _combined(Y: NDArray[np.float32], S: NDArray[np.float64], workers: int) -> NDArray[np.float32]:
    """Y @ S, for as many columns as S has (the kernel takes multiples of 16)."""
    count = S.shape[1]
    padded = np.zeros((S.shape[0], -(-count // 16) * 16))
    padded[:, :count] = S
    out = aligned_empty((Y.shape[0], padded.shape[1]))
    panel_combine(Y[None], padded, out, fresh=True, workers=workers)
    return out if count == out.shape[1] else np.ascontiguousarray(out[:, :count])


def _inverse_root(G: NDArray[np.float64], workers: int) -> NDArray[np.float64]:
    """H with H' G H = I."""
    d, V = symmetric_eigen(G, workers=workers)
    half: NDArray[np.float64] = V / np.sqrt(np.maximum(d, d[-1] * EPS))
    return half
