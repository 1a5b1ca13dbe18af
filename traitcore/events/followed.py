"""Rows of a log as they are written: from files to their end, or from a file or pipe that grows.

Text is cut into batches of whole records, and each batch is read as a file of its own, by the same readers, options and
expressions as any log. A record that is no row is given as a fault; the rows after it go on.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from .._validate import Checks
from . import duck
from .columns import Column
from .excel_source import sheets_as_csv
from .file_blocks import read_files
from .reading import Reading
from .set_aside import RowSource
from .source_files import STDIN, SourceFile, is_tabbed, open_sources

_CHECK = Checks("follow")
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
        numbers = source.numbered(len(next(iter(columns.values()))), rows, count)
        for k, number in enumerate(numbers.tolist()):
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
    reading.check(_CHECK)
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
    with duck.connected() as connection, tempfile.TemporaryDirectory(prefix="traitcore-") as folder:
        batches = _Batches(connection, name, form, names, where, reading, folder)
        for lines in growing():
            yield from batches.rows_of(lines)
        yield from batches.rows_of(b"", last=True)


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
        stop = len(text) if last else self._last_end(text)
        whole, self._left = text[:stop], text[stop:]
        if self._header is None and whole.strip(b"\r\n"):
            skipped = len(whole) - len(whole.lstrip(b"\r\n"))
            end = next((end for end in self._record_ends(whole) if end > skipped), len(whole))
            self._header = whole[:end]
            self._line += self._header.count(b"\n")
            whole = whole[end:]
            if not self._header.endswith(b"\n"):
                self._header += b"\n"
        yield from self._read(whole, self._line)
        self._line += whole.count(b"\n")

    def _last_end(self, text: bytes) -> int:
        """Where the last whole record ends."""
        quote = self.reading.quote
        if self.form != "csv" or quote is None or quote.encode() not in text:
            return text.rfind(b"\n") + 1
        return max(self._record_ends(text), default=0)

    def _record_ends(self, text: bytes) -> Iterator[int]:
        """Where the records end, at line feeds outside quotes, in one pass.

        Quotes that stay open for longer than csv's limit for a field are taken as closed: so much waits for their end.
        """
        at, quote = 3 if text.startswith(codecs.BOM_UTF8) else 0, self.reading.quote
        if self.form != "csv":
            yield from (found.end() for found in re.finditer(b"\n", text))
            return
        delimiter = (self.reading.delimiter or ("\t" if is_tabbed(self.name) else ",")).encode().decode("latin-1")
        one = delimiter if len(delimiter) == 1 else "\x1f"

        def lines() -> Iterator[str]:
            nonlocal at
            for line in io.StringIO(text[at:].decode("latin-1"), newline=""):
                at += len(line)
                yield line.replace(delimiter, one)

        reader = csv.reader(lines(), delimiter=one, quotechar=quote, strict=True,
                            quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL)
        while True:
            try:
                next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end" in str(error):
                    return
            if text[at - 1 : at] == b"\n":
                yield at

    def _read(self, lines: bytes, first: int, *, part: bool = False) -> Iterator[FollowedRow]:
        """Rows of whole records. Where one spoils the others, they are read by halves until it is alone."""
        if not lines.strip(b"\r\n"):
            return
        try:
            found = list(self._rows(lines, first))
        except InputError as error:
            # A key that no record of a later batch has, or of a part of one, is a fault of theirs; at first, the name
            # is wrong.
            if isinstance(error, MissingColumnError) and not (self.form == "json" and (part or self._read_any)):
                raise
            cuts = self._cuts(lines)
            if len(cuts) == 1:
                yield FollowedRow(self.name, first, {}, _reason(error), _shown(lines))
                return
            half = cuts[len(cuts) // 2 - 1]
            yield from self._read(lines[:half], first, part=True)
            yield from self._read(lines[half:], first + lines[:half].count(b"\n"), part=True)
        else:
            self._read_any = True
            yield from found

    def _cuts(self, lines: bytes) -> list[int]:
        """Where the records end and, behind a quote that is never closed, the lines."""
        ends = list(self._record_ends(lines))
        last = ends[-1] if ends else 0
        ends += [last + found.end() for found in re.finditer(b"\n", lines[last:])]
        return ends if ends and ends[-1] == len(lines) else [*ends, len(lines)]

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
        torn = source.torn()
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
