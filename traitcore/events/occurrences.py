"""How often each token occurs, and with how many owners."""

from __future__ import annotations

import threading
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._parallel import run_in_slices, run_tasks

_SLICE = 1 << 23  # tokens between two chances to hear Ctrl-C


def count_occurrences(
    codes: NDArray[np.int32], offsets: NDArray[np.int64], owner: NDArray[np.int32] | None, n: int, workers: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(occurrences, owners with one) of each code in [0, n); codes below 0 are skipped.

    codes (n_tokens,) in sequences of these offsets; owner (n_sequences,) or None: each its own.
    """
    order = None
    ends, in_order = offsets, owner
    if owner is not None and (owner[1:] < owner[:-1]).any():  # an owner's sequences are not neighbours
        order = np.argsort(owner, kind="stable")
        ends, in_order = np.concatenate(([0], np.cumsum(np.diff(offsets)[order]))), owner[order]
    # A block costs three tables of n: no more blocks than are worth that.
    blocks = _owner_blocks(ends, in_order, max(1, min(workers, len(codes) // max(1, n))))
    counts = np.zeros((len(blocks), n), dtype=np.int64)
    documents = np.zeros((len(blocks), n), dtype=np.int32)
    last_seen = np.full((len(blocks), n), -1, dtype=np.int32)
    step = max(1, (len(offsets) - 1) * _SLICE // max(1, len(codes)))
    ended = threading.Event()
    run_tasks(
        [partial(run_in_slices, _core.count_tokens, a, z, step, ended, order, codes, offsets, owner, *tables)
         for (a, z), *tables in zip(blocks, counts, documents, last_seen)], workers, stop=ended,
    )
    return counts.sum(axis=0), documents.sum(axis=0, dtype=np.int64)


def add_counts(total: NDArray[np.int64], more: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of two tables of counts, the shorter one with zeros at its end; `total` may be changed."""
    if len(more) > len(total):
        total = np.concatenate((total, np.zeros(len(more) - len(total), dtype=np.int64)))
    total[: len(more)] += more
    return total


def owners_seen(owner: NDArray[np.int32], n: int) -> NDArray[np.bool_]:
    """(n,) whether each owner occurs. In pieces: numpy makes an int64 of each index."""
    seen = np.zeros(n, dtype=np.bool_)
    for start in range(0, len(owner), _SLICE):
        seen[owner[start : start + _SLICE]] = True
    return seen


def _owner_blocks(
    offsets: NDArray[np.int64], owner: NDArray[np.int32] | None, n_blocks: int
) -> list[tuple[int, int]]:
    """Blocks of sequences of nearly equal work; an owner's sequences stay in one block."""
    edges = np.searchsorted(offsets, np.linspace(0, offsets[-1], n_blocks + 1)[1:-1])
    if owner is not None and len(owner):
        edges = np.searchsorted(owner, owner[np.minimum(edges, len(owner) - 1)])
    edges = np.unique(np.concatenate(([0], edges, [len(offsets) - 1])))
    return [(int(a), int(b)) for a, b in pairwise(edges)]
