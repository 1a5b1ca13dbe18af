"""From what a caller names (a file, a pattern, a folder, a pipe, an archive) to plain files that DuckDB can read.

Everything that isn't already a plain file in UTF-8 is unpacked or converted into a temporary folder first: Python's own
modules check the checksums of gzip, bz2, xz and zip, where DuckDB's readers take a file cut short for a whole one.
"""

from __future__ import annotations

import codecs
import glob
import gzip
import importlib
import io
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from .._errors import InputError
from .reading import Reading

STDIN = "-"
_FORMAT_OF = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".dat": "csv", ".data": "csv", ".psv": "csv",
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet", ".parq": "parquet", ".pq": "parquet",
    ".xlsx": "excel", ".xlsm": "excel", ".xls": "excel", ".xlsb": "excel", ".ods": "excel",
}
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_CHUNK = 1 << 20
# What damaged archives raise, by library.
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, OSError, ValueError, NotImplementedError)
_BOMS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class SourceFile:
    """One file to read.

    path : what is opened. name : how messages call it. format : "csv", "json", "parquet" or "excel". size : bytes that
        were read for it.
    partitions : columns by the folders key=value on its way. scratch : a folder for temporary files.
    """

    path: str
    name: str
    format: str
    size: int
    scratch: str = ""
    partitions: dict[str, str | None] = field(default_factory=dict)


def named_files(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """(path, name for messages) of the files that a path, pattern or folder names, in order."""
    name = os.path.expanduser(os.fspath(path))
    if not name:
        raise InputError("The path of a log must not be empty.")
    if name == STDIN:
        return [(STDIN, "standard input")]
    if os.path.isdir(name):
        found = [(p, os.path.relpath(p, name)) for p in _walk(name) if _format_of(p) is not None]
        if not found:
            raise InputError(f"The folder {name} has no file of a log: .csv, .tsv, .json, .jsonl, .parquet, .xlsx, ...")
        return found
    if os.path.exists(name) or not glob.has_magic(name):
        if not os.path.exists(name):
            raise FileNotFoundError(f"There is no file {name!r}.")
        return [(name, Path(name).name)]
    found = [(p, p) for p in sorted(glob.glob(name, recursive=True)) if os.path.isfile(p)]
    if not found:
        raise FileNotFoundError(f"There is no file that matches {name!r}.")
    names = {Path(p).name for p, _ in found}
    return found if len(names) < len(found) else [(p, Path(p).name) for p, _ in found]


def _walk(folder: str) -> list[str]:
    """The files of a folder and those in it, sorted; hidden ones and markers such as _SUCCESS left out."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith((".", "_")))
        found += [os.path.join(root, one) for one in files if not one.startswith((".", "_"))]
    return sorted(found)


def _format_of(path: str) -> str | None:
    suffixes = [one.lower() for one in Path(path).suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        return _FORMAT_OF.get(suffixes[-2] if len(suffixes) > 1 else "", "csv")
    return _FORMAT_OF.get(suffixes[-1]) if suffixes else None


def is_tabbed(name: str) -> bool:
    """Does the name say that tabs separate the fields?"""
    return any(one.lower() in (".tsv", ".tab") for one in Path(name).suffixes[-2:])


def partitions_of(path: str) -> dict[str, str | None]:
    """Columns from the folders key=value of a path, as Hive writes them."""
    found: dict[str, str | None] = {}
    for part in Path(path).parent.parts:
        key, equals, value = part.partition("=")
        if equals and key:
            found[unquote(key)] = None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
    return found


@contextmanager
def open_sources(
    paths: Sequence[str | os.PathLike[str]], reading: Reading, folder: str | os.PathLike[str] | None = None
) -> Iterator[Iterator[SourceFile]]:
    """The files that paths name, unpacked as they are asked for.

    Temporary files are there until the end, for rows are looked up again: in `folder`, or where the system has them.
    """
    listed = [pair for one in paths for pair in named_files(one)]
    with tempfile.TemporaryDirectory(prefix="traitcore-", dir=folder) as scratch:
        yield _plain_files(listed, reading.format, reading.encoding, scratch)


def _plain_files(
    listed: list[tuple[str, str]], form: str | None, encoding: str, scratch: str
) -> Iterator[SourceFile]:
    number = 0
    for path, name in listed:
        kind = form or _format_of(path) or "csv"
        partitions = partitions_of(path)
        if path == STDIN or not os.path.isfile(path):  # a pipe: it can be read once, and rows are looked up again
            target = os.path.join(scratch, f"{number}-pipe")
            number += 1
            with open(target, "wb") as out:
                if path == STDIN:
                    shutil.copyfileobj(sys.stdin.buffer, out, _CHUNK)
                else:
                    with open(path, "rb") as pipe:
                        shutil.copyfileobj(pipe, out, _CHUNK)
            path = target
        size = os.path.getsize(path)
        suffix = Path(name).suffix.lower()
        members: list[Any] = _members(path, name) if suffix == ".zip" else [None]
        for member in members:
            shown = name if member is None else f"{name}/{member}"
            inner = kind if member is None or form else _format_of(member) or "csv"
            target = os.path.join(scratch, f"{number}-{Path(member or name).name[:80]}")
            number += 1
            packed = suffix if suffix in _PACKED else ""
            plain = _as_plain(path, shown, inner, packed, member, encoding, target)
            yield SourceFile(plain, shown, inner, size // len(members), scratch, partitions)


def _members(path: str, name: str) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [i.filename for i in archive.infolist() if not i.is_dir() and "__MACOSX" not in i.filename]
    except zipfile.BadZipFile as error:
        raise InputError(f"{name} is damaged or no zip archive: {error}.") from error
    if not names:
        raise InputError(f"{name} holds no file.")
    return sorted(names)


def _as_plain(
    path: str, name: str, form: str, packed: str, member: str | None, encoding: str, target: str
) -> str:
    """The path of the same content, unpacked and, for text, in UTF-8."""
    text = form in ("csv", "json")
    with _unpacked(path, name, packed, member) as file:
        head = file.read(4)
        bom = next((kind for mark, kind in _BOMS if text and head.startswith(mark)), None)
        if not packed and not (text and (bom or codecs.lookup(encoding).name != "utf-8")):
            return path
        content = _Joined(head, file)
        with open(target, "wb") as out:
            try:
                if text and (bom or codecs.lookup(encoding).name != "utf-8"):
                    _convert(content, out, bom or encoding)
                else:
                    while chunk := content.read(_CHUNK):
                        out.write(chunk)
            except UnicodeError as error:
                raise InputError(f"{name} is not text in {bom or encoding}: {error}.") from error
            except _DAMAGED as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk, not the archive
                raise InputError(f"{name} is damaged or cut short: {error}.") from error
    return target


class _Joined:
    """A file with its first bytes put back."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head, self._file = head, file

    def read(self, n: int) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._file.read(n)


def _convert(source: _Joined, out: IO[bytes], encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    while chunk := source.read(_CHUNK):
        out.write(decoder.decode(chunk).encode("utf-8", "surrogatepass"))
    out.write(decoder.decode(b"", final=True).encode("utf-8", "surrogatepass"))


@contextmanager
def _unpacked(path: str, name: str, packed: str, member: str | None) -> Iterator[IO[bytes]]:
    """A file opened for reading its content."""
    try:
        if packed == ".zip":
            assert member is not None
            with zipfile.ZipFile(path) as archive, archive.open(member) as inside:
                yield inside
        elif packed == ".zst":
            with _zstandard(path, name) as inside:
                yield inside
        elif packed:
            module = importlib.import_module({".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}[packed])
            with module.open(path, "rb") as inside:
                yield inside
        else:
            with open(path, "rb") as inside:
                yield inside
    except (*_DAMAGED, RuntimeError) as error:
        # RuntimeError: an encrypted zip.
        known = isinstance(error, (InputError, FileNotFoundError, UnicodeError))
        if not packed or known or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise InputError(f"{name} is damaged or cut short, or can't be unpacked: {error}.") from error
    except Exception as error:
        if type(error).__name__ not in ("LZMAError", "ArrowInvalid", "ZstdError"):
            raise
        raise InputError(f"{name} is damaged or cut short: {error}.") from error


def _zstandard(path: str, name: str) -> Any:
    """A .zst file opened by whichever library is there. They take a file cut short for a whole one."""
    _check_zstandard(path, name)
    for module in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(module).open(path, "rb")
        except ImportError:
            continue
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise ImportError(f"Unpacking {name} needs zstandard or pyarrow: pip install 'traitcore[io]'.") from error
    return io.BufferedReader(_Raw(pyarrow.input_stream(path, compression="zstd")))


def _check_zstandard(path: str, name: str) -> None:
    """Is every frame there to its last block? (RFC 8878, section 3.1.1)"""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        while file.tell() < size:
            magic = file.read(4)
            if magic[1:] == b"\x2a\x4d\x18" and 0x50 <= magic[0] < 0x60:  # skippable
                file.seek(int.from_bytes(file.read(4), "little"), os.SEEK_CUR)
                continue
            if magic != b"\x28\xb5\x2f\xfd":
                raise InputError(f"{name} is damaged or no zstandard file.")
            flags = (file.read(1) or b"\0")[0]
            single = flags >> 5 & 1
            file.seek((not single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6], os.SEEK_CUR)
            last = 0
            while not last:
                head = int.from_bytes(file.read(3), "little")
                last = head & 1
                file.seek(1 if head >> 1 & 3 == 1 else head >> 3, os.SEEK_CUR)
                if file.tell() > size or (head == 0 and file.tell() == size):
                    raise InputError(f"{name} is damaged or cut short.")
            file.seek(4 * (flags >> 2 & 1), os.SEEK_CUR)
        if file.tell() != size:
            raise InputError(f"{name} is damaged or cut short.")


class _Raw(io.RawIOBase):
    """pyarrow's stream as Python's: it knows no readinto of its own on every version."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
