"""The slow, obvious versions of the figures by which traits are named and judged."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.optimize import nnls


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


def lift(weights, counts, trait, token, smoothing, power):
    """(sum over the token's customers of w / mean w + c) / (df + c), w being the weight to `power`."""
    weights = weights**power
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


def joint_rows(histories, idf, token_item, tie):
    """Unit rows of log(1 + count) idf of each customer's tokens, each then shared with the other tokens of its item."""
    rows = np.zeros((len(histories), len(idf)))
    for row, history in zip(rows, histories):
        for token in set(history):
            row[token] = math.log(1 + history.count(token)) * idf[token]
        length = math.sqrt(sum(value * value for value in row))
        own = row / length if length else row.copy()
        for token, item in enumerate(token_item):
            others = [t for t, i in enumerate(token_item) if i == item and t != token]
            row[token] = own[token] + tie * sum(own[t] for t in others)
    return rows


def nndsvda_start(X, k):
    """nndsvda: each singular pair's positive or negative parts, whichever weigh more; zeros filled with the mean."""
    U, S, Vt = np.linalg.svd(X, full_matrices=False)
    W, H = np.full((len(X), k), X.mean()), np.full((k, X.shape[1]), X.mean())
    for j in range(min(k, len(S))):
        best = 0.0, None, None
        for sign in (1, -1):
            u, v = np.maximum(sign * U[:, j], 0), np.maximum(sign * Vt[j], 0)
            best = max(best, (np.linalg.norm(u) * np.linalg.norm(v), u, v), key=lambda part: part[0])
        mass, u, v = best
        if mass > 0:
            scale = math.sqrt(S[j] * mass)
            large_u, large_v = u > 1e-5 * u.max(), v > 1e-5 * v.max()
            W[large_u, j] = scale * u[large_u] / np.linalg.norm(u)
            H[j, large_v] = scale * v[large_v] / np.linalg.norm(v)
    return W, H


def counted_lately(sessions, n_tokens, decay):
    """One customer's sessions, in order of time: decay ** (filled sessions since the last one that has the token)."""
    filled = [session for session in sessions if len(session)]
    row = np.zeros(n_tokens)
    for since, session in enumerate(reversed(filled)):
        for token in session:
            row[token] = max(row[token], decay**since)
    return row


def token_rates(weights, lately, token_item, tie):
    """Of each token, the non-negative least-squares weights of the traits in who has it; all rows of length 1."""
    have = lately / np.maximum(np.linalg.norm(lately, axis=1, keepdims=True), 1e-300)
    unit = weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-300)
    same = np.equal.outer(token_item, token_item)
    taken = have @ (np.eye(len(token_item)) + tie * (same & ~np.eye(len(token_item), dtype=bool)))
    return np.array([nnls(unit, taken[:, token])[0] for token in range(len(token_item))]).T


def split_half_reliability(first, second):
    """Correlation of the shares by either half, of the customers that both halves tell of; mean over traits."""
    told = [i for i in range(len(first)) if first[i].sum() > 0 and second[i].sum() > 0]
    a, b = (np.array([w[i] / w[i].sum() for i in told]).reshape(len(told), -1) for w in (first, second))
    alike = [np.ptp(a[:, t]) == 0 or np.ptp(b[:, t]) == 0 for t in range(a.shape[1])]
    return float(np.mean([0.0 if same else np.corrcoef(a[:, t], b[:, t])[0, 1] for t, same in enumerate(alike)]))


def merge_components(W, H, k):
    """The pair of rows of H with the largest cosine is merged first, each as strong as it is in W H."""
    parts = [(W[:, j].astype(float) * np.linalg.norm(H[j]), H[j] / np.linalg.norm(H[j])) for j in range(len(H))]
    while len(parts) > k:
        close = {(a, b): parts[a][1] @ parts[b][1] for b in range(len(parts)) for a in range(b)}
        a, b = max(close, key=close.get)
        one = sum(np.linalg.norm(parts[j][0]) * parts[j][1] for j in (a, b))
        merged = parts[a][0] + parts[b][0], one / np.linalg.norm(one)
        parts = [part for j, part in enumerate(parts) if j not in (a, b)] + [merged]
    return np.array([h for _, h in parts])
