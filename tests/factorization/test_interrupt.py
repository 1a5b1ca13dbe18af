"""Ctrl-C ends a native pass within a second."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc

N, M, K = 4000, 40, 24


@pytest.fixture(autouse=True, scope="module")
def _everything_is_imported_and_compiled():
    """A signal in the middle of numba's import would leave half of it behind."""
    X = np.random.default_rng(0).random((200, 150))
    for beta_loss in ("frobenius", "kullback-leibler"):
        tc.factorize_nonnegative(X, 2, beta_loss=beta_loss, max_iter=1)
    tc.factorize_semi_nonnegative(X, 2, max_iter=1)
    tc.NMF(2).partial_fit(X)


def data():
    rng = np.random.default_rng(0)
    return rng.random((N, M)), rng.random((K, M))


def fold(X, H, workers):
    tc.solve_weights(np.tile(X, (15, 1)), H, tol=0, max_iter=100_000, workers=workers)


def fold_one_row(X, H, workers):
    tc.WeightSolver(H, tol=0, max_iter=2**30)(X[0])


def fold_counts(X, H, workers):
    tc.solve_weights(X, H, beta_loss="kullback-leibler", tol=0, max_iter=10**7, workers=workers)


def fold_observed(X, H, workers):
    tc.solve_weights(sparse.csr_array(X), H, observed="stored", tol=0, max_iter=10**7, workers=workers)


def fit(X, H, workers):
    tc.factorize_nonnegative(X, K, tol=0, max_iter=10**7, workers=workers)


def fit_counts(X, H, workers):
    tc.factorize_nonnegative(X, K, beta_loss="kullback-leibler", tol=0, max_iter=10**7, workers=workers)


def fit_semi(X, H, workers):
    tc.factorize_semi_nonnegative(X - 0.5, K, tol=0, max_iter=10**7, workers=workers)


def batch(X, H, workers):
    tc.NMF(K, init="custom", tol=0, max_iter=10**6, workers=workers).partial_fit(np.tile(X, (15, 1)), H=H)


def for_ever(call, *arguments):
    """Some of the calls converge to the last bit before the signal comes."""
    while True:
        call(*arguments)


CALLS = [fold, fold_one_row, fold_counts, fold_observed, fit, fit_counts, fit_semi, batch]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_the_call(call, workers):
    X, H = data()
    sent = []

    def send():
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(0.15, send)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            for_ever(call, X, H, workers)
    finally:
        timer.cancel()  # a late signal would end the test run
        timer.join()
    # Every one of these would run for minutes; a busy machine is given room.
    assert time.monotonic() - sent[0] < 5


def test_a_batch_that_was_interrupted_leaves_the_model_as_it_was():
    X, H = data()
    model = tc.NMF(K, init="custom", tol=0, max_iter=3).partial_fit(X, H=H)
    before = model.components_
    model.max_iter = 10**7
    timer = threading.Timer(0.15, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(np.tile(X, (15, 1)))
    finally:
        timer.cancel()
    assert model.components_.tobytes() == before.tobytes()
    assert model.n_iter_ == 1
    model.max_iter = 3
    peer = tc.NMF(K, init="custom", tol=0, max_iter=3).partial_fit(X, H=H).partial_fit(X)
    np.testing.assert_array_equal(model.partial_fit(X).components_, peer.components_)
