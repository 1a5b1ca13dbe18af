"""The slow, obvious version of the attention loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def features(
    tokens: Any, days: Any, begin: int, end: int, vectors: Any, action: Any, log_idf: Any, n_actions: int
) -> NDArray[np.float64]:
    rows = []
    for event in range(begin, end):
        token = tokens[event]
        one_hot = np.zeros(n_actions)
        if action[token] >= 0:
            one_hot[action[token]] = 1.0
        since, gone = end - 1 - event, days[end - 1] - days[event]
        age = [0.05 * since, np.log1p(since), gone / 30.0, np.log1p(gone)]
        rows.append(np.concatenate((vectors[token], one_hot, [log_idf[token]], age)))
    return np.array(rows)


def weights(theta: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    scores = rows @ theta[: rows.shape[1]]
    exp = np.exp(scores - scores.max())
    return np.asarray(exp / exp.sum())


def loss(
    theta: NDArray[np.float64], begins: Any, ends: Any, targets: Any, negatives: Any, tokens: Any, days: Any,
    vectors: Any, contexts: Any, action: Any, log_idf: Any, n_actions: int,
) -> float:
    total = 0.0
    for begin, end, wanted, noise in zip(begins, ends, targets, negatives):
        rows = features(tokens, days, begin, end, vectors, action, log_idf, n_actions)
        pooled = weights(theta, rows) @ vectors[tokens[begin:end]]
        for token in wanted:
            if token >= 0:
                total += np.log1p(np.exp(-(theta[-2] * pooled @ contexts[token] + theta[-1])))
        for token in noise:
            total += np.log1p(np.exp(theta[-2] * pooled @ contexts[token] + theta[-1]))
    return total
