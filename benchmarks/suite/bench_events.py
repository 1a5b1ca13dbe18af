"""The events room: seconds, peak memory, and what the result is worth (nothing lost, the same for any workers)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import traitcore as tc
from benchmarks.compare.events import shop_events

N = 1_000_000


class Sessions:
    """A log of 1M unsorted events, by number of workers."""

    params = ([1, 2],)
    param_names = ("workers",)

    def setup(self, workers: int) -> None:
        self.columns = shop_events(N)
        self.log = tc.EventLog.from_columns(self.columns)
        self.sessions = tc.split_sessions(self.log)
        tc.tokenize(self.sessions, min_count=2)

    def time_code_columns(self, workers: int) -> None:
        tc.EventLog.from_columns(self.columns)

    def time_split_sessions(self, workers: int) -> None:
        tc.split_sessions(self.log, workers=workers)

    def time_tokenize(self, workers: int) -> None:
        tc.tokenize(self.sessions, workers=workers)

    def peakmem_columns_to_tokens(self, workers: int) -> None:
        tc.tokenize(tc.split_sessions(tc.EventLog.from_columns(self.columns), workers=workers), workers=workers)

    def track_events_accounted_for(self, workers: int) -> float:
        """Share of the events that are in a session or in the report: 1."""
        report = tc.split_sessions(self.log, workers=workers).report
        return (report.events_kept + report.events_too_short) / len(self.log)


class Reading:
    """A CSV of 1M events, and encoding of ready-made tokens."""

    def setup(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "events.csv"
        self.log = tc.EventLog.from_columns(shop_events(N))
        self.log.to_csv(self.path)
        self.tokens = self.log.item_ids[self.log.item]
        self.offsets = np.append(np.arange(0, N, 8), N)
        tc.read_events(self.path)

    def teardown(self) -> None:
        self.folder.cleanup()

    def time_read_csv(self) -> None:
        tc.read_events(self.path)

    def peakmem_read_csv(self) -> None:
        tc.read_events(self.path)

    def time_encode_tokens(self) -> None:
        tc.encode_tokens(self.tokens, self.offsets)

    def track_rows_read_back(self) -> float:
        """Share of the rows that come back as they were written: 1."""
        again = tc.read_events(self.path)
        return float((again.to_columns()["item_id"] == self.tokens).mean())
