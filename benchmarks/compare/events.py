"""The events room against polars (sort and group), pandas and plain Python: seconds and peak memory.

Each contender runs in a process of its own, so that its peak memory is its own; input arrays are made there first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import in_fresh_process

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
    """From raw columns to Sequences and Vocabulary: ids coded, sessions split, tokens counted and encoded."""
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
    """The same: sort, cut at users and gaps, drop sessions of one event, code tokens by falling count, group."""
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
    )
    return (len(events), len(grouped), len(counts)), {"seconds": time.perf_counter() - start}


def polars_sort_group(columns: dict[str, np.ndarray], workers: int) -> tuple[Any, dict[str, float]]:
    """Less than we do: the sort by (user, time), the cut, and raw item ids by session; no vocabulary, no min_length."""
    import polars as pl

    frame = pl.DataFrame(columns)
    start = time.perf_counter()
    new = (pl.col("user_id") != pl.col("user_id").shift(1)) | (pl.col("timestamp").diff() > 1800)
    grouped = (
        frame.lazy().sort("user_id", "timestamp")
        .select("item_id", new.fill_null(True).cum_sum().alias("session"))
        .group_by("session", maintain_order=True).agg(pl.col("item_id")).collect()
    )
    return (len(grouped),), {"seconds": time.perf_counter() - start}


CONTENDERS: dict[str, Callable[..., tuple[Any, dict[str, float]]]] = {
    "ours": ours, "polars": polars, "polars_sort_group": polars_sort_group,
}


def contend(name: str, n: int, workers: int) -> dict[str, Any]:
    """The figures of one contender, run here."""
    ours(shop_events(1000), workers)  # compiles or loads the kernels; the peers' memory isn't judged
    columns = shop_events(n)
    input_mb = sum(c.nbytes for c in columns.values()) / 2**20
    # Making the data peaks too: have the kernel forget that peak.
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mb()  # the interpreter, its libraries and the input arrays
    size, figures = CONTENDERS[name](columns, workers)
    peak = peak_mb()
    return {"size": size, **figures, "peak_mb": peak, "peak_x_input": (peak - before + input_mb) / input_mb}


def measure(name: str, n: int, workers: int) -> dict[str, Any]:
    """A contender's figures, from a fresh process with `workers` threads."""
    found: dict[str, Any] = in_fresh_process(
        "benchmarks.compare.events:contend", name, n, workers, POLARS_MAX_THREADS=str(workers),
        OMP_NUM_THREADS=str(workers),
    )
    return found


def run(bench: Any) -> None:
    race_sessions(bench)
    race_encoding(bench)
    race_reading(bench)


def race_sessions(bench: Any) -> None:
    """Raw columns to token sequences; then the peak memory and what came out, which must be the same."""
    n = 200_000 if bench.quick else N_EVENTS
    for workers in (1, 2):
        found: dict[str, dict[str, Any]] = {}

        def timed(name: str, workers: int = workers, found: dict[str, dict[str, Any]] = found) -> float:
            found[name] = measure(name, n, workers)
            return float(found[name]["seconds"])

        bench.race(
            f"{n / 1e6:g}M events, {workers} threads",
            {"ours": lambda: timed("ours"), "polars, the same": lambda: timed("polars"),
             "polars, sort and group": lambda: timed("polars_sort_group")},
            ours="ours", bar="<= polars" if workers == 2 else "",
        )
        assert found["ours"]["size"][:2] == found["polars"]["size"][:2], found
        for name, figures in found.items():
            peak = {k: figures[k] for k in ("peak_mb", "peak_x_input")}
            bench.row(f"  peak memory, {workers} threads", name, bar="<= 3 x input" if name == "ours" else "", **peak)
        stages = {k: found["ours"][k] for k in ("code", "split", "tokenize")}
        bench.row(f"  stages, {workers} threads", "ours", **stages)


def race_encoding(bench: Any) -> None:
    """5M tokens to Sequences and a vocabulary: arrays, then lists as gensim takes them."""
    from benchmarks.suite.synthetic import clustered_sessions
    from traitcore import encode_tokens

    corpus = clustered_sessions(50_000 if bench.quick else 5_000_000).sequences
    spread = corpus.tokens.astype(np.int64) * 1_000_003
    texts = np.array([f"item_{i}" for i in range(int(corpus.tokens.max()) + 1)])[corpus.tokens]
    encode_tokens(spread[:10], [0, 10])
    encode_tokens(texts[:10], [0, 10])
    job = f"encode {len(spread) / 1e6:.2g}M tokens"
    contenders: dict[str, Callable[[], Any]] = {
        "ours, int64 array": lambda: encode_tokens(corpus.tokens.astype(np.int64), corpus.offsets),
        "ours, sparse int64 array": lambda: encode_tokens(spread, corpus.offsets),
        "ours, array of strings": lambda: encode_tokens(texts, corpus.offsets),
        "numpy.unique, int64 array": lambda: np.unique(spread, return_inverse=True, return_counts=True),
    }
    bench.race(job, contenders, ours="ours, int64 array", bar="<= 0.5 s")
    lists = [texts[a:b].tolist() for a, b in zip(corpus.offsets[:-1], corpus.offsets[1:])]
    ints = [spread[a:b].tolist() for a, b in zip(corpus.offsets[:-1], corpus.offsets[1:])]
    peers: dict[str, Callable[[], Any]] = {
        "ours, lists of str": lambda: encode_tokens(lists), "ours, lists of int": lambda: encode_tokens(ints),
    }
    try:
        from gensim.models import Word2Vec

        peers["gensim build_vocab, str"] = lambda: Word2Vec(min_count=1, vector_size=1).build_vocab(lists)
    except ImportError:
        print("  (gensim is not installed: its row is left out)")
    bench.race(job + ", lists", peers, ours="ours, lists of str", repeat=1)


def race_reading(bench: Any) -> None:
    """A CSV of 10M events, read, checked and coded; beside it, polars' reader before our coding, and alone."""
    import traitcore as tc

    n = 20_000 if bench.quick else 10_000_000
    log = tc.EventLog.from_columns(shop_events(n), timestamp_unit="s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        log.to_csv(path)
        del log
        contenders: dict[str, Callable[[], Any]] = {"ours": lambda: tc.read_events(path)}
        try:
            import polars

            contenders["polars.read_csv + our coding"] = lambda: tc.EventLog.from_columns(polars.read_csv(path))
            contenders["polars.read_csv alone"] = lambda: polars.read_csv(path)
        except ImportError:
            print("  (polars is not installed: its rows are left out)")
        job = f"read CSV, {n / 1e6:g}M rows, {path.stat().st_size / 2**20:.0f} MB"
        bench.race(job, contenders, ours="ours", bar="<= 1.5x polars + coding", repeat=3)
        small = Path(folder) / "small.csv"
        with open(path, encoding="utf-8") as file:
            small.write_text("".join(line for _, line in zip(range(1000), file)))
        code = ("import sys, time; t = time.perf_counter(); import traitcore as tc; tc.read_events(sys.argv[1]); "
                "print(time.perf_counter() - t)")
        found = subprocess.run([sys.executable, "-c", code, str(small)], capture_output=True, text=True, check=True)
        print(f"  import and first read of a process, 1,000 rows: {float(found.stdout):.2f} s, bar <= 1 s")
