"""Filters of an index: k eligible rows are found wherever there are k, by "exact" exactly and by "hnsw" nearly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcore import EmbeddingTable, build_index, top_k
from traitcore.serving.index import Index


def table(n: int = 600, d: int = 8, *, ints: bool = True, seed: int = 0) -> EmbeddingTable:
    rng = np.random.default_rng(seed)
    return EmbeddingTable(rng.permutation(n) if ints else [f"i{i}" for i in range(n)], rng.normal(size=(n, d)))


@pytest.fixture(scope="module", params=["exact", "hnsw"])
def index(request: Any) -> Index:
    if request.param == "hnsw":
        pytest.importorskip("faiss")
    return build_index(table(), kind=request.param, links=8, ef_search=16, sample=50)


@settings(max_examples=60)
@given(
    k=st.integers(1, 40), share=st.sampled_from([0.0, 0.002, 0.01, 0.05, 0.5, 0.9, 1.0]), m=st.integers(1, 4),
    near=st.integers(0, 60), per_query=st.booleans(), by_ids=st.booleans(), seed=st.integers(0, 999),
)
def test_never_fewer_than_there_are(
    index: Index, k: int, share: float, m: int, near: int, per_query: bool, by_ids: bool, seed: int
) -> None:
    """The nearest rows themselves are excluded, so that what the graph gives first is of no use."""
    t, rng = index.table, np.random.default_rng(seed)
    own = rng.choice(600, m, replace=False)
    queries = t.vectors[own]
    mask = rng.random(600) < share
    banned = [one[one >= 0] for one in top_k(queries, t.vectors, max(near, 1))[0]] if near else [np.zeros(0, int)] * m
    if not per_query:
        banned = [np.unique(np.concatenate(banned))] * m
    exclude: Any = [t.ids[one] for one in banned] if per_query else t.ids[banned[0]]
    rows, scores = index.search(queries, k, exclude=exclude, allowed=t.ids[mask] if by_ids else mask)
    expected = top_k(queries, t.vectors, k, mask=mask, exclude=banned)
    assert rows.shape == scores.shape == (m, k)
    np.testing.assert_array_equal((rows >= 0).sum(axis=1), (expected[0] >= 0).sum(axis=1))
    np.testing.assert_array_equal(np.isnan(scores), rows < 0)
    for i, found in enumerate(rows):
        found = found[found >= 0]
        assert len(np.unique(found)) == len(found)
        assert mask[found].all()
        assert not np.isin(found, banned[i]).any()
    if index.info.kind == "exact":
        np.testing.assert_array_equal(rows, expected[0])
    place = rows >= 0
    exact = (queries[:, None, :] * t.vectors[np.where(place, rows, 0)]).sum(axis=2)
    exact /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(t.vectors, axis=1)[np.where(place, rows, 0)]
    np.testing.assert_allclose(scores[place], exact[place], atol=1e-5)


def test_recall_under_filters(index: Index) -> None:
    t, rng = index.table, np.random.default_rng(1)
    for share in (0.02, 0.1, 0.3, 0.8):
        mask = rng.random(600) < share
        rows, _ = index.search(t.vectors[:50], 10, allowed=mask)
        expected = top_k(t.vectors[:50], t.vectors, 10, mask=mask)[0]
        assert (rows[:, :, None] == expected[:, None, :]).any(axis=2).mean() > 0.85


def test_a_graph_in_pieces_still_finds_k() -> None:
    """Equal rows by the hundred: the graph reaches few of them, and what is missing is searched exactly."""
    pytest.importorskip("faiss")
    v = np.repeat(np.eye(6, dtype=np.float32), 200, axis=0)
    t = EmbeddingTable(np.arange(1200) * 7, v)
    for metric in ("cosine", "dot", "euclidean"):
        index = build_index(t, kind="hnsw", metric=metric, links=2, ef_construction=4, ef_search=2, sample=10)
        for k in (1, 50, 1200, 1300):
            rows, scores = index.search(v[[0, 700]], k, exclude=[0, 7 * 700])
            assert ((rows >= 0).sum(axis=1) == min(k, 1198)).all()
            assert np.isnan(scores).sum() == 2 * (k - min(k, 1198))
        found = index.most_similar(0, 150, exclude=7, allowed=np.arange(1200) < 180)
        assert len({one for one, _ in found}) == 150
        assert not {0, 7} & {one for one, _ in found}


@pytest.mark.parametrize("ints", [False, True])
def test_most_similar_is_the_tables(ints: bool) -> None:
    t = table(80, ints=ints)
    index = build_index(t)
    for options in ({}, {"exclude": t.ids[3]}, {"exclude": t.ids[2:30]}, {"allowed": t.ids[:20]}, {"allowed": []}):
        assert index.most_similar(t.ids[1], 9, **options) == t.most_similar(t.ids[1], 9, **options)
    with pytest.raises(KeyError, match="no row for"):
        index.most_similar("unknown")
    with pytest.raises(ValueError, match="'k' parameter of Index"):
        index.most_similar(t.ids[1], 0)
    with pytest.raises(ValueError, match="'allowed' parameter of Index"):
        index.search(t.vectors[:1], allowed=np.ones(3, dtype=bool))
    with pytest.raises(TypeError, match="'exclude' parameter of Index"):
        index.search(t.vectors[:1], exclude=np.ones(80, dtype=bool))
