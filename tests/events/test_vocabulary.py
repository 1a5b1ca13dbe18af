"""Vocabulary: names that read back, lookups, growth, saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcore import EventLog, InputError, Vocabulary, encode_tokens, split_sessions, tokenize

ids = st.text(st.sampled_from("a_\\\0é "), min_size=1, max_size=4)


def vocabulary_of(events: list[tuple[Any, Any]], **more: Any) -> Vocabulary:
    """A vocabulary of (action, item) pairs, one customer."""
    columns = {"user_id": [1] * len(events), "action": [a for a, _ in events], "item_id": [i for _, i in events]}
    log = EventLog.from_columns(columns, timestamp=None)
    return tokenize(split_sessions(log, gap_seconds=None, min_length=1, ties="row"), action_map=None, **more).vocabulary


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=30))
def test_every_token_is_found_by_its_text_and_its_parts(events: list[tuple[str, str]]) -> None:
    vocabulary = vocabulary_of(events)
    assert len(vocabulary) == len(set(events)) == len(set(vocabulary.tokens.tolist()))
    for row, text in enumerate(vocabulary.tokens.tolist()):
        action = vocabulary.actions[vocabulary.token_action[row]]
        item = vocabulary.item_ids[vocabulary.token_item[row]]
        assert (action, item) in events
        assert vocabulary.row_of(text) == vocabulary.parse(text) == vocabulary.row_of((action, item)) == row
        assert text in vocabulary
        assert row in vocabulary.rows_of_item(item)
    assert vocabulary.decode(vocabulary.encode([vocabulary.tokens.tolist()])) == [vocabulary.tokens.tolist()]


def test_names_that_could_be_confused() -> None:
    vocabulary = vocabulary_of([("view", "a_b"), ("view_a", "b"), ("view\\", "a_b")])
    assert sorted(vocabulary.tokens.tolist()) == ["view\\\\_a_b", "view\\_a_b", "view_a_b"]
    assert vocabulary.row_of(("view_a", "b")) == vocabulary.row_of("view\\_a_b")


def test_the_documented_form_of_a_name() -> None:
    log = EventLog.from_columns(
        {"user_id": ["A"] * 4, "timestamp": [1000, 1010, 1035, 1040], "item_id": ["prod_001"] * 4,
         "action": ["view", "add_cart", "remove_cart", "purchase"]},
        timestamp_unit="s",
    )
    vocabulary = tokenize(split_sessions(log)).vocabulary
    assert vocabulary.tokens.tolist() == ["view_prod_001", "cart_prod_001", "remove_prod_001", "buy_prod_001"]


def test_int_ids() -> None:
    vocabulary = encode_tokens([[7, 7, 9], [7]]).vocabulary
    assert vocabulary.tokens.tolist() == [7, 9]
    assert vocabulary.row_of(np.int64(9)) == vocabulary.parse("9") == 1
    for unknown in ("9", 9.0, True, 8, None, [9], ("view", 9)):
        assert unknown not in vocabulary
    with pytest.raises(KeyError, match=r"'9' is not in the vocabulary of 2 tokens, such as 7, 9"):
        vocabulary.row_of("9")
    with pytest.raises(KeyError, match="'shoe'"):
        vocabulary.parse("shoe")
    assert vocabulary.rows_of_item(9).tolist() == [1]
    assert vocabulary.rows_of_item("9").tolist() == []
    assert vocabulary.rows_of_item(True).tolist() == []


def test_encode_and_decode() -> None:
    vocabulary = encode_tokens([["b", "a", "b"]]).vocabulary
    assert vocabulary.encode([["a"], [], ["b", "a"]]).tokens.tolist() == [1, 0, 1]
    assert vocabulary.encode([["a", "?"], ["?"]], unknown="drop").offsets.tolist() == [0, 1, 1]
    assert vocabulary.decode([1, 0]) == ["a", "b"]
    with pytest.raises(KeyError, match=r"'\?'"):
        vocabulary.encode([["?"]])
    with pytest.raises(TypeError, match="lists of tokens"):
        vocabulary.encode(["ab"])
    with pytest.raises(ValueError, match="'unknown'"):
        vocabulary.encode([], unknown="skip")
    with pytest.raises(ValueError, match=r"'sequences' parameter of Vocabulary\.decode"):
        vocabulary.decode([2])


pairs = st.lists(st.tuples(st.sampled_from(["view", "buy", "odd_one"]), ids), min_size=1, max_size=20)


@given(pairs, pairs)
def test_growing_keeps_old_rows_in_place(first: Any, second: Any) -> None:
    old, new = vocabulary_of(first), vocabulary_of(second)
    grown = old.extended(new)
    assert grown.tokens[: len(old)].tolist() == old.tokens.tolist()
    assert set(grown.tokens.tolist()) == set(old.tokens.tolist()) | set(new.tokens.tolist())
    assert len(set(grown.tokens.tolist())) == len(grown)
    assert grown.tokens[grown.rows_from(new)].tolist() == new.tokens.tolist()
    counts = {t: first_or_0(old, t) + first_or_0(new, t) for t in grown.tokens.tolist()}
    assert dict(zip(grown.tokens.tolist(), grown.counts.tolist())) == counts
    assert (np.diff(grown.counts[len(old) :]) <= 0).all()
    assert grown.n_documents == 2
    assert (grown.document_frequencies <= 2).all()


def first_or_0(vocabulary: Vocabulary, token: str) -> int:
    return int(vocabulary.counts[vocabulary.row_of(token)]) if token in vocabulary else 0


def test_growing_merges_texts() -> None:
    def of(items: list[int], texts: list[str]) -> Vocabulary:
        log = EventLog.from_columns(
            {"s": [1] * len(items), "item_id": items, "text": texts}, user=None, timestamp=None, action=None,
            session="s", item_text="text",
        )
        return tokenize(split_sessions(log, min_length=1, ties="row")).vocabulary

    grown = of([1, 2], ["one", "two"]).extended(of([3, 2], ["three", ""]))
    assert {grown.tokens[r]: grown.text_of(r) for r in range(3)} == {1: "one", 2: "two", 3: "three"}
    assert encode_tokens([[1]]).vocabulary.text_of(0) == ""
    assert encode_tokens([[5]]).vocabulary.extended(of([1], ["one"])).text_of(1) == "one"


def test_kinds_do_not_mix() -> None:
    ints, texts = encode_tokens([[1]]).vocabulary, encode_tokens([["1"]]).vocabulary
    for a, b in ((ints, texts), (texts, vocabulary_of([("view", "1")]))):
        with pytest.raises(ValueError, match="same kind"):
            a.extended(b)


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=30), st.booleans())
def test_saved_and_loaded(tmp_path_factory: Any, events: Any, items_alone: bool) -> None:
    vocabulary = vocabulary_of(events, tokens="item" if items_alone else "auto")
    path = tmp_path_factory.mktemp("vocabulary") / "v.npz"
    vocabulary.save(path)
    again = Vocabulary.load(path)
    assert again.tokens.tolist() == vocabulary.tokens.tolist()
    assert again.actions == vocabulary.actions
    assert again.n_documents == vocabulary.n_documents
    for name in ("token_item", "token_action", "counts", "document_frequencies"):
        assert getattr(again, name).tolist() == getattr(vocabulary, name).tolist()
        assert getattr(again, name).dtype == getattr(vocabulary, name).dtype
    assert all(array.dtype != object for array in vocabulary.to_arrays().values())


def test_texts_and_int_ids_are_saved(tmp_path: Path) -> None:
    log = EventLog.from_columns(
        {"s": [1, 1], "item_id": [5, 7], "text": ["five", None]}, user=None, timestamp=None, action=None,
        session="s", item_text="text",
    )
    vocabulary = tokenize(split_sessions(log, ties="row")).vocabulary
    vocabulary.save(tmp_path / "v.npz")
    again = Vocabulary.load(tmp_path / "v.npz")
    assert again.item_texts.tolist() == ["five", ""]
    assert again.item_ids.tolist() == [5, 7]
    assert again.item_ids.dtype == np.int64
    assert [p.name for p in tmp_path.iterdir()] == ["v.npz"]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    vocabulary = encode_tokens([["a", "b"]]).vocabulary
    path = tmp_path / "v.npz"
    good = vocabulary.to_arrays()
    bad = [
        {k: v for k, v in good.items() if k != "counts"},
        {**good, "counts": good["counts"][:1]},
        {**good, "token_item": good["token_item"] + 5},
        {**good, "format": np.array([99])},
        {**good, "item_ids_bytes": np.array([255, 254], dtype=np.uint8)},
        {**good, "item_ids_offsets": np.array([0, 1])},
        {**good, "counts": np.array(["a", "b"])},
        {**good, "counts": np.array([["a"]], dtype=object)},
    ]
    for arrays in bad:
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=r"v\.npz"):
            Vocabulary.load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"v\.npz"):
        Vocabulary.load(path)
    vocabulary.save(path)
    whole = path.read_bytes()
    for content in (whole[:50], b"", b"no npz", whole[:-40]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"v\.npz"):
            Vocabulary.load(path)
    with pytest.raises(FileNotFoundError):
        Vocabulary.load(tmp_path / "no.npz")
