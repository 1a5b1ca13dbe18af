"""TableStore: a directory of immutable, versioned tables, safe to read while others publish."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import _disk as disk
from .._errors import TableError, as_table_error
from .._parallel import run_tasks
from .._protocols import Report
from . import manifest
from .publication import CHECK, check_report, table_fields, write_arrays
from .published_version import (
    VersionInfo,
    check_hash,
    map_files,
    open_version,
    read_manifest,
    version_info,
)
from .releases import Releases, kept_versions
from .revisions import newest_revision
from .table import EmbeddingTable, check_metadata

_ATTEMPTS = 20


class VersionExistsError(TableError):
    """Another publisher put this version in place first; nothing was changed. Publish again for the next version."""


class TableStore:
    """Versioned tables under one directory, on a local or network file system.

        root/<name>/<version>/manifest.json, vectors.npy, ...    immutable once there
        root/<name>/LATEST                                        the version that "latest" means
        root/.releases/r000001.json                               versions of several tables that belong together

    A version is written under a temporary name, synced and renamed; LATEST is replaced atomically. So a reader sees
    complete versions only, and keeps the one it has opened even if it is pruned. Nothing is pickled.

    Parameters
    ----------
    root : the directory; made at the first publish.

    See Also
    --------
    EmbeddingTable : what is published. Releases : several tables at once. judge : makes the report for `publish`.
    fit_pipeline : publishes to a store.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> store = tc.TableStore(tempfile.mkdtemp())
    >>> store.publish(tc.EmbeddingTable(["cup", "mug"], [[1.0, 0.0], [0.6, 0.8]]), "items")
    'v000001'
    >>> store.open("items")
    EmbeddingTable(2 string ids, d=2, items@v000001)
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        if not isinstance(root, (str, os.PathLike)):
            raise CHECK.type_error("root", "a path", root)
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"TableStore({str(self.root)!r})"

    @property
    def releases(self) -> Releases:
        """The releases: tables that are published, rolled back and pruned together."""
        return Releases(self)

    # -- writing ---------------------------------------------------------------------------------------------------

    def publish(
        self,
        table: EmbeddingTable,
        name: str,
        version: str | None = None,
        *,
        report: Report | Mapping[str, Any] | None = None,
        forced_by: str | None = None,
        force_reason: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: int | None = None,
        input_fingerprint: str | None = None,
    ) -> str:
        """Write `table` as a new version of `name`, make it the latest, and return the version.

        Parameters
        ----------
        version : a name of its own, or None for the next of v000001, v000002, ...
        report : the guardrails' verdict, kept in the manifest: a mapping, or an object with `as_dict()`, whose "status"
            is "pass", "warn" or "fail". A "fail" is refused unless `forced_by` and `force_reason` are given: who
            publishes all the same, and why. Both are kept.
        parameters, seed, input_fingerprint : how the table was made; kept in the manifest.

        Raises
        ------
        VersionExistsError : the version exists, or another publisher was first.
        TableError : a failing report that is not forced; a disk that is full or can't be written. The store is then
            unchanged.
        """
        disk.check_name("name", CHECK, name)
        if version is not None:
            disk.check_name("version", CHECK, version)
        if not isinstance(table, EmbeddingTable):
            raise CHECK.type_error("table", "an EmbeddingTable", table)
        fields = {
            "parameters": check_metadata(parameters),
            "seed": seed if seed is None else CHECK.integer("seed", seed, 0, 2**64 - 1),
            "input_fingerprint": input_fingerprint,
            **check_report(report, forced_by, force_reason),
        }
        with as_table_error(f"{name!r} was not published in {self.root}"):
            return self._publish(table, name, version, fields, latest=True)

    def _publish(
        self, table: EmbeddingTable, name: str, version: str | None, fields: dict[str, Any], *, latest: bool
    ) -> str:
        """Write a version; `latest` False: without making it the latest."""
        folder = self._make_folder(name)
        with disk.locked(folder / ".lock"):
            disk.Workspace.remove_leftovers(folder)
            version = version or self._next_version(name)
            self._refuse_existing(folder, version)
            workspace = disk.Workspace(folder)
        try:
            entries = write_arrays(workspace.content, table)
            fields |= table_fields(table, entries)
            with disk.locked(folder / ".lock"):
                self._refuse_existing(folder, version)
                fields |= {
                    "name": name,
                    "version": version,
                    "parent": self._read_latest(name),
                    "sequence": 1 + max((i.sequence for i in self.list(name)), default=0),
                    "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                disk.write_file(workspace.content / manifest.FILE, [manifest.encode(fields)])
                disk.sync_directory(workspace.content)
                os.rename(workspace.content, folder / version)
                disk.sync_directory(folder)
                if latest:
                    disk.replace_file(folder / "LATEST", version.encode("ascii") + b"\n")
        finally:
            workspace.close()
        table._fingerprint = fields["fingerprint"]
        return version

    def _make_folder(self, name: str) -> Path:
        os.makedirs(self.root, exist_ok=True)
        folder = self.root / name
        if disk.is_plain_directory(folder):
            return folder
        twin = next((n for n in os.listdir(self.root) if n.lower() == name.lower() and n != name), None)
        if twin is not None:
            raise TableError(f"{self.root} has a table {twin!r}: {name!r} differs from it by case only.")
        with contextlib.suppress(FileExistsError):  # another publisher made it
            os.mkdir(folder)
        disk.sync_directory(self.root)
        return folder

    def _refuse_existing(self, folder: Path, version: str) -> None:
        twin = next((v for v in os.listdir(folder) if v.lower() == version.lower()), None)
        if twin == version:
            raise VersionExistsError(f"{folder / version} was published already; a version is never replaced.")
        if twin is not None:
            raise VersionExistsError(f"{folder} has a version {twin!r}: {version!r} differs from it by case only.")

    def _next_version(self, name: str) -> str:
        infos = self.list(name)
        taken = {info.version.lower() for info in infos}
        number = 1 + max((info.sequence for info in infos), default=0)
        while f"v{number:06d}" in taken:
            number += 1
        return f"v{number:06d}"

    def rollback(self, name: str, version: str | None = None) -> str:
        """Make an earlier version the latest and return it; None: the parent of the latest.

        Its files are verified first. Nothing is removed: the newer version can still be opened by its name. The tables
        of a release belong together and are rolled back by `releases.rollback` only.
        """
        with as_table_error(f"{name!r} was not rolled back"):
            release = self.releases.of_table(name, self._resolve(name, "latest"))
            if release is not None and len(release.tables or {}) > 1:
                raise TableError(
                    f"{name!r} was not rolled back: {release} belongs together. `releases.rollback` moves all of its "
                    "tables (on the command line: traitcore store rollback)."
                )
            if version is None:
                current = self._resolve(name, "latest")
                version = self.describe(name, current)["parent"]
                if version is None:
                    raise TableError(f"{name!r} {current} has no parent to roll back to.")
                version = newest_revision(self.root / name, version)
            self.verify(name, version)
            folder = self.root / name
            with disk.locked(folder / ".lock"):
                if not disk.is_plain_directory(folder / version):
                    raise TableError(f"{name!r} has no version {version!r} any more: it was pruned.")
                disk.replace_file(folder / "LATEST", version.encode("ascii") + b"\n")
        return version

    def repair(self, name: str, *, by: str) -> tuple[str | None, str | None]:
        """(the latest version, the one that is the latest now): where the latest is damaged, the newest that is whole.

        The damaged files stay where they are. What was done is added to the table's "repairs.jsonl", with the time and
        `by`, who did it. Where no version is whole there is no latest any more, and the next publication starts anew.
        TableError where there is no such table, or it can't be written.
        """
        with as_table_error(f"{name!r} was not repaired"):
            folder, before = self._folder(name), None
            try:
                before = self._read_latest(name)
                if before is not None:
                    self._check_whole(name, before)
                return before, before
            except TableError as error:
                reason = str(error)
            now = next((one for one in self._newest_first(name) if self._is_whole(name, one)), None)
            with disk.locked(folder / ".lock"):
                if now is not None:
                    disk.replace_file(folder / "LATEST", now.encode("ascii") + b"\n")
                else:
                    (folder / "LATEST").unlink(missing_ok=True)
                entry = {"utc": datetime.now(UTC).isoformat(timespec="seconds"), "by": by, "from": before, "to": now,
                         "reason": reason}
                with open(folder / "repairs.jsonl", "a", encoding="ascii") as file:
                    file.write(json.dumps(entry) + "\n")
                disk.sync_directory(folder)
        return before, now

    def _newest_first(self, name: str) -> list[str]:
        found = [v for v in os.listdir(self.root / name) if _is_name(v) and (self.root / name / v).is_dir()]
        order = {}
        for version in found:
            with contextlib.suppress(TableError, OSError), disk.Folder(self.root / name / version) as folder:
                order[version] = read_manifest(folder, name, version)["sequence"]
        return sorted(order, key=lambda version: -order[version])

    def _check_whole(self, name: str, version: str) -> None:
        """TableError unless the files of a version, and of those its metadata names, are as they were published."""
        self.verify(name, version)
        beside = self.open(name, version).metadata.get("versions") or {}
        for other, its_version in beside.items():
            self.verify(other, its_version)

    def _is_whole(self, name: str, version: str) -> bool:
        with contextlib.suppress(TableError):
            self._check_whole(name, version)
            return True
        return False

    def prune(self, name: str, *, keep: int) -> list[str]:
        """Remove versions of a table, and return what was removed, oldest first.

        Kept are the `keep` newest, the latest, every version that a version of another table names as the one it was
        made with, and those that can't be read, for inspection. `releases.prune` removes old versions of all tables.
        Readers keep the tables that they have opened.
        """
        CHECK.integer("keep", keep, 1)
        with as_table_error(f"{name!r} was not pruned"):
            self._folder(name)
            return self._remove_but(name, kept_versions(self, {name: keep}, [])[name])

    def _remove_but(self, name: str, stay: Collection[str]) -> list[str]:
        """Remove the versions of a table but `stay` and the latest; returns them, oldest first."""
        folder = self._folder(name)
        with disk.locked(folder / ".lock"):
            victims = [i.version for i in self.list(name) if i.version not in stay and not i.is_latest]
            trash = []
            for version in victims:
                trash.append(folder / f"{disk.Workspace.TRASH}{secrets.token_hex(8)}")
                os.rename(folder / version, trash[-1])
                shutil.rmtree(folder / ".indexes" / version, ignore_errors=True)
            disk.sync_directory(folder)
            disk.Workspace.remove_leftovers(folder)
        return victims

    def index_path(self, name: str, version: str, kind: str) -> Path:
        """The path for `Index.save` of an index over a version; `prune` removes both together."""
        for parameter, value in (("name", name), ("version", version), ("kind", kind)):
            disk.check_name(parameter, CHECK, value)
        return self.root / name / ".indexes" / version / kind

    # -- reading ---------------------------------------------------------------------------------------------------

    def open(self, name: str, version: str = "latest", *, verify: bool = False) -> EmbeddingTable:
        """The table of a version, memory-mapped read-only; `verify` also hashes every file.

        The manifest's checksum and each file's size and header are always checked; that reads only a few pages.

        Raises
        ------
        TableError : no such table or version, or a file that is missing, damaged or not what the manifest says.
        """
        for _ in range(_ATTEMPTS):
            with as_table_error(f"{name!r} {version!r} of {self.root} can't be opened"):
                found = self._resolve(name, version)
                try:
                    with disk.Folder(self.root / name / found) as folder:
                        return open_version(folder, name, found, verify, _reopen)
                except (FileNotFoundError, NotADirectoryError) as error:
                    # Pruned after LATEST was read: try again. If the version is still there, a file is missing.
                    missing = error
        raise TableError(f"{self.root / name / found} is damaged: {missing.filename} is missing.")

    def describe(self, name: str, version: str = "latest") -> dict[str, Any]:
        """The manifest of a version: files, shapes, parameters, seed, parent, report, who forced it and why."""
        with as_table_error(f"{name!r} {version!r} of {self.root} can't be read"):
            found = self._resolve(name, version)
            with disk.Folder(self.root / name / found) as folder:
                fields = read_manifest(folder, name, found)
        fields["files"] = {file: dict(vars(entry)) for file, entry in fields["files"].items()}
        return fields

    def verify(self, name: str, version: str = "latest", *, workers: int = 1) -> VersionInfo:
        """Hash every file of a version; TableError names the first that isn't what was published.

        Large files are read from the disk itself where the system allows it, bypassing the page cache.
        """
        workers = CHECK.workers(workers)
        with as_table_error(f"{name!r} {version!r} of {self.root} can't be verified"):
            found = self._resolve(name, version)
            with disk.Folder(self.root / name / found) as folder:
                fields = read_manifest(folder, name, found)
                map_files(folder, fields)
                files = sorted(fields["files"].items(), key=lambda item: -item[1].size)
                run_tasks(
                    [lambda f=f, e=e: check_hash(folder, f, folder.sha256(f, e.size), e) for f, e in files],  # type: ignore[misc]
                    workers,
                )
            return version_info(fields, found == self._read_latest(name))

    def list(self, name: str | None = None) -> list[VersionInfo]:
        """Versions of one table, or of all, by name and order of publication; `error` is set for damaged ones."""
        if name is None:
            with as_table_error(f"{self.root} can't be listed"):
                names = sorted(os.listdir(self.root)) if self.root.is_dir() else []
                return [i for n in names if _is_name(n) and (self.root / n).is_dir() for i in self.list(n)]
        infos = []
        with as_table_error(f"{name!r} of {self.root} can't be listed"):
            folder = self._folder(name)
            latest = self._read_latest(name)
            versions = sorted(v for v in os.listdir(folder) if _is_name(v) and (folder / v).is_dir())
        for version in versions:
            try:
                with disk.Folder(folder / version) as opened:
                    infos.append(version_info(read_manifest(opened, name, version), version == latest))
            except (TableError, OSError) as error:
                infos.append(VersionInfo(name, version, version == latest, error=str(error)))
        return sorted(infos, key=lambda info: (info.sequence, info.version))

    def _folder(self, name: str) -> Path:
        disk.check_name("name", CHECK, name)
        if not disk.is_plain_directory(self.root / name):
            raise TableError(f"{self.root} has no table {name!r}.")
        return self.root / name

    def _resolve(self, name: str, version: str) -> str:
        folder = self._folder(name)
        if version == "latest":
            found = self._read_latest(name)
            if found is None:
                raise TableError(f"{folder} has no LATEST: no publication was completed.")
            return found
        disk.check_name("version", CHECK, version)
        if not disk.is_plain_directory(folder / version):
            raise TableError(f"{self.root} has no version {version!r} of {name!r}.")
        return version

    def _read_latest(self, name: str) -> str | None:
        try:
            with disk.Folder(self.root / name) as folder:
                raw = bytes(folder.map("LATEST", at_most=256))
        except FileNotFoundError:
            return None
        text = raw.decode("ascii", errors="replace").removesuffix("\n")
        if not _is_name(text):
            raise TableError(f"{self.root / name / 'LATEST'} is damaged: it holds {text!r}.")
        return text


def existing_store(path: str | os.PathLike[str]) -> TableStore:
    """The store in a folder; TableError where there is no such folder."""
    store, text = TableStore(path), os.fspath(path)
    if not store.root.is_dir():
        raise TableError(f"There is no store at {text!r}: `traitcore fit LOG --store {shlex.quote(text)}` makes one.")
    return store


def _is_name(value: str) -> bool:
    try:
        disk.check_name("name", CHECK, value)
    except ValueError:
        return False
    return True

def _reopen(root: str, name: str, version: str, digest: str) -> EmbeddingTable:
    """The table that another process had opened; TableError unless the same version is at the same path here."""
    place = f"The table {name}@{version} was pickled as its path in {root}"
    try:
        table = TableStore(root).open(name, version)
    except TableError as error:
        raise TableError(f"{place}, and can't be opened here: {error}") from error
    assert table._origin is not None
    if table._origin[1][-1] != digest:
        raise TableError(f"{place}, which holds other content here than where it was pickled.")
    return table
