"""Slow, obvious twins of fusion: loops over items, and a ridge refitted without each item in turn."""

from __future__ import annotations

import numpy as np


def unit(v: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(v)
    return v / norm if norm > 0 else np.zeros_like(v)


def fuse_sum(behaviour: np.ndarray, content: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The spec's weighted sum, item by item; an item with one of the two is that one."""
    rows = []
    for b, c, w in zip(behaviour, content, weight):
        if not b.any():
            rows.append(unit(c))
        elif not c.any():
            rows.append(unit(b))
        else:
            rows.append(unit(w * unit(b) + (1 - w) * unit(c)))
    return np.asarray(rows).reshape(behaviour.shape)


def ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercept of weighted ridge regression, by its normal equations."""
    w = weight[:, None]
    x_mean, y_mean = (w * x).sum(0) / w.sum(), (w * y).sum(0) / w.sum()
    xc, yc = x - x_mean, y - y_mean
    beta = np.linalg.solve(xc.T @ (w * xc) + penalty * np.eye(x.shape[1]), xc.T @ (w * yc))
    return beta, y_mean - x_mean @ beta


def leave_one_out(x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float) -> float:
    """Weighted mean squared error of each item predicted by the ridge fitted on all others."""
    total = 0.0
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        beta, intercept = ridge(x[rest], y[rest], weight[rest], penalty)
        total += weight[i] * float(((y[i] - x[i] @ beta - intercept) ** 2).sum())
    return total / float(weight.sum())


def category_means(behaviour: np.ndarray, categories: np.ndarray, weight: np.ndarray) -> dict[int, np.ndarray]:
    means: dict[int, np.ndarray] = {}
    for category in set(categories.tolist()):
        total = np.zeros(behaviour.shape[1])
        for b, c, w in zip(behaviour, categories, weight):
            if c == category and b.any():
                total += w * unit(b)
        means[category] = unit(total)
    return means
