"""A stored zero of a sparse matrix says no more than one that isn't stored, except where stored entries are the known
ones (`observed="stored"`)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc


def with_and_without(dtype: type) -> tuple[sparse.csr_array, sparse.csr_array]:
    rng = np.random.default_rng(0)
    values = np.where(rng.random((300, 60)) < 0.1, rng.random((300, 60)), 0.0).astype(dtype)
    rows, columns = np.nonzero((values != 0) | (rng.random(values.shape) < 0.3))
    padded = sparse.csr_array((values[rows, columns], (rows, columns)), shape=values.shape)
    plain = sparse.csr_array(values)
    assert padded.nnz > 2 * plain.nnz
    return plain, padded


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("init", ["random", "nndsvda"])
@pytest.mark.parametrize("beta_loss", ["frobenius", "kullback-leibler"])
def test_a_factorization_is_the_same_to_the_byte(dtype: type, init: str, beta_loss: str) -> None:
    plain, padded = with_and_without(dtype)
    settings = {"init": init, "beta_loss": beta_loss, "max_iter": 60}
    a, b = (tc.factorize_nonnegative(X, 4, **settings) for X in (plain, padded))
    assert a.n_iter == b.n_iter
    assert (a.W.tobytes(), a.H.tobytes()) == (b.W.tobytes(), b.H.tobytes())
    u, v = (tc.solve_weights(X, a.H, beta_loss=beta_loss) for X in (plain, padded))
    assert u.tobytes() == v.tobytes()
    assert padded.nnz > 2 * plain.nnz  # the caller's matrix is as it was


def test_batches_and_signed_matrices_are_the_same_to_the_byte() -> None:
    plain, padded = with_and_without(np.float32)
    first, second = (tc.NMF(4).partial_fit(X).partial_fit(X).components_ for X in (plain, padded))
    assert first.tobytes() == second.tobytes()
    first, second = (tc.factorize_semi_nonnegative(X, 4, max_iter=30).W for X in (plain, padded))
    assert first.tobytes() == second.tobytes()


def test_a_stored_zero_is_known_where_stored_entries_are() -> None:
    plain, padded = with_and_without(np.float64)
    unknown, known = (tc.factorize_nonnegative(X, 4, observed="stored", max_iter=60) for X in (plain, padded))
    stored_zero = np.flatnonzero(padded.data == 0)
    rows, columns = np.repeat(np.arange(300), np.diff(padded.indptr))[stored_zero], padded.indices[stored_zero]
    at_zeros = [float(np.abs((f.W @ f.H)[rows, columns]).mean()) for f in (unknown, known)]
    assert at_zeros[1] < 0.5 * at_zeros[0]
