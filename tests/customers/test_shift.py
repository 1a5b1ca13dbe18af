"""The "shift" recipe: what it costs, and the warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import traitcore as tc
from tests.data.shops import small_shop, vectors_for
from traitcore.customers.components import match_rows
from traitcore.customers.shift import ShiftWarning


@pytest.fixture(scope="module")
def small():
    return small_shop()


def test_shift_changes_under_a_rotation(small):
    sequences, vocabulary, _ = small
    vectors = vectors_for(vocabulary)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    turned = np.ascontiguousarray(vectors @ turn, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShiftWarning)
        a, b = (
            tc.TraitModel(4, method="shift", max_iter=300, tol=1e-6).fit(sequences, vocabulary, item_vectors=v)
            for v in (vectors, turned)
        )
    assert match_rows(a.raw_profiles_.T, b.raw_profiles_.T)[1].mean() < 0.98


def test_shift_warns_and_names_its_cost(small):
    sequences, vocabulary, _ = small
    with pytest.warns(ShiftWarning, match="hardly better than chance"):
        tc.TraitModel(4, method="shift").fit(sequences, vocabulary, item_vectors=vectors_for(vocabulary))
