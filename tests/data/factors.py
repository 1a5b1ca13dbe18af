"""Matrices with planted parts and random starts, for the tests of factorizations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def planted(
    n: int = 120, m: int = 40, k: int = 5, seed: int = 0, noise: float = 0.1, density: float = 0.5
) -> NDArray[np.float64]:
    """Counts-like data with k planted parts."""
    rng = np.random.default_rng(seed)
    W = rng.gamma(0.5, 1, (n, k)) * (rng.random((n, k)) < density)
    H = rng.gamma(0.5, 1, (k, m)) * (rng.random((k, m)) < density)
    return W @ H + noise * rng.random((n, m))


def start_of(X: Any, k: int, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A random W (n, k) and H (k, m)."""
    rng = np.random.default_rng(seed)
    return rng.random((X.shape[0], k)), rng.random((k, X.shape[1]))


def scaled(X: Any, alpha_W: float, alpha_H: float, l1_ratio: float) -> dict[str, tuple[float, float]]:
    """The penalties of scikit-learn's parameters, for the slow version."""
    n, m = X.shape
    l1 = (m * alpha_W * l1_ratio, n * alpha_H * l1_ratio)
    return {"l1": l1, "l2": (m * alpha_W * (1 - l1_ratio), n * alpha_H * (1 - l1_ratio))}
