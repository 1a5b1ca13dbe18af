"""Rows of a log as they are written: from files to their end, or from a file or pipe that grows.

Text is cut into batches of whole records, and each batch is read as a file of its own, by the same readers, options and
expressions as any log. A record that is no row is given as a fault; the rows after it go on.
"""

from __future__ import annotations

import codecs
import csv
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from . import duck
from .columns import Column
from .excel_source import sheets_as_csv
from .file_blocks import read_files
from .reading import Reading
from .set_aside import RowSource
from .source_files import STDIN, SourceFile, is_tabbed, open_sources

_CHUNK = 1 << 20
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class FollowedRow:
    """A row: texts by role, "" where null; or, where it is no row, the fault. `record`: as it stands in the file."""

    source: str
    place: int
    texts: Mapping[str, str]
    fault: str = ""
    record: str = ""


class _Rows:
    """Takes the blocks of one batch; rows and faults in the order of their numbers."""

    def __init__(self) -> None:
        self.sources: list[RowSource] = []
        self.found: list[tuple[int, dict[str, str], str]] = []

    def begin(self, source: RowSource) -> None:
        self.sources.append(source)

    def add(
        self, columns: Mapping[str, Column], *, rows: NDArray[np.int64] | None = None, count: int | None = None,
        torn: NDArray[np.bool_] | None = None,
    ) -> None:
        source = self.sources[-1]
        n = len(next(iter(columns.values())))
        numbers = range(source.n_rows, source.n_rows + n) if rows is None else rows.tolist()
        source.n_rows += n if count is None else count
        for k, number in enumerate(numbers):
            if torn is not None and torn[k]:
                self.found.append((number, {}, source.reader.torn_reason))
            else:
                self.found.append((number, {role: column.text(k) for role, column in columns.items()}, ""))

    def reject(self, rows: NDArray[np.int64], reason: str) -> None:
        self.found += [(int(row), {}, reason) for row in rows]

    def leave_out(self, rows: NDArray[np.int64], reason: str) -> None:
        """Records without events are no rows."""


def follow_rows(
    paths: Sequence[str], names: Mapping[str, str], where: str | None, reading: Reading, *, wait: bool,
    stream: IO[bytes] | None = None,
) -> Iterator[FollowedRow]:
    """The rows of the logs, in order. wait: the last line of the (one) file isn't the end, more will come; a file that
    was made anew is read from its start. stream: standard input, for "-".
    """
    reading.check(_check())
    if list(paths) == [STDIN] and stream is not None:
        growing: Callable[[], Iterator[bytes | None]] = lambda: _of_stream(stream)  # noqa: E731
        name = "standard input"
    elif wait:
        (path,) = paths
        path = os.path.expanduser(path)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"There is no file {path!r} to wait for.")
        growing, name = lambda: _of_growing_file(path), os.path.basename(path)
    else:
        yield from _of_files(paths, names, where, reading)
        return
    form = reading.format or ("json" if name.endswith((".json", ".jsonl", ".ndjson")) else "csv")
    if form not in ("csv", "json"):
        raise InputError(f"{name} can't be followed as {form}: only text grows line by line.")
    with open_sources([], reading), duck.connected() as connection, _scratch() as folder:
        batches = _Batches(connection, name, form, names, where, reading, folder)
        for lines in growing():
            yield from batches.rows_of(lines)
        yield from batches.rows_of(b"", last=True)


def _check() -> Any:
    from .._validate import Checks

    return Checks("follow")


def _scratch() -> Any:
    import tempfile

    return tempfile.TemporaryDirectory(prefix="traitcore-")


def _of_files(
    paths: Sequence[str], names: Mapping[str, str], where: str | None, reading: Reading
) -> Iterator[FollowedRow]:
    """Whole files of any format; those of text batch by batch."""
    with open_sources(list(paths), reading) as files, duck.connected() as connection:
        for file in files:
            for part in sheets_as_csv(file, reading.sheet) if file.format == "excel" else [file]:
                if part.format == "parquet":
                    rows = _Rows()
                    read_files(connection, [part], names, where, reading, rows, None)
                    yield from (FollowedRow(part.name, number, texts, fault) for number, texts, fault in rows.found)
                    continue
                kind = "json" if part.format == "json" else "csv"
                how = reading if part.format != "excel" else Reading(delimiter=",")
                batches = _Batches(connection, part.name, kind, names, where, how, file.scratch, part.partitions)
                with open(part.path, "rb") as opened:
                    while chunk := opened.read(_CHUNK):
                        yield from batches.rows_of(chunk, decoded=True)
                yield from batches.rows_of(b"", last=True, decoded=True)


def _of_stream(stream: IO[bytes]) -> Iterator[bytes]:
    """What a pipe has, as soon as it has it."""
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK):
        yield chunk


def _of_growing_file(path: str) -> Iterator[bytes | None]:
    """The bytes of a file now and whenever there are more; None where the file was made anew."""
    while True:
        with open(path, "rb") as file:
            while True:
                if chunk := file.read(_CHUNK):
                    yield chunk
                    continue
                time.sleep(_POLL_SECONDS)
                try:
                    now = os.stat(path)
                except FileNotFoundError:  # between its removal and the next one
                    continue
                if now.st_ino != os.fstat(file.fileno()).st_ino or now.st_size < file.tell():
                    break
        yield None


class _Batches:
    """Cuts text into batches that end with a record, and reads each."""

    def __init__(
        self, connection: Any, name: str, form: str, names: Mapping[str, str], where: str | None, reading: Reading,
        folder: str, partitions: Mapping[str, str | None] | None = None,
    ) -> None:
        self.connection, self.name, self.form, self.names, self.where = connection, name, form, names, where
        self.reading, self.folder, self.partitions = reading, folder, dict(partitions or {})
        self._number, self._read_any = 0, False
        self._start()

    def _start(self) -> None:
        self._decoder = codecs.getincrementaldecoder(self.reading.encoding)()
        self._left = b""
        self._line = 1
        self._header: bytes | None = None if self.form == "csv" and self.reading.columns is None else b""

    def rows_of(self, chunk: bytes | None, *, last: bool = False, decoded: bool = False) -> Iterator[FollowedRow]:
        """Rows of what is now complete; None: the file begins anew."""
        if chunk is None:
            yield from self.rows_of(b"", last=True)
            self._start()
            return
        if not decoded and codecs.lookup(self.reading.encoding).name != "utf-8":
            chunk = self._decoder.decode(chunk, final=last).encode("utf-8", "surrogatepass")
        text = self._left + chunk
        stop = len(text) if last else text.rfind(b"\n") + 1
        while stop and not last and self._is_open(text[:stop]):
            stop = text.rfind(b"\n", 0, stop - 1) + 1
        whole, self._left = text[:stop], text[stop:]
        if self._header is None and whole.strip(b"\r\n"):
            skipped = len(whole) - len(whole.lstrip(b"\r\n"))
            end = self._end_of_header(whole, skipped)
            self._header = whole[:end]
            self._line += self._header.count(b"\n")
            whole = whole[end:]
            if not self._header.endswith(b"\n"):
                self._header += b"\n"
        if whole.strip(b"\r\n"):
            yield from self._read(whole, self._line)
        self._line += whole.count(b"\n")

    def _end_of_header(self, text: bytes, start: int) -> int:
        end = text.find(b"\n", start) + 1
        while end and self._is_open(text[:end]):
            end = text.find(b"\n", end) + 1
        return end or len(text)

    def _is_open(self, text: bytes) -> bool:
        """Does the text end within quotes?"""
        quote = self.reading.quote
        if self.form != "csv" or quote is None or quote.encode() not in text:
            return False
        delimiter = self.reading.delimiter or ("\t" if is_tabbed(self.name) else ",")
        plain = text.decode("latin-1")
        if len(delimiter.encode()) > 1:
            plain, delimiter = plain.replace(delimiter.encode().decode("latin-1"), "\x1f"), "\x1f"
        reader = csv.reader(plain.splitlines(keepends=True), delimiter=delimiter, quotechar=quote, strict=True)
        while True:
            try:
                next(reader)
            except StopIteration:
                return False
            except csv.Error as error:
                if "unexpected end" in str(error):
                    return True

    def _read(self, lines: bytes, first: int) -> Iterator[FollowedRow]:
        try:
            found = list(self._rows(lines, first))
            self._read_any = True
            yield from found
        except InputError as error:  # one record spoils the others
            # A key that no record of a later batch has is a fault of theirs; at first, the name is wrong.
            if isinstance(error, MissingColumnError) and not (self.form == "json" and self._read_any):
                raise
            closed = lines.rfind(b"\n") + 1
            while closed and self._is_open(lines[:closed]):
                closed = lines.rfind(b"\n", 0, closed - 1) + 1
            if 0 < closed < len(lines):
                yield from self._read(lines[:closed], first)
                yield from self._each(lines[closed:], first + lines[:closed].count(b"\n"))
            else:
                yield from self._each(lines, first)

    def _each(self, lines: bytes, first: int) -> Iterator[FollowedRow]:
        """Every line by itself."""
        for k, line in enumerate(lines.split(b"\n")):
            if line.strip(b"\r"):
                try:
                    yield from list(self._rows(line + b"\n", first + k))
                except InputError as error:
                    if isinstance(error, MissingColumnError) and self.form == "csv":
                        raise
                    yield FollowedRow(self.name, first + k, {}, _reason(error), _shown(line))

    def _rows(self, lines: bytes, first_line: int) -> Iterator[FollowedRow]:
        self._number += 1
        path = os.path.join(self.folder, f"batch-{self._number}")  # DuckDB may remember a file by its name
        header = self._header or b""
        with open(path, "wb") as out:
            out.write(header + lines)
        file = SourceFile(path, self.name, self.form, len(lines), self.folder, self.partitions)
        reading, rows = replace(self.reading, format=self.form, encoding="utf-8"), _Rows()
        read_files(self.connection, [file], self.names, self.where, reading, rows, None)
        (source,) = rows.sources
        reader = source.reader
        if reader is None:
            raise InputError(f"{self.name}: a JSON array can't be followed line by line.")
        bad = np.unique([number for number, _, fault in rows.found if fault]).astype(np.int64)
        numbers = np.unique([number for number, _, _ in rows.found]).astype(np.int64)
        found = reader.locate(numbers, source.n_rows)
        shift = first_line - 1 - header.count(b"\n")
        lines_of = dict(zip(numbers.tolist(), (numbers + 1 if found is None else found[0][: len(numbers)]).tolist()))
        records = {}
        if found is not None and len(bad):
            which = np.searchsorted(numbers, bad)
            records = dict(zip(bad.tolist(), reader.records(found[1][which], found[2][which])))
        out_rows = [FollowedRow(self.name, lines_of[number] + shift, texts, fault, records.get(number, ""))
                    for number, texts, fault in rows.found]
        torn = reader.torn() if hasattr(reader, "torn") else None
        for start, reason in [] if torn is None else zip(torn.starts.tolist(), torn.reasons):
            line = reader.line_at(start)
            record = (header + lines).split(b"\n")[line - 1] if b"\n" in header + lines else lines
            out_rows.append(FollowedRow(self.name, line + shift, {}, reason, _shown(record)))
        os.unlink(path)
        yield from sorted(out_rows, key=lambda row: row.place)


def _reason(error: InputError) -> str:
    """What an error says after the name of the file and the line, which are those of a batch."""
    if isinstance(error, MissingColumnError):
        return f"no {error.role}"
    text = str(error)
    _, colon, rest = text.partition(": ")
    return rest.rstrip(".") if colon else text


def _shown(record: bytes) -> str:
    return record.decode("utf-8", "backslashreplace").rstrip("\r\n")
