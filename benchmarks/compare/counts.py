"""Windowed co-occurrence counts: 5M tokens, 50k items, window 5; and how time grows with ten times the corpus.

Peak memory is that of a process of its own, beyond what it had with the corpus loaded. GloVe's `cooccur` takes part
where it is on the PATH (or GLOVE_COOCCUR names it); its figures include reading the text.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions

WINDOW = 5


def scipy_counts(seqs: tc.Sequences, n_items: int) -> sparse.csr_array:
    """The best of scipy's ways: a COO matrix of the pairs of all distances, duplicates summed, plus its transpose."""
    tokens = seqs.tokens
    session = np.repeat(np.arange(len(seqs), dtype=np.int32), np.diff(seqs.offsets))
    rows, columns = [], []
    for distance in range(1, WINDOW + 1):
        same = session[distance:] == session[:-distance]
        rows.append(tokens[:-distance][same])
        columns.append(tokens[distance:][same])
    row, column = np.concatenate(rows), np.concatenate(columns)
    half = sparse.csr_array(
        sparse.coo_array((np.ones(len(row), dtype=np.int32), (row, column)), shape=(n_items, n_items))
    )
    return sparse.csr_array(half + half.T)


def peak_mb(seqs: tc.Sequences, workers: int) -> float:
    """Growth of the resident set's peak over the call, in a fresh process (Linux)."""
    code = (
        "import sys, numpy as np, traitcore as tc\n"
        "def peak():\n"
        "    return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1]) / 1024\n"
        "tc.count_cooccurrences(tc.Sequences.from_lists([[0, 1]]))\n"
        "seqs = tc.Sequences(tokens=np.load(sys.argv[1]), offsets=np.load(sys.argv[2]))\n"
        "start = peak(); counts = tc.count_cooccurrences(seqs, workers=int(sys.argv[3])); print(peak() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("tokens.npy", "offsets.npy")]
        np.save(paths[0], seqs.tokens)
        np.save(paths[1], seqs.offsets)
        command = [sys.executable, "-c", code, *paths, str(workers)]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(out.stdout)


def glove_seconds(seqs: tc.Sequences, program: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        counts = seqs.token_counts()
        vocabulary = Path(folder, "vocabulary.txt")
        vocabulary.write_text("".join(f"w{i} {c}\n" for i, c in enumerate(counts) if c), encoding="utf-8")
        text = "\n".join(" ".join(f"w{t}" for t in s) for s in seqs) + "\n"
        start = time.perf_counter()
        subprocess.run(
            [program, "-window-size", str(WINDOW), "-vocab-file", str(vocabulary), "-distance-weighting", "0",
             "-memory", "4.0", "-verbose", "0", "-overflow-file", str(Path(folder, "overflow"))],
            input=text.encode(), stdout=subprocess.DEVNULL, check=True,
        )
        return time.perf_counter() - start


def run(bench: Any) -> None:
    n_tokens, n_items = (200_000, 5_000) if bench.quick else (5_000_000, 50_000)
    seqs = clustered_sessions(n_tokens, n_items).sequences
    tc.count_cooccurrences(clustered_sessions(20_000, 500).sequences)
    rate = {}

    def ours(workers: int) -> sparse.csr_array:
        return tc.count_cooccurrences(seqs, n_items=n_items, workers=workers)

    equal = abs(ours(1) - scipy_counts(seqs, n_items)).sum() == 0
    contenders: dict[str, Any] = {
        "traitcore, 1 thread": lambda: ours(1), "traitcore, 2 threads": lambda: ours(2),
        "scipy COO -> CSR": lambda: scipy_counts(seqs, n_items),
    }
    glove = os.environ.get("GLOVE_COOCCUR") or shutil.which("cooccur")
    if glove:
        contenders["GloVe cooccur"] = lambda: glove_seconds(seqs, glove)
    else:
        print("  (GloVe's cooccur is not installed: its row is missing)")
    rate = bench.race("5M tokens", contenders, ours="traitcore, 1 thread", bar=">= 15 M tokens/s, 3x scipy, 10x GloVe")
    bench.row(
        "5M tokens", "traitcore", m_tokens_per_s=seqs.n_tokens / rate["traitcore, 1 thread"] / 1e6,
        speedup_2=rate["traitcore, 1 thread"] / rate["traitcore, 2 threads"], equal_to_scipy=float(equal),
        bar=">= 15; >= 1.7",
    )
    if Path("/proc/self/status").exists():
        for workers in (1, 2):
            bench.row("5M tokens", f"peak, {workers} thread(s)", peak_mb=peak_mb(seqs, workers), bar="<= 200 MB")
    long = clustered_sessions(10 * n_tokens, n_items, seed=1).sequences
    start = time.perf_counter()
    counts = tc.count_cooccurrences(long, n_items=n_items)
    seconds = time.perf_counter() - start
    work = (long.n_tokens + counts.nnz) / (seqs.n_tokens + ours(1).nnz)
    bench.row(
        "10x the corpus", "traitcore", seconds=seconds, time_ratio=seconds / rate["traitcore, 1 thread"],
        tokens_ratio=10.0, tokens_and_output_ratio=work, bar="time grows no faster than tokens + output",
    )
