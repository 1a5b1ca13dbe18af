"""The joint recipe."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.shops import fitted, small_shop
from traitcore.customers.joint import pick_more_reliable
from traitcore.customers.recipes import TraitFitOptions


@pytest.fixture(scope="module")
def small():
    return small_shop()


def test_the_more_reliable_loadings_are_kept(small):
    sequences, vocabulary, _ = small
    model = fitted("joint", small)
    good, idf = model.components_, model.to_arrays()["recipe_idf"]
    bad = np.random.default_rng(0).permuted(good, axis=1)  # the same loadings on any tokens
    pairs = {0: [good, bad], 1: [bad, good]}
    for best, pair in pairs.items():
        assert pick_more_reliable(pair, sequences, vocabulary.token_item, idf, TraitFitOptions(4)) == best
    assert pick_more_reliable([good, good], sequences, vocabulary.token_item, idf, TraitFitOptions(4)) == 0
