"""asv: counts, PPMI, SVD and next items, each speed beside its quality."""

from __future__ import annotations

import numpy as np

import traitcore as tc
from traitcore.factorization.products import sparse_dense

from .synthetic import clustered_sessions


class Counts:
    params = ([1, 2],)
    param_names = ("workers",)

    def setup(self, workers: int) -> None:
        self.seqs = clustered_sessions(1_000_000, 20_000).sequences
        tc.count_cooccurrences(clustered_sessions(10_000, 100).sequences)

    def time_flat(self, workers: int) -> None:
        tc.count_cooccurrences(self.seqs, workers=workers)

    def time_harmonic(self, workers: int) -> None:
        tc.count_cooccurrences(self.seqs, weighting="harmonic", workers=workers)

    def peakmem_flat(self, workers: int) -> None:
        tc.count_cooccurrences(self.seqs, workers=workers)

    def track_pairs_counted(self, workers: int) -> float:
        return float(tc.count_cooccurrences(self.seqs, workers=workers).sum())


class Vectors:
    """PPMI, its SVD, and how many near neighbours are of the planted cluster."""

    def setup(self) -> None:
        corpus = clustered_sessions(1_000_000, 10_000)
        self.cluster = corpus.cluster
        self.counts = tc.count_cooccurrences(corpus.sequences)
        self.ppmi = tc.positive_pmi(self.counts, context_smoothing=1.0)
        self.block = np.random.default_rng(0).standard_normal((self.ppmi.shape[1], 32)).astype(np.float32)
        tc.randomized_svd(self.ppmi[:600, :600], 8)

    def time_ppmi(self) -> None:
        tc.positive_pmi(self.counts)

    def time_sparse_dense(self) -> None:
        sparse_dense(self.ppmi, self.block)

    def time_svd(self) -> None:
        tc.randomized_svd(self.ppmi, 64)

    def peakmem_svd(self) -> None:
        tc.randomized_svd(self.ppmi, 64)

    def track_svd_error_estimate(self) -> float:
        return float(tc.randomized_svd(self.ppmi, 64).error_estimate)

    def track_neighbours_in_cluster(self) -> float:
        vectors = tc.svd_vectors(self.ppmi, 64).item_vectors[:2000]
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        near = np.argsort(-(unit @ unit.T), axis=1)[:, 1:11]
        return float((self.cluster[near] == self.cluster[:2000, None]).mean())


class NextItem:
    def setup(self) -> None:
        self.seqs = clustered_sessions(300_000, 10_000).sequences
        self.model = tc.NextItemCounts().fit(self.seqs)
        self.asked = tc.Sequences.from_lists([self.seqs[i][:-1].tolist() for i in range(3000) if len(self.seqs[i]) > 1])
        self.targets = np.array([self.seqs[i][-1] for i in range(3000) if len(self.seqs[i]) > 1], dtype=np.int32)

    def time_fit(self) -> None:
        tc.NextItemCounts().fit(self.seqs)

    def time_recommend(self) -> None:
        self.model.recommend(self.asked)

    def peakmem_fit(self) -> None:
        tc.NextItemCounts().fit(self.seqs)

    def track_recall_at_20(self) -> float:
        return float((self.model.rank(self.asked, self.targets) <= 20).mean())
