"""What the loss costs: epochs of the C++ trainer as it is and with the loss compiled out, in turn, on one thread.

Short epochs and many pairs of them, because what is looked for is smaller than the machine's drift: the ratio of the
shortest times, and the median of the ratios of neighbours.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions

if TYPE_CHECKING:
    from benchmarks.versus import Bench

SOURCE = Path(__file__).with_name("epoch.cpp")


def run(bench: Bench) -> None:
    seqs = clustered_sessions(20_000 if bench.quick else 100_000, 50_000).sequences
    pairs = 3 if bench.quick else 100 * bench.repeat
    with tempfile.TemporaryDirectory() as folder:
        libraries = [built(Path(folder) / f"{name}.so", *flags) for name, flags in
                     (("with", ()), ("without", ("-DTRAITCORE_SGNS_NO_LOSS",)))]
        for size, shared in ((64, True), (64, False), (128, True)):
            seconds = timed(libraries, seqs, size, shared, pairs)
            best, ratios = seconds.min(axis=0), seconds[:, 0] / seconds[:, 1]
            bench.row(
                f"loss, its cost, d={size}", "shared" if shared else "fresh", by_minima=best[0] / best[1] - 1,
                by_median_of_ratios=float(np.median(ratios)) - 1, epoch_ms=1e3 * float(np.median(seconds[:, 0])),
                bar="under .02",
            )


def built(target: Path, *flags: str) -> Any:
    command = ["g++", "-std=c++17", "-O3", "-fvisibility=hidden", "-pthread", "-shared", "-fPIC", *flags,
               f"-I{tc.get_include()}", str(SOURCE), "-o", str(target)]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(target))
    library.epoch.restype = ctypes.c_double
    return library


def timed(libraries: list[Any], seqs: tc.Sequences, size: int, shared: bool, pairs: int) -> np.ndarray:
    """(pairs, 2) seconds of an epoch; which of the two goes first alternates."""
    counts = seqs.token_counts(50_000).astype(np.int64)
    tokens, offsets = np.ascontiguousarray(seqs.tokens, np.int32), np.ascontiguousarray(seqs.offsets, np.int64)
    place = [ctypes.c_void_p(array.ctypes.data) for array in (counts, tokens, offsets)]
    for library in libraries:
        library.start(place[0], ctypes.c_int64(len(counts)), ctypes.c_int64(size), ctypes.c_int(shared))
    seconds = np.empty((pairs + 1, 2))
    for row in range(pairs + 1):
        for which in (0, 1) if row % 2 else (1, 0):
            seconds[row, which] = libraries[which].epoch(place[1], place[2], ctypes.c_int64(len(seqs)))
    return seconds[1:]  # the first touches the memory
