"""Revisions: published versions replaced by others with some rows removed, for those who must be forgotten.

A version is never changed. Its revision is a version of its own (v000003 becomes v000003.r1), with the same place in
the order of publications; releases, the latest and other tables name it instead, and the old version is removed with
its indexes. What has to be moved is written to REVISE first: after a crash the next writer completes it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _disk as disk
from .._errors import TableError, as_table_error
from . import manifest
from .publication import CHECK, table_fields, write_arrays
from .published_version import read_manifest
from .table import EmbeddingTable

if TYPE_CHECKING:
    from .store import TableStore

JOURNAL = "REVISE"
_REVISION = re.compile(r"(.+)\.r(\d+)")
# What a revision's manifest keeps of the version that it revises.
_KEPT = ("parameters", "seed", "input_fingerprint", "report", "forced", "sequence", "created_utc")
Moves = dict[str, dict[str, str]]  # {table: {old version: revision}}


def revise(
    store: TableStore, change: Callable[[EmbeddingTable], EmbeddingTable | None], *, reason: str
) -> Moves:
    """Replace every version for which `change` returns a table; returns {table: {old version: revision}}.

    All versions are read before the first is replaced: TableError where one can't be, for it might hold what has to go.
    """
    with as_table_error(f"Nothing was revised in {store.root}"), store.releases._locked():
        planned = _plan(store, change)
        if not planned:
            return {}
        moves: Moves = {}
        for name, version in planned:
            moves.setdefault(name, {})[version] = _next_revision(store, name, version)
        for (name, version), table in planned.items():
            _write(store, table, name, version, moves, reason)
        disk.replace_file(store.releases._folder / JOURNAL, manifest.encode({"moves": moves, "reason": reason}))
        complete(store)
    return moves


def complete(store: TableStore) -> None:
    """Move everything that names a revised version to its revision, as REVISE says; nothing where there is no REVISE.

    Call it under the lock of the releases.
    """
    folder = store.releases._folder
    if not (folder / JOURNAL).exists():
        return
    with disk.Folder(folder) as opened:
        journal = manifest.load(bytes(opened.map(JOURNAL, at_most=manifest.MAX_BYTES)), folder / JOURNAL)
    moves: Moves = journal["moves"]
    for release in store.releases.list():
        if release.error is None and any((release.tables or {}).get(n) in done for n, done in moves.items()):
            record = _moved(store, store.releases._record(release.name), moves, journal["reason"])
            disk.replace_file(store.releases._path(release.name), manifest.encode(record))
    for name, done in moves.items():
        table = store.root / name
        with disk.locked(table / ".lock"):
            latest = store._read_latest(name)
            if latest in done:
                disk.replace_file(table / "LATEST", done[latest].encode("ascii") + b"\n")
            for old in done:
                if disk.is_plain_directory(table / old):
                    os.rename(table / old, table / f"{disk.Workspace.TRASH}{secrets.token_hex(8)}")
                shutil.rmtree(table / ".indexes" / old, ignore_errors=True)
            disk.sync_directory(table)
            disk.Workspace.remove_leftovers(table)
    os.unlink(folder / JOURNAL)
    disk.sync_directory(folder)


def _plan(
    store: TableStore, change: Callable[[EmbeddingTable], EmbeddingTable | None]
) -> dict[tuple[str, str], EmbeddingTable]:
    """The tables that replace versions: those that change, and those that name one that does."""
    _remove_unfinished(store)
    opened = {(i.name, i.version): store.open(i.name, i.version) for i in _readable(store)}
    planned = {key: changed for key, table in opened.items() if (changed := change(table)) is not None}
    found = True
    while found:  # a table made with a revised one names its revision, and so is revised itself
        named = [key for key, table in opened.items() if key not in planned and _names(table) & set(planned)]
        planned |= {key: opened[key].__copy__() for key in named}
        found = bool(named)
    for key in planned:  # else a damaged file would get a checksum that fits it
        store.verify(*key)
    for key, table in planned.items():
        versions = dict(opened[key].metadata.get("versions") or {})
        if versions:
            revised = {n: _next_revision(store, n, v) if (n, v) in planned else v for n, v in versions.items()}
            table._metadata = table.metadata | {"versions": revised}
    return planned


def _names(table: EmbeddingTable) -> set[tuple[str, str]]:
    return set((table.metadata.get("versions") or {}).items())


def _readable(store: TableStore) -> Iterator[Any]:
    for info in store.list():
        if info.error is not None:
            raise TableError(f"{info.error} It can't be told what this version holds: remove {info.name} "
                             f"{info.version} from the store by hand, then try again.")
        yield info


def _remove_unfinished(store: TableStore) -> None:
    """Remove revisions whose original is still there: a crash came before anything was moved to them."""
    there = {(i.name, i.version) for i in store.list()}
    for name, version in sorted(there):
        match = _REVISION.fullmatch(version)
        folder = store.root / name
        with disk.Folder(folder / version) as opened:
            original = read_manifest(opened, name, version).get("revises") if match else None
        if original is not None and (name, original) in there:
            with disk.locked(folder / ".lock"):
                os.rename(folder / version, folder / f"{disk.Workspace.TRASH}{secrets.token_hex(8)}")
                disk.Workspace.remove_leftovers(folder)


def newest_revision(folder: Path, version: str) -> str:
    """The version itself where it is there, else its last revision; itself again where it has none."""
    stem = match[1] if (match := _REVISION.fullmatch(version)) else version
    numbers = [int(m[2]) for entry in os.listdir(folder) if (m := _REVISION.fullmatch(entry)) and m[1] == stem]
    return version if (folder / version).exists() or not numbers else f"{stem}.r{max(numbers)}"


def _next_revision(store: TableStore, name: str, version: str) -> str:
    match = _REVISION.fullmatch(version)
    stem, number = (match[1], int(match[2])) if match else (version, 0)
    while (store.root / name / f"{stem}.r{number + 1}").exists():
        number += 1
    return f"{stem}.r{number + 1}"


def _write(store: TableStore, table: EmbeddingTable, name: str, version: str, moves: Moves, reason: str) -> None:
    folder, revision = store.root / name, moves[name][version]
    disk.check_name("version", CHECK, revision)
    with disk.Folder(folder / version) as opened:
        old = read_manifest(opened, name, version)
    with disk.locked(folder / ".lock"):
        disk.Workspace.remove_leftovers(folder)
        workspace = disk.Workspace(folder)
    try:
        fields = {key: old[key] for key in _KEPT if key in old}
        fields |= table_fields(table, write_arrays(workspace.content, table))
        fields |= {
            "name": name, "version": revision, "parent": moves[name].get(old["parent"], old["parent"]),
            "revises": version, "revised": [*old.get("revised", []), {"utc": _now(), "reason": reason}],
        }
        disk.write_file(workspace.content / manifest.FILE, [manifest.encode(fields)])
        disk.sync_directory(workspace.content)
        with disk.locked(folder / ".lock"):
            os.rename(workspace.content, folder / revision)
            disk.sync_directory(folder)
    finally:
        workspace.close()


def _moved(store: TableStore, record: dict[str, Any], moves: Mapping[str, Mapping[str, str]], reason: str) -> Any:
    """A release's record that names revisions."""
    tables = {}
    for name, entry in record["tables"].items():
        revision = moves.get(name, {}).get(entry["version"])
        if revision is not None:
            entry = {"version": revision, "fingerprint": store.describe(name, revision)["fingerprint"]}
        tables[name] = entry
    fields = {key: value for key, value in record.items() if key != "checksum"}
    return fields | {"tables": tables, "revised": [*record.get("revised", []), {"utc": _now(), "reason": reason}]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
