"""Graphs of networkx and igraph as sparse matrices; neither library is imported here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def adjacency_of(value: Any) -> tuple[Any, NDArray[Any] | None]:
    """The adjacency matrix of a networkx or igraph graph and its nodes' ids; anything else as it is, without ids.

    Undirected edges are entries both ways, a self-loop one entry. The weight of an edge is its attribute "weight",
    1 where it has none.
    """
    libraries = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    if "networkx" in libraries and hasattr(value, "adjacency"):
        return _from_networkx(value)
    if "igraph" in libraries and hasattr(value, "get_edgelist"):
        return _from_igraph(value)
    return value, None


def _from_networkx(graph: Any) -> tuple[sparse.coo_array, NDArray[Any]]:
    labels = list(graph)
    row = {label: i for i, label in enumerate(labels)}
    edges = [(row[a], row[b], attributes.get("weight", 1)) for a, b, attributes in graph.edges(data=True)]
    return _matrix(edges, len(labels), graph.is_directed()), _ids(labels)


def _from_igraph(graph: Any) -> tuple[sparse.coo_array, NDArray[Any] | None]:
    n_edges = graph.ecount()
    weights = graph.es["weight"] if "weight" in graph.es.attributes() else [1] * n_edges
    edges = [(a, b, 1 if weight is None else weight) for (a, b), weight in zip(graph.get_edgelist(), weights)]
    names = _ids(graph.vs["name"]) if "name" in graph.vs.attributes() else None
    return _matrix(edges, graph.vcount(), graph.is_directed()), names


def _matrix(edges: list[tuple[int, int, Any]], n: int, directed: bool) -> sparse.coo_array:
    source, target = (np.array([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))
    weight = np.array([edge[2] for edge in edges], dtype=np.float64)
    if not directed:
        back = source != target
        source, target = np.concatenate([source, target[back]]), np.concatenate([target, source[back]])
        weight = np.concatenate([weight, weight[back]])
    return sparse.coo_array((weight, (source, target)), shape=(n, n))


def _ids(labels: list[Any]) -> NDArray[Any]:
    """int64 or str where all labels are, else objects."""
    if all(isinstance(label, (int, np.integer)) and not isinstance(label, bool) for label in labels):
        return np.array([int(label) for label in labels], dtype=np.int64)
    if all(isinstance(label, str) for label in labels):
        return np.array(labels, dtype=str)
    ids = np.empty(len(labels), dtype=object)
    ids[:] = labels
    return ids
