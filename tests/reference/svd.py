"""Matrices with a known spectrum, and the plain products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def with_spectrum(n: int, m: int, values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(n, m) matrix whose singular values are `values`, then zeros."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, len(values))))[0]
    V = np.linalg.qr(rng.standard_normal((m, len(values))))[0]
    return np.asarray((U * values) @ V.T)


def symmetric_with_spectrum(n: int, values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(n, n) symmetric matrix whose eigenvalues are `values` (any sign), then zeros."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, len(values))))[0]
    A = (Q * values) @ Q.T
    return np.asarray((A + A.T) / 2)


def product(A: NDArray[np.float32], B: NDArray[np.float32]) -> NDArray[np.float64]:
    """A @ B by the definition, in float64."""
    return np.array([[sum(float(a) * float(b) for a, b in zip(row, column)) for column in B.T] for row in A]).reshape(
        len(A), B.shape[1]
    )
