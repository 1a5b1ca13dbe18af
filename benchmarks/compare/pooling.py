"""Customer vectors: ours against scipy's CSR x dense product over the same events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from traitcore import Sequences, customer_vectors

if TYPE_CHECKING:
    from benchmarks.versus import Bench

N_ITEMS, LENGTH, WIDTH = 50_000, 50, 64


def run(bench: Bench) -> None:
    n_customers = 20_000 if bench.quick else 1_000_000
    rng = np.random.default_rng(0)
    mass = np.cumsum(1.0 / np.arange(1, N_ITEMS + 1))
    tokens = np.searchsorted(mass, rng.random(n_customers * LENGTH) * mass[-1]).astype(np.int32)
    offsets = np.arange(0, len(tokens) + 1, LENGTH, dtype=np.int64)
    sequences = Sequences(tokens, offsets)
    vectors = rng.standard_normal((N_ITEMS, WIDTH)).astype(np.float32)
    ones = np.ones(len(tokens), dtype=np.float32)

    def scipy_product() -> np.ndarray:
        # No duplicates are summed first: that would cost scipy more than it saves.
        pooled = sparse.csr_array((ones, tokens, offsets), shape=(n_customers, N_ITEMS)) @ vectors
        pooled /= np.diff(offsets)[:, None].astype(np.float32)
        return np.asarray(pooled)

    warm = Sequences(tokens[:LENGTH], offsets[:2])
    customer_vectors(warm, vectors)
    error = float(np.abs(customer_vectors(sequences, vectors, workers=2).vectors[:1000] - scipy_product()[:1000]).max())
    bench.race(
        f"pooling {n_customers:,} x {LENGTH}, d={WIDTH}",
        {
            "traitcore, 2 threads": lambda: _drop(customer_vectors(sequences, vectors, workers=2)),
            "traitcore, 1 thread": lambda: _drop(customer_vectors(sequences, vectors)),
            "scipy CSR x dense": lambda: _drop(scipy_product()),
        },
        ours="traitcore, 2 threads",
        bar="scipy at least 5",
    )
    bench.row("pooling, largest difference", "traitcore - scipy", error=error)


def _drop(_: object) -> None:
    """Results are freed inside the timing of the one that made them, not of the next."""
