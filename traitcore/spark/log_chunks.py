"""In a worker: a partition sorted by user, read as event logs of whole users."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._errors import InputError
from ..events.arrow import read_stream
from ..events.log import EventLog, log_from
from ..events.log_builder import LogBuilder
from ..events.log_report import InputWarning
from ..events.set_aside import RowSource

# Events of a log, at least, before it is handed on at the next change of user: what a worker holds, beside one batch of
# Spark's, is this, or the events of its largest user.
CHUNK_EVENTS = 1 << 19


@dataclass(frozen=True)
class LogChunk:
    """The events of some whole users; None where all rows were set aside. set_aside : rows by reason."""

    log: EventLog | None
    rows: int
    set_aside: dict[str, int]


def log_chunks(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[LogChunk]:
    """Logs of whole users from batches whose rows are sorted by `options["key"]`, "user" or "session".

    The columns are called by their roles; options["names"] has their names in the DataFrame, for messages. A batch is
    coded as it comes and then let go, so the events of a user are held once, as codes, however many batches they fill.
    """
    builder, previous = _builder(options), None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        keys = batch.column(options["key"])
        cut = _last_change(keys, previous)
        previous = keys[-1].as_py()
        if cut is not None and builder.rows_read + cut >= options.get("chunk_events", CHUNK_EVENTS):
            _add(builder, batch.slice(0, cut))
            yield _finished(builder, options)
            builder = _builder(options)
            batch = batch.slice(cut)
        _add(builder, batch)
    if builder.rows_read:
        yield _finished(builder, options)


def _builder(options: Mapping[str, Any]) -> LogBuilder:
    as_they_are = dict.fromkeys(("user", "session", "item"), "auto")
    builder = LogBuilder(
        options["names"], source="DataFrame", set_aside=True, id_types=as_they_are,
        timestamp_unit=options["timestamp_unit"], timestamp_format=options["timestamp_format"],
    )
    builder.begin(RowSource("DataFrame"))
    return builder


def _add(builder: LogBuilder, batch: pa.RecordBatch) -> None:
    if batch.num_rows:
        for columns in read_stream(pa.Table.from_batches([batch]), {role: role for role in builder.names}):
            builder.add(columns)


def _finished(builder: LogBuilder, options: Mapping[str, Any]) -> LogChunk:
    rows = builder.rows_read
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        try:
            log = log_from(builder, options["action_value"])
        except InputError:
            if sum(builder.set_aside.counts.values()) < rows:
                raise
            log = None
    return LogChunk(log, rows, dict(builder.set_aside.counts))


def _last_change(keys: pa.Array, previous: Any) -> int | None:
    """The last row whose key differs from that of the row before it; None where all are of one user.

    A null is taken for the key beside it: such rows are set aside in whatever log they are.
    """
    if len(keys) > 1:
        changes = np.flatnonzero(pc.fill_null(pc.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1)), False))
        if len(changes):
            return int(changes[-1]) + 1
    return 0 if previous is not None and keys[0].as_py() not in (None, previous) else None
