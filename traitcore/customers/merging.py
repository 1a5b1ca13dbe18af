"""Fewer components from more: merge those with nearly the same tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import parameter_message
from .._validate import check_array, check_int
from .consensus import cosines

OWNER = "merge_components"


def merge_components(W: Any, H: Any, n_components: int) -> NDArray[np.float32]:
    """(n_components, m) float32 unit rows: of the components of W H, pairs merged until so many are left.

    Merged is, each time, the pair of largest cosine between the rows of H. The merged component is h_a + h_b, each as
    strong as it is in W H, with weights w_a + w_b.

    W : (n, k) array >= 0. H : (k, m) array >= 0, with k >= n_components. Raises ValueError where they don't fit.
    """
    H = check_array("H", OWNER, H, dtype=np.float32, shape=(None, None), nonnegative=True)
    W = check_array("W", OWNER, W, dtype=np.float32, shape=(None, len(H)), nonnegative=True)
    n_components = check_int("n_components", OWNER, n_components, 1)
    if n_components > len(H):
        raise ValueError(parameter_message("n_components", OWNER, f"at most {len(H)}", n_components))
    lengths = np.linalg.norm(H, axis=1).astype(np.float64)
    patterns = _unit(H.astype(np.float64))
    weights = W.astype(np.float64) * lengths
    while len(patterns) > n_components:
        close = cosines(patterns, patterns)
        np.fill_diagonal(close, -np.inf)
        a, b = np.unravel_index(int(np.argmax(close)), close.shape)
        kept = np.setdiff1d(np.arange(len(patterns)), (a, b))
        one = sum(np.linalg.norm(weights[:, j]) * patterns[j] for j in (a, b))
        patterns = np.vstack([patterns[kept], _unit(one[None])])
        weights = np.hstack([weights[:, kept], (weights[:, a] + weights[:, b])[:, None]])
    return np.ascontiguousarray(patterns, dtype=np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return unit
