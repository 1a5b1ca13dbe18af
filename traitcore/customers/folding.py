"""Fold-in: non-negative weights of rows on fixed components."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .nmf import solve_weights


def fold_in(rows: Any, components: NDArray[np.float32], *, workers: int = 1) -> NDArray[np.float32]:
    """(n_rows, k) float32 W >= 0 that minimises ||rows - W components||_F; `components` may have any sign.

    Solved to a much smaller tolerance than a fit's own, so that a row's weights don't depend on the rows beside it.
    """
    weights: NDArray[np.float32] = solve_weights(rows, components, tol=1e-6, max_iter=400, workers=workers)
    return np.asarray(weights, dtype=np.float32)


def normalise_rows(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their sums, so that they add up to 1; zero rows stay zero."""
    mass = weights.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.zeros_like(weights)
    np.divide(weights, mass, out=shares, where=mass > 0, casting="unsafe")
    return shares
