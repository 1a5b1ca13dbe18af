"""Rows that are no events: counted by reason, found again in their file, and written to the rejects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from .._files import csv_writer
from .log_report import RejectedRows

_FIRST_PLACES = 5


@dataclass(eq=False)
class RowSource:
    """What rows come from: a file, or columns in memory.

    place : what the number of a row counts, "line" or "row". first : the number of the first row. reader : finds rows
    again in their file (`locate`, `records`, `torn`); None where their numbers say enough. n_rows : rows passed so far.
    untyped : ids may be texts that are meant as integers. flat : texts that are JSON objects or lists are no ids.
    n_read : those of them that were to be read. n_torn : records that are no rows.
    """

    name: str
    place: str = "row"
    first: int = 0
    reader: Any = None
    untyped: bool = False
    flat: bool = False
    n_rows: int = 0
    n_read: int = 0
    n_torn: int = 0
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    reasons: list[NDArray[np.int32]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def numbered(self, n: int, rows: NDArray[np.int64] | None, count: int | None) -> NDArray[np.int64]:
        """The numbers of the next n rows: those given or, with None, counted on; they stand for `count`, or n, rows."""
        start = self.n_rows
        self.n_rows += n if count is None else count
        return np.arange(start, start + n) if rows is None else rows

    def place_of(self, row: int) -> tuple[str, int, str | None]:
        """("line" or "row", its number, None) of a row; or of the torn record before it, with the reason."""
        if self.reader is None:
            return self.place, row + self.first, None
        found: tuple[str, int, str | None] = self.reader.place_of(row)
        return found

    def torn(self) -> Any:
        """The records that are no rows, as `csv_source.TornRecords`; None where the format has none."""
        return self.reader.torn() if hasattr(self.reader, "torn") else None


class SetAside:
    """All rows set aside; `rejects` is open for writing, or None."""

    def __init__(self, rejects: TextIO | None) -> None:
        self.counts: dict[str, int] = {}
        self.notes: list[str] = []
        self._numbers: dict[str, int] = {}
        self._first: dict[str, list[tuple[str, int]]] = {}
        self._writer = None if rejects is None else csv_writer(rejects)
        if self._writer is not None:
            self._writer.writerow(["file", "line or row", "reason", "record"])

    @property
    def writes(self) -> bool:
        """Will records be written?"""
        return self._writer is not None

    def add(self, source: RowSource, rows: NDArray[np.int64], reason: str, texts: Iterator[str] | None) -> None:
        """Rows of one reason, by their numbers in the source; texts: the records, where no file can be asked again."""
        number = self._numbers.setdefault(reason, len(self._numbers))
        self.counts[reason] = self.counts.get(reason, 0) + len(rows)
        source.rows.append(rows)
        source.reasons.append(np.full(len(rows), number, dtype=np.int32))
        if self._writer is not None and source.reader is None and texts is not None:
            source.texts += texts

    def settle(self, source: RowSource) -> None:
        """Find the rows of a source again, in their order, and write them."""
        torn = source.torn()
        torn_reasons = [] if torn is None else torn.reasons
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *source.rows])
        if len(rows) + len(torn_reasons) == 0:
            return
        for reason in torn_reasons:
            self.counts[reason] = self.counts.get(reason, 0) + 1
            self._numbers.setdefault(reason, len(self._numbers))
        of_torn = np.array([self._numbers[reason] for reason in torn_reasons], dtype=np.int32)
        reasons = np.concatenate([np.zeros(0, dtype=np.int32), *source.reasons, of_torn])
        places, texts = rows + source.first, iter(source.texts)
        if source.reader is not None:
            places, texts = self._located(source, rows, torn)
        order = np.argsort(places, kind="stable")
        for number, reason in enumerate(self._numbers):
            seen = self._first.setdefault(reason, [])
            these = order[reasons[order] == number][: _FIRST_PLACES - len(seen)]
            seen += [(source.name, place) for place in places[these].tolist()]
        if self._writer is not None:
            names, written = list(self._numbers), [*texts]
            written += [""] * (len(places) - len(written))
            self._writer.writerows(
                [source.name, int(places[k]), names[reasons[k]], written[k]] for k in order.tolist()
            )

    def _located(
        self, source: RowSource, rows: NDArray[np.int64], torn: Any
    ) -> tuple[NDArray[np.int64], Iterator[str]]:
        """Lines of the rows, then of the torn records; and what stands there, if it is to be written."""
        reader, distinct = source.reader, np.unique(rows)
        found = reader.locate(distinct, source.n_rows)
        if found is None:
            source.place = "row"
            self.notes.append(f"lines of {source.name} can't be counted: rows are, from {source.first}")
            starts = [] if torn is None else torn.starts.tolist()
            lines = [reader.line_at(start) for start in starts]
            return np.concatenate([rows + source.first, np.array(lines, dtype=np.int64)]), iter(())
        # Rows of one record (events of one list) share its line.
        each = np.concatenate([np.searchsorted(distinct, rows), np.arange(len(distinct), len(found[0]))])
        lines, starts, ends = (part[each] for part in found)
        return lines, reader.records(starts, ends) if self.writes else iter(())

    def report(self) -> dict[str, RejectedRows]:
        """Counts by reason, with the first places."""
        return {
            reason: RejectedRows(n, tuple(place for _, place in self._first.get(reason, ())),
                                 tuple(name for name, _ in self._first.get(reason, ())))
            for reason, n in self.counts.items()
        }
