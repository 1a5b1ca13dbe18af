"""Slow, obvious twins of the walk kernels: one walk at a time, Python ints, sets and lists; and exact probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix64(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Stream:
    """Random words of walk `number` from `node` under `seed`."""

    def __init__(self, seed: int, node: int, number: int) -> None:
        stream = (number << 32) | node
        self.state = mix64(mix64((seed + GOLDEN) & MASK) ^ ((stream * 0xD1342543DE82EF95 + GOLDEN) & MASK))

    def word(self) -> int:
        self.state = (self.state + GOLDEN) & MASK
        return mix64(self.state)

    def unit(self) -> float:
        return (self.word() >> 11) / 2**53


def alias_row(weights: list[float]) -> list[tuple[int, int]]:
    """(threshold of 2**32, other place) of each place of one row."""
    top = max(weights)
    total = 0.0
    for w in weights:
        total += w / top
    share = [w / top / total * len(weights) for w in weights]
    light = [k for k in range(len(share)) if share[k] < 1.0]
    heavy = [k for k in range(len(share)) if share[k] >= 1.0]
    table = [(2**32 - 1, k) for k in range(len(share))]
    while light and heavy:
        small, big = light.pop(), heavy[-1]
        table[small] = (int(min(share[small] * 2**32, 2**32 - 1)), big)
        share[big] -= 1.0 - share[small]
        if share[big] < 1.0:
            heavy.pop()
            light.append(big)
    return table


def rows_of(matrix: Any) -> list[tuple[list[int], list[float]]]:
    """Neighbours and weights of each node."""
    dense = np.asarray(matrix.todense()) if hasattr(matrix, "todense") else np.asarray(matrix)
    return [(np.flatnonzero(row).tolist(), row[row > 0].tolist()) for row in dense]


def walk(
    matrix: Any, start: int, number: int, length: int, *, seed: int, p: float = 1, q: float = 1, restart: float = 0
) -> list[int]:
    """One walk, with the same random words as the kernels."""
    rows = rows_of(matrix)
    tables = [alias_row(weights) if weights else [] for _, weights in rows]
    chances = [dict(zip(nbrs, (np.asarray(w) / max(w) / (np.asarray(w) / max(w)).sum()).tolist())) if w else {}
               for nbrs, w in rows]
    back, out = 1.0 / p, 1.0 / q
    bound, sure = max(1.0, out), min(1.0, out)
    rng = Stream(seed, start, number)
    path, previous, node = [start], -1, start
    while len(path) < length:
        if restart > 0 and rng.unit() < restart:
            for _ in range(1 if p == q == 1 else 2):
                rng.word()  # those of the edge it doesn't take
            previous, node = -1, start
            path.append(start)
            continue
        nbrs = rows[node][0]
        if not nbrs:
            break
        if p == q == 1:
            chosen = nbrs[draw(rng, tables[node])]
        else:
            chosen = -1
            for _ in range(32):
                reverse = float(np.float32(chances[node].get(previous, 0.0)))
                extra = max(back - bound, 0.0) * (reverse if previous >= 0 else 0.0)
                u = rng.unit() * (bound + extra)
                candidate = nbrs[draw(rng, tables[node])]
                if previous >= 0 and u >= bound:
                    chosen = previous
                    break
                if candidate == previous:
                    factor = back
                else:
                    factor = 1.0 if candidate in rows[previous][0] else out
                if previous < 0 or u < min(factor, bound) or (u < sure and candidate != previous):
                    chosen = candidate
                    break
            if chosen < 0 and out < 1 and 8 * len(rows[previous][0]) < len(nbrs):
                chosen = by_parts(rng, nbrs, chances[node], rows[previous][0], previous, tables[node], back, out)
            elif chosen < 0:
                factors = {x: factor_of(rows, previous, x, back, out) for x in nbrs}
                chosen = by_scan(rng, {x: w * factors[x] for x, w in chances[node].items()})
        previous, node = node, chosen
        path.append(node)
    return path


def draw(rng: Stream, table: list[tuple[int, int]]) -> int:
    word = rng.word()
    place = ((word >> 32) * len(table)) >> 32
    threshold, other = table[place]
    return place if (word & 0xFFFFFFFF) < threshold else other


def by_scan(rng: Stream, scaled: dict[int, float]) -> int:
    u, mass = rng.unit() * np.cumsum(list(scaled.values()))[-1], 0.0
    for x, s in scaled.items():
        mass += s
        if mass > u:
            return x
    raise AssertionError("u lies below the sum of all")


def by_parts(
    rng: Stream, nbrs: list[int], chance: dict[int, float], near: list[int], previous: int,
    table: list[tuple[int, int]], back: float, out: float,
) -> int:
    """The way back and nodes that `previous` points to by a scan, the others by first-order draws."""
    scaled = {previous: chance[previous] * back} if previous in chance else {}
    scaled |= {x: chance[x] for x in near if x in chance and x != previous}
    others = 1.0
    for x in scaled:
        others -= chance[x]
    total = np.cumsum([0.0, *scaled.values()])[-1] + out * max(others, 0.0)
    u, mass = rng.unit() * total, 0.0
    for x, s in scaled.items():
        mass += s
        if mass > u:
            return x
    for _ in range(32):
        chosen = nbrs[draw(rng, table)]
        if chosen not in scaled:
            return chosen
    return by_scan(rng, {x: w for x, w in chance.items() if x not in scaled})


def factor_of(rows: Any, previous: int, target: int, back: float, out: float) -> float:
    if target == previous:
        return back
    return 1.0 if target in rows[previous][0] else out


def second_order_probabilities(matrix: Any, previous: int, node: int, p: float, q: float) -> dict[int, float]:
    """Grover & Leskovec 2016, section 3.2.2, written down: chance of each next node after previous -> node."""
    rows = rows_of(matrix)
    nbrs, weights = rows[node]
    scaled = [w * factor_of(rows, previous, x, 1.0 / p, 1.0 / q) for x, w in zip(nbrs, weights)]
    return {x: s / sum(scaled) for x, s in zip(nbrs, scaled)}


def heaviest(matrix: Any, top_k: int) -> np.ndarray:
    """Dense (n, n): each row's top_k positive entries, ties to the lower column."""
    dense = np.asarray(matrix, dtype=np.float64)
    kept = np.zeros_like(dense)
    for i, row in enumerate(dense):
        for j in sorted(np.flatnonzero(row > 0), key=lambda j: (-row[j], j))[:top_k]:
            kept[i, j] = row[j]
    return kept
