"""Publish + verify against the disk's sequential rate for the same bytes (written, synced, read back); opening.

Read back "from the disk" means that the page cache was told to let go of the files between writing and reading, for
both: what verify is for. "From memory" leaves them cached: then sha256 twice over, which one core can't split, is all
there is to wait for.
"""

from __future__ import annotations

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


def raw_disk(folder: Path, data: memoryview, cold: bool) -> float:
    """Seconds to write, sync and read back the bytes: what no store can beat."""
    folder.mkdir(exist_ok=True)
    path = folder / "raw"
    start = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for i in range(0, len(data), CHUNK):
        os.write(fd, data[i : i + CHUNK])
    os.fsync(fd)
    os.close(fd)
    seconds = time.perf_counter() - start
    if cold:
        forget(folder)
    start = time.perf_counter()
    buffer = bytearray(CHUNK)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
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
        data = np.resize(vectors.reshape(-1).view(np.uint8), size).data  # as many bytes as the version has

        def publish_and_verify(cold: bool) -> float:
            start = time.perf_counter()
            version = store.publish(table, "items")
            seconds = time.perf_counter() - start
            if cold:
                forget(store.root / "items" / version)
            start = time.perf_counter()
            store.verify("items", version, workers=-1)  # as `traitcore store verify` does
            seconds += time.perf_counter() - start
            store.prune("items", keep=1)
            return seconds

        for cold in (True, False):
            job = f"publish + verify, {n:,} x 64, read from {'the disk' if cold else 'memory'}"
            median = bench.race(
                job,
                {"ours": lambda c=cold: publish_and_verify(c),  # type: ignore[misc]
                 "raw": lambda c=cold: raw_disk(Path(name) / "raw", data, c)},  # type: ignore[misc]
                ours="ours", bar="raw ratio >= 0.6" if cold else "",
            )  # fmt: skip
            for who, seconds in median.items():
                bench.row(job, who, mb_per_s=size / 1e6 / seconds)
        opening = []
        for _ in range(50):
            start = time.perf_counter()
            store.open("items")
            opening.append(time.perf_counter() - start)
        bench.row("open", "ours", p50_ms=1e3 * np.median(opening), p99_ms=1e3 * np.quantile(opening, 0.99),
                  bar="p99_ms < 5")  # fmt: skip
