"""Arrays in a folder, mapped when they are opened, under a manifest: what `Sequences.save` writes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from .. import _disk as disk
from .. import _npy as npy
from .._errors import TableError
from .._manifest import MAX_BYTES, check_format, encode, load
from .buckets import TextIds
from .scratch import warn_of_leftovers

FILE = "manifest.json"
FORMAT = 1
_PIECE = 1 << 20  # numbers written at a time


class ArrayFile:
    """A new .npy file of one dimension, written piece by piece."""

    def __init__(self, path: Path, dtype: Any, n: int) -> None:
        self.dtype, self.n, self.path = np.dtype(dtype), n, path
        head = npy.header(self._name, (n,))
        self._file = open(path, "xb")  # noqa: SIM115 (closed by `entry`, or with the folder's ExitStack)
        self._sha = hashlib.sha256(head)
        self._file.write(head)
        self._written = 0

    @property
    def _name(self) -> str:
        return str(self.dtype.newbyteorder("<").str)

    def write(self, values: NDArray[Any]) -> None:
        """Append values."""
        for start in range(0, len(values), _PIECE):
            piece = npy.payload(np.ascontiguousarray(values[start : start + _PIECE], dtype=self.dtype))
            self._sha.update(piece)
            self._file.write(piece)
        self._written += len(values)

    def entry(self) -> dict[str, Any]:
        """Close it once all is on the disk; what the manifest says of it."""
        assert self._written == self.n, f"{self.path.name}: {self._written} of {self.n}"
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        size = npy.file_size(self._name, (self.n,))
        return {"sha256": self._sha.hexdigest(), "size": size, "dtype": self._name, "shape": [self.n]}

    def close(self) -> None:
        """Close it as it is."""
        self._file.close()


def write_array(path: Path, values: NDArray[Any]) -> dict[str, Any]:
    """A whole array as a file; its entry for the manifest."""
    file = ArrayFile(path, values.dtype, len(values))
    with contextlib.closing(file):
        file.write(values)
        return file.entry()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that takes the name `path`, which must be free, at the end; nothing is left of it after an error."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "there is something of this name already", os.fspath(path))
    os.makedirs(path.parent, exist_ok=True)
    prefix = f".{path.name[:100]}-"
    warn_of_leftovers(disk.remove_abandoned(path.parent, prefix), stacklevel=5)
    scratch, fd = disk.make_locked(path.parent, prefix)
    try:
        yield scratch
        disk.sync_directory(scratch)
        os.rename(scratch, path)
        os.unlink(path / "lock")
        disk.sync_directory(path.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(fd)


def write_manifest(folder: Path, kind: str, files: Mapping[str, Mapping[str, Any]], **fields: Any) -> None:
    """The manifest of a folder's files, with further fields."""
    content = {"kind": kind, "format": FORMAT, "library_version": __version__, "files": dict(files), **fields}
    disk.write_file(folder / FILE, [encode(content)])


def read_manifest(folder: disk.Folder, kind: str) -> dict[str, Any]:
    """The fields of a manifest of this kind."""
    path = folder.path / FILE
    try:
        fields = load(bytes(folder.map(FILE, at_most=MAX_BYTES)), path)
    except FileNotFoundError as error:
        raise TableError(f"{folder.path} holds no {kind}: it has no {FILE}.") from error
    if fields.get("kind") != kind or not isinstance(fields.get("files"), dict):
        raise TableError(f"{path} is not the manifest of {kind}.")
    check_format(fields, path, FORMAT)
    return fields


def map_array(folder: disk.Folder, file: str, entry: Mapping[str, Any], *, verify: bool) -> NDArray[Any]:
    """A file as a read-only array over its mapped bytes; its size and header, and if asked its hash, are checked."""
    path = folder.path / file
    try:
        dtype, n, size, sha256 = entry["dtype"], int(entry["shape"][0]), int(entry["size"]), entry["sha256"]
        known = dtype in npy.DTYPES and npy.file_size(dtype, (n,)) == size
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TableError(f"The manifest beside {path} does not describe it: {error!r}.") from error
    if not known:
        raise TableError(f"The manifest beside {path} gives dtype {dtype!r}, {n} numbers and {size} bytes for it.")
    if verify and folder.sha256(file, size) != sha256:
        raise TableError(f"{path} is damaged: its sha256 is not the manifest's.")
    mapped, head = folder.map(file, size=size), npy.header(dtype, (n,))
    if mapped[: len(head)] != head:
        raise TableError(f"{path} is damaged: its header is not the manifest's.")
    array = np.frombuffer(mapped, dtype=dtype, offset=len(head), count=n)
    array.flags.writeable = False
    return array


def write_ids(folder: Path, name: str, ids: NDArray[Any]) -> dict[str, dict[str, Any]]:
    """External ids, int64 or strs, as one or two files; their entries."""
    if ids.dtype.kind in "iu":
        return {f"{name}.npy": write_array(folder / f"{name}.npy", ids.astype(np.int64, copy=False))}
    texts = TextIds.of([str(one) for one in ids.tolist()])
    return {
        f"{name}_data.npy": write_array(folder / f"{name}_data.npy", texts.data),
        f"{name}_ends.npy": write_array(folder / f"{name}_ends.npy", texts.ends),
    }


def map_ids(
    folder: disk.Folder, name: str, files: Mapping[str, Mapping[str, Any]], *, verify: bool
) -> NDArray[Any] | None:
    """What `write_ids` wrote: integers mapped, texts as an array of strs; None where there is nothing of this name."""
    if f"{name}.npy" in files:
        return map_array(folder, f"{name}.npy", files[f"{name}.npy"], verify=verify)
    if f"{name}_data.npy" not in files:
        return None
    data, ends = (map_array(folder, f"{name}_{part}.npy", files[f"{name}_{part}.npy"], verify=verify)
                  for part in ("data", "ends"))
    if not len(ends) or ends[0] != 0 or ends[-1] != len(data) or (ends[1:] < ends[:-1]).any():
        raise TableError(f"{folder.path / name}_ends.npy is damaged: it doesn't rise from 0 to the end of the texts.")
    found = np.empty(len(ends) - 1, dtype=object)
    found[:] = TextIds(data, ends).texts()
    found.flags.writeable = False
    return found
