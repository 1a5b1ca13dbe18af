"""Columns from what is in memory: arrays, lists, pandas, and tables of any library."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .arrow import read_array
from .columns import Column, big_integer_column, find_column, integer_column, null_column, text_column
from .timestamps import datetime_to_us, datetimes_to_us


def read_column(name: str, values: Any, *, repeat: bool = True) -> Column:
    """Any 1-D array-like as a Column; InputError names the column where it can't be one.

    `repeat`: is it to be expected that values repeat? Times seldom do: texts become spans, for to look for those that
    are equal takes longer than to read them all.
    """
    if isinstance(values, Column):
        return values
    if isinstance(values, np.ma.MaskedArray):
        column = read_column(name, np.asarray(values.data), repeat=repeat)
        there = ~np.ma.getmaskarray(values)
        column.valid = there if column.valid is None else column.valid & there
        if column.kind in ("spans", "texts") and not there.all():
            column = column.as_spans().at(np.arange(len(there)), there)
        return column
    if not isinstance(values, np.ndarray):
        if type(values).__module__.split(".")[0] == "pandas":
            return _pandas_column(name, values, repeat)
        if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
            return read_array(name, values)
        if type(values) in (list, tuple) and len(values) and type(values[0]) is str:
            with suppress(TypeError):  # not all are strs
                return text_column(values, repeat=repeat)
        values = _as_array(name, values)
        if isinstance(values, Column):
            return values
    if values.ndim != 1:
        raise InputError(f"Column {name!r} must have one dimension. Got shape {values.shape} instead.")
    return _numpy_column(name, values, repeat)


def _as_array(name: str, values: Any) -> NDArray[Any] | Column:
    """Lists keep their Python types: np.asarray would silently turn [1, "a"] into strings."""
    if isinstance(values, (list, tuple)):
        if len(values) and set(map(type, values)) == {int}:
            try:
                return np.fromiter(values, dtype=np.int64, count=len(values))
            except OverflowError:
                return big_integer_column(list(values), None)
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__"):
        raise InputError(f"Column {name!r} must be a 1-D array or list. Got {type(values).__name__} instead.")
    return np.asarray(values)


def _pandas_column(name: str, series: Any, repeat: bool) -> Column:
    """A pandas Series or Index; datetimes with a zone become UTC, categories stay coded."""
    dtype = series.dtype
    if hasattr(dtype, "categories"):
        codes = np.asarray(series.cat.codes if hasattr(series, "cat") else series.codes).astype(np.int64)
        inner = read_column(name, dtype.categories)
        if len(inner) == 0:
            return null_column(len(codes))
        return inner.at(np.maximum(codes, 0), None if codes.min(initial=0) >= 0 else codes >= 0)
    if _holds_arrow_texts(dtype):  # without a str for each of them
        return read_array(name, series.array.__arrow_array__())
    missing = np.asarray(series.isna())
    if getattr(dtype, "tz", None) is not None:
        times = series.dt if hasattr(series, "dt") else series
        series = times.tz_convert("UTC")
        series = (series.dt if hasattr(series, "dt") else series).tz_localize(None)
    if missing.any() and getattr(dtype, "kind", "O") in "iu":  # pandas' nullable integers
        return integer_column(series.to_numpy(dtype=np.int64 if dtype.kind == "i" else np.uint64, na_value=0), ~missing)
    array = series.to_numpy()
    if array.dtype.kind == "O":
        array = array.copy()
        array[missing] = None
    return _numpy_column(name, array, repeat)


def _holds_arrow_texts(dtype: Any) -> bool:
    """Is it a dtype of pandas for texts in Arrow's memory?"""
    if getattr(dtype, "storage", None) == "pyarrow":
        return True
    return str(getattr(dtype, "pyarrow_dtype", None)) in ("string", "large_string", "string_view")


def _numpy_column(name: str, array: NDArray[Any], repeat: bool = True) -> Column:
    kind = array.dtype.kind
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if kind in "iu":
        return integer_column(array, None)
    if kind == "f":
        array = array.astype(np.float64, copy=False)
        missing = np.isnan(array)
        return Column("floats", array, ~missing if missing.any() else None)
    if kind == "M":
        unit, step = np.datetime_data(array.dtype)
        missing = np.isnat(array)
        if unit not in ("s", "ms", "us", "ns") or step != 1:
            values, unit = datetimes_to_us(array), "us"
        else:
            values = array.view(np.int64)
        return Column("times", values, ~missing if missing.any() else None, unit)
    if kind in "US":
        return _fixed_width_column(array)
    if kind == "O" or type(array.dtype).__name__ == "StringDType":
        return _object_column(name, array.astype(object, copy=False), repeat)
    raise InputError(f"Column {name!r} must hold integers, strings or times. Got dtype {array.dtype} instead.")


def _fixed_width_column(array: NDArray[Any]) -> Column:
    """numpy's fixed-width strings as spans."""
    array = np.ascontiguousarray(array)
    n, width = len(array), array.dtype.itemsize // (4 if array.dtype.kind == "U" else 1)
    if n == 0 or width == 0:
        return null_column(n)
    if array.dtype.kind == "U":
        points = array.view(np.uint32)
        if points.max() >= 128:
            array = np.char.encode(array, "utf-8")
            width = array.dtype.itemsize
        else:
            array = points.astype(np.uint8)
    buffer = array.view(np.uint8).reshape(-1)
    buffer = buffer if buffer.flags.writeable else buffer.copy()
    table, lengths = buffer.reshape(n, width), np.full(n, width)
    short = np.flatnonzero(table[:, -1] == 0)
    used = table[short, ::-1] != 0  # without the NULs that fill it
    lengths[short] = np.where(used.any(axis=1), width - used.argmax(axis=1), 0)
    starts = np.arange(n, dtype=np.int64) * width
    return Column("spans", starts, buffer=buffer, stops=starts + lengths)


def _object_column(name: str, array: NDArray[Any], repeat: bool) -> Column:
    """Python objects: all str, all int, all float or all datetimes; None, NaN and pandas' NA are null."""
    values = array.tolist()
    if values and type(values[0]) is str:
        with suppress(TypeError):
            return text_column(values, repeat=repeat)
    types = set(map(type, values))
    kinds = {_kind_of(kind) for kind in types}
    if kinds & {"NAType", "NaTType"} or np.datetime64 in types or ("floats" in kinds and len(kinds - {"null"}) > 1):
        values = [None if type(v).__name__ in ("NAType", "NaTType") or v != v else v for v in values]
        kinds = {_kind_of(kind) for kind in set(map(type, values))}
    kinds.discard("null")
    unfit = kinds - {"texts", "integers", "floats", "times"}
    if unfit or len(kinds) > 1:
        first = next(_kind_of(type(v)) for v in values if v is not None)
        unfit = unfit or kinds - {first}
        row = next(i for i, v in enumerate(values) if _kind_of(type(v)) in unfit)
        raise InputError(
            f"Column {name!r} must hold values of one type: str, int, float or datetime. "
            f"Got {values[row]!r:.60} ({type(values[row]).__name__}) in row {row} instead."
        )
    if not kinds or kinds == {"texts"}:
        return text_column(values, repeat=repeat)
    present = np.fromiter((v is not None for v in values), dtype=np.bool_, count=len(values))
    valid = None if present.all() else present
    if kinds == {"floats"}:
        return _numpy_column(name, np.array([np.nan if v is None else v for v in values], dtype=np.float64))
    if kinds == {"times"}:
        return Column("times", np.array([0 if v is None else _us_of(v) for v in values], dtype=np.int64), valid, "us")
    integers = [0 if v is None else int(v) for v in values]
    try:
        return Column("integers", np.array(integers, dtype=np.int64), valid)
    except OverflowError:
        return big_integer_column(integers, valid)


def _kind_of(kind: type) -> str:
    if kind is type(None):
        return "null"
    if issubclass(kind, (bool, np.bool_)) or kind.__name__ == "NaTType":
        return kind.__name__
    for name, types in (
        ("texts", (str,)),
        ("integers", (int, np.integer)),
        ("floats", (float, np.floating)),
        ("times", (datetime, date, np.datetime64)),
    ):
        if issubclass(kind, types):
            return name
    return kind.__name__


def _us_of(value: Any) -> int:
    if isinstance(value, datetime):
        return datetime_to_us(value)
    return int(datetimes_to_us(np.array([np.datetime64(value)]))[0])


def pick_columns(data: Any, wanted: Mapping[str, str]) -> dict[str, Column]:
    """Columns by role from a mapping or a table; InputError lists the columns there are when one is missing."""
    names = _names_of(data)
    for role, name in wanted.items():
        find_column(names, role, name)
    columns = {role: read_column(name, data[name], repeat=role != "timestamp") for role, name in wanted.items()}
    lengths = {wanted[role]: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"Columns must be of one length. Got {lengths} instead.")
    return columns


def _names_of(data: Any) -> list[str]:
    if isinstance(data, Mapping):
        return [str(name) for name in data]
    names = getattr(data, "column_names", None)
    names = getattr(data, "columns", None) if names is None else names
    if names is None or callable(names):
        raise TypeError(f"A log comes from a mapping of columns or a table. Got {type(data).__name__} instead.")
    return [str(name) for name in names]
