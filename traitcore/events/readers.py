"""read_events: a log from a CSV file (plain or .gz), or from Parquet through the `io` extra."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .._errors import InputError
from .._files import whole_file
from .._progress import Progress
from .._validate import Checks
from .csv_file import read_csv
from .log import EventLog, check_id_types, check_options, column_names, log_from
from .log_builder import LogBuilder
from .parquet_file import read_parquet

_CHECK = Checks("read_events")


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

    See Also
    --------
    EventLog.from_columns : a log from columns in memory.

    Examples
    --------
    >>> import tempfile, traitcore as tc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/events.csv", "w") as file:
    ...         _ = file.write("user_id,timestamp,action,item_id\\nann,0,view,5\\nbob,60,buy,3\\n")
    ...     log = tc.read_events(f"{folder}/events.csv")
    >>> log
    EventLog(2 events, 2 users, 2 items, 2 actions)
    """
    names = column_names(_CHECK, user, timestamp, action, item, session, order, item_text)
    check_options(_CHECK, timestamp_unit, on_bad_rows, action, action_value)
    types = check_id_types(_CHECK, id_types)
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii():
        raise _CHECK.value_error("delimiter", "one ASCII character, not a quote", delimiter)
    if rejects is not None and on_bad_rows != "set_aside":
        raise _CHECK.value_error("rejects", "None unless on_bad_rows='set_aside'", rejects)
    name = os.fspath(path)
    parquet = name.lower().endswith((".parquet", ".parq", ".pq"))
    if where is not None and not parquet:
        raise _CHECK.value_error("where", "None for CSV files", where)
    if os.path.isdir(name):
        raise InputError(f"{name} is a folder. Name a file, or for Parquet a pattern such as {name}/*.parquet.")
    with _rejects_file(rejects) as sink:
        builder = LogBuilder(
            names, source=Path(name).name, place="row" if parquet else "line", timestamp_unit=timestamp_unit,
            set_aside=on_bad_rows == "set_aside", id_types=types, untyped=not parquet, rejects=sink,
        )
        if parquet:
            read_parquet(name, names, where, builder, progress)
        else:
            read_csv(name, names, delimiter, builder, progress)
        return log_from(builder, action_value)


@contextmanager
def _rejects_file(path: str | os.PathLike[str] | None) -> Iterator[TextIO | None]:
    """A file that appears under its name only if no error is raised."""
    if path is None:
        yield None
        return
    with whole_file(path) as scratch, open(scratch, "w", encoding="utf-8", newline="") as file:
        yield file
