"""The manifest of a published version: its files, how it was made, and a checksum over the manifest itself.

`manifest.json` is JSON whose first member is the sha256 of all bytes after that member's line; a byte changed anywhere
is found before the JSON is parsed. Format 1 never changes: `tests/data/golden` holds its bytes.
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Any

from .. import _npy as npy
from .._errors import TableError
from .._manifest import MAX_BYTES, FileEntry, check_format, encode, load, verify_checksum

__all__ = [
    "FILE", "FORMAT", "MAX_BYTES", "METADATA", "FileEntry", "array_name", "check_format", "decode", "encode", "load",
    "verify_checksum",
]
FORMAT = 1
FILE = "manifest.json"
METADATA = "metadata.json"
# Limits on what a reader loads before it has checked the content.
MAX_METADATA_BYTES = 1 << 30
MAX_ROWS = 1 << 40
_SHA = re.compile(r"[0-9a-f]{64}")
_ARRAY_FILE = re.compile(r"array_([A-Za-z][A-Za-z0-9_]{0,63})\.npy")
_CORE = {f"{name}.npy" for name in npy.RESERVED}


def decode(raw: bytes, path: Path, name: str, version: str) -> dict[str, Any]:
    """The checked fields of the manifest of `name` and `version`; `files` become FileEntry."""
    fields = load(raw, path)
    if fields.get("kind") != "traitcore table":
        raise TableError(f"{path} is not the manifest of a traitcore table.")
    check_format(fields, path, FORMAT)
    if (fields.get("name"), fields.get("version")) != (name, version):
        raise TableError(f"{path} is that of {fields.get('name')!r} {fields.get('version')!r}: moved or copied.")
    try:
        fields["files"] = {str(file): _entry(file, entry) for file, entry in fields["files"].items()}
        _check_layout(fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TableError(f"{path} does not describe a table: {error}.") from error
    return fields


def _entry(file: str, entry: dict[str, Any]) -> FileEntry:
    sha256, size = entry["sha256"], entry["size"]
    if not (isinstance(sha256, str) and _SHA.fullmatch(sha256) and type(size) is int and size >= 0):
        raise ValueError(f"{file} has no sha256 and size")
    if file == METADATA:
        if size > MAX_METADATA_BYTES:
            raise ValueError(f"{file} has {size} bytes, more than {MAX_METADATA_BYTES}")
        return FileEntry(sha256, size)
    if file not in _CORE and not _ARRAY_FILE.fullmatch(file):
        raise ValueError(f"{file!r} is not a file of a table")
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    if dtype not in npy.DTYPES or len(shape) > 8 or any(type(n) is not int or not 0 <= n < MAX_ROWS for n in shape):
        raise ValueError(f"{file} has dtype {dtype!r} and shape {shape}")
    if prod(shape) >= 1 << 60 or npy.file_size(dtype, shape) != size:
        raise ValueError(f"{file} has {size} bytes, which dtype {dtype} and shape {shape} don't need")
    return FileEntry(sha256, size, dtype, shape)


def _check_layout(fields: dict[str, Any]) -> None:
    files: dict[str, FileEntry] = fields["files"]
    n, d = fields["n_rows"], fields["dimension"]
    if type(n) is not int or type(d) is not int or type(fields["sequence"]) is not int:
        raise ValueError("n_rows, dimension and sequence must be ints")
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {"vectors.npy": ("<f4", (n, d))}
    if "context_vectors.npy" in files:
        wanted["context_vectors.npy"] = ("<f4", (n, d))
    if fields["id_kind"] == "int64":
        wanted["ids.npy"] = ("<i8", (n,))
    elif fields["id_kind"] == "string":
        wanted["ids_offsets.npy"] = ("<i8", (n + 1,))
        wanted["ids_data.npy"] = ("|u1", (prod(files["ids_data.npy"].shape or ()),))
    else:
        raise ValueError(f"ids of kind {fields['id_kind']!r}")
    for file, (dtype, shape) in wanted.items():
        if (files[file].dtype, files[file].shape) != (dtype, shape):
            raise ValueError(f"{file} has dtype {files[file].dtype} and shape {files[file].shape}, not {dtype} {shape}")
    if METADATA not in files or _CORE & set(files) != set(wanted):
        raise ValueError("its files are not those of a table")


def array_name(file: str) -> str | None:
    """The name in `EmbeddingTable.arrays` of a file, or None for the core files."""
    match = _ARRAY_FILE.fullmatch(file)
    return match[1] if match else None
