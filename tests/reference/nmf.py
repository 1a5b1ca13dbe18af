"""Slow, obvious versions of the factorization's kernels: dense numpy, one row and one component at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[float, float]


def objective(
    X: Any, W: Any, H: Any, *, l1: Pair = (0.0, 0.0), l2: Pair = (0.0, 0.0), loss: str = "frobenius",
    weights: Any = None, observed: Any = None,
) -> float:
    """Loss plus penalties in float64; l1, l2 are (W's, H's); rows and their penalties weighted; unknown entries out."""
    X, W, H = (np.asarray(a, dtype=np.float64) for a in (X, W, H))
    s = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64)
    P = W @ H
    if loss == "frobenius":
        cost = 0.5 * (X - P) ** 2
    else:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            cost = np.where(X > 0, X * np.log(X / P), 0.0) - X + P
    if observed is not None:
        cost = np.where(observed, cost, 0.0)
    penalty_W = (l1[0] * np.abs(W) + 0.5 * l2[0] * W**2).sum(axis=1)
    return float(s @ (cost.sum(axis=1) + penalty_W) + l1[1] * H.sum() + 0.5 * l2[1] * (H**2).sum())


def sweep(X: Array, W: Array, H: Array, l1: float = 0.0, l2: float = 0.0) -> tuple[Array, float]:
    """W after one cyclic sweep of coordinate descent, and the 1-norm of the projected gradient it met."""
    W = W.copy()
    gram, product = H @ H.T + l2 * np.eye(len(H)), X @ H.T - l1
    violation = 0.0
    for i in range(len(W)):
        for t in range(len(H)):
            gradient = gram[t] @ W[i] - product[i, t]
            violation += abs(min(0.0, gradient) if W[i, t] == 0 else gradient)
            if gram[t, t] != 0:
                W[i, t] = max(W[i, t] - gradient / gram[t, t], 0.0)
    return W, violation


def factorize(
    X: Array, W: Array, H: Array, n_iter: int, l1: Pair = (0.0, 0.0), l2: Pair = (0.0, 0.0), weights: Any = None
) -> tuple[Array, Array]:
    """Plain coordinate descent; a row of weight s pulls on H as s rows would."""
    root = np.ones(len(X)) if weights is None else np.sqrt(weights)
    for _ in range(n_iter):
        W = sweep(X, W, H, l1[0], l2[0])[0]
        H = sweep((root[:, None] * X).T, H.T, (root[:, None] * W).T, l1[1], l2[1])[0].T
    return W, H


def sweep_observed(
    X: Array, W: Array, H: Array, observed: Array, l1: float = 0.0, l2: float = 0.0
) -> Array:
    """As `sweep`, each row against its observed columns alone."""
    W = W.copy()
    for i in range(len(W)):
        known = observed[i]
        W[i : i + 1] = sweep(X[i : i + 1, known], W[i : i + 1], H[:, known], l1, l2)[0]
    return W


def poisson_update(X: Array, W: Array, H: Array, observed: Any = None, weights: Any = None) -> Array:
    """W after one multiplicative update (Lee & Seung 2001), columns weighted."""
    s = np.ones(X.shape[1]) if weights is None else weights
    known = np.ones(X.shape, dtype=bool) if observed is None else observed
    ratio = np.where(known & (X > 0), np.where(known, X, 0) / np.maximum(W @ H, np.finfo(np.float32).eps), 0)
    return np.asarray(W * ((ratio * s) @ H.T) / ((known * s) @ H.T))


def nndsvd_parts(U: Array, S: Array, V: Array, small: float = 1e-6) -> tuple[Array, Array]:
    """W (n, k) and H (k, m) of an nndsvd start, by Boutsidis & Gallopoulos 2008, section 3, pair by pair."""
    W, H = np.zeros_like(U), np.zeros_like(V.T)
    W[:, 0], H[0] = np.sqrt(S[0]) * np.abs(U[:, 0]), np.sqrt(S[0]) * np.abs(V[:, 0])
    for j in range(1, len(S)):
        parts = [(np.maximum(s * U[:, j], 0), np.maximum(s * V[:, j], 0)) for s in (1, -1)]
        sizes = [np.linalg.norm(u) * np.linalg.norm(v) for u, v in parts]
        u, v = parts[int(np.argmax(sizes))]
        if max(sizes) > 0:
            scale = np.sqrt(S[j] * max(sizes))
            W[:, j], H[j] = scale * u / np.linalg.norm(u), scale * v / np.linalg.norm(v)
    W = np.where(small > W, 0, W)
    H = np.where(small > H, 0, H)
    return W, H
