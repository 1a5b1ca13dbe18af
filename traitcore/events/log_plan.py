"""What preparing a log takes, before it begins: events, memory, disk and time, from a quick look at its files."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .._errors import InputError
from . import duck
from .readers import LogFiles

# Measured on 2 cores of an AMD EPYC, on Parquet of integer ids alone. benchmarks/compare/scale.py prints `peak_mb` and
# the seconds of such a log, which can be held against a plan.
_BASE = 420 << 20  # the process with its libraries, DuckDB's buffers and a window of rows
_EVENT = 96  # bytes of memory for each event of the bucket being split into sessions
_ITEM = 400  # bytes for each item, with its tokens, in the vocabulary
_EVENTS_PER_SECOND = 1_200_000
_MOST_BUCKETS = 4096
_PACKED = 6  # a packed text is about so many times as large


@dataclass(frozen=True)
class LogPlan:
    """What `prepare_log` will take.

    events : of all files; exact for Parquet. memory : bytes that may be used. n_buckets : files of whole customers that
    the log is cut into; most_rows : events that one may have. scratch_bytes, corpus_bytes : on disk, while it works and
    at the end. seconds : about, on a machine like the one it was measured on. duckdb_mb : what the reader may hold.
    """

    events: int
    memory: int
    n_buckets: int
    most_rows: int
    scratch_bytes: int
    corpus_bytes: int
    seconds: float
    duckdb_mb: int

    def as_dict(self) -> dict[str, Any]:
        """The plan as a plain dict (for JSON)."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"about {self.events:,} events in {self.memory / 2**30:.2f} GiB of memory: {self.n_buckets:,} buckets, "
            f"{self.scratch_bytes / 2**30:.2f} GiB of scratch, {self.corpus_bytes / 2**30:.2f} GiB of corpus, "
            f"{self.seconds:,.0f} s"
        )

    def check(self, out: Path, scratch: str | os.PathLike[str] | None) -> None:
        """InputError where a disk has too little room."""
        work = _existing(Path(tempfile.gettempdir() if scratch is None else scratch).expanduser())
        target = _existing(out.absolute().parent)
        needed = {work: self.scratch_bytes, target: self.corpus_bytes}
        if os.stat(work).st_dev == os.stat(target).st_dev:
            needed = {work: self.scratch_bytes + self.corpus_bytes}
        for place, size in needed.items():
            free = shutil.disk_usage(place).free
            if free < size:
                raise InputError(
                    f"{place} has {free / 2**30:.2f} GiB free; this log needs about {size / 2**30:.2f} GiB there while "
                    "it is prepared. A scratch folder on another disk, or fewer files at a time, would fit."
                )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def plan_files(asked: LogFiles, memory: int) -> LogPlan:
    """The plan for these files in so many bytes of memory; where that is too little, InputError says what would do."""
    least = _BASE + _EVENT * 500_000
    if memory < least:
        raise InputError(
            f"memory must be at least {math.ceil(least / 2**20)} MB, for the program and its libraries alone need most "
            f"of that. Got {memory / 2**20:.0f} MB."
        )
    events = _count_events(asked)
    unpacked = sum(_PACKED * os.path.getsize(path) for path, _ in asked.files() if _is_packed(path))
    most_rows = (memory - _BASE) // _EVENT
    # Half full: hashes make buckets of unequal size, customers even more so.
    n_buckets = min(_MOST_BUCKETS, max(1, math.ceil(2 * events / most_rows)))
    row = 8 * sum(role in asked.names for role in ("user", "session", "timestamp", "order")) + 8
    return LogPlan(
        events, memory, n_buckets, int(most_rows), events * (row + 16) + unpacked, events * 16,
        events / _EVENTS_PER_SECOND, max(128, (memory - _BASE) // 4 >> 20),
    )


def _count_events(asked: LogFiles) -> int:
    """Rows of Parquet files by their footers; of others by their size and first lines."""
    total = 0
    with duck.connected() as connection:
        for path, _ in asked.files():
            if not os.path.isfile(path):
                continue
            if (asked.reading.format or path.lower().rpartition(".")[2]) in ("parquet", "parq", "pq"):
                query = f"SELECT sum(num_rows) FROM parquet_file_metadata({duck.literal(path)})"
                with contextlib.suppress(duck.error_type()):  # the reader says what is wrong with the file
                    total += int(connection.execute(query).fetchall()[0][0])
                continue
            size = os.path.getsize(path)
            if _is_packed(path):
                total += size * _PACKED // 50
                continue
            with open(path, "rb") as file:
                start = file.read(1 << 20)
            total += size * (start.count(b"\n") + 1) // max(1, len(start))
    return total


def _is_packed(path: str) -> bool:
    return path.lower().endswith((".gz", ".bz2", ".xz", ".zst", ".zip")) and os.path.isfile(path)
