"""Graphs from files: edge lists as text, MATLAB and scipy's matrices."""

from __future__ import annotations

import bz2
import gzip
import lzma
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import io, sparse

from .._validate import Checks
from .graph import ItemGraph, graph_from_edges, graph_from_matrix

_CHECK = Checks("read_graph")
# None: any white space. Lists of edges are often called .txt, too.
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".edg": None, ".edgelist": None, ".edges": None, ".txt": None}

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_graph(
    path: str | Path,
    *,
    key: str | None = None,
    delimiter: str | None = None,
    header: bool = False,
    directed: bool = True,
    keep_self_loops: bool = False,
) -> ItemGraph:
    """Graph from a file.

    Parameters
    ----------
    path : an edge list, a MATLAB `.mat` (version 4 to 7.2), or a scipy sparse `.npz`.
        An edge list is text, one edge a line: source, target and, where the lines have a third column, weight.
        `.csv` is cut at commas, `.tsv` at tabs, `.edg`, `.edgelist`, `.edges`, `.txt` at white space; each also as
        `.gz`, `.bz2` or `.xz`, in UTF-8. Empty lines and those that begin with # or % are skipped.
        Nodes are their ids, in sorted order, in the graph's `node_ids`: int64 where all are whole numbers, else str.
    key : the variable of a .mat that holds the adjacency; None takes the only square matrix there is.
    delimiter : what an edge list is cut at, where it isn't what the file's name says.
    header : True skips the first line of an edge list.
    directed, keep_self_loops : as in `graph_from_edges`. PecanPy's default is undirected.

    Raises
    ------
    ValueError : another kind of file, no such variable, or several square matrices and no `key`; an edge list whose
        lines differ in their number of columns, or a weight that is no number (the line is named).
    FileNotFoundError : no such file.

    See Also
    --------
    graph_from_edges, graph_from_matrix : what the file's contents go through.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> path = Path(tempfile.mkdtemp()) / "edges.csv"
    >>> _ = path.write_text("tea,cup,3\\ntea,milk,1\\n")
    >>> tc.read_graph(path).node_ids.tolist()
    ['cup', 'milk', 'tea']
    """
    path = Path(path)
    inner = Path(path.stem).suffix if path.suffix in _OPENERS else path.suffix
    if inner in _DELIMITERS:
        if key is not None:
            raise _CHECK.value_error("key", "None for an edge list", key)
        return _read_edges(path, delimiter or _DELIMITERS[inner], header, directed, keep_self_loops)
    for name, value in (("delimiter", delimiter), ("header", header or None)):
        if value is not None:
            raise _CHECK.value_error(name, f"left out for a {path.suffix} file", value)
    if path.suffix == ".npz":
        if key is not None:
            raise _CHECK.value_error("key", "None for an .npz file", key)
        return graph_from_matrix(sparse.load_npz(path), directed=directed, keep_self_loops=keep_self_loops)
    if path.suffix != ".mat":
        rule = f"an edge list ({', '.join(_DELIMITERS)}), a .mat or an .npz file"
        raise _CHECK.value_error("path", rule, str(path))
    variables = {name: value for name, value in io.loadmat(path).items() if not name.startswith("__")}
    square = sorted(n for n, v in variables.items() if getattr(v, "ndim", 0) == 2 and v.shape[0] == v.shape[1] > 1)
    if key is None and len(square) == 1:
        key = square[0]
    if key is None or key not in variables:
        rule = f"one of the variables of {path.name} that hold a square matrix ({', '.join(square) or 'none'})"
        raise _CHECK.value_error("key", rule, key)
    return graph_from_matrix(variables[key], directed=directed, keep_self_loops=keep_self_loops)


def _read_edges(path: Path, delimiter: str | None, header: Any, directed: Any, keep_self_loops: Any) -> ItemGraph:
    _CHECK.boolean("header", header)
    opened: Any = _OPENERS.get(path.suffix, open)
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="(?i).*contained no data")  # empty lines, an empty file
            lines = (line for line in islice(file, int(header), None) if not line.startswith(("#", "%")))
            # Comments begin lines only: an id may hold a #.
            columns = np.loadtxt(
                lines, dtype=str, delimiter=delimiter, quotechar='"', ndmin=2, unpack=True, comments=None
            )
    except ValueError as error:  # a line of another number of columns: NumPy names it
        raise ValueError(f"{path}: {error}") from error
    if not columns.size:
        return graph_from_edges([], [], directed=directed, keep_self_loops=keep_self_loops)
    if len(columns) not in (2, 3):
        raise ValueError(
            f"{path}: an edge has 2 columns (source, target) or 3 (and a weight). Got {len(columns)}: "
            f"{columns[:, 0].tolist()}. Another 'delimiter' may be right."
        )
    ids = _ids(np.char.strip(columns[:2]))
    names, rows = np.unique(ids, return_inverse=True)
    rows = rows.reshape(2, -1)
    weights = _weights(columns[2], path) if len(columns) == 3 else None
    graph = graph_from_edges(
        rows[0], rows[1], weights, n_nodes=len(names), directed=directed, keep_self_loops=keep_self_loops
    )
    return replace(graph, node_ids=names)


def _ids(texts: NDArray[np.str_]) -> NDArray[Any]:
    """int64 where each text is how that number is written, else the texts."""
    try:
        numbers = texts.astype(np.int64)
    except (ValueError, OverflowError):
        return texts
    return numbers if (numbers.astype(str) == texts).all() else texts


def _weights(texts: NDArray[np.str_], path: Path) -> NDArray[np.float64]:
    try:
        weights = texts.astype(np.float64)
    except ValueError as error:
        place = next(i for i, text in enumerate(texts) if not _is_number(text))
        raise ValueError(
            f"{path}: edge {place + 1} has the weight {str(texts[place])!r}, which is no number"
            f"{' (header=True skips a line of names)' if place == 0 else ''}."
        ) from error
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise ValueError(f"{path}: edge {bad[0] + 1} has the weight {texts[bad[0]]}; it must be a number >= 0.")
    return np.asarray(weights)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
