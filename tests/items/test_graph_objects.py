"""Graphs of networkx and igraph, and ids of nodes."""

from __future__ import annotations

from typing import Any

import igraph
import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc

KINDS = (networkx.Graph, networkx.DiGraph, networkx.MultiGraph, networkx.MultiDiGraph)
EDGES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.5, 1.0, 2.0, 7.0])), max_size=20
)


@given(edges=EDGES, kind=st.sampled_from(KINDS), keep=st.booleans())
def test_a_networkx_graph_is_its_own_adjacency_matrix(edges: list[Any], kind: Any, keep: bool) -> None:
    graph = kind()
    graph.add_nodes_from(range(7))
    graph.add_weighted_edges_from(edges)
    expected = networkx.to_numpy_array(graph)
    if not keep:
        np.fill_diagonal(expected, 0.0)
    found = tc.graph_from_matrix(graph, keep_self_loops=keep)
    np.testing.assert_array_equal(found.adjacency.toarray(), expected)
    assert found.node_ids is not None
    assert found.node_ids.tolist() == list(range(7))


@given(edges=EDGES, directed=st.booleans())
def test_an_igraph_graph_is_its_own_adjacency_matrix(edges: list[Any], directed: bool) -> None:
    graph = igraph.Graph(n=7, edges=[(a, b) for a, b, _ in edges], directed=directed)
    graph.es["weight"] = [weight for *_, weight in edges]
    expected = np.zeros((7, 7))
    for a, b, weight in edges:
        expected[a, b] += weight
        if not directed and a != b:
            expected[b, a] += weight
    found = tc.graph_from_matrix(graph, keep_self_loops=True)
    np.testing.assert_array_equal(found.adjacency.toarray(), expected)
    assert found.node_ids is None
    graph.vs["name"] = list("abcdefg")
    assert tc.graph_from_matrix(graph).node_ids.tolist() == list("abcdefg")


def test_edges_without_a_weight_count_once_and_labels_may_be_anything() -> None:
    graph = networkx.path_graph(3)
    graph.add_edge(("x", 1), 0)
    found = tc.graph_from_matrix(graph)
    assert found.adjacency.data.tolist() == [1.0] * 6
    assert found.node_ids.tolist() == [0, 1, 2, ("x", 1)]
    assert tc.graph_from_matrix(networkx.Graph()).n_nodes == 0
    assert tc.graph_from_matrix(igraph.Graph()).n_nodes == 0


@pytest.mark.parametrize("weight", [-1.0, np.nan])
def test_bad_weights_of_a_graph_are_refused(weight: float) -> None:
    graph = networkx.Graph()
    graph.add_edge("a", "b", weight=weight)
    with pytest.raises(ValueError, match="'graph' parameter of random_walks must be"):
        tc.random_walks(graph)


def test_edges_between_ids() -> None:
    graph = tc.graph_from_edges(["b", "a", "b"], np.array(["c", "b", "c"]), [1, 2, 3])
    assert graph.node_ids.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(graph.adjacency.toarray(), [[0, 2, 0], [0, 0, 4], [0, 0, 0]])
    with pytest.raises(ValueError, match="'n_nodes' parameter of graph_from_edges must be None where nodes have ids"):
        tc.graph_from_edges(["a"], ["b"], n_nodes=2)
    with pytest.raises(ValueError, match=r"'targets' parameter of graph_from_edges must be an array of shape \(2,\)"):
        tc.graph_from_edges(["a", "b"], ["b"])
    with pytest.raises(ValueError, match="pass ids as strings"):
        tc.graph_from_edges([1_900_000_000], [3])
    with pytest.raises(TypeError, match="'sources' parameter"):
        tc.graph_from_edges(["a", None], ["b", "c"])
