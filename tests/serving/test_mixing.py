"""Lists mixed over traits: the slow definition, lists that are filled up, what a limit leaves as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

import traitcore as tc
from tests.reference import serving as slow
from traitcore.serving.blended import TRAITS, Blend, recommend_blended
from traitcore.serving.mixing import TraitLimit


def traits_of(profile: Any, affinity: Any) -> list[int]:
    return [slow.strongest_trait(profile, affinity, item) for item in range(np.shape(affinity)[1])]


def shop(seed: int, n_items: int, n_traits: int) -> tuple[Any, NDArray[np.float32], NDArray[np.float32]]:
    """Few different values, so that ties abound; zeros and negative affinities among them."""
    rng = np.random.default_rng(seed)
    profiles = rng.integers(0, 3, (5, n_traits)).astype(np.float32)
    profiles[1] = 0
    profiles[2, 1:] = 0  # one trait only
    return rng, profiles, rng.integers(-1, 4, (n_traits, n_items)).astype(np.float32)


@given(
    seed=st.integers(0, 2**32), k=st.integers(1, 12), most=st.integers(1, 5), n_traits=st.integers(1, 4),
    n_items=st.integers(1, 90),
)
def test_lists_by_traits_are_those_of_the_definition(seed: int, k: int, most: int, n_traits: int, n_items: int) -> None:
    rng, profiles, affinity = shop(seed, n_items, n_traits)
    seen, exclude = rng.random((5, n_items)) < 0.2, rng.permutation(n_items)[:2]
    popularity = rng.integers(0, 3, n_items)
    options = {"k": k, "exclude": exclude, "max_per_trait": most}
    found = tc.recommend_products(profiles, affinity, seen=seen, **options)
    filled = tc.recommend_products(
        profiles, affinity, seen=seen, fallback="popular", popularity=popularity, **options
    )
    for row, profile in enumerate(profiles):
        scores = profile @ affinity
        scores[seen[row]] = scores[exclude] = -np.inf
        want = slow.mixed_list(scores, traits_of(profile, affinity), most, k)
        assert found.rows[row].tolist() == want + [-1] * (k - len(want))
        np.testing.assert_array_equal(found.scores[row][: len(want)], scores[want])
        assert filled.rows[row].tolist()[: len(want)] == want  # all the evidence comes before what is popular
        assert filled.fallback is not None
        assert not filled.fallback[row][: len(want)].any()
        alone = tc.recommend_products(profile, affinity, seen=seen[row], **options)
        np.testing.assert_array_equal(alone.rows, found.rows[row])
        np.testing.assert_array_equal(alone.by_trait, found[row].by_trait)


@given(seed=st.integers(0, 2**32), k=st.integers(1, 12), most=st.integers(1, 12))
def test_a_limit_takes_nothing_away(seed: int, k: int, most: int) -> None:
    _, profiles, affinity = shop(seed, 30, 3)
    free = tc.recommend_products(profiles, affinity, k=k).rows
    found = tc.recommend_products(profiles, affinity, k=k, max_per_trait=most).rows
    np.testing.assert_array_equal((found >= 0).sum(axis=1), (free >= 0).sum(axis=1))
    np.testing.assert_array_equal(found[:, 0], free[:, 0])  # the best product stays the first
    np.testing.assert_array_equal(found[2], free[2])  # of one trait only
    if most >= k:
        np.testing.assert_array_equal(found, free)
    for row, profile in enumerate(profiles):
        of = traits_of(profile, affinity)
        listed = [of[item] for item in found[row] if item >= 0]
        over = {trait for trait in listed if trait >= 0 and listed.count(trait) > most}
        if over:  # then there is nothing else to list
            scores = profile @ affinity
            others = {i for i in range(30) if scores[i] > 0 and of[i] not in over}
            spare = {i for i in others if listed.count(of[i]) < most or of[i] < 0}
            assert spare <= set(found[row].tolist())


@given(seed=st.integers(0, 2**32), k=st.integers(1, 8), most=st.integers(1, 3))
def test_lists_by_counts_and_traits_are_those_of_the_definition(seed: int, k: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    histories = [set(rng.choice(14, rng.integers(0, 6), replace=False).tolist()) for _ in range(12)]
    dense = np.array([[i in one for i in range(15)] for one in histories], dtype=np.float32)
    own = sparse.csr_array(dense)
    profiles, affinity = rng.random((12, 3), dtype=np.float32), rng.random((3, 15), dtype=np.float32)
    profiles[0], affinity[:, 14] = 0, 0  # no traits; a product of none
    found = recommend_blended(Blend(own, affinity), own, profiles, k=k, seen=own, exclude=[2], max_per_trait=most)
    for c, items in enumerate(histories):
        scores, _ = slow.blended(histories, items, profiles[c], affinity, TRAITS)
        scores[[2, *items]] = -np.inf
        scores[np.abs(scores) < 1e-9] = 0
        want = slow.mixed_list(scores, traits_of(profiles[c], affinity), most, k)
        got = found.rows[c][found.rows[c] >= 0].tolist()
        np.testing.assert_allclose(scores[got], scores[want], rtol=1e-5)  # equal but for the order of near ties
        assert len(got) == len(want)


def test_the_order_of_a_mixed_list_is_that_of_the_scores() -> None:
    affinity = np.array([[9, 8, 7, 6, 0, 0], [0, 0, 0, 0, 5, 4]], np.float32)

    def listed(most: int | None, k: int = 4) -> list[int]:
        return tc.recommend_products([1.0, 1.0], affinity, k=k, max_per_trait=most).rows.tolist()

    assert (listed(None), listed(2), listed(1)) == ([0, 1, 2, 3], [0, 1, 4, 5], [0, 1, 2, 4])
    assert listed(1, k=2) == [0, 4]
    assert listed(1, k=6) == [0, 1, 2, 3, 4, 5]


def test_long_lists_are_searched_to_their_end() -> None:
    """The only products of the second trait come last, far beyond the places that are looked at first."""
    affinity = np.zeros((2, 5000), np.float32)
    affinity[0, :4997], affinity[1, 4997:] = np.linspace(9, 2, 4997), 1
    found = tc.recommend_products([1.0, 1.0], affinity, k=5, max_per_trait=2)
    assert found.rows.tolist() == [0, 1, 2, 4997, 4998]  # the third of the first trait fills the list


def test_no_traits_no_limit() -> None:
    limit = TraitLimit(1, np.zeros((1, 0), np.float32), np.zeros((0, 4), np.float32))
    assert limit.traits(0, np.arange(4)).tolist() == [-1] * 4
    assert limit.places(0, np.array([1, 3, 0, 2], np.float32), 3).tolist() == [1, 3, 0]


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "3"])
def test_a_bad_limit_is_named(bad: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"max_per_trait.* of recommend_products must be an int"):
        tc.recommend_products([1.0], [[1.0]], max_per_trait=bad)
