"""Arrow tables through the C stream interface, read with ctypes: no Arrow library is needed.

https://arrow.apache.org/docs/format/CStreamInterface.html. Integers, floats, timestamps, dates, strings (plain, large,
views) and dictionaries are read, with nulls, offsets and any number of batches. Other types are an InputError.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._errors import InputError
from .columns import Column, big_integer_column, concatenate, find_column, integer_column, null_column


class _Schema(Structure):
    pass


_Schema._fields_ = [
    ("format", c_char_p), ("name", c_char_p), ("metadata", c_char_p), ("flags", c_int64), ("n_children", c_int64),
    ("children", POINTER(POINTER(_Schema))), ("dictionary", POINTER(_Schema)),
    ("release", ctypes.CFUNCTYPE(None, POINTER(_Schema))), ("private_data", c_void_p),
]


class _Array(Structure):
    pass


_Array._fields_ = [
    ("length", c_int64), ("null_count", c_int64), ("offset", c_int64), ("n_buffers", c_int64), ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)), ("children", POINTER(POINTER(_Array))), ("dictionary", POINTER(_Array)),
    ("release", ctypes.CFUNCTYPE(None, POINTER(_Array))), ("private_data", c_void_p),
]


class _Stream(Structure):
    pass


_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(c_int, POINTER(_Stream), POINTER(_Schema))),
    ("get_next", ctypes.CFUNCTYPE(c_int, POINTER(_Stream), POINTER(_Array))),
    ("get_last_error", ctypes.CFUNCTYPE(c_char_p, POINTER(_Stream))),
    ("release", ctypes.CFUNCTYPE(None, POINTER(_Stream))), ("private_data", c_void_p),
]

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, c_char_p]

_FIXED = {
    "c": np.int8, "C": np.uint8, "s": np.int16, "S": np.uint16, "i": np.int32, "I": np.uint32, "l": np.int64,
    "L": np.uint64, "e": np.float16, "f": np.float32, "g": np.float64,
}
_NAMES = {"b": "booleans", "z": "bytes", "Z": "bytes", "vz": "bytes", "n": "nothing but nulls"}


def read_stream(source: Any, wanted: Mapping[str, str]) -> Iterator[dict[str, Column]]:
    """Batches of an object with `__arrow_c_stream__`, as columns by role; `wanted` gives each role's column name."""
    capsule = source.__arrow_c_stream__()
    stream = ctypes.cast(_capsule_pointer(capsule, b"arrow_array_stream"), POINTER(_Stream))
    schema = _Schema()
    _check(stream, stream.contents.get_schema(stream, schema))
    try:
        if schema.format != b"+s":
            raise InputError(f"A table is expected. Got an Arrow array of {_type_name(schema)} instead.")
        places = _places(schema, wanted)
        while True:
            batch = _Array()
            _check(stream, stream.contents.get_next(stream, batch))
            if not batch.release:
                return
            try:
                yield {
                    role: _read(wanted[role], schema.children[k].contents, batch.children[k].contents, batch)
                    for role, k in places.items()
                }
            finally:
                batch.release(batch)
    finally:
        schema.release(schema)


def read_array(name: str, source: Any) -> Column:
    """One column from an object with `__arrow_c_array__` or `__arrow_c_stream__` (an Arrow array or a Series)."""
    if hasattr(source, "__arrow_c_array__"):
        schema_capsule, array_capsule = source.__arrow_c_array__()
        schema = ctypes.cast(_capsule_pointer(schema_capsule, b"arrow_schema"), POINTER(_Schema))
        array = ctypes.cast(_capsule_pointer(array_capsule, b"arrow_array"), POINTER(_Array))
        # The capsules release their memory when they are collected, so spans are copied out now.
        return _read(name, schema.contents, array.contents, None).owned()
    capsule = source.__arrow_c_stream__()
    stream = ctypes.cast(_capsule_pointer(capsule, b"arrow_array_stream"), POINTER(_Stream))
    schema_of_stream = _Schema()
    _check(stream, stream.contents.get_schema(stream, schema_of_stream))
    parts = []
    try:
        while True:
            batch = _Array()
            _check(stream, stream.contents.get_next(stream, batch))
            if not batch.release:
                break
            try:
                parts.append(_read(name, schema_of_stream, batch, None).owned())
            finally:
                batch.release(batch)
        if not parts:
            return Column("integers", np.zeros(0, dtype=np.int64))
        return concatenate(name, parts)
    finally:
        schema_of_stream.release(schema_of_stream)


def _check(stream: Any, code: int) -> None:
    if code:
        message = stream.contents.get_last_error(stream)
        raise InputError(f"The Arrow stream failed: {message.decode('utf-8', 'replace') if message else code}.")


def _places(schema: _Schema, wanted: Mapping[str, str]) -> dict[str, int]:
    names = [schema.children[k].contents.name.decode("utf-8") for k in range(schema.n_children)]
    return {role: find_column(names, role, name) for role, name in wanted.items()}


def _type_name(schema: _Schema) -> str:
    form = schema.format.decode()
    if form.startswith("+"):
        return "nested values (lists or structs)"
    return _NAMES.get(form, f"Arrow format {form!r}")


def _bytes_at(address: int | None, n_bytes: int) -> NDArray[np.uint8]:
    if not address or n_bytes == 0:
        return np.zeros(0, dtype=np.uint8)
    return np.ctypeslib.as_array((ctypes.c_uint8 * n_bytes).from_address(address))


def _read(name: str, schema: _Schema, array: _Array, parent: _Array | None) -> Column:
    """A column of a batch; numbers are copied, spans of text still point into the batch."""
    start = array.offset + (parent.offset if parent is not None else 0)
    n = parent.length if parent is not None else array.length
    form = schema.format.decode()
    valid = _valid(array, start, n)
    if form == "n":
        return null_column(n)
    if schema.dictionary:
        return _read_dictionary(name, schema, array, start, n, valid)
    if form in _FIXED:
        dtype = np.dtype(_FIXED[form])
        raw = _bytes_at(array.buffers[1], (start + n) * dtype.itemsize)
        values = raw.view(dtype)[start:].copy()
        if dtype.kind == "f":
            values = values.astype(np.float64)
            there = ~np.isnan(values)
            both = there if valid is None else there & valid
            return Column("floats", values, None if both.all() else both)
        return integer_column(values, valid)
    if form.startswith("ts") or form in ("tdD", "tdm"):
        return _read_times(form, array, start, n, valid)
    if form in ("u", "U", "vu"):
        buffer, starts, stops = _spans(form, array, start, n)
        if valid is not None:
            stops = np.where(valid, stops, starts)
        return Column("spans", starts, valid, buffer=buffer, stops=stops)
    if form.startswith("d:"):
        return _read_decimals(form, array, start, n, valid)
    raise InputError(f"Column {name!r} must hold integers, strings or times. Got {_type_name(schema)} instead.")


def _read_decimals(form: str, array: _Array, start: int, n: int, valid: NDArray[np.bool_] | None) -> Column:
    """Decimals "d:precision,scale[,bits]": whole ones are integers, exactly (many systems export ids so)."""
    numbers = [int(part) for part in form[2:].split(",")]
    unit, width = 10 ** numbers[1], (numbers[2] if len(numbers) > 2 else 128) // 8
    raw = _bytes_at(array.buffers[1], (start + n) * width)[start * width :]
    if width < 8:
        low: NDArray[np.int64] = raw.view(np.int32).astype(np.int64)
        fits = np.ones(n, dtype=np.bool_)
    else:
        words = raw.view(np.int64).reshape(n, width // 8)
        low = words[:, 0].copy()
        fits = (words[:, 1:] == (low >> 63)[:, None]).all(axis=1)
    if valid is not None:
        low[~valid], fits = 0, fits | ~valid
    if fits.all() and unit < 2**63:
        rest = low % np.int64(unit)
        if not rest.any():
            return Column("integers", low // np.int64(unit), valid)
        return Column("floats", low / unit, valid)
    exact = [int.from_bytes(raw[k * width : (k + 1) * width].tobytes(), "little", signed=True) for k in range(n)]
    if valid is not None:
        exact = [value if there else 0 for value, there in zip(exact, valid.tolist())]
    if any(value % unit for value in exact):
        return Column("floats", np.array([value / unit for value in exact]), valid)
    return big_integer_column([value // unit for value in exact], valid)


def _read_times(form: str, array: _Array, start: int, n: int, valid: NDArray[np.bool_] | None) -> Column:
    """Timestamps (UTC, whatever their display zone), dates as days or milliseconds."""
    if form == "tdD":
        days = _bytes_at(array.buffers[1], (start + n) * 4).view(np.int32)[start:].astype(np.int64)
        return Column("times", days * 86_400, valid, "s")
    values = _bytes_at(array.buffers[1], (start + n) * 8).view(np.int64)[start:].copy()
    unit = "ms" if form == "tdm" else {"s": "s", "m": "ms", "u": "us", "n": "ns"}[form[2]]
    return Column("times", values, valid, unit)


def _valid(array: _Array, start: int, n: int) -> NDArray[np.bool_] | None:
    if array.null_count == 0 or array.n_buffers == 0 or not array.buffers[0]:
        return None
    bits = np.unpackbits(_bytes_at(array.buffers[0], (start + n + 7) // 8), bitorder="little")[start : start + n]
    return None if bits.all() else bits.astype(np.bool_)


def _read_dictionary(
    name: str, schema: _Schema, array: _Array, start: int, n: int, valid: NDArray[np.bool_] | None
) -> Column:
    dtype = np.dtype(_FIXED[schema.format.decode()])
    codes = _bytes_at(array.buffers[1], (start + n) * dtype.itemsize).view(dtype)[start:].astype(np.int64)
    if valid is not None:
        codes[~valid] = 0
    inner = _read(name, schema.dictionary.contents, array.dictionary.contents, None)
    if len(inner) == 0:
        return null_column(n)
    return inner.owned().at(codes, valid)


def _spans(
    form: str, array: _Array, start: int, n: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """(bytes, starts, stops) of strings."""
    if form != "vu":
        dtype = np.dtype(np.int32 if form == "u" else np.int64)
        offsets = _bytes_at(array.buffers[1], (start + n + 1) * dtype.itemsize).view(dtype)[start:].astype(np.int64)
        if n == 0 or len(offsets) == 0:
            return np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return _bytes_at(array.buffers[2], int(offsets[-1])), offsets[:-1], offsets[1:]
    views = _bytes_at(array.buffers[1], (start + n) * 16)[start * 16 :]
    offsets = np.zeros(n + 1, dtype=np.int64)
    lengths = views.view(np.int32)[::4].astype(np.int64)
    valid = _valid(array, start, n)
    np.cumsum(lengths if valid is None else np.where(valid, lengths, 0), out=offsets[1:])
    out = np.empty(int(offsets[-1]), dtype=np.uint8)
    n_data = array.n_buffers - 3
    sizes = _bytes_at(array.buffers[array.n_buffers - 1], n_data * 8).view(np.int64).tolist()
    data = [_bytes_at(array.buffers[2 + which], size) for which, size in enumerate(sizes)]
    _core.gather_views(views, data, offsets, out)
    return out, offsets[:-1], offsets[1:]
