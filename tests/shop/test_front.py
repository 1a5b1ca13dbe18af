"""fit: one call from a frame or a file, to what the pipeline gives."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from tests.data.small_store import FAST, simulated


def test_frames_files_and_logs_give_the_same(tmp_path: Path) -> None:
    import pandas
    import polars

    log = simulated().log
    log.to_csv(tmp_path / "events.csv")
    columns = log.to_columns()
    expected = tc.fit_pipeline(log, **FAST).items.fingerprint
    renamed = pandas.DataFrame(columns).rename(columns={"user_id": "who", "timestamp": "at", "item_id": "sku"})
    for data, names in (
        (columns, {}), (log, {}), (str(tmp_path / "events.csv"), {}), (polars.DataFrame(columns), {}),
        (renamed, {"user": "who", "timestamp": "at", "item": "sku"}),
    ):
        assert tc.fit(data, **names, **FAST).result.items.fingerprint == expected


def test_it_answers_as_the_published_shop_does(fitted: tc.Fitted, shop: tc.Shop) -> None:
    assert fitted.similar("prod_0003", 3) == shop.similar("prod_0003", 3)
    assert fitted.find("kettle") == shop.find("kettle")
    assert fitted.traits == shop.traits()
    assert fitted.recommend("cust_00007", 3) == shop.recommend("cust_00007", 3)
    assert fitted.customer("cust_00007").to_dict() == shop.customer("cust_00007").to_dict()
    assert fitted.customers.to_frame("pandas").equals(shop.profiles().to_frame("pandas"))
    assert repr(fitted).startswith("Fitted(")
    assert "kept" in repr(fitted)
    assert "coverage" in fitted._repr_html_()


def test_options_go_where_they_belong_or_are_refused(tmp_path: Path) -> None:
    log = simulated().log
    columns = log.to_columns()
    del columns["action"]
    with pytest.raises(tc.InputError, match="action=None, action_value='buy'"):
        tc.fit(columns, **FAST)
    bought = tc.fit(columns, action=None, action_value="buy", **FAST)
    assert bought.result.vocabulary.actions == ("buy",)
    with pytest.raises(TypeError, match="fit has no option 'n_trait'"):
        tc.fit(columns, n_trait=3)
    with pytest.raises(ValueError, match="'user' parameter of fit must be left out: data is an EventLog already"):
        tc.fit(log, user="who")
    with pytest.raises(ValueError, match="'where' parameter of read_events must be left out for columns in memory"):
        tc.fit(columns, action=None, where="1 = 1")
    for catalogue, message in ((3, "must be a Catalogue"), ({"sku": [1]}, "with the column 'item_id'")):
        with pytest.raises((TypeError, ValueError), match=message):
            tc.fit(log, catalogue=catalogue, **FAST)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_catalogue_may_have_gaps(library: str, tmp_path: Path) -> None:
    shop = simulated()
    n = len(shop.truth.item_ids)
    columns = {
        "item_id": shop.truth.item_ids.tolist(), "text": [None, *shop.truth.item_text[1:].tolist()],
        "category": [*shop.truth.item_category[: n - 1].tolist(), None],
        "price": [None, *np.asarray(shop.truth.item_price)[1:].tolist()],
    }
    frame = importlib.import_module(library).DataFrame(columns)  # pandas has NaN for None
    gaps = {name: ["" if one is None and name != "price" else one for one in column]
            for name, column in columns.items()}
    expected, found = tc.fit(shop.log, catalogue=gaps, **FAST), tc.fit(shop.log, catalogue=frame, **FAST)
    assert found.result.items.fingerprint == expected.result.items.fingerprint
    assert found.result.items.metadata["texts"] == expected.result.items.metadata["texts"]
    assert [t.categories for t in found.result.traits] == [t.categories for t in expected.result.traits]
    assert len(found.publish(tmp_path / "store").tables.items) == n


def test_published_as_the_pipeline_publishes(fitted: tc.Fitted, store: str, tmp_path: Path) -> None:
    tables = tc.TableStore(store)
    other = str(tmp_path / "store")
    result = tc.fit_pipeline(fitted.log, catalogue=fitted._catalogue, store=other, **FAST)
    again = tc.TableStore(other)
    for name in ("tokens", "items", "customers"):
        mine, theirs = tables.open(name), again.open(name)
        assert mine.fingerprint == theirs.fingerprint
        assert mine.metadata == theirs.metadata
    names = [stage["name"] for stage in tables.releases.describe()["run"]["stages"]]
    assert names == [stage["name"] for stage in again.releases.describe()["run"]["stages"]]
    assert result.verdict is not None


def test_progress_true_draws_bars_that_end(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    tc.fit(simulated().log, progress=True, **FAST)
    assert "traits" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)  # as if it weren't installed
    tc.fit(simulated().log, progress=True, **FAST)
    message = capsys.readouterr().err
    ended = [line.split("\r")[-1] for line in message.split("\n")[:-1]]
    assert all("[####################] 100%" in line for line in ended)
    assert {"sessions", "ppmi", "traits"} <= {line.split()[0] for line in ended}


def test_stages_are_logged_at_info(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="traitcore"):
        tc.fit(simulated().log, **FAST)
    assert {r.getMessage().split(":")[0] for r in caplog.records} >= {"sessions", "tokens", "coverage", "traits"}


def test_evaluation_in_words(fitted: tc.Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fitted.evaluate(checks=("coherence", "support"), n_splits=1, max_queries=200)
    text = str(found)
    assert "popularity (control)" in text
    assert "coherence of the names" in text
    frame = found.to_frame("pandas")
    row = frame[frame["name"] == "coherence of the names"].iloc[0]
    assert found.traits is not None
    assert row["value"] == found.traits["figures"]["npmi"]
    assert row["control"] == found.traits["figures"]["npmi_popular"]
    assert found.lists is not None
    lists = found.lists["lists"]
    assert f"{lists['counts and traits']['precision']:.4f}" in text
    row = frame[frame["name"] == "right products in lists"].iloc[0]
    assert row["value"] == lists["counts and traits"]["precision"]
    assert row["control"] == lists["counts (item-kNN)"]["precision"]
    assert fitted.evaluation is found
    limited = lists["counts and traits, at most 3 a trait"]
    assert f"{limited['shown']:,} ({limited['catalogue']:.0%})" in text
    assert f"at most 3 a trait: {limited['than_both']:+.4f}" in text
    fitted.evaluation = None


def test_the_public_door_takes_columns_where_it_takes_paths() -> None:
    columns: dict[str, Any] = {"user_id": ["a", "b"], "timestamp": [0, 1], "action": ["view", "buy"], "item_id": [1, 2]}
    log = tc.read_events(columns, timestamp_unit="s")
    assert log.item_ids.tolist() == [1, 2]
    np.testing.assert_array_equal(log.item, tc.EventLog.from_columns(columns, timestamp_unit="s").item)


def test_ids_that_are_numbers_are_shown_and_given_as_plain_values() -> None:
    columns = simulated().log.to_columns()
    for name, prefix in (("item_id", "prod_"), ("user_id", "cust_")):
        columns[name] = np.array([int(one.removeprefix(prefix)) for one in columns[name]])
    for tokens in ("action_item", "item"):
        fitted = tc.fit(columns, tokens=tokens, **FAST)
        view, items = fitted.customer(7), fitted.similar(3, 2)
        shown = (items, fitted.traits, view.similar, view.latest, fitted.recommend(7, 2), fitted.shop.after([3], 2))
        for rows in shown:
            assert len(rows.to_frame("pandas")) == len(rows) > 0
            assert json.loads(json.dumps(rows.to_dicts()))[0].keys() == rows.to_dicts()[0].keys()
            assert str(next(iter(rows.to_dicts()[0].values()))) in repr(rows)
        many = tc.fit(columns | {"user_id": columns["user_id"] + 12_000}, tokens=tokens, **FAST)
        assert "12007" in repr(many.customer(12_007))
        assert "12,0" not in repr(many.customer(12_007).similar) + many.customer(12_007).similar._repr_html_()
        assert json.loads(json.dumps(view.to_dict()))["customer"] == 7
        ids = (items[0].id, view.similar[0].customer, fitted.recommend(7, 2)[0].item, fitted.shop.meant(3).id)
        assert [type(one) for one in ids] == [int] * 4
        assert all(type(one) is int for one in fitted.recommend(7, 2, reasons=False))
        assert {type(one) for one in fitted.traits[0].examples} == {int}
