"""Files as blocks of columns for the builder of a log: one loop for every format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from . import duck
from .arrow import read_stream
from .columns import Column
from .csv_source import KEEP, TORN, CsvFile
from .excel_source import sheets_as_csv
from .json_source import FAULT, FAULTS, ROW, JsonFile
from .parquet_source import ParquetFile
from .reading import Reading
from .set_aside import RowSource
from .source_files import SourceFile

# Columns by role, or a function that chooses them among those of a file.
Names = Mapping[str, str] | Callable[[list[str]], Mapping[str, str]]


class Builder(Protocol):
    """What takes the blocks: a `LogBuilder`, or whoever else reads rows of files."""

    sources: list[RowSource]

    def begin(self, source: RowSource) -> None:
        """The next blocks come from this source."""

    def add(
        self, columns: Mapping[str, Column], *, rows: NDArray[np.int64] | None = None, count: int | None = None,
        torn: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take one block of rows; see `LogBuilder.add`."""

    def reject(self, rows: NDArray[np.int64], reason: str) -> None:
        """Take rows that hold no columns."""

    def leave_out(self, rows: NDArray[np.int64], reason: str) -> None:
        """Take rows that hold no event."""


def read_files(
    connection: Any, files: Iterable[SourceFile], names: Names, where: str | None,
    reading: Reading, builder: Builder, progress: Callable[[int], None] | None,
) -> None:
    """Feed the roles' columns of each file to the builder.

    progress(bytes) is called as they are read; within a file they are estimated from its first records.
    """
    done = 0
    for file in files:
        for part in sheets_as_csv(file, reading.sheet) if file.format == "excel" else [file]:
            for share in _read_file(connection, part, names, where, reading, builder):
                if progress is not None:
                    progress(done + int(share * file.size))
        done += file.size


def _read_file(
    connection: Any, file: SourceFile, names: Names, where: str | None, reading: Reading,
    builder: Builder,
) -> Iterator[float]:
    """Reads one file, and yields about which share of it has been."""
    with _naming(file.name):
        reader, source = _opened(connection, file, reading)
        builder.begin(source)
        if callable(names):
            names = names(reader.column_names)
        found = connection.sql(reader.query(names, where))  # its columns: the roles and some of KEEP, TORN, ROW, FAULT
        expected = reader.n_rows() if file.format == "parquet" else _expected_rows(file.path)
        for columns in ahead(read_stream(found, {name: name for name in found.columns})):
            _add(builder, columns)
            yield min(source.n_rows / max(expected, 1), 1.0)
        if file.format == "csv":
            reader.verify(source.n_rows)  # and what it rejected is known before the next file's


def _opened(connection: Any, file: SourceFile, reading: Reading) -> tuple[Any, RowSource]:
    reader: Any
    if file.format == "parquet":
        return ParquetFile(connection, file), RowSource(file.name)
    if file.format == "json":
        reader = JsonFile(connection, file)
        finder = None if reader.array else reader
        return reader, RowSource(file.name, reader.place, reader=finder, untyped=True, flat=True)
    if file.format == "excel":  # made a CSV by us
        return CsvFile(connection, file, Reading(delimiter=",")), RowSource(file.name, "row", first=2, untyped=True)
    reader = CsvFile(connection, file, reading)
    return reader, RowSource(file.name, "line", reader=reader, untyped=True)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """What DuckDB and its streams say, as an InputError that names the file."""
    try:
        yield
    except MissingColumnError:
        raise
    except InputError as error:
        if name in str(error):
            raise
        raise InputError(f"{name}: {duck.first_line(error)}") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("duckdb", "_duckdb"):
            raise
        raise InputError(f"{name}: {duck.first_line(error)}") from error


def _expected_rows(path: str) -> int:
    with open(path, "rb") as file:
        start = file.read(1 << 20)
    return os.path.getsize(path) * (start.count(b"\n") + 1) // max(len(start), 1)


def _add(builder: Builder, columns: dict[str, Column]) -> None:
    """Give a block to the builder; rows that are no events of their own account are taken out first."""
    keep, torn, fault, rows = (columns.pop(name, None) for name in (KEEP, TORN, FAULT, ROW))
    if torn is not None:
        broken = None if not torn.values.any() else torn.values != 0
        if keep is None:
            builder.add(columns, torn=broken)
            return
        # A condition on a CSV: the other rows count as lines, not as rows read.
        chosen = np.flatnonzero(keep.values)
        numbers = chosen + builder.sources[-1].n_rows
        columns = {r: c.at(chosen, None) for r, c in columns.items()}
        builder.add(columns, rows=numbers, count=len(keep), torn=None if broken is None else broken[chosen])
        return
    numbered = None if rows is None else rows.values.astype(np.int64)
    if fault is not None and fault.values.any():
        assert numbered is not None
        for code, reason in enumerate(FAULTS, 1):
            bad = np.flatnonzero(fault.values == code)
            if len(bad):
                (builder.reject if code == 1 else builder.leave_out)(numbered[bad], reason)
        good = np.flatnonzero(fault.values == 0)
        columns, numbered = {r: c.at(good, None) for r, c in columns.items()}, numbered[good]
    builder.add(columns, rows=numbered)


def ahead(blocks: Iterator[dict[str, Column]]) -> Iterator[dict[str, Column]]:
    """The same blocks, of which the next is read in a thread while the caller works on one."""
    def following() -> dict[str, Column] | None:
        found = next(blocks, None)
        return None if found is None else {role: column.owned() for role, column in found.items()}

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(following)
        try:
            while (found := waiting.result()) is not None:
                waiting = pool.submit(following)
                yield found
        finally:
            waiting.cancel()
