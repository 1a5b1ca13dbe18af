"""Shop: right answers for ids and texts, of a store that goes on."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from tests.data.small_store import FAST, simulated
from tests.reference import serving as slow
from traitcore.serving import blended
from traitcore.serving.blended import TRAITS
from traitcore.serving.next_model import next_model_of
from traitcore.shop.search import best_match, matching
from traitcore.shop.tables import Tables


def test_similar_takes_tokens_ids_and_texts(shop: tc.Shop) -> None:
    tokens, items = shop.tables.tokens, shop.tables.items
    token = tokens.ids[3]
    assert [(n.id, pytest.approx(n.score)) for n in shop.similar(token, 4)] == tokens.most_similar(token, 4)
    assert [n.id for n in shop.similar("prod_0003", 4)] == [i for i, _ in items.most_similar("prod_0003", 4)]
    texts = shop.tables.item_texts
    alone = next(row for row, text in enumerate(texts) if text and texts.count(text) == 1)
    text, item = texts[alone], items.ids[alone]
    assert shop.meant(text).id == item  # the whole text, in any case of letters
    assert shop.similar(text.upper(), 4) == shop.similar(item, 4)
    word = text.split()[-1]
    holding = [row for row, one in enumerate(shop.tables.item_texts) if word in one.split()]
    best = max(holding, key=lambda row: (int(items.arrays["counts"][row]), -row))
    assert shop.meant(word).id == items.ids[best]
    assert f"{len(holding) - 1} more items match" in shop.similar(word).title
    assert shop.find(word, 100)[0].id == items.ids[best]
    assert {n.id for n in shop.find(word, 100)} == set(items.ids[holding].tolist())
    with pytest.raises(KeyError, match="nor does any description hold all the words of 'no such thing'"):
        shop.similar("no such thing")
    with pytest.raises(KeyError, match="17"):
        shop.similar(17)


def test_what_follows_is_ranked_as_recorded(shop: tc.Shop) -> None:
    items = shop.tables.items
    by = shop.ranked_by("prod_0003")
    assert by == items.metadata["next"]["similar"]["by"]
    if by == "model":
        model, own = next_model_of(items), items.row("prod_0003")
        assert model is not None
        rows, _ = model.recommend([own], k=5, exclude=[own])
        assert [n.id for n in shop.similar("prod_0003", 5, following=True)] == items.ids[rows].tolist()
        return
    how = {"metric": "cosine"} if by == "cosine" else {"against": "context_vectors", "metric": "dot"}
    silent = items.ids[items.arrays["counts"] == 0]
    found = [n.id for n in shop.similar("prod_0003", 5, following=True)]
    assert found == [i for i, _ in items.most_similar("prod_0003", 5, exclude=silent, **how)]


def test_matching_words() -> None:
    texts = ["Green Teacup", "teacup, green and large", "GREENHOUSE", "green teacups", "cup", "Größe XL"]
    assert matching(texts, "green teacup") == [0, 1, 3]
    assert matching(texts, "TEACUP green") == [0, 1, 3]
    assert matching(texts, "cup") == [4]  # a word begins with it; "teacup" doesn't
    assert matching(texts, "grösse") == [5]
    assert matching(texts, " ... ") == []
    counts = np.array([1, 9, 0, 9, 2, 1])
    assert best_match(texts, "green teacup", counts) == (0, 3)  # the exact text, though others have more events
    assert best_match(texts, "teacup", counts) == (1, 3)  # ties by row
    assert best_match(texts, "saucer", counts) is None


def test_recommendations_say_how_many_times_as_likely(shop: tc.Shop) -> None:
    tables = shop.tables
    row = int(np.diff(tables.customers.arrays["bought_offsets"]).argmax())
    who = tables.customers.ids[row]
    found = shop.recommend(who, 5, by="traits")
    for one in found:
        item = tables.items.row(one.item)
        of_customer = float(tables.customers.vectors[row] @ tables.affinity[:, item])
        of_all = np.mean([p @ tables.affinity[:, item] for p in tables.customers.vectors])
        assert one.score == pytest.approx(of_customer, rel=1e-4)
        assert one.times == pytest.approx(of_customer / of_all, rel=1e-3)
    found = shop.recommend(who, 5)
    assert shop.recommend(who, 5, reasons=False) == [one.item for one in found]
    start, stop = tables.customers.arrays["bought_offsets"][row : row + 2]
    bought = set(tables.items.ids[tables.customers.arrays["bought_items"][start:stop]].tolist())
    assert bought
    assert not bought & set(shop.recommend(who, 60, reasons=False))
    assert bought & set(shop.recommend(who, 60, reasons=False, keep_bought=True))
    first = shop.recommend(who, 3, reasons=False)
    assert shop.recommend(who, 3, reasons=False, exclude=first[:1])[:2] == first[1:]
    assert shop.recommend(who, 3, reasons=False, allowed=first[1:]) == first[1:]
    latest = shop.recommend(who, 3, by="latest")
    assert [one.times for one in latest] == [None] * 3
    with pytest.raises(ValueError, match=r"'by' parameter of Shop\.recommend"):
        shop.recommend(who, by="magic")


@pytest.mark.parametrize(("weight", "reasons"), [(TRAITS, {"trait"}), (0.02, {"item", "trait"})])
def test_recommendations_blend_what_goes_together_with_traits(
    shop: tc.Shop, fitted: tc.Fitted, monkeypatch: pytest.MonkeyPatch, weight: float, reasons: set[str]
) -> None:
    monkeypatch.setattr(blended, "TRAITS", weight)
    tables, sequences, vocabulary = shop.tables, fitted.result.sequences, fitted.result.vocabulary
    owner = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    histories: list[set[int]] = [set() for _ in tables.customers.ids]
    for who, token in zip(owner.tolist(), sequences.tokens.tolist()):
        histories[who].add(int(vocabulary.token_item[token]))
    kinds = set()
    for row in range(0, 120, 10):
        bought = tables.items_of("bought", np.array([row])).indices
        profile = tables.customers.vectors[row]
        scores, most = slow.blended(histories, histories[row], profile, tables.affinity, weight)
        scores[bought] = -np.inf
        found = shop.recommend(tables.customers.ids[row], 5)
        expected = np.argsort(-scores, kind="stable")[:5].tolist()
        assert [one.item for one in found] == tables.items.ids[expected].tolist()
        for one, item in zip(found, expected):
            kind, which = most[item]
            kinds.add(kind)
            name = tables.traits[which]["name"] if kind == "trait" else tables.text_of_item(which)
            start = f"trait {which}" if kind == "trait" else f"goes with {tables.items.ids[which]}"
            assert one.why == f"{start}  {name}".rstrip()
            ratio = float(profile @ tables.affinity[:, item] / tables.everyone[item])
            assert one.times == pytest.approx(ratio, rel=1e-4)
    assert kinds == reasons


def test_tables_without_histories_are_asked_by_traits(shop: tc.Shop) -> None:
    customers = shop.tables.customers
    arrays = {name: a for name, a in customers.arrays.items() if not name.startswith("history_")}
    older = tc.EmbeddingTable(customers.ids, customers.vectors, arrays=arrays, metadata=customers.metadata)
    asked = tc.Shop(Tables(shop.tables.tokens, shop.tables.items, older))
    assert asked.recommend("cust_00007", 5) == shop.recommend("cust_00007", 5, by="traits")
    assert asked.recommend("cust_00007", 5) != shop.recommend("cust_00007", 5)


@pytest.mark.parametrize("by", ["both", "traits"])
def test_lists_are_mixed_over_traits(shop: tc.Shop, by: str) -> None:
    tables = shop.tables

    def traits(row: int, listed: list[str]) -> list[int]:
        profile = tables.customers.vectors[row]
        return [slow.strongest_trait(profile, tables.affinity, tables.items.row(item)) for item in listed]

    changed = 0
    for row in range(0, 120, 10):
        who = tables.customers.ids[row]
        free = shop.recommend(who, 5, by=by, reasons=False)
        every = shop.recommend(who, len(tables.items), by=by)
        scores, of = [one.score for one in every], traits(row, [one.item for one in every])
        found = shop.recommend(who, 5, by=by, max_per_trait=2)
        expected = slow.mixed_list(scores, of, 2, 5)
        assert [one.item for one in found] == [every[place].item for place in expected]
        assert [one.why for one in found] == [every[place].why for place in expected]
        changed += [one.item for one in found] != free
        assert shop.recommend(who, 5, by=by, reasons=False, max_per_trait=5) == free
        first = found[0].item
        without = shop.recommend(who, 5, by=by, reasons=False, max_per_trait=2, exclude=[first])
        assert first not in without
    assert changed
    assert len(shop.recommend("nobody", 4, by=by, fallback="popular", max_per_trait=1)) == 4


def test_a_limit_a_trait_is_for_lists_by_traits(shop: tc.Shop) -> None:
    with pytest.raises(ValueError, match=r"'max_per_trait' parameter of Shop\.recommend must be None with by='latest'"):
        shop.recommend("cust_00007", by="latest", max_per_trait=2)
    for bad in (0, 2.5):
        with pytest.raises((ValueError, TypeError), match=r"'max_per_trait' .* Shop\.recommend must be an int"):
            shop.recommend("cust_00007", max_per_trait=bad)


def test_how_many_times_as_likely_is_not_said_of_what_all_together_put_back(
    shop: tc.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = shop.recommend("cust_00007", 2)
    everyone = shop.tables.everyone.copy()
    everyone[shop.tables.items.row(first.item)] *= -1
    monkeypatch.setitem(vars(shop.tables), "everyone", everyone)
    assert [one.times for one in shop.recommend("cust_00007", 2)] == [None, second.times]


def test_a_customer_of_the_log_without_a_profile_is_told_why(shop: tc.Shop) -> None:
    for who, events, why in (("busy", 1001, "too long"), ("rare", 2, "too rare for vectors")):
        view = shop.customer(who)
        assert (view.customer, view.events, len(view.traits)) == (who, events, 0)
        assert view.note.startswith(f"{events:,} events, all of ")
        assert why in view.note
        assert view.recommended[0].why.startswith("popular: ")
        assert who not in shop
        with pytest.raises(KeyError, match=f"has no profile: {events:,} events"):
            shop.recommend(who)
        assert len(shop.recommend(who, 4, fallback="popular")) == 4
    with pytest.raises(KeyError, match="no row for 'nobody'"):
        shop.customer("nobody")


def test_a_customer_of_one_event_a_session_has_a_profile(shop: tc.Shop) -> None:
    view = shop.customer("once")
    assert (view.events, [event.token for event in view.latest]) == (
        3, ["view_prod_0003", "view_prod_0002", "view_prod_0001"]
    )
    assert view.traits
    customers = shop.tables.customers
    row, ends = customers.row("once"), customers.arrays["history_offsets"]
    had = customers.arrays["history_items"][ends[row] : ends[row + 1]]
    assert sorted(shop.tables.items.ids[had].tolist()) == ["prod_0001", "prod_0002", "prod_0003"]


def test_rows_asked_for_are_at_least_one(shop: tc.Shop) -> None:
    for name, ask in (
        ("similar", lambda k: shop.similar("prod_0003", k)), ("find", lambda k: shop.find("kettle", k)),
        ("traits", shop.traits), ("customer", lambda k: shop.customer("cust_00007", k)),
        ("recommend", lambda k: shop.recommend("cust_00007", k)), ("after", lambda k: shop.after(["prod_0003"], k)),
    ):
        for k in (0, -1):
            with pytest.raises(ValueError, match=rf"'k' parameter of Shop\.{name} must be an int in \[1, inf\)"):
                ask(k)
    with pytest.raises(ValueError, match=r"'index' parameter of Shop\.similar must be None with following=True"):
        shop.similar("prod_0003", following=True, index="exact")


def test_a_customer_is_shown_as_the_tables_have_them(shop: tc.Shop) -> None:
    customers = shop.tables.customers
    view, row = shop.customer("cust_00007", 3), customers.row("cust_00007")
    profile = customers.vectors[row]
    assert view.traits[0].trait == int(profile.argmax())
    assert view.traits[0].share == pytest.approx(float(profile.max()))
    assert view.traits[0].times == pytest.approx(float(profile.max() / customers.vectors[:, profile.argmax()].mean()))
    assert len(view.latest) == len(view.similar) == 3
    assert json.loads(json.dumps(view.to_dict()))["customer"] == "cust_00007"
    assert "similar customers" in repr(view)
    assert "<h4>recommended</h4>" in view._repr_html_()


def test_examples_of_a_trait_have_a_median_history_or_more(shop: tc.Shop) -> None:
    customers = shop.tables.customers
    events, least = customers.arrays["events"], np.median(customers.arrays["events"])
    for trait in shop.traits():
        rows = customers.rows(list(trait.examples))
        assert len(rows) == 3
        assert (events[rows] >= least).all()
        others = np.setdiff1d(np.flatnonzero(events >= least), rows)
        assert customers.vectors[rows, trait.trait].min() >= customers.vectors[others, trait.trait].max()


def test_answers_become_frames_and_text(shop: tc.Shop) -> None:
    import pandas
    import polars

    found = shop.similar("prod_0003", 3)
    frame = found.to_frame("pandas")
    assert isinstance(frame, pandas.DataFrame)
    assert frame["id"].tolist() == [n.id for n in found]
    assert found.to_frame("polars")["score"].to_list() == pytest.approx([n.score for n in found])
    assert isinstance(found.to_frame("polars"), polars.DataFrame)
    assert isinstance(found.to_frame(), pandas.DataFrame)  # both are imported
    with pytest.raises(ValueError, match="'pandas' or 'polars'"):
        found.to_frame("arrow")
    assert repr(found).splitlines()[0] == found.title
    assert found[:2] == shop.similar("prod_0003", 2)
    assert found[0].description in repr(found)
    assert found._repr_html_().count("<tr>") == 4
    assert "<td>traits</td><td>3</td>" in shop._repr_html_()


def test_a_shop_turns_to_what_is_published_next(store: str, tmp_path: Path) -> None:
    own = str(tmp_path / "store")
    shutil.copytree(store, own)
    shop = tc.open_shop(own)
    assert not shop.refresh()
    assert repr(shop).endswith("release r000001)")
    tc.fit(simulated().log, **FAST | {"seed": 3}).publish(own, force=("a test", "another log"))
    assert shop.refresh()
    assert not shop.refresh()
    assert repr(shop).endswith("release r000002)")
    assert tc.open_shop(own, "v000001").tables.items.version == "v000001"


def test_a_shop_without_customers_turns_to_the_first_that_has_some(tmp_path: Path) -> None:
    own, log = str(tmp_path / "store"), simulated().log
    shop = tc.fit(log, customers="none", **FAST).publish(own)
    with_customers = tc.fit(log, **FAST).publish(own, force=("a test", "customers"))
    assert "customers" not in repr(shop)  # those are of another run
    assert shop.refresh()
    assert repr(shop) == repr(with_customers)
    assert shop.traits() == with_customers.traits()
    assert not shop.refresh()


def test_threads_may_share_a_shop(store: str) -> None:
    alone, shared = tc.open_shop(store), tc.open_shop(store)
    who = alone.tables.customers.ids[:24].tolist()
    asked = list(zip(who, alone.tables.items.ids[:24].tolist()))

    def ask(shop: tc.Shop, pair: tuple[str, str]) -> Any:
        return shop.customer(pair[0]).to_dict(), shop.similar(pair[1], 3), shop.similar(pair[1], 3, following=True)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda pair: ask(shared, pair), asked)) == [ask(alone, pair) for pair in asked]


def test_a_forgotten_customer_without_a_profile_is_nobody(store: str, tmp_path: Path) -> None:
    own = str(tmp_path / "store")
    shutil.copytree(store, own)
    shop = tc.open_shop(own)
    assert shop.customer("once").events == 3
    done = tc.forget_customers(tc.TableStore(own), "once")
    assert done.rows_removed == {"customers": 1}
    assert shop.refresh()
    with pytest.raises(KeyError, match="no row for 'once'"):
        shop.customer("once")
    assert shop.customer("rare").events == 2
    files = [path for path in Path(own).rglob("*") if path.is_file()]
    assert not any(b"once" in path.read_bytes() for path in files if "left_out" in path.name)


def test_live_customers_start_from_what_was_saved(store: str, tmp_path: Path) -> None:
    own = str(tmp_path / "store")
    shutil.copytree(store, own)
    shop = tc.open_shop(own)
    live = shop.live()
    token = str(shop.tables.tokens.ids[0])
    live.update("new one", token)
    tc.TableStore(own).publish(live.snapshot(), "live")
    again = shop.live()
    assert "new one" in again
    np.testing.assert_array_equal(again.profiles(["new one"]), live.profiles(["new one"]))


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(tc.TableError, match="There is no store at"):
        tc.open_shop(tmp_path / "none")
