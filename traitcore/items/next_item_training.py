"""What the training of `NextItemModel` needs: batches, weights of sessions, order of rows, the state to start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validate import Checks
from ..events.sequences import Sequences
from .next_item_queries import next_places, prefixes

_BATCH, _MOVES = 96, 500  # examples that move together; fewer where an epoch would have fewer moves than these
_WATCHED = 2000  # held-out prefixes ranked after each epoch


def batch_size(sequences: Sequences) -> int:
    """Examples that move together: few where there are few, lest the vectors make too few moves."""
    examples = int(np.maximum(np.diff(sequences.offsets) - 1, 0).sum())
    return max(12, min(_BATCH, examples // _MOVES))


def age_weights(n: int, age_scale: float | None) -> NDArray[np.float32] | None:
    """(n,) weights of sessions, the oldest first: exp(-share of newer ones / age_scale); None: all alike."""
    if age_scale is None:
        return None
    age = np.arange(n - 1, -1, -1) / max(1, n)
    return np.exp(-age / age_scale).astype(np.float32)


def watched_queries(held_out: Sequences, size: int) -> tuple[Sequences, NDArray[np.int32]]:
    check = Checks("NextItemModel")
    if not isinstance(held_out, Sequences):
        raise check.type_error("held_out", "a Sequences or None", held_out)
    if held_out.largest_token() >= size:
        raise check.value_error("held_out", f"of items in [0, {size - 1}]", held_out.largest_token())
    places = next_places(held_out)
    if not len(places):
        raise check.value_error("held_out", "with at least one session of two items or more", repr(held_out))
    if len(places) > _WATCHED:
        places = np.sort(np.random.default_rng(0).choice(places, _WATCHED, replace=False))
    return prefixes(held_out, places)


def falling_order(sequences: Sequences, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Items in order of falling count, those of one count as they first occur, the others by row.

    Rows that are used together then lie together; and since random numbers go by this order, renumbering the items only
    renumbers the vectors.
    """
    first = np.full(len(counts), sequences.n_tokens, dtype=np.int64)
    items, places = np.unique(sequences.tokens, return_index=True)
    first[items] = places
    return np.lexsort((first, -counts))


def restore(
    model: Any, state: dict[str, NDArray[np.float32]], order: NDArray[np.int64], before: NDArray[np.int64]
) -> None:
    """Write what an earlier training left into a new native model: rows of items that it had met."""
    if not state:
        return
    known = np.flatnonzero(before[order] > 0)
    for name, values in state.items():
        target = getattr(model, name)()
        if name in ("steps", "repeats", "step_squares", "repeat_squares"):
            target[: len(values)] = values[: len(target)]
        else:
            target[known] = values[order[known]]
