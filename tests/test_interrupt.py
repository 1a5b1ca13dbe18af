"""Ctrl-C ends work of every kind within a moment, with one worker and with two: a signal to a process at work."""

from __future__ import annotations

import pytest

from tests.data.interrupts import interrupted

_START = """
import numpy as np
from scipy import sparse
import traitcore as tc
rng = np.random.default_rng(0)
workers = WORKERS
"""
# What is made before, the call, and two sizes: one to warm up with, and one that lasts for minutes.
_JOBS = {
    # Two hubs that share their leaves: nearly every step there reads all edges of a hub.
    "walks at a hub": (
        "n = 20_000; a = np.repeat([0, 1], n); b = np.tile(np.arange(2, n + 2), 2)\n"
        "g = sparse.csr_array((np.ones(4 * n), (np.r_[a, b], np.r_[b, a])), shape=(n + 2, n + 2))\n"
        "g = tc.graph_from_matrix(g)",
        "tc.random_walks(g, starts=np.arange(2, 2 + 100 * SIZE), walk_length=200, p=1e9, q=1e9, workers=workers)",
        "1", "200",
    ),
    "walks": (
        "n = 100; g = sparse.csr_array((np.ones(n), (np.arange(n) + 1) % n, np.arange(n + 1)), shape=(n, n))",
        "tc.WalkCorpus(g, n_walks=SIZE, walk_length=10_000, workers=workers).count()", "1", "200_000",
    ),
    "next items": (
        "s = tc.Sequences(rng.integers(0, 2000, 100_000).astype(np.int32), np.arange(0, 100_001, 100))\n"
        "m = tc.NextItemCounts(decay=1.0, workers=workers).fit(s)\n"
        "long = tc.Sequences(np.tile(s.tokens, 40), np.arange(0, 4_000_001, 100))",
        "[m.recommend(long.take(np.arange(SIZE)), k=1000) for _ in range(SIZE)]", "1", "40_000",
    ),
    # One call, which on its own lasts for a minute; from Python calls are short where queries are many.
    "few queries": (
        "from traitcore import _core\n"
        "v = rng.random((400_000, 64), dtype=np.float32); ones, none = np.ones(len(v), np.float32), 0 * v[:, 0]\n"
        "found = np.empty((len(v), 1), np.int64), np.empty((len(v), 1), np.float32)",
        "_core.search_top_k(v, 0, SIZE, v, 0, len(v), ones, none, None, None, *found, workers, False)",
        "1", "100_000",
    ),
    # Each range of rows takes as long as one of millions of entries; in one range the work would be done at once.
    "a matrix in no order": (
        "from traitcore import _csr; _csr.PART = 4\n"
        "real, heavy = sparse.csr_array.sort_indices, rng.random(4_000_000)\n"
        "def slow(matrix): np.sort(heavy); real(matrix)\n"
        "sparse.csr_array.sort_indices = slow\n"
        "def unsorted(n): return sparse.csr_array((np.ones(n), np.arange(n)[::-1].copy(), np.arange(0, n + 1, 2)))",
        "tc.positive_pmi(unsorted(SIZE), workers=workers)", "4", "200_000",
    ),
    "owners of tokens": (
        "from traitcore.events import occurrences; occurrences._SLICE = 1\n"
        "real, heavy = occurrences._core.count_tokens, rng.random(4_000_000)\n"
        "def slow(*args): np.sort(heavy); real(*args)\n"
        "occurrences._core = type('k', (), {'count_tokens': staticmethod(slow)})\n"
        "def seqs(n): return tc.Sequences(np.zeros(n, np.int32), np.arange(n + 1), owner=np.arange(n)[::-1].copy())",
        "tc.customer_vectors(seqs(SIZE), np.ones((1, 2)), method='tfidf', workers=workers)", "2", "100_000",
    ),
    "one customer": (
        "seqs = tc.Sequences(np.zeros(20_000_000, np.int32), [0, 20_000_000])\n"
        "few = tc.Sequences(np.zeros(2, np.int32), [0, 2])\n"
        "v = np.zeros((1, 30_000), np.float32)",
        "tc.customer_vectors(SIZE, v, workers=workers)", "few", "seqs",
    ),
    "attention to one customer": (
        "s = tc.Sequences.from_lists([[0, 1], [1, 0]] * 9, owner=np.repeat(np.arange(9), 2))\n"
        "v = np.zeros((2, 8_000), np.float32)\n"
        "m = tc.AttentionPooling(epochs=0).fit(s, v, v)\n"
        "seqs = tc.Sequences(np.zeros(20_000_000, np.int32), [0, 10_000_000, 20_000_000])",
        "m.event_weights(SIZE, v, workers=workers)", "s", "seqs",
    ),
}


_SERIAL = ("a matrix in no order", "owners of tokens")


@pytest.mark.parametrize(("job", "workers"), [(j, w) for j in _JOBS for w in ([1] if j in _SERIAL else [1, 2])])
def test_an_interrupt_ends_the_work(job: str, workers: int) -> None:
    before, call, small, large = _JOBS[job]
    start = _START.replace("WORKERS", str(workers)) + before
    assert "KeyboardInterrupt" in interrupted(start, call.replace("SIZE", small), call.replace("SIZE", large))
