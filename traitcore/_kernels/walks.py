"""Random walks in lock-step: a core waits for memory on many walks at once instead of on one.

The randomness of a walk is a counter-based stream (SplitMix64: Steele, Lea & Flood 2014) keyed by (seed, start
node, number of the walk), so a walk doesn't depend on its neighbours, on the block it runs in, or on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernel
from .alias import ALIAS, ALIAS_PLACE, OWN, THRESHOLD

LANES = 64  # walks in flight: measured best of 8 ... 64
DEAD_END, RESTART = -1, -2
PATIENCE = 32  # rejections in a row after which a step is drawn by a scan of its row
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NODE_SPREAD = np.uint64(0xD1342543DE82EF95)
U30, U27, U31, U32, U11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32), np.uint64(11)
MIX_A, MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
LOW_WORD = np.uint64(0xFFFFFFFF)
TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53


@kernel(inline="always")
def mix64(z: Any) -> Any:
    """SplitMix64's finalizer: uint64 -> uint64, every output bit depends on every input bit."""
    z = (z ^ (z >> U30)) * MIX_A
    z = (z ^ (z >> U27)) * MIX_B
    return z ^ (z >> U31)


@kernel(inline="always")
def unit(state: Any) -> Any:
    """Uniform float64 in [0, 1) with 53 random bits."""
    return np.float64(mix64(state) >> U11) * TO_UNIT


@kernel(inline="always")
def stream_state(seed: Any, node: Any, number: Any) -> Any:
    """State of the stream of walk `number` from `node`: the same key as csrc/include/traitcore/rng.hpp."""
    stream = (np.uint64(number) << U32) | np.uint64(node)
    return mix64(mix64(seed + GOLDEN) ^ (stream * NODE_SPREAD + GOLDEN))


@kernel(inline="always")
def below(word: Any, n: Any) -> Any:
    """Uniform int in [0, n) from the high half of a random word (Lemire 2019; bias below n / 2**32)."""
    return np.int64(((word >> U32) * np.uint64(n)) >> U32)


@kernel()
def first_order_walks(
    start: int, stop: int, nodes: Any, numbers: Any, seed: Any, indptr: Any, table: Any, restart: float,
    walks: Any, lengths: Any,
) -> None:  # fmt: skip
    """Weighted walks; each step draws an edge in proportion to its weight, or with `restart` goes back to the start.

    nodes, numbers (n_walks,) int32: start and number of each walk -> walks (n_walks, length) int32, of which the
    first lengths[i] are set; a walk ends early at a node without edges. Walks start ... stop - 1 are made.
    """
    length = walks.shape[1]
    state = np.empty(LANES, dtype=np.uint64)
    at = np.empty(LANES, dtype=np.int64)  # -1: the walk has ended
    entry = np.empty(LANES, dtype=np.int64)  # drawn place in the table; -1: back to the start
    coin = np.empty(LANES, dtype=np.uint32)
    for base in range(start, stop, LANES):
        lanes = min(LANES, stop - base)
        for j in range(lanes):
            at[j] = nodes[base + j]
            state[j] = stream_state(seed, at[j], numbers[base + j])
            walks[base + j, 0] = at[j]
            lengths[base + j] = length
        for t in range(1, length):
            # Two passes, so that the reads of the table stand close together and wait for memory side by side.
            for j in range(lanes):
                node = at[j]
                if node < 0:
                    continue
                if restart > 0.0:
                    state[j] += GOLDEN
                    if unit(state[j]) < restart:
                        entry[j] = -1
                        continue
                first = indptr[node]
                degree = indptr[node + 1] - first
                if degree == 0:
                    lengths[base + j] = t
                    at[j] = -1
                    continue
                state[j] += GOLDEN
                word = mix64(state[j])
                entry[j] = first + below(word, degree)
                coin[j] = np.uint32(word & LOW_WORD)
            for j in range(lanes):
                if at[j] < 0:
                    continue
                if restart > 0.0 and entry[j] < 0:
                    at[j] = nodes[base + j]
                else:
                    keep = coin[j] < np.uint32(table[entry[j], THRESHOLD])
                    at[j] = table[entry[j], ALIAS - np.int64(keep)]  # OWN stands before ALIAS: no branch to mispredict
                walks[base + j, t] = at[j]


@kernel()
def build_edge_sets(start: int, stop: int, indptr: Any, indices: Any, slots: Any) -> None:
    """Each row's neighbours as a hash set of twice their number: slots (2 * nnz,) int32, filled with -1 before."""
    for row in range(start, stop):
        first, size = 2 * indptr[row], 2 * (indptr[row + 1] - indptr[row])
        for k in range(indptr[row], indptr[row + 1]):
            slot = below(mix64(np.uint64(indices[k])), size)
            while slots[first + slot] >= 0:
                slot += 1
                if slot == size:
                    slot = 0
            slots[first + slot] = indices[k]


@kernel(inline="always")
def first_slot(indptr: Any, source: Any, target: Any) -> Any:
    """Where in the edge set of `source`, which has edges, the search for `target` begins."""
    first = 2 * indptr[source]
    return first + below(mix64(np.uint64(target)), 2 * indptr[source + 1] - first)


@kernel()
def has_edge(indptr: Any, slots: Any, source: Any, target: Any) -> bool:
    slot, end = first_slot(indptr, source, target), 2 * indptr[source + 1]
    while slots[slot] != target:
        if slots[slot] < 0:
            return False
        slot += 1
        if slot == end:
            slot = 2 * indptr[source]
    return True


@kernel()
def edge_by_scan(
    u: Any, node: Any, previous: Any, indptr: Any, table: Any, own: Any, slots: Any, back_weight: float,
    out_weight: float,
) -> Any:  # fmt: skip
    """Place in the table of a second-order draw, exactly, by inverting the row's cumulated weights at u in [0, 1)."""
    total = 0.0
    last = indptr[node]
    for scan in range(2):
        mass = 0.0
        for k in range(indptr[node], indptr[node + 1]):
            factor = back_weight
            if table[k, OWN] != previous:
                factor = 1.0 if has_edge(indptr, slots, previous, table[k, OWN]) else out_weight
            if own[k] * factor > 0.0:
                mass += own[k] * factor
                last = k
                if scan == 1 and mass > u * total:
                    return k
        total = mass
    return last


@kernel()
def second_order_walks(
    start: int, stop: int, nodes: Any, numbers: Any, seed: Any, indptr: Any, table: Any, restart: float,
    own: Any, slots: Any, chances: Any, back_weight: float, out_weight: float, walks: Any, lengths: Any,
) -> None:  # fmt: skip
    """node2vec walks (Grover & Leskovec 2016, section 3.2) by rejection from the first-order draw.

    A step from `previous` over `node` to x has the edge's weight times back_weight (1/p) where x is `previous`, 1
    where previous -> x is an edge, and out_weight (1/q) elsewhere. A first-order draw is kept with that factor over
    its bound; what a heavy way back has above the bound of the others is drawn apart, so a small p costs nothing
    (the "outlier" of KnightKing, Yang et al. 2019, section 4.2). Where nearly all is rejected (a large p at a leaf,
    a small q in a clique) the row is scanned instead: the same distribution. Memory is O(edges).

    own (nnz,) float64: first-order chance of each edge; slots: `build_edge_sets`; chances (nnz, 2) float32: of each
    edge, the first-order chance of its reverse (0 where there is none) and its own. The rest as `first_order_walks`.
    """
    length = walks.shape[1]
    bound, sure = max(1.0, out_weight), min(1.0, out_weight)
    heavy = back_weight - bound  # > 0: the way back is drawn apart
    state = np.empty(LANES, dtype=np.uint64)
    walk = np.full(LANES, -1, dtype=np.int64)  # -1: out of work
    step = np.empty(LANES, dtype=np.int64)  # nodes so far
    tries = np.empty(LANES, dtype=np.int64)  # rejections so far of this step
    at = np.empty(LANES, dtype=np.int64)
    previous = np.empty(LANES, dtype=np.int64)  # -1: the next step is of first order
    back = np.empty((LANES, 2), dtype=np.float64)  # chance of at -> previous, and of previous -> at
    edge = np.empty(LANES, dtype=np.int64)  # drawn place in the table, or DEAD_END or RESTART
    drawn = np.empty(LANES, dtype=np.int64)  # the node it leads to
    u = np.empty(LANES, dtype=np.float64)
    coin = np.empty(LANES, dtype=np.uint32)
    probe = np.empty(LANES, dtype=np.int64)  # first slot of the edge set of `previous` where `drawn` would be
    ahead = np.zeros((LANES, 2), dtype=np.float64)  # chances of the drawn edge
    pending, running = start, 1
    while running > 0:
        # Passes, so that the reads of one table stand close together and wait for memory side by side.
        running = 0
        for j in range(LANES):
            if walk[j] < 0:
                if pending == stop:
                    continue
                walk[j], step[j], tries[j] = pending, 1, 0
                at[j], previous[j] = nodes[pending], -1
                back[j, 0], back[j, 1] = 0.0, 0.0
                state[j] = stream_state(seed, at[j], numbers[pending])
                walks[pending, 0] = at[j]
                pending += 1
            running += 1
            if restart > 0.0 and tries[j] == 0 and length > 1:
                state[j] += GOLDEN
                if unit(state[j]) < restart:
                    edge[j] = RESTART
                    continue
            first = indptr[at[j]]
            degree = indptr[at[j] + 1] - first
            if degree == 0 or length == 1:
                edge[j] = DEAD_END
                continue
            state[j] += GOLDEN
            u[j] = unit(state[j]) * (bound + max(heavy, 0.0) * back[j, 0])
            state[j] += GOLDEN
            word = mix64(state[j])
            edge[j] = first + below(word, degree)
            coin[j] = np.uint32(word & LOW_WORD)
        for j in range(LANES):
            if walk[j] >= 0 and edge[j] >= 0:
                keep = coin[j] < np.uint32(table[edge[j], THRESHOLD])
                drawn[j] = table[edge[j], ALIAS - np.int64(keep)]
                if not keep:
                    edge[j] = indptr[at[j]] + table[edge[j], ALIAS_PLACE]
        for j in range(LANES):
            if walk[j] >= 0 and edge[j] >= 0:
                if previous[j] >= 0:
                    probe[j] = slots[first_slot(indptr, previous[j], drawn[j])]
                if heavy > 0.0:
                    ahead[j, 0], ahead[j, 1] = chances[edge[j], 0], chances[edge[j], 1]
        for j in range(LANES):
            if walk[j] < 0:
                continue
            if edge[j] == DEAD_END:
                lengths[walk[j]] = step[j]
                walk[j] = -1
                continue
            if edge[j] == RESTART:
                drawn[j] = nodes[walk[j]]
                at[j] = -1
                back[j, 0], back[j, 1] = 0.0, 0.0
            elif previous[j] >= 0 and u[j] >= bound:
                drawn[j] = previous[j]
                back[j, 0], back[j, 1] = back[j, 1], back[j, 0]
            else:
                if previous[j] >= 0:
                    if drawn[j] == previous[j]:
                        kept = u[j] < back_weight
                    elif u[j] < sure:
                        kept = True
                    else:
                        known = probe[j] == drawn[j]
                        if not known and probe[j] >= 0:
                            known = has_edge(indptr, slots, previous[j], drawn[j])
                        kept = known == (out_weight < 1.0)
                    if not kept:
                        tries[j] += 1
                        if tries[j] < PATIENCE:
                            continue
                        state[j] += GOLDEN
                        edge[j] = edge_by_scan(
                            unit(state[j]), at[j], previous[j], indptr, table, own, slots, back_weight, out_weight
                        )
                        drawn[j] = table[edge[j], OWN]
                        ahead[j, 0], ahead[j, 1] = chances[edge[j], 0], chances[edge[j], 1]
                back[j, 0], back[j, 1] = ahead[j, 0], ahead[j, 1]
            tries[j] = 0
            previous[j], at[j] = at[j], drawn[j]
            walks[walk[j], step[j]] = drawn[j]
            step[j] += 1
            if step[j] == length:
                lengths[walk[j]] = length
                walk[j] = -1


@kernel()
def edge_chances(start: int, stop: int, indptr: Any, indices: Any, own: Any, mirror: Any, chances: Any) -> None:
    """chances[e] = (chance of e's reverse or 0, chance of e), for the rows start ... stop - 1.

    own (nnz,) float64: first-order chance of each edge; mirror: indptr, indices and data of its transpose, sorted.
    """
    mirror_indptr, mirror_indices, mirror_own = mirror
    for row in range(start, stop):
        m, end = mirror_indptr[row], mirror_indptr[row + 1]
        for k in range(indptr[row], indptr[row + 1]):
            while m < end and mirror_indices[m] < indices[k]:
                m += 1
            found = m < end and mirror_indices[m] == indices[k]
            chances[k, 0] = mirror_own[m] if found else 0.0
            chances[k, 1] = own[k]
