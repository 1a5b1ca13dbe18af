"""A manifest: JSON whose first member is the sha256 of all bytes after that member's line."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import TableError

MAX_BYTES = 16 << 20  # that a reader loads before it has checked the content
_HEAD = re.compile(rb'\{\n "checksum": "([0-9a-f]{64})",\n')


@dataclass(frozen=True)
class FileEntry:
    """A file of a version; `dtype` and `shape` for arrays only."""

    sha256: str
    size: int
    dtype: str | None = None
    shape: tuple[int, ...] | None = None


def encode(fields: dict[str, Any]) -> bytes:
    """The bytes of a manifest; ValueError for what JSON can't hold, or too much of it."""
    body = json.dumps(fields, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    rest = body[len("{\n") :].encode("ascii") + b"\n"
    if len(rest) > MAX_BYTES - 128:
        raise ValueError(f"The manifest would have {len(rest)} bytes, more than {MAX_BYTES}: put less in the report.")
    return b'{\n "checksum": "' + hashlib.sha256(rest).hexdigest().encode("ascii") + b'",\n' + rest


def load(raw: bytes, path: Path) -> dict[str, Any]:
    """The JSON under a checksum that fits; TableError otherwise."""
    verify_checksum(raw, path)
    try:
        return json.loads(raw)  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path} is not JSON: {error}.") from error


def check_format(fields: dict[str, Any], path: Path, known: int) -> None:
    """TableError for another format than `known`, which a later version may have written."""
    if fields.get("format") == known:
        return
    by = f", written by traitcore {fields['library_version']}" if "library_version" in fields else ""
    raise TableError(f"{path} has format {fields.get('format')!r}{by}; this traitcore reads format {known}.")


def verify_checksum(raw: bytes, path: Path) -> None:
    """TableError unless the checksum in the first line is that of the bytes after it."""
    head = _HEAD.match(raw)
    if head is None or hashlib.sha256(raw[head.end() :]).hexdigest().encode("ascii") != head[1]:
        raise TableError(f"{path} is damaged: its checksum is not that of its content.")
