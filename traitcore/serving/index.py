"""Indexes for exact and approximate search. Each belongs to the table that it was built from."""

from __future__ import annotations

import importlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _disk as disk
from .._errors import TableError
from .._rows import unit_float32_rows
from .._validate import Checks
from . import manifest
from .neighbors import METRICS, Searcher
from .recall import measure_recall, side_of
from .similarity import SIDES
from .table import EmbeddingTable

CHECK = Checks("build_index")
KINDS = ("exact", "hnsw")
_META, _DATA = "index.json", "index.faiss"
_FORMAT = 1


@dataclass(frozen=True)
class IndexInfo:
    """What an index is, and which table it belongs to.

    fingerprint : of the table (ids, order and numbers); name, version : where it was published, or None.
    recall_at_10 : mean share of the ten rows found that are at least as near as the tenth exact neighbour (of equally
        near rows any counts), measured on `sample` rows when the index was built.
    """

    kind: str
    metric: str
    against: str
    fingerprint: str
    name: str | None
    version: str | None
    n_rows: int
    dimension: int
    recall_at_10: float
    sample: int
    links: int
    ef_construction: int
    ef_search: int


class Index:
    """Search over one table, made by `build_index` or `open_index`; `info` describes it."""

    def __init__(self, table: EmbeddingTable, info: IndexInfo, native: Any) -> None:
        self.table, self.info = table, info
        self._native = native
        self._exact: Searcher | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """The table and the bytes of the graph; the lock and the exact search are made anew."""
        with self._lock:
            graph = None if self._native is None else _faiss().serialize_index(self._native)
        return {"table": self.table, "info": self.info, "graph": graph}

    def __setstate__(self, state: dict[str, Any]) -> None:
        graph = state["graph"]
        native = None if graph is None else _faiss().deserialize_index(np.array(graph))
        Index.__init__(self, state["table"], state["info"], native)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the table it was built from."""
        return self.info.fingerprint

    def __repr__(self) -> str:
        return f"Index({self.info.kind!r}, {self.info.n_rows:,} rows, recall@10 {self.info.recall_at_10:.3f})"

    def search(
        self, queries: Any, k: int = 10, *, exclude: Any = (), allowed: Any = None, workers: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows (m, k) int64 and scores (m, k) float32 for queries (m, d), best first; -1 and NaN past the end.

        As `top_k`, exactly for kind "exact" and approximately for "hnsw". Both find k rows wherever k are eligible:
        queries for which the graph of "hnsw" finds fewer are searched exactly.

        exclude : an id, or ids, to leave out of every result, or m lists of ids, one for each; unknown ids are ignored.
        allowed : None, the ids that may be found, or an (n,) bool mask over the table's rows.
        """
        queries = Checks("Index").array("queries", queries, dtype=np.float32, shape=(None, self.info.dimension))
        mask, each = self.table._ids.restrict(exclude, allowed, len(queries), Checks("Index"))
        return self._search(queries, Checks("Index").integer("k", k, 1), mask, each, workers)

    def most_similar(
        self, token: Any, k: int = 10, *, exclude: Any = (), allowed: Any = None
    ) -> list[tuple[Any, float]]:
        """(id, score) of the nearest rows of an id, itself left out; `exclude` and `allowed` as in `search`."""
        row = self.table.row(token)
        mask, each = self.table._ids.restrict(exclude, allowed, 1, Checks("Index"))
        own = [np.append(each[0] if each else np.zeros(0, np.int64), row)]
        rows, scores = self._search(self.table.vectors[[row]], Checks("Index").integer("k", k, 1), mask, own, 1)
        found = rows[0] >= 0
        return list(zip(self.table._ids.take(rows[0][found]).tolist(), scores[0][found].tolist()))

    def _search(
        self, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None,
        each: list[NDArray[np.int64]] | None, workers: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """`each`: distinct rows to leave out, for each query."""
        threads = Checks("Index").workers(workers)
        if self._native is None:
            return self._exactly(queries, k, mask, each, workers)
        n, out = self.info.n_rows, np.array([len(one) for one in each or []], dtype=np.int64)
        eligible = n if mask is None else int(mask.sum())
        # Of the rows that the graph finds, about a share `eligible / n` is eligible, less the excluded ones.
        fetch = k if mask is None else -(-k * n // max(eligible, 1))
        fetch = min(n, fetch + int(out.max(initial=0)))
        if fetch > k and 2 * self.info.links * fetch >= n:  # the graph would visit nearly every row
            return self._exactly(queries, k, mask, each, workers)
        rows, scores = _eligible(*self._approximately(queries, fetch, threads), k, mask, each)
        least = np.minimum(k, eligible - _excluded_of(mask, each, len(queries)))
        short = np.flatnonzero((rows >= 0).sum(axis=1) < least)
        if len(short):
            rest = None if each is None else [each[i] for i in short]
            rows[short], scores[short] = self._exactly(queries[short], k, mask, rest, workers)
        return rows, scores

    def _exactly(
        self, queries: NDArray[np.float32], k: int, mask: Any, each: Any, workers: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        with self._lock:
            side = side_of(self.table, self.info.against, CHECK)
            self._exact = self._exact or Searcher(side, self.info.metric, check=Checks("Index"))
        return self._exact.search(queries, k, mask=mask, exclude=each, workers=workers)

    def _approximately(
        self, queries: NDArray[np.float32], k: int, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        faiss = _faiss()
        if self.info.metric == "cosine":
            queries = unit_float32_rows(queries)
        with self._lock:  # faiss keeps one number of threads per thread
            faiss.omp_set_num_threads(threads)
            self._native.hnsw.efSearch = max(self.info.ef_search, k)
            scores, rows = self._native.search(queries, min(k, self.info.n_rows))
        if self.info.metric == "euclidean":
            scores = np.sqrt(np.maximum(scores, 0.0))
        return rows, scores

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index as a new folder `path`, completely or not at all; TableError where it exists."""
        with disk.whole_folder(path, "an index") as folder:
            raw = b"" if self._native is None else _faiss().serialize_index(self._native).tobytes()
            sha, size = disk.write_file(folder / _DATA, [raw])
            fields = {"format": _FORMAT, "kind": "traitcore index", "sha256": sha, "size": size}
            disk.write_file(folder / _META, [manifest.encode(fields | {"info": asdict(self.info)})])


def build_index(
    table: EmbeddingTable,
    *,
    kind: str = "exact",
    metric: str = "cosine",
    against: str = "vectors",
    links: int = 32,
    ef_construction: int = 200,
    ef_search: int = 64,
    sample: int = 500,
    random_state: int = 0,
    workers: int = 1,
) -> Index:
    """Build an index over the rows of a table and measure its recall@10.

    Parameters
    ----------
    kind : "exact" (brute force), or "hnsw" (a graph, by faiss of the extra `ann`).
    metric, against : as in `EmbeddingTable.most_similar`.
    links, ef_construction, ef_search : HNSW's M, and the sizes of its candidate lists when building and searching.
    sample : rows on which recall is measured. random_state : int, the seed by which they are drawn.
    workers : threads.

    Raises
    ------
    ImportError : faiss is not installed. ValueError, TypeError : bad parameters, an empty table.

    See Also
    --------
    open_index : opens what `Index.save` wrote. EmbeddingTable.most_similar : exact search without an index.

    References
    ----------
    Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
    Small World graphs".

    Examples
    --------
    >>> import traitcore as tc
    >>> table = tc.EmbeddingTable(["cup", "mug", "tie"], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> index = tc.build_index(table)
    >>> index.most_similar("tie", 1)[0][0], index.info.recall_at_10
    ('mug', 1.0)
    """
    CHECK.choice("kind", kind, KINDS)
    CHECK.choice("metric", metric, METRICS)
    CHECK.choice("against", against, SIDES)
    threads = CHECK.workers(workers)
    for name, value in (("links", links), ("ef_construction", ef_construction), ("ef_search", ef_search)):
        CHECK.integer(name, value, 2)
    vectors = side_of(CHECK.instance("table", table, EmbeddingTable), against, CHECK)
    if not len(vectors):
        raise CHECK.value_error("table", "a table with rows", table)
    sample = min(CHECK.integer("sample", sample, 1), len(vectors))
    native = None
    if kind == "hnsw":
        faiss = _faiss()
        faiss.omp_set_num_threads(threads)
        similarity = faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
        native = faiss.IndexHNSWFlat(vectors.shape[1], links, similarity)
        native.hnsw.efConstruction = ef_construction
        native.add(unit_float32_rows(vectors) if metric == "cosine" else np.ascontiguousarray(vectors))

    def describe(recall: float) -> IndexInfo:
        return IndexInfo(
            kind, metric, against, table.fingerprint, table.name, table.version, len(vectors), vectors.shape[1],
            recall, sample, links, ef_construction, ef_search,
        )

    draft = Index(table, describe(1.0), native)
    CHECK.seed("random_state", random_state)
    if native is None:
        return draft
    recall = measure_recall(
        draft, table, metric=metric, against=against, sample=sample, random_state=random_state, workers=workers
    )
    return Index(table, describe(recall), native)


def open_index(path: str | os.PathLike[str], table: EmbeddingTable) -> Index:
    """Open an index over the table it was built from.

    Raises
    ------
    TableError : the index is missing or damaged, or was built from another version, other ids, another order or other
        vectors than those of `table`.

    See Also
    --------
    build_index : makes indexes. TableStore.index_path : where to save one beside its table.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> table = tc.EmbeddingTable(["cup", "mug", "tie"], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> path = tempfile.mkdtemp() + "/exact"
    >>> tc.build_index(table).save(path)
    >>> tc.open_index(path, table).most_similar("tie", 1)[0][0]
    'mug'
    """
    Checks("open_index").instance("table", table, EmbeddingTable)
    folder_path = Path(path)
    try:
        with disk.Folder(folder_path) as folder:
            fields = _read_meta(folder)
            raw = folder.map(_DATA, size=fields["size"])
            if disk.hash_of(raw) != fields["sha256"]:
                raise TableError(f"{folder_path / _DATA} is damaged: its sha256 is not that of {_META}.")
    except OSError as error:
        raise TableError(f"{folder_path} can't be opened as an index: {error.strerror or error}.") from error
    info = IndexInfo(**fields["info"])
    _check_built_for(info, table, folder_path)
    native = None
    if info.kind != "exact":
        native = _faiss().deserialize_index(np.frombuffer(raw, dtype=np.uint8))
    return Index(table, info, native)


def _read_meta(folder: disk.Folder) -> dict[str, Any]:
    path = folder.path / _META
    raw = bytes(folder.map(_META, at_most=manifest.MAX_BYTES))
    manifest.verify_checksum(raw, path)
    try:
        fields = json.loads(raw)
        if fields["kind"] != "traitcore index" or type(fields["size"]) is not int:
            raise ValueError(f"it has kind {fields['kind']!r}")
        manifest.check_format(fields, path, _FORMAT)
        IndexInfo(**fields["info"])
    except TableError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TableError(f"{path} does not describe an index: {error}.") from error
    return fields  # type: ignore[no-any-return]


def _check_built_for(info: IndexInfo, table: EmbeddingTable, path: Path) -> None:
    """TableError unless the index was built from `table`."""
    built = f"{info.name}@{info.version}" if info.version else "another table"
    published = info.version is not None and table.version is not None
    if published and (info.name, info.version) != (table.name, table.version):
        raise TableError(f"{path} was built over {built}, not over {table.name}@{table.version}: build it anew.")
    if info.fingerprint != table.fingerprint:
        raise TableError(f"{path} was built over {built}: its ids, their order or their vectors are not this table's.")


def _eligible(
    rows: NDArray[np.int64], scores: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None,
    each: list[NDArray[np.int64]] | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The first k eligible rows of those found, in their order."""
    if mask is None and each is None:
        return _padded(rows, scores, k)
    keep = rows >= 0
    if mask is not None:
        keep &= mask[rows]
    for i, banned in enumerate(each or []):
        keep[i] &= ~np.isin(rows[i], banned)
    order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(keep, order, axis=1)
    rows, scores = np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
    return _padded(np.where(kept, rows, -1), scores, k)


def _excluded_of(mask: NDArray[np.bool_] | None, each: list[NDArray[np.int64]] | None, m: int) -> NDArray[np.int64]:
    """(m,) how many rows of the mask each query excludes."""
    if each is None:
        return np.zeros(m, dtype=np.int64)
    return np.array([len(np.unique(one if mask is None else one[mask[one]])) for one in each], dtype=np.int64)


def _padded(
    rows: NDArray[Any], scores: NDArray[Any], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    out_rows = np.full((len(rows), k), -1, dtype=np.int64)
    out_scores = np.full((len(rows), k), np.nan, dtype=np.float32)
    width = rows.shape[1]
    out_rows[:, :width] = rows
    out_scores[:, :width] = np.where(rows >= 0, scores, np.nan)
    return out_rows, out_scores


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise ImportError("An 'hnsw' index needs faiss: pip install 'traitcore[ann]'.") from error
