"""The slow, obvious versions of the pooling kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traitcore.events.sequences import Sequences


def events_of(sequences: Sequences, owner: int) -> list[int]:
    """Places of an owner's events, in the order of the corpus."""
    return [
        event
        for i, whose in enumerate(sequences.owners())
        if whose == owner
        for event in range(sequences.offsets[i], sequences.offsets[i + 1])
    ]


def document_frequencies(sequences: Sequences, n_tokens: int) -> NDArray[np.int64]:
    seen: list[set[int]] = [set() for _ in range(n_tokens)]
    for i, whose in enumerate(sequences.owners()):
        for token in sequences[i]:
            seen[token].add(int(whose))
    return np.array([len(s) for s in seen], dtype=np.int64)


def pooled(
    sequences: Sequences, vectors: NDArray[Any], method: str, *, decay: float = 0.95,
    half_life_days: float | None = None, token_factor: Any = None, event_weights: Any = None,
) -> NDArray[np.float64]:
    """(n_owners, d) float64 weighted means, one event at a time."""
    n, width = sequences.n_owners, vectors.shape[1]
    df = document_frequencies(sequences, len(vectors))
    out = np.zeros((n, width))
    for owner in range(n):
        events = events_of(sequences, owner)
        total, times = 0.0, sequences.timestamps_us
        factor = [1.0 if token_factor is None else float(token_factor[sequences.tokens[e]]) for e in events]
        if half_life_days is not None and times is not None:
            newest = max((int(times[e]) for e, f in zip(events, factor) if f > 0), default=0)
        for place, (event, weight) in enumerate(zip(events, factor)):
            token = sequences.tokens[event]
            if method == "tfidf":
                weight *= math.log((1 + n) / (1 + df[token])) + 1
            elif method == "recency" and half_life_days is None:
                weight *= decay ** (len(events) - 1 - place)
            elif method == "recency" and half_life_days is not None and times is not None:
                days = (newest - int(times[event])) / 86_400e6
                weight *= 0.5 ** (days / half_life_days) if weight else 1.0
            elif method == "attention":
                weight *= float(event_weights[event])
            total += weight
            out[owner] += weight * vectors[token].astype(np.float64)
        if total > 0:
            out[owner] /= total
    return out
