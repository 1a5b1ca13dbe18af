# mypy: disable-error-code="call-arg"
# (An intrinsic is called without the typing context that its definition takes.)
"""Random walks in lock-step: a core waits for memory on many walks at once instead of on one.

The randomness of a walk is a counter-based stream (SplitMix64: Steele, Lea & Flood 2014) keyed by (seed, start
node, number of the walk), so a walk doesn't depend on its neighbours, on the block it runs in, or on threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import kernel
from .alias import ALIAS, ALIAS_PLACE, OWN, THRESHOLD
from .intrinsics import prefetch

LANES = 128  # walks in flight: 64 is a third slower, 256 a tenth faster where the first cache is large
DEAD_END, RESTART = -1, -2
PATIENCE = 32  # rejections in a row after which a step is drawn by a scan of its row
FEW = 8  # ... or of the row before it, where that has less than an eighth of its edges
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NODE_SPREAD = np.uint64(0xD1342543DE82EF95)
ONE, U11, U27, U30 = np.uint64(1), np.uint64(11), np.uint64(27), np.uint64(30)
U31, U32 = np.uint64(31), np.uint64(32)
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
    walks: Any, lengths: Any, ended: Any,
) -> None:
    """Weighted walks; each step draws an edge in proportion to its weight, or with `restart` goes back to the start.

    nodes, numbers (n_walks,) int32: start and number of each walk; table (nnz + 1, 4) int32 of `build_alias_rows`
    -> walks (n_walks, length) int32, of which the first lengths[i], int64, count; a walk ends early at a node
    without edges. Walks start ... stop - 1 are made, until ended[0] is set.
    """
    length = walks.shape[1]
    flat = table.reshape(-1)
    state = np.empty(LANES, dtype=np.uint64)
    word = np.empty(LANES, dtype=np.uint64)
    at = np.empty(LANES, dtype=np.uint64)  # unsigned, as `entry`: numba would test a signed index for its sign
    entry = np.empty(LANES, dtype=np.uint64)
    back = np.zeros(LANES, dtype=np.bool_)  # this step is a restart
    for base in range(start, stop, LANES):
        lanes = min(LANES, stop - base)
        for j in range(lanes):
            at[j] = nodes[base + j]
            state[j] = stream_state(seed, at[j], numbers[base + j])
            walks[base + j, 0] = at[j]
            lengths[base + j] = length
        for t in range(1, length):
            if ended[0]:
                return
            if restart > 0.0:
                for j in range(lanes):
                    state[j] += GOLDEN
                    back[j] = unit(state[j]) < restart
            for j in range(lanes):
                state[j] += GOLDEN
                word[j] = mix64(state[j])
            for j in range(lanes):
                first = np.uint64(indptr[at[j]])
                degree = np.uint64(indptr[at[j] + ONE]) - first
                if degree == 0 and not back[j]:
                    # It goes on from the entry that follows, to no end: a lane that stopped would cost the others
                    # a branch. What is past `lengths` is never read.
                    lengths[base + j] = min(lengths[base + j], t)
                entry[j] = first + (((word[j] >> U32) * degree) >> U32)
                prefetch(flat, np.int64(entry[j]) * 4)
            for j in range(lanes):
                # OWN stands before ALIAS: no branch to mispredict
                keep = np.uint32(word[j] & LOW_WORD) < np.uint32(table[entry[j], THRESHOLD])
                at[j] = table[entry[j], np.uint64(ALIAS) - np.uint64(keep)]
                if restart > 0.0 and back[j]:
                    at[j] = nodes[base + j]
                walks[base + j, t] = at[j]


@kernel()
def pack_walks(start: int, stop: int, walks: Any, offsets: Any, tokens: Any) -> None:
    """Walks of different lengths end to end: walks[i, :offsets[i + 1] - offsets[i]] -> tokens from offsets[i] on."""
    for i in range(start, stop):
        first = offsets[i]
        for t in range(offsets[i + 1] - first):
            tokens[first + t] = walks[i, t]


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
def first_slot(first: Any, end: Any, target: Any) -> Any:
    """Where the search for `target` begins in the edge set slots[2 * first : 2 * end], which is not empty."""
    return 2 * first + below(mix64(np.uint64(target)), 2 * (end - first))


@kernel()
def has_edge(indptr: Any, slots: Any, source: Any, target: Any) -> bool:
    slot, end = first_slot(indptr[source], indptr[source + 1], target), 2 * indptr[source + 1]
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
    near_weight: float, out_weight: float,
) -> Any:
    """Place in the table of a second-order draw, exactly, by inverting the row's cumulated weights at u in [0, 1)."""
    total = 0.0
    last = indptr[node]
    for scan in range(2):
        mass = 0.0
        for k in range(indptr[node], indptr[node + 1]):
            factor = back_weight
            if table[k, OWN] != previous:
                factor = near_weight if has_edge(indptr, slots, previous, table[k, OWN]) else out_weight
            if own[k] * factor > 0.0:
                mass += own[k] * factor
                last = k
                if scan == 1 and mass > u * total:
                    return k
        total = mass
    return last


@kernel()
def place_of(table: Any, first: Any, end: Any, target: Any) -> Any:
    """Place of the edge to `target` in the row table[first:end], which is sorted by node; -1 where there is none."""
    stop = end
    while first < stop:
        middle = (first + stop) // 2
        if table[middle, OWN] < target:
            first = middle + 1
        else:
            stop = middle
    return first if first < end and table[first, OWN] == target else -1


@kernel()
def edge_by_parts(
    state: Any, node: Any, previous: Any, indptr: Any, table: Any, own: Any, slots: Any, back_weight: float,
    out_weight: float,
) -> Any:
    """As `edge_by_scan` -> (place, state), where `previous` has few edges and `node` many: only the former are read.

    First the way back and the nodes that `previous` points to, by their cumulated weights; else one of the others, a
    first-order draw that is none of those. Before it, a walk over a star of 100,000 leaves with q = 10**6 took 1 ms
    a step.
    """
    first, end = indptr[node], indptr[node + 1]
    state += GOLDEN
    u, total = unit(state), 0.0
    for scan in range(2):
        mass, others = 0.0, 1.0
        for m in range(indptr[previous] - 1, indptr[previous + 1]):
            is_back = m < indptr[previous]
            target = previous if is_back else table[m, OWN]
            k = place_of(table, first, end, target)
            if k < 0 or (target == previous and not is_back):
                continue
            mass += own[k] * (back_weight if is_back else 1.0)
            others -= own[k]
            if scan == 1 and mass > u * total:
                return k, state
        total = mass + out_weight * max(others, 0.0)
    for _ in range(PATIENCE):
        state += GOLDEN
        word = mix64(state)
        k = first + below(word, end - first)
        if np.uint32(word & LOW_WORD) >= np.uint32(table[k, THRESHOLD]):
            k = first + table[k, ALIAS_PLACE]
        if table[k, OWN] != previous and not has_edge(indptr, slots, previous, table[k, OWN]):
            return k, state
    state += GOLDEN
    return edge_by_scan(unit(state), node, previous, indptr, table, own, slots, 0.0, 0.0, 1.0), state


class Lanes(NamedTuple):
    """The second-order walks in flight: an array of LANES each.

    Taken out of the tuple before a loop, not in it: numba counts a reference each time, with an atomic operation.
    """

    walk: Any  # int64, its row in the result; -1: out of work
    step: Any  # int64, nodes so far
    tries: Any  # int64, rejections so far of this step
    at: Any  # int64
    previous: Any  # int64; -1: the next step is of first order
    back: Any  # (LANES, 2) float64, chance of at -> previous, and of previous -> at
    state: Any  # uint64, of its random stream
    u: Any  # float64, uniform below the bound of this try's factor
    coin: Any  # uint32
    edge: Any  # int64, drawn place in the table, or DEAD_END or RESTART
    drawn: Any  # int64, the node it leads to
    probe: Any  # int64, first slot of the edge set of `previous` where `drawn` would be
    kept: Any  # bool


@kernel()
def new_lanes() -> Any:
    return Lanes(
        np.full(LANES, -1, dtype=np.int64), np.zeros(LANES, dtype=np.int64), np.zeros(LANES, dtype=np.int64),
        np.zeros(LANES, dtype=np.int64), np.zeros(LANES, dtype=np.int64), np.zeros((LANES, 2), dtype=np.float64),
        np.zeros(LANES, dtype=np.uint64), np.zeros(LANES, dtype=np.float64), np.zeros(LANES, dtype=np.uint32),
        np.zeros(LANES, dtype=np.int64), np.zeros(LANES, dtype=np.int64), np.zeros(LANES, dtype=np.int64),
        np.zeros(LANES, dtype=np.bool_),
    )


@kernel()
def refill(lanes: Any, pending: int, stop: int, nodes: Any, numbers: Any, seed: Any, walks: Any) -> Any:
    """Lanes out of work begin the next walks -> (next walk not begun, lanes at work)."""
    walk, step, tries, at, previous = lanes.walk, lanes.step, lanes.tries, lanes.at, lanes.previous
    back, state = lanes.back, lanes.state
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
    return pending, running


@kernel()
def propose(lanes: Any, indptr: Any, table: Any, restart: float, bound: float, heavy: float) -> None:
    """A first-order draw for each walk: its place in the alias table is asked for from memory."""
    flat = table.reshape(-1)
    walk, at, tries, edge, state = lanes.walk, lanes.at, lanes.tries, lanes.edge, lanes.state
    u, coin, back = lanes.u, lanes.coin, lanes.back
    for j in range(LANES):
        if walk[j] < 0:
            continue
        edge[j] = 0
        if restart > 0.0 and tries[j] == 0:
            state[j] += GOLDEN
            if unit(state[j]) < restart:
                edge[j] = RESTART
        state[j] += GOLDEN
        u[j] = unit(state[j]) * (bound + heavy * back[j, 0])
        state[j] += GOLDEN
        word = mix64(state[j])
        coin[j] = np.uint32(word & LOW_WORD)
        if edge[j] == RESTART:
            continue
        first = indptr[at[j]]
        degree = indptr[at[j] + 1] - first
        edge[j] = first + below(word, degree) if degree > 0 else DEAD_END
        prefetch(flat, edge[j] * 4)


@kernel()
def resolve(lanes: Any, indptr: Any, table: Any, slots: Any, chances: Any, heavy: float) -> None:
    """Where each draw leads: what decides on it is asked for from memory."""
    flat = chances.reshape(-1)
    walk, at, previous, edge, drawn = lanes.walk, lanes.at, lanes.previous, lanes.edge, lanes.drawn
    coin, probe = lanes.coin, lanes.probe
    for j in range(LANES):
        if walk[j] < 0 or edge[j] < 0:
            continue
        place = edge[j]
        keep = np.int64(coin[j] < np.uint32(table[place, THRESHOLD]))
        drawn[j] = table[place, ALIAS - keep]
        other = indptr[at[j]] + table[place, ALIAS_PLACE]
        edge[j] = other + keep * (place - other)  # no branch to mispredict
        if previous[j] >= 0:
            probe[j] = first_slot(indptr[previous[j]], indptr[previous[j] + 1], drawn[j])
            prefetch(slots, probe[j])
        if heavy > 0.0:
            prefetch(flat, edge[j] * 2)


@kernel()
def judge(
    lanes: Any, indptr: Any, table: Any, own: Any, slots: Any, back_weight: float, out_weight: float, ended: Any
) -> None:
    """A draw is kept where its factor lies above u; after PATIENCE rejections a scan draws instead."""
    bound, sure = max(1.0, out_weight), min(1.0, out_weight)
    walk, tries, at, previous, state = lanes.walk, lanes.tries, lanes.at, lanes.previous, lanes.state
    u, edge, drawn, probe, kept = lanes.u, lanes.edge, lanes.drawn, lanes.probe, lanes.kept
    for j in range(LANES):
        kept[j] = True
        if walk[j] < 0 or edge[j] < 0 or previous[j] < 0 or u[j] >= bound:
            continue
        if drawn[j] == previous[j]:
            kept[j] = u[j] < back_weight
        elif u[j] >= sure:
            found = slots[probe[j]]
            known = found == drawn[j] or (found >= 0 and has_edge(indptr, slots, previous[j], drawn[j]))
            kept[j] = known == (out_weight < 1.0)
        if kept[j]:
            continue
        tries[j] += 1
        if tries[j] == PATIENCE:
            if ended[0]:  # a scan reads up to all edges of a node, and all lanes may be at it
                return
            degree = indptr[at[j] + 1] - indptr[at[j]]
            if out_weight < 1.0 and FEW * (indptr[previous[j] + 1] - indptr[previous[j]]) < degree:
                edge[j], state[j] = edge_by_parts(
                    state[j], at[j], previous[j], indptr, table, own, slots, back_weight, out_weight
                )
            else:
                state[j] += GOLDEN
                edge[j] = edge_by_scan(
                    unit(state[j]), at[j], previous[j], indptr, table, own, slots, back_weight, 1.0, out_weight
                )
            drawn[j], kept[j] = table[edge[j], OWN], True


@kernel()
def settle(lanes: Any, nodes: Any, chances: Any, bound: float, heavy: float, walks: Any, lengths: Any) -> None:
    """Walks whose draw is kept take their step; those that are done leave their lanes."""
    walk, step, tries, at, previous = lanes.walk, lanes.step, lanes.tries, lanes.at, lanes.previous
    back, u, edge, drawn, kept = lanes.back, lanes.u, lanes.edge, lanes.drawn, lanes.kept
    length = walks.shape[1]
    for j in range(LANES):
        if walk[j] < 0 or not kept[j]:
            continue
        if edge[j] == DEAD_END:
            lengths[walk[j]], walk[j] = step[j], -1
            continue
        if edge[j] == RESTART:
            drawn[j], at[j] = nodes[walk[j]], -1
            back[j, 0], back[j, 1] = 0.0, 0.0
        elif previous[j] >= 0 and u[j] >= bound:  # the way back, drawn apart
            drawn[j] = previous[j]
            back[j, 0], back[j, 1] = back[j, 1], back[j, 0]
        elif heavy > 0.0:
            back[j, 0], back[j, 1] = chances[edge[j], 0], chances[edge[j], 1]
        tries[j] = 0
        previous[j], at[j] = at[j], drawn[j]
        walks[walk[j], step[j]] = drawn[j]
        step[j] += 1
        if step[j] == length:
            lengths[walk[j]], walk[j] = length, -1


@kernel()
def second_order_walks(
    start: int, stop: int, nodes: Any, numbers: Any, seed: Any, indptr: Any, table: Any, restart: float,
    own: Any, slots: Any, chances: Any, back_weight: float, out_weight: float, walks: Any, lengths: Any, ended: Any,
) -> None:
    """node2vec walks (Grover & Leskovec 2016, section 3.2) by rejection from the first-order draw.

    A step from `previous` over `node` to x has the edge's weight times back_weight (1/p) where x is `previous`, 1
    where previous -> x is an edge, and out_weight (1/q) elsewhere. A first-order draw is kept with that factor over
    its bound; what a heavy way back has above the bound of the others is drawn apart, so a small p costs nothing
    (the "outlier" of KnightKing, Yang et al. 2019, section 4.2). Where nearly all is rejected (a large p at a leaf,
    a small q in a clique) the row is scanned instead: the same distribution. Memory is O(edges).

    own (nnz,) float64: first-order chance of each edge; slots: `build_edge_sets`; chances (nnz, 2) float32: of each
    edge, the first-order chance of its reverse (0 where there is none) and its own. The rest as `first_order_walks`.
    """
    if walks.shape[1] == 1:
        for i in range(start, stop):
            walks[i, 0], lengths[i] = nodes[i], 1
        return
    bound = max(1.0, out_weight)
    heavy = max(0.0, back_weight - bound)  # of the way back, drawn apart
    lanes = new_lanes()
    pending, running = start, 1
    while running > 0 and not ended[0]:
        # Passes over all lanes: each asks for what the next one reads, so that the waits overlap.
        pending, running = refill(lanes, pending, stop, nodes, numbers, seed, walks)
        propose(lanes, indptr, table, restart, bound, heavy)
        resolve(lanes, indptr, table, slots, chances, heavy)
        judge(lanes, indptr, table, own, slots, back_weight, out_weight, ended)
        settle(lanes, nodes, chances, bound, heavy, walks, lengths)


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
