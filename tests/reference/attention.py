"""The slow, obvious version of the attention loss."""

from __future__ import annotations

import numpy as np


def features(tokens, days, begin, end, vectors, action, log_idf, n_actions):
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


def weights(theta, rows):
    scores = rows @ theta[: rows.shape[1]]
    exp = np.exp(scores - scores.max())
    return exp / exp.sum()


def loss(theta, begins, ends, targets, negatives, tokens, days, vectors, contexts, action, log_idf, n_actions):
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
