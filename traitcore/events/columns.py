"""Columns: what callers pass as a column, in one of five plain forms.

integers  values int64 (or another int dtype)                  ids, epoch timestamps
floats    values float64                                       epoch timestamps with fractions; ids if all are whole
times     values int64 + unit                                  datetimes
texts     codes int32 into a list of distinct str, -1 null     Python strings
spans     starts (values) and stops in a buffer of UTF-8       fields of a CSV, Arrow strings; an empty span is null
A null is False in `valid`; None: no nulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from .._kernels import text as text_kernels
from .ids import TextCoder, code_integers, code_texts, recoded, sort_ids, text_array
from .timestamps import datetime_to_us, datetimes_to_us

_NO_BYTES = np.zeros(0, dtype=np.uint8)
_NO_STOPS = np.zeros(0, dtype=np.int64)


@dataclass
class Column:
    """`kind` is one of the five; see the module."""

    kind: str
    values: NDArray[Any]
    valid: NDArray[np.bool_] | None = None
    unit: str = ""
    texts: list[str] = field(default_factory=list)
    buffer: NDArray[np.uint8] = field(default_factory=lambda: _NO_BYTES)
    stops: NDArray[np.int64] = field(default_factory=lambda: _NO_STOPS)

    def __len__(self) -> int:
        return len(self.values)

    def text(self, row: int) -> str:
        """The value of a row as text; "" for null."""
        if self.valid is not None and not self.valid[row]:
            return ""
        value = self.values[row]
        if self.kind == "spans":
            return self.buffer[value : self.stops[row]].tobytes().decode("utf-8", "backslashreplace")
        if self.kind == "texts":
            return self.texts[value] if value >= 0 else ""
        if self.kind == "times":
            value = self.values[row : row + 1].view(f"datetime64[{self.unit}]")[0]
        return str(value)

    def show(self, row: int) -> str:
        """The value of a row, for an error message."""
        text = self.text(row)
        shown = repr(text) if self.kind in ("spans", "texts") else text or "null"
        return shown if len(shown) <= 60 else shown[:57] + "..."

    def at(self, rows: NDArray[np.int64], valid: NDArray[np.bool_] | None) -> Column:
        """The values of the given rows, null where not valid."""
        inner = None if self.valid is None else self.valid[rows]
        both = inner if valid is None else valid if inner is None else inner & valid
        values, stops = self.values[rows], self.stops
        if self.kind == "spans":
            stops = stops[rows] if both is None else np.where(both, stops[rows], values)
        elif self.kind == "texts" and both is not None:
            values = np.where(both, values, np.int32(-1))
        return Column(self.kind, values, both, self.unit, self.texts, self.buffer, stops)

    def owned(self) -> Column:
        """The same, with text copied from a buffer that is about to go."""
        if self.kind == "spans":
            self.buffer = self.buffer.copy()
            self.values, self.stops = self.values.copy(), self.stops.copy()
        return self

    def as_spans(self) -> Column:
        """Texts as spans; spans as they are."""
        if self.kind != "texts":
            return self
        encoded = [t.encode("utf-8", "surrogatepass") for t in self.texts]
        ends = np.zeros(len(encoded) + 2, dtype=np.int64)  # the last entry is for nulls, code -1
        np.cumsum([len(e) for e in encoded], out=ends[1:-1])
        ends[-1] = ends[-2]
        starts, stops = ends[:-1][self.values], ends[1:][self.values]
        buffer = np.frombuffer(bytearray(b"".join(encoded)), dtype=np.uint8)
        return Column("spans", starts, buffer=buffer, stops=stops)


def null_column(n: int) -> Column:
    """n nulls."""
    nothing = np.zeros(n, dtype=np.int64)
    return Column("spans", nothing, stops=nothing)


def concatenate(name: str, parts: Sequence[Column]) -> Column:
    """Blocks of one column as one."""
    if len({part.kind for part in parts}) > 1:
        kinds = ", ".join(sorted({part.kind for part in parts}))
        raise InputError(f"Column {name!r} must hold values of one type. Got {kinds}.")
    shift = np.cumsum([0] + [len(part.buffer) for part in parts])
    first = parts[0]
    valid = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([np.ones(len(p), dtype=np.bool_) if p.valid is None else p.valid for p in parts])
    moved = [p.values + s for p, s in zip(parts, shift)] if first.kind == "spans" else [p.values for p in parts]
    return Column(
        first.kind, np.concatenate(moved), valid, first.unit, first.texts, np.concatenate([p.buffer for p in parts]),
        np.concatenate([p.stops + s for p, s in zip(parts, shift)]),
    )  # fmt: skip


def read_column(name: str, values: Any) -> Column:
    """Any 1-D array-like as a Column; InputError names the column where it can't be one."""
    if isinstance(values, Column):
        return values
    if isinstance(values, np.ma.MaskedArray):
        column = read_column(name, np.asarray(values.data))
        there = ~np.ma.getmaskarray(values)
        column.valid = there if column.valid is None else column.valid & there
        if column.kind in ("spans", "texts") and not there.all():
            column = column.as_spans().at(np.arange(len(there)), there)
        return column
    if not isinstance(values, np.ndarray):
        if type(values).__module__.split(".")[0] == "pandas":
            return _pandas_column(name, values)
        if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
            from .arrow import read_array

            return read_array(name, values)
        if type(values) in (list, tuple) and len(values) and type(values[0]) is str:
            try:
                codes, texts = code_texts(values)
                return Column("texts", codes, texts=texts)
            except TypeError:  # not all are strs
                pass
        values = _as_array(name, values)
    if values.ndim != 1:
        raise InputError(f"Column {name!r} must have one dimension. Got shape {values.shape} instead.")
    return _numpy_column(name, values)


def _as_array(name: str, values: Any) -> NDArray[Any]:
    """Lists keep their Python types: np.asarray would turn [1, "a"] into strings without a word."""
    if isinstance(values, (list, tuple)):
        if len(values) and set(map(type, values)) == {int}:
            try:
                return np.fromiter(values, dtype=np.int64, count=len(values))
            except OverflowError as error:
                raise InputError(f"Column {name!r} must fit int64: {error}.") from error
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__"):
        raise InputError(f"Column {name!r} must be a 1-D array or list. Got {type(values).__name__} instead.")
    return np.asarray(values)


def _pandas_column(name: str, series: Any) -> Column:
    """A pandas Series or Index; datetimes with a zone become UTC, categories stay coded."""
    dtype = series.dtype
    if hasattr(dtype, "categories"):
        codes = np.asarray(series.cat.codes if hasattr(series, "cat") else series.codes).astype(np.int64)
        inner = read_column(name, dtype.categories)
        if len(inner) == 0:
            return null_column(len(codes))
        return inner.at(np.maximum(codes, 0), None if codes.min(initial=0) >= 0 else codes >= 0)
    missing = np.asarray(series.isna())
    if getattr(dtype, "tz", None) is not None:
        times = series.dt if hasattr(series, "dt") else series
        series = times.tz_convert("UTC")
        series = (series.dt if hasattr(series, "dt") else series).tz_localize(None)
    if missing.any() and getattr(dtype, "kind", "O") in "iu":  # pandas' nullable integers
        return integer_column(name, series.to_numpy(dtype=np.int64, na_value=0), ~missing)
    array = series.to_numpy()
    if array.dtype.kind == "O":
        array = array.copy()
        array[missing] = None
    return _numpy_column(name, array)


def integer_column(name: str, values: NDArray[Any], valid: NDArray[np.bool_] | None) -> Column:
    """Integers of any width as a column; unsigned ones must fit int64."""
    if values.dtype == np.uint64:
        top = values if valid is None else np.where(valid, values, 0)
        if len(top) and top.max() > np.iinfo(np.int64).max:
            row = int(np.argmax(top))
            raise InputError(f"Column {name!r} must fit int64. Got {top[row]} in row {row} instead.")
        values = values.astype(np.int64)
    return Column("integers", values, valid)


def _numpy_column(name: str, array: NDArray[Any]) -> Column:
    kind = array.dtype.kind
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if kind in "iu":
        return integer_column(name, array, None)
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
        return _object_column(name, array.astype(object, copy=False))
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
    stops = np.empty(n, dtype=np.int64)
    text_kernels.fixed_stops(buffer, width, stops)
    return Column("spans", np.arange(n, dtype=np.int64) * width, buffer=buffer, stops=stops)


def _object_column(name: str, array: NDArray[Any]) -> Column:
    """Python objects: all str, all int, all float or all datetimes; None, NaN and pandas' NA are null."""
    values = array.tolist()
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
        codes, texts = code_texts(values)
        return Column("texts", codes, texts=texts)
    present = np.fromiter((v is not None for v in values), dtype=np.bool_, count=len(values))
    valid = None if present.all() else present
    if kinds == {"floats"}:
        return _numpy_column(name, np.array([np.nan if v is None else v for v in values], dtype=np.float64))
    convert = _us_of if kinds == {"times"} else int
    try:
        numbers = np.array([0 if v is None else convert(v) for v in values], dtype=np.int64)
    except OverflowError as error:
        raise InputError(f"Column {name!r} must fit int64: {error}.") from error
    return Column("times", numbers, valid, "us") if kinds == {"times"} else Column("integers", numbers, valid)


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
        if names.count(name) != 1:
            what = "missing" if name not in names else "there more than once"
            told = f"Column {name!r}, wanted as {role}, is {what}. There are: {', '.join(map(repr, names))}."
            raise InputError(told) if name in names else MissingColumnError(role, told)
    columns = {role: read_column(name, data[name]) for role, name in wanted.items()}
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


def code_column(name: str, column: Column) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """(codes, -1 where null; distinct ids in rising order) of a column of ids that are all ints or all strs."""
    if column.kind == "integers":
        return code_integers(column.values, column.valid)
    if column.kind == "spans":
        coder = TextCoder()
        codes, texts = coder.code(column.buffer, column.values, column.stops), coder.texts
        if coder.invalid:
            row = int(np.argmax(np.isin(codes, list(coder.invalid))))
            raise InputError(f"Column {name!r} must be valid UTF-8. Got {column.show(row)} in row {row} instead.")
    elif column.kind == "texts":
        codes, texts = column.values, column.texts
        if "" in texts:
            codes = np.where(codes == texts.index(""), np.int32(-1), codes)
    else:
        raise InputError(f"Column {name!r} must hold ints or strs. Got {column.kind} instead.")
    rank, ids = sort_ids(text_array(texts))
    if len(ids) and ids[0] == "":
        ids, rank = ids[1:], rank - np.int32(1)
    return recoded(codes, rank), ids
