"""The facts of a report are those of the tables."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest

import traitcore as tc
from tests.data.small_store import FAST, simulated
from tests.reference import serving as slow
from traitcore.pipeline.coverage import Coverage, Loss
from traitcore.report.facts import Facts
from traitcore.shop.cautions import warnings_of
from traitcore.shop.survey import STRONG, survey
from traitcore.shop.tables import Tables


@pytest.fixture(scope="module")
def facts(store: str) -> Facts:
    return survey(tc.open_shop(store).tables)


def test_cards_are_the_traits_largest_first(facts: Facts, shop: tc.Shop) -> None:
    shares = [card.share for card in facts.cards]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0, abs=0.02)
    for card in facts.cards:
        trait = shop.tables.traits[card.trait]
        assert card.name == trait["name"]
        assert len({p.id for p in card.products}) == len(card.products)
        assert card.products[0].lift == trait["tokens"][0]["lift"]
        assert sum(share for _, share, _ in card.acts) == pytest.approx(1.0)
        assert len(card.periods) == len(facts.periods) > 1
    assert sum(card.revenue or 0.0 for card in facts.cards) == pytest.approx(1.0, abs=1e-3)
    total = np.sum([card.periods for card in facts.cards], axis=0)
    np.testing.assert_allclose(total, facts.everyone_by_period, atol=0.5)


def test_customers_lists_and_map(facts: Facts, shop: tc.Shop) -> None:
    customers, items = shop.tables.customers, shop.tables.items
    assert sum(facts.largest_shares) == len(customers)
    strong = customers.vectors > 0.3
    assert facts.overlaps[0][1] == pytest.approx((strong[:, 0] & strong[:, 1]).sum() / strong[:, 0].sum(), abs=1e-3)
    assert facts.lists is not None
    for reach, most in ((facts.lists.reach, None), (facts.lists.mixed, facts.lists.max_per_trait)):
        lists = [shop.recommend(who, 10, reasons=False, max_per_trait=most) for who in customers.ids]
        assert reach.catalogue == pytest.approx(len({item for own in lists for item in own}) / len(items))
        traits = [
            {slow.strongest_trait(customers.vectors[row], shop.tables.affinity, items.row(item)) for item in own} - {-1}
            for row, own in enumerate(lists)
        ]
        assert reach.traits == pytest.approx(np.mean([len(own) for own in traits]))
    assert facts.lists.mixed.traits > facts.lists.reach.traits
    assert {p.id for p in facts.points} == set(items.ids[items.arrays["counts"] > 0].tolist())
    assert all(0 <= p.x <= 1 and 0 <= p.y <= 1 for p in facts.points)


def test_strong_means_the_same_in_a_report_and_in_the_descriptions() -> None:
    assert inspect.signature(tc.describe_traits).parameters["threshold"].default == STRONG


def test_coverage_names_what_brings_it_back(facts: Facts, fitted: tc.Fitted) -> None:
    kept = {one.what: (one.kept, one.total) for one in facts.kept}
    assert kept["events"] == (fitted.result.sequences.n_tokens, len(fitted.log))
    assert kept["customers"][1] - kept["customers"][0] >= 2
    assert sum(one.events for one in facts.left) == kept["events"][1] - kept["events"][0]
    assert "min_count=1" in {one.option for one in facts.left}
    assert len(facts.verdict) == 3
    assert facts.drift is None


def test_drift_matches_traits_with_those_before(store: str, tmp_path: Path) -> None:
    own = str(tmp_path / "store")
    shutil.copytree(store, own)
    tc.fit(simulated().log, item_text=None, **FAST | {"seed": 1}).publish(own, force=("a test", "no texts"))
    drift = survey(tc.open_shop(own).tables).drift
    assert drift is not None
    assert drift.since == "r000001"
    assert len(drift.traits) == 3
    assert all(alike > 0.8 for *_, alike in drift.traits)  # the same shop: the same traits
    assert "nearest" in drift.sentences[1]


def test_what_asks_for_caution(fitted: tc.Fitted, shop: tc.Shop) -> None:
    tables = shop.tables
    calm = Coverage({"events": 9}, {"events": 10}, ())
    assert not [w for w in warnings_of(tables, calm, {}) if "left out" in w]
    lost = Coverage({"events": 3, "customers": 9}, {"events": 10, "customers": 10}, (Loss("rare", 7, "min_count=1"),))
    assert "70% of events, most of it as rare; min_count=1 keeps them" in warnings_of(tables, lost, {})[0]
    said = warnings_of(tables, calm, {"report": {"status": "warn", "reasons": ["warn: hubs"]}})
    assert said[0] == "The guardrails said: warn: hubs."
    tied = {"events_kept": 100, "sessions_kept": 10, "neighbours_tied": 80, "ties": "shuffle"}
    run = {"run": {"stages": [{"name": "sessions", "report": tied}]}}
    assert "89% of neighbouring events have the same time" in warnings_of(tables, calm, run)[-1]
    customers = fitted.result.customers
    assert customers is not None
    traits = [dict(t) for t in customers.metadata["traits"]]
    traits[0] |= {"activity": 0.6, "customers": 3}
    first = dict(traits[0]["tokens"][0])
    traits[0]["tokens"] = [first | {"text": "DOTCOM POSTAGE"}, first | {"text": "RED DELIVERY VAN MONEY BOX"}]
    metadata = customers.metadata | {"traits": traits}
    made = tc.EmbeddingTable(customers.ids, customers.vectors, arrays=dict(customers.arrays), metadata=metadata)
    found = warnings_of(Tables(fitted.result.tokens, fitted.result.items, made), calm, {})
    assert any("DOTCOM POSTAGE" in w and "invoice line" in w for w in found)
    assert not any("VAN" in w for w in found)
    assert any("follows how much customers do (correlation +0.60)" in w for w in found)
    assert any("strong in fewer than 20 customers" in w for w in found)


def test_a_run_without_customers(tmp_path: Path) -> None:
    fitted = tc.fit(simulated().log, customers="none", **FAST)
    facts = survey(fitted.shop.tables)
    assert (facts.n_customers, facts.cards, facts.lists) == (0, (), None)
    assert "made no customers" in facts.verdict[0]
    fitted.report(tmp_path / "report.html")
    assert facts.points
    assert facts.map_method
    with pytest.raises(tc.TableError, match="made no customers"):
        fitted.shop.customer("x")
