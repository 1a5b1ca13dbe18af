"""Frames and columns of pandas, polars and pyarrow as plain arrays, and answers as frames.

To read one, none of them is imported: a value can only be one of theirs where the caller has imported the library.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FRAMES = {"pandas": ("DataFrame",), "polars": ("DataFrame",), "pyarrow": ("Table", "RecordBatch")}
_COLUMNS = {"pandas": ("Series", "Index"), "polars": ("Series",), "pyarrow": ("Array", "ChunkedArray")}


class NullValue(Exception):
    """A null in a frame, at (row, column label)."""


class NotNumbers(Exception):
    """A column that holds no numbers: (column label, its type)."""


def _library(value: Any, kinds: dict[str, tuple[str, ...]]) -> str | None:
    """The library whose frame or column this is."""
    for library, names in kinds.items():
        module = sys.modules.get(library)
        types = tuple(t for t in (getattr(module, name, None) for name in names) if isinstance(t, type))
        if isinstance(value, types):
            return library
    return None


def column_labels(value: Any) -> list[Any] | None:
    """Labels of a frame's columns; None where the value is no frame."""
    library = _library(value, _FRAMES)
    if library is None:
        return None
    return list(value.column_names if library == "pyarrow" else value.columns)


def row_labels(value: Any) -> Any:
    """A pandas frame's index; None for anything else."""
    return value.index if _library(value, _FRAMES) == "pandas" else None


def plain_array(value: Any) -> NDArray[Any] | None:
    """A frame as a (rows, columns) array, a column as (rows,), of the dtype that holds them all; None for other values.

    Raises NullValue and, for a frame, NotNumbers. NaN in a column of plain floats is a value and stays.
    """
    library = _library(value, _FRAMES)
    if library is None:
        return _plain_column(value)
    if library == "pandas" and len(set(value.dtypes)) == 1 and isinstance(value.dtypes.iloc[0], np.dtype):
        return np.asarray(value)  # one block, without a copy
    columns = [_numbers(library, label, column) for label, column in _columns(library, value)]
    if not columns:
        return np.zeros((value.shape[0], 0))
    table = np.empty((len(columns[0]), len(columns)), dtype=np.result_type(*columns))
    for j, column in enumerate(columns):
        table[:, j] = column
    return table


def _plain_column(value: Any) -> NDArray[Any] | None:
    """Numbers in a numeric dtype; texts, times and categories as numpy makes them."""
    library = _library(value, _COLUMNS)
    try:
        return None if library is None else _numbers(library, getattr(value, "name", None), value)
    except NotNumbers:
        return np.asarray(value)


def _columns(library: str, frame: Any) -> Iterator[tuple[Any, Any]]:
    if library == "pandas":  # by place: labels may repeat
        yield from ((label, frame.iloc[:, j]) for j, label in enumerate(frame.columns))
    elif library == "polars":
        yield from ((column.name, column) for column in frame.get_columns())
    else:
        yield from zip(frame.column_names, frame.columns)


def _numbers(library: str, label: Any, column: Any) -> NDArray[Any]:
    """The values of one column."""
    dtype: Any = column.type if library == "pyarrow" else column.dtype
    if library == "pandas":
        if isinstance(dtype, np.dtype):
            return np.asarray(column)
        if getattr(dtype, "kind", "O") not in "iufb":
            raise NotNumbers(label, str(dtype))
        plain = getattr(dtype, "numpy_dtype", None) or getattr(dtype, "subtype", None)
        nulls, known = column.isna(), column.dropna().to_numpy(dtype=plain)
    else:
        nulls = column.is_null()
        known = column.drop_nulls() if library == "polars" else column.drop_null()
    array = np.asarray(known)
    if array.dtype.kind not in "iufb":
        raise NotNumbers(label, str(dtype))
    if len(array) < len(column):
        raise NullValue(int(np.flatnonzero(np.asarray(nulls))[0]), label)
    return array


MAKERS = ("pandas", "polars")


def frame_of(columns: Mapping[str, Any], library: str | None = None) -> Any:
    """Columns of equal length as a DataFrame of "pandas" or "polars"; ImportError where there is none.

    None: the library that is imported already (pandas, where both are), else the one that is installed.
    """
    if library is not None and library not in MAKERS:
        raise ValueError(f"The 'library' parameter of to_frame must be 'pandas' or 'polars'. Got {library!r} instead.")
    there = [name for name in MAKERS if sys.modules.get(name) is not None]
    there += [name for name in MAKERS if name not in sys.modules and importlib.util.find_spec(name) is not None]
    wanted = library or next(iter(there), "pandas")
    try:
        maker = importlib.import_module(wanted)
    except ImportError as error:
        raise ImportError(f"to_frame needs pandas or polars: pip install {wanted}.") from error
    return maker.DataFrame(dict(columns))
