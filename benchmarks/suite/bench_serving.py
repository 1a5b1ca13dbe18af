"""asv: serving. Rates beside what makes them worth having: recall, agreement with pooling, bytes on disk."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from traitcore import EmbeddingTable, LiveCustomers, TableStore, build_index, compare_tables, judge, top_k


class TopK:
    params = ([50_000], [16, 128], [1, 2])
    param_names = ("rows", "dimensions", "workers")

    def setup(self, rows: int, dimensions: int, workers: int) -> None:
        rng = np.random.default_rng(0)
        self.vectors = rng.normal(size=(rows, dimensions)).astype(np.float32)

    def time_cosine_1000_queries(self, rows: int, dimensions: int, workers: int) -> None:
        top_k(self.vectors[:1000], self.vectors, 10, workers=workers)

    def time_one_query(self, rows: int, dimensions: int, workers: int) -> None:
        top_k(self.vectors[:1], self.vectors, 10, workers=workers)

    def peakmem_cosine_1000_queries(self, rows: int, dimensions: int, workers: int) -> None:
        top_k(self.vectors[:1000], self.vectors, 10, workers=workers)

    def track_agreement_with_float64(self, rows: int, dimensions: int, workers: int) -> float:
        queries = self.vectors[:50].astype(np.float64)
        v = self.vectors.astype(np.float64)
        exact = np.argsort(-(queries @ v.T), axis=1)[:, :10]
        found = top_k(self.vectors[:50], self.vectors, 10, metric="dot", workers=workers)[0]
        return float((exact[:, :, None] == found[:, None, :]).any(axis=2).mean())


class Store:
    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.folder = tempfile.TemporaryDirectory()
        ids = [f"prod_{i:06d}" for i in range(200_000)]
        self.table = EmbeddingTable(ids, rng.normal(size=(200_000, 64)).astype(np.float32))
        self.store = TableStore(self.folder.name)
        self.store.publish(self.table, "items")
        self.other = EmbeddingTable(ids[:5000], self.table.vectors[5000:10_000])

    def teardown(self) -> None:
        self.folder.cleanup()

    def time_publish(self) -> None:
        self.store.publish(self.table, "items")
        self.store.prune("items", keep=1)

    def time_verify(self) -> None:
        self.store.verify("items")

    def time_open(self) -> None:
        self.store.open("items")

    def peakmem_open_and_search(self) -> None:
        self.store.open("items").most_similar("prod_000007")

    def track_bytes_beyond_the_vectors(self) -> float:
        return self.store.list("items")[-1].size_bytes / self.table.vectors.nbytes

    def time_compare_and_judge(self) -> None:
        small = self.table.subset(self.other.ids)
        judge(self.other, small, comparison=compare_tables(small, self.other))


class Live:
    params = ("mean", "tfidf", "recency")
    param_names = ("method",)

    def setup(self, method: str) -> None:
        rng = np.random.default_rng(0)
        n, d = 5_000, 64
        options: dict[str, dict[str, Any]] = {
            "mean": {}, "tfidf": {"document_frequencies": np.ones(n), "n_documents": 10},
            "recency": {"half_life_days": 7.0},
        }
        components = np.abs(rng.normal(size=(16, d))).astype(np.float32)
        self.live = LiveCustomers(rng.normal(size=(n, d)), method=method, components=components, **options[method])
        self.who, self.tokens = rng.integers(0, 500, 10_000), rng.integers(0, n, 10_000)
        self.times = np.arange(10_000) * 10**6
        self.live.update_batch(self.who, self.tokens, timestamps_us=self.times)

    def time_10000_events_to_traits(self, method: str) -> None:
        self.live.update_batch(self.who, self.tokens, timestamps_us=self.times)
        self.live.traits_batch(self.who)

    def time_one_event_to_traits(self, method: str) -> None:
        self.live.update(3, 5, timestamp_us=0)
        self.live.traits(3)

    def track_bytes_per_customer(self, method: str) -> float:
        return sum(a.nbytes for a in self.live._state.values()) / len(self.live._state["mass"])


class Index:
    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.table = EmbeddingTable(range(10_000), rng.normal(size=(10_000, 32)).astype(np.float32))

    def track_hnsw_recall_at_10(self) -> float:
        return build_index(self.table, kind="hnsw").info.recall_at_10

    def time_build_hnsw(self) -> None:
        build_index(self.table, kind="hnsw")
