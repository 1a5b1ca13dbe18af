"""One published version, read: its manifest, its files, the table that they make."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _disk as disk
from .. import _npy as npy
from .._errors import TableError
from . import manifest
from .row_ids import RowIds
from .table import EmbeddingTable


@dataclass(frozen=True)
class VersionInfo:
    """One published version. `error` says why its manifest can't be read; the other fields are then empty.

    sequence : number of the publication, independent of clocks. status : the guardrails' verdict, "pass", "warn",
    "fail" or None. forced_by : who published in spite of a "fail".
    """

    name: str
    version: str
    is_latest: bool
    sequence: int = 0
    parent: str | None = None
    created_utc: str = ""
    n_rows: int = 0
    dimension: int = 0
    id_kind: str = ""
    size_bytes: int = 0
    fingerprint: str = ""
    status: str | None = None
    forced_by: str | None = None
    error: str | None = None


def version_info(fields: dict[str, Any], is_latest: bool) -> VersionInfo:
    """The short form of a manifest."""
    report, forced = fields.get("report"), fields.get("forced")
    return VersionInfo(
        fields["name"], fields["version"], is_latest, fields["sequence"], fields["parent"], fields["created_utc"],
        fields["n_rows"], fields["dimension"], fields["id_kind"], sum(e.size for e in fields["files"].values()),
        fields["fingerprint"], report["status"] if report else None, forced["by"] if forced else None,
    )


def read_manifest(folder: disk.Folder, name: str, version: str) -> dict[str, Any]:
    """The checked fields of a version's manifest."""
    raw = bytes(folder.map(manifest.FILE, at_most=manifest.MAX_BYTES))
    return manifest.decode(raw, folder.path / manifest.FILE, name, version)


def check_hash(folder: disk.Folder, file: str, sha256: str, wanted: manifest.FileEntry) -> None:
    """TableError unless the hash of a file is the manifest's."""
    if sha256 != wanted.sha256:
        raise TableError(f"{folder.path / file} is damaged: its sha256 is not the manifest's.")


def map_files(folder: disk.Folder, fields: dict[str, Any]) -> dict[str, Any]:
    """Every file mapped, its size and header compared with the manifest."""
    parts: dict[str, Any] = {}
    for file, entry in fields["files"].items():
        mapped = folder.map(file, size=entry.size)
        if entry.dtype is None:
            parts[file] = mapped
            continue
        head = npy.header(entry.dtype, entry.shape)
        if mapped[: len(head)] != head:
            raise TableError(f"{folder.path / file} is damaged: its header is not the manifest's.")
        array = np.frombuffer(mapped, dtype=entry.dtype, offset=len(head)).reshape(entry.shape)
        array.flags.writeable = False
        parts[file] = array
    return parts


def open_version(
    folder: disk.Folder, name: str, version: str, verify: bool, reopen: Callable[..., EmbeddingTable]
) -> EmbeddingTable:
    """The table of a version, mapped. `reopen(root, name, version, digest)` opens it again in another process."""
    fields = read_manifest(folder, name, version)
    if verify:
        for file, entry in fields["files"].items():
            # Hashed through the map, unlike in `TableStore.verify`: these pages are about to be used.
            check_hash(folder, file, disk.hash_of(folder.map(file, entry.size)), entry)
    parts = map_files(folder, fields)
    source = str(folder.path / ("ids.npy" if fields["id_kind"] == "int64" else "ids_offsets.npy"))
    ids = RowIds(parts.get("ids.npy"), parts.get("ids_offsets.npy"), parts.get("ids_data.npy"), source)
    arrays = {str(manifest.array_name(f)): parts[f] for f in parts if manifest.array_name(f)}
    entry, raw = fields["files"][manifest.METADATA], parts[manifest.METADATA]
    table = EmbeddingTable._of_parts(
        ids, parts["vectors.npy"], parts.get("context_vectors.npy"), arrays,
        lambda: _read_metadata(folder.path / manifest.METADATA, entry, raw), fingerprint=fields["fingerprint"],
    )
    table.name, table.version = name, version
    table._origin = (reopen, (os.path.abspath(folder.path.parent.parent), name, version, content_digest(fields)))
    return table


def content_digest(fields: dict[str, Any]) -> str:
    """sha256 over the hashes of a version's files: its ids, numbers, further arrays and metadata."""
    lines = [f"{file} {entry.sha256}\n" for file, entry in sorted(fields["files"].items())]
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def _read_metadata(path: Path, entry: manifest.FileEntry, raw: Any) -> dict[str, Any]:
    if hashlib.sha256(raw).hexdigest() != entry.sha256:
        raise TableError(f"{path} is damaged: its sha256 is not the manifest's.")
    try:
        return json.loads(bytes(raw))  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path} is not JSON: {error}.") from error
