"""Starts, merging and consensus of components."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tests.reference import traits as slow
from traitcore.customers import components, tuning
from traitcore.customers.components import consensus_components, converged_start, match_rows
from traitcore.customers.recipes import TraitFitOptions


@pytest.mark.parametrize("shape", [(30, 20), (9, 40)])
def test_the_start_is_nndsvda_of_the_exact_svd(shape):
    rng = np.random.default_rng(5)
    X = rng.random((shape[0], 6)) @ rng.random((6, shape[1])) + 0.05 * rng.random(shape)
    X[np.quantile(X, 0.4) > X] = 0
    got = converged_start(sparse.csr_array(X.astype(np.float32)), TraitFitOptions(4))
    for found, exact in zip(got, slow.nndsvda_start(X, 4)):
        assert np.linalg.norm(found - exact) < 1e-4 * np.linalg.norm(exact)


def test_the_search_for_a_start_ends_on_noise(monkeypatch):
    rng = np.random.default_rng(0)
    noise = sparse.csr_array(sparse.random_array((3000, 1500), density=0.01, rng=rng, dtype=np.float32))
    products = []
    found = components.randomized_svd

    def spied(*args, **kwargs):
        return found(*args, **kwargs, progress=lambda *_: products.append(1))

    monkeypatch.setattr(components, "randomized_svd", spied)
    W, H = converged_start(noise, TraitFitOptions(4))
    most = (tuning.START_COLUMNS + 4 * tuning.START_COLUMNS_PER_COMPONENT) // 16
    assert 0 < len(products) <= most
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert W.any(axis=0).all()


def test_consensus_finds_the_components_behind_noisy_runs():
    rng = np.random.default_rng(0)
    truth = np.abs(rng.standard_normal((5, 40))).astype(np.float32)
    runs = [(truth + 0.3 * np.abs(rng.standard_normal(truth.shape)))[rng.permutation(5)] for _ in range(12)]
    found, agreement = consensus_components(runs)
    assert match_rows(truth, found)[1].mean() > np.mean([match_rows(truth, run)[1].mean() for run in runs])
    assert agreement.shape == (5,)
    assert agreement.max() <= 1 + 1e-9
