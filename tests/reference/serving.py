"""Serving, slow and obvious."""

from __future__ import annotations

from typing import Any

import numpy as np


def top_k(
    queries: Any, vectors: Any, k: int, *, metric: str = "cosine", mask: Any = None, exclude: Any = None
) -> tuple[Any, Any]:
    """Every score in float64, a stable sort; rows -1 and NaN past the end."""
    q, v = np.asarray(queries, dtype=np.float64), np.asarray(vectors, dtype=np.float64)
    rows = np.full((len(q), k), -1)
    scores = np.full((len(q), k), np.nan)
    for i, query in enumerate(q):
        found = []
        for row, vector in enumerate(v):
            if (mask is not None and not mask[row]) or (exclude is not None and row in set(exclude[i])):
                continue
            if metric == "euclidean":
                score = -np.sqrt(((query - vector) ** 2).sum())
            else:
                score = float(query @ vector)
                if metric == "cosine":
                    norm = np.sqrt((query @ query) * (vector @ vector))
                    score = score / norm if norm > 0 else 0.0
            found.append((-score, row))
        found.sort()
        for place, (negative, row) in enumerate(found[:k]):
            rows[i, place] = row
            scores[i, place] = negative if metric == "euclidean" else -negative
    return rows, scores


def nearest(queries: Any, vectors: Any, k: int, *, mask: Any = None, exclude: Any = None) -> tuple[Any, Any]:
    """Euclidean `top_k` in whole numbers: every float32 is a multiple of 2^-149, so no distance is rounded."""
    q = [[int(np.ldexp(float(x), 149)) for x in row] for row in np.asarray(queries, np.float32)]
    v = [[int(np.ldexp(float(x), 149)) for x in row] for row in np.asarray(vectors, np.float32)]
    rows, scores = np.full((len(q), k), -1), np.full((len(q), k), np.nan)
    for i, query in enumerate(q):
        found = sorted(
            (sum((x - y) ** 2 for x, y in zip(query, vector)), row)
            for row, vector in enumerate(v)
            if (mask is None or mask[row]) and (exclude is None or row not in exclude[i])
        )
        for place, (square, row) in enumerate(found[:k]):
            rows[i, place], scores[i, place] = row, np.ldexp(np.sqrt(float(square)), -149)
    return rows, scores


def live_vectors(
    events: list[tuple[Any, int, int]], vectors: Any, weights: Any, half_life_us: float | None
) -> dict[Any, Any]:
    """{customer: weighted mean in float64} of (customer, token, time) events of positive weight."""
    out = {}
    for customer in {event[0] for event in events}:
        own = [(token, time) for one, token, time in events if one == customer and weights[token] > 0]
        if not own:
            out[customer] = np.zeros(vectors.shape[1])
            continue
        newest = max(time for _, time in own)
        age = [0.0 if half_life_us is None else (newest - time) / half_life_us for _, time in own]
        w = [float(weights[t]) * 2.0**-a for (t, _), a in zip(own, age)]
        out[customer] = sum(x * vectors[t].astype(np.float64) for x, (t, _) in zip(w, own)) / sum(w)
    return out


def live_traits(
    events: list[tuple[Any, int]], components: Any, idf: Any, token_item: Any, tie: float, counted: bool
) -> dict[Any, Any]:
    """{customer: non-negative least squares of their whole row of weighed tokens on the components}, of (customer,
    token) events; `tie` (0: none) spreads a token over the other tokens of its item once the row has length 1."""
    from collections import Counter

    from scipy.optimize import nnls

    out = {}
    for customer in {event[0] for event in events}:
        row = np.zeros(len(idf))
        for token, count in Counter(token for one, token in events if one == customer).items():
            row[token] = float(idf[token]) * (np.log1p(count) if counted else 1.0)
        row /= np.linalg.norm(row)
        spread = row.copy()
        for token in range(len(row)):
            for other in range(len(row)):
                if other != token and token_item[other] == token_item[token]:
                    spread[other] += tie * row[token]
        out[customer] = nnls(np.asarray(components, dtype=np.float64).T, spread)[0]
    return out


def next_item_rank(scores: Any, target: int) -> float:
    """Mean of the ranks that a target's score spans."""
    above = sum(1 for s in scores if s > scores[target])
    equal = sum(1 for s in scores if s == scores[target])
    return float(np.mean([above + 1 + i for i in range(equal)]))


def next_item_queries(events: list[tuple[int, int]]) -> list[tuple[list[tuple[int, int]], int, set[int]]]:
    """(events given, item asked for, items that are as right) of one sequence of (item, time), of which those next to
    each other with one time are a set: its items are asked for given what was before, or else given the others."""
    sets: list[tuple[set[int], int]] = []
    for item, time in events:
        if not sets or sets[-1][1] != time:
            sets.append((set(), time))
        sets[-1][0].add(item)
    found: list[tuple[list[tuple[int, int]], int, set[int]]] = []
    for place, (items, time) in enumerate(sets):
        for item in items:
            others = items - {item}
            if place > 0:
                found.append(([(i, t) for s, t in sets[:place] for i in sorted(s)], item, others))
            elif others:
                found.append(([(i, time) for i in sorted(others)], item, set()))
    return found


def blended(histories: list[set[int]], own: set[int], profile: Any, affinity: Any, weight: float) -> tuple[Any, Any]:
    """((n_items,) scores, (n_items,) what added most to each): cosines of sets of customers, one pair at a time."""
    n_items = np.shape(affinity)[1]
    having = [{c for c, items in enumerate(histories) if i in items} for i in range(n_items)]
    by_item, by_trait = np.zeros((n_items, n_items)), np.asarray(profile)[:, None] * np.asarray(affinity)
    for i in own:
        for j in range(n_items):
            if i != j and having[i] and having[j]:
                by_item[i, j] = len(having[i] & having[j]) / np.sqrt(len(having[i]) * len(having[j]))
    for parts, share in ((by_item, 1 - weight), (by_trait, weight)):
        size = np.sqrt((parts.sum(axis=0) ** 2).mean())
        parts *= share / (size if size > 0 else 1)
    most = []
    for j in range(n_items):
        kinds = [("trait", t, by_trait[t, j]) for t in range(len(by_trait))]
        kinds += [("item", i, by_item[i, j]) for i in sorted(own)]
        most.append(max(kinds, key=lambda kind: kind[2])[:2])  # the first of equal ones
    return by_item.sum(axis=0) + by_trait.sum(axis=0), most


def strongest_trait(profile: Any, affinity: Any, item: int) -> int:
    """The trait that adds most to an item's profile x affinity, of equal ones the first; -1 where none adds."""
    parts = [float(share) * float(affinity[t][item]) for t, share in enumerate(profile)]
    return parts.index(max(parts)) if parts and max(parts) > 0 else -1


def mixed_list(scores: Any, trait: list[int], most: int, k: int) -> list[int]:
    """`k` items of scores above 0, best first, at most `most` of a trait; others only where a list would be shorter."""
    best_first = sorted((i for i in range(len(scores)) if scores[i] > 0), key=lambda i: (-scores[i], i))
    taken: list[int] = []
    for i in best_first:
        alike = sum(1 for other in taken if trait[other] == trait[i])
        if len(taken) < k and (trait[i] < 0 or alike < most):
            taken.append(i)
    for i in best_first:
        if len(taken) < k and i not in taken:
            taken.append(i)
    return sorted(taken, key=lambda i: (-scores[i], i))
