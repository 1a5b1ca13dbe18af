"""Many threads of one process call at once, on the same objects: the answers are those of one call after another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import traitcore as tc

RNG = np.random.default_rng(0)
SEQUENCES = tc.Sequences.from_lists([RNG.integers(0, 60, RNG.integers(2, 12)).tolist() for _ in range(400)])
COUNTS = tc.count_cooccurrences(SEQUENCES, n_items=60)
TABLE = tc.EmbeddingTable([f"i{i}" for i in range(60)], RNG.normal(size=(60, 16)))
OPTIONS = tc.SgnsOptions(vector_size=16, epochs=1, seed=3)
SOLVER = tc.WeightSolver(RNG.random((4, 16)).astype(np.float32))
LIVE = tc.LiveCustomers(TABLE)

CALLS: dict[str, Callable[[], Any]] = {
    "train_sgns": lambda: tc.train_sgns(SEQUENCES, OPTIONS, n_items=60).item_vectors,
    "count_cooccurrences": lambda: tc.count_cooccurrences(SEQUENCES, n_items=60, workers=2).toarray(),
    "positive_pmi": lambda: tc.positive_pmi(COUNTS).toarray(),
    "randomized_svd": lambda: list(tc.randomized_svd(COUNTS.astype(np.float32), n_components=4))[1],
    "random_walks": lambda: tc.random_walks(COUNTS, n_walks=2, walk_length=8).tokens,
    "factorize_nonnegative": lambda: next(iter(tc.factorize_nonnegative(COUNTS.astype(float), n_components=3))),
    "WeightSolver": lambda: SOLVER(TABLE.vectors),
    "top_k": lambda: tc.top_k(TABLE.vectors, TABLE.vectors, 5, workers=2)[0],
    "most_similar": lambda: np.array([score for _, score in TABLE.most_similar("i3", 7)]),
    "customer_vectors": lambda: tc.customer_vectors(SEQUENCES, TABLE.vectors).vectors,
    "LiveCustomers": lambda: LIVE.update_batch(["ann"] * 5, ["i1", "i2", "i3", "i2", "i1"]) or LIVE.vector("ann"),
}


def test_threads_at_once() -> None:
    expected = {name: call() for name, call in CALLS.items()}
    with ThreadPoolExecutor(8) as pool:
        futures = [(name, pool.submit(call)) for _ in range(4) for name, call in CALLS.items()]
        for name, future in futures:
            np.testing.assert_allclose(future.result(timeout=60), expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import traitcore._core  # the main one has it
code = '''
try:
    import traitcore._core
except ImportError as error:
    print("refused:", error)
'''
interpreters.run_string(interpreters.create(), code)
"""


def test_a_subinterpreter_is_refused() -> None:
    done = subprocess.run([sys.executable, "-c", SUBINTERPRETER], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "refused:" in done.stdout, done.stdout + done.stderr
    assert "interpreter" in done.stdout


@pytest.mark.skipif(not hasattr(sys, "_is_gil_enabled"), reason="Python 3.13 or later tells whether the lock is on")
def test_the_lock_is_on() -> None:
    """docs/threads.md: the module doesn't declare that it works without it."""
    assert sys._is_gil_enabled()
