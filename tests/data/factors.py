"""Matrices with planted parts and random starts, for the tests of factorizations."""

from __future__ import annotations

import numpy as np


def planted(n=120, m=40, k=5, seed=0, noise=0.1, density=0.5):
    """Counts-like data with k planted parts."""
    rng = np.random.default_rng(seed)
    W = rng.gamma(0.5, 1, (n, k)) * (rng.random((n, k)) < density)
    H = rng.gamma(0.5, 1, (k, m)) * (rng.random((k, m)) < density)
    return W @ H + noise * rng.random((n, m))


def start_of(X, k, seed=1):
    """A random W (n, k) and H (k, m)."""
    rng = np.random.default_rng(seed)
    return rng.random((X.shape[0], k)), rng.random((k, X.shape[1]))


def scaled(X, alpha_W, alpha_H, l1_ratio):
    """The penalties of scikit-learn's parameters, for the slow version."""
    n, m = X.shape
    l1 = (m * alpha_W * l1_ratio, n * alpha_H * l1_ratio)
    return {"l1": l1, "l2": (m * alpha_W * (1 - l1_ratio), n * alpha_H * (1 - l1_ratio))}
