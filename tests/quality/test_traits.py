"""evaluate_traits against slow twins and controls, and the choice of the number of traits."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from tests.data.shops import shop
from tests.reference import traits as slow
from traitcore.customers.shift import ShiftWarning
from traitcore.quality.trait_prediction import Periods, recall_at
from traitcore.quality.trait_stability import adjusted_rand, matched_correlation, name_jaccard
from traitcore.quality.traits import CHECKS


@given(seed=st.integers(0, 2**32))
def test_adjusted_rand_counts_pairs(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, 20), rng.integers(0, 3, 20)
    assert adjusted_rand(a, b) == pytest.approx(slow.adjusted_rand(a, b))
    assert adjusted_rand(a, a) == pytest.approx(1)


@given(seed=st.integers(0, 2**32), k=st.integers(1, 12))
def test_recall_equals_the_slow_one(seed, k):
    rng = np.random.default_rng(seed)
    scores = rng.permutation(8 * 11).reshape(8, 11).astype(float)
    past, future = (rng.random((8, 11)) < 0.4).astype(np.float32), (rng.random((8, 11)) < 0.4).astype(np.float32)
    past[:, 0], future[:, 1] = 1, 1
    past[:, 1] = 0
    got, asked = recall_at(lambda rows: scores[rows], sparse.csr_array(past), sparse.csr_array(future), k)
    assert got == pytest.approx(slow.recall_at(scores, past, future, k))
    assert asked == 8


def test_ties_share_their_ranks():
    past, future = sparse.csr_array([[1.0, 0, 0, 0, 0]]), sparse.csr_array([[0, 0, 0, 0, 1.0]])
    assert recall_at(lambda rows: np.zeros((1, 5)), past, future, 2)[0] == pytest.approx(0.5)


def test_the_last_sequence_is_the_future():
    sequences = tc.Sequences.from_lists([[0], [1, 1], [2], [3]], owner=[0, 0, 1, 0])
    periods = Periods.of(sequences, 4)
    np.testing.assert_array_equal(periods.future.toarray(), [[0, 0, 0, 1], [0, 0, 0, 0]])
    assert periods.past.tokens.tolist() == [0, 1, 1, 2]


def test_matching_ignores_order_and_scale():
    rng = np.random.default_rng(0)
    truth = rng.random((50, 4))
    assert matched_correlation(truth, truth[:, [2, 0, 3, 1]] * 5 + 1) == pytest.approx(1)
    assert abs(matched_correlation(truth, rng.random((50, 4)))) < 0.5
    assert name_jaccard([np.array([1, 2])], [np.array([2, 3])], np.array([0])) == pytest.approx(1 / 3)


@pytest.fixture(scope="module")
def world():
    return shop(n_users=400, n_traits=5, sessions=15.0, n_items=120)


def test_planted_traits_pass_every_check(world):
    sequences, vocabulary, truth = world
    category = np.arange(len(vocabulary.item_ids)) % 4
    stages = []
    found = tc.evaluate_traits(
        sequences, vocabulary, model=tc.TraitModel(5, max_iter=60), truth=truth, checks=CHECKS,
        item_category=category, n_splits=2, n_refits=2, progress=lambda stage, done, total: stages.append(stage),
    )
    assert found["recovery"] > 0.85
    assert found["npmi"] > found["npmi_random"] + 0.1
    assert found["npmi_low"] <= found["npmi"] <= found["npmi_high"]
    assert found["npmi_shuffled_tokens"] < found["npmi"] - 0.1
    assert found["bootstrap_cosine"] > 0.8
    assert found["reliability"] > 0.4
    assert found["bootstrap_ari"] > 0.5 > 0.1 > abs(found["bootstrap_ari_chance"])
    assert found["price"] == pytest.approx(found["recall"] / found["recall_pca"])
    assert found["recall"] > 0.1
    assert found["order_change"] < 1e-3
    assert found["diversity"] > 0.8
    assert 0 <= found["category_hit"] <= 1
    assert found["support"] > 10
    assert {"coherence", "stability", "nulls"} <= set(stages)
    assert found.protocol["min_df"] == 5
    assert "npmi_popular" in str(found)
    assert found.as_dict()["protocol"]["method"] == "spectral"


def test_embeddings_never_see_held_out_customers(world):
    sequences, vocabulary, _ = world
    sizes = []

    def embed(corpus):
        sizes.append(corpus.n_owners)
        return tc.svd_vectors(
            tc.positive_pmi(tc.count_cooccurrences(corpus, n_items=len(vocabulary), window=5)), n_components=12
        ).item_vectors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShiftWarning)
        found = tc.evaluate_traits(
            sequences, vocabulary, model=tc.TraitModel(5, method="shift"), embed=embed, n_splits=1, n_refits=2,
            checks=("coherence", "prediction", "invariance"),
        )
    assert sizes[0] <= sequences.n_owners // 2 + 1
    assert found["rotation_change"] > 0.01
    assert found["recall_vectors"] > 0
    with pytest.raises(ValueError, match="'embed'"):
        tc.evaluate_traits(sequences, vocabulary, model=tc.TraitModel(method="shift"))


def test_the_number_of_planted_traits_is_found_within_one(world, tmp_path):
    sequences, vocabulary, _ = world
    choice = tc.choose_n_traits(
        sequences, vocabulary, candidates=(2, 4, 5, 6, 8), n_refits=2,
        model=tc.TraitModel(method="counts", max_iter=60),
    )
    assert abs(choice.n_traits - 5) <= 1
    assert len(choice.stability) == 5
    assert "chosen" in str(choice)
    if importlib.util.find_spec("matplotlib"):
        choice.plot(tmp_path / "choice.png")
        assert (tmp_path / "choice.png").read_bytes().startswith(b"\x89PNG")


def test_large_corpora_are_judged_on_a_sample(world):
    sequences, vocabulary, truth = world
    found = tc.evaluate_traits(
        sequences, vocabulary, model=tc.TraitModel(5, method="counts"), checks=("support",), truth=truth,
        max_customers=150,
    )
    assert found.protocol["customers"] == 150
    assert found["recovery"] > 0.5


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"checks": ("taste",)}, "'checks'"),
        ({"n_splits": 0}, "'n_splits'"),
        ({"n_refits": 1}, "'n_refits'"),
        ({"truth": np.zeros((3, 2))}, "'truth'"),
        ({"item_category": [1]}, "'item_category'"),
        ({"sequences": tc.Sequences.from_lists([[0], [1]])}, "at least 4 customers"),
    ],
)
def test_refusals(world, bad, message):
    with pytest.raises(ValueError, match=message):
        tc.evaluate_traits(**{"sequences": world[0], "vocabulary": world[1], **bad})
    with pytest.raises(ValueError, match="'candidates'"):
        tc.choose_n_traits(world[0], world[1], candidates=(5, 4))
