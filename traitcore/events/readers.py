"""read_events: a log from files of any format, or from standard input.

`source_files` finds and unpacks the files; `file_blocks` has DuckDB read each, as `csv_source`, `json_source`,
`parquet_source` and `excel_source` ask it to, block by block; `log_builder` codes the blocks: ids in `id_coder`, times
in `time_column`, rows that are no events in `set_aside`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from .._files import whole_file
from .._frames import column_labels
from .._progress import Progress
from .._validate import Checks
from . import duck
from .file_blocks import read_files
from .log import EventLog, check_id_types, check_nulls, check_options, column_names, log_from
from .log_builder import LogBuilder
from .reading import Reading
from .source_files import STDIN, named_files, open_sources

_CHECK = Checks("read_events")
StrPath = str | os.PathLike[str]


def read_events(
    path: Any,
    *,
    user: str | None = "user_id",
    timestamp: str | None = "timestamp",
    action: str | None = "action",
    item: str = "item_id",
    session: str | None = None,
    order: str | None = None,
    item_text: str | None = None,
    action_value: str | None = None,
    where: str | None = None,
    format: str | None = None,
    delimiter: str | None = None,
    quote: str | None = '"',
    columns: Sequence[str] | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    sheet: str | None = None,
    null: str | Sequence[str] | None = None,
    timestamp_unit: str | None = None,
    timestamp_format: str | None = None,
    id_types: str | Mapping[str, str] = "auto",
    on_bad_rows: str = "raise",
    rejects: StrPath | None = None,
    progress: Progress | None = None,
) -> EventLog:
    """Read a log from files (CSV, JSON lines, Parquet or Excel), or from a frame.

    Parameters
    ----------
    path : a frame or mapping of columns, read as `EventLog.from_columns` does; else a file, a folder, a pattern with *
        and **, "-" for standard input, or a list of these. The ending says the format (.csv, .tsv, .txt; .json, .jsonl;
        .parquet; .xlsx; anything else is CSV) and how it is packed (.gz, .zst, .bz2, .xz, .zip). Folders named
        key=value on the way give a column each.
    user, timestamp, action, item, session, order, item_text : the column whose name is exactly this, else a DuckDB SQL
        expression over the columns, e.g. action="CASE WHEN InvoiceNo LIKE 'C%' THEN 'remove' ELSE 'buy' END" (a CSV's
        columns are all text). In JSON, and nested Parquet, also a path a.b, or items[].id for each entry of a list.
        None: the log has none.
    action_value : the action of every row, where there is no action column.
    where : a SQL condition on the rows to read.
    format : "csv", "json", "parquet" or "excel"; None: as the name ends.
    delimiter : between the fields of a CSV, 1 to 4 bytes, such as ";" or "::"; None: a comma, or a tab for .tsv.
    quote : around fields of a CSV that hold a delimiter; None: quotes are characters like any other.
    columns : names of the columns of a CSV without a header.
    encoding : of text. UTF-16 and UTF-32 that begin with a byte order mark are known by it.
    decimal : "." or ",", in numbers written as text.
    sheet : of an Excel file; None: all, which must have the same columns.
    null : texts that mean "no value", e.g. "NA"; None: only empty fields do, and such words are noted in the report.
    timestamp_unit, timestamp_format, id_types, on_bad_rows : as in `EventLog.from_columns`. In CSV, JSON and Excel
        "auto" makes a column of ids integers if every one is written as an int64 is (123, or 123.0), else strings.
    rejects : with on_bad_rows="set_aside", a CSV file for the rows set aside: file, line or row, reason and record.
    progress : called as progress("read", done, total) in bytes.

    Raises
    ------
    InputError : the file can't be read as a log; the message names the file, and the line and column where it can.
    FileNotFoundError : there is no such file. ImportError : an extra is needed: `pip install 'traitcore[io]'`.

    See Also
    --------
    EventLog.from_columns : a log from columns in memory.

    Examples
    --------
    >>> import tempfile, traitcore as tc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/events.csv", "w") as file:
    ...         _ = file.write("user_id,timestamp,action,item_id\\nann,1500000000,view,5\\nbob,1500000060,buy,3\\n")
    ...     log = tc.read_events(f"{folder}/events.csv")
    >>> log
    EventLog(2 events, 2 users, 2 items, 2 actions)
    """
    if is_frame(path):
        of_files = {
            "where": where, "format": format, "delimiter": delimiter, "columns": columns, "sheet": sheet,
            "rejects": rejects, "quote": None if quote == '"' else quote,
            "encoding": None if encoding == "utf-8" else encoding, "decimal": None if decimal == "." else decimal,
        }
        for name, value in of_files.items():
            if value is not None:
                raise _CHECK.value_error(name, "left out for columns in memory: it says how files are read", value)
        return EventLog.from_columns(
            path, user=user, timestamp=timestamp, action=action, item=item, session=session, order=order,
            item_text=item_text, action_value=action_value, timestamp_unit=timestamp_unit,
            timestamp_format=timestamp_format, id_types=id_types, null=null, on_bad_rows=on_bad_rows,
        )
    names = column_names(_CHECK, user, timestamp, action, item, session, order, item_text)
    check_options(_CHECK, timestamp_unit, on_bad_rows, action, action_value, timestamp_format)
    types = check_id_types(_CHECK, id_types)
    if isinstance(columns, str):
        raise _CHECK.type_error("columns", "the names of the columns", columns)
    names_given = None if columns is None else tuple(columns)
    reading = Reading(format, delimiter, quote, names_given, encoding, decimal, sheet)
    reading.check(_CHECK)
    if rejects is not None and on_bad_rows != "set_aside":
        raise _CHECK.value_error("rejects", "None unless on_bad_rows='set_aside'", rejects)
    listed = [pair for one in _paths(path) for pair in named_files(one)]
    if rejects is not None:
        for one, _ in listed:
            _refuse_same(one, rejects)
    total = sum(os.path.getsize(one) for one, _ in listed if os.path.isfile(one))
    source = listed[0][1] if len(listed) == 1 else f"{len(listed):,} files"
    with (
        rejects_file(rejects) as sink,
        open_sources(_paths(path), reading) as files,
        duck.connected() as connection,
    ):
        builder = LogBuilder(
            names, source=source, set_aside=on_bad_rows == "set_aside", id_types=types, timestamp_unit=timestamp_unit,
            timestamp_format=timestamp_format, decimal=decimal, nulls=check_nulls(_CHECK, null), rejects=sink,
        )
        tell = None if progress is None else (lambda done: progress("read", min(done, total), total))
        read_files(connection, files, names, where, reading, builder, tell)
        duck.release_memory(connection)
        if progress is not None:
            progress("read", total, total)
        return log_from(builder, action_value)


def is_frame(value: Any) -> bool:
    """Whether a value holds columns in memory, rather than naming files."""
    return isinstance(value, Mapping) or column_labels(value) is not None or hasattr(value, "__arrow_c_stream__") or (
        type(value).__module__.split(".")[0] == "polars"
    )


def _paths(path: Any) -> list[StrPath]:
    paths = list(path) if isinstance(path, (list, tuple)) else [path]
    if not paths or not all(isinstance(one, (str, os.PathLike)) for one in paths):
        raise _CHECK.type_error("path", "a path or a list of paths", path)
    return paths


def _refuse_same(path: str, rejects: StrPath) -> None:
    """Rejects are never written over what is read."""
    if path != STDIN and os.path.exists(rejects) and os.path.exists(path) and os.path.samefile(path, rejects):
        raise _CHECK.value_error("rejects", "another file than those that are read", os.fspath(rejects))


@contextmanager
def rejects_file(path: StrPath | None, *, keep: bool = False) -> Iterator[TextIO | None]:
    """A file that appears under its name only if no error is raised, or with `keep` at any end."""
    if path is None:
        yield None
        return
    if keep:
        error = None
        with rejects_file(path) as file:
            try:
                yield file
            except BaseException as raised:
                error = raised
        if error is not None:
            raise error
        return
    with whole_file(Path(path).expanduser()) as scratch, open(scratch, "w", encoding="utf-8", newline="") as file:
        yield file
