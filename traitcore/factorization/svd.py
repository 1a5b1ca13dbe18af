# mypy: allow-untyped-calls
"""Truncated singular value decomposition of a sparse or dense matrix, and token vectors from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from .. import _core
from .._errors import on_behalf_of, warn_not_converged
from .._parallel import balanced_blocks, run_blocks
from .._progress import Progress
from .._validate import Checks, RandomSource
from .lanczos import EPS, Lanczos, LanczosOptions, Subspace
from .svd_operators import Matrix, Squared, Symmetric
from .svd_result import SVDResult, SVDVectors

_CHECK = Checks("randomized_svd")
# Up to this size LAPACK decomposes what the search could not, within seconds.
_DENSE_AFTER_ALL = 4000
# How often the basis may be filled before the search gives up.
MOST_RESTARTS = 100
# A search that stops earlier can't tell copies of a value from its neighbours.
_COARSEST = 1e-2
# Ranges of rows whose places reached stay in cache while the rest of the matrix passes by.
_SYMMETRY_BLOCKS = 8


NOT_CONVERGED = (
    "randomized_svd stopped before its singular values were as exact as asked for: estimated relative error {:.1e}, "
    "tol={:g}. Allow more memory, ask for fewer components, or set a larger 'tol'."
)


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
    tol : largest relative error allowed in any singular value; the search ends when its estimate is below.
    n_iter : a fixed number of block products instead of `tol`.
    block_size : columns per block, a multiple of 16; by default 16 for k < 32 and for small matrices, else 32.
    symmetric : A equals its transpose, which takes half of the products; None finds out, False ignores it.
    random_state : seed of the starting block.
    memory_limit_mb : most MiB for the basis; where it can't hold the search, MemoryError is raised before it starts.
    workers : threads, -1 for all cores; the result does not depend on the number.
    progress : called as progress("svd", done, 1.0), `done` rising, with 1.0 at the end.

    Raises
    ------
    TypeError, ValueError : A with NaN or infinity (named by row and column), k out of range, other bad parameters.

    References
    ----------
    Golub & Underwood 1977, "The block Lanczos method for computing eigenvalues".
    Wu & Simon 2000, "Thick-restart Lanczos method for large symmetric eigenvalue problems".

    See Also
    --------
    TruncatedSVD : the same as an estimator. svd_vectors : token and context vectors from it.

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> U, s, Vt = tc.randomized_svd(np.array([[3.0, 1], [1, 3]]), 1)
    >>> s.round(3).tolist()
    [4.0]
    >>> (U * s @ Vt).round(3).tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    matrix, scale = _scaled(_check_matrix(A))
    k = _CHECK.integer("n_components", n_components, 1, min(matrix.shape))
    # Small blocks keep the small eigenproblems small, which cost the most where the matrix is small.
    block = 16 if k < 32 or (k < 128 and min(matrix.shape) < 4096) else 32
    if block_size is not None:
        block = _CHECK.integer("block_size", block_size, 16)
        if block % 16:
            raise _CHECK.value_error("block_size", "a multiple of 16", block_size)
    rising = _Rising(progress)
    settings = LanczosOptions(
        n_components=k, block_size=block,
        tol=min(_CHECK.real("tol", tol, 0.0, 1.0, open_low=True), _COARSEST),
        fixed_steps=None if n_iter is None else _CHECK.integer("n_iter", n_iter, 1),
        max_columns=0, workers=_CHECK.workers(workers),
        progress=lambda stage, done, total: rising(stage, min(done, 0.99), total),
    )
    seed = _CHECK.random_state("random_state", random_state)
    is_symmetric = _check_symmetric(matrix, symmetric, settings.workers)
    settings.restarts = memory_limit_mb is None
    settings.max_columns = _max_columns(matrix, settings, memory_limit_mb, is_symmetric)
    if settings.max_columns == 0:
        rising("svd", 1.0, 1.0)
        return _signed(_dense(matrix, k, is_symmetric), scale, is_symmetric)
    result = _search(matrix, settings, is_symmetric, np.random.default_rng(seed))
    if not result.converged and max(matrix.shape) <= _DENSE_AFTER_ALL and memory_limit_mb is None:
        result = _dense(matrix, k, is_symmetric)
    if not result.converged:
        warn_not_converged(NOT_CONVERGED.format(result.error_estimate, settings.tol), stacklevel=2)
    rising("svd", 1.0, 1.0)
    return _signed(result, scale, is_symmetric)


class _Rising:
    """The caller's progress, called only when it rises: an estimated error may also grow, and a second search begins
    anew. 1.0 is for the end."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress, self.last = progress, 0.0

    def __call__(self, stage: str, done: float, total: float) -> None:
        if self.progress is not None and done > self.last:
            self.last = done
            self.progress(stage, done, total)


def _search(matrix: Matrix, settings: LanczosOptions, symmetric: bool, rng: np.random.Generator) -> SVDResult:
    """By Lanczos; where singular values drown in the rounding of A'A, again without those that were found."""
    k, drowned = settings.n_components, _drowned(settings.tol)
    if symmetric:
        operator = Symmetric(matrix, settings.workers)
        found = Lanczos(operator, settings, rng).run()
        return _trusted(operator.extract(found, k), found, settings.tol)
    gram = Squared(matrix, settings.workers)
    found = Lanczos(gram, settings, rng).run()
    result = gram.extract(found, k)
    for _ in range(3):
        s = result.singular_values
        known = int((s > 3 * drowned * s[gram.locked]).sum()) if gram.locked < k else k
        if settings.fixed_steps is not None or known == k or s[-1] > drowned * s[gram.locked]:
            break
        if s[gram.locked] <= 8 * EPS * s[0]:
            break
        gram.lock(result, known)
        rest = replace(settings, n_components=k - known, floor=float(16 * EPS * s[0]) ** 2)
        more = Lanczos(gram, rest, rng).run()
        basis = np.concatenate([gram.locked_right[:, :known], more.basis], axis=1)
        # The kernels take multiples of 16 columns; random ones do no harm.
        pad = rng.standard_normal((gram.n, -basis.shape[1] % 16), dtype=np.float32) / np.float32(np.sqrt(gram.n))
        basis = np.concatenate([basis, pad], axis=1)
        found = Subspace(
            basis, found.products + more.products, found.converged and more.converged,
            max(found.error_estimate, more.error_estimate), max(found.residual, more.residual),
        )
        result = gram.extract(found, k)
    return _trusted(result, found, settings.tol)


def _drowned(tol: float) -> float:
    """The share of the largest singular value below which the rounding of A'A spoils the others by more than `tol`
    allows: it turns their vectors by some 32 EPS / share^2, and moves the values by half the square of that."""
    return float(min(np.sqrt(32 * EPS / np.sqrt(tol / 2)), 0.3))


def _trusted(result: SVDResult, found: Subspace, tol: float) -> SVDResult:
    """Not converged, should the residuals be far above those that the search went by: it then lost its way. Residuals
    whose squares are small beside `tol` do no harm: rounding of A'A, and vectors of values that are nearly alike."""
    s = result.singular_values.astype(np.float64)
    above = s > _drowned(tol) * s[0]
    largest = float((result.residuals[above] / s[above]).max(initial=0.0))
    if largest <= 4 * found.residual + max(1e-3, np.sqrt(tol / 4)):
        return result
    return replace(result, converged=False, error_estimate=max(result.error_estimate, largest))


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

    References
    ----------
    Levy, Goldberg & Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings".

    See Also
    --------
    positive_pmi : an association matrix. randomized_svd : the decomposition itself.

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> items, contexts = tc.svd_vectors(np.array([[2.0, 1], [1, 2]]), 2)
    >>> (items @ contexts.T).round(3).tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """
    share = Checks("svd_vectors").real("power", power, 0.0, 1.0)
    svd = randomized_svd(
        M, n_components, tol=tol, n_iter=n_iter, symmetric=symmetric, random_state=random_state,
        memory_limit_mb=memory_limit_mb, workers=workers, progress=progress,
    )
    s, dtype = svd.singular_values.astype(np.float64), svd.singular_values.dtype
    items = np.ascontiguousarray(svd.U * (s**share).astype(dtype))
    contexts = np.ascontiguousarray(svd.Vt.T * (s ** (1.0 - share)).astype(dtype))
    return SVDVectors(items, contexts, svd.singular_values, svd)


def _check_matrix(A: Any) -> Any:
    """float32 or float64: numbers of the second may have no place in the first before they are scaled."""
    dtypes = (np.float32, np.float64)
    if sparse.issparse(A):
        kept = A.astype(np.float64) if A.dtype.kind in "iu" or (A.dtype.itemsize > 8 and A.dtype.kind == "f") else A
        matrix = _CHECK.csr("A", kept, dtype=dtypes)
    else:
        dense = np.asarray(A)
        matrix = _CHECK.array(
            "A", dense.astype(np.float32) if dense.dtype == bool else A, dtype=dtypes, shape=(None, None)
        )
    if min(matrix.shape) == 0:
        raise _CHECK.value_error("A", "a matrix with rows and columns", f"shape {matrix.shape}")
    return matrix


def _check_symmetric(matrix: Matrix, symmetric: Any, workers: int) -> bool:
    if symmetric is not None and not _CHECK.boolean("symmetric", symmetric):
        return False
    if matrix.shape[0] != matrix.shape[1]:
        is_equal = False
    elif isinstance(matrix, np.ndarray):
        is_equal = bool(np.array_equal(matrix, matrix.T))
    else:
        arrays = (matrix.indptr, matrix.indices, matrix.data, matrix.indptr[:-1].astype(np.int64))
        blocks = balanced_blocks(matrix.indptr, max(workers, _SYMMETRY_BLOCKS))
        is_equal = all(run_blocks(_core.is_symmetric, blocks, workers, *arrays))
    if symmetric and not is_equal:
        rule = "None or False: A differs from its transpose"
        raise _CHECK.value_error("symmetric", rule, symmetric)
    return is_equal


def _scaled(matrix: Any) -> tuple[Matrix, float]:
    """The matrix in float32, times a power of two that keeps sums of squares far from float32's ends, and the factor to
    undo it."""
    data = matrix if isinstance(matrix, np.ndarray) else matrix.data
    largest = max(float(data.max()), -float(data.min())) if data.size else 0.0
    scale = 1.0
    if largest > 0.0 and not 1e-4 < largest < 1e6:
        exponent = min(int(np.frexp(largest)[1]), 1023)
        # In two steps: 2 ** -1074 has no inverse.
        data = np.ldexp(np.ldexp(data, -(exponent // 2)), -(exponent - exponent // 2))
        scale = 2.0**exponent
    data = data.astype(np.float32, copy=False)
    if isinstance(matrix, np.ndarray):
        return data, scale
    small = sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    small.has_canonical_format = True
    return small, scale


def _max_columns(matrix: Matrix, settings: LanczosOptions, memory_limit_mb: Any, symmetric: bool) -> int:
    """Columns that the basis may reach; 0 where a dense decomposition is the shorter way."""
    n = min(matrix.shape)
    b = settings.block_size
    least = settings.n_components + 4 * b
    # Measured at n = 300 ... 1200: LAPACK is the faster one from so large a share of the values on.
    many = settings.n_components * (6.0 if symmetric else 3.5) > n
    many = many and max(matrix.shape) <= _DENSE_AFTER_ALL and memory_limit_mb is None and settings.fixed_steps is None
    if n <= 256 or least > n // 2 or many:
        most, need = 0, 16.0 * matrix.shape[0] * matrix.shape[1]
    else:
        # Past that, restarts are cheaper than orthogonalising against more columns.
        most = max(least, min(n // 2, max(3 * settings.n_components, 12 * b))) // b * b
        need = 4.0 * n * least
    settings.most_steps = MOST_RESTARTS * most // b
    if memory_limit_mb is not None:
        limit = _CHECK.real("memory_limit_mb", memory_limit_mb, 0.0, open_low=True) * 2**20
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
    s = result.singular_values.astype(np.float64) * scale
    fits = s[0] == 0 or float(np.finfo(np.float32).tiny) / EPS < s[0] < float(np.finfo(np.float32).max)
    return SVDResult(
        U=np.ascontiguousarray(U * flip),
        singular_values=s.astype(np.float32) if fits else s,
        Vt=(result.Vt.T * flip).T, residuals=result.residuals * scale,
        error_estimate=result.error_estimate, n_iter=result.n_iter, converged=result.converged, symmetric=symmetric,
    )
