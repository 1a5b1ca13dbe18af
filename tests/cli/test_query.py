"""Questions of a store: similar, traits, customer, recommend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.command_line import answer, refused, said
from traitcore.pipeline import vocabulary_of
from traitcore.serving.recommend import next_items
from traitcore.serving.store import TableStore
from traitcore.serving.table import EmbeddingTable
from traitcore.shop.shop import open_shop


def test_similar_is_what_the_table_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    tokens = TableStore(store).open("tokens")
    token = tokens.ids[3]
    found = answer(capsys, "similar", token, "-k", "4", "--store", store)
    assert [(f["token"], pytest.approx(f["score"])) for f in found["found"]] == tokens.most_similar(token, 4)
    assert found["token"] == token
    assert found["description"]
    text = said(capsys, "similar", token, "-k", "4", "--store", store)
    assert all(f["token"] in text and f["description"] in text for f in found["found"])


def with_choice(folder: Path, tmp_path: Path, choice: dict[str, Any]) -> str:
    """A store with the same tables but for what they say of `--next`."""
    was, store, versions = TableStore(folder / "store"), TableStore(tmp_path / "store"), {}
    for name in ("tokens", "items", "customers"):
        table = was.open(name)
        kept = {key: value for key, value in table.metadata.items() if key != "next"}
        copy = EmbeddingTable(
            table.ids, table.vectors, context_vectors=table.context_vectors, arrays=dict(table.arrays),
            metadata=kept | choice | {"versions": dict(versions)},
        )
        versions[name] = store.publish(copy, name)
    return str(store.root)


@pytest.mark.parametrize("by", ["cosine", "context", None, "nonsense"])
def test_next_ranks_as_recorded_and_by_context_vectors_without_a_record(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, by: str | None
) -> None:
    choice = {} if by is None else {"next": {"similar": {"by": by}, "recommend": {"by": by}}}
    store = with_choice(folder, tmp_path, choice)
    tokens, items = TableStore(store).open("tokens"), TableStore(store).open("items")
    token, silent = tokens.ids[3], items.ids[items.arrays["counts"] == 0]
    how: dict[str, Any] = {} if by == "cosine" else {"against": "context_vectors", "metric": "dot"}
    for source, asked, exclude in ((tokens, token, ()), (items, "prod_0012", silent)):
        found = answer(capsys, "similar", asked, "-k", "4", "--next", "--store", store)
        assert found["by"] == ("cosine" if by == "cosine" else "context")
        expected = source.most_similar(asked, 4, exclude=exclude, **how)
        assert [(f["token"], pytest.approx(f["score"])) for f in found["found"]] == expected
    assert ("cosine" in said(capsys, "similar", token, "--next", "--store", store)) == (by == "cosine")
    customers = TableStore(store).open("customers")
    recent = customers.arrays["recent"][0]
    history = vocabulary_of(tokens).token_item[recent[recent >= 0]][::-1]
    context = None if by == "cosine" else items.context_vectors
    ranked = next_items(history, items.vectors, context, k=5, exclude=np.flatnonzero(items.arrays["counts"] == 0))
    found = answer(capsys, "recommend", customers.ids[0], "-k", "5", "--next", "--keep-bought", "--store", store)
    assert [r["item"] for r in found["recommended"]] == items.ids[ranked.rows].tolist()


def test_the_fallback_fills_places_without_evidence(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = str(folder / "store")
    items = TableStore(store).open("items")
    order = np.argsort(-items.arrays["counts"], kind="stable")
    for how in ((), ("--next",)):
        cold = ("recommend", "nobody", "-k", "4", "--store", store, *how)
        assert "--fallback popular" in refused(capsys, *cold)
        found = answer(capsys, *cold, "--fallback", "popular", "--deny", str(items.ids[order[1]]))["recommended"]
        assert [r["item"] for r in found] == items.ids[order[[0, 2, 3, 4]]].tolist()
        assert all(r["score"] is None for r in found)
        assert found[0]["why"] == f"popular: {items.arrays['counts'][order[0]]:,} events"
        assert "who is not in the store" in said(capsys, *cold, "--fallback", "popular")
        known = answer(capsys, "recommend", "cust_00007", "-k", "4", "--store", store, *how)["recommended"]
        same = answer(capsys, "recommend", "cust_00007", "-k", "4", "--store", store, *how, "--fallback", "popular")
        assert same["recommended"] == known
    new = str(items.ids[items.arrays["counts"] == 0][0])  # nobody has done anything with it
    for how in ((), ("--next",)):
        alone = ("recommend", "cust_00007", "--allow", new, "--store", store, *how)
        if how and items.metadata["next"]["recommend"]["by"] == "model":  # it takes part by its content
            assert [r["item"] for r in answer(capsys, *alone)["recommended"]] == [new]
            continue
        assert answer(capsys, *alone)["recommended"] == []
        assert "--fallback popular" in said(capsys, *alone)
        assert answer(capsys, *alone, "--fallback", "popular")["recommended"] == []


def test_an_items_id_gives_items(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    items = TableStore(store).open("items")
    found = answer(capsys, "similar", "prod_0012", "--store", store)
    assert [f["token"] for f in found["found"]] == [i for i, _ in items.most_similar("prod_0012", 10)]
    new = items.ids[items.arrays["counts"] == 0]
    assert len(new)
    following = answer(capsys, "similar", "prod_0012", "--next", "-k", "60", "--store", store)
    assert following["by"] == items.metadata["next"]["similar"]["by"]
    if following["by"] != "model":  # in the model new items take part by their content
        assert not {f["token"] for f in following["found"]} & set(new.tolist())


def test_traits_with_names_shares_and_lift(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    found = answer(capsys, "traits", "--store", store)
    assert len(found["traits"]) == 3
    assert sum(t["prevalence"] for t in found["traits"]) == pytest.approx(1.0, abs=0.02)
    text = said(capsys, "traits", "-k", "2", "--store", store)
    for trait in found["traits"]:
        assert trait["name"] in text
        assert f"{trait['tokens'][0]['lift']:.3f}" in text
        assert trait["tokens"][0]["token"] in text


def test_traits_are_drawn(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    said(capsys, "traits", "--store", str(folder / "store"), "--picture", str(tmp_path / "traits.png"))
    assert (tmp_path / "traits.png").read_bytes().startswith(b"\x89PNG")


def test_a_customer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    customers = TableStore(store).open("customers")
    row = customers.row("cust_00007")
    found = answer(capsys, "customer", "cust_00007", "-k", "3", "--store", store)
    profile = customers.vectors[row]
    assert found["traits"][0]["trait"] == int(profile.argmax())
    assert found["traits"][0]["share"] == pytest.approx(float(profile.max()))
    assert found["events"] == int(customers.arrays["events"][row])
    assert len(found["similar"]) == len(found["latest"]) == len(found["recommended"]) == 3
    assert "cust_00007" not in [c["customer"] for c in found["similar"]]
    text = said(capsys, "customer", "cust_00007", "-k", "3", "--store", store)
    for heading in ("traits", "latest events", "similar customers", "recommended"):
        assert f"\n{heading}\n" in text


def test_recommendations_leave_out_what_was_bought_and_what_is_denied(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(folder / "store")
    customers, items = TableStore(store).open("customers"), TableStore(store).open("items")
    row = int(np.diff(customers.arrays["bought_offsets"]).argmax())
    start, stop = customers.arrays["bought_offsets"][row : row + 2]
    bought = set(items.ids[customers.arrays["bought_items"][start:stop]].tolist())
    who = str(customers.ids[row])
    for how in ((), ("--next",)):
        first = [r["item"] for r in answer(capsys, "recommend", who, "-k", "60", "--store", store, *how)["recommended"]]
        assert len(bought) > 1
        assert first
        assert not bought & set(first)
        kept = answer(capsys, "recommend", who, "-k", "60", "--keep-bought", "--store", store, *how)["recommended"]
        assert bought & {r["item"] for r in kept}
        denied = answer(capsys, "recommend", who, "--deny", first[0], "--deny", first[1], "--store", store, *how)
        assert denied["recommended"][0]["item"] == first[2]
        allowed = answer(capsys, "recommend", who, "--allow", first[1], "--allow", first[3], "--store", store, *how)
        assert [r["item"] for r in allowed["recommended"]] == [first[1], first[3]]


def test_unknown_ids_and_stores(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = str(folder / "store")
    assert "'view_nothing' is not in the vocabulary" in refused(capsys, "similar", "view_nothing", "--store", store)
    unknown = refused(capsys, "customer", "nobody", "--store", store)
    assert "no row for 'nobody'" in unknown
    assert "It has the customers of the fitted log: `traitcore fit` a log that has this one" in unknown
    assert "no row for 'x'" in refused(capsys, "recommend", "cust_00007", "--deny", "x", "--store", store)
    missing = str(tmp_path / "none")
    for command in (["traits"], ["similar", "a"], ["store", "list"]):
        assert "There is no store at" in refused(capsys, *command, "--store", missing)
    assert not (tmp_path / "none").exists()
    assert "no version 'v9'" in refused(capsys, "traits", "--version", "v9", "--store", store)


def test_words_find_an_item_and_scores_are_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    items = TableStore(store).open("items")
    texts = items.metadata["texts"]
    alone = next(row for row, text in enumerate(texts) if text and texts.count(text) == 1)
    assert answer(capsys, "similar", texts[alone], "--store", store)["token"] == items.ids[alone]
    assert "three times as likely for this customer" in said(capsys, "recommend", "cust_00007", "--store", store)
    lists = {by: answer(capsys, "recommend", "cust_00007", "--by", by, "--store", store)["recommended"]
             for by in ("both", "traits")}
    assert lists["both"] != lists["traits"]
    assert all(one["why"].startswith("trait ") for one in lists["traits"])
    assert "x all customers" in said(capsys, "customer", "cust_00007", "--store", store)
    found = answer(capsys, "traits", "--store", store)["traits"][0]
    assert all(isinstance(who, str) for who in found["exemplars"])
    assert "row" not in found["tokens"][0]


def test_a_list_is_mixed_over_traits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(folder / "store")
    for by in ("both", "traits"):
        how = ("recommend", "cust_00007", "--by", by, "-k", "4", "--store", store)
        mixed = answer(capsys, *how, "--max-per-trait", "1")["recommended"]
        shop = open_shop(store)
        assert mixed == shop.recommend("cust_00007", 4, by=by, max_per_trait=1).to_dicts()
        assert mixed != answer(capsys, *how)["recommended"]
    assert "'max_per_trait'" in refused(capsys, *how, "--max-per-trait", "0")


def test_a_session_is_asked_without_what_only_customers_have(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ("recommend", "--session", "prod_0012, prod_0003", "--store", str(folder / "store"))
    assert answer(capsys, *how)["session"] == ["prod_0012", "prod_0003"]
    for flag in (["--next"], ["--keep-bought"], ["--by", "both"], ["--max-per-trait", "0"]):
        assert f"{flag[0]} is for a customer's ID" in refused(capsys, *how, *flag, code=2)
    both = ("recommend", "cust_00007", "--next", "--by", "traits", "--store", str(folder / "store"))
    assert "leave out --by" in refused(capsys, *both, code=2)
    latest = ("recommend", "cust_00007", "--next", "--max-per-trait", "2", "--store", str(folder / "store"))
    assert "leave out --max-per-trait" in refused(capsys, *latest, code=2)
    assert "a customer's ID or --session" in refused(capsys, *how, "cust_00007", code=2)
