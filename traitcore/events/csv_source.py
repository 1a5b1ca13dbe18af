"""CSV by DuckDB: every field is text, every part of the dialect is said, and records that don't fit are counted."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from . import duck
from .csv_records import Located, read_records, record_blocks
from .reading import Reading
from .source_files import SourceFile, is_tabbed

KEEP, TORN = "traitcore keeps the row", "traitcore torn"  # columns beside those of the roles
# The longest record; DuckDB's buffers hold several.
LONGEST = 8 << 20
_MAX_FIELDS = 4096
_CHUNK = 4 << 20
_MEMORY_MB = 192
# Every record that DuckDB rejects is held in memory.
_MOST_INVALID = 100_000


@dataclass(frozen=True)
class TornRecords:
    """Records that are not as the others, in order of place."""

    starts: NDArray[np.int64]
    reasons: list[str]


def _count(chunk: bytes, one: bytes) -> int:
    """Like chunk.count, which takes four times as long where there are many."""
    return int(np.count_nonzero(np.frombuffer(chunk, dtype=np.uint8) == one[0]))


class LineEnds:
    """Turns the line ends of a CSV, given in pieces, into line feeds; what stands in quotes stays as it is."""

    def __init__(self, delimiter: bytes, quote: bytes) -> None:
        self.quote, self.left, self.widest = quote, b"", max(2, len(delimiter))
        self.marks = re.compile(b"|".join(re.escape(one) for one in (quote, delimiter, b"\r\n", b"\r", b"\n") if one))
        self.inside = False
        self.opens = 0  # the place in the next piece at which a quote opens a field, or is one of a doubled pair

    def replaced(self, piece: bytes, *, last: bool = False) -> bytes:
        """The piece, less what may be part of a mark that the next one ends."""
        text = self.left + piece
        stop = len(text) if last else max(0, len(text) - self.widest + 1)
        out, done = [], 0
        for mark in self.marks.finditer(text):
            start, end = mark.span()
            if start >= stop:
                break
            if mark[0] == self.quote:
                if self.inside:
                    self.inside, self.opens = False, end
                elif start == self.opens:
                    self.inside = True
            elif not self.inside:
                if b"\r" in mark[0]:
                    out += [text[done:start], b"\n"]
                    done = end
                self.opens = end
            stop = max(stop, end)
        out.append(text[done:stop])
        self.left, self.opens = text[stop:], self.opens - stop
        return b"".join(out)


class CsvFile:
    """One plain CSV file in UTF-8, opened for reading."""

    place = "line"

    def __init__(self, connection: Any, file: SourceFile, reading: Reading) -> None:
        self.connection, self.file, self.name = connection, file, file.name
        self.delimiter = reading.delimiter or ("\t" if is_tabbed(file.name) else ",")
        self.quote, self.columns = reading.quote or "", reading.columns
        self.path, self.carriage_returns = file.path, False
        self._scan(file.path)
        self._mixed = not self._alike
        if self._mixed:
            self.path = self._with_line_feeds(file.path, file.scratch)
            self._scan(self.path)
        self._blank_lines = 0
        self.header = list(self.columns) if self.columns is not None else self._read_header()
        self._torn: TornRecords | None = None
        self._query = ""

    # -- opening ---------------------------------------------------------------------------------------------------

    def _scan(self, path: str) -> None:
        """Look at the bytes once: line ends, lines, and what DuckDB would leave out without a word."""
        feeds = returns = both = invalid = at = 0
        last, line_start = b"", 0
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                feeds += _count(chunk, b"\n")
                if b"\r" in chunk or last == b"\r":
                    returns += chunk.count(b"\r")
                    both += chunk.count(b"\r\n") + (last == b"\r" and chunk[:1] == b"\n")
                newline = b"\n" if feeds else b"\r"
                first, end = chunk.find(newline), chunk.rfind(newline)
                if at + (first if first >= 0 else len(chunk)) - line_start > LONGEST:
                    self.carriage_returns = not feeds
                    self._refuse_long(line_start)
                line_start = at + end + 1 if end >= 0 else line_start
                if decoder.getstate()[0] or not chunk.isascii():
                    invalid += decoder.decode(chunk).count("\ufffd")
                at, last = at + len(chunk), chunk[-1:]
        if invalid > _MOST_INVALID:
            raise InputError(
                f"{self.name} is not UTF-8 in more than {_MOST_INVALID:,} places. encoding='latin-1', say, "
                "reads text in another encoding."
            )
        self._alike = returns == 0 or returns == both == feeds or feeds == 0
        self.carriage_returns = feeds == 0 and returns > 0
        ends = returns if self.carriage_returns else feeds
        self._lines = ends + (last not in (b"\n", b"\r", b""))

    def _refuse_long(self, start: int) -> None:
        raise InputError(
            f"{self.name}, line {self.line_at(start)}: the record is longer than {LONGEST >> 20} MiB. Is a quote left "
            "open, or is this not a CSV file?"
        )

    def _with_line_feeds(self, path: str, scratch: str) -> str:
        """A copy whose lines all end in line feeds: of mixed ends, DuckDB takes those in quotes only."""
        target = os.path.join(tempfile.mkdtemp(dir=scratch), "log.csv")
        ends = LineEnds(self.delimiter.encode(), self.quote.encode())
        with open(path, "rb") as file, open(target, "wb") as out:
            while chunk := file.read(_CHUNK):
                out.write(ends.replaced(chunk))
            out.write(ends.replaced(b"", last=True))
        return target

    def _read_header(self) -> list[str]:
        with open(self.path, "rb") as file:
            start = file.read(LONGEST)
        if start[:4] == b"PAR1" or start[:2] in (b"\x1f\x8b", b"PK"):
            raise InputError(
                f"{self.name} is not a CSV file: it begins as Parquet, gzip, zip or Excel data does. Name it .parquet, "
                ".gz, .zip or .xlsx."
            )
        whole = start.removeprefix(b"\xef\xbb\xbf")
        raw = whole.lstrip(b"\r\n")
        blank = whole[: len(whole) - len(raw)]
        self._blank_lines = blank.count(b"\r" if self.carriage_returns else b"\n")  # DuckDB would take one as header
        if not raw:
            raise InputError(f"{self.name} is empty: it has no header.")
        try:
            text = raw.decode("utf-8", "surrogateescape")
            if len(self.delimiter) > 1:
                text = text.replace(self.delimiter, "\x1f")
            first = next(csv.reader(io.StringIO(text, newline=""), **self._csv_options()))
            names = [name.encode("utf-8", "surrogateescape").decode("utf-8") for name in first]
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name}: the header is not valid UTF-8 ({error.reason}). encoding='latin-1', say, reads text in "
                "another encoding."
            ) from error
        except csv.Error as error:
            raise InputError(f"{self.name}: the header can't be read: {error}.") from error
        if len(names) > _MAX_FIELDS:
            raise InputError(f"{self.name}: the header has {len(names)} fields; {_MAX_FIELDS} is the limit.")
        return names

    def _csv_options(self) -> dict[str, Any]:
        quote = self.quote
        return {"delimiter": self.delimiter if len(self.delimiter) == 1 else "\x1f",
                "quotechar": quote or None, "quoting": csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE}

    def relation(self) -> duck.Relation:
        """The file's columns, and the folders' around it, as text."""
        # One field more than there should be shows which rows are too long; missing ones are null, empty ones aren't.
        columns = ", ".join(f"{duck.literal(f'c{i}')}: 'VARCHAR'" for i in range(len(self.header) + 1))
        quote = duck.literal(self.quote)
        no_field = ("\x02" if "\x01" in self.delimiter else "\x01") * 3  # so that nothing written is a null
        header = "false" if self.columns is not None else "true"
        # Unsaid, it is the first line end there is, and that may stand in quotes.
        new_line = r"new_line='\n', " if self._mixed else ""
        read = (
            f"read_csv({duck.literal(self.path)}, auto_detect=false, header={header}, "
            f"skip={self._blank_lines}, "
            f"sep={duck.literal(self.delimiter)}, quote={quote}, escape={quote}, comment='', "
            f"nullstr={duck.literal(no_field)}, strict_mode=true, ignore_errors=true, store_rejects=true, "
            f"rejects_limit=0, null_padding=true, parallel=false, max_line_size={LONGEST}, {new_line}"
            f"buffer_size={4 * LONGEST}, compression='none', "
            f"columns={{{columns}}})"
        )
        exact = {name: f"c{i}" for i, name in enumerate(self.header) if self.header.count(name) == 1}
        constants = {key: duck.literal(value) if value is not None else "NULL::VARCHAR"
                     for key, value in self.file.partitions.items() if key not in exact}
        own = [f"{exact[name]} AS {duck.quoted(name)}" for name in duck.unambiguous([*exact])]
        own += [f"{value} AS {duck.quoted(key)}" for key, value in constants.items()]
        named = f"(SELECT {', '.join([*own, f'{self._torn_sql} AS {duck.quoted(TORN)}'])} FROM {read})"
        return duck.Relation(self.connection, self.name, exact | constants, read, named)

    @property
    def column_names(self) -> list[str]:
        """The header, and the folders' columns."""
        return list(dict.fromkeys([*self.header, *self.file.partitions]))

    def query(self, names: Mapping[str, str], where: str | None) -> str:
        """SQL for the roles in their order. Rows that `where` leaves out are marked, for they count as lines."""
        for role, name in names.items():
            if self.header.count(name) > 1:
                listed = ", ".join(map(repr, self.header[:30]))
                raise InputError(
                    f"{self.name}: column {name!r}, wanted as {role}, is there more than once. There are: {listed}."
                )
        relation = self.relation()
        try:
            picked = relation.pick(names, where)
        except MissingColumnError as error:
            if len(self.header) > 1:
                raise
            other = next((one for one in (",", ";", "\t", "|") if one in self.header[0]), None)
            hint = "" if other is None else f" If {other!r} separates the fields, delimiter={other!r} says so."
            raise MissingColumnError(error.role, error.problem + hint) from error
        self._forget_rejects()
        self._torn, whole = None, picked.relation == relation.from_clause
        torn = self._torn_sql if whole else duck.quoted(TORN)
        columns = [f"{torn} AS {duck.quoted(TORN)}"]
        if picked.where is None:
            condition = None if whole else f"{torn} = 0"
        else:
            condition = f"CASE WHEN {torn} = 0 THEN coalesce(({picked.where})::BOOLEAN, false) ELSE false END"
            columns.append(f"({condition} OR {torn} != 0)::TINYINT AS {duck.quoted(KEEP)}")
        for role, sql in picked.roles.items():
            columns.append((f"CASE WHEN {condition} THEN {sql} END" if condition else sql) + f" AS {duck.quoted(role)}")
        self._query = f"SELECT {', '.join(columns)} FROM {picked.relation}"
        # Without a limit the whole file stays in memory as it is read; what is held beyond it goes to the folder.
        duck.limit_memory(self.connection, _MEMORY_MB)
        return self._query

    @property
    def _torn_sql(self) -> str:
        """1 where a row has too few fields, or too many."""
        n = len(self.header)
        return f"(c{n - 1} IS NULL OR c{n} IS NOT NULL)::TINYINT"

    @property
    def torn_reason(self) -> str:
        """What is wrong with such a row."""
        whose = "the header does" if self.columns is None else "there are names of columns"
        return f"the row doesn't have {len(self.header)} fields, as {whose}"

    # -- after reading ---------------------------------------------------------------------------------------------

    def _forget_rejects(self) -> None:
        for table in ("reject_errors", "reject_scans"):
            self.connection.execute(f"DROP TABLE IF EXISTS {table}")

    def torn(self) -> TornRecords:
        """The records that the query just done left out; InputError where the file makes no sense after one of them."""
        if self._torn is None:
            self._torn = self._rejected(self.connection)
        return self._torn

    def _rejected(self, connection: Any) -> TornRecords:
        rows = connection.execute(
            # One record may have several faults; they share its number, "line".
            "SELECT min(line_byte_position) - 1, arg_min(error_type::VARCHAR, byte_position), "
            "arg_min(csv_line, byte_position) FROM reject_errors GROUP BY scan_id, file_id, line ORDER BY 1"
        ).fetchall()
        return TornRecords(np.array([row[0] for row in rows], dtype=np.int64), [self._reason(*row) for row in rows])

    def _reason(self, start: int, kind: str, record: str) -> str:
        if kind == "LINE SIZE OVER MAXIMUM":
            self._refuse_long(start)
        if kind == "UNQUOTED VALUE" and "\n" in (record or "") and record.count(self.quote) % 2:
            raise InputError(f"{self.name}, line {self.line_at(start)}: a quote is opened here and never closed.")
        if kind == "INVALID ENCODING":
            return "the row is not valid UTF-8"
        if kind == "UNQUOTED VALUE":
            return "a quoted field goes on after its closing quote"
        return self.torn_reason

    def place_of(self, row: int) -> tuple[str, int, str | None]:
        """("line" or "row", its number, None) of a good record; or of the torn one before it, with the reason."""
        with self.connection.cursor() as other:  # what was rejected is known when a query ends
            fields = ", ".join(f"max({c})" for c in self._fields_read())
            other.execute(f"SELECT count(*), {fields} FROM {self.relation().from_clause}")
            n_good = int(other.fetchall()[0][0])
            torn = self._torn = self._rejected(other)
        found = self.locate(np.array([row]), n_good)
        if found is None:
            return "row", row + 1, None
        lines, starts, _ = found
        if len(torn.starts) and torn.starts[0] < starts[0]:
            return "line", int(lines[1]), torn.reasons[0]
        return "line", int(lines[0]), None

    def _fields_read(self) -> list[str]:
        return [f"c{i}" for i in range(len(self.header)) if re.search(rf"\bc{i}\b", self._query)]

    def verify(self, n_rows: int) -> None:
        """Refuse a file in which DuckDB found fewer records than there are: after a quote that is never closed, say."""
        found = n_rows + len(self.torn().starts) + (self.columns is None)
        if found == self._lines:
            return
        counted, last_line = 0, 0
        try:
            for _, _, lines in self._record_blocks():
                counted += len(lines)
                last_line = int(lines[-1]) if len(lines) else last_line
        except (csv.Error, UnicodeError) as error:
            raise InputError(f"{self.name} can't be read as CSV: {error}.") from error
        if counted == found + 1:
            raise InputError(f"{self.name}, line {last_line}: a quote is opened here and never closed.")
        if counted != found:
            raise InputError(
                f"{self.name} can't be read reliably: its quotes make {counted:,} records or {found:,}. quote=None "
                "takes quotes as characters."
            )

    def _record_blocks(self) -> Iterator[Located]:
        return record_blocks(
            self.path, self.delimiter, self.quote, carriage_returns=self.carriage_returns, skip_blank=True
        )

    def line_at(self, start: int) -> int:
        """The line, from 1, of a byte."""
        newline, count = b"\r" if self.carriage_returns else b"\n", 1
        with open(self.path, "rb") as file:
            while start > 0 and (chunk := file.read(min(start, _CHUNK))):
                count += chunk.count(newline)
                start -= len(chunk)
        return count

    def locate(self, rows: NDArray[np.int64], n_good: int) -> Located | None:
        """(lines, first bytes, ends) of good records by their numbers (rising), then of the torn ones.

        None where the records found are not those that DuckDB found, so that no line can be trusted.
        """
        torn = (self._torn or self.torn()).starts
        found = [], [], []  # type: ignore[var-annotated]
        broken = [], [], []  # type: ignore[var-annotated]
        seen = -1 if self.columns is None else 0  # the header
        n_torn = 0
        try:
            for starts, ends, lines in self._record_blocks():
                bad = np.isin(starts, torn)
                numbers = np.where(bad, -1, seen + np.cumsum(~bad) - 1)
                wanted = np.isin(numbers, rows) & (numbers >= 0)
                for into, mask in ((found, wanted), (broken, bad)):
                    for part, values in zip(into, (lines, starts, ends)):
                        part.append(values[mask])
                seen += int(np.count_nonzero(~bad))
                n_torn += int(np.count_nonzero(bad))
        except (csv.Error, UnicodeError):
            return None
        if seen != n_good or n_torn != len(torn):
            return None
        lines, starts, ends = (np.concatenate([*a, *b]) for a, b in zip(found, broken))
        return lines, starts, ends

    def records(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[str]:
        """The records at these places, as they stand in the file."""
        return read_records(self.path, starts, ends)
