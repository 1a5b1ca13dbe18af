"""The slow, obvious versions of the figures by which traits are named and judged."""

from __future__ import annotations

import itertools
import math

import numpy as np


def npmi(tokens, counts):
    """Mean NPMI of the pairs of `tokens` over the rows of a dense count matrix."""
    n, values = len(counts), []
    for a, b in itertools.combinations(tokens, 2):
        both = sum(1 for row in counts if row[a] > 0 and row[b] > 0) / n
        p_a = sum(1 for row in counts if row[a] > 0) / n
        p_b = sum(1 for row in counts if row[b] > 0) / n
        if both == 0:
            values.append(-1.0)
        elif both == 1:
            values.append(1.0)
        else:
            values.append(math.log(both / (p_a * p_b)) / -math.log(both))
    return sum(values) / len(values) if values else -1.0


def lift(weights, counts, trait, token, smoothing):
    """(sum over the token's customers of weight / mean weight + c) / (df + c)."""
    share = weights[:, trait].mean()
    have = [row for row in range(len(counts)) if counts[row][token] > 0]
    total = sum(weights[row, trait] / share if share > 0 else 1.0 for row in have)
    n = len(have) + smoothing
    return (total + smoothing) / n if n > 0 else 1.0


def adjusted_rand(a, b):
    """By counting pairs."""
    pairs = list(itertools.combinations(range(len(a)), 2))
    same_a = np.array([a[i] == a[j] for i, j in pairs])
    same_b = np.array([b[i] == b[j] for i, j in pairs])
    both, expected = (same_a & same_b).sum(), same_a.sum() * same_b.sum() / len(pairs)
    highest = (same_a.sum() + same_b.sum()) / 2
    return (both - expected) / (highest - expected) if highest != expected else 1.0


def recall_at(scores, past, future, k):
    """Dense and one customer at a time; no ties allowed at the cut."""
    found = []
    for row in range(len(scores)):
        new = [t for t in range(len(scores[row])) if future[row][t] > 0 and past[row][t] == 0]
        if not new or not any(past[row]):
            continue
        open_ = [t for t in range(len(scores[row])) if past[row][t] == 0]
        best = sorted(open_, key=lambda t: -scores[row][t])[:k]
        found.append(len(set(best) & set(new)) / len(new))
    return float(np.mean(found))
