"""Honest refits of a simulated shop, and the faults that guardrails must find: for tests and the job `guardrails`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import traitcore as tc
from traitcore import EmbeddingTable, Sequences
from traitcore.quality.comparison import TableComparison


@dataclass
class Shop:
    """A simulated log as item sequences, and the trainer whose tables are judged.

    method : "item2vec", "ppmi" (SVD of PPMI), "walks" (over the item graph) or "fused" (item2vec and content vectors).
    """

    n_users: int = 2500
    n_items: int = 800
    vector_size: int = 32
    window: int = 3
    epochs: int = 10
    seed: int = 0
    method: str = "item2vec"

    @cached_property
    def corpus(self) -> tuple[Sequences, NDArray[np.int64], list[str]]:
        """Sessions of items (with owners and times), their counts and ids."""
        made = tc.tokenize(tc.split_sessions(self._simulation.log), tokens="item", min_count=5)
        return made.sequences, made.vocabulary.counts, [str(one) for one in made.vocabulary.tokens]

    @cached_property
    def _simulation(self) -> Any:
        return tc.simulate_events(n_users=self.n_users, n_items=self.n_items, n_traits=8, seed=self.seed)

    @cached_property
    def content(self) -> NDArray[np.float32]:
        """Content vectors of the corpus' items."""
        truth = self._simulation.truth
        row = {str(one): i for i, one in enumerate(truth.item_ids.tolist())}
        return np.asarray(truth.content_vectors[[row[one] for one in self.corpus[2]]])

    def table(
        self, seed: int, sequences: Sequences | None = None, *, method: str | None = None, window: int | None = 0
    ) -> EmbeddingTable:
        """Train and wrap; `window=0` is the shop's own. The metadata always tell of the shop's own method."""
        known, counts, ids = self.corpus
        sequences = sequences or known
        window = self.window if window == 0 else window
        vectors, context = self._train(method or self.method, sequences, window, seed)
        metadata = {"method": self.method, "parameters": {"window": self.window, "vector_size": self.vector_size}}
        return EmbeddingTable(ids, vectors, context_vectors=context, arrays={"counts": counts}, metadata=metadata)

    def _train(self, method: str, sequences: Sequences, window: int | None, seed: int) -> tuple[Any, Any]:
        n, size = len(self.corpus[2]), self.vector_size
        if method == "ppmi":
            pmi = tc.positive_pmi(tc.count_cooccurrences(sequences, n_items=n, window=window))
            made = tc.svd_vectors(pmi, n_components=size, random_state=seed)
            return made.item_vectors, made.context_vectors
        if method == "walks":
            walker = tc.WalkEmbedder(graph_window=window, vector_size=size, seed=seed).fit(sequences, n_items=n)
            return walker.item_vectors_, walker.context_vectors_
        options = tc.SgnsOptions(vector_size=size, window=window, epochs=self.epochs, seed=seed)
        trained = tc.train_sgns(sequences, options, n_items=n)
        if method == "item2vec":
            return trained.item_vectors, trained.context_vectors
        fused = tc.fuse_vectors(trained.item_vectors, self.content, item_counts=self.corpus[1], method="map")
        return fused.vectors, None

    def refits(self, n: int = 3) -> list[TableComparison]:
        """How far honest tables of this shop lie apart: other seeds, on nine tenths of the log."""
        base = self.table(1000)
        return [tc.compare_tables(base, self.table(1001 + i, self.bootstrap(1001 + i))) for i in range(n)]

    def bootstrap(self, seed: int, share: float = 0.9) -> Sequences:
        """A random part of the sessions: a log of another day."""
        sequences = self.corpus[0]
        n = len(sequences)
        return sequences.take(np.sort(np.random.default_rng(seed).permutation(n)[: int(share * n)]))

    def without_sessions(self) -> Sequences:
        """All that a customer ever did as one sequence: the corpus on which a window can be far too wide."""
        sequences, owners = self.corpus[0], self.corpus[0].owners()
        first = np.flatnonzero(np.concatenate(([True], owners[1:] != owners[:-1], [True])))
        return Sequences(tokens=sequences.tokens, offsets=sequences.offsets[first])

    def leaking(self) -> Sequences:
        """The sketch's defect: the log sorted by time, cut where it pauses, whoever the events belong to."""
        sequences = self.corpus[0]
        assert sequences.timestamps_us is not None
        order = np.argsort(sequences.timestamps_us, kind="stable")
        lengths = np.diff(sequences.offsets)  # as many sessions, of the same lengths
        return Sequences(tokens=sequences.tokens[order], offsets=np.concatenate(([0], np.cumsum(lengths))))

    @cached_property
    def faults(self) -> dict[str, Callable[[int], EmbeddingTable]]:
        """Each fault by name: seed -> the table it leads to."""
        _, counts, ids = self.corpus
        n = len(ids)

        def holes(seed: int, zero: bool) -> EmbeddingTable:
            good = self.table(seed)
            hole = np.random.default_rng(seed).random(n) < 0.15
            if not zero:
                return good.subset([one for one, gone in zip(ids, hole) if not gone])
            vectors = np.where(hole[:, None], 0.0, good.vectors)
            return EmbeddingTable(ids, vectors, arrays={"counts": counts}, metadata=good.metadata)

        def shuffled(seed: int) -> EmbeddingTable:
            good = self.table(seed)
            order = np.random.default_rng(seed).permutation(n)
            return EmbeddingTable(
                [ids[i] for i in order], good.vectors, arrays={"counts": counts[order]}, metadata=good.metadata
            )

        def context_side(seed: int) -> EmbeddingTable:
            good = self.table(seed)
            assert good.context_vectors is not None
            return EmbeddingTable(ids, good.context_vectors, arrays=dict(good.arrays), metadata=good.metadata)

        other = "item2vec" if self.method in ("ppmi", "walks") else "ppmi"
        faults = {
            "window far too wide": lambda s: self.table(s, self.without_sessions(), window=200),
            "sessions leak across users": lambda s: self.table(s, self.leaking()),
            "holes: rows missing": lambda s: holes(s, zero=False),
            "holes: zero vectors": lambda s: holes(s, zero=True),
            "shuffled id map": shuffled,
            "another method, not recorded": lambda s: self.table(s, method=other),
            "context vectors for item vectors": context_side,
        }
        if self.method in ("ppmi", "fused"):  # the one's differ from its item vectors by signs, the other has none
            del faults["context vectors for item vectors"]
        return faults
