"""read_events: a log from a CSV file (plain or .gz), or from Parquet through the `io` extra."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import numpy as np

from .._errors import InputError, parameter_message
from .._progress import Progress
from .build import LogBuilder
from .columns import Column, pick_columns
from .ids import code_texts
from .log import EventLog, check_id_types, check_options, column_names, log_from

_OWNER = "read_events"
_ROWS = 100_000


def read_events(
    path: str | os.PathLike[str],
    *,
    user: str | None = "user_id",
    timestamp: str | None = "timestamp",
    action: str | None = "action",
    item: str = "item_id",
    session: str | None = None,
    order: str | None = None,
    item_text: str | None = None,
    action_value: str | None = None,
    delimiter: str = ",",
    timestamp_unit: str | None = None,
    id_types: str | Mapping[str, str] = "auto",
    where: str | None = None,
    on_bad_rows: str = "raise",
    rejects: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> EventLog:
    """Read a log from a file.

    Parameters
    ----------
    path : a CSV file with a header (UTF-8; .gz is unpacked), or Parquet: a path or DuckDB glob that ends in
        .parquet, .parq or .pq (needs `pip install 'traitcore[io]'`).
    user, timestamp, action, item, session, order, item_text, action_value, timestamp_unit, on_bad_rows : as in
        `EventLog.from_columns`. For Parquet each may be any DuckDB SQL expression over the file's columns, e.g.
        action="CASE WHEN InvoiceNo LIKE 'C%' THEN 'remove' ELSE 'buy' END".
    delimiter : one character between the fields of a CSV.
    id_types : as in `EventLog.from_columns`. In a CSV, "auto" makes a column of ids integers if every one is
        written as an int64 is (no plus, no leading zeros, no spaces), else strings.
    where : for Parquet, a DuckDB SQL condition on the rows to read.
    rejects : with on_bad_rows="set_aside", a CSV file for the rows set aside: their line or row, reason and values.
    progress : called as progress("read", done, total) in bytes (CSV) or rows (Parquet).

    Raises
    ------
    InputError : the file can't be read as a log; the message names the file, and the line and column where it can.
    FileNotFoundError : there is no such file.
    """
    names = column_names(_OWNER, user, timestamp, action, item, session, order, item_text)
    check_options(_OWNER, timestamp_unit, on_bad_rows, action, action_value)
    types = check_id_types(_OWNER, id_types)
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii():
        raise ValueError(parameter_message("delimiter", _OWNER, "one ASCII character, not a quote", delimiter))
    if rejects is not None and on_bad_rows != "set_aside":
        raise ValueError(parameter_message("rejects", _OWNER, "None unless on_bad_rows='set_aside'", rejects))
    name = os.fspath(path)
    parquet = name.lower().endswith((".parquet", ".parq", ".pq"))
    if where is not None and not parquet:
        raise ValueError(parameter_message("where", _OWNER, "None for CSV files", where))
    sink = io.StringIO() if rejects is not None else None
    builder = LogBuilder(
        names, source=Path(name).name, place="row" if parquet else "line", timestamp_unit=timestamp_unit,
        set_aside=on_bad_rows == "set_aside", id_types=types, from_text=not parquet, rejects=sink,
    )  # fmt: skip
    if parquet:
        _read_parquet(name, names, where, builder, progress)
    else:
        _read_csv(name, names, delimiter, builder, progress)
    log = log_from(builder, action_value)
    if rejects is not None and sink is not None:
        _write_rejects(Path(rejects), sink)
    return log


def _write_rejects(path: Path, sink: io.StringIO) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_text(sink.getvalue(), encoding="utf-8", newline="")
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _open_csv(name: str) -> TextIO:
    if name.lower().endswith(".gz"):
        return gzip.open(name, "rt", encoding="utf-8-sig", newline="")
    return open(name, encoding="utf-8-sig", newline="")


def _read_csv(
    name: str, names: Mapping[str, str], delimiter: str, builder: LogBuilder, progress: Progress | None
) -> None:
    source = builder.source
    total = os.path.getsize(name)
    try:
        with _open_csv(name) as file:
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader, None)
            if header is None:
                raise InputError(f"{source} is empty: it has no header.")
            for role, column in names.items():
                if column not in header:
                    raise InputError(
                        f"{source}: column {column!r}, wanted as {role}, is missing. "
                        f"There are: {', '.join(map(repr, header))}."
                    )
            places = {role: header.index(column) for role, column in names.items()}
            rows: list[list[str]] = []
            lines: list[int] = []
            for row in reader:
                if len(row) != len(header):
                    if not row:
                        continue
                    raise InputError(
                        f"{source}, line {reader.line_num}: {len(header)} fields are expected. Got {len(row)}."
                    )
                rows.append(row)
                lines.append(reader.line_num)
                if len(rows) == _ROWS:
                    _add_rows(rows, lines, places, builder)
                    rows, lines = [], []
            if rows:
                _add_rows(rows, lines, places, builder)
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: invalid UTF-8 ({error.reason} at byte {error.start}).") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{source} is damaged or cut short: {error}.") from error
    if progress is not None:
        progress("read", total, total)


def _add_rows(rows: list[list[str]], lines: list[int], places: Mapping[str, int], builder: LogBuilder) -> None:
    columns = {}
    for role, place in places.items():
        codes, texts = code_texts([row[place] for row in rows])
        columns[role] = Column("texts", codes, texts=texts)
    numbers = np.array(lines, dtype=np.int64)
    builder.add(columns, lambda where: numbers[where])


def _read_parquet(
    name: str, names: Mapping[str, str], where: str | None, builder: LogBuilder, progress: Progress | None
) -> None:
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            "Reading Parquet needs DuckDB, which is in the `io` extra: pip install 'traitcore[io]'."
        ) from error
    if not any(c in name for c in "*?[") and not os.path.exists(name):
        raise FileNotFoundError(f"There is no file {name!r}.")
    picked = ", ".join(f"({expression}) AS c{i}" for i, expression in enumerate(names.values()))
    condition = f" WHERE {where}" if where else ""
    with duckdb.connect(":memory:") as connection:
        try:
            data = connection.execute(f"SELECT {picked} FROM read_parquet(?){condition}", [name]).fetchnumpy()
        except duckdb.Error as error:
            raise InputError(f"{builder.source}: {error}") from error
    columns, n = pick_columns(data, {role: f"c{i}" for i, role in enumerate(names)})
    if n:
        builder.add(columns, lambda rows: rows)
    if progress is not None:
        progress("read", n, n)
