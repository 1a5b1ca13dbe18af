# mypy: allow-untyped-calls
"""Item graphs of co-occurrence counts, edges or matrices: weighted CSR, and a report of what was dropped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _core
from .._csr import PART, canonical, csr_in_stored_order, map_rows
from .._errors import on_behalf_of
from .._parallel import balanced_blocks, priced_blocks, run_blocks
from .._validate import Checks
from .count_parts import csr_of
from .graph_objects import adjacency_of
from .ppmi import positive_pmi

WEIGHTINGS = ("counts", "ppmi", "cosine")


@dataclass(frozen=True, eq=False)
class GraphReport:
    """The size of a graph, and what was left out when it was made.

    Attributes
    ----------
    n_nodes, n_edges : nodes, and directed edges (an undirected edge is two).
    isolated : (n_isolated,) int32 nodes without any edge, in or out. A walk from one is that node alone.
    n_dead_ends : nodes without outgoing edges (isolated ones included): walks end there.
    n_components, largest_component : weakly connected parts, and the number of nodes of the largest.
    self_loops_dropped, zeros_dropped, duplicates_merged : stored entries that became no edge of their own.
    edges_pruned : edges beyond each row's `k`.
    """

    n_nodes: int
    n_edges: int
    isolated: NDArray[np.int32] = field(repr=False)
    n_dead_ends: int = 0
    n_components: int = 0
    largest_component: int = 0
    self_loops_dropped: int = 0
    zeros_dropped: int = 0
    duplicates_merged: int = 0
    edges_pruned: int = 0

    @property
    def n_isolated(self) -> int:
        """Number of nodes without any edge."""
        return len(self.isolated)

    def __str__(self) -> str:
        lines = [
            f"{self.n_nodes:,} nodes, {self.n_edges:,} directed edges, {self.n_components:,} components "
            f"(the largest has {self.largest_component:,} nodes)",
            f"{self.n_isolated:,} isolated nodes, {self.n_dead_ends:,} without outgoing edges",
            f"left out: {self.self_loops_dropped:,} self-loops, {self.zeros_dropped:,} zero weights, "
            f"{self.edges_pruned:,} edges beyond k; {self.duplicates_merged:,} duplicates merged by sum",
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class ItemGraph:
    """A weighted graph.

    Attributes
    ----------
    adjacency : (n, n) CSR float64 with positive weights and sorted indices; entry [i, j] is the weight of i -> j.
    report : GraphReport.
    node_ids : (n,) array of the nodes' ids, int64, str or object; None where nodes are numbered 0 ... n - 1.

    See Also
    --------
    build_item_graph, graph_from_edges, graph_from_matrix, read_graph : make one.

    Examples
    --------
    >>> import traitcore as tc
    >>> graph = tc.graph_from_edges([0, 1], [1, 2], n_nodes=4)
    >>> graph.n_nodes, graph.n_edges, graph.report.isolated.tolist()
    (4, 2, [3])
    """

    adjacency: sparse.csr_array
    report: GraphReport
    node_ids: NDArray[Any] | None = None

    @property
    def n_nodes(self) -> int:
        """Number of nodes (items)."""
        return int(self.adjacency.shape[0])

    @property
    def n_edges(self) -> int:
        """Number of directed edges; an undirected edge is two."""
        return int(self.adjacency.nnz)

    def __repr__(self) -> str:
        return f"ItemGraph({self.n_nodes:,} nodes, {self.n_edges:,} edges, {self.report.n_isolated:,} isolated)"


def build_item_graph(
    counts: Any,
    *,
    k: int | None = 50,
    weighting: str = "counts",
    directed: bool = True,
    keep_self_loops: bool = False,
    workers: int = 1,
) -> ItemGraph:
    """Graph of items: each item's `k` heaviest neighbours by co-occurrence.

    Parameters
    ----------
    counts : (n, n) sparse or dense co-occurrence counts, non-negative (e.g. of `count_cooccurrences`).
    k : neighbours kept of each item, ties to the lower row; None keeps all.
    weighting : "counts": as they are; "ppmi": positive pointwise mutual information; "cosine": counts[i, j] over
        the square root of (sum of row i times sum of column j), which tames popular items.
    directed : True keeps i -> j where j is among i's k. False makes every kept edge go both ways, with the
        heavier of the two weights; a popular item can then have more than k neighbours.
    keep_self_loops : False drops the diagonal (an item that follows itself), and the report counts it.
    workers : threads; the result doesn't depend on them.

    Raises
    ------
    ValueError : counts that aren't square, negative, NaN or infinite (the first bad place is named); TypeError.

    See Also
    --------
    graph_from_edges, graph_from_matrix, read_graph : graphs as given. random_walks, WalkEmbedder : use the graph.

    Examples
    --------
    >>> import traitcore as tc
    >>> graph = tc.build_item_graph([[0, 3, 1], [3, 0, 2], [1, 2, 0]], k=1)
    >>> graph.adjacency.toarray().tolist()
    [[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    >>> graph.report.edges_pruned
    3
    """
    check = Checks("build_item_graph")
    k = None if k is None else check.integer("k", k, 1)
    check.choice("weighting", weighting, WEIGHTINGS)
    check.boolean("directed", directed)
    check.boolean("keep_self_loops", keep_self_loops)
    n_workers = check.workers(workers)
    matrix, dropped = _clean(counts, "counts", check, keep_self_loops)
    if weighting == "ppmi" and matrix.nnz:
        matrix = sparse.csr_array(positive_pmi(matrix)).astype(np.float64)
        dropped["zeros_dropped"] += matrix.nnz - np.count_nonzero(matrix.data)
    elif weighting == "cosine":
        sums = np.asarray(matrix.sum(axis=1)), np.asarray(matrix.sum(axis=0))
        scaled = np.empty_like(matrix.data)
        run_blocks(_core.scale_by_roots, _blocks(matrix), n_workers, *_arrays(matrix), *sums, scaled)
        matrix = _with_data(matrix, scaled)
    before = int(np.count_nonzero(matrix.data))
    matrix = _prune(matrix, k, n_workers)
    return _finish(matrix, directed, edges_pruned=before - matrix.nnz, **dropped)


@on_behalf_of("graph_from_edges")
def graph_from_edges(
    sources: Any,
    targets: Any,
    weights: Any = None,
    *,
    n_nodes: int | None = None,
    directed: bool = True,
    keep_self_loops: bool = False,
) -> ItemGraph:
    """Graph from a list of edges.

    Parameters
    ----------
    sources, targets : (n_edges,) ints >= 0, rows of nodes, or strings, ids of nodes. Of ids, row i is the i-th in
        sorted order, and the graph's `node_ids` says which.
    weights : (n_edges,) non-negative numbers, or None for 1 each. Duplicate edges are merged by their sum.
    n_nodes : number of nodes; None: one past the largest seen. Not for ids.
    directed : False makes every edge go both ways, with the heavier weight where both were given.
    keep_self_loops : False drops edges from a node to itself, and the report counts them.

    Raises
    ------
    ValueError, TypeError : arrays of different lengths, a node outside [0, n_nodes), a bad weight.

    See Also
    --------
    read_graph : edges from a file. graph_from_matrix : from a matrix or another library's graph.

    Examples
    --------
    >>> import traitcore as tc
    >>> graph = tc.graph_from_edges(["tea", "tea"], ["cup", "milk"], [3, 1], directed=False)
    >>> graph.node_ids.tolist()
    ['cup', 'milk', 'tea']
    >>> graph.adjacency.toarray()[2].tolist()
    [3.0, 1.0, 0.0]
    """
    check = Checks("graph_from_edges")
    names = None
    sources, targets = check.plain("sources", sources), check.plain("targets", targets)
    if _are_texts(sources) and _are_texts(targets):
        if n_nodes is not None:
            raise check.value_error("n_nodes", "None where nodes have ids", n_nodes)
        sources, targets, names = _number_nodes(np.asarray(sources, dtype=str), np.asarray(targets, dtype=str), check)
        n_nodes = len(names)
    source = check.array("sources", sources, dtype=np.int32, shape=(None,))
    target = check.array("targets", targets, dtype=np.int32, shape=(len(source),))
    if weights is None:
        weight = np.ones(len(source))
    else:
        weight = check.array("weights", weights, dtype=np.float64, shape=(len(source),), nonnegative=True)
    n = _count_nodes(source, target, n_nodes, check)
    matrix = sparse.coo_array((weight, (source, target)), shape=(n, n))
    graph = graph_from_matrix(matrix, directed=directed, keep_self_loops=keep_self_loops)
    return replace(graph, node_ids=names)


def _are_texts(nodes: Any) -> bool:
    array = np.asarray(nodes)
    if array.dtype.kind == "O":
        return bool(array.size) and all(isinstance(node, str) for node in array.flat)
    return bool(array.dtype.kind in "UT" and array.size)


def _number_nodes(
    sources: NDArray[Any], targets: NDArray[Any], check: Checks
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Rows of sources and targets among all ids in sorted order, and these."""
    if sources.shape != targets.shape or sources.ndim != 1:
        rule = f"an array of shape ({len(sources)},), as 'sources'" if sources.ndim == 1 else "of one dimension"
        raise check.value_error("targets", rule, f"shape {targets.shape}")
    names, rows = np.unique(np.concatenate([sources, targets]), return_inverse=True)
    return rows[: len(sources)], rows[len(sources) :], names


def _count_nodes(source: NDArray[np.int32], target: NDArray[np.int32], n_nodes: Any, check: Checks) -> int:
    """`n_nodes` as given or one past the largest seen; a node outside is a ValueError."""
    seen = int(max(source.max(), target.max())) + 1 if len(source) else 0
    if n_nodes is None and seen > max(1 << 22, 64 * len(source)):  # mostly rows of nodes that no edge meets
        rule = "rows of nodes 0, 1, 2, ... (pass ids as strings, or 'n_nodes' to keep these)"
        raise check.value_error("sources", rule, f"node {seen - 1} among {len(source)} edges")
    n = seen if n_nodes is None else check.integer("n_nodes", n_nodes, 0, 2**31 - 1)
    for name, nodes in (("sources", source), ("targets", target)):
        if len(nodes) and (nodes.min() < 0 or nodes.max() >= n):
            place = int(np.argmax((nodes < 0) | (nodes >= n)))
            rule = f"rows of nodes in [0, {n - 1}]"
            raise check.value_error(name, rule, f"{nodes[place]} at {place}")
    return n


def graph_from_matrix(adjacency: Any, *, directed: bool = True, keep_self_loops: bool = False) -> ItemGraph:
    """Graph from an adjacency matrix, or from a graph of networkx or igraph.

    Parameters
    ----------
    adjacency : (n, n) sparse or dense, non-negative; entry [i, j] is the weight of i -> j. Or a networkx or igraph
        graph: its nodes in its own order, their labels (igraph: the vertex attribute "name") in `node_ids`; edges
        weigh their attribute "weight", 1 where there is none; parallel edges add up.
    directed, keep_self_loops, errors : as in `graph_from_edges`. An undirected graph of networkx or igraph goes both
        ways whatever `directed` says.

    See Also
    --------
    graph_from_edges, build_item_graph : from edges, from counts.

    Examples
    --------
    >>> import traitcore as tc
    >>> tc.graph_from_matrix([[0, 2], [0, 5]])  # the diagonal is left out: no item is its own neighbour
    ItemGraph(2 nodes, 1 edges, 0 isolated)
    """
    check = Checks("graph_from_matrix")
    return _graph_of(adjacency, "adjacency", check, directed=directed, keep_self_loops=keep_self_loops)


def as_graph(value: Any, name: str, check: Checks) -> ItemGraph:
    """An ItemGraph; anything else as `graph_from_matrix` takes it: without self-loops.

    Kernels read the arrays of a graph where they lie, so those that can be written to (of a graph made by hand, or
    unpickled) are checked and copied, and others checked.
    """
    if isinstance(value, ItemGraph):
        matrix = value.adjacency
        if sparse.issparse(matrix) and matrix.format == "csr" and not any(a.flags.writeable for a in _arrays(matrix)):
            check.csr_structure(name, matrix)
            return value
        clean, _ = _clean(matrix, name, check, keep_self_loops=True)
        return replace(value, adjacency=_read_only(_prune(clean, None, 1)))
    return _graph_of(value, name, check, directed=True, keep_self_loops=False)


def _graph_of(value: Any, name: str, check: Checks, *, directed: Any, keep_self_loops: Any) -> ItemGraph:
    check.boolean("directed", directed)
    check.boolean("keep_self_loops", keep_self_loops)
    matrix, names = adjacency_of(value)
    clean, dropped = _clean(matrix, name, check, keep_self_loops)
    return replace(_finish(_prune(clean, None, 1), directed, **dropped), node_ids=names)


def _clean(value: Any, name: str, check: Checks, keep_self_loops: bool) -> tuple[sparse.csr_array, dict[str, int]]:
    """Canonical float64 CSR of at most 2**31 - 1 nodes without the diagonal, and what was merged or dropped."""
    matrix = check.csr(name, value, dtype=np.float64, square=True, nonnegative=True)
    if matrix.shape[0] > 2**31 - 1:
        raise check.value_error(name, "at most 2**31 - 1 nodes", f"{matrix.shape[0]} nodes")
    stored = value.nnz if sparse.issparse(value) else matrix.nnz
    dropped = {"duplicates_merged": int(stored) - int(matrix.nnz), "self_loops_dropped": 0}
    dropped["zeros_dropped"] = int(matrix.nnz - np.count_nonzero(matrix.data)) if sparse.issparse(value) else 0
    if not keep_self_loops:
        dropped["self_loops_dropped"] = sum(
            run_blocks(_core.find_loops, _blocks(matrix), 1, *_arrays(matrix), None)
        )
        if dropped["self_loops_dropped"]:
            matrix = _with_data(matrix, matrix.data.copy())
            run_blocks(_core.find_loops, _blocks(matrix), 1, *_arrays(matrix), matrix.data)
    return matrix, dropped


def _blocks(matrix: sparse.csr_array) -> list[tuple[int, int]]:
    return balanced_blocks(matrix.indptr, max(1, matrix.nnz // PART))


def _arrays(matrix: sparse.csr_array) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return matrix.indptr, matrix.indices, matrix.data


def _with_data(matrix: sparse.csr_array, data: NDArray[np.float64]) -> sparse.csr_array:
    fresh = sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    fresh.has_canonical_format = True
    return fresh


def _prune(matrix: sparse.csr_array, k: int | None, workers: int) -> sparse.csr_array:
    """Only positive weights, and of each row at most its `k` heaviest."""
    kept = matrix.data > 0
    if k is not None and matrix.nnz:
        indptr = matrix.indptr.astype(np.int64, copy=False)
        kept = np.zeros(matrix.nnz, dtype=np.bool_)
        k = min(k, max(1, int(np.diff(indptr).max())))
        blocks = priced_blocks(indptr, workers, 1 << 22, per_worker=4)
        run_blocks(_core.keep_heaviest, blocks, workers, indptr, matrix.data, k, kept)
    if kept.all():
        return matrix.copy()  # never the caller's own arrays
    lengths = np.empty(matrix.shape[0], dtype=np.int64)
    run_blocks(_core.count_marked, _blocks(matrix), workers, matrix.indptr, kept, lengths)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return csr_of(matrix.data[kept], matrix.indices[kept], indptr, matrix.shape)


def _read_only(matrix: sparse.csr_array) -> sparse.csr_array:
    for array in _arrays(matrix):
        array.flags.writeable = False
    return matrix


def _finish(matrix: sparse.csr_array, directed: bool, **dropped: int) -> ItemGraph:
    """Both ways where asked, read-only, with its report."""
    if not directed:
        turned = canonical(csr_in_stored_order(matrix.T, matrix.dtype), matrix.dtype)
        matrix = map_rows(lambda one, other: sparse.csr_array(one.maximum(other)), matrix, turned, entries=PART)
        matrix.sort_indices()
    out_degree = np.diff(matrix.indptr)
    in_degree = np.bincount(matrix.indices, minlength=matrix.shape[0])
    parent = np.arange(matrix.shape[0])
    run_blocks(_core.join_parts, _blocks(matrix), 1, matrix.indptr, matrix.indices, parent)
    _core.settle_parts(parent)
    sizes = np.bincount(parent, minlength=matrix.shape[0])
    _read_only(matrix)
    report = GraphReport(
        n_nodes=matrix.shape[0],
        n_edges=matrix.nnz,
        isolated=np.flatnonzero((out_degree == 0) & (in_degree == 0)).astype(np.int32),
        n_dead_ends=int(np.count_nonzero(out_degree == 0)),
        n_components=int(np.count_nonzero(sizes)),
        largest_component=int(sizes.max(initial=0)),
        **dropped,
    )
    return ItemGraph(matrix, report)
