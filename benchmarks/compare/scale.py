"""Logs larger than memory: from Parquet parts to sessions, tokens, counts and vectors, beside polars and DuckDB.

Each contender runs in a process of its own. `peak_mb` is the most anonymous memory it had; mapped files, whose pages
the system takes back as it needs them, are in `mapped_mb`. polars (streaming) and DuckDB do sessions and tokens of the
same events; where they fail, the failure is the row. TRAITCORE_SCALE sets the millions of events (20), TMPDIR the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PART = 1_000_000
MEMORY = "2GB"


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
    """The most anonymous and mapped memory of this process, looked at every 20 ms."""

    def __enter__(self) -> PeakMemory:
        self.anonymous, self.mapped, self._ended = 0.0, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.anonymous = max(self.anonymous, int(fields["RssAnon"].split()[0]) / 1024)
            self.mapped = max(self.mapped, int(fields["RssFile"].split()[0]) / 1024)
            if self._ended.wait(0.02):
                return


def ours(parts: Path, work: Path, learn: bool) -> dict[str, dict[str, float]]:
    """Each stage's seconds, events/s and peak memory."""
    import traitcore as tc

    found: dict[str, dict[str, float]] = {}

    def stage(name: str, call: Callable[[], Any], events: int = 0) -> Any:
        with PeakMemory() as peak:
            start = time.perf_counter()
            result = call()
            seconds = time.perf_counter() - start
        found[name] = {"seconds": seconds, "peak_mb": peak.anonymous, "mapped_mb": peak.mapped}
        if events:
            found[name]["events_per_s"] = events / seconds
        return result

    out = work / "corpus"
    stage("sessions and tokens", lambda: tc.prepare_log(parts, out, memory=MEMORY, scratch=work, min_count=5))
    corpus = tc.PreparedCorpus.open(out)
    n = corpus.log_report.rows_kept
    found["sessions and tokens"]["events_per_s"] = n / found["sessions and tokens"]["seconds"]
    found["sessions and tokens"] |= {"sessions": len(corpus.sequences), "vocabulary": len(corpus.vocabulary)}
    if learn:
        sequences, n_items = corpus.sequences, len(corpus.vocabulary)
        counts = stage("counts", lambda: tc.count_cooccurrences(
            sequences, n_items=n_items, window=5, memory_limit_mb=1200), n)
        found["counts"]["entries"] = counts.nnz
        del counts
        options = tc.SgnsOptions(vector_size=64, epochs=1, workers=2)
        stage("item2vec, an epoch", lambda: tc.train_sgns(sequences, options, n_items=n_items), n)
    return found


def in_memory(parts: Path, work: Path, learn: bool) -> dict[str, dict[str, float]]:
    """The same by the functions for logs in memory."""
    import traitcore as tc

    with PeakMemory() as peak:
        start = time.perf_counter()
        log = tc.read_events(parts)
        corpus = tc.tokenize(tc.split_sessions(log, max_events_per_session=1000, max_events_per_day=3000), min_count=5)
        seconds = time.perf_counter() - start
    return {"sessions and tokens": {
        "seconds": seconds, "peak_mb": peak.anonymous, "mapped_mb": peak.mapped, "events_per_s": len(log) / seconds,
        "sessions": len(corpus.sequences), "vocabulary": len(corpus.vocabulary),
    }}


_SESSIONS = """
    SELECT *, sum(begins) OVER (ORDER BY user_id, timestamp, item_id, action ROWS UNBOUNDED PRECEDING) AS session
    FROM (SELECT *, CASE WHEN timestamp - lag(timestamp) OVER (PARTITION BY user_id
          ORDER BY timestamp, item_id, action) <= 1800 THEN 0 ELSE 1 END AS begins FROM events)
"""


def duckdb(parts: Path, work: Path, learn: bool) -> dict[str, dict[str, float]]:
    """Sessions of two events or more, and tokens numbered by falling count, with DuckDB, to a Parquet file."""
    import duckdb as engine

    with PeakMemory() as peak:
        start = time.perf_counter()
        with engine.connect(config={"threads": 2, "memory_limit": MEMORY, "temp_directory": str(work / "spill")}) as db:
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
            n = db.execute(f"SELECT count(*) FROM '{parts}/*.parquet'").fetchall()[0][0]
        seconds = time.perf_counter() - start
    return {"sessions and tokens": {"seconds": seconds, "peak_mb": peak.anonymous, "mapped_mb": peak.mapped,
                                    "events_per_s": n / seconds}}


def polars(parts: Path, work: Path, learn: bool) -> dict[str, dict[str, float]]:
    """The same with polars' streaming engine."""
    import polars as pl

    with PeakMemory() as peak:
        start = time.perf_counter()
        events = pl.scan_parquet(f"{parts}/*.parquet").sort("user_id", "timestamp", "item_id", "action")
        begins = (pl.col("user_id") != pl.col("user_id").shift(1)) | (pl.col("timestamp").diff() > 1800)
        sessions = events.with_columns(begins.fill_null(True).cum_sum().alias("session"))
        sessions = sessions.filter(pl.len().over("session") >= 2)
        tokens = (sessions.group_by("item_id", "action").len().filter(pl.col("len") >= 5)
                  .sort("len", descending=True).with_row_index("token"))
        joined = sessions.join(tokens, on=["item_id", "action"]).select("session", "timestamp", "token")
        joined.sort("session", "timestamp").sink_parquet(work / "polars.parquet")
        seconds = time.perf_counter() - start
        n = pl.scan_parquet(f"{parts}/*.parquet").select(pl.len()).collect().item()
    return {"sessions and tokens": {"seconds": seconds, "peak_mb": peak.anonymous, "mapped_mb": peak.mapped,
                                    "events_per_s": n / seconds}}


CONTENDERS = {"traitcore": ours, "traitcore, in memory": in_memory, "DuckDB": duckdb, "polars, streaming": polars}


def child(name: str, parts: str, work: str) -> None:
    """Run a contender here and print its figures as JSON."""
    print(json.dumps(CONTENDERS[name](Path(parts), Path(work), True)))


def measure(name: str, parts: Path) -> dict[str, dict[str, float]]:
    """A contender's figures, from a process of its own with two threads; its failure as {"failed: ...": {}}."""
    with tempfile.TemporaryDirectory(dir=parts.parent) as work:
        code = f"from benchmarks.compare.scale import child; child({name!r}, {str(parts)!r}, {work!r})"
        env = {**os.environ, "POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=ROOT)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"killed by signal {-done.returncode}"]
        return {f"failed: {lines[-1][:120]}": {}}
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
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
            for stage, figures in measure(name, parts).items():
                bar = "<= 2 GB, >= 1M events/s" if name == "traitcore" and stage == "sessions and tokens" else ""
                bench.row(f"{n / 1e6:g}M events: {stage}", name, bar=bar, **figures)
