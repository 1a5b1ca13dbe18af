"""CSV files in blocks of bytes: found, coded and forgotten a block at a time, so memory holds codes, not text."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from .._kernels import text as kernels
from .._progress import Progress
from .columns import Column
from .log_builder import LogBuilder

# Text held at a time, and so the longest record.
BLOCK_BYTES = 8 << 20
_ROWS = 1 << 17
_MAX_FIELDS = 4096


def read_csv(
    path: str, names: Mapping[str, str], delimiter: str, builder: LogBuilder, progress: Progress | None
) -> None:
    """Feed the wanted columns of a CSV file (UTF-8, RFC 4180 quotes, LF, CR or CRLF; .gz unpacked) to the builder."""
    total = os.path.getsize(path)
    with open(path, "rb") as raw:
        file: IO[bytes] = gzip.GzipFile(fileobj=raw) if path.lower().endswith(".gz") else raw  # type: ignore[assignment]
        scanner = _Scanner(file, builder.source, ord(delimiter))
        slots, n_fields = _wanted_slots(scanner, names, builder.source)
        tell = None if progress is None else (lambda: progress("read", raw.tell(), total))
        for rows in scanner.blocks(slots, len(names), tell):
            builder.add(
                {role: rows.column(k) for k, role in enumerate(names)}, places=rows.lines, record=rows.record,
                torn=rows.torn(n_fields),
            )
    if progress is not None:
        progress("read", total, total)


def _wanted_slots(scanner: _Scanner, names: Mapping[str, str], source: str) -> tuple[NDArray[np.int32], int]:
    """(slot of each field of the file, -1 where it isn't wanted; number of fields), by the header."""
    header = scanner.header()
    slots = np.full(len(header), -1, dtype=np.int32)
    for k, (role, name) in enumerate(names.items()):
        if header.count(name) != 1:
            what = "missing" if name not in header else "there more than once"
            shown = ", ".join(map(repr, header[:30])) + (", ..." if len(header) > 30 else "")
            told = f"{source}: column {name!r}, wanted as {role}, is {what}. There are: {shown}."
            raise InputError(told) if name in header else MissingColumnError(role, told)
        place = header.index(name)
        if slots[place] >= 0:
            raise InputError(f"{source}: column {name!r} can't be {role} and {list(names)[slots[place]]} at once.")
        slots[place] = k
    return slots, len(header)


class _Rows:
    """Some records: spans of their wanted fields, and where they stand."""

    def __init__(
        self, buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64],
        fields: NDArray[np.int32], lines: NDArray[np.int64], begins: NDArray[np.int64], end: int,
    ) -> None:
        self.buffer, self.starts, self.stops = buffer, starts, stops
        self.fields, self.lines, self.begins, self.end = fields, lines, begins, end

    def column(self, k: int) -> Column:
        return Column(
            "spans", np.ascontiguousarray(self.starts[:, k]), buffer=self.buffer,
            stops=np.ascontiguousarray(self.stops[:, k]),
        )

    def record(self, row: int) -> str:
        """A record as it stands in the file."""
        end = self.begins[row + 1] if row + 1 < len(self.begins) else self.end
        return self.buffer[self.begins[row] : end].tobytes().decode("utf-8", "backslashreplace").rstrip("\r\n")

    def torn(self, n_fields: int) -> tuple[NDArray[np.bool_], str] | None:
        """Records with more or fewer fields than the header; their spans are emptied."""
        wrong = self.fields != n_fields
        if not wrong.any():
            return None
        self.starts[wrong] = self.stops[wrong] = 0
        return wrong, f"the row doesn't have {n_fields} fields, as the header does"


class _Scanner:
    """Reads a file block by block; what is left of a block after its last whole record goes before the next."""

    def __init__(self, file: IO[bytes], source: str, delimiter: int) -> None:
        self.file, self.source, self.delimiter = file, source, delimiter
        self.buffer = np.empty(2 * BLOCK_BYTES, dtype=np.uint8)  # the second half is for unquoted copies
        self.at, self.stop, self.line, self.last = 0, 0, 1, False

    def _fill(self) -> None:
        """Move what is left to the front and read on."""
        left = self.stop - self.at
        if left == BLOCK_BYTES:
            raise InputError(
                f"{self.source}, line {self.line}: the record is longer than {BLOCK_BYTES >> 20} MiB. Is a quote "
                "left open, or is this not a CSV file?"
            )
        self.buffer[:left] = self.buffer[self.at : self.stop].copy()
        self.at, self.stop = 0, left
        view = self.buffer.data
        try:
            while self.stop < BLOCK_BYTES:
                n = self.file.readinto(view[self.stop : BLOCK_BYTES])  # type: ignore[attr-defined]
                if not n:
                    self.last = True
                    break
                self.stop += n
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{self.source} is damaged or cut short, after line {self.line}: {error}.") from error

    def _scan(self, slots: NDArray[np.int32], n_slots: int, room: _Room) -> int:
        rows, self.at, self.line, _, state = kernels.scan_records(
            self.buffer, self.at, self.stop, self.last, self.delimiter, slots, BLOCK_BYTES, room.starts, room.stops,
            n_slots, room.fields, room.lines, room.begins, self.line,
        )
        if state == kernels.UNCLOSED:
            raise InputError(f"{self.source}, line {self.line}: a quote is opened here and never closed.")
        return int(rows)

    def header(self) -> list[str]:
        """Names in the first record; InputError where there is none."""
        self._fill()
        start = self.buffer[: self.stop]
        if len(start) == 0:
            raise InputError(f"{self.source} is empty: it has no header.")
        if bytes(start[:2]) in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{self.source} must be UTF-8. It begins like UTF-16.")
        if bytes(start[:4]) == b"PAR1" or bytes(start[:2]) == b"\x1f\x8b":
            raise InputError(
                f"{self.source} is not a CSV file: it begins as Parquet or gzip data does. Name it .parquet or .gz."
            )
        self.at = 3 if bytes(start[:3]) == b"\xef\xbb\xbf" else 0
        room = _Room(1, _MAX_FIELDS)
        while self._scan(np.arange(_MAX_FIELDS, dtype=np.int32), _MAX_FIELDS, room) == 0:
            if self.last:
                raise InputError(f"{self.source} is empty: it has no header.")
            self._fill()
        n = int(room.fields[0])
        if n > _MAX_FIELDS:
            raise InputError(f"{self.source}: the header has {n} fields; {_MAX_FIELDS} is the limit.")
        names = [self.buffer[a:b].tobytes() for a, b in zip(room.starts[:n].tolist(), room.stops[:n].tolist())]
        try:
            return [name.decode("utf-8") for name in names]
        except UnicodeDecodeError as error:
            raise InputError(f"{self.source}: the header is not valid UTF-8 ({error.reason}).") from error

    def blocks(self, slots: NDArray[np.int32], n_slots: int, tell: Any) -> Any:
        """Yield `_Rows` to the end of the file; each is gone when the next is asked for."""
        room = _Room(_ROWS, n_slots)
        while True:
            n = self._scan(slots, n_slots, room)
            if n:
                yield _Rows(
                    self.buffer, room.starts[: n * n_slots].reshape(n, n_slots),
                    room.stops[: n * n_slots].reshape(n, n_slots), room.fields[:n], room.lines[:n], room.begins[:n],
                    self.at,
                )
            if n < _ROWS:
                if self.last:
                    return
                if tell is not None:
                    tell()
                self._fill()


class _Room:
    """Arrays that the scan kernel fills."""

    def __init__(self, n_rows: int, n_slots: int) -> None:
        self.starts = np.zeros(n_rows * n_slots, dtype=np.int64)
        self.stops = np.zeros(n_rows * n_slots, dtype=np.int64)
        self.fields = np.zeros(n_rows, dtype=np.int32)
        self.lines = np.zeros(n_rows, dtype=np.int64)
        self.begins = np.zeros(n_rows, dtype=np.int64)
