"""Starting points of a non-negative factorization."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

INITS = ("nndsvd", "nndsvda", "nndsvdar", "random", "custom")
# scikit-learn's: entries of an nndsvd factor below this are zero.
_SMALL = 1e-6


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
        scale = np.sqrt(mean / n_components)
        H = np.abs(scale * rng.standard_normal((n_components, m), dtype=X.dtype))
        W = np.abs(scale * rng.standard_normal((n, n_components), dtype=X.dtype))
        return W.astype(X.dtype, copy=False), H.astype(X.dtype, copy=False)
    rank = min(n_components, n, m)
    U, S, Vt = _leading_svd(X, rank, seed, workers)
    W = np.zeros((n, n_components), dtype=X.dtype)
    H = np.zeros((n_components, m), dtype=X.dtype)
    _signed_parts(U, S, Vt, W, H)
    if init == "nndsvda":
        W[W == 0] = mean
        H[H == 0] = mean
    elif init == "nndsvdar":
        W[W == 0] = np.abs(mean / 100 * rng.standard_normal(int((W == 0).sum())))
        H[H == 0] = np.abs(mean / 100 * rng.standard_normal(int((H == 0).sum())))
    return W, H


def _signed_parts(
    U: NDArray[Any], S: NDArray[Any], Vt: NDArray[Any], W: NDArray[Any], H: NDArray[Any]
) -> None:
    for j in range(len(S)):
        x, y = U[:, j], Vt[j]
        if j == 0:  # the leading pair of a non-negative matrix has one sign
            W[:, 0], H[0] = np.sqrt(S[0]) * np.abs(x), np.sqrt(S[0]) * np.abs(y)
        else:
            parts = [(np.maximum(s * x, 0), np.maximum(s * y, 0)) for s in (1, -1)]
            norms = [(np.linalg.norm(a), np.linalg.norm(b)) for a, b in parts]
            best = 0 if norms[0][0] * norms[0][1] > norms[1][0] * norms[1][1] else 1
            size = norms[best][0] * norms[best][1]
            if size > 0:
                scale = np.sqrt(S[j] * size)
                W[:, j], H[j] = (scale / norm * part for part, norm in zip(parts[best], norms[best]))
    W[W < _SMALL] = 0
    H[H < _SMALL] = 0


def _leading_svd(
    X: Any, rank: int, seed: int, workers: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Leading singular triplets by randomized subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4)."""
    n, m = X.shape
    if not sparse.issparse(X) and min(n, m) <= 4 * (rank + 10):
        # A Gram matrix of the short side is exact and cheaper than iterating.
        U, S, Vt = np.linalg.svd(X.astype(np.float64), full_matrices=False)
        return U[:, :rank], S[:rank], Vt[:rank]
    width = min(rank + 10, n, m)
    rng = np.random.default_rng(seed)
    Q = rng.standard_normal((m, width)).astype(X.dtype)
    for _ in range(7 if rank < 0.1 * min(n, m) else 4):
        Q = np.linalg.qr(X @ Q)[0]
        Q = np.linalg.qr(X.T @ Q)[0]
    Q = np.linalg.qr(X @ Q)[0]
    U, S, Vt = np.linalg.svd((X.T @ Q).T, full_matrices=False)
    return (Q @ U)[:, :rank], S[:rank], Vt[:rank]
