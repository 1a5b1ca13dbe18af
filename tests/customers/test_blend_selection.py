"""The choice of the joint recipe's blend."""

from __future__ import annotations

import numpy as np
import pytest

import traitcore as tc
from tests.data.shops import shop, small_shop
from traitcore.customers import blend_selection, tuning
from traitcore.customers.blend_selection import BLENDS, choose_blend, clearly_best
from traitcore.customers.counts import count_tokens
from traitcore.customers.customer_subsets import take_owners
from traitcore.customers.recipes import TraitFitOptions
from traitcore.customers.tuning import HIGH_PPMI_WEIGHT
from traitcore.customers.views import density_weight
from traitcore.quality.trait_stability import matched_correlation


@pytest.fixture(scope="module")
def small():
    return small_shop()


def test_only_clear_evidence_moves_a_choice():
    base = np.array([0.30, 0.31, 0.29])
    gains = {"clear": [0.05, 0.06, 0.05], "chance": [0.20, -0.10, 0.05], "too little": 0.001, "none": 0.0}
    columns = {name: base + np.array(gain) for name, gain in gains.items()}
    assert clearly_best(np.stack([base, *columns.values()], axis=1)) == 1
    for name in ("chance", "too little", "none"):
        assert clearly_best(np.stack([base, columns[name]], axis=1)) == 0, name
    assert clearly_best(np.stack([base, columns["clear"], columns["clear"] + 0.1], axis=1)) == 2
    assert clearly_best(np.zeros((3, 2))) == 0


def test_the_default_blend_stays_without_evidence_against_it(small):
    sequences, vocabulary, _ = small
    token_item = vocabulary.token_item
    suggested = density_weight(count_tokens(sequences, n_tokens=len(vocabulary)))
    few = choose_blend(take_owners(sequences, np.arange(3)), token_item, TraitFitOptions(4))
    assert (few.windows_weight, few.loading_power) == (BLENDS[0].windows_weight, BLENDS[0].loading_power)
    found = choose_blend(sequences, token_item, TraitFitOptions(4))
    assert found.ppmi_weight in (suggested, HIGH_PPMI_WEIGHT)
    fixed = TraitFitOptions(4, windows_weight=2.0, ppmi_weight=0.7, loading_power=0.9)
    kept = choose_blend(sequences, token_item, fixed)
    assert (kept.windows_weight, kept.ppmi_weight, kept.loading_power) == (2.0, 0.7, 0.9)
    assert choose_blend(sequences, token_item, TraitFitOptions(4, loading_power=0.9)).loading_power == 0.9


def test_the_choice_uses_the_most_common_tokens(small, monkeypatch):
    sequences, vocabulary, _ = small
    counts = sequences.token_counts(len(vocabulary))
    monkeypatch.setattr(tuning, "MAX_CHOICE_TOKENS", 25)
    common = blend_selection._with_common_tokens(sequences, len(vocabulary))
    left = np.flatnonzero(common.token_counts(len(vocabulary)))
    assert len(left) == 25
    assert counts[left].min() >= np.sort(counts)[-25]
    assert common.n_tokens == counts[left].sum()
    found = choose_blend(sequences, vocabulary.token_item, TraitFitOptions(4))
    whole = density_weight(count_tokens(sequences, n_tokens=len(vocabulary)))
    assert found.ppmi_weight in (whole, HIGH_PPMI_WEIGHT)  # the density stays that of all tokens


def test_very_short_histories_get_the_high_ppmi_weight():
    sequences, vocabulary, truth = shop(n_users=1500, n_traits=5, sessions=1.0, n_items=200)
    model = tc.TraitModel(5).fit(sequences, vocabulary)
    light = density_weight(count_tokens(sequences, n_tokens=len(vocabulary)))
    plain_fit = tc.TraitModel(5, ppmi_weight=light).fit(sequences, vocabulary)
    known = truth.sum(axis=1) > 0
    found, without = (matched_correlation(truth[known], m.profiles_[known]) for m in (model, plain_fit))
    assert model.chosen_["ppmi_weight"] == HIGH_PPMI_WEIGHT
    assert found > without + 0.1
