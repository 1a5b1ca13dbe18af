"""Tables as safetensors files, written and read (https://github.com/huggingface/safetensors#format).

A file is a header in JSON, its length before it, and the tensors' bytes after it. Nothing in it can be run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import TableError
from .._files import whole_file
from .._validate import Checks
from .table import EmbeddingTable

_MAX_HEADER = 100_000_000  # what the format's own readers accept
_DTYPES = {
    "BOOL": "|b1", "I8": "|i1", "U8": "|u1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4",
    "F32": "<f4", "I64": "<i8", "U64": "<u8", "F64": "<f8",
}
_KINDS = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()}
_ARRAY = "array."


def write_safetensors(table: EmbeddingTable, path: str | os.PathLike[str], *, arrays: bool = False) -> None:
    """safetensors: "vectors" (and "context_vectors") float32, "ids" int64; text ids are a JSON list in the metadata.

    The metadata also holds what `EmbeddingTable.to_arrow` says: "traitcore.fingerprint", maybe "traitcore.table" and
    "traitcore.version". `arrays`: the table's further arrays too, as "array.NAME". ValueError for text ids of more
    than some 100 MB, which readers of the format refuse.
    """
    tensors: dict[str, NDArray[Any]] = {"vectors": table.vectors}
    if table.context_vectors is not None:
        tensors["context_vectors"] = table.context_vectors
    if table.id_kind == "int64":
        tensors["ids"] = table.ids
    labels = {"format": "np", **table._labels()}
    if table.id_kind == "string":
        labels["ids"] = json.dumps(table.ids.tolist())
    if arrays:
        tensors |= {_ARRAY + name: array for name, array in table.arrays.items()}
    _write(tensors, labels, path)


def read_safetensors(path: str | os.PathLike[str]) -> EmbeddingTable:
    """The table that `write_safetensors` wrote.

    TableError where the file is none, is cut short, or holds ids or vectors other than its fingerprint says. The
    fingerprint isn't of further arrays: a changed number in one of them is not noticed.
    """
    tensors, labels = _read(Path(path))
    ids: Any = tensors.get("ids")
    if ids is None:
        try:
            ids = json.loads(labels["ids"])
        except (KeyError, ValueError, RecursionError) as error:
            raise TableError(f"{path} holds no ids: it was not written by traitcore.") from error
    if "vectors" not in tensors:
        raise TableError(f"{path} holds no tensor 'vectors': it was not written by traitcore.")
    arrays = {name.removeprefix(_ARRAY): array for name, array in tensors.items() if name.startswith(_ARRAY)}
    try:
        table = EmbeddingTable(ids, tensors["vectors"], context_vectors=tensors.get("context_vectors"), arrays=arrays)
    except (TypeError, ValueError) as error:
        raise TableError(f"{path} does not hold a table: {error}") from error
    said = labels.get("traitcore.fingerprint")
    if said != table.fingerprint:
        raise TableError(f"{path} is damaged: its fingerprint is {table.fingerprint}, and it says {said!r}.")
    return table


def _write(tensors: Mapping[str, NDArray[Any]], labels: Mapping[str, str], path: str | os.PathLike[str]) -> None:
    header: dict[str, Any] = {"__metadata__": dict(labels)}
    at = 0
    for name, array in tensors.items():
        kind = _KINDS[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, ensure_ascii=True).encode("ascii")
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        rule = f"a table whose ids fit a header of {_MAX_HEADER:,} bytes (Parquet has no such limit)"
        raise Checks("write_safetensors").value_error("table", rule, f"{len(text):,} bytes")
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors and metadata of a file; TableError where it isn't what the format says."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > min(_MAX_HEADER, len(raw) - 8):
        raise TableError(f"{path} is not a safetensors file, or is cut short.")
    body = memoryview(raw)[8 + length :]
    try:
        header = json.loads(raw[8 : 8 + length])
        labels = {str(k): str(v) for k, v in header.pop("__metadata__", {}).items()}
        tensors = {str(name): _tensor(body, entry) for name, entry in header.items()}
        used = sorted(entry["data_offsets"] for entry in header.values())
        if [start for start, _ in used] != [0, *(stop for _, stop in used)][: len(used)]:
            raise ValueError("its tensors overlap or leave gaps")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TableError(f"{path} is damaged: its header does not describe its tensors ({error}).") from error
    return tensors, labels


def _tensor(body: memoryview, entry: Any) -> NDArray[Any]:
    dtype, shape, (start, stop) = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
    if any(type(n) is not int or n < 0 for n in (*shape, start, stop)) or len(shape) > 8:
        raise ValueError(f"shape {shape} at {start}:{stop}")
    if stop > len(body) or stop - start != prod(shape) * dtype.itemsize:
        raise ValueError(f"shape {shape} and dtype {dtype} at {start}:{stop} of {len(body)} bytes")
    return np.frombuffer(body[start:stop], dtype=dtype).reshape(shape)
