"""A map of vectors: two coordinates for each, so that near rows lie near."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._rows import unit_float32_rows
from .._validate import Checks

_MIN_FOR_TSNE = 30


def map_layout(vectors: ArrayLike, *, random_state: int = 0) -> tuple[NDArray[np.float64], str]:
    """(n, 2) float64 coordinates in [0, 1] of (n, d) vectors, and how they were found: "t-SNE" by scikit-learn (the
    extra `report`), by cosine; without it, or for fewer than 30 rows, "principal axes". ValueError for NaN."""
    check = Checks("map_layout")
    unit = unit_float32_rows(check.array("vectors", vectors, dtype=np.float32, shape=(None, None)))
    seed = check.seed("random_state", random_state)
    method = "principal axes"
    found = _principal_axes(unit)
    if len(unit) >= _MIN_FOR_TSNE:
        try:
            from sklearn.manifold import TSNE
            from threadpoolctl import threadpool_limits
        except ImportError:
            pass
        else:
            # On unit vectors, squared distances are 2 - 2 cosines. The start by principal axes keeps families in place
            # from run to run (Kobak & Linderman 2021).
            start = found / max(float(found[:, 0].std()), 1e-12) * 1e-4
            tsne = TSNE(
                perplexity=min(30.0, (len(unit) - 1) / 3), init=start.astype(np.float32), random_state=seed,
                learning_rate="auto",
            )
            # One thread: its threads wait busily for one another, which on a machine at work costs more than they do.
            with threadpool_limits(1):
                found, method = np.asarray(tsne.fit_transform(unit), dtype=np.float64), "t-SNE"
    if not len(found):
        return found, method
    low, high = found.min(axis=0), found.max(axis=0)
    return (found - low) / np.maximum(high - low, 1e-12), method


def _principal_axes(unit: NDArray[np.float32]) -> NDArray[np.float64]:
    centred = unit.astype(np.float64)
    if len(unit):
        centred -= centred.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    top = axes[:, ::-1][:, :2]
    top = top * np.where(top[np.abs(top).argmax(axis=0), np.arange(top.shape[1])] < 0, -1.0, 1.0)  # one sign for ever
    flat = centred @ top
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
