"""In a worker: pairs counted by our kernel in parts of the corpus, and the parts added up by ranges of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from .._csr import rows_of
from ..events.sequences import Sequences
from ..items.cooccurrence import count_cooccurrences
from .encode_task import sequences_of
from .session_task import as_lists

_ENTRIES = 1 << 24  # pairs that a part may have before it is counted: a few hundred MB of matrix
_TOGETHER = 8  # matrices added in one go


def part_schema() -> pa.Schema:
    """Rows `start` ... of a matrix, as the bytes of a CSR's arrays."""
    return pa.schema([
        ("part", pa.int32()), ("indptr", pa.binary()), ("indices", pa.binary()), ("data", pa.binary()),
    ])


def rows_schema(values: pa.DataType) -> pa.Schema:
    """One row of a matrix: columns and values, for Parquet."""
    return pa.schema([
        ("row", pa.int32()), ("columns", pa.list_(pa.int32())), ("values", pa.list_(values)),
    ])


def count_pairs(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Counts of a partition's sequences, cut at options["edges"], the first rows of the parts."""
    waiting: list[Sequences] = []
    tokens = 0
    most = max(1, _ENTRIES // options["reach"])
    for batch in batches:
        waiting.append(sequences_of(batch))
        tokens += waiting[-1].n_tokens
        if tokens >= most:
            yield from _counted(waiting, options)
            waiting, tokens = [], 0
    if waiting:
        yield from _counted(waiting, options)


def _counted(waiting: list[Sequences], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    offsets = np.concatenate([[0], *(np.diff(one.offsets) for one in waiting)]).cumsum()
    whole = Sequences(np.concatenate([one.tokens for one in waiting]), offsets)
    counts = count_cooccurrences(whole, **options["count"])
    edges = options["edges"]
    for part in range(len(edges) - 1):
        rows = rows_of(counts, edges[part], edges[part + 1])
        if rows.nnz:
            yield _as_bytes(part, rows)


def _as_bytes(part: int, rows: sparse.csr_array) -> dict[str, Any]:
    arrays = {"indptr": rows.indptr.astype(np.int64), "indices": rows.indices.astype(np.int32), "data": rows.data}
    return {"part": pa.array([part], pa.int32())} | {
        name: pa.array([array.tobytes()], pa.binary()) for name, array in arrays.items()
    }


def matrix_of(
    row: Mapping[str, Any], edges: NDArray[np.int64], n_items: int, dtype: Any
) -> sparse.csr_array:
    """The rows of a part, from their bytes."""
    part = row["part"]
    parts = (
        np.frombuffer(row["data"], dtype=dtype), np.frombuffer(row["indices"], dtype=np.int32),
        np.frombuffer(row["indptr"], dtype=np.int64),
    )
    rows = sparse.csr_array(parts, shape=(int(edges[part + 1] - edges[part]), n_items))
    rows.has_canonical_format = True
    return rows


def merge_pairs(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The sum of each part's matrices, which follow each other, pruned by rows once it is whole."""
    waiting: list[sparse.csr_array] = []
    current = -1
    for batch in batches:
        for i in range(batch.num_rows):
            row = {name: batch.column(name)[i].as_buffer() for name in ("indptr", "indices", "data")}
            row["part"] = batch.column("part")[i].as_py()
            if row["part"] != current and waiting:
                yield from _finished(current, _sum(waiting), options)
                waiting = []
            current = row["part"]
            waiting.append(matrix_of(row, options["edges"], options["count"]["n_items"], options["count"]["dtype"]))
            if len(waiting) == _TOGETHER:
                waiting = [_sum(waiting)]
    if waiting:
        yield from _finished(current, _sum(waiting), options)


def _sum(matrices: list[sparse.csr_array]) -> sparse.csr_array:
    while len(matrices) > 1:  # neighbours first, so that no entry is copied more than log2 times
        pairs = [a + b for a, b in zip(matrices[::2], matrices[1::2])]
        matrices = pairs + matrices[len(pairs) * 2 :]
    return matrices[0]


def _finished(part: int, rows: sparse.csr_array, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rows = pruned(rows, options["scale"], options["min_pair_count"], options["k"], options["dtype"])
    if not options["lists"]:
        yield _as_bytes(part, rows)
        return
    filled = np.flatnonzero(np.diff(rows.indptr))
    edges = np.append(rows.indptr[filled], rows.nnz)
    yield {
        "row": pa.array((filled + options["edges"][part]).astype(np.int32)),
        "columns": as_lists(edges, pa.array(rows.indices.astype(np.int32))),
        "values": as_lists(edges, pa.array(rows.data)),
    }


def pruned(rows: sparse.csr_array, scale: float, least: float, k: int, dtype: Any) -> sparse.csr_array:
    """Finished rows: entries divided by `scale`, those of at least `least`, the k largest of a row (0: all)."""
    data = rows.data if scale == 1 else rows.data / scale
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    keep = np.flatnonzero(data >= least)
    if k:
        order = keep[np.lexsort((rows.indices[keep], -data[keep], row[keep]))]
        first = np.searchsorted(row[order], np.arange(rows.shape[0]))
        keep = np.sort(order[np.arange(len(order)) - first[row[order]] < k])
    indptr = np.concatenate(([0], np.cumsum(np.bincount(row[keep], minlength=rows.shape[0]))))
    found = sparse.csr_array((data[keep].astype(dtype), rows.indices[keep], indptr), shape=rows.shape)
    found.has_canonical_format = True
    return found
