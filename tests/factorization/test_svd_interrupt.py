"""Ctrl-C ends a decomposition within a moment: a signal sent to a process that is at work."""

from __future__ import annotations

import pytest

from tests.data.interrupts import interrupted

_START = """
import numpy as np, traitcore as tc
from scipy import sparse
rng = np.random.default_rng(0)
# No gaps, a tolerance that is never reached: minutes of work.
large = sparse.csr_array(sparse.random_array((60_000, 50_000), density=4e-4, rng=rng, dtype=np.float32))
small = large[:500, :400]
pairs = tc.Sequences(rng.integers(0, 50_000, 1_000_000).astype(np.int32), np.arange(0, 1_000_001, 4))
few = tc.Sequences(np.arange(40, dtype=np.int32) % 7, np.arange(0, 41, 4))
"""
_JOBS = {
    "sparse": "tc.randomized_svd({0}, 300, tol=1e-7)",
    "sparse, 2 workers": "tc.randomized_svd({0}, 300, tol=1e-7, workers=2)",
    "dense": "tc.randomized_svd({0}[:6000, :6000].toarray(), 300, tol=1e-7)",
    "vectors": "tc.svd_vectors({0}, 300, tol=1e-7)",
    "TruncatedSVD": "tc.TruncatedSVD(300, tol=1e-7).fit({0})",
    "PPMIEmbedder": "tc.PPMIEmbedder(vector_size=300, tol=1e-7).fit({1})",
}


@pytest.mark.parametrize("job", _JOBS)
def test_an_interrupt_ends_the_decomposition(job: str) -> None:
    code = _JOBS[job]
    error = interrupted(_START, code.format("small", "few"), code.format("large", "pairs"))
    assert "KeyboardInterrupt" in error
