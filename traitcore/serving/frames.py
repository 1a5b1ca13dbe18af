"""A table's ids and vectors as pandas and Arrow objects; the libraries are imported at the first use."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import TableError
from .._validate import Checks
from .row_ids import RowIds

CHECK = Checks("EmbeddingTable.from_arrow")


def pyarrow(purpose: str, module: str = "pyarrow") -> Any:
    """The module, or one inside it; ImportError says what it is needed for."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs pyarrow: pip install 'traitcore[io]'.") from error


def arrow_table(
    ids: RowIds, vectors: NDArray[np.float32], context: NDArray[np.float32] | None, metadata: Mapping[str, str]
) -> Any:
    """A pyarrow.Table over the same memory: id, vector, and context_vector where there is one."""
    pa = pyarrow("A table in Arrow's form")
    columns = {"id": arrow_ids(pa, ids), "vector": fixed_size_lists(pa, vectors)}
    if context is not None:
        columns["context_vector"] = fixed_size_lists(pa, context)
    schema = pa.schema([pa.field(name, column.type, nullable=False) for name, column in columns.items()])
    return pa.Table.from_arrays(list(columns.values()), schema=schema.with_metadata(dict(metadata)))


def of_arrow(data: Any, id: str, vector: str) -> tuple[Any, NDArray[Any], NDArray[Any] | None]:
    """Ids, vectors and context vectors of whatever speaks Arrow's stream protocol; other columns are ignored."""
    pa = pyarrow("A table from Arrow's form")
    if not hasattr(data, "__arrow_c_stream__"):
        rule = "an object with __arrow_c_stream__ (a pyarrow.Table, a polars DataFrame, a DuckDB relation, ...)"
        raise CHECK.type_error("data", rule, data)
    found = pa.table(data)
    for name, column in (("id", id), ("vector", vector)):
        if found.column_names.count(column) != 1:
            raise CHECK.value_error(name, f"one of the columns {found.column_names}", column)
    context = "context_vector"
    return (
        found[id].combine_chunks(), _rows_of(pa, found[vector], vector),
        _rows_of(pa, found[context], context) if context in found.column_names else None,
    )


def _rows_of(pa: Any, column: Any, name: str) -> NDArray[Any]:
    """(n, d) numbers of a column of lists that are all of one length, without nulls."""
    kind = column.type
    if not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise CHECK.type_error(name, "a column of lists of floats", kind)
    array = column.combine_chunks()
    flat = array.flatten()
    if array.null_count or flat.null_count:
        raise CHECK.value_error(name, "without nulls", f"{array.null_count + flat.null_count} of them")
    if pa.types.is_fixed_size_list(kind):
        width = kind.list_size
    else:
        lengths = np.diff(array.offsets.to_numpy())
        width = int(lengths[0]) if len(lengths) else 0
        if (lengths != width).any():
            odd = int(np.argmax(lengths != width))
            raise CHECK.value_error(name, f"lists of one length ({width} in row 0)", f"{lengths[odd]} in row {odd}")
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(array), width)


def data_frame(ids: RowIds, vectors: NDArray[np.float32]) -> Any:
    """A pandas.DataFrame, a copy: a row for each id (the index), a column for each dimension."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install pandas.") from error
    return pandas.DataFrame(np.array(vectors), index=pandas.Index(ids.array(), name="id"))


def fixed_size_lists(pa: Any, vectors: NDArray[np.float32]) -> Any:
    """Rows as an Arrow array over the same memory."""
    if not vectors.shape[1]:
        rule = "of at least one dimension: an Arrow list of fixed size can't be of none"
        raise Checks("EmbeddingTable").value_error("vectors", rule, f"shape {vectors.shape}")
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def arrow_ids(pa: Any, ids: RowIds) -> Any:
    """Ids as an Arrow array over the same memory: int64, or large_utf8, the layout of `RowIds`."""
    if ids.values is not None:
        return pa.array(ids.values)
    assert ids.offsets is not None
    assert ids.data is not None
    column = pa.LargeStringArray.from_buffers(len(ids), pa.py_buffer(ids.offsets), pa.py_buffer(ids.data))
    try:
        column.validate(full=True)  # a mapped file may hold offsets that point anywhere
    except pa.ArrowInvalid as error:
        raise TableError(f"{ids.source or 'the ids of this table'} is damaged: {error}.") from error
    return column
