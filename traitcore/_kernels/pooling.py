"""Pooling of token vectors over the events of each customer.

An owner's events are runs [starts[r], stops[r]) of places in the corpus, r in [first[owner], first[owner + 1]).
"""

from __future__ import annotations

import numpy as np

from . import kernel


@kernel()
def position_weights(start, stop, first, starts, stops, decay, out):  # type: ignore[no-untyped-def]
    """out[e] = decay ** (events of the owner after e), for owners [start, stop)."""
    for owner in range(start, stop):
        weight = 1.0
        for run in range(first[owner + 1] - 1, first[owner] - 1, -1):
            for event in range(stops[run] - 1, starts[run] - 1, -1):
                out[event] = weight
                weight *= decay


@kernel()
def age_weights(  # type: ignore[no-untyped-def]
    start, stop, first, starts, stops, tokens, token_weights, times_us, half_life_us, out
):
    """out[e] = 2 ** -((newest - e's time) / half life), for owners [start, stop).

    Newest is the owner's latest event of a token with a positive weight, so that no owner's weights all underflow.
    """
    for owner in range(start, stop):
        newest = np.int64(-(2**63))
        for run in range(first[owner], first[owner + 1]):
            for event in range(starts[run], stops[run]):
                if token_weights[tokens[event]] > 0.0:
                    newest = max(newest, times_us[event])
        for run in range(first[owner], first[owner + 1]):
            for event in range(starts[run], stops[run]):
                out[event] = 0.0
                if token_weights[tokens[event]] > 0.0:
                    # The difference is exact in int64; as float64 the times themselves would lose microseconds.
                    out[event] = 2.0 ** (-np.float64(newest - times_us[event]) / half_life_us)


@kernel()
def event_token_weights(start, stop, tokens, token_weights, event_weights, out):  # type: ignore[no-untyped-def]
    """out[e] = token_weights[token of e] * event_weights[e] for events [start, stop)."""
    for event in range(start, stop):
        out[event] = token_weights[tokens[event]] * event_weights[event]


# Sums may be reassociated (vector lanes) and contracted (FMA): the order stays the same for any number of workers,
# for a customer is pooled by one thread, from the first event to the last.
@kernel(fastmath={"contract", "reassoc"})
def add_events(begin, end, tokens, vectors, weights, by_event, row):  # type: ignore[no-untyped-def]
    """row += weight * vectors[token] over events [begin, end); returns the sum of weights, and how many are positive."""
    width = vectors.shape[1]
    total = 0.0
    known = 0
    fours = begin + (end - begin) // 4 * 4
    # Four rows at a time: four independent gathers in flight, and a quarter of the traffic of `row`.
    for e in range(begin, fours, 4):
        t0, t1, t2, t3 = tokens[e], tokens[e + 1], tokens[e + 2], tokens[e + 3]
        if by_event:
            w0, w1, w2, w3 = weights[e], weights[e + 1], weights[e + 2], weights[e + 3]
        else:
            w0, w1, w2, w3 = weights[t0], weights[t1], weights[t2], weights[t3]
        v0, v1, v2, v3 = vectors[t0], vectors[t1], vectors[t2], vectors[t3]
        for c in range(width):
            row[c] += (w0 * v0[c] + w1 * v1[c]) + (w2 * v2[c] + w3 * v3[c])
        total += (np.float64(w0) + w1) + (np.float64(w2) + w3)
        known += (w0 > 0) + (w1 > 0) + (w2 > 0) + (w3 > 0)
    for e in range(fours, end):
        w = weights[e] if by_event else weights[tokens[e]]
        v = vectors[tokens[e]]
        for c in range(width):
            row[c] += w * v[c]
        total += w
        known += w > 0
    return total, known


@kernel()
def pool_events(  # type: ignore[no-untyped-def]
    start, stop, first, starts, stops, tokens, vectors, weights, by_event, pooled, mass, known
):
    """Weighted mean of vectors[token] over the events of owners [start, stop).

    The weight of event e is weights[e] if `by_event`, else weights[token]. `mass` gets the sum of weights, `known`
    the number of events with a positive weight; an owner whose mass is zero keeps a zero row.
    """
    piece = 512  # events added up in float32; beyond it, pieces are added up in float64
    wide = np.zeros(vectors.shape[1])
    for owner in range(start, stop):
        row = pooled[owner]
        row[:] = 0.0
        wide[:] = 0.0
        total = 0.0
        n_known = 0
        held = 0
        for run in range(first[owner], first[owner + 1]):
            for begin in range(starts[run], stops[run], piece):
                end = min(begin + piece, stops[run])
                if held + (end - begin) > piece:
                    wide += row
                    row[:] = 0.0
                    held = 0
                held += end - begin
                added, positive = add_events(begin, end, tokens, vectors, weights, by_event, row)
                total += added
                n_known += positive
        mass[owner] = total
        known[owner] = n_known
        if total > 0.0:
            scale = 1.0 / total
            for c in range(len(wide)):
                row[c] = np.float32((wide[c] + row[c]) * scale)
