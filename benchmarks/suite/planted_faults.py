"""Honest refits of a simulated shop, and the faults that guardrails must find: for tests and the job `guardrails`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

import traitcore as tc
from traitcore import EmbeddingTable, Sequences


@dataclass
class Shop:
    """A simulated log as item sequences, and the trainer whose tables are judged."""

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
        log = tc.simulate_events(n_users=self.n_users, n_items=self.n_items, n_traits=8, seed=self.seed).log
        made = tc.tokenize(tc.split_sessions(log), tokens="item", min_count=5)
        return made.sequences, made.vocabulary.counts, [str(one) for one in made.vocabulary.tokens]

    def table(
        self, seed: int, sequences: Sequences | None = None, *, method: str | None = None, window: int | None = 0
    ) -> EmbeddingTable:
        """Train and wrap; `window=0` is the shop's own. The metadata always tell of the shop's own method."""
        known, counts, ids = self.corpus
        sequences = sequences or known
        window = self.window if window == 0 else window
        if (method or self.method) == "item2vec":
            trained = tc.train_sgns(
                sequences, n_items=len(ids), vector_size=self.vector_size, window=window, epochs=self.epochs, seed=seed
            )
            vectors, context = trained.item_vectors, trained.context_vectors
        else:
            pmi = tc.positive_pmi(tc.count_cooccurrences(sequences, n_items=len(ids), window=window))
            made = tc.svd_vectors(pmi, n_components=self.vector_size, random_state=seed)
            vectors, context = made.item_vectors, made.context_vectors
        told = {"method": self.method, "parameters": {"window": self.window, "vector_size": self.vector_size}}
        return EmbeddingTable(ids, vectors, context_vectors=context, arrays={"counts": counts}, metadata=told)

    def bootstrap(self, seed: int, share: float = 0.9) -> Sequences:
        """A random part of the sessions: a log of another day."""
        sequences = self.corpus[0]
        keep = np.sort(np.random.default_rng(seed).permutation(len(sequences))[: int(share * len(sequences))])
        return Sequences.from_lists([sequences[i] for i in keep])

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
            return EmbeddingTable(ids, good.context_vectors, arrays=dict(good.arrays), metadata=good.metadata)

        other = "ppmi" if self.method == "item2vec" else "item2vec"
        return {
            "window far too wide": lambda s: self.table(s, self.without_sessions(), window=200),
            "sessions leak across users": lambda s: self.table(s, self.leaking()),
            "holes: rows missing": lambda s: holes(s, zero=False),
            "holes: zero vectors": lambda s: holes(s, zero=True),
            "shuffled id map": shuffled,
            "another method, not told": lambda s: self.table(s, method=other),
            "context vectors for item vectors": context_side,
        }
