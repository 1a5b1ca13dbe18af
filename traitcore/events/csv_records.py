"""Where the records of a CSV file begin and on which lines: only asked where a row is set aside or refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Located = tuple[Int64, Int64, Int64]
_CHUNK = 16 << 20
_NEWLINE, _RETURN = 10, 13


class IrregularQuotes(Exception):
    """A quote stands where a field neither begins nor ends; the attribute is the place from which to read on."""

    def __init__(self, start: int, line: int) -> None:
        super().__init__()
        self.start, self.line = start, line


def record_blocks(
    path: str, delimiter: str, quote: str, *, carriage_returns: bool, skip_blank: bool
) -> Iterator[Located]:
    """(first bytes, ends, lines from 1) of the records, in blocks; blank lines are left out with `skip_blank`."""
    try:
        yield from _regular(path, delimiter, quote, _RETURN if carriage_returns else _NEWLINE, skip_blank)
    except IrregularQuotes as odd:
        yield from _irregular(path, delimiter, quote, odd.start, odd.line, skip_blank)


def _regular(path: str, delimiter: str, quote: str, newline: int, skip_blank: bool) -> Iterator[Located]:
    """By counting quotes: a line ends a record where their number before it is even."""
    offset, line, left = 0, 1, b""
    with open(path, "rb") as file:
        if file.read(3) == b"\xef\xbb\xbf":
            offset = 3
        file.seek(offset)
        while True:
            data = file.read(_CHUNK)
            last = len(data) < _CHUNK
            if data.endswith(b"\r") and not last:  # a line feed may follow
                data += file.read(1)
            data = left + data
            if last and data and data[-1] != newline:
                data += bytes([newline])
            text = np.frombuffer(data, dtype=np.uint8)
            ends = np.flatnonzero(text == newline)
            lines = line + np.arange(len(ends))
            if quote:
                quotes = np.flatnonzero(text == ord(quote))
                before = np.searchsorted(quotes, ends)
                whole = before % 2 == 0
                stop = int(ends[whole][-1]) + 1 if whole.any() else 0
                if last and len(quotes) % 2:
                    raise IrregularQuotes(offset, line)
                _check_quotes(text, quotes[quotes < stop], delimiter, offset, line)
            else:
                whole, stop = np.ones(len(ends), dtype=np.bool_), int(ends[-1]) + 1 if len(ends) else 0
            ends, first_lines = ends[whole], lines[whole]
            starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1))[: len(ends)]
            begins = np.concatenate((np.array([line]), first_lines[:-1] + 1))[: len(ends)]
            if len(ends):
                line = int(first_lines[-1]) + 1
            if skip_blank:
                length = ends - starts - ((ends > starts) & (text[np.maximum(ends - 1, 0)] == _RETURN))
                starts, ends, begins = starts[length > 0], ends[length > 0], begins[length > 0]
            yield starts + offset, np.minimum(ends, len(text)) + offset, begins
            if last:
                return
            left = data[stop:]
            offset += stop


def _check_quotes(text: NDArray[np.uint8], quotes: Int64, delimiter: str, offset: int, line: int) -> None:
    """Counting is right where every quote opens a field, closes one, or is one of a doubled pair."""
    if len(quotes) == 0:
        return
    edge = np.zeros(256, dtype=np.bool_)
    edge[[_NEWLINE, _RETURN, text[quotes[0]]]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = edge.copy()
    before[delimiter.encode()[-1]] = True
    after = edge
    after[delimiter.encode()[0]] = True
    good = before[text[np.maximum(opening - 1, 0)]] | (opening == 0)
    good_after = after[text[np.minimum(closing + 1, len(text) - 1)]]
    if not (good.all() and good_after.all()):
        raise IrregularQuotes(offset, line)


def _irregular(
    path: str, delimiter: str, quote: str, start: int, line: int, skip_blank: bool
) -> Iterator[Located]:
    """By Python's csv module, which takes a quote inside a field as it is."""
    limit = csv.field_size_limit(1 << 30)
    raw = open(path, "rb")  # noqa: SIM115 - the wrapper closes it
    raw.seek(start)
    with io.TextIOWrapper(raw, encoding="latin-1", newline="") as file:
        at, seen = start, 0

        def counted() -> Iterator[str]:
            nonlocal at
            for text in file:
                at += len(text)
                yield text if len(delimiter) == 1 else text.replace(delimiter.encode().decode("latin-1"), "\x1f")

        one = delimiter if len(delimiter.encode()) == 1 else "\x1f"
        reader = csv.reader(counted(), delimiter=one, quotechar=quote or None,
                            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE)
        rows: list[tuple[int, int, int]] = []
        begin = at
        try:
            for record in reader:
                if record or not skip_blank:
                    rows.append((begin, at, line + seen))
                begin, seen = at, reader.line_num
                if len(rows) == 65_536:
                    yield _arrays(rows)
                    rows = []
            yield _arrays(rows)
        finally:
            csv.field_size_limit(limit)


def _arrays(rows: list[tuple[int, int, int]]) -> tuple[Int64, Int64, Int64]:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def read_records(path: str, starts: Int64, ends: Int64) -> Iterator[str]:
    """The bytes [start, end) of a file as text, without the line's end."""
    with open(path, "rb") as file:
        for start, end in zip(starts.tolist(), ends.tolist()):
            file.seek(start)
            yield file.read(end - start).decode("utf-8", "backslashreplace").rstrip("\r\n")
