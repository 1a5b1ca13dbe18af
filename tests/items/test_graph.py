"""Item graphs: what is linked to what, what was left out, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import io, sparse

import traitcore as tc
from tests.reference.walks import heaviest
from traitcore.items.graph import ItemGraph
from traitcore.items.ppmi import positive_pmi


def random_counts(n: int, density: float, seed: int, *, levels: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < density, rng.integers(1, levels + 1, (n, n)), 0).astype(float)


def without_diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.where(np.eye(len(matrix), dtype=bool), 0.0, matrix)


@given(n=st.integers(1, 23), k=st.integers(1, 9), density=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_k_heaviest_equal_the_sorted_reference(n: int, k: int, density: float, seed: int) -> None:
    counts = random_counts(n, density, seed)  # few levels: many ties
    graph = tc.build_item_graph(counts, k=k)
    expected = heaviest(without_diagonal(counts), k)
    assert np.array_equal(graph.adjacency.toarray(), expected)
    off = int(np.count_nonzero(without_diagonal(counts)))
    assert graph.report.edges_pruned == off - graph.n_edges
    assert graph.report.self_loops_dropped == np.count_nonzero(np.diag(counts))


def test_adjacency_is_canonical_and_a_copy() -> None:
    counts = sparse.csr_array(without_diagonal(random_counts(31, 0.4, 0)))
    before = counts.copy()
    for graph in (tc.build_item_graph(counts, k=None), tc.graph_from_matrix(counts)):
        assert graph.adjacency.has_sorted_indices
        assert graph.adjacency.dtype == np.float64
        assert not np.shares_memory(graph.adjacency.data, counts.data)
        assert not np.shares_memory(graph.adjacency.indices, counts.indices)
    counts.data[:] = 7.0  # the caller's matrix stays the caller's
    assert np.array_equal(graph.adjacency.toarray(), before.toarray())


def test_weightings_are_the_written_formulas() -> None:
    counts = without_diagonal(random_counts(17, 0.5, 1))
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    cosine = tc.build_item_graph(counts, k=None, weighting="cosine").adjacency.toarray()
    np.testing.assert_allclose(cosine, counts / np.sqrt(np.outer(rows, columns)), rtol=1e-12)
    ppmi = tc.build_item_graph(counts, k=None, weighting="ppmi").adjacency.toarray()
    np.testing.assert_allclose(ppmi, positive_pmi(sparse.csr_array(counts)).toarray(), rtol=1e-6)


def test_weighting_decides_what_k_keeps() -> None:
    counts = without_diagonal(random_counts(40, 0.6, 2, levels=50))
    cosine = tc.build_item_graph(counts, k=None, weighting="cosine").adjacency.toarray()
    kept = tc.build_item_graph(counts, k=3, weighting="cosine").adjacency.toarray()
    np.testing.assert_allclose(kept, heaviest(cosine, 3))


def test_undirected_keeps_the_heavier_way() -> None:
    counts = random_counts(29, 0.4, 3, levels=1000)
    one_way = heaviest(without_diagonal(counts), 4)
    both = tc.build_item_graph(counts, k=4, directed=False).adjacency.toarray()
    assert np.array_equal(both, np.maximum(one_way, one_way.T))


@given(seed=st.integers(0, 50))
def test_permuting_items_permutes_the_graph(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.permutation(19 * 19).reshape(19, 19).astype(float)  # no ties, which go to the lower row
    order = rng.permutation(19)
    graph = tc.build_item_graph(counts, k=5).adjacency.toarray()
    moved = tc.build_item_graph(counts[np.ix_(order, order)], k=5).adjacency.toarray()
    assert np.array_equal(moved, graph[np.ix_(order, order)])


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_workers_change_nothing(workers: int) -> None:
    counts = random_counts(101, 0.3, 4)
    one, many = tc.build_item_graph(counts, k=6), tc.build_item_graph(counts, k=6, workers=workers)
    assert np.array_equal(one.adjacency.toarray(), many.adjacency.toarray())


def test_edges_duplicates_loops_and_zeros_are_reported() -> None:
    graph = tc.graph_from_edges([0, 0, 1, 2, 3], [1, 1, 0, 2, 0], [1.0, 2.0, 5.0, 1.0, 0.0], n_nodes=6)
    assert graph.adjacency.toarray()[0, 1] == 3.0
    assert graph.n_edges == 2
    report = graph.report
    assert (report.duplicates_merged, report.self_loops_dropped, report.zeros_dropped) == (1, 1, 1)
    assert report.isolated.tolist() == [2, 3, 4, 5]
    assert (report.n_isolated, report.n_dead_ends, report.n_components, report.largest_component) == (4, 4, 5, 2)
    assert "4 isolated" in str(report)
    assert "4 isolated" in repr(graph)


def test_self_loops_can_be_kept() -> None:
    graph = tc.graph_from_edges([0, 1], [0, 0], keep_self_loops=True)
    assert graph.adjacency.toarray().tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert graph.report.self_loops_dropped == 0
    assert tc.build_item_graph(np.eye(3), keep_self_loops=True).n_edges == 3


def test_a_sink_is_a_dead_end_but_not_isolated() -> None:
    report = tc.graph_from_edges([0, 1], [2, 2]).report
    assert (report.n_dead_ends, report.n_isolated, report.n_components) == (1, 0, 1)


@pytest.mark.parametrize("directed", [True, False])
def test_empty_graphs_and_one_node(directed: bool) -> None:
    for n in (0, 1, 5):
        for graph in (
            tc.graph_from_edges([], [], n_nodes=n, directed=directed),
            tc.build_item_graph(np.zeros((n, n)), directed=directed),
            tc.build_item_graph(np.zeros((n, n)), directed=directed, weighting="ppmi"),
            tc.build_item_graph(sparse.csr_array((n, n)), directed=directed, weighting="cosine"),
        ):
            assert (graph.n_nodes, graph.n_edges, graph.report.n_isolated) == (n, 0, n)
    assert tc.graph_from_edges([], []).n_nodes == 0
    assert tc.build_item_graph([[4.0]]).report.self_loops_dropped == 1


def test_graphs_are_read_from_files(tmp_path: Path) -> None:
    matrix = sparse.csr_array(without_diagonal(random_counts(13, 0.4, 5)))
    sparse.save_npz(tmp_path / "g.npz", matrix)
    io.savemat(tmp_path / "g.mat", {"network": sparse.csc_matrix(matrix), "group": np.ones((13, 3))})
    for path in (tmp_path / "g.npz", tmp_path / "g.mat", str(tmp_path / "g.mat")):
        assert np.array_equal(tc.read_graph(path).adjacency.toarray(), matrix.toarray())
    both = tc.read_graph(tmp_path / "g.mat", key="network", directed=False).adjacency.toarray()
    assert np.array_equal(both, np.maximum(matrix.toarray(), matrix.toarray().T))


def test_files_that_hold_no_graph(tmp_path: Path) -> None:
    io.savemat(tmp_path / "two.mat", {"a": np.ones((3, 3)), "b": np.ones((3, 3))})
    with pytest.raises(ValueError, match=r"'key' parameter of read_graph must be one of .*\(a, b\)"):
        tc.read_graph(tmp_path / "two.mat")
    with pytest.raises(ValueError, match="'key' parameter"):
        tc.read_graph(tmp_path / "two.mat", key="c")
    with pytest.raises(ValueError, match="'path' parameter"):
        tc.read_graph(tmp_path / "graph.gml")
    with pytest.raises(FileNotFoundError):
        tc.read_graph(tmp_path / "none.npz")
    sparse.save_npz(tmp_path / "g.npz", sparse.csr_array((2, 2)))
    with pytest.raises(ValueError, match="'key' parameter"):
        tc.read_graph(tmp_path / "g.npz", key="network")


BAD = np.array([[0.0, 1.0], [2.0, 0.0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.__setitem__((1, 0), -1.0), "non-negative. Got .-1.0 at row 1, column 0"),
        (lambda m: m.__setitem__((1, 0), np.nan), "finite. Got .nan at row 1, column 0"),
        (lambda m: m.__setitem__((0, 1), np.inf), "finite. Got .inf at row 0, column 1"),
    ],
)
@pytest.mark.parametrize("build", ["build_item_graph", "graph_from_matrix"])
def test_bad_weights_are_named(build: str, change: Any, message: str) -> None:
    matrix = BAD.copy()
    change(matrix)
    for value in (matrix, sparse.csr_array(matrix)):
        with pytest.raises(ValueError, match=message):
            getattr(tc, build)(value)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"'counts' parameter of build_item_graph must be a sparse matrix \(square\)"):
        tc.build_item_graph(np.ones((2, 3)))
    with pytest.raises(ValueError, match="'adjacency' parameter of graph_from_matrix"):
        tc.graph_from_matrix(sparse.csr_array((2, 3)))
    for wrong, error in ((0, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="'k' parameter of build_item_graph"):
            tc.build_item_graph(BAD, k=wrong)
    with pytest.raises(ValueError, match=r"'weighting' parameter .* 'counts', 'ppmi', 'cosine'"):
        tc.build_item_graph(BAD, weighting="jaccard")
    for name in ("directed", "keep_self_loops"):
        with pytest.raises(TypeError, match=f"'{name}' parameter"):
            tc.build_item_graph(BAD, **{name: 1})
        with pytest.raises(TypeError, match=f"'{name}' parameter"):
            tc.graph_from_matrix(BAD, **{name: "yes"})
    with pytest.raises(ValueError, match="'workers' parameter"):
        tc.build_item_graph(BAD, workers=0)


def test_bad_edges_are_named() -> None:
    with pytest.raises(ValueError, match=r"'targets' parameter of graph_from_edges .* shape \(2,\)"):
        tc.graph_from_edges([0, 1], [1])
    with pytest.raises(ValueError, match=r"'sources' parameter .* rows of nodes in \[0, 1\]. Got '2 at 1'"):
        tc.graph_from_edges([0, 2], [1, 0], n_nodes=2)
    with pytest.raises(ValueError, match="Got '-1 at 0'"):
        tc.graph_from_edges([0], [-1])
    with pytest.raises(TypeError, match="'sources' parameter"):
        tc.graph_from_edges([0.5], [1])
    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="'weights' parameter of graph_from_edges"):
            tc.graph_from_edges([0], [1], [bad])
    with pytest.raises(ValueError, match="'weights' parameter"):
        tc.graph_from_edges([0], [1], [1.0, 2.0])


def test_a_row_past_the_last_possible_node_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="graph_from_edges must be rows of nodes 0, 1, 2"):
        tc.graph_from_edges([0, 2**31 - 1], [1, 1])  # of 2**31 nodes


def test_huge_counts_do_not_overflow() -> None:
    graph = tc.build_item_graph(np.full((3, 3), 1e200), weighting="cosine")
    assert np.isfinite(graph.adjacency.data).all()
    assert graph.n_edges == 6


def test_graph_is_frozen() -> None:
    graph = tc.graph_from_edges([0], [1])
    assert isinstance(graph, ItemGraph)
    with pytest.raises(ValueError, match="read-only"):
        graph.adjacency.data[0] = 2.0
