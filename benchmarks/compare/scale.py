"""Logs larger than memory: from Parquet parts to sessions, tokens, counts, vectors, traits and published tables, beside
polars and DuckDB.

Each contender runs in a process of its own. `peak_mb` is the most anonymous memory it had; mapped files, whose pages
the system takes back as it needs them, are in `mapped_mb`. polars (streaming) and DuckDB do sessions and tokens of the
same events; where they fail, the failure is the row. TRAITCORE_SCALE sets the millions of events (20), TMPDIR the disk.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import in_fresh_process

PART = 1_000_000
THREADS = 2
SESSIONS = "sessions and tokens"
MEMORY = "2GB"
LARGEST = 50
# A contender that takes more is stopped: with more, the system would stop any process it likes.
STOP_MB = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20 * 3 / 4


def write_parts(folder: Path, n: int, seed: int = 0) -> None:
    """Parquet parts of a shop's log in order of time: visits of about six events, users who come back, Zipf items."""
    import pyarrow as pa
    from pyarrow import parquet

    n_users, n_items = max(2, n // 25), int(min(200_000, max(100, n // 100)))
    mass = np.cumsum(1.0 / np.arange(1, n_items + 1) ** 0.9)
    names = np.array(["view", "add_cart", "purchase", "remove_cart"])
    for number, begin in enumerate(range(0, n, PART)):
        rng = np.random.default_rng([seed, number])
        size = min(PART, n - begin)
        visits = max(1, size // 6)
        user = rng.integers(0, n_users, visits) * 7 + 1_000_003
        start = 1_600_000_000 + begin // 20 + rng.integers(0, PART // 20, visits)
        taste = rng.random(visits)  # a visit stays near one place of the range
        visit = np.sort(rng.integers(0, visits, size))
        spread = (taste[visit] + rng.normal(0, 0.05, size)) % 1.0
        item = np.searchsorted(mass, np.where(rng.random(size) < 0.6, spread, rng.random(size)) * mass[-1])
        seconds = start[visit] + rng.integers(0, 1200, size)
        order = np.argsort(seconds, kind="stable")
        action = rng.choice(4, size, p=[0.8, 0.12, 0.05, 0.03])
        table = pa.table({
            "user_id": user[visit][order], "timestamp": seconds[order], "item_id": (item * 11 + 500)[order],
            "action": pa.DictionaryArray.from_arrays(pa.array(action[order], pa.int32()), pa.array(names)),
        })
        parquet.write_table(table, folder / f"part-{number:05d}.parquet", row_group_size=131_072)


class PeakMemory:
    """The most anonymous and mapped memory of this process, looked at every 20 ms; and its processor time."""

    def __enter__(self) -> PeakMemory:
        self.anonymous, self.mapped, self._ended = 0.0, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._start, self._cpu = time.perf_counter(), time.process_time()
        return self

    def figures(self, events: int = 0) -> dict[str, float]:
        """Seconds, processor seconds and peaks so far."""
        seconds = time.perf_counter() - self._start
        found = {"seconds": seconds, "cpu_s": time.process_time() - self._cpu, "peak_mb": self.anonymous,
                 "mapped_mb": self.mapped}
        return found | ({"events_per_s": events / seconds} if events else {})

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.anonymous = max(self.anonymous, int(fields["RssAnon"].split()[0]) / 1024)
            self.mapped = max(self.mapped, int(fields["RssFile"].split()[0]) / 1024)
            if self.anonymous > STOP_MB:
                print(f"more than {STOP_MB:.0f} MB of memory", file=sys.stderr, flush=True)
                os._exit(1)
            if self._ended.wait(0.02):
                return


def ours(parts: Path, work: Path, n: int) -> dict[str, dict[str, float]]:
    """Each stage's seconds, events/s and peak memory."""
    import traitcore as tc

    found: dict[str, dict[str, float]] = {}
    with PeakMemory() as peak:
        corpus = tc.prepare_log(parts, work / "corpus", memory=MEMORY, scratch=work, min_count=5, workers=THREADS)
        found[SESSIONS] = peak.figures(n)
    sequences, n_items = corpus.sequences, len(corpus.vocabulary)
    found[SESSIONS] |= {"sessions": len(sequences), "vocabulary": n_items}
    with PeakMemory() as peak:
        # All counts of 100M events are 6.4 GB.
        counts = tc.count_cooccurrences(sequences, n_items=n_items, k=LARGEST, memory_limit_mb=1500, workers=THREADS)
        found[f"counts, the {LARGEST} largest a row"] = peak.figures(n) | {"entries": counts.nnz}
    del counts
    with PeakMemory() as peak:
        tc.train_sgns(sequences, tc.SgnsOptions(vector_size=64, epochs=1, workers=THREADS), n_items=n_items)
        found["item2vec, an epoch"] = peak.figures(n)
    with PeakMemory() as peak:
        result = tc.fit_pipeline(
            corpus, vector_size=64, epochs=1, n_traits=16, workers=THREADS, store=work / "store"
        )
        found["vectors, 16 traits of all customers, published"] = peak.figures(n) | {"customers": len(result.profiles)}
    return found


def in_memory(parts: Path, work: Path, n: int) -> dict[str, dict[str, float]]:
    """Sessions and tokens by the functions for logs in memory."""
    import traitcore as tc

    with PeakMemory() as peak:
        log = tc.read_events(parts)
        sessions = tc.split_sessions(log, max_events_per_session=1000, max_events_per_day=3000, workers=THREADS)
        corpus = tc.tokenize(sessions, min_count=5, workers=THREADS)
        size = {"sessions": len(corpus.sequences), "vocabulary": len(corpus.vocabulary)}
        return {SESSIONS: peak.figures(n) | size}


_SESSIONS = """
    SELECT *, sum(begins) OVER (ORDER BY user_id, timestamp, item_id, action ROWS UNBOUNDED PRECEDING) AS session
    FROM (SELECT *, CASE WHEN timestamp - lag(timestamp) OVER (PARTITION BY user_id
          ORDER BY timestamp, item_id, action) <= 1800 THEN 0 ELSE 1 END AS begins FROM events)
"""


def duckdb(parts: Path, work: Path, n: int) -> dict[str, dict[str, float]]:
    """Sessions of two events or more, and tokens numbered by falling count, with DuckDB, to a Parquet file."""
    import duckdb as engine

    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": THREADS, "memory_limit": MEMORY, "temp_directory": str(work / "spill"),
    }
    with PeakMemory() as peak, engine.connect(config=settings) as db:
        db.execute(f"CREATE VIEW events AS SELECT * FROM '{parts}/*.parquet'")
        db.execute(f"""
            COPY (
                WITH sessions AS MATERIALIZED (
                    SELECT * FROM ({_SESSIONS}) QUALIFY count(*) OVER (PARTITION BY session) >= 2
                ), tokens AS (
                    SELECT item_id, action, row_number() OVER (ORDER BY count(*) DESC) - 1 AS token
                    FROM sessions GROUP BY ALL HAVING count(*) >= 5
                )
                SELECT session, timestamp, token FROM sessions JOIN tokens USING (item_id, action)
                ORDER BY session, timestamp
            ) TO '{work}/duckdb.parquet' (FORMAT parquet)""")
        return {SESSIONS: peak.figures(n)}


def polars(parts: Path, work: Path, n: int) -> dict[str, dict[str, float]]:
    """The same with polars' streaming engine."""
    import polars as pl

    with PeakMemory() as peak:
        events = pl.scan_parquet(f"{parts}/*.parquet").sort("user_id", "timestamp", "item_id", "action")
        begins = (pl.col("user_id") != pl.col("user_id").shift(1)) | (pl.col("timestamp").diff() > 1800)
        sessions = events.with_columns(begins.fill_null(True).cum_sum().alias("session"))
        sessions = sessions.filter(pl.len().over("session") >= 2)
        tokens = (sessions.group_by("item_id", "action").len().filter(pl.col("len") >= 5)
                  .sort("len", descending=True).with_row_index("token"))
        joined = sessions.join(tokens, on=["item_id", "action"]).select("session", "timestamp", "token")
        joined.sort("session", "timestamp").sink_parquet(work / "polars.parquet", engine="streaming")
        return {SESSIONS: peak.figures(n)}


CONTENDERS = {"traitcore": ours, "traitcore, in memory": in_memory, "DuckDB": duckdb, "polars, streaming": polars}


def contend(name: str, parts: str, work: str, n: int) -> dict[str, dict[str, float]]:
    """The figures of one contender, run here."""
    return CONTENDERS[name](Path(parts), Path(work), n)


def measure(name: str, parts: Path, n: int) -> dict[str, dict[str, float]]:
    """A contender's figures, from a process of its own with two threads; its failure as {"failed: ...": {}}."""
    with tempfile.TemporaryDirectory(dir=parts.parent) as work:
        try:
            found: dict[str, dict[str, float]] = in_fresh_process(
                "benchmarks.compare.scale:contend", name, str(parts), work, n, POLARS_MAX_THREADS=str(THREADS)
            )
        except RuntimeError as error:
            return {f"failed: {str(error).splitlines()[-1][:120]}": {}}
    return found


def run(bench: Any) -> None:
    n = 100_000 if bench.quick else int(float(os.environ.get("TRAITCORE_SCALE", "20")) * 1e6)
    with tempfile.TemporaryDirectory(prefix="traitcore-scale-") as folder:
        parts = Path(folder) / "parts"
        parts.mkdir()
        write_parts(parts, n)
        size = sum(file.stat().st_size for file in parts.iterdir())
        print(f"  {n:,} events in {len(list(parts.iterdir()))} Parquet parts, {size / 2**20:.0f} MB; "
              f"{shutil.disk_usage(folder).free / 2**30:.0f} GB free")
        for name in CONTENDERS:
            if not bench.wants(name):
                continue
            for stage, figures in measure(name, parts, n).items():
                bar = "<= 2 GB, >= 1M events/s" if name == "traitcore" and stage == SESSIONS else ""
                bench.row(f"{n / 1e6:g}M events: {stage}", name, bar=bar, **figures)
