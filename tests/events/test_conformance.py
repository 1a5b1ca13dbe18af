"""Arrays of any layout give the right answer: strided, read-only, byte-swapped, wider, narrower, empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from traitcore import EventLog, InputError, Sequences, encode_tokens, split_sessions, tokenize

RNG = np.random.default_rng(5)
N = 203
PLAIN = {
    "user_id": RNG.integers(-3, 20, N),
    "timestamp": RNG.integers(0, 20_000, N),
    "action": RNG.integers(0, 3, N),
    "item_id": RNG.integers(0, 40, N),
}


def strided(array: Any) -> Any:
    return np.repeat(array, 3)[::3]


def reversed_view(array: Any) -> Any:
    return array[::-1].copy()[::-1]


def column_of_a_matrix(array: Any) -> Any:
    return np.asfortranarray(np.tile(array[:, None], (1, 3))).T.copy().T[:, 1]


def unaligned(array: Any) -> Any:
    raw = np.zeros(array.nbytes + 1, dtype=np.uint8)
    view = raw[1:].view(array.dtype)
    view[:] = array
    return view


def read_only(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "strided": strided,
    "reversed": reversed_view,
    "a column of a matrix": column_of_a_matrix,
    "unaligned": unaligned,
    "read-only": read_only,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "narrower": lambda a: a.astype(np.int32),
    "narrower and byte-swapped": lambda a: a.astype(">i4"),
    "unsigned": lambda a: a.astype(np.uint64) if a.min() >= 0 else a,
    "whole floats": lambda a: a.astype(np.float64),
    "a list": lambda a: a.tolist(),
    "objects": lambda a: a.astype(object),
    "masked": np.ma.array,
}


def everything(columns: dict[str, Any]) -> list[Any]:
    """What comes of a log, through all the callables of the room."""
    log = EventLog.from_columns(columns, timestamp_unit="s")
    corpus = tokenize(split_sessions(log, merge_repeats=True, max_events_per_day=1000), min_count=2)
    seqs, vocabulary = corpus.sequences, corpus.vocabulary
    return [
        *(c.tolist() for c in (seqs.tokens, seqs.offsets, seqs.owner, seqs.timestamps_us, seqs.owner_ids)),
        vocabulary.tokens.tolist(), vocabulary.counts.tolist(), vocabulary.document_frequencies.tolist(),
        log.actions, log.take(np.arange(0, N, 2)).item.tolist(),
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_log_of_any_layout(layout: str) -> None:
    changed = {name: LAYOUTS[layout](column) for name, column in PLAIN.items()}
    expected = everything(PLAIN)
    if layout == "whole floats":
        changed["action"] = PLAIN["action"]
    before = {name: list(column) for name, column in changed.items()}
    assert everything(changed) == expected
    assert {name: list(column) for name, column in changed.items()} == before


@pytest.mark.parametrize("layout", [k for k in LAYOUTS if k != "whole floats"])
def test_tokens_of_any_layout(layout: str) -> None:
    tokens, offsets, owner = PLAIN["item_id"], np.array([0, 0, 50, N]), np.array([2, 0, 2])
    expected = encode_tokens(tokens, offsets, owner=owner)
    change = LAYOUTS[layout]
    if layout in ("objects", "masked"):
        change = LAYOUTS["strided"]  # offsets and owners are arrays of ints
    found = encode_tokens(LAYOUTS[layout](tokens), change(offsets), owner=change(owner))
    assert found.sequences.tokens.tolist() == expected.sequences.tokens.tolist()
    assert found.sequences.owner.tolist() == expected.sequences.owner.tolist()
    assert found.vocabulary.document_frequencies.tolist() == expected.vocabulary.document_frequencies.tolist()
    plain = Sequences(tokens=change(tokens), offsets=change(offsets), owner=change(owner), timestamps_us=change(tokens))
    assert [s.tolist() for s in plain] == [s.tolist() for s in Sequences(tokens=tokens, offsets=offsets)]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64])
def test_ids_of_any_width(dtype: Any) -> None:
    ids = np.array([3, 100, 3, 7], dtype=dtype)
    log = EventLog.from_columns({"item_id": ids}, user=None, timestamp=None, action=None)
    assert log.item_ids.tolist() == [3, 7, 100]
    assert log.item_ids.dtype == np.int64
    assert log.item.tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize("low", [-(2**63), -5, 0, 2**40])
def test_ids_from_end_to_end_of_int64(low: int) -> None:
    ids = np.array([low, 2**63 - 1, low, low + 1])
    log = EventLog.from_columns({"item_id": ids}, user=None, timestamp=None, action=None)
    assert log.item_ids.tolist() == [low, low + 1, 2**63 - 1]
    assert log.item.tolist() == [0, 2, 0, 1]


def test_empty_input_is_refused() -> None:
    for empty in ([], np.zeros(0), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=object), np.array([], dtype=str)):
        with pytest.raises(InputError, match="no rows"):
            EventLog.from_columns(dict.fromkeys(PLAIN, empty))
        with pytest.raises(InputError, match="no tokens"):
            encode_tokens(empty, [0])


def test_one_event_one_user_one_item() -> None:
    columns = {"user_id": ["u"], "timestamp": [0], "action": ["view"], "item_id": ["i"]}
    log = EventLog.from_columns(columns, timestamp_unit="s")
    with pytest.raises(InputError, match="lower min_length"):
        split_sessions(log)
    corpus = tokenize(split_sessions(log, min_length=1))
    assert corpus.vocabulary.tokens.tolist() == ["view_i"]
    assert corpus.vocabulary.n_documents == 1
