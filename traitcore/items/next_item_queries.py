"""Sessions as questions: what came before an item, and the item that came next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..events.sequences import Sequences


def next_places(sequences: Sequences) -> NDArray[np.int64]:
    """Places of `sequences.tokens` that have something before them in their sequence."""
    inside = np.ones(sequences.n_tokens, dtype=bool)
    inside[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = False
    return np.flatnonzero(inside)


def prefixes(sequences: Sequences, places: NDArray[np.int64]) -> tuple[Sequences, NDArray[np.int32]]:
    """What came before each of these places of `sequences.tokens` in its sequence, and the item there."""
    start = np.repeat(sequences.offsets[:-1], np.diff(sequences.offsets))[places]
    offsets = np.concatenate(([0], np.cumsum(places - start)))
    at = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], places - start)
    return Sequences(sequences.tokens[at], offsets), sequences.tokens[places]


def split_latest(sequences: Sequences, share: float) -> tuple[Sequences, Sequences]:
    """(all but the last, the last `share`) of the sequences, which are in order of time."""
    n = len(sequences)
    cut = n - round(n * share)
    return sequences.take(np.arange(cut)), sequences.take(np.arange(cut, n))
