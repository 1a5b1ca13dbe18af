"""Corpora with a known structure, for benchmarks and statistical tests: sessions drawn from planted clusters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from traitcore.events.sequences import Sequences


class Corpus(NamedTuple):
    """`cluster` (n_items,) int32: the cluster of each item. Items are rows in order of falling popularity."""

    sequences: Sequences
    cluster: NDArray[np.int32]


def clustered_sessions(
    n_tokens: int = 5_000_000,
    n_items: int = 50_000,
    n_clusters: int = 200,
    mean_length: float = 8.0,
    in_cluster: float = 0.8,
    zipf: float = 1.0,
    seed: int = 0,
) -> Corpus:
    """Sessions of geometric length; each has a home cluster that supplies `in_cluster` of its items.

    The rest comes from all items. Popularity is Zipf within the whole and within each cluster. The corpus of the
    speed comparisons is the default; the hard one is `hard_sessions`.
    """
    rng = np.random.default_rng(seed)
    n_sessions = int(n_tokens / mean_length)
    lengths = rng.geometric(1.0 / mean_length, n_sessions)
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), n_tokens)) + 1]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    total = int(offsets[-1])
    cluster = rng.permutation(np.arange(n_items) % n_clusters).astype(np.int32)
    weight = 1.0 / np.arange(1, n_items + 1) ** zipf
    mass = np.cumsum(weight)
    by_cluster = np.argsort(cluster, kind="stable")
    start = np.searchsorted(cluster[by_cluster], np.arange(n_clusters + 1))
    cluster_mass = np.concatenate(([0.0], np.cumsum(weight[by_cluster])))
    home = np.repeat(rng.integers(0, n_clusters, len(lengths)), lengths)
    low, high = cluster_mass[start[home]], cluster_mass[start[home + 1]]
    inside = np.searchsorted(cluster_mass, low + rng.random(total) * (high - low), side="right") - 1
    inside = by_cluster[np.clip(inside, start[home], start[home + 1] - 1)]
    anywhere = np.minimum(np.searchsorted(mass, rng.random(total) * mass[-1], side="right"), n_items - 1)
    tokens = np.where(rng.random(total) < in_cluster, inside, anywhere)
    # Rows in order of falling observed frequency, as a Vocabulary would give them.
    order = np.argsort(-np.bincount(tokens, minlength=n_items), kind="stable")
    rank = np.empty(n_items, dtype=np.int32)
    rank[order] = np.arange(n_items, dtype=np.int32)
    return Corpus(Sequences(tokens=rank[tokens], offsets=offsets), cluster[order])


def hard_sessions(n_tokens: int = 5_000_000, n_items: int = 50_000, seed: int = 0) -> Corpus:
    """The corpus on which quality differs: sessions of mean 4, 1000 clusters, 60% of a session in its cluster."""
    return clustered_sessions(
        n_tokens, n_items, n_clusters=1000, mean_length=4.0, in_cluster=0.6, zipf=1.0, seed=seed
    )
