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


@kernel()
def find_pair(keys, key):  # type: ignore[no-untyped-def]
    """The place of `key`, or the free one where it belongs; linear probing from a multiplicative hash (Knuth 6.4)."""
    mask = len(keys) - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))
    while keys[place] >= 0 and keys[place] != key:
        place = (place + 1) & mask
    return place


@kernel()
def add_token_events(  # type: ignore[no-untyped-def]
    rows, tokens, weights, basis, keys, counts, sums, squares
):
    """Count token tokens[e] of the customer in row rows[e]; returns how many (customer, token) pairs are new.

    A customer's row is x, with x[t] = weights[t] * log(1 + count); sums (n, k) is x @ basis, squares (n,)
    is x @ x. keys, counts: a hash table of a power of two places, -1 free.
    """
    fresh = 0
    for e in range(len(rows)):
        row, token = rows[e], tokens[e]
        place = find_pair(keys, (row << 32) | token)  # type: ignore[no-untyped-call]
        if keys[place] < 0:
            keys[place] = (row << 32) | token
            counts[place] = 0
            fresh += 1
        count = counts[place]
        counts[place] = count + 1
        weight = np.float64(weights[token])
        before, after = weight * np.log1p(np.float64(count)), weight * np.log1p(np.float64(count + 1))
        squares[row] += after * after - before * before
        for c in range(basis.shape[1]):
            sums[row, c] += (after - before) * np.float64(basis[token, c])
    return fresh


@kernel()
def move_pairs(keys, counts, to_keys, to_counts):  # type: ignore[no-untyped-def]
    """Put distinct keys with their counts into a hash table that has room for them."""
    for i in range(len(keys)):
        place = find_pair(to_keys, keys[i])  # type: ignore[no-untyped-call]
        to_keys[place] = keys[i]
        to_counts[place] = counts[i]
