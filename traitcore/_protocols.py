"""What the library asks of objects that callers hand in: any class with these members will do."""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ._progress import Progress


class Embedder(Protocol):
    """Learns vectors from sequences, as `Item2Vec`, `PPMIEmbedder` and `WalkEmbedder` do.

    After `fit`, `item_vectors_` and `context_vectors_` are (n_items, d) float32.
    """

    item_vectors_: NDArray[np.float32]
    context_vectors_: NDArray[np.float32]

    def fit(self, sequences: Any, /, *, n_items: int | None = None, progress: Progress | None = None) -> Self:
        """Learn from `Sequences` of tokens in [0, n_items)."""


class EventWeights(Protocol):
    """Weighs the events of a customer's history, as a fitted `AttentionPooling` does."""

    def event_weights(self, sequences: Any, item_vectors: Any, *, workers: int = 1) -> NDArray[np.float32]:
        """(n_events,) float32 weights of the events of `sequences`."""


class VectorIndex(Protocol):
    """A search index over a table, as `build_index` makes: the guardrails compare fingerprints, `measure_recall`
    searches.
    """

    @property
    def fingerprint(self) -> str:
        """`EmbeddingTable.fingerprint` of the table that it was built from."""

    def search(self, queries: Any, k: int = 10, /) -> tuple[NDArray[Any], NDArray[Any]]:
        """Rows (m, k) of that table and scores (m, k) for queries (m, d), best first; row -1 past the end."""


@runtime_checkable
class Report(Protocol):
    """What a step did. `str()` of it is for people."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, for JSON."""
