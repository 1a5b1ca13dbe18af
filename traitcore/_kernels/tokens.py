"""Tokens: (item, action) pairs of sessions, their counts and document frequencies, and their rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import kernel

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
Int16 = NDArray[np.int16]


@kernel()
def pair_codes(
    start: int, stop: int, order: Int64, item: Int32, action: Int16, new_action: Int16, n_actions: int, pairs: Int32
) -> None:
    """pairs[i] = item * n_actions + new_action of row order[i]; -1 where the action maps to -1.

    `action` may have no elements: then pairs are items.
    """
    for i in range(start, stop):
        row = order[i]
        code = item[row]
        if len(action):
            to = new_action[action[row]]
            code = code * n_actions + to if to >= 0 else -1
        pairs[i] = code


@kernel()
def count_tokens(
    start: int, stop: int, order: Int64, tokens: Int32, offsets: Int64, owner: Int32, counts: Int64, documents: Int32,
    last_seen: Int32,
) -> None:
    """Raise counts and documents by sequences order[start] ... order[stop - 1]; tokens below 0 are skipped.

    Without an `order`, by sequences start ... stop - 1. Sequences of an owner are neighbours in the order and in one
    block; without owners each sequence is a document. `last_seen` (n,), the owner who last had each token, begins at
    -1 and goes on from call to call.
    """
    for place in range(start, stop):
        s = order[place] if len(order) else place
        who = owner[s] if len(owner) else s
        for i in range(offsets[s], offsets[s + 1]):
            token = tokens[i]
            if token >= 0:
                counts[token] += 1
                if last_seen[token] != who:
                    last_seen[token] = who
                    documents[token] += 1


@kernel()
def keep_tokens(
    tokens: Int32, offsets: Int64, owner: Int32, time: Int64, row: Int32, min_length: int, lost: Int64
) -> tuple[int, int]:
    """Replace tokens by their rows, in place, and close the gaps of tokens without one (row < 0).

    Sequences with fewer than min_length tokens left go too. lost (4,): tokens of unmapped actions (tokens[i] < 0),
    rare tokens, tokens of short sequences, sequences. Returns (tokens kept, sequences kept).
    """
    out, kept = 0, 0
    for s in range(len(offsets) - 1):
        low, high = offsets[s], offsets[s + 1]
        first = out
        for i in range(low, high):
            if tokens[i] < 0:
                lost[0] += 1
                continue
            new = row[tokens[i]]
            if new < 0:
                lost[1] += 1
                continue
            tokens[out] = new
            if len(time):
                time[out] = time[i]
            out += 1
        if out - first < min_length:
            lost[2] += out - first
            lost[3] += 1
            out = first
            continue
        offsets[kept] = first
        if len(owner):
            owner[kept] = owner[s]
        kept += 1
    offsets[kept] = out
    return out, kept


@kernel()
def map_tokens(start: int, stop: int, tokens: Int32, row: Int32) -> None:
    """tokens[i] = row[tokens[i]] in place, for tokens that all have a row."""
    for i in range(start, stop):
        tokens[i] = row[tokens[i]]
