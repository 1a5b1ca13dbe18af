"""split_sessions against its slow twin, the properties demanded of it, and its errors."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import events as reference
from traitcore import EventLog, InputError, split_sessions
from traitcore._kernels import sessions as kernels

MINUTE = 60_000_000
ACTIONS = ["view", "cart", "buy"]


def make_log(rows: list[tuple[int, int, int, int]], **more: Any) -> EventLog:
    """A log from (user, minutes, action, item)."""
    user, minutes, action, item = (np.array(c, dtype=np.int64) for c in zip(*rows))
    columns = {"user_id": user, "timestamp": minutes * 60, "item_id": item, **more}
    columns["action"] = np.array(ACTIONS, dtype=object)[action]
    return EventLog.from_columns(
        columns, timestamp_unit="s", session="session" if "session" in more else None,
        order="order" if "order" in more else None,
    )  # fmt: skip


def slow_rows(log: EventLog) -> list[dict[str, Any]]:
    columns = {
        "user": log.user, "session": log.session, "time": log.timestamp_us, "position": log.position,
        "action": log.action, "item": log.item,
    }  # fmt: skip
    return [
        {name: None if c is None else int(c[n]) for name, c in columns.items()} for n in range(len(log))
    ]


def as_lists(sessions: Any) -> list[tuple[Any, list[int]]]:
    owner = [None] * len(sessions) if sessions.owner is None else sessions.owner.tolist()
    return [(owner[i], sessions[i].tolist()) for i in range(len(sessions))]


def contents(sessions: Any) -> list[Any]:
    """Sessions by what happened in them, without row numbers."""
    log = sessions.log
    return [
        (who, [(log.user[r], log.timestamp_us[r], log.action[r], log.item[r]) for r in rows])
        for who, rows in as_lists(sessions)
    ]


events = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3000), st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=60
)
rules = st.fixed_dictionaries(
    {
        "min_length": st.integers(1, 4),
        "max_events_per_session": st.none() | st.integers(1, 8),
        "max_events_per_minute": st.none() | st.integers(1, 3),
        "max_events_per_day": st.none() | st.integers(1, 8),
        "merge_repeats": st.booleans(),
    }
)


@settings(max_examples=150)
@given(events, rules, st.integers(1, 200), st.booleans(), st.sampled_from(["content", "row"]), st.sampled_from([1, 3]))
def test_equals_the_slow_twin(rows: Any, rule: Any, gap: int, drop: bool, ties: str, workers: int) -> None:
    log = make_log(rows)
    drop = drop and ties == "content"
    expected = reference.split_sessions(
        slow_rows(log), gap_us=gap * MINUTE, min_length=rule["min_length"], max_session=rule["max_events_per_session"],
        max_minute=rule["max_events_per_minute"], max_day=rule["max_events_per_day"], merge=rule["merge_repeats"],
        drop=drop, content_ties=ties == "content",
    )  # fmt: skip
    if not expected:
        with pytest.raises(InputError, match="No session is left"):
            split_sessions(log, gap_seconds=gap * 60, drop_duplicates=drop, ties=ties, workers=workers, **rule)
        return
    sessions = split_sessions(log, gap_seconds=gap * 60, drop_duplicates=drop, ties=ties, workers=workers, **rule)
    assert as_lists(sessions) == expected
    assert sessions.timestamps_us.tolist() == log.timestamp_us[sessions.order].tolist()
    check_report(log, sessions)


def check_report(log: EventLog, sessions: Any) -> None:
    """Every event is in exactly one session or in one count of the report."""
    report = sessions.report
    assert len(set(sessions.order.tolist())) == len(sessions.order) == report.events_kept
    removed = [
        getattr(report, f.name) for f in fields(report)
        if f.name.startswith("events_") and f.name != "events_kept"
    ]  # fmt: skip
    assert report.events_kept + sum(removed) == report.events == len(log)
    assert report.sessions_kept == len(sessions)
    assert report.customers_kept == len(set(sessions.owner.tolist()))


@given(events, st.randoms(use_true_random=False), st.booleans())
def test_permuting_the_rows_changes_nothing(rows: Any, random: Any, drop: bool) -> None:
    shuffled = rows.copy()
    random.shuffle(shuffled)
    one, two = (
        split_sessions(make_log(r), min_length=1, merge_repeats=True, drop_duplicates=drop) for r in (rows, shuffled)
    )
    assert contents(one) == contents(two)
    assert one.report == two.report


@given(events)
def test_no_session_crosses_users_and_no_gap_is_above_the_limit(rows: Any) -> None:
    log = make_log(rows)
    sessions = split_sessions(log, min_length=1)
    assert sorted(sessions.order.tolist()) == list(range(len(log)))
    for i in range(len(sessions)):
        members = sessions[i]
        assert set(log.user[members].tolist()) == {sessions.owner[i]}
        gaps = np.diff(log.timestamp_us[members])
        assert (gaps >= 0).all()
        assert (gaps <= 1800e6).all()


@given(events, st.lists(st.integers(0, 3), min_size=60, max_size=60), st.booleans())
def test_ready_made_sessions_equal_the_slow_twin(rows: Any, marks: Any, with_users: bool) -> None:
    log = make_log(rows, session=np.array(marks[: len(rows)]))
    if not with_users:
        log = EventLog.from_columns(
            {**log.to_columns(), "session": np.array(marks[: len(rows)])}, user=None, session="session"
        )
    sessions = split_sessions(log, min_length=1)
    expected = reference.split_sessions(slow_rows(log), gap_us=None, min_length=1)
    if not with_users:  # without users, sessions stand in order of their ids
        expected.sort(key=lambda pair: log.session[pair[1][0]])
    assert as_lists(sessions) == expected
    assert sessions.report.cut_by == "session column"


@given(events, st.lists(st.integers(-5, 5), min_size=60, max_size=60))
def test_position_breaks_ties_and_orders_alone(rows: Any, places: Any) -> None:
    places = np.array(places[: len(rows)])
    log = make_log(rows, order=places)
    expected = reference.split_sessions(slow_rows(log), gap_us=1800 * 10**6, min_length=1, drop=True)
    assert as_lists(split_sessions(log, min_length=1, drop_duplicates=True)) == expected
    timeless = EventLog.from_columns({**log.to_columns()}, timestamp=None, order="position")
    expected = reference.split_sessions(slow_rows(timeless), gap_us=None, min_length=1)
    assert as_lists(split_sessions(timeless, min_length=1, gap_seconds=None)) == expected


def test_a_log_with_sessions_only_keeps_the_order_of_its_rows() -> None:
    log = EventLog.from_columns(
        {"s": [2, 1, 2, 1, 2], "item_id": [9, 8, 7, 6, 9]}, user=None, timestamp=None, action=None, session="s"
    )
    sessions = split_sessions(log)
    assert [s.tolist() for s in (sessions[0], sessions[1])] == [[1, 3], [0, 2, 4]]
    assert sessions.owner is None
    assert sessions.timestamps_us is None


@pytest.mark.parametrize("n", [25, 1000, 5003])
@pytest.mark.parametrize("spread", [3, 10**4, 10**15])
def test_each_sort_of_a_group_is_stable(n: int, spread: int) -> None:
    rng = np.random.default_rng(n)
    keys = rng.integers(0, spread, n)
    sorted_keys, rows = keys.copy(), np.arange(n)
    kernels._stable_sort(sorted_keys, rows, np.empty(n, np.int64), np.empty(n, np.int64), 0, n)
    expected = np.argsort(keys, kind="stable")
    assert rows.tolist() == expected.tolist()
    assert sorted_keys.tolist() == keys[expected].tolist()


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_any_number_of_workers_gives_the_same_bytes(workers: int) -> None:
    rng = np.random.default_rng(0)
    n = 10_007
    rows = list(zip(*(rng.integers(0, top, n).tolist() for top in (101, 5000, 3, 50))))
    log = make_log(rows)
    one = split_sessions(log, max_events_per_day=30, merge_repeats=True)
    many = split_sessions(log, max_events_per_day=30, merge_repeats=True, workers=workers)
    for name in ("order", "offsets", "owner", "timestamps_us"):
        assert getattr(one, name).tobytes() == getattr(many, name).tobytes()
    assert one.report == many.report


def test_many_events_in_one_instant_are_sorted_by_content() -> None:
    n = 30_000  # a quadratic sort of ties would take minutes
    items = np.random.default_rng(1).permutation(n)
    columns = {"user_id": np.zeros(n, int), "timestamp": np.ones(n, int), "item_id": items}
    log = EventLog.from_columns(columns, action=None)
    assert log.item[split_sessions(log).order].tolist() == list(range(n))


def test_a_busy_day_may_span_ready_made_sessions() -> None:
    log = make_log([(1, m, 0, m) for m in range(6)] + [(2, 0, 0, 1), (2, 1, 0, 2)], session=np.array([1, 2] * 4))
    sessions = split_sessions(log, max_events_per_day=5, min_length=1)
    assert set(sessions.owner.tolist()) == {1}  # code 1 is user 2
    assert sessions.report.customers_too_busy == 1
    assert sessions.report.events_of_busy_customers == 6


def test_the_report_reads_well() -> None:
    rows = [(1, 0, 0, 1), (1, 0, 0, 1), (1, 1, 0, 2), (2, 0, 0, 1), (3, 0, 0, 1), *[(4, m, 0, m) for m in range(9)]]
    report = split_sessions(make_log(rows), max_events_per_session=8).report
    text = str(report)
    assert "3 of 14 events kept, in 1 sessions" in text
    assert "removed 2 sessions, 2 events: shorter than min_length" in text
    assert "removed 1 sessions, 9 events: bots: longer than max_events_per_session" in text
    assert "1 exact duplicates are kept" in text
    assert report.as_dict()["events"] == 14


def test_progress_is_told() -> None:
    seen: list[tuple[str, float, float]] = []
    split_sessions(make_log([(1, 0, 0, 1), (1, 1, 0, 2)]), progress=lambda *call: seen.append(call))
    assert seen[-1] == ("sessions", 2, 2)


ONE = [(1, 0, 0, 1), (1, 1, 1, 2)]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"min_length": 3}, InputError, "lower min_length"),
        ({"max_events_per_session": 1}, InputError, "raise max_events_per_session"),
        ({"max_events_per_day": 1}, InputError, "raise max_events_per_day"),
        ({"gap_seconds": 0}, ValueError, "'gap_seconds' parameter of split_sessions"),
        ({"gap_seconds": "30m"}, TypeError, "'gap_seconds'"),
        ({"gap_seconds": float("nan")}, ValueError, "'gap_seconds'"),
        ({"min_length": 0}, ValueError, "'min_length'"),
        ({"min_length": True}, TypeError, "'min_length'"),
        ({"max_events_per_minute": 0}, ValueError, "'max_events_per_minute'"),
        ({"ties": "random"}, ValueError, "'ties'"),
        ({"ties": "row", "drop_duplicates": True}, ValueError, "'drop_duplicates'"),
        ({"merge_repeats": 1}, TypeError, "'merge_repeats'"),
        ({"workers": 0}, ValueError, "'workers'"),
    ],
)
def test_bad_parameters(options: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        split_sessions(make_log(ONE), **options)


def test_what_the_log_must_have() -> None:
    columns = {"user_id": [1, 1], "item_id": [1, 2], "s": [1, 1]}
    bare = {"timestamp": None, "action": None}
    with pytest.raises(InputError, match="neither users nor sessions"):
        split_sessions(EventLog.from_columns(columns, user=None, **bare))
    with pytest.raises(InputError, match="no timestamps to cut at"):
        split_sessions(EventLog.from_columns(columns, **bare))
    with pytest.raises(InputError, match="need timestamps"):
        split_sessions(EventLog.from_columns(columns, session="s", **bare), max_events_per_minute=5)
    with pytest.raises(InputError, match="needs users"):
        split_sessions(
            EventLog.from_columns({**columns, "timestamp": [1, 2]}, user=None, action=None, session="s"),
            max_events_per_day=5,
        )
    with pytest.raises(ValueError, match="left alone where the log has a session column"):
        split_sessions(EventLog.from_columns(columns, session="s", **bare), gap_seconds=60)
    with pytest.raises(InputError, match="no events"):
        split_sessions(EventLog.from_columns(columns, **bare).take([]))
    with pytest.raises(TypeError, match="must be an EventLog"):
        split_sessions(columns)
