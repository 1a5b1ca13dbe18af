"""Fewer components from more: merge the pairs that one pattern stands for best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import parameter_message
from .._validate import check_array, check_int

OWNER = "merge_components"


def merge_components(W: Any, H: Any, n_components: int) -> NDArray[np.float32]:
    """(n_components, m) float32 unit rows: of the components of W H, pairs merged until so many are left.

    Merged is, each time, the pair whose part of W H, w_a h_a + w_b h_b, a single pattern stands for at the least
    loss: its second singular value is the smallest. That is so where customers (w) or tokens (h) nearly agree, or
    one of the two is small. The merged component is h_a + h_b, each as strong as it is in W H, with weights w_a + w_b.

    W : (n, k) array >= 0. H : (k, m) array >= 0, with k >= n_components. Raises ValueError where they don't fit.
    """
    H = check_array("H", OWNER, H, dtype=np.float32, shape=(None, None), nonnegative=True)
    W = check_array("W", OWNER, W, dtype=np.float32, shape=(None, len(H)), nonnegative=True)
    n_components = check_int("n_components", OWNER, n_components, 1)
    if n_components > len(H):
        raise ValueError(parameter_message("n_components", OWNER, f"at most {len(H)}", n_components))
    lengths = np.linalg.norm(H, axis=1).astype(np.float64)
    patterns = _unit(H.astype(np.float64), lengths)
    weights = W.astype(np.float64) * lengths
    while len(patterns) > n_components:
        strengths = np.linalg.norm(weights, axis=0)
        lost = second_singular_values(_unit(weights.T, strengths), patterns, strengths)
        np.fill_diagonal(lost, np.inf)
        a, b = np.unravel_index(int(np.argmin(lost)), lost.shape)
        kept = np.setdiff1d(np.arange(len(patterns)), (a, b))
        one = strengths[a] * patterns[a] + strengths[b] * patterns[b]
        patterns = np.vstack([patterns[kept], _unit(one[None], np.array([np.linalg.norm(one)]))])
        weights = np.hstack([weights[:, kept], (weights[:, a] + weights[:, b])[:, None]])
    return np.ascontiguousarray(patterns, dtype=np.float32)


def second_singular_values(
    customers: NDArray[np.float64], tokens: NDArray[np.float64], strengths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k, k): for each pair the second singular value of s_a u_a v_a^T + s_b u_b v_b^T.

    customers (k, n) and tokens (k, m) hold the unit vectors u and v. From the squares' sum s_a^2 + s_b^2 + 2 s_a s_b
    cos_u cos_v and their product s_a^2 s_b^2 sin_u^2 sin_v^2.
    """
    cos_u, cos_v = (np.clip(unit @ unit.T, 0.0, 1.0) for unit in (customers, tokens))
    product = np.outer(strengths, strengths)
    squares = np.add.outer(strengths**2, strengths**2) + 2 * product * cos_u * cos_v
    root = np.sqrt(np.maximum(squares**2 - 4 * product**2 * (1 - cos_u**2) * (1 - cos_v**2), 0.0))
    return np.sqrt(np.maximum(squares - root, 0.0) / 2)


def _unit(rows: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = np.divide(rows, lengths[:, None], out=np.zeros_like(rows), where=lengths[:, None] > 0)
    return unit
