"""Recall of an index of any make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from traitcore import EmbeddingTable, TableError, build_index, measure_recall, top_k


def table(seed: int = 0) -> EmbeddingTable:
    return EmbeddingTable(np.arange(600), np.random.default_rng(seed).normal(size=(600, 8)))


class Wrong:
    """An index that finds the farthest rows among its first `good` answers' place."""

    def __init__(self, table: EmbeddingTable, good: int) -> None:
        self.table, self.good, self.fingerprint = table, good, table.fingerprint

    def search(self, queries: Any, k: int = 10) -> Any:
        rows, scores = top_k(queries, self.table.vectors, k)
        worst, _ = top_k(-queries, self.table.vectors, k - self.good)
        return np.concatenate([rows[:, : self.good], worst], axis=1), scores


@pytest.mark.parametrize("good", [0, 3, 7, 9])
def test_recall_of_any_index(good: int) -> None:
    t = table()
    assert measure_recall(Wrong(t, good), t, sample=40) == pytest.approx(good / 10)
    assert measure_recall(build_index(t), t) == 1.0


def test_what_recall_refuses() -> None:
    t = table()
    index = Wrong(t, 5)
    with pytest.raises(TableError, match="was not built from"):
        measure_recall(index, table(seed=1))
    index.search = lambda queries, k: (np.zeros((len(queries), k - 1), int), None)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="'index' parameter of measure_recall"):
        measure_recall(index, t)
    index.search = lambda queries, k: (np.full((len(queries), k), 600), None)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="ints below 600"):
        measure_recall(index, t)
    with pytest.raises(ValueError, match="a table with rows"):
        measure_recall(index, EmbeddingTable([], np.zeros((0, 2))))
