"""TraitModel: every method, determinism, equivariance, persistence, planted truth, and the edges."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import traitcore as tc
from tests.data.shops import fitted, shop, small_shop, vectors_for
from tests.reference import traits as slow
from traitcore.customers.components import match_rows
from traitcore.customers.counts_recipe import CountsRecipe
from traitcore.customers.customer_subsets import take_owners
from traitcore.customers.shift import ShiftWarning
from traitcore.customers.traits import RECIPES
from traitcore.quality.trait_stability import matched_correlation, matched_cosine


@pytest.fixture(scope="module")
def small():
    return small_shop()


def test_planted_traits_are_recovered_by_the_default():
    sequences, vocabulary, truth = shop()
    model = tc.TraitModel(5).fit(sequences, vocabulary)
    known = truth.sum(axis=1) > 0
    assert matched_correlation(truth[known], model.profiles_[known]) > 0.9
    again = [tc.TraitModel(5, random_state=s).fit(sequences, vocabulary) for s in (1, 2)]
    cosine = match_rows(again[0].raw_profiles_.T, again[1].raw_profiles_.T)[1]
    assert cosine.mean() > 0.99


@pytest.mark.parametrize("method", RECIPES)
def test_every_method_is_deterministic_and_transforms_as_it_fitted(method, small):
    first, second = fitted(method, small), fitted(method, small, workers=3)
    np.testing.assert_allclose(first.raw_profiles_, second.raw_profiles_, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(first.transform_raw(small[0]), first.raw_profiles_, rtol=1e-3, atol=1e-5)
    assert first.components_.shape == (4, len(small[1]))
    assert (first.raw_profiles_ >= 0).all()
    sums = first.profiles_.sum(axis=1)
    np.testing.assert_allclose(sums[sums > 0], 1, atol=1e-5)
    assert first.token_rates_.min() >= 0


@pytest.mark.parametrize("method", RECIPES)
def test_permuting_customers_permutes_the_weights(method, small):
    sequences, vocabulary, _ = small
    order = np.random.default_rng(0).permutation(sequences.n_owners)
    moved = fitted(method, (take_owners(sequences, order), vocabulary, None))
    first = fitted(method, small)
    cosine = match_rows(first.raw_profiles_[order].T, moved.raw_profiles_.T)[1]
    assert cosine.mean() > 0.999


@pytest.mark.parametrize("method", RECIPES)
def test_duplicated_customers_get_the_same_profile(method, small):
    sequences = small[0]
    model = fitted(method, small)
    twice = take_owners(sequences, np.arange(20))
    doubled = tc.Sequences.from_lists([*twice, *twice], owner=np.concatenate([twice.owners(), twice.owners() + 20]))
    profiles = model.transform(doubled)
    np.testing.assert_array_equal(profiles[:20], profiles[20:])
    np.testing.assert_allclose(profiles[:20], model.profiles_[:20], atol=1e-3)


@pytest.mark.parametrize("method", RECIPES)
def test_a_model_travels_as_arrays_and_json(method, small):
    model = fitted(method, small)
    params = json.loads(json.dumps(model.get_params()))
    arrays = model.to_arrays()
    assert all(a.dtype.kind != "O" for a in arrays.values())
    back = tc.TraitModel.from_arrays(arrays, params)
    np.testing.assert_array_equal(back.transform_raw(small[0]), model.transform_raw(small[0]))
    np.testing.assert_array_equal(back.token_rates_, model.token_rates_)
    with pytest.raises(ValueError, match="format"):
        tc.TraitModel.from_arrays(arrays | {"format": np.array([99])}, params)


class HalfCounts(CountsRecipe):
    """A recipe of one's own, with vectors."""

    name = "half counts"
    needs_vectors = True

    def fit(self, sequences, token_item, item_vectors, options):
        assert item_vectors.shape == (len(token_item), 12)
        found = super().fit(sequences, token_item, None, options)
        found.raw_profiles = found.raw_profiles / 2
        return found

    def encode(self, sequences, result, options):
        return super().encode(sequences, result, options) / 2


def test_a_recipe_of_ones_own(small):
    sequences, vocabulary, _ = small
    recipe = HalfCounts()
    own = tc.TraitModel(4, method=recipe, max_iter=60).fit(sequences, vocabulary, item_vectors=vectors_for(vocabulary))
    plain_counts = fitted("counts", small)
    np.testing.assert_array_equal(own.transform_raw(sequences), plain_counts.transform_raw(sequences) / 2)
    back = tc.TraitModel.from_arrays(own.to_arrays(), own.get_params())
    np.testing.assert_array_equal(back.transform(sequences), own.transform(sequences))
    with pytest.raises(ValueError, match="which method='half counts' needs"):
        tc.TraitModel(4, method=recipe).fit(sequences, vocabulary)
    found = tc.evaluate_traits(
        sequences, vocabulary, model=own, embed=lambda _: vectors_for(vocabulary), checks=["support"]
    )
    assert found.protocol["method"] == "half counts"


@pytest.mark.parametrize("method", ["codes", "semi", "smoothed", "split"])
def test_saved_models_of_removed_methods_are_refused(method, small):
    model = fitted("counts", small)
    with pytest.raises(ValueError, match=f"'{method}' was removed.*refit"):
        tc.TraitModel.from_arrays(model.to_arrays(), model.get_params() | {"method": method})


def test_tokens_are_matched_by_what_they_are(small):
    sequences, vocabulary, _ = small
    model = fitted("counts", small)
    n = len(vocabulary)
    swap = np.random.default_rng(5).permutation(n)  # row i of the new vocabulary is the old row swap[i]
    back = np.argsort(swap).astype(np.int32)
    other = tc.Vocabulary(
        vocabulary.item_ids, vocabulary.actions, vocabulary.token_item[swap], vocabulary.token_action[swap],
        vocabulary.counts[swap], vocabulary.document_frequencies[swap], vocabulary.n_documents,
    )
    renamed = tc.Sequences(back[sequences.tokens], sequences.offsets, sequences.owner, None, sequences.owner_ids)
    np.testing.assert_allclose(model.transform(renamed, vocabulary=other), model.transform(sequences), atol=1e-4)


def test_a_model_fitted_on_tokens_that_are_gone_is_refused(small):
    _, vocabulary, _ = small
    model = fitted("counts", small)
    short = tc.Vocabulary(
        vocabulary.item_ids, vocabulary.actions, vocabulary.token_item[1:], vocabulary.token_action[1:],
        vocabulary.counts[1:], vocabulary.document_frequencies[1:], vocabulary.n_documents,
    )
    few = tc.Sequences.from_lists([[0, 1]])
    message = f"1 tokens that the vocabulary no longer has, the first '{vocabulary.tokens[0]}'"
    with pytest.raises(ValueError, match=message):
        model.transform(few, vocabulary=short)
    with pytest.raises(ValueError, match=r"token \d+ at 0"):
        model.transform(tc.Sequences.from_lists([[len(vocabulary)]]))


def plain(n_tokens, counts=None):
    return tc.Vocabulary(
        np.arange(n_tokens), (), np.arange(n_tokens, dtype=np.int32), np.full(n_tokens, -1, np.int32),
        np.ones(n_tokens, np.int64), np.ones(n_tokens, np.int64), 10,
    )


@pytest.mark.parametrize("method", RECIPES)
def test_awkward_corpora(method):
    vectors = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    rng = np.random.default_rng(1)
    corpora = {
        "customers with 0, 1 and many events": tc.Sequences.from_lists(
            [[0], rng.integers(0, 5, 100_000), [1, 2], [3, 4, 1]], owner=[1, 2, 3, 4], owner_ids=np.arange(6)
        ),
        "more traits than customers": tc.Sequences.from_lists([[0, 1, 2], [3, 4, 5]]),
        "all-identical customers": tc.Sequences.from_lists([[0, 1, 2]] * 12),
        "a token everyone has": tc.Sequences.from_lists([[0, 1 + i % 5] for i in range(20)]),
    }
    for name, sequences in corpora.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShiftWarning)
            model = tc.TraitModel(7, method=method).fit(sequences, plain(6), item_vectors=vectors)
        assert np.isfinite(model.raw_profiles_).all(), name
        assert np.isfinite(model.components_).all(), name
        empty = np.bincount(sequences.owners(), weights=np.diff(sequences.offsets), minlength=sequences.n_owners) == 0
        assert not model.profiles_[empty].any(), name
        assert model.n_empty_ == int(empty.sum()), name
    np.testing.assert_allclose(model.profiles_[0], model.profiles_[5], atol=1e-5)


@pytest.mark.parametrize("method", ["spectral", "counts"])
def test_restarts_give_a_consensus(method, small):
    once, many = fitted(method, small), fitted(method, small, n_restarts=4)
    assert match_rows(once.components_, many.components_)[1].mean() > 0.8
    np.testing.assert_allclose(np.linalg.norm(many.components_, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("params", "error", "name"),
    [
        ({"n_traits": 0}, ValueError, "n_traits"),
        ({"n_traits": 2.5}, TypeError, "n_traits"),
        ({"method": "lda"}, ValueError, "method"),
        ({"n_restarts": 0}, ValueError, "n_restarts"),
        ({"workers": 0}, ValueError, "workers"),
        ({"method": "joint"}, ValueError, "method"),
        ({"method": "semi"}, ValueError, "method"),
        ({"method": 3}, TypeError, "method"),
        ({"method": "shift"}, ValueError, "item_vectors"),
    ],
)
def test_refusals(params, error, name, small):
    with pytest.raises(error, match=f"'{name}' parameter of TraitModel"):
        tc.TraitModel(**params).fit(small[0], small[1])


def test_empty_corpora_and_unfitted_models_are_refused():
    with pytest.raises(ValueError, match="at least one known token"):
        tc.TraitModel().fit(tc.Sequences.from_lists([[]]), plain(3))
    with pytest.raises(tc.NotFittedError):
        tc.TraitModel().transform(tc.Sequences.from_lists([[0]]))


@pytest.mark.parametrize("method", ["spectral", "counts"])
def test_traits_do_not_change_with_the_seed(method, small):
    first, second = (fitted(method, small, random_state=seed).raw_profiles_ for seed in (0, 17))
    assert matched_cosine(first, second) > 0.999


def test_rates_equal_the_slow_ones(small):
    sequences, vocabulary, _ = small
    model = fitted("spectral", small)
    owners, n = sequences.owners(), len(vocabulary)
    histories = [[s for s, o in zip(sequences, owners) if o == who] for who in range(sequences.n_owners)]
    lately = np.array([slow.counted_lately(sessions, n, 0.5) for sessions in histories])
    exact = slow.token_rates(model.raw_profiles_.astype(np.float64), lately, vocabulary.token_item, 0.5)
    np.testing.assert_allclose(model.token_rates_, exact, atol=2e-3 * exact.max())
