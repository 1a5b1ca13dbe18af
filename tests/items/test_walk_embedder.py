"""WalkEmbedder: the same as walking first and training then, whatever the blocks; planted parts; isolated items."""

from __future__ import annotations

from typing import Any

import networkx
import numpy as np
import pytest

import traitcore as tc
from traitcore.events.sequences import Sequences
from traitcore.items import walk_embedder


def planted(n_groups: int = 4, size: int = 15, seed: int = 0) -> tuple[Sequences, np.ndarray]:
    """Sessions that stay within a group of items, but for one visit in ten."""
    rng = np.random.default_rng(seed)
    n = n_groups * size
    group = np.arange(n) % n_groups
    sessions = []
    for _ in range(900):
        inside = rng.choice(np.flatnonzero(group == rng.integers(n_groups)), 6)
        sessions.append(np.where(rng.random(6) < 0.1, rng.integers(0, n, 6), inside))
    return Sequences.from_lists(sessions), group


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def neighbours_in_group(vectors: np.ndarray, group: np.ndarray, k: int = 5) -> float:
    cosines = unit(vectors) @ unit(vectors).T
    np.fill_diagonal(cosines, -2)
    nearest = np.argsort(-cosines, axis=1)[:, :k]
    return float((group[nearest] == group[:, None]).mean())


SMALL: dict[str, Any] = {"vector_size": 16, "window": 3, "n_walks": 20, "walk_length": 10, "alpha": 0.05}


def test_planted_groups_are_recovered() -> None:
    seqs, group = planted()
    for more in ({}, {"p": 0.5, "q": 2.0}, {"weighting": "ppmi", "directed": False}, {"restart_probability": 0.2}):
        model = tc.WalkEmbedder(**SMALL, epochs=3, k=8, **more).fit(seqs)
        assert neighbours_in_group(model.item_vectors_, group) > 0.9
    assert model.n_items_ == 60
    assert model.item_vectors_.dtype == model.context_vectors_.dtype == np.float32
    assert model.item_vectors_.shape == model.context_vectors_.shape == (60, 16)
    assert len(model.loss_) == 3
    assert model.loss_[-1] < model.loss_[0]


def test_threads_keep_the_quality() -> None:
    seqs, group = planted()
    model = tc.WalkEmbedder(**SMALL, epochs=3, k=8, workers=3).fit(seqs)
    assert neighbours_in_group(model.item_vectors_, group) > 0.9


@pytest.mark.parametrize("block_tokens", [1, 150, 10**8])
def test_equals_walking_first_and_training_then(block_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_embedder, "_BLOCK_TOKENS", block_tokens)
    seqs, _ = planted()
    counts = tc.count_cooccurrences(seqs, window=5, self_pairs=False)
    graph = tc.build_item_graph(counts, k=6)
    walks = [w.tolist() for b in tc.WalkCorpus(graph, n_walks=5, walk_length=10, seed=4, shuffle=True) for w in b]
    visits = np.bincount(np.concatenate(walks), minlength=60)
    order = np.argsort(-visits, kind="stable")  # the trainer sees rows in order of falling count
    rank = np.argsort(order)
    corpus = Sequences.from_lists([rank[w] for w in walks])
    options = tc.SgnsOptions(vector_size=16, window=3, sample=0.0, epochs=2, seed=4)
    whole = tc.train_sgns(corpus, options, n_items=60)
    model = tc.WalkEmbedder(n_walks=5, walk_length=10, k=6, vector_size=16, window=3, epochs=2, seed=4).fit(seqs)
    np.testing.assert_allclose(model.item_vectors_, whole.item_vectors[rank], atol=1e-5)
    np.testing.assert_allclose(model.context_vectors_, whole.context_vectors[rank], atol=1e-5)
    assert model.loss_ == pytest.approx(whole.loss, rel=1e-5)
    assert model.walk_report_.n_tokens == corpus.n_tokens


def test_items_without_edges_have_no_vector_and_are_named() -> None:
    seqs, _ = planted()
    model = tc.WalkEmbedder(**SMALL).fit(seqs, n_items=63)
    assert model.n_items_ == 63
    assert model.graph_report_.isolated.tolist() == [60, 61, 62]
    assert not model.item_vectors_[60:].any()
    assert not model.context_vectors_[60:].any()
    assert model.item_vectors_[:60].any(axis=1).all()
    filled = tc.backfill_vectors(model.item_vectors_, categories=np.arange(63) % 4)
    assert filled.source[60:].tolist() == ["category"] * 3


def test_a_graph_can_be_given() -> None:
    ring = np.arange(12)
    graph = tc.graph_from_edges(ring, (ring + 1) % 12, directed=False)
    seen: list[tuple[str, float, float]] = []
    model = tc.WalkEmbedder(**SMALL).fit_graph(graph, progress=lambda *step: seen.append(step))
    assert model.item_vectors_.shape == (12, 16)
    assert {stage for stage, _, _ in seen} == {"walks", "sgns"}
    assert all(done <= total for _, done, total in seen)
    again = tc.WalkEmbedder(**SMALL).fit_graph(graph)
    assert again.item_vectors_.tobytes() == model.item_vectors_.tobytes()


def test_interrupted_training_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_embedder, "_BLOCK_TOKENS", 500)
    seqs, _ = planted()

    def stop(stage: str, done: float, total: float) -> None:
        if stage == "sgns" and done > 0:
            raise KeyboardInterrupt

    model = tc.WalkEmbedder(**SMALL, epochs=50)
    with pytest.raises(KeyboardInterrupt):
        model.fit(seqs, progress=stop)
    assert not model.report_.finished
    assert model.item_vectors_.shape == (60, 16)
    assert np.isfinite(model.item_vectors_).all()


def test_parameters_can_be_read_and_set() -> None:
    model = tc.WalkEmbedder(p=0.5)
    assert repr(model) == "WalkEmbedder(p=0.5)"
    assert model.set_params(q=2.0).get_params()["q"] == 2.0
    with pytest.raises(ValueError, match="no parameter 'walks'"):
        model.set_params(walks=3)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"n_walks": 0}, ValueError), ({"walk_length": 2.5}, TypeError), ({"p": -1.0}, ValueError),
        ({"k": 0}, ValueError), ({"weighting": "x"}, ValueError), ({"epochs": 0}, ValueError),
        ({"vector_size": 0}, ValueError), ({"workers": 0}, ValueError),
        ({"seed": -1}, ValueError), ({"restart_probability": 2.0}, ValueError), ({"directed": 1}, TypeError),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], error: type[Exception]) -> None:
    seqs, _ = planted(size=3)
    with pytest.raises(error, match=f"'{next(iter(parameters))}' parameter"):
        tc.WalkEmbedder(**parameters).fit(seqs)


def test_nothing_to_walk_on() -> None:
    with pytest.raises(ValueError, match="'graph' parameter of WalkEmbedder must be a graph with at least one edge"):
        tc.WalkEmbedder().fit(Sequences.from_lists([[0], [1]]))
    with pytest.raises(TypeError, match="'graph' parameter of WalkEmbedder must be an array"):
        tc.WalkEmbedder().fit_graph("graph")


def test_a_matrix_and_a_networkx_graph_are_walked_as_their_graph_is() -> None:
    labels = ["tea", "cup", "milk", "sugar", "spoon"]
    graph = networkx.Graph()
    graph.add_nodes_from(labels)
    graph.add_weighted_edges_from([("tea", "cup", 3.0), ("tea", "milk", 1.0), ("cup", "spoon", 2.0)])
    small = {"vector_size": 8, "walk_length": 5, "n_walks": 20}
    model = tc.WalkEmbedder(**small).fit_graph(graph)
    assert model.node_ids_.tolist() == labels
    assert model.graph_report_.isolated.tolist() == [3]
    plain = tc.WalkEmbedder(**small).fit_graph(networkx.to_numpy_array(graph))
    assert plain.node_ids_ is None
    assert plain.item_vectors_.tobytes() == model.item_vectors_.tobytes()
