"""Lists by counts and traits: the slow definition, what is never listed, reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tests.reference import serving as slow
from traitcore.serving import blended
from traitcore.serving.blended import TRAITS, Blend, ItemNeighbours, recommend_blended


def rows_of(histories: list[set[int]], n_items: int) -> sparse.csr_array:
    dense = np.array([[i in one for i in range(n_items)] for one in histories], dtype=np.float32)
    return sparse.csr_array(dense)


@pytest.fixture
def made() -> tuple[list[set[int]], Any, Any]:
    rng = np.random.default_rng(0)
    histories = [set(rng.choice(14, rng.integers(0, 6), replace=False).tolist()) for _ in range(30)]
    return histories, rng.random((30, 3), dtype=np.float32), rng.random((3, 15), dtype=np.float32)  # nobody had item 14


def test_scores_and_reasons_are_those_of_the_definition(made: tuple[list[set[int]], Any, Any]) -> None:
    histories, profiles, affinity = made
    affinity[:, 3] *= -1  # what they put back
    blend, own = Blend(rows_of(histories, 15), affinity), rows_of(histories, 15)
    scores = blend.scores(own, profiles)
    kinds = set()
    for c, items in enumerate(histories):
        expected, most = slow.blended(histories, items, profiles[c], affinity, TRAITS)
        np.testing.assert_allclose(scores[c], expected, rtol=2e-5, atol=2e-6)
        reason = blend.reasons(own[[c]].indices, profiles[c])
        assert [reason(j) for j in range(15)] == most
        kinds |= {kind for kind, _ in most}
    assert kinds == {"item", "trait"}


def test_lists_are_the_best_scores_without_what_may_not_be_listed(made: tuple[list[set[int]], Any, Any]) -> None:
    histories, profiles, affinity = made
    own, blend = rows_of(histories, 15), Blend(rows_of(histories, 15), affinity)
    found = recommend_blended(blend, own, profiles, k=4, seen=own, exclude=[2])
    for c, items in enumerate(histories):
        scores = slow.blended(histories, items, profiles[c], affinity, TRAITS)[0]
        scores[[2, *items]] = -np.inf
        assert found.rows[c].tolist() == np.argsort(-scores, kind="stable")[:4].tolist()
    nobody = recommend_blended(blend, own[:1] * 0, profiles[:1] * 0, k=3, fallback="popular", popularity=np.arange(15))
    assert nobody.rows.tolist() == [[14, 13, 12]]
    assert nobody.fallback is not None
    assert nobody.fallback.all()
    assert recommend_blended(blend, own[:0], profiles[:0], k=3).rows.shape == (0, 3)


def test_lists_do_not_depend_on_the_block(
    made: tuple[list[set[int]], Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    histories, profiles, affinity = made
    own, blend = rows_of(histories, 15), Blend(rows_of(histories, 15), affinity)
    whole = recommend_blended(blend, own, profiles, k=5, seen=own)
    monkeypatch.setattr(blended, "BLOCK", 60)
    parts = recommend_blended(blend, own, profiles, k=5, seen=own)
    np.testing.assert_array_equal(parts.rows, whole.rows)
    np.testing.assert_array_equal(parts.scores, whole.scores)


def test_of_many_customers_some_are_counted_evenly(
    made: tuple[list[set[int]], Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = made[0]
    own = rows_of(histories, 15)
    monkeypatch.setattr(blended, "MOST_CUSTOMERS", 10)
    few = ItemNeighbours(own).scores(own)
    drawn = own[np.linspace(0, 29, 10).astype(np.int64)]
    np.testing.assert_array_equal(few, ItemNeighbours(drawn).scores(own))
    assert (few != ItemNeighbours(own[:10]).scores(own)).any()
