"""Graphs, walks, fusion and backfill: time, memory and quality together."""

from __future__ import annotations

import numpy as np

import traitcore as tc
from benchmarks.compare.graph import one_split, simulated
from benchmarks.compare.walks import item_graph
from traitcore.items.walks import Walks as Walked


class Walks:
    """10 walks of 40 over 20,000 nodes with 50 neighbours, first and second order."""

    params = ([(1.0, 1.0), (0.5, 2.0)], [1, 2])
    param_names = ("p_q", "workers")

    def setup(self, p_q: tuple[float, float], workers: int) -> None:
        self.graph = item_graph(20_000, 50)
        self.walk(p_q, workers)  # compiles

    def walk(self, p_q: tuple[float, float], workers: int) -> Walked:
        return tc.random_walks(
            self.graph, n_walks=10, walk_length=40, p=p_q[0], q=p_q[1], seed=0, workers=workers
        )

    def time_walks(self, p_q: tuple[float, float], workers: int) -> None:
        self.walk(p_q, workers)

    def peakmem_walks(self, p_q: tuple[float, float], workers: int) -> None:
        self.walk(p_q, workers)

    def track_total_variation(self, p_q: tuple[float, float], workers: int) -> float:
        """Half the sum of |drawn - expected| share of the edges out of the first 50 nodes, first order; 0 is exact."""
        walks = tc.random_walks(self.graph, n_walks=4000, walk_length=2, starts=np.arange(50), workers=workers)
        step = walks.tokens.reshape(-1, 2)
        drawn = np.zeros((50, self.graph.n_nodes))
        np.add.at(drawn, (step[:, 0], step[:, 1]), 1.0 / 4000)
        rows = self.graph.adjacency[:50].toarray()
        return float(np.abs(drawn - rows / rows.sum(axis=1, keepdims=True)).sum() / 100)


class Graphs:
    """Top-50 graph of 20,000 items with 120 neighbours each."""

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        n, per_row = 20_000, 120
        self.sources, self.targets = np.repeat(np.arange(n), per_row), rng.integers(0, n, n * per_row)
        self.counts = tc.graph_from_edges(self.sources, self.targets, rng.poisson(1.0, n * per_row) + 1.0).adjacency
        tc.build_item_graph(self.counts, top_k=50)

    def time_build_item_graph(self) -> None:
        tc.build_item_graph(self.counts, top_k=50)

    def peakmem_build_item_graph(self) -> None:
        tc.build_item_graph(self.counts, top_k=50)

    def time_graph_from_edges(self) -> None:
        tc.graph_from_edges(self.sources, self.targets)


class ColdStart:
    """Backfill of a tenth of the items of a small simulated shop."""

    def setup(self) -> None:
        self.shop = simulated(0, quick=True)
        rng = np.random.default_rng(0)
        self.behaviour = rng.normal(size=(20_000, 64)).astype(np.float32)
        self.content = rng.normal(size=(20_000, 128)).astype(np.float32)
        self.behaviour[:2000] = 0.0

    def time_backfill(self) -> None:
        tc.backfill_vectors(self.behaviour, content=self.content)

    def time_fuse(self) -> None:
        tc.fuse_vectors(self.behaviour, self.content, method="concatenate", n_components=64)

    def track_recall_over_category(self) -> float:
        """Recall@20 of the hidden items' neighbours by PPMI, as a multiple of the category mean's."""
        recalls = one_split(self.shop, 0)
        return recalls["backfill (content map)"][0] / recalls["category mean"][0]
