"""The events room against polars (sort and group), pandas and plain Python: seconds and peak memory.

Each contender runs in a process of its own, so that its peak memory is its own; input arrays are made there first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
N_EVENTS = 10_000_000


def shop_events(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Unsorted events of n / 20 users over 30 days: int64 ids and seconds, int8 actions, Zipf items, bursts in time."""
    rng = np.random.default_rng(seed)
    n_users, n_items = max(2, n // 20), 50_000
    mass = np.cumsum(1.0 / np.arange(1, n_items + 1))
    visits = max(1, n // 6)
    visit_user = rng.integers(0, n_users, visits) * 7 + 1_000_003
    visit_start = rng.integers(1_430_000_000, 1_430_000_000 + 30 * 86_400, visits)
    visit = rng.integers(0, visits, n)
    return {
        "user_id": visit_user[visit],
        "timestamp": visit_start[visit] + rng.integers(0, 1200, n),
        "action": rng.choice(np.arange(4, dtype=np.int8), n, p=[0.8, 0.12, 0.03, 0.05]),
        "item_id": np.searchsorted(mass, rng.random(n) * mass[-1]) * 11 + 500,
    }


def peak_mb() -> float:
    """Peak resident memory of this process so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def ours(columns: dict[str, np.ndarray], workers: int) -> tuple[Any, dict[str, float]]:
    import traitcore as tc

    start = time.perf_counter()
    log = tc.EventLog.from_columns(columns)
    coded = time.perf_counter()
    sessions = tc.split_sessions(log, workers=workers)
    split = time.perf_counter()
    corpus = tc.tokenize(sessions, workers=workers)
    end = time.perf_counter()
    figures = {"seconds": end - start, "code": coded - start, "split": split - coded, "tokenize": end - split}
    return (corpus.sequences.n_tokens, len(corpus.sequences), len(corpus.vocabulary)), figures


def polars(columns: dict[str, np.ndarray], workers: int) -> tuple[Any, dict[str, float]]:
    """Sort, cut where the user changes or 1800 s pass, drop sessions of one event, code tokens by falling count."""
    import polars as pl

    frame = pl.DataFrame(columns)
    start = time.perf_counter()
    new = (pl.col("user_id") != pl.col("user_id").shift(1)) | (pl.col("timestamp").diff() > 1800)
    events = (
        frame.lazy()
        .sort("user_id", "timestamp", "action", "item_id")
        .select(
            "user_id", "timestamp", new.fill_null(True).cum_sum().alias("session"),
            (pl.col("item_id") * 4 + pl.col("action")).alias("pair"),
        )
        .filter(pl.len().over("session") >= 2)
        .collect()
    )
    counts = events.group_by("pair").agg(pl.len(), pl.col("user_id").n_unique()).sort("len", descending=True)
    rows = counts.select("pair").with_row_index("token")
    grouped = (
        events.lazy().join(rows.lazy(), on="pair", how="left", maintain_order="left")
        .group_by("session", maintain_order=True).agg("token", "timestamp", pl.col("user_id").first()).collect()
    )  # fmt: skip
    figures = {"seconds": time.perf_counter() - start}
    return (len(events), len(grouped), len(counts)), figures


def polars_lean(columns: dict[str, np.ndarray], workers: int) -> tuple[Any, dict[str, float]]:
    """Only the sort by (user, time), the cut, and the grouping of raw item ids: less than we do."""
    import polars as pl

    frame = pl.DataFrame(columns)
    start = time.perf_counter()
    new = (pl.col("user_id") != pl.col("user_id").shift(1)) | (pl.col("timestamp").diff() > 1800)
    grouped = (
        frame.lazy().sort("user_id", "timestamp")
        .with_columns(new.fill_null(True).cum_sum().alias("session"))
        .group_by("session", maintain_order=True).agg(pl.col("item_id")).collect()
    )  # fmt: skip
    return (len(grouped),), {"seconds": time.perf_counter() - start}


CONTENDERS: dict[str, Callable[..., tuple[Any, dict[str, float]]]] = {
    "ours": ours, "polars": polars, "polars_lean": polars_lean,
}  # fmt: skip


def child(name: str, n: int, workers: int) -> None:
    """Run one contender here and print its figures as JSON."""
    import resource

    if name == "ours":
        ours(shop_events(1000), workers)  # compile or load the kernels
    columns = shop_events(n)
    input_mb = sum(c.nbytes for c in columns.values()) / 2**20
    # Making the data peaks too: let the kernel forget that peak where it can.
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("peak can't be reset here: it may be that of making the data", file=sys.stderr)
    before = peak_mb()
    size, figures = CONTENDERS[name](columns, workers)
    figures |= {"input_mb": input_mb, "peak_mb": peak_mb(), "peak_over_input": (peak_mb() - before) / input_mb + 1}
    figures["max_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"size": size, **figures}))


def measure(name: str, n: int, workers: int) -> dict[str, Any]:
    """A contender's figures, from a fresh process with `workers` threads."""
    code = f"from benchmarks.compare.events import child; child({name!r}, {n}, {workers})"
    env = {"POLARS_MAX_THREADS": str(workers), "OMP_NUM_THREADS": str(workers), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}, cwd=ROOT
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
