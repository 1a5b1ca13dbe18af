"""Traits in words: lift against its slow twin, names, actions, categories, exemplars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc
from tests.reference import traits as slow
from traitcore.customers.counts import count_tokens
from traitcore.customers.describe import token_lift
from traitcore.customers.tuning import LIFT_POWER


def corpus(seed, n_owners=25, n_tokens=12):
    rng = np.random.default_rng(seed)
    return tc.Sequences.from_lists(
        [rng.integers(0, n_tokens, rng.integers(0, 9)) for _ in range(n_owners)], owner_ids=np.arange(n_owners)
    )


@given(seed=st.integers(0, 2**32), smoothing=st.sampled_from([0.0, 1.0, 20.0]))
def test_lift_equals_the_slow_one(seed, smoothing):
    counts = count_tokens(corpus(seed), n_tokens=12)
    weights = np.random.default_rng(seed).random((25, 3)) * (np.random.default_rng(seed + 1).random((25, 3)) < 0.7)
    lift = token_lift(weights, counts, smoothing=smoothing, min_df=2)
    dense = counts.toarray()
    for trait in range(3):
        for token in range(12):
            want = slow.lift(weights, dense, trait, token, smoothing, LIFT_POWER)
            assert lift.lift[trait, token] == pytest.approx(want, rel=1e-9)
    assert (lift.low <= lift.lift + 1e-12).all()
    np.testing.assert_array_equal(lift.eligible, (dense > 0).sum(axis=0) >= 2)
    for rows in lift.top(4):
        assert lift.eligible[rows].all()


@pytest.fixture
def shop():
    """Two kinds of customers: ten who view and buy lamps, ten who view (and never buy) chairs."""
    actions = ("view", "buy")
    texts = np.array(["red desk lamp", "blue desk lamp", "desk lamp shade", "oak chair", "pine chair", "old chair"],
                     dtype=object)
    item = np.repeat(np.arange(6), 2).astype(np.int32)
    action = np.tile([0, 1], 6).astype(np.int32)
    lists = [[0, 1, 2, 3, 4, 5]] * 10 + [[6, 8, 10, 6]] * 10
    sequences = tc.Sequences.from_lists(lists)
    ones = np.ones(12, np.int64)
    vocabulary = tc.Vocabulary(np.arange(6), actions, item, action, ones, ones, 20, texts)
    profiles = np.zeros((20, 2), np.float32)
    profiles[:10, 0], profiles[10:, 1] = 2.0, 3.0
    return profiles, sequences, vocabulary


def test_names_use_words_categories_and_actions(shop):
    profiles, sequences, vocabulary = shop
    lamps, chairs = tc.describe_traits(profiles, sequences, vocabulary)
    assert lamps.name == "desk lamp: buys readily"
    assert chairs.name == "chair: browses, seldom buys"
    assert lamps.customers == 10
    assert lamps.prevalence == pytest.approx(0.5)
    assert {t.row for t in lamps.tokens} == {0, 1, 2, 3, 4, 5}
    assert all(t.lift > t.low >= 0 and t.customers == 10 for t in lamps.tokens)
    assert lamps.tokens[0].text == "red desk lamp"
    assert lamps.action_shares == pytest.approx({"view": 0.5, "buy": 0.5})
    assert chairs.action_shares == pytest.approx({"view": 1.0, "buy": 0.0})
    assert chairs.exemplars == (10, 11, 12, 13, 14)
    assert lamps.activity > 0.9  # lamp customers have six events, the others four: it says how much as well as what
    named = tc.describe_traits(profiles, sequences, vocabulary, item_category=["light"] * 3 + ["seat"] * 3)
    assert [t.name.split(":")[0] for t in named] == ["light", "seat"]
    assert named[0].categories[0] == ("light", pytest.approx(2.0))


def test_rare_tokens_and_small_traits_do_not_name(shop):
    profiles, sequences, vocabulary = shop
    assert all(not t.tokens for t in tc.describe_traits(profiles, sequences, vocabulary, min_df=11))
    nobody = tc.describe_traits(np.zeros((20, 1), np.float32), sequences, vocabulary)[0]
    assert nobody.customers == 0
    assert nobody.exemplars == ()
    assert nobody.name == "trait 0"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"profiles": np.zeros((3, 2))}, "'profiles'"),
        ({"profiles": -np.ones((20, 2))}, "non-negative"),
        ({"k": 0}, "'k'"),
        ({"threshold": 2.0}, "'threshold'"),
        ({"item_category": ["one"]}, "'item_category'"),
    ],
)
def test_refusals(shop, bad, message):
    profiles, sequences, vocabulary = shop
    with pytest.raises(ValueError, match=message):
        tc.describe_traits(**{"profiles": profiles, "sequences": sequences, "vocabulary": vocabulary, **bad})
