"""Sums over a customer's events that one more event updates."""

from __future__ import annotations

import math

import numpy as np

from . import kernel


@kernel()
def add_live_events(  # type: ignore[no-untyped-def]
    rows, tokens, times_us, vectors, weights, half_life_us, sums, mass, known, newest_us, exponent
):
    """Add event e, token tokens[e] of the customer in row rows[e], to sums (n, d), mass, known and newest_us (n,).

    With half_life_us > 0 the event at time t weighs 2 ** (t / half_life) more: what age takes from an old event is
    given to a new one, so old sums stay as they are. Sums are kept over 2 ** exponent, the whole half-lives of the
    newest event; powers of two scale floats without rounding.
    """
    width = vectors.shape[1]
    for e in range(len(rows)):
        row, token = rows[e], tokens[e]
        weight = np.float64(weights[token])
        if weight <= 0.0:
            continue
        if half_life_us > 0:
            whole = times_us[e] // half_life_us
            weight *= 2.0 ** (np.float64(times_us[e] - whole * half_life_us) / np.float64(half_life_us))
            if known[row] == 0:
                exponent[row] = whole
            behind = exponent[row] - whole
            if behind > 0:
                weight *= math.ldexp(1.0, -min(behind, 1074))
            elif behind < 0:
                scale = math.ldexp(1.0, -min(-behind, 1074))
                mass[row] *= scale
                for c in range(width):
                    sums[row, c] *= scale
                exponent[row] = whole
        newest_us[row] = times_us[e] if known[row] == 0 else max(newest_us[row], times_us[e])
        known[row] += 1
        mass[row] += weight
        for c in range(width):
            sums[row, c] += weight * np.float64(vectors[token, c])
