"""Sequences: what they promise, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcore import Sequences

lists = st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=8)


@given(lists)
def test_lists_go_in_and_come_out(rows: list[list[int]]) -> None:
    seqs = Sequences.from_lists(rows, owner=np.arange(len(rows)) // 2)
    assert [s.tolist() for s in seqs] == rows
    assert len(seqs) == len(rows)
    assert seqs.n_tokens == sum(map(len, rows))
    assert seqs.n_owners == (len(rows) + 1) // 2
    flat = [t for row in rows for t in row]
    assert seqs.token_counts(10).tolist() == [flat.count(t) for t in range(10)]
    assert [seqs[-i - 1].tolist() for i in range(len(rows))] == rows[::-1]


def test_owners() -> None:
    assert Sequences.from_lists([[1], [2]]).owners().tolist() == [0, 1]
    seqs = Sequences.from_lists([[1], [2]], owner=[1, 1], owner_ids=np.array(["a", "b"], dtype=object))
    assert seqs.owners().tolist() == [1, 1]
    assert seqs.n_owners == 2
    assert "2 sequences, 2 tokens, 2 owners" in repr(seqs)


def test_arrays_are_shared_and_read_only() -> None:
    tokens = np.array([1, 2, 3], dtype=np.int32)
    seqs = Sequences(tokens=tokens, offsets=np.array([0, 3]))
    assert np.shares_memory(seqs.tokens, tokens)
    with pytest.raises(ValueError, match="read-only"):
        seqs.tokens[0] = 5
    tokens[0] = 9  # the caller's own array stays the caller's


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"offsets": [0, 2]}, "'offsets'"), ({"offsets": [1, 3]}, "'offsets'"),
        ({"offsets": [0, 3, 2, 3]}, "a fall after place 1"), ({"offsets": []}, "no values"),
        ({"tokens": [0, -1, 2]}, "-1 at 1"), ({"tokens": [0, 2**31, 1]}, "'tokens'"),
        ({"owner": [0, 0]}, "'owner'"), ({"owner": [-1]}, "'owner'"), ({"timestamps_us": [1]}, "'timestamps_us'"),
        ({"owner": [5], "owner_ids": np.array(["a"])}, "'owner'"),
    ],
)
def test_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sequences(**{"tokens": [0, 1, 2], "offsets": [0, 3], **parts})


@pytest.mark.parametrize("tokens", [[0.5, 1.0, 2.0], ["a", "b", "c"], [True, False, True]])
def test_refused_types(tokens: Any) -> None:
    with pytest.raises(TypeError, match="'tokens'"):
        Sequences(tokens=tokens, offsets=[0, 3])


def test_no_such_sequence() -> None:
    with pytest.raises(IndexError, match="sequence 1 of 1"):
        Sequences.from_lists([[1]])[1]


@given(lists, st.sampled_from([np.int16, np.int64, ">i4", np.uint8]))
def test_any_layout_gives_the_same(rows: list[list[int]], dtype: Any) -> None:
    plain = Sequences.from_lists(rows)
    tokens = np.repeat(plain.tokens.astype(dtype), 2)[::2]
    tokens.flags.writeable = False
    other = Sequences(tokens=tokens, offsets=plain.offsets.astype(">i8"))
    assert other.tokens.tolist() == plain.tokens.tolist()
    assert other.tokens.dtype == np.int32
    assert other.offsets.tolist() == plain.offsets.tolist()


def test_take_gives_sequences_with_all_they_have() -> None:
    corpus = Sequences(
        np.array([5, 6, 7, 8, 9, 5]), np.array([0, 2, 2, 5, 6]), np.array([1, 0, 1, 2]), np.arange(6) * 10,
        ["a", "b", "c"],
    )
    taken = corpus.take([3, 0, 1, 0])
    assert [s.tolist() for s in taken] == [[5], [5, 6], [], [5, 6]]
    assert taken.owners().tolist() == [2, 1, 0, 1]
    assert taken.timestamps_us is not None
    assert taken.timestamps_us.tolist() == [50, 0, 10, 0, 10]
    assert list(taken.owner_ids) == ["a", "b", "c"]
    assert len(corpus.take([])) == 0
    for rows in ([4], [-1]):
        with pytest.raises(ValueError, match=r"'rows' parameter of Sequences\.take"):
            corpus.take(rows)


@given(lists, st.randoms(use_true_random=False))
def test_keep_leaves_events_out_and_sequences_in_place(rows: list[list[int]], random: Any) -> None:
    seqs = Sequences.from_lists(rows, owner=np.arange(len(rows)) // 2)
    kept = [[random.random() < 0.5 for _ in row] for row in rows]
    events = np.array([k for row in kept for k in row], dtype=bool)
    times = Sequences(seqs.tokens, seqs.offsets, seqs.owner, np.arange(seqs.n_tokens), seqs.owner_ids)
    found = times.keep(events)
    assert [s.tolist() for s in found] == [[t for t, k in zip(row, ks) if k] for row, ks in zip(rows, kept)]
    assert found.owners().tolist() == seqs.owners().tolist()
    assert found.timestamps_us is not None
    assert found.timestamps_us.tolist() == np.flatnonzero(events).tolist()


@pytest.mark.parametrize(("events", "error"), [([1, 0, 1], TypeError), ([True, False], ValueError)])
def test_keep_refuses_all_but_one_bool_per_event(events: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"'events' parameter of Sequences\.keep"):
        Sequences.from_lists([[1, 2], [3]]).keep(events)
