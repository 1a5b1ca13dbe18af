"""Publish + verify against the disk's sequential rate for the same bytes (written, synced, read back); opening."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.versus import Bench
from traitcore import EmbeddingTable, TableStore

CHUNK = 8 << 20


def raw_disk(folder: Path, data: memoryview) -> float:
    """Seconds to write, sync and read back the bytes: what no store can beat."""
    path = folder / "raw"
    start = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for i in range(0, len(data), CHUNK):
        os.write(fd, data[i : i + CHUNK])
    os.fsync(fd)
    os.close(fd)
    buffer = bytearray(CHUNK)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    seconds = time.perf_counter() - start
    path.unlink()
    return seconds


def run(bench: Bench) -> None:
    n = 20_000 if bench.quick else 1_000_000
    vectors = np.random.default_rng(0).normal(size=(n, 64)).astype(np.float32)
    table = EmbeddingTable([f"prod_{i:07d}" for i in range(n)], vectors)
    size = vectors.nbytes / 1e6
    with tempfile.TemporaryDirectory(dir=os.environ.get("TRAITCORE_BENCH_DIR")) as name:
        store = TableStore(Path(name) / "tables")

        def publish_and_verify() -> float:
            start = time.perf_counter()
            version = store.publish(table, "items")
            store.verify("items", version)
            seconds = time.perf_counter() - start
            store.prune("items", keep=1)
            return seconds

        raw = vectors.reshape(-1).view(np.uint8).data
        median = bench.race(
            f"publish + verify, {n:,} x 64",
            {"ours": publish_and_verify, "raw disk": lambda: raw_disk(Path(name), raw)},
            ours="ours", bar="raw ratio >= 0.6",
        )  # fmt: skip
        for who, seconds in median.items():
            bench.row(f"publish + verify, {n:,} x 64", who, mb_per_s=size / seconds)
        opening = []
        for _ in range(50):
            start = time.perf_counter()
            store.open("items")
            opening.append(time.perf_counter() - start)
        bench.row("open", "ours", p50_ms=1e3 * np.median(opening), p99_ms=1e3 * np.quantile(opening, 0.99),
                  bar="p99_ms < 5")  # fmt: skip
