"""Pooling of token vectors over the events of each customer."""

from __future__ import annotations

import numpy as np

from . import kernel


@kernel()
def position_weights(start, stop, order, first, offsets, decay, out):  # type: ignore[no-untyped-def]
    """out[e] = decay ** (events of the owner after e), for owners [start, stop)."""
    for owner in range(start, stop):
        weight = 1.0
        for place in range(first[owner + 1] - 1, first[owner] - 1, -1):
            sequence = order[place]
            for event in range(offsets[sequence + 1] - 1, offsets[sequence] - 1, -1):
                out[event] = weight
                weight *= decay


@kernel()
def age_weights(start, stop, order, first, offsets, times_us, half_life_us, out):  # type: ignore[no-untyped-def]
    """out[e] = 2 ** -((owner's newest time - e's time) / half life), for owners [start, stop)."""
    for owner in range(start, stop):
        newest = np.int64(-(2**63))
        for place in range(first[owner], first[owner + 1]):
            for event in range(offsets[order[place]], offsets[order[place] + 1]):
                newest = max(newest, times_us[event])
        for place in range(first[owner], first[owner + 1]):
            for event in range(offsets[order[place]], offsets[order[place] + 1]):
                # Exact in int64 first: microseconds since 1970 don't fit a float64 product without loss.
                out[event] = 2.0 ** (-np.float64(newest - times_us[event]) / half_life_us)


@kernel(fastmath={"contract", "reassoc"})
def pool_events(  # type: ignore[no-untyped-def]
    start, stop, order, first, offsets, tokens, vectors, token_weights, event_weights, pooled, mass, known
):
    """Weighted mean of vectors[token] over the events of owners [start, stop).

    `event_weights` multiplies `token_weights[token]` where it isn't empty. `mass` gets the sum of weights, `known`
    the number of events with a positive weight; an owner whose mass is zero keeps a zero row.
    """
    width = vectors.shape[1]
    for owner in range(start, stop):
        row = pooled[owner]
        row[:] = 0.0
        total = 0.0
        n_known = 0
        for place in range(first[owner], first[owner + 1]):
            for event in range(offsets[order[place]], offsets[order[place] + 1]):
                token = tokens[event]
                weight = token_weights[token]
                if event_weights.shape[0] > 0:
                    weight *= event_weights[event]
                if weight <= 0.0:
                    continue
                n_known += 1
                total += weight
                vector = vectors[token]
                for column in range(width):
                    row[column] += weight * vector[column]
        mass[owner] = total
        known[owner] = n_known
        if total > 0.0:
            scale = np.float32(1.0 / total)
            for column in range(width):
                row[column] *= scale
