"""Starting points of a non-negative factorization, random or from singular vectors."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _core
from .._parallel import even_blocks, run_blocks, worthwhile
from .._validate import Checks
from .eigen import symmetric_eigen
from .engine import NativeMatrix, Strips, aligned_zeros, padded_width, project_pass
from .products import panel_combine, panel_gram

_log = logging.getLogger(__name__)
# scikit-learn's: entries of an nndsvd factor below this are zero.
_SMALL = 1e-6
# Up to this many columns, the Gram matrix of the short side is cheaper than iterating.
_EXACT = 128
# Blocks of rows of the passes over vectors, for any number of workers.
_BLOCKS = 16
# At least so many directions more than wanted; up to the next whole cache line they are free.
_OVERSAMPLING = 10
_STEPS, _MOST_STEPS = 3, 160
# Converged: a residual of at most this many units in the last place.
_CLOSE = 1e3
# Multiplications below which threads don't pay.
_THREADS_PAY = 1 << 23


def initial_factors(
    X: Any, n_components: int, init: str, seed: int, workers: int, row_weights: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(W (n, k), H (k, m)), non-negative, X's dtype, C-contiguous; a row of weight s > 0 counts as s copies of it.

    nndsvd: Boutsidis & Gallopoulos 2008, "SVD based initialization", section 3: each singular pair gives the larger of
    its positive and negative parts; components beyond min(n, m) are zero. "nndsvda" fills zeros
    with X's mean, "nndsvdar" with random values of size mean / 100.
    """
    n, m = X.shape
    if n == 0 or m == 0:  # no singular pair to start from
        return np.zeros((n, n_components), X.dtype), np.zeros((n_components, m), X.dtype)
    if row_weights is None:
        mean = _total(X, workers) / (n * m)
    else:
        mean = float(np.asarray(X.sum(axis=1, dtype=np.float64)) @ row_weights) / (float(row_weights.sum()) * m)
    rng = np.random.default_rng(seed)
    if init == "random":
        scale = X.dtype.type(np.sqrt(mean / n_components))
        H = np.abs(scale * rng.standard_normal((n_components, m), dtype=X.dtype))
        W = np.abs(scale * rng.standard_normal((n, n_components), dtype=X.dtype))
        return W, H
    # The singular vectors with s copies of a row are those of the row times sqrt(s): V the same, U times sqrt(s).
    root = None if row_weights is None else np.sqrt(row_weights).astype(X.dtype)
    U, S, V = _leading(X if root is None else _rows_times(X, root), min(n_components, n, m), seed, workers, False)
    fill = mean if init == "nndsvda" else 0.0
    W, H = nndsvd_start(U, S, V, n_components, fill=fill, smallest=_SMALL, row_roots=root, workers=workers)
    if init == "nndsvdar":
        for factor in (W.T, H):
            empty = factor == 0
            factor[empty] = np.abs(mean / 100 * rng.standard_normal(int(empty.sum())))
    return W, H


def nndsvd_start(
    U: NDArray[Any], S: NDArray[Any], V: NDArray[Any], n_components: int, *, fill: float, smallest: float,
    row_roots: NDArray[Any] | None = None, workers: int = 1,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(W (n, n_components), H (n_components, m)) from singular vectors U (n, k or more) and V (m, k or more).

    Each of the k = len(S) pairs gives its positive or its negative part, whichever is larger. Entries below `smallest`
    become `fill`, as do the components past k. U is of rows multiplied by `row_roots`, W is not; U is overwritten then.
    """
    U, V = np.ascontiguousarray(U), np.ascontiguousarray(V)
    k, dtype = len(S), U.dtype.type
    scales = _part_scales(_part_norms(U, k, workers), _part_norms(V, k, workers), S)
    if row_roots is not None:
        U /= row_roots[:, None]
    factors = []
    for vectors, scale in zip((U, V), scales):
        out = np.full((len(vectors), n_components), fill, dtype=dtype)
        blocks = even_blocks(len(vectors), _BLOCKS)
        # Where the scale is zero, all of the column is filled.
        run_blocks(
            _core.write_parts, blocks, worthwhile(workers, out.size), vectors, scale.astype(dtype),
            float(smallest), float(fill), out,
        )
        factors.append(out)
    return factors[0], np.ascontiguousarray(factors[1].T)


def _rows_times(X: Any, factors: NDArray[Any]) -> Any:
    """X with each row times its factor."""
    if not sparse.issparse(X):
        return X * factors[:, None]
    data = X.data * np.repeat(factors, np.diff(X.indptr))
    return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape)


def _total(X: Any, workers: int) -> float:
    """The sum of X in float64."""
    data = X.data if sparse.issparse(X) else X
    blocks = even_blocks(len(data), _BLOCKS)
    threads = worthwhile(workers, data.size)
    return sum(run_blocks(lambda a, b: float(data[a:b].sum(dtype=np.float64)), blocks, threads))


def _part_norms(U: NDArray[Any], k: int, workers: int) -> NDArray[np.float64]:
    """(2, k) norms of the positive and the negative parts of U's first k columns."""
    blocks = even_blocks(len(U), _BLOCKS)
    squares = run_blocks(_core.part_squares, blocks, worthwhile(workers, len(U) * k), U, k)
    norms: NDArray[np.float64] = np.sqrt(sum(squares, np.zeros((2, k))))
    return norms


def _part_scales(
    u: NDArray[np.float64], v: NDArray[np.float64], S: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factors of each pair's vectors: the larger part's sign, and the pair's size shared by both sides."""
    pair = u * v
    best = np.where(pair[0] > pair[1], 0, 1)
    sign = np.where(best == 0, 1.0, -1.0)
    a, b = (np.take_along_axis(norms, best[None], axis=0)[0] for norms in (u, v))
    root = np.sqrt(S * a * b)
    scales = tuple(np.divide(sign * root, norm, out=np.zeros(len(S)), where=a * b > 0) for norm in (a, b))
    for scale in scales:
        scale[:1] = np.sqrt(S[:1])  # a non-negative matrix's leading pair has one sign
    return scales[0], scales[1]


def leading_svd(
    X: Any, rank: int, seed: int, workers: int, *, converged: bool = False
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(U^T (rank, n), S (rank,), V^T (rank, m)), the leading singular triplets; exact if a side is short.

    Otherwise by subspace iteration on X^T X, one pass over X per step, and a Rayleigh-Ritz step at the end (Halko,
    Martinsson & Tropp 2011, section 4.5): a few steps, or with `converged` as many as convergence takes, up to a bound
    (which the log mentions).
    """
    U, S, V = _leading(X, rank, seed, workers, converged)
    return np.ascontiguousarray(U[:, :rank].T), S, np.ascontiguousarray(V[:, :rank].T, dtype=X.dtype)


def _leading(
    X: Any, rank: int, seed: int, workers: int, converged: bool
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[Any]]:
    """(U (n, rank or more), S (rank,), V (m, rank or more)), X's dtype, rows contiguous: see leading_svd."""
    n, m = X.shape
    if rank == 0:
        return np.zeros((n, 0), X.dtype), np.zeros(0), np.zeros((m, 0), X.dtype)
    if n < m:  # work on the shorter side
        turned = sparse.csr_array(X.T) if sparse.issparse(X) else np.ascontiguousarray(X.T)
        V, S, U = _leading(turned, rank, seed, workers, converged)
        return U, S, V
    matrix = NativeMatrix.of(X, Checks("NMF"))
    exact = m <= (8 if converged else 1) * _EXACT
    pad = padded_width(m if exact else min(rank + _OVERSAMPLING, m), X.dtype)
    width = min(pad, m)
    strips = matrix.strips(pad, workers)
    Q = aligned_zeros((m, pad), X.dtype)
    if exact:
        Q[np.arange(m), np.arange(m)] = 1
    else:
        Q[:, :width] = np.random.default_rng(seed).random((m, width), dtype=X.dtype) - X.dtype.type(0.5)
        _iterate(strips, Q, width, rank if converged else 0)
    Y = None if exact else aligned_zeros((n, pad), X.dtype)
    gram = project_pass(strips, Q, out=Y)[:width, :width]
    values, vectors = symmetric_eigen(gram, workers=workers) if width <= _EXACT else np.linalg.eigh(gram)
    S = np.sqrt(np.maximum(values[::-1][:rank], 0))
    # Singular values below sqrt(eps) of the largest drown in the Gram matrix's rounding.
    noise = np.sqrt(n * np.finfo(np.float64).eps) * S[0]
    S[noise >= S] = 0
    vectors = vectors[:, ::-1][:, :rank]
    V = _times(Q, vectors, workers)
    turn = vectors / np.where(S > 0, S, 1)
    if Y is not None:
        return _times(Y, turn, workers), S, V
    U = aligned_zeros((n, V.shape[1]), X.dtype)
    project_pass(strips, _padded_to(turn, V.shape, X.dtype), out=U)
    return U, S, V


def _iterate(strips: Strips, Q: NDArray[Any], width: int, converged: int) -> None:
    """Q = an orthonormal basis of (X^T X)^steps Q, in place; the columns past `width` stay zero.

    A few steps, or with `converged` as many as its first `converged` directions need to be singular vectors.
    """
    C, workers = strips.sums(Q.shape[1]), strips.workers
    Z = aligned_zeros(Q.shape, C.dtype)
    threads = worthwhile(workers, C.size)
    blocks = even_blocks(len(Z), threads)
    close = _CLOSE * float(np.finfo(Q.dtype).eps)
    for step in range(_MOST_STEPS if converged else _STEPS):
        gram = project_pass(strips, Q, C=C)
        run_blocks(lambda a, b: np.sum(C[:, a:b], axis=0, out=Z[a:b]), blocks, threads)
        if converged and step % 4 == 3 and _residual(Q, Z, gram[:width, :width], converged, workers) <= close:
            return
        Q[:, :width] = _orthonormal(Z, width, workers)
    if converged:
        _log.info("The leading %d singular vectors did not converge in %d steps.", converged, _MOST_STEPS)


def _residual(Q: NDArray[Any], Z: NDArray[Any], gram: NDArray[np.float64], rank: int, workers: int) -> float:
    """The largest |X^T X v - s^2 v| of the `rank` leading Ritz vectors v of the basis Q, Z = X^T X Q, relative to the
    largest s^2."""
    values, vectors = symmetric_eigen(gram, workers=workers) if len(gram) <= _EXACT else np.linalg.eigh(gram)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    if values[0] <= 0:
        return 0.0
    left = _times(Z, vectors, workers)[:, :rank] - _times(Q, vectors, workers)[:, :rank] * values.astype(Q.dtype)
    return float(np.sqrt(np.einsum("ij,ij->j", left, left, dtype=np.float64).max()) / values[0])


# These products of tall blocks don't use the BLAS: its threads would keep spinning on the cores that the next pass
# needs.


def _padded_to(A: NDArray[Any], shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    """A in the upper left corner of zeros."""
    out = aligned_zeros(shape, dtype)
    out[: A.shape[0], : A.shape[1]] = A
    return out


def _threads(A: NDArray[Any], width: int, workers: int) -> int:
    """Threads for a product of A (rows, columns) with so many columns."""
    return workers if A.size * width >= _THREADS_PAY else 1


def _times(A: NDArray[Any], B: NDArray[Any], workers: int) -> NDArray[Any]:
    """A's first len(B) columns times B, columns padded by zeros to whole cache lines."""
    turn = _padded_to(B, (A.shape[1], padded_width(B.shape[1], A.dtype)), A.dtype)
    out = aligned_zeros((len(A), turn.shape[1]), A.dtype)
    threads = _threads(A, turn.shape[1], workers)
    if A.dtype == np.float32:
        panel_combine(A[None], turn, out, fresh=True, workers=threads)
    else:
        strips = NativeMatrix.of(A, Checks("NMF")).strips(turn.shape[1], workers)
        project_pass(strips._replace(workers=threads), turn, out=out)
    return out


def _gram(A: NDArray[Any], workers: int) -> NDArray[np.float64]:
    """A^T A."""
    threads = _threads(A, A.shape[1], workers)
    if A.dtype == np.float32:
        return panel_gram(A[None], A, workers=threads)
    strips = NativeMatrix.of(A, Checks("NMF")).strips(A.shape[1], workers)
    return project_pass(strips._replace(workers=threads), np.eye(A.shape[1]))


def _orthonormal(Z: NDArray[Any], width: int, workers: int) -> NDArray[Any]:
    """An orthonormal basis of Z's first `width` columns, the rest being zero.

    Cholesky-QR, twice where the first leaves too much of the rounding (Yamamoto et al. 2015), and Householder's QR
    where Z is too near to losing rank.
    """
    enough = 1e4 * np.finfo(Z.dtype).eps
    for _ in range(2):
        try:
            lower = np.linalg.cholesky(_gram(Z, workers)[:width, :width])
        except np.linalg.LinAlgError:
            break
        ratio = lower.diagonal().min() / lower.diagonal().max()
        if not ratio > 1e-6:
            break
        Z = _times(Z, np.linalg.inv(lower).T, workers)
        if ratio > enough:
            return Z[:, :width]
    return np.linalg.qr(Z[:, :width])[0]
