# mypy: allow-untyped-calls
"""Ranks and lists from dense rows of scores, for the next-item models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._kernels import ranks as kernels
from .._parallel import even_blocks, run_blocks
from .._validate import Checks
from ..events.sequences import Sequences

BLOCK = 256  # sessions scored at a time


def may_list(check: Checks, n_items: int, allowed: Any, exclude: Any) -> NDArray[np.bool_]:
    """(n_items,) whether an item may be listed, by rows or masks of those allowed and of those excluded."""
    may = np.ones(n_items, dtype=bool) if allowed is None else item_flags(check, "allowed", allowed, n_items)
    if exclude is not None:
        may &= ~item_flags(check, "exclude", exclude, n_items)
    return may


def item_flags(check: Checks, name: str, given: Any, n_items: int) -> NDArray[np.bool_]:
    """(n_items,) bool, a new array, from rows of items or from such a mask."""
    listed = check.plain(name, given)
    if listed.dtype == np.bool_:
        if listed.shape != (n_items,):
            rule = f"items in [0, {n_items - 1}], or a bool mask of shape ({n_items},)"
            raise check.value_error(name, rule, f"a mask of shape {listed.shape}")
        return listed.copy()
    listed = check.array(name, np.atleast_1d(listed), dtype=np.int64, shape=(None,))
    if len(listed) and (listed.min() < 0 or listed.max() >= n_items):
        raise check.value_error(name, f"items in [0, {n_items - 1}]", f"{listed.min()} ... {listed.max()}")
    flags = np.zeros(n_items, dtype=bool)
    flags[listed] = True
    return flags


def check_targets(check: Checks, targets: Any, n: int, n_items: int) -> NDArray[np.int32]:
    """(n,) int32 items to be ranked, one for each session."""
    wanted = check.array("targets", targets, dtype=np.int32, shape=(n,))
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= n_items):
        got = f"values from {wanted.min()} to {wanted.max()}"
        raise check.value_error("targets", f"items in [0, {n_items - 1}]", got)
    return wanted


def list_best(scores: NDArray[np.float32], items: NDArray[np.int32], listed: NDArray[np.float32]) -> None:
    """The best of each row of scores (m, n) into items and listed (m, k), best first, of equals the smaller item.

    What is there stays where fewer are above -inf.
    """
    for row, own in enumerate(scores):
        best = top_places(own, items.shape[1])
        items[row, : len(best)], listed[row, : len(best)] = best, own[best]


def top_places(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Places of the `k` highest finite scores, best first, ties by place."""
    if k < len(scores):
        cut = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= cut)
    else:
        places = np.arange(len(scores))
    places = places[scores[places] > -np.inf]
    return places[np.argsort(-scores[places], kind="stable")][:k]


def dense_ranks(score: Any, sequences: Sequences, targets: NDArray[np.int32], workers: int) -> NDArray[np.float64]:
    """(m,) mean rank of each target by `score`, sequences -> (m, n_items) scores; a few hundred sequences at a time."""
    above, equal = (np.empty(len(targets), dtype=np.int64) for _ in range(2))

    def part(start: int, stop: int) -> None:
        scores = np.asarray(score(sequences.take(np.arange(start, stop))))
        kernels.count_above(0, stop - start, scores, targets[start:stop], above[start:stop], equal[start:stop])

    run_blocks(part, even_blocks(len(targets), -(-len(targets) // BLOCK)), workers)
    return above + (equal + 1) / 2


def merge_lists(
    rows: NDArray[np.int64], scores: NDArray[np.float32], row: NDArray[np.int64], item: NDArray[np.int32],
    values: NDArray[np.float32],
) -> None:
    """Insert (row, item, value) into lists that are best first, of equals the smaller item."""
    k = rows.shape[1]
    for q in np.unique(row):
        own = row == q if len(rows) > 1 else slice(None)
        keep = np.isfinite(values[own])
        items = np.concatenate((rows[q], item[own][keep]))
        found = np.concatenate((scores[q], values[own][keep]))
        found = np.where(items < 0, -np.inf, found)
        best = np.lexsort((items, -found))[:k]
        rows[q] = items[best]
        scores[q] = np.where(items[best] < 0, np.nan, found[best])
