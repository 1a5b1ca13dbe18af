"""read_events: a log from files of any format, or from standard input.

`source_files` finds and unpacks the files; `file_blocks` has DuckDB read each, as `csv_source`, `json_source`,
`parquet_source` and `excel_source` ask it to, block by block; `log_builder` codes the blocks: ids in `id_coder`, times
in `time_column`, rows that are no events in `set_aside`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeVar

from .._errors import InputError
from .._files import whole_file
from .._frames import column_labels
from .._progress import Progress
from .._validate import Checks
from . import duck
from .file_blocks import Builder, read_files
from .log import EventLog, check_id_types, check_nulls, check_options, column_names, log_from
from .log_builder import LogBuilder
from .reading import Reading
from .source_files import STDIN, SourceFile, named_files, open_sources

_CHECK = Checks("read_events")
StrPath = str | os.PathLike[str]
B = TypeVar("B", bound=LogBuilder)


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
    asked = LogFiles.checked(
        _CHECK, path, user=user, timestamp=timestamp, action=action, item=item, session=session, order=order,
        item_text=item_text, action_value=action_value, where=where, format=format, delimiter=delimiter, quote=quote,
        columns=columns, encoding=encoding, decimal=decimal, sheet=sheet, null=null, timestamp_unit=timestamp_unit,
        timestamp_format=timestamp_format, id_types=id_types, on_bad_rows=on_bad_rows, rejects=rejects,
    )
    with asked.opened(progress) as opened:
        builder = asked.builder(LogBuilder, opened)
        opened.read(builder)
        return log_from(builder, action_value)


def is_frame(value: Any) -> bool:
    """Whether a value holds columns in memory, rather than naming files."""
    return isinstance(value, Mapping) or column_labels(value) is not None or hasattr(value, "__arrow_c_stream__") or (
        type(value).__module__.split(".")[0] == "polars"
    )


@dataclass(frozen=True)
class LogFiles:
    """What `read_events` is asked to read, checked: files, the columns of the roles, and how all of it is written."""

    paths: list[StrPath]
    names: dict[str, str]
    where: str | None
    reading: Reading
    action_value: str | None
    rejects: StrPath | None
    builder_options: dict[str, Any]
    source: str

    @classmethod
    def checked(
        cls, check: Checks, path: StrPath | Sequence[StrPath], *, user: str | None = "user_id",
        timestamp: str | None = "timestamp", action: str | None = "action", item: str = "item_id",
        session: str | None = None, order: str | None = None, item_text: str | None = None,
        action_value: str | None = None, where: str | None = None, format: str | None = None,
        delimiter: str | None = None, quote: str | None = '"', columns: Sequence[str] | None = None,
        encoding: str = "utf-8", decimal: str = ".", sheet: str | None = None, null: str | Sequence[str] | None = None,
        timestamp_unit: str | None = None, timestamp_format: str | None = None,
        id_types: str | Mapping[str, str] = "auto", on_bad_rows: str = "raise", rejects: StrPath | None = None,
    ) -> LogFiles:
        """From the parameters of `read_events`, on behalf of `check`'s caller."""
        names = column_names(check, user, timestamp, action, item, session, order, item_text)
        check_options(check, timestamp_unit, on_bad_rows, action, action_value, timestamp_format)
        types = check_id_types(check, id_types)
        if isinstance(columns, str):
            raise check.type_error("columns", "the names of the columns", columns)
        named = None if columns is None else tuple(columns)
        reading = Reading(format, delimiter, quote, named, encoding, decimal, sheet)
        reading.check(check)
        if rejects is not None and on_bad_rows != "set_aside":
            raise check.value_error("rejects", "None unless on_bad_rows='set_aside'", rejects)
        listed = [pair for one in _paths(path) for pair in named_files(one)]
        if rejects is not None:
            for one, _ in listed:
                _refuse_same(check, one, rejects)
        options = {
            "set_aside": on_bad_rows == "set_aside", "id_types": types, "timestamp_unit": timestamp_unit,
            "timestamp_format": timestamp_format, "decimal": decimal, "nulls": check_nulls(check, null),
        }
        source = listed[0][1] if len(listed) == 1 else f"{len(listed):,} files"
        return cls(_paths(path), names, where, reading, action_value, rejects, options, source)

    def files(self) -> list[tuple[str, str]]:
        """(path, name for messages) of each file, in order."""
        return [pair for one in self.paths for pair in named_files(one)]

    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(os.path.getsize(one) for one, _ in self.files() if os.path.isfile(one))

    @contextmanager
    def opened(
        self, progress: Progress | None, *, memory_mb: int | None = None, scratch: StrPath | None = None
    ) -> Iterator[OpenedFiles]:
        """The files, unpacked as they are asked for, with a connection to read them and the open file of rejects.

        memory_mb : what the connection may hold; None: as DuckDB decides. scratch : for temporary files.
        """
        before = _states(self.files())
        with (
            rejects_file(self.rejects) as sink,
            open_sources(self.paths, self.reading, scratch) as files,
            duck.connected(memory_mb) as connection,
        ):
            yield OpenedFiles(self, connection, files, sink, progress)
            _refuse_changed(before)

    def builder(self, kind: type[B], opened: OpenedFiles, **more: Any) -> B:
        """A builder of a log for these files."""
        return kind(self.names, source=self.source, rejects=opened.sink, **self.builder_options, **more)


@dataclass
class OpenedFiles:
    """Files that are open for reading; they can be read more than once."""

    asked: LogFiles
    connection: Any
    files: Iterator[SourceFile]
    sink: TextIO | None
    progress: Progress | None
    known: list[SourceFile] = field(default_factory=list)

    def read(self, builder: Builder) -> None:
        """Feed all of them to the builder."""
        total = self.asked.n_bytes()
        tell = None
        if self.progress is not None:
            progress = self.progress

            def tell(done: int) -> None:
                progress("read", min(done, total), total)

        read_files(
            self.connection, self._all(), self.asked.names, self.asked.where, self.asked.reading, builder, tell
        )
        duck.release_memory(self.connection)
        if self.progress is not None:
            self.progress("read", total, total)

    def _all(self) -> Iterator[SourceFile]:
        yield from list(self.known)
        for file in self.files:
            self.known.append(file)
            yield file


def _states(files: list[tuple[str, str]]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name, and what changes when the content does, of each plain file."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path, name in files:
        if path != STDIN and os.path.isfile(path):
            info = os.stat(path)
            found[path] = name, (info.st_size, info.st_mtime_ns, info.st_ino)
    return found


def _refuse_changed(before: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    """InputError for a file that is no longer what it was when reading began."""
    now = _states([(path, name) for path, (name, _) in before.items() if os.path.exists(path)])
    for path, (name, state) in before.items():
        if path not in now or now[path][1] != state:
            what = "changed" if path in now else "was removed"
            raise InputError(
                f"{name} {what} while it was read, so its events can't be trusted. Read a copy, or only files that are "
                "complete."
            )


def _paths(path: Any) -> list[StrPath]:
    paths = list(path) if isinstance(path, (list, tuple)) else [path]
    if not paths or not all(isinstance(one, (str, os.PathLike)) for one in paths):
        raise _CHECK.type_error("path", "a path or a list of paths", path)
    return paths


def _refuse_same(check: Checks, path: str, rejects: StrPath) -> None:
    """Rejects are never written over what is read."""
    if path != STDIN and os.path.exists(rejects) and os.path.exists(path) and os.path.samefile(path, rejects):
        raise check.value_error("rejects", "another file than those that are read", os.fspath(rejects))


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
