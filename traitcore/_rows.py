"""Rows of a matrix brought to a common scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rows_to_shares(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their sums, so that they add up to 1; zero rows stay zero."""
    mass = weights.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.zeros_like(weights)
    np.divide(weights, mass, out=shares, where=mass > 0, casting="unsafe")
    return shares


def normalize_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Rows of norm 1, in float64; zero rows stay zero, and no row over- or underflows on the way."""
    array = np.asarray(rows, dtype=np.float64)
    top = np.abs(array).max(axis=1, initial=0.0, keepdims=True)
    array = array / np.where(top > 0, top, 1.0)
    norm = np.linalg.norm(array, axis=1, keepdims=True)
    return np.asarray(array / np.where(norm > 0, norm, 1.0))
