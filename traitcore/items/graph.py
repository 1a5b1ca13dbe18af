"""Item graphs: from co-occurrence counts, from edges, from files; weighted CSR, with a report of what is odd."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import io, sparse
from scipy.sparse.csgraph import connected_components

from .._errors import on_behalf_of, parameter_message
from .._kernels.graph import keep_heaviest
from .._parallel import balanced_blocks, resolve_workers, run_blocks
from .._validate import check_array, check_bool, check_choice, check_csr, check_int
from .ppmi import positive_pmi

WEIGHTINGS = ("counts", "ppmi", "cosine")


@dataclass(frozen=True, eq=False)
class GraphReport:
    """What a graph is made of, and what was left out on the way to it.

    Attributes
    ----------
    n_nodes, n_edges : nodes, and directed edges (an undirected edge is two).
    isolated : (n_isolated,) int32 nodes without any edge, in or out. A walk from one is that node alone.
    n_dead_ends : nodes without a way out (isolated ones included); a walk that arrives at one ends there.
    n_components, largest_component : weakly connected parts, and the number of nodes of the largest.
    self_loops_dropped, zeros_dropped, duplicates_merged : stored entries that became no edge of their own.
    edges_pruned : edges beyond each row's `top_k`.
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
            f"{self.n_isolated:,} isolated nodes, {self.n_dead_ends:,} without a way out",
            f"left out: {self.self_loops_dropped:,} self-loops, {self.zeros_dropped:,} zero weights, "
            f"{self.edges_pruned:,} edges beyond top_k; {self.duplicates_merged:,} duplicates merged by sum",
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class ItemGraph:
    """A weighted graph: `adjacency` (n, n) CSR float64 with positive weights and sorted indices, and its `report`."""

    adjacency: sparse.csr_array
    report: GraphReport

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
    top_k: int | None = 50,
    weighting: str = "counts",
    directed: bool = True,
    keep_self_loops: bool = False,
    workers: int = 1,
) -> ItemGraph:
    """Graph of items: each item's `top_k` heaviest neighbours by co-occurrence.

    Parameters
    ----------
    counts : (n, n) sparse or dense co-occurrence counts, non-negative (e.g. of `count_cooccurrences`).
    top_k : neighbours kept of each item, ties to the lower row; None keeps all.
    weighting : "counts": as they are; "ppmi": positive pointwise mutual information; "cosine": counts[i, j] over
        the square root of (sum of row i times sum of column j), which tames popular items.
    directed : True keeps i -> j where j is among i's top_k. False makes every kept edge go both ways, with the
        heavier of the two weights; a popular item can then have more than top_k neighbours.
    keep_self_loops : False drops the diagonal (an item that follows itself), and the report counts it.
    workers : threads; the result doesn't depend on them.

    Raises
    ------
    ValueError : counts that aren't square, negative, NaN or infinite (the first bad place is named); TypeError.
    """
    owner = "build_item_graph"
    top_k = None if top_k is None else check_int("top_k", owner, top_k, 1)
    check_choice("weighting", owner, weighting, WEIGHTINGS)
    check_bool("directed", owner, directed)
    check_bool("keep_self_loops", owner, keep_self_loops)
    n_workers = resolve_workers(workers, owner)
    matrix, dropped = _clean(counts, "counts", owner, keep_self_loops)
    if weighting == "ppmi" and matrix.nnz:
        matrix = sparse.csr_array(positive_pmi(matrix)).astype(np.float64)
        dropped["zeros_dropped"] += matrix.nnz - np.count_nonzero(matrix.data)
    elif weighting == "cosine":
        rows, columns = np.asarray(matrix.sum(axis=1)), np.asarray(matrix.sum(axis=0))
        row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        # Two roots, not the root of a product: sums of large counts don't overflow.
        scale = np.sqrt(rows[row_of]) * np.sqrt(columns[matrix.indices])
        matrix = _with_data(matrix, matrix.data / scale)
    before = int(np.count_nonzero(matrix.data))
    matrix = _prune(matrix, top_k, n_workers)
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
    sources, targets : (n_edges,) ints >= 0, rows of nodes.
    weights : (n_edges,) non-negative numbers, or None for 1 each. Duplicate edges are merged by their sum.
    n_nodes : number of nodes; None: one past the largest seen.
    directed : False makes every edge go both ways, with the heavier weight where both were given.
    keep_self_loops : False drops edges from a node to itself, and the report counts them.

    Raises
    ------
    ValueError, TypeError : arrays of different lengths, a node outside [0, n_nodes), a bad weight.
    """
    owner = "graph_from_edges"
    source = check_array("sources", owner, sources, dtype=np.int32, shape=(None,))
    target = check_array("targets", owner, targets, dtype=np.int32, shape=(len(source),))
    if weights is None:
        weight = np.ones(len(source))
    else:
        weight = check_array("weights", owner, weights, dtype=np.float64, shape=(len(source),), nonnegative=True)
    seen = int(max(source.max(), target.max())) + 1 if len(source) else 0
    if n_nodes is None and seen > 2**31 - 1:  # before a matrix of so many rows is made
        raise ValueError(parameter_message("sources", owner, "of at most 2**31 - 1 nodes", f"{seen} nodes"))
    n = seen if n_nodes is None else check_int("n_nodes", owner, n_nodes, 0, 2**31 - 1)
    for name, nodes in (("sources", source), ("targets", target)):
        if len(nodes) and (nodes.min() < 0 or nodes.max() >= n):
            place = int(np.argmax((nodes < 0) | (nodes >= n)))
            rule = f"rows of nodes in [0, {n - 1}]"
            raise ValueError(parameter_message(name, owner, rule, f"{nodes[place]} at {place}"))
    return graph_from_matrix(
        sparse.coo_array((weight, (source, target)), shape=(n, n)), directed=directed, keep_self_loops=keep_self_loops
    )


def graph_from_matrix(adjacency: Any, *, directed: bool = True, keep_self_loops: bool = False) -> ItemGraph:
    """Graph from an adjacency matrix: (n, n) sparse or dense, non-negative; entry [i, j] is the weight of i -> j.

    `directed`, `keep_self_loops` and errors as in `graph_from_edges`.
    """
    owner = "graph_from_matrix"
    check_bool("directed", owner, directed)
    check_bool("keep_self_loops", owner, keep_self_loops)
    matrix, dropped = _clean(adjacency, "adjacency", owner, keep_self_loops)
    return _finish(_prune(matrix, None, 1), directed, **dropped)


def read_graph(
    path: str | Path, *, key: str | None = None, directed: bool = True, keep_self_loops: bool = False
) -> ItemGraph:
    """Graph from a file: a MATLAB `.mat` (version 4 to 7.2) or a scipy sparse `.npz`.

    `key` names the variable of a .mat that holds the adjacency; None takes the only square matrix there is.

    Raises
    ------
    ValueError : another kind of file, no such variable, or several square matrices and no `key`.
    FileNotFoundError : no such file.
    """
    path = Path(path)
    if path.suffix == ".npz":
        if key is not None:
            raise ValueError(parameter_message("key", "read_graph", "None for an .npz file", key))
        return graph_from_matrix(sparse.load_npz(path), directed=directed, keep_self_loops=keep_self_loops)
    if path.suffix != ".mat":
        raise ValueError(parameter_message("path", "read_graph", "a .mat or .npz file", str(path)))
    variables = {name: value for name, value in io.loadmat(path).items() if not name.startswith("__")}
    square = sorted(n for n, v in variables.items() if getattr(v, "ndim", 0) == 2 and v.shape[0] == v.shape[1] > 1)
    if key is None and len(square) == 1:
        key = square[0]
    if key is None or key not in variables:
        rule = f"one of the variables of {path.name} that hold a square matrix ({', '.join(square) or 'none'})"
        raise ValueError(parameter_message("key", "read_graph", rule, key))
    return graph_from_matrix(variables[key], directed=directed, keep_self_loops=keep_self_loops)


def _clean(value: Any, name: str, owner: str, keep_self_loops: bool) -> tuple[sparse.csr_array, dict[str, int]]:
    """Canonical float64 CSR of at most 2**31 - 1 nodes without the diagonal, and what was merged or dropped."""
    matrix = check_csr(name, owner, value, dtype=np.float64, square=True, nonnegative=True)
    if matrix.shape[0] > 2**31 - 1:
        raise ValueError(parameter_message(name, owner, "at most 2**31 - 1 nodes", f"{matrix.shape[0]} nodes"))
    stored = value.nnz if sparse.issparse(value) else matrix.nnz
    dropped = {"duplicates_merged": int(stored) - int(matrix.nnz), "self_loops_dropped": 0}
    dropped["zeros_dropped"] = int(matrix.nnz - np.count_nonzero(matrix.data)) if sparse.issparse(value) else 0
    if not keep_self_loops:
        row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        loops = (row_of == matrix.indices) & (matrix.data > 0)
        dropped["self_loops_dropped"] = int(np.count_nonzero(loops))
        if loops.any():
            matrix = _with_data(matrix, np.where(loops, 0.0, matrix.data))
    return matrix, dropped


def _with_data(matrix: sparse.csr_array, data: NDArray[np.float64]) -> sparse.csr_array:
    fresh = sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    fresh.has_canonical_format = True
    return fresh


def _prune(matrix: sparse.csr_array, top_k: int | None, workers: int) -> sparse.csr_array:
    """Only positive weights, and of each row at most its `top_k` heaviest."""
    kept = matrix.data > 0
    if top_k is not None and matrix.nnz:
        indptr = matrix.indptr.astype(np.int64, copy=False)
        kept = np.zeros(matrix.nnz, dtype=np.bool_)
        k = min(top_k, max(1, int(np.diff(indptr).max())))
        run_blocks(keep_heaviest, balanced_blocks(indptr, 4 * workers), workers, indptr, matrix.data, k, kept)
    if kept.all():
        return matrix.copy()  # never the caller's own arrays
    indptr = np.concatenate(([0], np.cumsum(kept)))[matrix.indptr]
    pruned = sparse.csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)
    pruned.has_canonical_format = True
    return pruned


def _finish(matrix: sparse.csr_array, directed: bool, **dropped: int) -> ItemGraph:
    """Both ways where asked, read-only, with its report."""
    if not directed:
        matrix = sparse.csr_array(matrix.maximum(matrix.T))
        matrix.sort_indices()
    out_degree = np.diff(matrix.indptr)
    in_degree = np.bincount(matrix.indices, minlength=matrix.shape[0])
    n_components, label = connected_components(matrix, directed=False) if matrix.shape[0] else (0, [])
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    report = GraphReport(
        n_nodes=matrix.shape[0],
        n_edges=matrix.nnz,
        isolated=np.flatnonzero((out_degree == 0) & (in_degree == 0)).astype(np.int32),
        n_dead_ends=int(np.count_nonzero(out_degree == 0)),
        n_components=int(n_components),
        largest_component=int(np.bincount(label).max()) if n_components else 0,
        **dropped,
    )
    return ItemGraph(matrix, report)
