"""Publish + verify against the disk's sequential rate for the same bytes (written, synced, read back); opening.

Both find nothing of the files in the page cache when they read back: what verify is for (it reads past the cache).

The disk's rate is measured both through the page cache and past it (O_DIRECT): the bar is 0.6 of each. Before each
contender the other's pages are on the disk and its removed files forgotten (sync), or one would pay for the other.
Whoever goes through the page cache may stall where the system has to find memory first: compare low, median and high.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.versus import Bench
from traitcore import EmbeddingTable, TableStore

CHUNK = 8 << 20


def forget(folder: Path) -> None:
    """Drop the files' pages from memory, where the system knows how: reading then reads the disk."""
    for path in folder.iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def raw_disk(folder: Path, data: memoryview, direct: bool) -> float:
    """Seconds to write, sync and read back the bytes: what no store can beat."""
    folder.mkdir(exist_ok=True)
    path = folder / "raw"
    how = os.O_DIRECT if direct else 0
    buffer = memoryview(mmap.mmap(-1, CHUNK))
    os.sync()
    start = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | how)
    for i in range(0, len(data), CHUNK):
        piece = data[i : i + CHUNK]
        if direct:  # wants memory that begins at a page
            buffer[: len(piece)] = piece
            piece = buffer[: len(piece)]
        os.write(fd, piece)
    os.fsync(fd)
    os.close(fd)
    seconds = time.perf_counter() - start
    forget(folder)
    start = time.perf_counter()
    fd = os.open(path, os.O_RDONLY | how)
    while os.readv(fd, [buffer]):
        pass
    os.close(fd)
    seconds += time.perf_counter() - start
    path.unlink()
    return seconds


def run(bench: Bench) -> None:
    n = 20_000 if bench.quick else 1_000_000
    vectors = np.random.default_rng(0).normal(size=(n, 64)).astype(np.float32)
    table = EmbeddingTable([f"prod_{i:07d}" for i in range(n)], vectors)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TRAITCORE_BENCH_DIR")) as name:
        store = TableStore(Path(name) / "tables")
        version = store.publish(table, "items")
        size = store.verify("items", version).size_bytes
        whole = -(-size // 4096) * 4096  # as many bytes as the version has, in whole blocks
        data = np.resize(vectors.reshape(-1).view(np.uint8), whole).data

        def publish_and_verify() -> float:
            os.sync()
            start = time.perf_counter()
            version = store.publish(table, "items")
            seconds = time.perf_counter() - start
            forget(store.root / "items" / version)
            start = time.perf_counter()
            store.verify("items", version, workers=-1)  # as `traitcore store verify` does
            seconds += time.perf_counter() - start
            store.prune("items", keep=1)
            return seconds

        job = f"publish + verify, {n:,} x 64"
        raw = {"raw, page cache": False} | ({"raw, past it": True} if hasattr(os, "O_DIRECT") else {})
        median = bench.race(
            job,
            {"ours": publish_and_verify}
            | {who: lambda d=d: raw_disk(Path(name) / "raw", data, d) for who, d in raw.items()},
            ours="ours", bar="raw ratios >= 0.6", repeat=max(bench.repeat, 7),
        )
        for who, seconds in median.items():
            bench.row(job, who, mb_per_s=size / 1e6 / seconds)
        opening = []
        for _ in range(50):
            start = time.perf_counter()
            store.open("items")
            opening.append(time.perf_counter() - start)
        bench.row("open", "ours", p50_ms=1e3 * np.median(opening), p99_ms=1e3 * np.quantile(opening, 0.99),
                  bar="p99_ms < 5")
