"""Sessions as questions: what came before an item, and the item that came next; and the latest ones, to choose by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validate import Checks
from ..events.sequences import Sequences


def asked_sessions(check: Checks, sessions: Any, n_items: int) -> tuple[Sequences, bool]:
    """Sessions of items in [0, n_items), and whether it was a single one, given as a 1-D array or list."""
    single = not isinstance(sessions, Sequences)
    if single:
        tokens = check.array("sessions", sessions, dtype=np.int32, shape=(None,))
        sessions = Sequences(tokens=tokens, offsets=np.array([0, len(tokens)]))
    largest = sessions.largest_token()
    if largest >= n_items:
        raise check.value_error("sessions", f"of items in [0, {n_items - 1}], those of the fit", largest)
    return sessions, single


def steps_back(sequences: Sequences) -> NDArray[np.int64]:
    """(n_tokens,) how many events of its sequence come after each."""
    return np.repeat(sequences.offsets[1:], np.diff(sequences.offsets)) - 1 - np.arange(sequences.n_tokens)


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


# To choose settings by: this share of the sessions, the latest, but no more than have MOST next items; with fewer than
# FEWEST they decide nothing. 4,000 queries give a Recall@20 to within .8 points.
SHARE, FEWEST, MOST = 0.05, 100, 4000


def latest_held_out(sequences: Sequences) -> tuple[Sequences, Sequences | None]:
    """(the older sequences, the latest ones), or (all, None) where the latest are too few to choose settings by."""
    n = len(sequences)
    ends = np.cumsum(np.maximum(np.diff(sequences.offsets) - 1, 0))
    total = int(ends[-1]) if n else 0
    first = n - round(n * SHARE)
    if total > MOST:
        first = max(first, 1 + int(np.searchsorted(ends, total - MOST, side="left")))
    if first == 0 or total - int(ends[first - 1]) < FEWEST:
        return sequences, None
    return sequences.take(np.arange(first)), sequences.take(np.arange(first, n))


def held_out_queries(latest: Sequences) -> tuple[Sequences, NDArray[np.int32]]:
    """All prefixes of these sequences and the items that follow them."""
    return prefixes(latest, next_places(latest))
