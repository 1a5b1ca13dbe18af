"""tokenize and encode_tokens against their slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.test_sessions import ACTIONS, make_log
from tests.reference import events as reference
from traitcore import EventLog, InputError, encode_tokens, split_sessions, tokenize
from traitcore.events import occurrences
from traitcore.events import tokens as module
from traitcore.events.ids import encode_strings

pytestmark = pytest.mark.filterwarnings("ignore::traitcore.events.session_report.TiedEventsWarning")
events = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 300), st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=60
)
MAPS: list[dict[str, str | None] | None] = [
    None, {"view": "look", "cart": "look"}, {"view": None}, {"buy": "view"}, {"other": "x"}
]


@settings(max_examples=150)
@given(events, st.sampled_from(MAPS), st.sampled_from(["item", "action_item"]), st.integers(1, 3), st.integers(1, 3),
       st.sampled_from([1, 3]), st.booleans())
def test_equals_the_slow_twin(
    rows: Any, action_map: Any, kind: str, min_count: int, min_length: int, workers: int, sparse: bool
) -> None:
    sessions = split_sessions(make_log(rows), min_length=1)
    log = sessions.log
    mapped = [(action_map or {}).get(a, a) for a in log.actions]
    names = list(dict.fromkeys(m for m in mapped if m is not None))

    def token(row: int) -> Any:
        item = int(log.item_ids[log.item[row]])
        if kind == "item":
            return (item, -1)
        action = mapped[log.action[row]]
        return None if action is None else (item, names.index(action))

    slow = reference.tokenize(
        [(int(sessions.owner[i]), [token(r) for r in sessions[i]]) for i in range(len(sessions))], min_count, min_length
    )
    options: dict[str, Any] = {"action_map": action_map, "tokens": kind, "min_count": min_count}
    options |= {"min_length": min_length, "workers": workers}
    with pytest.MonkeyPatch.context() as patch:
        if sparse:  # the way of logs with too many possible pairs for a table
            patch.setattr(module, "_PAIRS_PER_EVENT", 0)
            patch.setattr(module, "_PAIRS_AT_LEAST", 0)
        if not slow[0]:
            with pytest.raises(InputError, match="No token is left"):
                tokenize(sessions, **options)
            return
        corpus = tokenize(sessions, **options)
    check(corpus, slow, names)
    report = corpus.report
    assert report.events == len(sessions.order)
    assert report.tokens + report.events_unmapped + report.events_rare + report.events_too_short == report.events


def check(corpus: Any, slow: Any, names: list[str]) -> None:
    sequences, ranked, counts, documents, n_documents = slow
    vocabulary = corpus.vocabulary
    found = list(zip(vocabulary.item_ids[vocabulary.token_item].tolist(), vocabulary.token_action.tolist()))
    assert found == ranked
    assert vocabulary.counts.tolist() == counts
    assert vocabulary.document_frequencies.tolist() == documents
    assert vocabulary.n_documents == n_documents
    assert [[ranked[t] for t in s] for s in corpus.sequences] == sequences
    assert sorted({i for i, _ in ranked}) == vocabulary.item_ids.tolist()
    assert list(vocabulary.actions) == (names if ranked[0][1] >= 0 else [])
    assert corpus.sequences.token_counts(len(vocabulary)).tolist() == counts


@given(events, st.integers(1, 3))
def test_owners_and_times_stay_with_their_tokens(rows: Any, min_count: int) -> None:
    log = make_log(rows)
    sessions = split_sessions(log, min_length=1)
    try:
        corpus = tokenize(sessions, min_count=min_count, action_map=None)
    except InputError:
        return
    seqs, vocabulary = corpus.sequences, corpus.vocabulary
    seen = []
    for i, seq in enumerate(seqs):
        who = seqs.owner_ids[seqs.owner[i]]
        times = seqs.timestamps_us[seqs.offsets[i] : seqs.offsets[i + 1]]
        for row, time in zip(seq, times):
            action = ACTIONS.index(vocabulary.actions[vocabulary.token_action[row]])
            seen.append((who, time // 60_000_000, action, vocabulary.item_ids[vocabulary.token_item[row]]))
    left = list(rows)
    for event in seen:
        left.remove(tuple(map(int, event)))
    assert len(left) == corpus.report.events_rare


@pytest.mark.parametrize("workers", [2, 7])
def test_any_number_of_workers_gives_the_same_bytes(workers: int) -> None:
    rng = np.random.default_rng(0)
    rows = list(zip(*(rng.integers(0, top, 10_007).tolist() for top in (101, 5000, 3, 50))))
    sessions = split_sessions(make_log(rows))
    one, many = (tokenize(sessions, min_count=60, min_length=2, workers=w) for w in (1, workers))
    for name in ("tokens", "offsets", "owner", "timestamps_us"):
        assert getattr(one.sequences, name).tobytes() == getattr(many.sequences, name).tobytes()
    for name in ("token_item", "token_action", "counts", "document_frequencies"):
        assert getattr(one.vocabulary, name).tobytes() == getattr(many.vocabulary, name).tobytes()
    assert one.report == many.report
    assert one.report.events_rare > 0


token_lists = st.lists(st.lists(st.integers(-3, 5), max_size=5), max_size=8)


@settings(max_examples=100)
@given(token_lists, st.booleans(), st.integers(1, 3), st.integers(1, 2), st.booleans(), st.sampled_from([1, 3]))
def test_encode_tokens_equals_the_slow_twin(
    rows: Any, as_text: bool, min_count: int, min_length: int, flat: bool, workers: int
) -> None:
    given_rows = [[f"t{t}" for t in row] for row in rows] if as_text else rows
    owner = [(5 * i) % 3 for i in range(len(rows))]  # not in order
    slow = reference.tokenize(
        [(o, [(t, -1) for t in row]) for o, row in zip(owner, given_rows)], min_count, min_length
    )
    offsets = np.cumsum([0] + [len(r) for r in rows])
    call = ([t for r in given_rows for t in r], offsets) if flat else (given_rows,)
    options = {"owner": owner, "min_count": min_count, "min_length": min_length, "workers": workers}
    if not slow[0]:
        with pytest.raises(InputError, match=r"No token is left|no tokens to encode"):
            encode_tokens(*call, **options)
        return
    corpus = encode_tokens(*call, **options)
    check(corpus, slow, [])
    if min_count == min_length == 1:
        assert corpus.vocabulary.decode(corpus.sequences) == [r for r in given_rows if r]


@pytest.mark.parametrize(
    "flat",
    [np.array(["é", "b", "é"]), np.array([b"c", b"b", b"c"]), np.array(["c", "b", "c"], dtype=object), ("c", "b", "c"),
     np.array([3, 2, 3], dtype=">i2"), np.array([9, 3, 9, 2, 9, 3])[1::2]],
)
def test_flat_tokens_of_any_form(flat: Any) -> None:
    corpus = encode_tokens(flat, [0, 2, 3])
    assert corpus.sequences.tokens.tolist() == [0, 1, 0]
    assert corpus.sequences.offsets.tolist() == [0, 2, 3]
    arrays = encode_tokens([np.asarray(flat)[:2], np.asarray(flat)[2:]])
    assert arrays.vocabulary.tokens.tolist() == corpus.vocabulary.tokens.tolist()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (("abc",), TypeError, "iterable of sequences"), ((["abc"],), TypeError, "iterable of sequences"),
        (([1, 2],), TypeError, "iterable of sequences"), ((5,), TypeError, "iterable of sequences"),
        (([[1, "a"]],), InputError, "of one type"), (([["a", None]],), InputError, "null or empty. Got one at place 1"),
        (([["a", ""]],), InputError, "null or empty"), (([[]],), InputError, "no tokens"),
        (([],), InputError, "no tokens"),
        (([1, 2], [0, 3]), ValueError, "'offsets'"), (([[1.5]],), InputError, "ints or strs"),
        ((np.array([b"\xff"]), [0, 1]), InputError, "UTF-8"),
    ],
)
def test_encode_tokens_refuses(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        encode_tokens(*call)


def test_refused_parameters() -> None:
    sessions = split_sessions(make_log([(1, 0, 0, 1), (1, 1, 1, 2)]))
    for options, error, words in (
        ({"tokens": "pair"}, ValueError, "'tokens'"), ({"min_count": 0}, ValueError, "'min_count'"),
        ({"min_length": 1.5}, TypeError, "'min_length'"), ({"action_map": "view"}, TypeError, "'action_map'"),
        ({"action_map": {"view": ""}}, TypeError, "'action_map'"),
        ({"action_map": {1: "x"}}, TypeError, "'action_map'"),
        ({"workers": -2}, ValueError, "'workers'"), ({"min_count": 2}, InputError, "Lower min_count or min_length"),
        ({"action_map": {"view": None, "cart": None}}, InputError, "2 of actions mapped to None"),
    ):
        with pytest.raises(error, match=words):
            tokenize(sessions, **options)
    with pytest.raises(TypeError, match="must be Sessions"):
        tokenize([[1, 2]])
    bare = EventLog.from_columns({"s": [1, 1], "item_id": [1, 2]}, user=None, timestamp=None, action=None, session="s")
    with pytest.raises(InputError, match="pass tokens='item'"):
        tokenize(split_sessions(bare), tokens="action_item")


def test_the_report_reads_well() -> None:
    rows = [(1, 0, 0, 1), (1, 1, 0, 1), (1, 2, 1, 1), (1, 100, 0, 1), (1, 101, 0, 2)]
    report = tokenize(split_sessions(make_log(rows)), action_map={"cart": None}, min_count=2, min_length=2).report
    text = str(report)
    assert "2 tokens of 1 kinds in 1 sequences (action and item)" in text
    assert "dropped 1 events: their action maps to nothing" in text
    assert "dropped 1 rare tokens, 1 events: min_count" in text
    assert "dropped 1 sequences, 1 events: min_length" in text
    assert report.as_dict()["tokens"] == 2


TEXTS = st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["a", "\xe9", "\u4e2d", "\U0001f600", "a\0"]))


@given(st.lists(TEXTS))
def test_strings_are_encoded_as_by_a_dict(texts: list[str | None]) -> None:
    place: dict[str, int] = {}
    slow = [-1 if t is None else place.setdefault(t, len(place)) for t in texts]
    codes, distinct = encode_strings(texts)
    assert codes.tolist() == slow
    assert distinct == list(place)


def test_many_strings_and_other_types() -> None:
    texts = [f"item_{i * i % 9973}" for i in range(50_000)]
    codes, distinct = encode_strings(tuple(texts))
    assert [distinct[c] for c in codes.tolist()] == texts
    assert len(distinct) == len(set(texts))
    for wrong in (["a", 1], [b"a"], ["a", 1.5, None]):
        with pytest.raises(TypeError, match="strs or None"):
            encode_strings(wrong)
    with pytest.raises(InputError, match="one type"):
        encode_tokens(["a", 1], [0, 2])


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("sorted_owners", [True, False])
def test_occurrences_and_owners_are_counted_in_slices_of_any_size(
    monkeypatch: pytest.MonkeyPatch, sorted_owners: bool, workers: int
) -> None:
    rng = np.random.default_rng(2)
    for size in (1, 5, 1 << 23):
        monkeypatch.setattr(occurrences, "_SLICE", size)
        lengths = rng.integers(0, 6, 40)
        owner = rng.integers(0, 9, 40).astype(np.int32)
        owner = np.sort(owner) if sorted_owners else owner
        codes = rng.integers(-1, 7, lengths.sum()).astype(np.int32)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        for whose in (owner, None):
            counts, documents = occurrences.count_occurrences(codes, offsets, whose, 7, workers)
            each = np.repeat(np.arange(40) if whose is None else whose, lengths)
            for code in range(7):
                assert counts[code] == (codes == code).sum()
                assert documents[code] == len(set(each[codes == code].tolist()))
