"""A table of texts from files of any format, row by row: for what is no event, such as a catalogue of items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from . import duck
from .columns import Column
from .file_blocks import Names, read_files
from .reading import Reading
from .set_aside import RowSource
from .source_files import open_sources


class TextTable:
    """Rows as texts by role, "" where null; `place(row)` says where a row stands, while the files are open."""

    def __init__(self) -> None:
        self.sources: list[RowSource] = []
        self.columns: dict[str, list[str]] = {}
        self._origin: list[tuple[int, NDArray[np.int64]]] = []  # source and row numbers, by block

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self._origin)

    def begin(self, source: RowSource) -> None:
        """The next blocks come from this source."""
        self.sources.append(source)

    def add(
        self, columns: Mapping[str, Column], *, rows: NDArray[np.int64] | None = None, count: int | None = None,
        torn: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take a block of rows; a torn one is refused."""
        source = self.sources[-1]
        n = len(next(iter(columns.values())))
        numbers = source.numbered(n, rows, count)
        if torn is not None:
            self.reject(numbers[torn], source.reader.torn_reason)
        known = len(self)
        for role, column in columns.items():
            # Files of one table may have different columns.
            values = self.columns.setdefault(role, [""] * known)
            values += [""] * (known - len(values)) + [column.text(row) for row in range(n)]
        self._origin.append((len(self.sources) - 1, numbers))

    def reject(self, rows: NDArray[np.int64], reason: str) -> None:
        """Refuse rows that hold no columns."""
        source = self.sources[-1]
        place, number, other = source.place_of(int(rows[0]))
        raise InputError(f"{source.name}, {place} {number}: {other or reason}.")

    def leave_out(self, rows: NDArray[np.int64], reason: str) -> None:
        """Rows without entries are nothing to a table."""

    def place(self, row: int) -> str:
        """The file and the line or row of a row."""
        for which, numbers in self._origin:
            if row < len(numbers):
                source = self.sources[which]
                kind, number, _ = source.place_of(int(numbers[row]))
                return f"{source.name}, {kind} {number}"
            row -= len(numbers)
        raise IndexError(row)


def read_table(
    paths: Sequence[Any], names: Names, where: str | None, reading: Reading, use: Callable[[TextTable], Any]
) -> Any:
    """use(table) of the files' rows, called while the files are open so that it can ask where a row stands."""
    table = TextTable()
    with open_sources(paths, reading) as files, duck.connected() as connection:
        read_files(connection, files, names, where, reading, table, None)
        for source in table.sources:
            torn = source.torn()
            if torn is not None and len(torn.starts):
                line = source.reader.line_at(int(torn.starts[0]))
                raise InputError(f"{source.name}, line {line}: {torn.reasons[0]}.")
        for values in table.columns.values():
            values += [""] * (len(table) - len(values))
        return use(table)
