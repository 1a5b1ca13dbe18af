"""Starting points of a non-negative factorization."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .nmf_engine import Operand, aligned_zeros, padded, padded_width, project_pass

INITS = ("nndsvd", "nndsvda", "nndsvdar", "random", "custom")
# scikit-learn's: entries of an nndsvd factor below this are zero.
_SMALL = 1e-6
# Up to this many columns the Gram matrix of the short side is cheaper than iterating.
_EXACT = 128
_OVERSAMPLING = 10
_STEPS, _MANY_STEPS = 4, 40


def initial_factors(
    X: Any, n_components: int, init: str, seed: int, workers: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(W, H) of shapes (n, k) and (k, m), non-negative, X's dtype, C-contiguous.

    nndsvd: Boutsidis & Gallopoulos 2008, "SVD based initialization", section 3: each singular pair gives the larger of
    its positive and negative parts; components beyond min(n, m) are zero. "a" fills zeros with X's mean, "ar" with
    small random values around mean / 100.
    """
    n, m = X.shape
    mean = float(X.sum(dtype=np.float64)) / max(1, n * m)
    rng = np.random.default_rng(seed)
    if init == "random":
        scale = X.dtype.type(np.sqrt(mean / n_components))
        H = np.abs(scale * rng.standard_normal((n_components, m), dtype=X.dtype))
        W = np.abs(scale * rng.standard_normal((n, n_components), dtype=X.dtype))
        return W, H
    Ut, S, Vt = leading_svd(X, min(n_components, n, m), seed, workers)
    Wt = np.zeros((n_components, n), dtype=X.dtype)
    H = np.zeros((n_components, m), dtype=X.dtype)
    for j, size in enumerate(S):
        _signed_part(Ut[j], Vt[j], float(size), j == 0, Wt[j], H[j])
    for factor in (Wt, H):
        if init == "nndsvda":
            np.copyto(factor, mean, where=factor == 0, casting="same_kind")
        elif init == "nndsvdar":
            empty = factor == 0
            factor[empty] = np.abs(mean / 100 * rng.standard_normal(int(empty.sum())))
    return np.ascontiguousarray(Wt.T), H


def _signed_part(
    u: NDArray[Any], v: NDArray[Any], size: float, leading: bool, w: NDArray[Any], h: NDArray[Any]
) -> None:
    """Write sqrt(size) times the larger of the positive and negative parts of the pair (u, v), each of equal weight."""
    if leading:  # a non-negative matrix's leading pair has one sign
        np.multiply(np.abs(u), np.sqrt(size), out=w)
        np.multiply(np.abs(v), np.sqrt(size), out=h)
    else:
        norms = [(np.linalg.norm(np.maximum(s * u, 0)), np.linalg.norm(np.maximum(s * v, 0))) for s in (1, -1)]
        best = 0 if norms[0][0] * norms[0][1] > norms[1][0] * norms[1][1] else 1
        sign, (a, b) = (1, -1)[best], norms[best]
        if a * b > 0:
            scale = np.sqrt(size * a * b)
            np.maximum(u * (sign * scale / a), 0, out=w)
            np.maximum(v * (sign * scale / b), 0, out=h)
    w[w < _SMALL] = 0
    h[h < _SMALL] = 0


def leading_svd(
    X: Any, rank: int, seed: int, workers: int, *, converged: bool = False
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(U^T (rank, n), S (rank,), V^T (rank, m)), the leading singular triplets; exact where a side is short.

    Else subspace iteration on X^T X, one reading of X for each step, and a Rayleigh-Ritz step at the end (Halko,
    Martinsson & Tropp 2011, section 4.5); many steps with `converged`, a few where any good start will do.
    """
    n, m = X.shape
    if rank == 0:
        return np.zeros((0, n), X.dtype), np.zeros(0), np.zeros((0, m), X.dtype)
    if n < m:  # work on the shorter side
        Vt, S, Ut = leading_svd(sparse.csr_array(X.T) if sparse.issparse(X) else np.ascontiguousarray(X.T), rank,
                                seed, workers, converged=converged)  # fmt: skip
        return Ut, S, Vt
    operand = Operand.of(X, "NMF")
    exact = m <= (8 if converged else 1) * _EXACT
    width = m if exact else min(rank + _OVERSAMPLING, m)
    pad = padded_width(width, X.dtype)
    edges = operand.edges(pad, workers)
    Q = aligned_zeros((m, pad), X.dtype)
    if exact:
        Q[np.arange(m), np.arange(m)] = 1
    else:
        Q[:, :width] = np.random.default_rng(seed).standard_normal((m, width), dtype=X.dtype)
        C = operand.sums(pad, edges)
        for _ in range(_MANY_STEPS if converged else _STEPS):
            project_pass(operand, Q, edges, workers, C=C)
            Q[:, :width] = _orthonormal(C.sum(axis=0)[:, :width])
    gram = project_pass(operand, Q, edges, workers)[:width, :width]
    values, vectors = np.linalg.eigh(gram)
    S = np.sqrt(np.maximum(values[::-1][:rank], 0))
    # The Gram matrix knows singular values below sqrt(eps) of the largest by their noise only.
    noise = np.sqrt(n * np.finfo(np.float64).eps) * S[0]
    S[noise >= S] = 0
    V = Q[:, :width] @ vectors[:, ::-1][:, :rank]
    U = aligned_zeros((n, padded_width(rank, X.dtype)), X.dtype)
    project_pass(operand, padded((V / np.where(S > 0, S, 1)).astype(X.dtype)), edges, workers, out=U)
    return np.ascontiguousarray(U[:, :rank].T), S, np.ascontiguousarray(V.T, dtype=X.dtype)


def _orthonormal(Z: NDArray[Any]) -> NDArray[Any]:
    """An orthonormal basis of Z's columns: Cholesky-QR, and Householder's where Z is too near to losing rank."""
    wide = Z.astype(np.float64)
    gram = wide.T @ wide
    try:
        lower = np.linalg.cholesky(gram)
        if lower.diagonal().min() > 1e-6 * lower.diagonal().max():
            return wide @ np.linalg.inv(lower).T
    except np.linalg.LinAlgError:
        pass
    return np.linalg.qr(wide)[0]
