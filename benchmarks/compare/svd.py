"""Truncated SVD (k=128) of the PPMI matrices of the two corpora, and the sparse x dense product beneath it.

Errors are the largest relative error of the 128 singular values, against ARPACK with tol=0. The peers run on one thread
and on two where they can use them: numpy's OpenBLAS is held to the number of threads by its environment variable, so
each figure comes from a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

import traitcore as tc
from benchmarks.processes import in_fresh_process
from benchmarks.suite.synthetic import Corpus, clustered_sessions, hard_sessions
from traitcore.factorization.products import sparse_dense

SYSTEMS = ("traitcore", "PROPACK", "sklearn n_iter=4")


def solve(system: str, path: str, k: int, threads: int) -> tuple[float, list[float]]:
    """Seconds, and singular values falling, of the matrix in a file."""
    matrix = sparse.csr_array(sparse.load_npz(path))
    if system == "traitcore":
        tc.randomized_svd(sparse.csr_array(matrix[:600, :600]), 8, workers=threads)
    start = time.perf_counter()
    if system == "traitcore":
        values = tc.randomized_svd(matrix, k, workers=threads).singular_values
    elif system == "PROPACK":
        values = linalg.svds(matrix, k, solver="propack", random_state=0)[1]
    elif system == "ARPACK tol=0":
        values = np.abs(linalg.eigsh(matrix.astype(np.float64), k, tol=0)[0])
    else:
        from sklearn.utils.extmath import randomized_svd

        values = randomized_svd(sparse.csr_matrix(matrix), k, n_iter=4, random_state=0)[1]
    seconds = time.perf_counter() - start
    return seconds, sorted((float(v) for v in values), reverse=True)


def solve_apart(system: str, path: Path, k: int, threads: int) -> tuple[float, np.ndarray]:
    """`solve` in a process of its own, where BLAS has so many threads."""
    seconds, values = in_fresh_process(
        "benchmarks.compare.svd:solve", system, str(path), k, threads, OPENBLAS_NUM_THREADS=str(threads),
        OMP_NUM_THREADS=str(threads),
    )
    return seconds, np.array(values)


def in_a_row(call: Any) -> float:
    """Seconds of a call, the median of five after one that is not timed.

    Products come in a row, in a search for singular vectors as elsewhere; after a pause the caches hold nothing of the
    matrix, which tells of the machine's neighbours more than of the product.
    """
    call()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def product(bench: Any, matrix: sparse.csr_array) -> None:
    rng = np.random.default_rng(0)
    for columns in (16, 32, 64, 128):
        B = rng.standard_normal((matrix.shape[1], columns)).astype(np.float32)
        out = np.empty((matrix.shape[0], columns), dtype=np.float32)

        ours = partial(sparse_dense, matrix, B, out=out)
        times = bench.race(
            f"product, {columns} columns",
            {
                "traitcore, 1 thread": partial(in_a_row, partial(ours, workers=1)),
                "traitcore, 2 threads": partial(in_a_row, partial(ours, workers=2)),
                "scipy": partial(in_a_row, partial(matrix.__matmul__, B)),
            },
            ours="traitcore, 1 thread", bar="scipy >= 3x; 5x on 2 threads",
        )
        bench.row(
            f"product, {columns} columns", "traitcore",
            gflops_1=2e-9 * matrix.nnz * columns / times["traitcore, 1 thread"],
            times_scipy_1=times["scipy"] / times["traitcore, 1 thread"],
            times_scipy_2=times["scipy"] / times["traitcore, 2 threads"], bar=">= 3; >= 5",
        )


def run(bench: Any) -> None:
    k = 16 if bench.quick else 128
    corpora: dict[str, Callable[..., Corpus]] = {"easy": clustered_sessions, "harder": hard_sessions}
    bars = {"easy": "<= 1/4 of PROPACK on 1 thread, 1/6 on 2", "harder": "<= 1/2 and 1/3"}
    for name, corpus in corpora.items():
        seqs = corpus(100_000, 3_000).sequences if bench.quick else corpus().sequences
        matrix = tc.positive_pmi(tc.count_cooccurrences(seqs), context_smoothing=1.0)
        if name == "easy":
            product(bench, matrix)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "ppmi.npz")
            sparse.save_npz(path, sparse.csr_matrix(matrix), compressed=False)
            _, true = solve_apart("ARPACK tol=0", path, k, 1)
            for threads in (1, 2):
                rounds: dict[str, list[float]] = {system: [] for system in SYSTEMS}
                errors = {}
                for _ in range(bench.repeat):
                    for system in SYSTEMS:
                        seconds, values = solve_apart(system, path, k, threads)
                        rounds[system].append(seconds)
                        errors[system] = float((np.abs(values - true) / true).max())
                peer = float(np.median(rounds["PROPACK"]))
                for system in SYSTEMS:
                    median = float(np.median(rounds[system]))
                    bench.row(
                        f"{name}, {matrix.nnz / 1e6:.1f}M nnz, {threads} thread(s)", system, seconds=median,
                        max_error=errors[system], share_of_propack=median / peer,
                        bar=f"error <= 1e-3, {bars[name]}" if system == "traitcore" else "",
                    )
