"""VMIS-kNN, the session-based nearest neighbours that people use, written plainly: the peer of `compare/next_item.py`.

Kersbergen, Sprangers & Schelter 2022, "Serenade: low-latency session-based recommendation in e-commerce at scale",
algorithm 2; it is V-SkNN of Ludewig & Jannach 2018 over each item's most recent sessions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

import traitcore as tc


class SessionNeighbours:
    """Scores by the `k` most similar of the `m` latest training sessions of each of the session's items."""

    def __init__(self, m: int = 1000, k: int = 500) -> None:
        self.m, self.k = m, k

    def fit(self, sequences: tc.Sequences, *, n_items: int) -> SessionNeighbours:
        """Training sessions in order of time, the oldest first."""
        session = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
        pairs = np.unique(np.stack((sequences.tokens, -session)), axis=1)  # by item, the latest session first
        self.sessions_of = -pairs[1]
        holders = np.bincount(pairs[0], minlength=n_items)
        self.first = np.concatenate(([0], np.cumsum(holders)))
        self.idf = np.log(len(sequences) / np.maximum(holders, 1))
        self.sequences, self.n_items = sequences, n_items
        return self

    def score(self, sessions: tc.Sequences) -> NDArray[np.float32]:
        """(n_sessions, n_items) float32."""
        found = np.zeros((len(sessions), self.n_items), dtype=np.float32)
        train = self.sequences
        _score(sessions.tokens, sessions.offsets, self.first, self.sessions_of, train.tokens, train.offsets, self.idf,
               self.m, self.k, np.zeros(len(train)), np.zeros(len(train), dtype=np.int64), found)
        return found


@numba.njit(cache=True)
def _score(
    tokens: Any, offsets: Any, first: Any, sessions_of: Any, train: Any, train_offsets: Any, idf: Any, m: int, k: int,
    likeness: Any, shared: Any, found: Any,
) -> None:
    for s in range(len(offsets) - 1):
        begin, end = offsets[s], offsets[s + 1]
        met = [np.int64(0) for _ in range(0)]
        for t in range(end - 1, begin - 1, -1):  # the latest first
            item = tokens[t]
            if (tokens[t + 1 : end] == item).any():
                continue
            for e in range(first[item], min(first[item] + m, first[item + 1])):
                other = sessions_of[e]
                if likeness[other] == 0:
                    met.append(other)
                    shared[other] = end - t  # steps back of the latest item in common, from 1
                likeness[other] += (t - begin + 1) / (end - begin)
        near = np.array(met)
        if len(near) == 0:
            continue
        # Of equals the latest.
        best = near[np.argsort(-(likeness[near] + near * 1e-12))[:k]]
        for other in best:
            weight = likeness[other] * max(0.0, 1.0 - 0.1 * shared[other])
            for t in range(train_offsets[other], train_offsets[other + 1]):
                item = train[t]
                if not (train[train_offsets[other] : t] == item).any():
                    found[s, item] += weight * idf[item]
        likeness[near] = 0.0
