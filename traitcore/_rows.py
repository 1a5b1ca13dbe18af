"""Rows of a matrix brought to a common scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rows_to_shares(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their sums, so that they add up to 1; zero rows stay zero."""
    mass = weights.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.zeros_like(weights)
    np.divide(weights, mass, out=shares, where=mass > 0, casting="unsafe")
    return shares
