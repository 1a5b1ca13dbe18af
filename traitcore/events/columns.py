"""Columns: what callers pass as a column, in one of five plain forms.

integers  values int64 (or any int dtype)             ids, epoch timestamps
floats    values float64                              epoch timestamps with fractions; ids if all are integral
times     values int64 + unit                         datetimes
texts     codes int32 into a list of distinct str     ids, actions, ISO timestamps
A null is False in `valid`; None: no nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .ids import code_texts
from .timestamps import datetime_to_us


@dataclass
class Column:
    """`kind` is "integers", "floats", "times" or "texts"; `texts` are the distinct strings that codes stand for."""

    kind: str
    values: NDArray[Any]
    valid: NDArray[np.bool_] | None = None
    unit: str = ""
    texts: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)

    def show(self, row: int) -> str:
        """The value of a row, for an error message."""
        if self.valid is not None and not self.valid[row]:
            return "null"
        value = self.texts[self.values[row]] if self.kind == "texts" else self.values[row]
        shown = repr(value) if isinstance(value, str) else str(value)
        return shown if len(shown) <= 60 else shown[:57] + "..."

    def text(self, row: int) -> str:
        """The value of a row, for a file of rejects; "" for null."""
        if self.valid is not None and not self.valid[row]:
            return ""
        return self.texts[self.values[row]] if self.kind == "texts" else str(self.values[row])


def read_column(name: str, values: Any) -> Column:
    """Any 1-D array-like as a Column; InputError names the column where it can't be one."""
    if isinstance(values, Column):
        return values
    if type(values).__module__.split(".")[0] == "pandas":
        values = _plain_pandas(values)
    elif hasattr(values, "to_numpy"):
        values = values.to_numpy()
    array = values if isinstance(values, np.ndarray) else np.asarray(_as_objects(values))
    if isinstance(values, np.ma.MaskedArray):
        column = read_column(name, np.asarray(values.data))
        mask = ~np.ma.getmaskarray(values)
        column.valid = mask if column.valid is None else column.valid & mask
        return column
    if array.ndim != 1:
        raise InputError(f"Column {name!r} must have one dimension. Got shape {array.shape} instead.")
    return _numpy_column(name, array)


def _as_objects(values: Any) -> Any:
    """Lists keep their Python types: np.asarray would turn [1, "a"] into strings without a word."""
    if isinstance(values, (list, tuple)):
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    return values


def _plain_pandas(series: Any) -> Any:
    """A pandas Series or Index as a numpy array; datetimes with a zone become UTC."""
    if isinstance(getattr(series.dtype, "tz", None), object) and getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    array = series.to_numpy()
    if array.dtype.kind == "O":
        missing = series.isna().to_numpy()
        array = array.copy()
        array[missing] = None
    return array


def _numpy_column(name: str, array: NDArray[Any]) -> Column:
    kind = array.dtype.kind
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if kind in "iu":
        if array.dtype == np.uint64:
            if len(array) and array.max() > np.iinfo(np.int64).max:
                row = int(np.argmax(array > np.iinfo(np.int64).max))
                raise InputError(f"Column {name!r} must fit int64. Got {array[row]} in row {row} instead.")
            array = array.astype(np.int64)
        return Column("integers", array)
    if kind == "f":
        array = array.astype(np.float64, copy=False)
        missing = np.isnan(array)
        return Column("floats", array, ~missing if missing.any() else None)
    if kind == "M":
        unit = np.datetime_data(array.dtype)[0]
        if unit not in ("s", "ms", "us", "ns"):
            array, unit = array.astype("datetime64[s]"), "s"
        elif np.datetime_data(array.dtype)[1] != 1:
            array = array.astype(f"datetime64[{unit}]")
        missing = np.isnat(array)
        return Column("times", array.view(np.int64), ~missing if missing.any() else None, unit)
    if kind in "US" or type(array.dtype).__name__ == "StringDType":
        objects = np.char.decode(array, "utf-8") if kind == "S" else array
        return _object_column(name, objects.astype(object))
    if kind == "O":
        return _object_column(name, array)
    raise InputError(f"Column {name!r} must hold integers, strings or times. Got dtype {array.dtype} instead.")


def _object_column(name: str, array: NDArray[Any]) -> Column:
    """Python objects: all str, all int, all float or all datetimes; None, NaN and pandas' NA are null."""
    values = array.tolist()
    kinds = {_kind_of(kind) for kind in set(map(type, values))}
    if kinds & {"NAType", "NaTType"} or ("floats" in kinds and len(kinds - {"null"}) > 1):
        values = [None if v != v or type(v).__name__ in ("NAType", "NaTType") else v for v in values]
        kinds = {_kind_of(kind) for kind in set(map(type, values))}
    kinds.discard("null")
    unfit = kinds - {"texts", "integers", "floats", "times"}
    if unfit or len(kinds) > 1:
        first = next(_kind_of(type(v)) for v in values if v is not None)
        unfit = unfit or kinds - {first}
        row = next(i for i, v in enumerate(values) if _kind_of(type(v)) in unfit)
        raise InputError(
            f"Column {name!r} must hold values of one type: str, int, float or datetime. "
            f"Got {values[row]!r} ({type(values[row]).__name__}) in row {row} instead."
        )
    if not kinds or kinds == {"texts"}:
        codes, texts = code_texts(values)
        valid = codes >= 0
        return Column("texts", codes, None if valid.all() else valid, texts=texts)
    present = np.fromiter((v is not None for v in values), dtype=np.bool_, count=len(values))
    valid_or_none = None if present.all() else present
    if kinds == {"times"}:
        us = [0 if v is None else _us_of(v) for v in values]
        return Column("times", np.array(us, dtype=np.int64), valid_or_none, "us")
    if kinds == {"integers"}:
        try:
            ints = np.array([0 if v is None else int(v) for v in values], dtype=np.int64)
        except OverflowError as error:
            raise InputError(f"Column {name!r} must fit int64: {error}.") from error
        return Column("integers", ints, valid_or_none)
    return _numpy_column(name, np.array([np.nan if v is None else v for v in values], dtype=np.float64))


def _kind_of(kind: type) -> str:
    if kind is type(None):
        return "null"
    if issubclass(kind, (bool, np.bool_)):
        return kind.__name__
    for name, types in (
        ("texts", str),
        ("integers", (int, np.integer)),
        ("floats", (float, np.floating)),
        ("times", (datetime, date, np.datetime64)),
    ):
        if kind.__name__ != "NaTType" and issubclass(kind, types):  # type: ignore[arg-type]
            return name
    return kind.__name__


def _us_of(value: Any) -> int:
    if isinstance(value, datetime):
        return datetime_to_us(value)
    return int(np.datetime64(value, "us").astype(np.int64))


def pick_columns(data: Any, wanted: Mapping[str, str]) -> tuple[dict[str, Column], int]:
    """Columns by role from a mapping or a table; InputError lists the columns there are when one is missing."""
    names = _names_of(data)
    for role, name in wanted.items():
        if name not in names:
            raise InputError(
                f"Column {name!r}, wanted as {role}, is missing. There are: {', '.join(map(repr, names))}."
            )
    columns = {role: read_column(name, data[name]) for role, name in wanted.items()}
    lengths = {wanted[role]: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"Columns must be of one length. Got {lengths} instead.")
    return columns, next(iter(lengths.values()))


def _names_of(data: Any) -> list[str]:
    if isinstance(data, Mapping):
        return [str(name) for name in data]
    names = getattr(data, "column_names", None)
    names = getattr(data, "columns", None) if names is None else names
    if names is None:
        raise TypeError(f"A log comes from a mapping of columns or a table. Got {type(data).__name__} instead.")
    return [str(name) for name in names]
