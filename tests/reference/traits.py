"""The slow, obvious versions of the figures by which traits are named and judged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[Any]


def npmi(tokens: Sequence[int], counts: Array) -> float:
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


def lift(weights: Array, counts: Array, trait: int, token: int, smoothing: float, power: float) -> float:
    """(sum over the token's customers of w / mean w + c) / (df + c), w being the weight to `power`."""
    weights = weights**power
    share = weights[:, trait].mean()
    have = [row for row in range(len(counts)) if counts[row][token] > 0]
    total = sum(weights[row, trait] / share if share > 0 else 1.0 for row in have)
    n = len(have) + smoothing
    return float((total + smoothing) / n) if n > 0 else 1.0


def adjusted_rand(a: Any, b: Any) -> float:
    """By counting pairs."""
    pairs = list(itertools.combinations(range(len(a)), 2))
    same_a = np.array([a[i] == a[j] for i, j in pairs])
    same_b = np.array([b[i] == b[j] for i, j in pairs])
    both, expected = (same_a & same_b).sum(), same_a.sum() * same_b.sum() / len(pairs)
    highest = (same_a.sum() + same_b.sum()) / 2
    return float((both - expected) / (highest - expected)) if highest != expected else 1.0


def recall_at(scores: Array, past: Array, future: Array, k: int) -> float:
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


def nndsvda_start(X: Array, k: int) -> tuple[Array, Array]:
    """nndsvda: each singular pair's positive or negative parts, whichever weigh more; zeros filled with the mean."""
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    W, H = np.full((len(X), k), X.mean()), np.full((k, X.shape[1]), X.mean())
    for j in range(min(k, len(S))):
        halves = [(np.maximum(sign * U[:, j], 0), np.maximum(sign * Vt[j], 0)) for sign in (1, -1)]
        masses = [float(np.linalg.norm(u) * np.linalg.norm(v)) for u, v in halves]
        mass, (u, v) = max(masses), halves[int(np.argmax(masses))]
        if mass > 0:
            scale = math.sqrt(S[j] * mass)
            large_u, large_v = u > 1e-5 * u.max(), v > 1e-5 * v.max()
            W[large_u, j] = scale * u[large_u] / np.linalg.norm(u)
            H[j, large_v] = scale * v[large_v] / np.linalg.norm(v)
    return W, H


def counted_lately(sessions: Sequence[Sequence[int]], n_tokens: int, decay: float) -> Array:
    """One customer's sessions, in order of time: decay ** (filled sessions since the last one that has the token)."""
    filled = [session for session in sessions if len(session)]
    row = np.zeros(n_tokens)
    for since, session in enumerate(reversed(filled)):
        for token in session:
            row[token] = max(row[token], decay**since)
    return row


def token_rates(weights: Array, lately: Array, token_item: Any, tie: float) -> Array:
    """Of each token, the non-negative least-squares weights of the traits in who has it; all rows of length 1."""
    have = lately / np.maximum(np.linalg.norm(lately, axis=1, keepdims=True), 1e-300)
    unit = weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-300)
    same = np.equal.outer(token_item, token_item)
    taken = have @ (np.eye(len(token_item)) + tie * (same & ~np.eye(len(token_item), dtype=bool)))
    return np.array([nnls(unit, taken[:, token])[0] for token in range(len(token_item))]).T


def split_half_reliability(first: Array, second: Array) -> float:
    """Correlation of the shares by either half, of the customers with weights in both halves; mean over traits."""
    known = [i for i in range(len(first)) if first[i].sum() > 0 and second[i].sum() > 0]
    a, b = (np.array([w[i] / w[i].sum() for i in known]).reshape(len(known), -1) for w in (first, second))
    alike = [np.ptp(a[:, t]) == 0 or np.ptp(b[:, t]) == 0 for t in range(a.shape[1])]
    return float(np.mean([0.0 if same else np.corrcoef(a[:, t], b[:, t])[0, 1] for t, same in enumerate(alike)]))


def token_pairs(have: Array, discount: float) -> Array:
    """Positive PMI of tokens over customers (bool rows), a customer of n tokens giving each pair 1 / n, rows of length
    sqrt(df), these with mean square 1."""
    m = have.shape[1]
    weight, times = np.zeros((m, m)), np.zeros((m, m))
    for row in have:
        for a in np.flatnonzero(row).tolist():
            for b in np.flatnonzero(row).tolist():
                if a != b:
                    weight[a, b] += 1 / row.sum()
                    times[a, b] += 1
    ppmi = np.zeros((m, m))
    for a in range(m):
        for b in range(m):
            if weight[a, b] > 0:
                ratio = weight[a, b] * weight.sum() / (weight[a].sum() * weight[b].sum())
                ppmi[a, b] = max(math.log(ratio), 0.0) * times[a, b] / (times[a, b] + discount)
    filled = ppmi.any(axis=1)
    ppmi[filled] /= np.linalg.norm(ppmi[filled], axis=1, keepdims=True)
    lengths = np.sqrt(have.sum(axis=0)) * filled
    return np.asarray(ppmi * (lengths / math.sqrt((lengths[filled] ** 2).mean()))[:, None])


def varimax_criterion(loadings: Array) -> float:
    """Sum over columns of the variance of squares."""
    return float(sum(np.var(column**2) for column in loadings.T))
