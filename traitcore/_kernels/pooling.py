"""Weights of the events of each customer by their place or their age.

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
