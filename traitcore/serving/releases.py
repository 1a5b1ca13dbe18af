"""Releases: the tables of one run, made the latest, rolled back and pruned together."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from .. import _disk as disk
from .._errors import TableError, as_table_error
from .._protocols import Report
from .._validate import Checks
from . import manifest, revisions
from .publication import check_report
from .table import EmbeddingTable, check_metadata

if TYPE_CHECKING:
    from .store import TableStore

CHECK = Checks("Releases")
FOLDER = ".releases"
FORMAT = 1
_MOVE = "MOVE"
_NAME = re.compile(r"r\d{6,}")


@dataclass(frozen=True)
class Release:
    """One release: versions of tables that belong together. `error` says why its record can't be read.

    Attributes
    ----------
    tables : version by table. fingerprints : `EmbeddingTable.fingerprint` by table.
    is_latest : all of its versions are the latest of their tables. parent : the release that was the latest before.
    status : the guardrails' verdict, "pass", "warn", "fail" or None. forced_by : who published in spite of a "fail".
    input_fingerprint, library_version : the data and the code that made it.
    missing : tables whose version is no longer in the store.
    """

    name: str
    is_latest: bool = False
    parent: str | None = None
    created_utc: str = ""
    tables: Mapping[str, str] | None = None
    fingerprints: Mapping[str, str] | None = None
    status: str | None = None
    forced_by: str | None = None
    input_fingerprint: str | None = None
    library_version: str = ""
    missing: tuple[str, ...] = ()
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({_listed(self.tables or {})})"


class Releases:
    """The releases of a `TableStore`: `store.releases`.

        root/.releases/r000001.json      the record of a release, never changed
        root/.releases/MOVE              there while several LATEST files are being replaced

    A release is the latest when the LATEST of each of its tables names its version. Several files can't be replaced in
    one step, so the change is written to MOVE first: after a crash the next publication or rollback completes it.
    Readers never mix tables even then: the table published last names the versions of the others.

    See Also
    --------
    TableStore : single tables. fit_pipeline : publishes a release.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> store = tc.TableStore(tempfile.mkdtemp())
    >>> cups = tc.EmbeddingTable(["cup", "mug"], [[1.0, 0.0], [0.6, 0.8]])
    >>> people = tc.EmbeddingTable(["ann"], [[0.7, 0.3]])
    >>> for _ in range(2):
    ...     print(store.releases.publish({"items": cups, "customers": people}))
    r000001 (items v000001, customers v000001)
    r000002 (items v000002, customers v000002)
    >>> print(store.releases.rollback())
    r000001 (items v000001, customers v000001)
    """

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self._folder = store.root / FOLDER

    def __repr__(self) -> str:
        return f"{self._store!r}.releases"

    # -- writing ---------------------------------------------------------------------------------------------------

    def publish(
        self,
        tables: Mapping[str, EmbeddingTable],
        *,
        report: Report | Mapping[str, Any] | None = None,
        forced_by: str | None = None,
        force_reason: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: int | None = None,
        input_fingerprint: str | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> Release:
        """Write all tables as new versions, then make them the latest together; or change nothing.

        Parameters
        ----------
        tables : by name, in the order of publication. The metadata of each names the versions of those before it
            ("versions").
        report, forced_by, force_reason, parameters, seed, input_fingerprint : as in `TableStore.publish`; they are kept
            in the manifest of every table and in the record.
        run : what a machine should read about the run (stages, times, counts); kept in the record.

        Raises
        ------
        GuardrailError : a failing report that is not forced. TableError : a disk that is full or can't be written,
            another publisher was first. The latest versions are then unchanged.
        """
        if not isinstance(tables, Mapping) or not tables:
            raise CHECK.type_error("tables", "a mapping of names to EmbeddingTable, not empty", tables)
        lineage = {
            "parameters": check_metadata(parameters),
            "seed": seed if seed is None else CHECK.integer("seed", seed, 0, 2**64 - 1),
            "input_fingerprint": input_fingerprint,
            **check_report(report, forced_by, force_reason),
        }
        run = check_metadata(run)
        published: dict[str, str] = {}
        with as_table_error(f"The release was not published in {self._store.root}"):
            for name, table in tables.items():
                table.metadata["versions"] = dict(published)
                published[name] = self._store._publish(table, name, None, dict(lineage), latest=False)
        record = {
            "kind": "traitcore release",
            "format": FORMAT,
            "library_version": __version__,
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "tables": {n: {"version": published[n], "fingerprint": t.fingerprint} for n, t in tables.items()},
            "order": list(tables),
            "run": run,
            **lineage,
        }
        what = f"The release of {_listed(published)} was not published in {self._store.root}"
        with as_table_error(what), self._locked():
            latest = self.latest()
            name = f"r{1 + max((int(n[1:]) for n in _names(self._folder)), default=0):06d}"
            path, parent = self._path(name), None if latest is None else latest.name
            disk.replace_file(path, manifest.encode(record | {"name": name, "parent": parent}))
            try:
                self._move(published)
            except BaseException:
                if not (self._folder / _MOVE).exists():  # else the next writer completes the move, and needs it
                    os.unlink(path)
                raise
        return self.get(name)

    def rollback(self, name: str | None = None) -> Release:
        """Make all versions of a release the latest again; None: the parent of the latest release.

        Every file of every table is verified first. All tables are moved, or none. Nothing is removed.
        """
        with as_table_error(f"Nothing was rolled back in {self._store.root}"), self._locked():
            if name is None:
                latest = self.latest()
                if latest is None:
                    raise TableError(f"Nothing was rolled back: {self._no_latest()}")
                if latest.parent is None:
                    raise TableError(f"Nothing was rolled back: {latest} has no parent.")
                name = latest.parent
            target = self.get(name)
            versions = dict(target.tables or {})
            if target.missing:
                gone = _listed({table: versions[table] for table in target.missing})
                raise TableError(f"Nothing was rolled back: {target.name} is incomplete, {gone} was pruned.")
            for table, version in versions.items():
                self._store.verify(table, version)
            self._check_together(versions)
            self._move(versions)
        return self.get(name)

    def prune(self, *, keep: int) -> dict[str, list[str]]:
        """Remove versions of all tables but those of the `keep` newest releases, and return what was removed.

        Also kept: the latest versions, the `keep` newest versions of each table, and every version that a kept one
        names, so that what is kept can be read. Returns {table: versions, oldest first}.
        """
        CHECK.integer("keep", keep, 1)
        with as_table_error(f"{self._store.root} was not pruned"), self._locked():
            readable = [release for release in self.list() if not (release.missing or release.error)]
            kept = [r for i, r in enumerate(readable) if i >= len(readable) - keep or r.is_latest]
            names = list(dict.fromkeys(info.name for info in self._store.list()))
            stay = kept_versions(self._store, dict.fromkeys(names, keep), kept)
            removed = {name: self._store._remove_but(name, stay[name]) for name in names}
            for release in self.list():
                if release.missing:
                    os.unlink(self._path(release.name))
        return removed

    # -- reading ---------------------------------------------------------------------------------------------------

    def list(self) -> list[Release]:
        """All releases, oldest first."""
        with as_table_error(f"The releases of {self._store.root} can't be listed"):
            latest = {info.name: info.version for info in self._store.list() if info.is_latest}
            return [self._read(name, latest) for name in _names(self._folder)]

    def latest(self) -> Release | None:
        """The release whose versions are all the latest; None where there is none."""
        return next((release for release in reversed(self.list()) if release.is_latest), None)

    def get(self, name: str = "latest") -> Release:
        """One release; TableError where it is unknown or its record is damaged."""
        if name == "latest":
            latest = self.latest()
            if latest is None:
                raise TableError(self._no_latest())
            return latest
        release = next((one for one in self.list() if one.name == name), None)
        if release is None:
            known = ", ".join(_names(self._folder)[-5:]) or "none"
            raise TableError(f"{self._store.root} has no release {name!r}; the newest are: {known}.")
        if release.error is not None:
            raise TableError(release.error)
        return release

    def describe(self, name: str = "latest") -> dict[str, Any]:
        """The whole record: tables and fingerprints, parent, report, who forced it, parameters, seed, data, the run."""
        with as_table_error(f"The release {name!r} of {self._store.root} can't be read"):
            return self._record(self.get(name).name)

    def open(self, name: str = "latest") -> dict[str, EmbeddingTable]:
        """The tables of a release by name, memory-mapped."""
        return {table: self._store.open(table, version) for table, version in (self.get(name).tables or {}).items()}

    def of_table(self, name: str, version: str) -> Release | None:
        """The newest release that holds this version of a table."""
        return next((r for r in reversed(self.list()) if (r.tables or {}).get(name) == version), None)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _record(self, name: str) -> dict[str, Any]:
        with disk.Folder(self._folder) as folder:
            raw = bytes(folder.map(f"{name}.json", at_most=manifest.MAX_BYTES))
        fields = manifest.load(raw, self._path(name))
        if fields.get("kind") != "traitcore release" or fields.get("name") != name:
            raise TableError(f"{self._path(name)} is not the record of release {name}.")
        manifest.check_format(fields, self._path(name), FORMAT)
        return fields

    def _read(self, name: str, latest: Mapping[str, str]) -> Release:
        try:
            fields = self._record(name)
            tables = {n: str(fields["tables"][n]["version"]) for n in fields["order"]}
            prints = {n: str(fields["tables"][n]["fingerprint"]) for n in tables}
            missing = tuple(n for n, v in tables.items() if not disk.is_plain_directory(self._store.root / n / v))
            report, forced = fields["report"], fields["forced"]
            return Release(
                name, all(latest.get(n) == v for n, v in tables.items()), fields["parent"], fields["created_utc"],
                tables, prints, report and report["status"], forced and forced["by"], fields["input_fingerprint"],
                fields["library_version"], missing,
            )
        except (TableError, OSError, KeyError, TypeError) as error:
            said = str(error) if isinstance(error, (TableError, OSError)) else f"{self._path(name)} has no {error}."
            return Release(name, error=said)

    def _no_latest(self) -> str:
        if not _names(self._folder):
            return f"{self._store.root} has no releases."
        parts = [f"{i.name} {i.version}" for i in self._store.list() if i.is_latest]
        return f"the latest versions are not of one release ({', '.join(parts)}); name the release that should be."

    def _check_together(self, versions: Mapping[str, str]) -> None:
        """TableError, naming both, where a table was made with another version of one of the others."""
        for name, version in versions.items():
            for other, wanted in named_versions(self._store, name, version).items():
                if versions.get(other, wanted) != wanted:
                    raise TableError(
                        f"Nothing was changed: {name} {version} was made with {other} {wanted}, not with {other} "
                        f"{versions[other]}."
                    )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the releases, with a move that a crash cut short completed."""
        os.makedirs(self._folder, exist_ok=True)
        with disk.locked(self._folder / ".lock"):
            for entry in os.listdir(self._folder):
                if entry.startswith((f".{_MOVE}-", f".{revisions.JOURNAL}-", ".r")):  # left by a writer that died
                    os.unlink(self._folder / entry)
            if (self._folder / _MOVE).exists():
                with disk.Folder(self._folder) as folder:
                    move = manifest.load(bytes(folder.map(_MOVE, at_most=manifest.MAX_BYTES)), self._folder / _MOVE)
                # A table that was published alone since then keeps its newer version.
                self._replace({n: v for n, v in move["to"].items() if self._store._read_latest(n) == move["from"][n]})
                os.unlink(self._folder / _MOVE)
            revisions.complete(self._store)
            yield

    def _move(self, versions: Mapping[str, str]) -> None:
        """Make these versions the latest: all of them, or none. Call it under the lock."""
        for name, version in versions.items():
            if not disk.is_plain_directory(self._store.root / name / version):
                raise TableError(f"{name!r} has no version {version!r} any more: it was pruned.")
        before = {name: self._store._read_latest(name) for name in versions}
        disk.replace_file(self._folder / _MOVE, manifest.encode({"from": before, "to": dict(versions)}))
        try:
            self._replace(versions)
        except BaseException:
            self._replace(before)  # if this fails too, MOVE stays and the next writer completes the move
            os.unlink(self._folder / _MOVE)
            raise
        with contextlib.suppress(OSError):  # all is moved; the next writer finds nothing left to do
            os.unlink(self._folder / _MOVE)

    def _replace(self, versions: Mapping[str, str | None]) -> None:
        for name, version in versions.items():
            folder = self._store.root / name
            with disk.locked(folder / ".lock"):
                if version is not None:
                    disk.replace_file(folder / "LATEST", version.encode("ascii") + b"\n")
                    continue
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(folder / "LATEST")
                disk.sync_directory(folder)


def _names(folder: Path) -> list[str]:
    """The names of the releases recorded in a folder, oldest first."""
    if not disk.is_plain_directory(folder):
        return []
    found = (entry.removesuffix(".json") for entry in os.listdir(folder) if entry.endswith(".json"))
    return sorted((name for name in found if _NAME.fullmatch(name)), key=lambda name: int(name[1:]))


def named_versions(store: TableStore, name: str, version: str) -> dict[str, str]:
    """{table: version} that a published version names as those it was made with."""
    found = store.open(name, version).metadata.get("versions") or {}
    return {str(other): str(wanted) for other, wanted in found.items()}


def kept_versions(store: TableStore, keep: Mapping[str, int], releases: Iterable[Release]) -> dict[str, set[str]]:
    """The versions of each table that pruning leaves: the `keep[name]` newest (all of a table not in `keep`), the
    latest, those of `releases`, and all that a kept one names. Versions that can't be read are kept, and name nothing.
    """
    stay: dict[str, set[str]] = {}
    for name, infos in groupby(store.list(), key=lambda info: info.name):
        versions = list(infos)
        readable = [info.version for info in versions if info.error is None]
        newest = readable[max(0, len(readable) - keep.get(name, len(readable))) :]
        stay[name] = {i.version for i in versions if i.error is not None or i.is_latest or i.version in newest}
    for release in releases:
        for name, version in (release.tables or {}).items():
            stay.setdefault(name, set()).add(version)
    todo = [(name, version) for name, versions in stay.items() for version in versions]
    while todo:
        name, version = todo.pop()
        try:
            named = named_versions(store, name, version)
        except TableError:
            continue
        for other, wanted in named.items():
            if wanted not in stay.setdefault(other, set()):
                stay[other].add(wanted)
                todo.append((other, wanted))
    return stay


def _listed(tables: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in tables.items())
