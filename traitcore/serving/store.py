"""TableStore: a directory of immutable, versioned tables that readers may trust while publishers come and go."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from .._errors import TableError, parameter_message
from .._parallel import resolve_workers, run_tasks
from .._validate import check_int
from . import disk, manifest, npy
from .row_ids import RowIds
from .table import EmbeddingTable, check_metadata, fingerprint_of

OWNER = "TableStore"
_STATUSES = ("pass", "warn", "fail")
_ATTEMPTS = 20


class VersionExistsError(TableError):
    """Another publisher put this version in place first; nothing was changed. Publish again for the next version."""


@dataclass(frozen=True)
class VersionInfo:
    """One published version. `error` says why its manifest can't be read; the other fields are then empty.

    `sequence` counts the publications of a table, whatever the clock said; `status` is the guardrails' verdict
    ("pass", "warn", "fail" or None), `forced_by` who published in spite of a "fail".
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


class TableStore:
    """Versioned tables under one directory, on a local or network file system.

        root/<name>/<version>/manifest.json, vectors.npy, ...    immutable once there
        root/<name>/LATEST                                        the version that "latest" means

    A version is written beside its place, synced, and renamed into it; LATEST is swapped in one step. A reader sees
    whole versions only, and keeps the one it has opened while it is replaced or pruned. Nothing is pickled.

    Parameters
    ----------
    root : the directory; made at the first publish.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        if not isinstance(root, (str, os.PathLike)):
            raise TypeError(parameter_message("root", OWNER, "a path", root))
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"TableStore({str(self.root)!r})"

    # -- writing ---------------------------------------------------------------------------------------------------

    def publish(
        self,
        table: EmbeddingTable,
        name: str,
        version: str | None = None,
        *,
        report: Any = None,
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
        report : the guardrails' verdict (a mapping, or an object with `as_dict()`, whose "status" is "pass", "warn" or
            "fail"), kept in the manifest. A "fail" is refused unless `forced_by` and `force_reason` say who wants it
            all the same and why; both are kept.
        parameters, seed, input_fingerprint : how the table was made; kept in the manifest.

        Raises
        ------
        VersionExistsError : the version is there, or another publisher was first.
        TableError : a failing report not forced; the disk is full or can't be written. Nothing has changed then.
        """
        disk.check_name("name", OWNER, name)
        if version is not None:
            disk.check_name("version", OWNER, version)
        if not isinstance(table, EmbeddingTable):
            raise TypeError(parameter_message("table", OWNER, "an EmbeddingTable", table))
        fields = {
            "parameters": check_metadata(parameters),
            "seed": seed if seed is None else check_int("seed", OWNER, seed, 0, 2**64 - 1),
            "input_fingerprint": input_fingerprint,
            **_check_report(report, forced_by, force_reason),
        }
        with _as_table_error(f"{name!r} was not published in {self.root}"):
            return self._publish(table, name, version, fields)

    def _publish(self, table: EmbeddingTable, name: str, version: str | None, fields: dict[str, Any]) -> str:
        folder = self._make_folder(name)
        with disk.locked(folder / ".lock"):
            disk.Workspace.remove_leftovers(folder)
            version = version or self._next_version(name)
            self._refuse_existing(folder, version)
            workspace = disk.Workspace(folder)
        try:
            entries = _write_arrays(workspace.content, table)
            fields |= _describe(table, entries)
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
        with contextlib.suppress(FileExistsError):  # another publisher made it meanwhile
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
        """Make an earlier version the latest and return it; None: the parent of the latest. Its files are hashed first.

        Nothing is removed: the version rolled back from stays, and may be opened by its name.
        """
        with _as_table_error(f"{name!r} was not rolled back"):
            if version is None:
                current = self._resolve(name, "latest")
                version = self.describe(name, current)["parent"]
                if version is None:
                    raise TableError(f"{name!r} {current} has no parent to roll back to.")
            self.verify(name, version)
            folder = self.root / name
            with disk.locked(folder / ".lock"):
                if not disk.is_plain_directory(folder / version):
                    raise TableError(f"{name!r} has no version {version!r} any more: it was pruned meanwhile.")
                disk.replace_file(folder / "LATEST", version.encode("ascii") + b"\n")
        return version

    def withdraw(self, name: str, version: str) -> str | None:
        """Make `version` the latest no more: its parent is again, or none where it was the first; returns which is.

        For a publication that turns out to be one too many, say when another table of the same run can't follow.
        Its files stay, so that no later version takes its name. Where another version is the latest, nothing happens.
        """
        disk.check_name("version", OWNER, version)
        with _as_table_error(f"{name!r} {version!r} was not withdrawn"):
            folder = self._folder(name)
            parent = self.describe(name, version)["parent"]
            with disk.locked(folder / ".lock"):
                latest = self._read_latest(name)
                if latest != version:
                    return latest
                if parent is not None and disk.is_plain_directory(folder / parent):
                    disk.replace_file(folder / "LATEST", parent.encode("ascii") + b"\n")
                    return str(parent)
                os.unlink(folder / "LATEST")
                disk.sync_directory(folder)
        return None

    def prune(self, name: str, *, keep: int) -> list[str]:
        """Remove all but the `keep` newest versions and the latest one; returns what was removed, oldest first.

        Versions that can't be read are kept: a person should look at them. Readers keep what they have opened.
        """
        check_int("keep", OWNER, keep, 1)
        with _as_table_error(f"{name!r} was not pruned"):
            folder = self._folder(name)
            with disk.locked(folder / ".lock"):
                infos = [info for info in self.list(name) if info.error is None]
                victims = [info.version for info in infos[: max(0, len(infos) - keep)] if not info.is_latest]
                trash = []
                for version in victims:
                    trash.append(folder / f"{disk.Workspace.TRASH}{secrets.token_hex(8)}")
                    os.rename(folder / version, trash[-1])
                    shutil.rmtree(folder / ".indexes" / version, ignore_errors=True)
                disk.sync_directory(folder)
                disk.Workspace.remove_leftovers(folder)
        return victims

    def index_path(self, name: str, version: str, kind: str) -> Path:
        """Where an index over a version belongs: beside it, `Index.save(path)`; pruned together with it."""
        for parameter, value in (("name", name), ("version", version), ("kind", kind)):
            disk.check_name(parameter, OWNER, value)
        return self.root / name / ".indexes" / version / kind

    # -- reading ---------------------------------------------------------------------------------------------------

    def open(self, name: str, version: str = "latest", *, verify: bool = False) -> EmbeddingTable:
        """The table of a version, mapped read-only; `verify` also hashes every file.

        Sizes, the manifest's checksum and the header of each array are checked always, so opening reads a few pages.

        Raises
        ------
        TableError : no such table or version, or a file that is missing, damaged or not what the manifest says.
        """
        for _ in range(_ATTEMPTS):
            with _as_table_error(f"{name!r} {version!r} of {self.root} can't be opened"):
                found = self._resolve(name, version)
                try:
                    with disk.Folder(self.root / name / found) as folder:
                        return _open(folder, name, found, verify)
                except (FileNotFoundError, NotADirectoryError) as error:
                    # Pruned between the look at LATEST and the opening: look again. Still there: a file is missing.
                    missing = error
        raise TableError(f"{self.root / name / found} is damaged: {missing.filename} is missing.")

    def describe(self, name: str, version: str = "latest") -> dict[str, Any]:
        """The manifest of a version: files, shapes, parameters, seed, parent, report, who forced it and why."""
        with _as_table_error(f"{name!r} {version!r} of {self.root} can't be read"):
            found = self._resolve(name, version)
            with disk.Folder(self.root / name / found) as folder:
                fields = _read_manifest(folder, name, found)
        fields["files"] = {file: dict(vars(entry)) for file, entry in fields["files"].items()}
        return fields

    def verify(self, name: str, version: str = "latest", *, workers: int = 1) -> VersionInfo:
        """Hash every file of a version; TableError names the first that isn't what was published.

        Large files are read from the disk itself where the system can, whatever the page cache holds of them.
        """
        workers = resolve_workers(workers, OWNER)
        with _as_table_error(f"{name!r} {version!r} of {self.root} can't be verified"):
            found = self._resolve(name, version)
            with disk.Folder(self.root / name / found) as folder:
                fields = _read_manifest(folder, name, found)
                _open_parts(folder, fields)
                files = sorted(fields["files"].items(), key=lambda item: -item[1].size)
                run_tasks(
                    [lambda f=f, e=e: _check_hash(folder, f, folder.sha256(f, e.size), e) for f, e in files],  # type: ignore[misc]
                    workers,
                )
            return _info(fields, found == self._read_latest(name))

    def list(self, name: str | None = None) -> list[VersionInfo]:
        """Versions of one table, or of all, by name and then by order of publication; damaged ones say so."""
        if name is None:
            with _as_table_error(f"{self.root} can't be listed"):
                names = sorted(os.listdir(self.root)) if self.root.is_dir() else []
                return [i for n in names if _is_name(n) and (self.root / n).is_dir() for i in self.list(n)]
        infos = []
        with _as_table_error(f"{name!r} of {self.root} can't be listed"):
            folder = self._folder(name)
            latest = self._read_latest(name)
            versions = sorted(v for v in os.listdir(folder) if _is_name(v) and (folder / v).is_dir())
        for version in versions:
            try:
                with disk.Folder(folder / version) as opened:
                    infos.append(_info(_read_manifest(opened, name, version), version == latest))
            except (TableError, OSError) as error:
                infos.append(VersionInfo(name, version, version == latest, error=str(error)))
        return sorted(infos, key=lambda info: (info.sequence, info.version))

    def _folder(self, name: str) -> Path:
        disk.check_name("name", OWNER, name)
        if not disk.is_plain_directory(self.root / name):
            raise TableError(f"{self.root} has no table {name!r}.")
        return self.root / name

    def _resolve(self, name: str, version: str) -> str:
        folder = self._folder(name)
        if version == "latest":
            found = self._read_latest(name)
            if found is None:
                raise TableError(f"{folder} has no LATEST: nothing was published in it to the end.")
            return found
        disk.check_name("version", OWNER, version)
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


@contextlib.contextmanager
def _as_table_error(what: str) -> Iterator[None]:
    """What the system refuses becomes a TableError that says what was not done."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise TableError(f"{what}: {error.strerror or error}{place}.") from error


def _is_name(value: str) -> bool:
    try:
        disk.check_name("name", OWNER, value)
    except ValueError:
        return False
    return True


def _check_report(report: Any, forced_by: str | None, reason: str | None) -> dict[str, Any]:
    plain = report.as_dict() if hasattr(report, "as_dict") else report
    plain = None if plain is None else check_metadata(plain)
    if plain is not None and plain.get("status") not in _STATUSES:
        raise ValueError(parameter_message("report", OWNER, f"with a 'status' of {_STATUSES}", plain.get("status")))
    if (forced_by is None) != (reason is None):
        missing = "force_reason" if reason is None else "forced_by"
        raise ValueError(parameter_message(missing, OWNER, "given: forcing needs who and why", None))
    for key, value in (("forced_by", forced_by), ("force_reason", reason)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise ValueError(parameter_message(key, OWNER, "a sentence", value))
    if plain is not None and plain["status"] == "fail" and forced_by is None:
        reasons = plain.get("reasons") or ["no reason given"]
        told = "; ".join(str(r) for r in reasons[:5]) if isinstance(reasons, list) else str(reasons)
        raise TableError(f"The guardrails failed this table, and it was not forced: {told}")
    return {"report": plain, "forced": None if forced_by is None else {"by": forced_by, "reason": reason}}


def _files_of(table: EmbeddingTable) -> dict[str, NDArray[Any]]:
    files = {f"{name}.npy": array for name, array in table._identity_arrays().items()}
    return files | {f"array_{name}.npy": array for name, array in table.arrays.items()}


def _write_arrays(folder: Path, table: EmbeddingTable) -> dict[str, dict[str, Any]]:
    """Write the files; of a large table the largest beside the others, for hashing it takes longer than the disk."""
    arrays = _files_of(table)
    entries: dict[str, dict[str, Any]] = {file: {} for file in [*arrays, manifest.METADATA]}  # in this order

    def write(names: Iterable[str]) -> None:
        for file in names:
            array = arrays[file]
            dtype = npy.dtype_name(array)
            sha, size = disk.write_file(folder / file, [npy.header(dtype, array.shape), npy.payload(array)])
            entries[file] = {"sha256": sha, "size": size, "dtype": dtype, "shape": list(array.shape)}

    largest = max(arrays, key=lambda file: arrays[file].nbytes)
    rest = [file for file in arrays if file != largest]
    if arrays[largest].nbytes >= disk.LARGE:
        run_tasks([lambda: write([largest]), lambda: write(rest)], 2)
    else:
        write(arrays)
    text = json.dumps(table.metadata, indent=1, ensure_ascii=True, allow_nan=False).encode("ascii")
    sha, size = disk.write_file(folder / manifest.METADATA, [text])
    entries[manifest.METADATA] = {"sha256": sha, "size": size}
    return entries


def _describe(table: EmbeddingTable, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "traitcore table",
        "format": manifest.FORMAT,
        "library_version": __version__,
        "n_rows": len(table),
        "dimension": table.dimension,
        "id_kind": table.id_kind,
        "fingerprint": fingerprint_of({f.removesuffix(".npy"): e["sha256"] for f, e in entries.items()}),
        "files": entries,
    }


def _info(fields: dict[str, Any], is_latest: bool) -> VersionInfo:
    report, forced = fields.get("report"), fields.get("forced")
    return VersionInfo(
        fields["name"], fields["version"], is_latest, fields["sequence"], fields["parent"], fields["created_utc"],
        fields["n_rows"], fields["dimension"], fields["id_kind"], sum(e.size for e in fields["files"].values()),
        fields["fingerprint"], report["status"] if report else None, forced["by"] if forced else None,
    )  # fmt: skip


def _read_manifest(folder: disk.Folder, name: str, version: str) -> dict[str, Any]:
    raw = bytes(folder.map(manifest.FILE, at_most=manifest.MAX_BYTES))
    return manifest.decode(raw, folder.path / manifest.FILE, name, version)


def _check_hash(folder: disk.Folder, file: str, sha256: str, wanted: manifest.FileEntry) -> None:
    if sha256 != wanted.sha256:
        raise TableError(f"{folder.path / file} is damaged: its sha256 is not the manifest's.")


def _open_parts(folder: disk.Folder, fields: dict[str, Any]) -> dict[str, Any]:
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


def _open(folder: disk.Folder, name: str, version: str, verify: bool) -> EmbeddingTable:
    fields = _read_manifest(folder, name, version)
    if verify:
        for file, entry in fields["files"].items():
            # Through the map, unlike `verify`: what is hashed here is going to be used here.
            _check_hash(folder, file, hashlib.sha256(folder.map(file, entry.size)).hexdigest(), entry)
    parts = _open_parts(folder, fields)
    source = str(folder.path / ("ids.npy" if fields["id_kind"] == "int64" else "ids_offsets.npy"))
    ids = RowIds(parts.get("ids.npy"), parts.get("ids_offsets.npy"), parts.get("ids_data.npy"), source)
    arrays = {str(manifest.array_name(f)): parts[f] for f in parts if manifest.array_name(f)}
    entry, raw = fields["files"][manifest.METADATA], parts[manifest.METADATA]
    table = EmbeddingTable._of_parts(
        ids, parts["vectors.npy"], parts.get("context_vectors.npy"), arrays,
        lambda: _read_metadata(folder.path / manifest.METADATA, entry, raw), fingerprint=fields["fingerprint"],
    )  # fmt: skip
    table.name, table.version = name, version
    table._origin = (_reopen, (os.path.abspath(folder.path.parent.parent), name, version, _content_digest(fields)))
    return table


def _reopen(root: str, name: str, version: str, digest: str) -> EmbeddingTable:
    """The table that another process had opened; TableError unless the same version lies at the same path here."""
    place = f"The table {name}@{version} was sent as its path in {root}"
    try:
        table = TableStore(root).open(name, version)
    except TableError as error:
        raise TableError(f"{place}, and can't be opened here: {error}") from error
    assert table._origin is not None
    if table._origin[1][-1] != digest:
        raise TableError(f"{place}, which holds other content here than where it came from.")
    return table


def _content_digest(fields: dict[str, Any]) -> str:
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
