"""Some of the customers: a choice of them, or random halves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..events.sequences import Sequences


def take_owners(sequences: Sequences, owners: NDArray[np.integer]) -> Sequences:
    """The sequences of some owners, in the order of the corpus; owners become 0, 1, ... in the order given."""
    place = np.full(sequences.n_owners, -1, dtype=np.int32)
    place[owners] = np.arange(len(owners), dtype=np.int32)
    whose = place[sequences.owners()]
    kept = np.flatnonzero(whose >= 0)
    ids = np.asarray(owners) if sequences.owner_ids is None else sequences.owner_ids[owners]
    return replace(sequences.take(kept), owner=whose[kept], owner_ids=ids)


def split_halves(
    sequences: Sequences, owners: NDArray[np.integer], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two random halves of `owners`, each in order, with equal shares of long and short histories.

    Owners are paired by the length of their histories and each pair is split at random: a few very long histories, all
    on one side, would decide any score.
    """
    lengths = np.bincount(sequences.owners(), weights=np.diff(sequences.offsets), minlength=sequences.n_owners)
    drawn = rng.permutation(owners)
    ranked = drawn[np.argsort(-lengths[drawn], kind="stable")]
    first = ranked[0 : len(ranked) - 1 : 2], ranked[1::2]
    swap = rng.random(len(first[1])) < 0.5
    a, b = np.where(swap, first[1], first[0]), np.where(swap, first[0], first[1])
    if len(ranked) % 2:
        b = np.append(b, ranked[-1])
    return np.sort(a), np.sort(b)
