# mypy: allow-untyped-calls
"""Attention pooling: event scores, and the loss of predicting next tokens with its gradient.

An event's features are its token's vector (d), the one-hot of its action (n_actions), the log of its token's idf, and
four of its age: 0.05 events since, log(1 + events since), days since / 30, log(1 + days since). A token without an
action (-1) has a zero one-hot. theta has one entry each: d + n_actions + 5.
"""

from __future__ import annotations

import math

import numpy as np

from . import kernel


@kernel()
def score_events(  # type: ignore[no-untyped-def]
    begin, end, last, tokens, days, vectors, action, log_idf, n_actions, theta, scores
):
    """scores[i] = theta . features of event begin + i, for events before `end`, seen from the event `last`."""
    width = vectors.shape[1]
    tail = width + n_actions
    for i in range(end - begin):
        event = begin + i
        token = tokens[event]
        score = theta[tail] * log_idf[token]
        for c in range(width):
            score += theta[c] * vectors[token, c]
        if action[token] >= 0:
            score += theta[width + action[token]]
        since = np.float64(last - event)
        gone = max(days[last] - days[event], 0.0)
        score += theta[tail + 1] * 0.05 * since + theta[tail + 2] * math.log1p(since)
        score += theta[tail + 3] * gone / 30.0 + theta[tail + 4] * math.log1p(gone)
        scores[i] = score


@kernel()
def softmax(scores, n):  # type: ignore[no-untyped-def]
    """scores[:n] become exp(scores - max) / sum, in place."""
    highest = -np.inf
    for i in range(n):
        highest = max(highest, scores[i])
    total = 0.0
    for i in range(n):
        scores[i] = math.exp(scores[i] - highest)
        total += scores[i]
    for i in range(n):
        scores[i] /= total


@kernel()
def exponentials(scores, highest, total):  # type: ignore[no-untyped-def]
    """scores become exp(scores - highest), in place; returns `total` plus their sum: the softmax of a part of them."""
    for i in range(len(scores)):
        scores[i] = math.exp(scores[i] - highest)
        total += scores[i]
    return total


@kernel()
def owner_weights(  # type: ignore[no-untyped-def]
    start, stop, edges, tokens, days, vectors, action, log_idf, n_actions, theta, out
):
    """out[e] = softmax over each owner's events [edges[o], edges[o + 1]) of their scores, times their number."""
    longest = 1
    for owner in range(start, stop):
        longest = max(longest, edges[owner + 1] - edges[owner])
    scores = np.empty(longest)
    for owner in range(start, stop):
        begin, end = edges[owner], edges[owner + 1]
        score_events(begin, end, end - 1, tokens, days, vectors, action, log_idf, n_actions, theta, scores)
        softmax(scores, end - begin)
        for i in range(end - begin):
            out[begin + i] = scores[i] * (end - begin)


@kernel()
def add_feature_gradient(  # type: ignore[no-untyped-def]
    begin, end, tokens, days, vectors, action, log_idf, n_actions, slopes, gradient
):
    """gradient += sum of slopes[i] * features of event begin + i."""
    width = vectors.shape[1]
    tail = width + n_actions
    for i in range(end - begin):
        event, slope = begin + i, slopes[i]
        token = tokens[event]
        for c in range(width):
            gradient[c] += slope * vectors[token, c]
        if action[token] >= 0:
            gradient[width + action[token]] += slope
        gradient[tail] += slope * log_idf[token]
        since = np.float64(end - 1 - event)
        gone = max(days[end - 1] - days[event], 0.0)
        gradient[tail + 1] += slope * 0.05 * since
        gradient[tail + 2] += slope * math.log1p(since)
        gradient[tail + 3] += slope * gone / 30.0
        gradient[tail + 4] += slope * math.log1p(gone)


@kernel()
def pool_scored(begin, end, tokens, vectors, weights, pooled):  # type: ignore[no-untyped-def]
    """pooled = sum of weights[i] * vectors[token of event begin + i]."""
    pooled[:] = 0.0
    for i in range(end - begin):
        token = tokens[begin + i]
        for c in range(vectors.shape[1]):
            pooled[c] += weights[i] * vectors[token, c]


@kernel()
def attention_gradient(  # type: ignore[no-untyped-def]
    start, stop, begins, ends, targets, negatives, tokens, days, vectors, contexts, action, log_idf, n_actions,
    theta, gradient,
):
    """Loss of examples [start, stop), summed, and `gradient` (len(theta),) += its gradient.

    Example x pools its history, events [begins[x], ends[x]), to u, and tells the customer's next tokens targets[x]
    (-1: none) from noise tokens negatives[x]: -log sigmoid(a u.c + b) for a target, -log sigmoid(-(a u.c + b)) for
    noise. The last two entries of theta are a and b.
    """
    width = vectors.shape[1]
    longest = 1
    for x in range(start, stop):
        longest = max(longest, ends[x] - begins[x])
    weights, slopes = np.empty(longest), np.empty(longest)
    pooled, back = np.empty(width), np.empty(width)
    n_theta = len(theta) - 2
    scale, bias = theta[n_theta], theta[n_theta + 1]
    loss = 0.0
    for x in range(start, stop):
        begin, end = begins[x], ends[x]
        score_events(begin, end, end - 1, tokens, days, vectors, action, log_idf, n_actions, theta, weights)
        softmax(weights, end - begin)
        pool_scored(begin, end, tokens, vectors, weights, pooled)
        back[:] = 0.0
        for j in range(targets.shape[1] + negatives.shape[1]):
            positive = j < targets.shape[1]
            token = targets[x, j] if positive else negatives[x, j - targets.shape[1]]
            if token < 0:
                continue
            product = 0.0
            for c in range(width):
                product += pooled[c] * contexts[token, c]
            logit = scale * product + bias
            signed = logit if positive else -logit
            # log(1 + exp(-signed)) without overflow
            loss += math.log1p(math.exp(-abs(signed))) + max(-signed, 0.0)
            slope = 1.0 / (1.0 + math.exp(min(max(-logit, -500.0), 500.0))) - (1.0 if positive else 0.0)
            gradient[n_theta] += slope * product
            gradient[n_theta + 1] += slope
            for c in range(width):
                back[c] += slope * scale * contexts[token, c]
        mean = 0.0
        for c in range(width):
            mean += pooled[c] * back[c]
        for i in range(end - begin):
            along = 0.0
            for c in range(width):
                along += vectors[tokens[begin + i], c] * back[c]
            slopes[i] = weights[i] * (along - mean)
        add_feature_gradient(begin, end, tokens, days, vectors, action, log_idf, n_actions, slopes, gradient)
    return loss
