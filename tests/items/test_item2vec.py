"""Item2Vec, the estimator: it is train_sgns with parameters kept."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions
from traitcore.items.item2vec import Item2Vec

SEQS = clustered_sessions(20_000, 200, 5).sequences


def test_fit_is_train_sgns() -> None:
    model = Item2Vec(vector_size=24, epochs=2, window=3, seed=4).fit(SEQS)
    result = tc.train_sgns(SEQS, tc.SgnsOptions(vector_size=24, epochs=2, window=3, seed=4))
    np.testing.assert_array_equal(model.item_vectors_, result.item_vectors)
    np.testing.assert_array_equal(model.context_vectors_, result.context_vectors)
    assert model.n_items_ == 200
    assert model.loss_ == result.loss
    assert model.report_.finished


def test_parameters_are_kept_and_checked_by_fit() -> None:
    model = Item2Vec(window=0)
    assert model.get_params()["window"] == 0
    with pytest.raises(ValueError, match="The 'window' parameter of Item2Vec must be an int in"):
        model.fit(SEQS)
    assert repr(Item2Vec(epochs=9)) == "Item2Vec(epochs=9)"
    assert Item2Vec().set_params(window=None).fit(SEQS).n_items_ == 200
    assert not hasattr(Item2Vec(), "item_vectors_")


def test_presets_are_parameters() -> None:
    model = Item2Vec.preset("sessions", vector_size=32, seed=7)
    assert (model.vector_size, model.seed) == (32, 7)
    assert model.get_params() != Item2Vec(vector_size=32, seed=7).get_params()
    assert model.set_params(epochs=1).fit(SEQS).n_items_ == 200
    with pytest.raises(ValueError, match="'sessions'"):
        Item2Vec.preset("nonesuch")


def test_plan() -> None:
    plan = Item2Vec(vector_size=16, epochs=2).plan(SEQS)
    assert plan.matrix_bytes == 2 * 200 * 16 * 4


def test_ctrl_c_keeps_what_was_learned() -> None:
    model = Item2Vec(epochs=1_000_000)
    timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(SEQS)
    timer.join()
    assert not model.report_.finished
    assert model.context_vectors_.any()
