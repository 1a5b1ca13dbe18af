"""Events and revenue of each trait by period: as one event at a time gives them."""

from __future__ import annotations

import numpy as np
import pytest

import traitcore as tc
from tests.data.small_store import FAST, simulated
from tests.reference.history import divided_events
from traitcore.pipeline import history, many_customers
from traitcore.pipeline.history import _in_units, _periods, trait_history


@pytest.mark.parametrize(("customers", "events"), [(1 << 22, 100_000), (70, 100_000), (1 << 22, 7), (1, 3)])
def test_history_is_the_sum_of_divided_events(customers: int, events: int, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tc.fit_pipeline(simulated().log, **FAST)
    model, vocabulary = result.model, result.vocabulary
    assert model is not None
    monkeypatch.setattr(many_customers, "_AT_ONCE", customers)  # tokens of a block of customers
    monkeypatch.setattr(history, "_BLOCK", events)
    prices = np.where(np.arange(len(vocabulary.item_ids)) % 5, np.arange(len(vocabulary.item_ids)) + 1.0, np.nan)
    found = trait_history(result.sequences, vocabulary, model, prices)
    buy = vocabulary.actions.index("buy")
    price = np.where(vocabulary.token_action == buy, prices[vocabulary.token_item], 0.0)
    by_week, paid = divided_events(result.sequences, model, price)
    assert found["unit"] == "week"
    for trait in range(3):
        expected = [by_week.get((trait, week), 0.0) for week in found["periods"]]
        np.testing.assert_allclose(found["traits"][trait], expected, atol=0.01)
        assert found["revenue"][trait] == pytest.approx(paid[trait] / sum(paid.values()), abs=1e-4)
    assert trait_history(result.sequences, vocabulary, model, None)["revenue"] is None


@pytest.mark.parametrize(
    ("days", "unit", "n"), [(3, "day", 4), (60, "week", 9), (400, "month", 14), (4000, "year", 11)]
)
def test_the_period_follows_the_length_of_the_log(days: int, unit: str, n: int) -> None:
    times = np.array([np.datetime64("2020-01-02"), np.datetime64("2020-01-02") + days], dtype="datetime64[us]")
    found, code, names, first = _periods(times.astype(np.int64))
    periods = _in_units(times.astype(np.int64), code) - first
    assert (found, len(names), periods[0], periods[-1]) == (unit, n, 0, n - 1)
    assert _periods(None) == ("", "", [], 0)
