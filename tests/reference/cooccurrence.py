"""The spec's triple loop, and the dense PPMI formula: slow and obvious."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def cooccurrences(
    sessions: Sequence[Sequence[int]],
    n_items: int,
    window: int | None,
    *,
    symmetric: bool = True,
    weight: Callable[[int], float] = lambda distance: 1.0,
    self_pairs: bool = True,
    sequence_weights: Sequence[float] | None = None,
    actions: Sequence[Sequence[int]] | None = None,
    action_weights: NDArray[np.float64] | None = None,
    cap: float = np.inf,
) -> NDArray[np.float64]:
    total = np.zeros((n_items, n_items))
    for s, session in enumerate(sessions):
        part = np.zeros_like(total)
        reach = len(session) if window is None else window
        for i, center in enumerate(session):
            for j in range(max(0, i - reach), min(len(session), i + reach + 1)):
                if j == i or (j < i and not symmetric) or (not self_pairs and session[j] == center):
                    continue
                value = weight(abs(j - i))
                if actions is not None and action_weights is not None:
                    value *= action_weights[actions[s][min(i, j)], actions[s][max(i, j)]]
                part[center, session[j]] += value
        scale = 1.0 if sequence_weights is None else sequence_weights[s]
        total += np.minimum(scale * part, cap)
    return total


def dense_ppmi(C: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spec's `ppmi`, without its eps (rows without counts give zeros)."""
    total = C.sum()
    row, column = C.sum(axis=1, keepdims=True), C.sum(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(C * total / (row * column))
    return np.where(C > 0, np.maximum(pmi, 0.0), 0.0)


def pruned(C: NDArray[np.float64], least: float, top_k: int) -> NDArray[np.float64]:
    """Entries >= least, of them each row's top_k (ties: the smaller column)."""
    out = np.zeros_like(C)
    for i, row in enumerate(C):
        order = [j for j in np.lexsort((np.arange(len(row)), -row)) if row[j] > 0 and row[j] >= least]
        for j in order[:top_k]:
            out[i, j] = row[j]
    return out
