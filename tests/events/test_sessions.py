"""split_sessions against its slow twin, the properties demanded of it, and its errors."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import events as reference
from traitcore import EventLog, InputError, split_sessions
from traitcore.events.session_report import BASKET_WINDOW, WINDOW, TiedEventsWarning

pytestmark = pytest.mark.filterwarnings("ignore::traitcore.events.session_report.TiedEventsWarning")
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
    )


def slow_rows(log: EventLog) -> list[dict[str, Any]]:
    columns = {
        "user": log.user, "session": log.session, "time": log.timestamp_us, "position": log.position,
        "action": log.action, "item": log.item,
    }
    ids = {"user_id": (log.user_ids, log.user), "session_id": (log.session_ids, log.session),
           "item_id": (log.item_ids, log.item)}
    texts = {name: None if codes is None else names[codes].tolist() for name, (names, codes) in ids.items()}
    return [
        {name: None if c is None else int(c[n]) for name, c in columns.items()}
        | {name: None if c is None else c[n] for name, c in texts.items()}
        for n in range(len(log))
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
@given(
    events, rules, st.integers(1, 200), st.booleans(), st.sampled_from(["shuffle", "content", "row"]),
    st.sampled_from([1, 3]),
)
def test_equals_the_slow_twin(rows: Any, rule: Any, gap: int, drop: bool, ties: str, workers: int) -> None:
    log = make_log(rows)
    drop = drop and ties != "row"
    options = {"gap_seconds": gap * 60, "drop_duplicates": drop, "ties": ties, "seed": gap, "workers": workers, **rule}
    expected = reference.split_sessions(
        slow_rows(log), gap_us=gap * MINUTE, min_length=rule["min_length"], max_session=rule["max_events_per_session"],
        max_minute=rule["max_events_per_minute"], max_day=rule["max_events_per_day"], merge=rule["merge_repeats"],
        drop=drop, ties=ties, seed=gap,
    )
    if not expected:
        with pytest.raises(InputError, match="No session is left"):
            split_sessions(log, **options)
        return
    sessions = split_sessions(log, **options)
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
    ]
    assert report.events_kept + sum(removed) == report.events == len(log)
    assert report.sessions_kept == len(sessions)
    assert report.customers_kept == len(set(sessions.owner.tolist()))


@given(events, st.randoms(use_true_random=False), st.booleans(), st.sampled_from(["shuffle", "content"]))
def test_permuting_the_rows_changes_nothing(rows: Any, random: Any, drop: bool, ties: str) -> None:
    shuffled = rows.copy()
    random.shuffle(shuffled)
    one, two = (
        split_sessions(make_log(r), min_length=1, merge_repeats=True, drop_duplicates=drop, ties=ties, workers=w)
        for r, w in ((rows, 1), (shuffled, 3))
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
def test_given_sessions_equal_the_slow_twin(rows: Any, marks: Any, with_users: bool) -> None:
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


@pytest.mark.parametrize("users", [False, True])
def test_sessions_without_times_are_baskets_unless_rows_are_known_to_be_in_order(users: bool) -> None:
    rng = np.random.default_rng(0)
    columns = {"s": np.arange(240) // 6, "u": np.arange(240) // 12, "item_id": np.arange(240) % 6}
    options: dict[str, Any] = {"user": "u" if users else None, "timestamp": None, "action": None, "session": "s"}
    log = EventLog.from_columns(columns, **options)
    with pytest.warns(TiedEventsWarning, match="100.0% of the neighbours .* have the same time, or none is known"):
        sessions = split_sessions(log)
    assert sessions.log is log
    assert sessions.timestamps_us is None
    assert (sessions.owner is None) is not users
    assert sessions.report.advised_window == BASKET_WINDOW
    found = log.item[sessions.order].reshape(40, 6)
    assert (np.sort(found, axis=1) == np.arange(6)).all()
    assert len({tuple(row) for row in found.tolist()}) > 30  # each in its own order
    assert abs((np.diff(found, axis=1) == 1).mean() - 1 / 6) < 0.07  # what follows in the rows follows by chance
    mixed = rng.permutation(240)
    with pytest.warns(TiedEventsWarning):
        again = split_sessions(EventLog.from_columns({n: c[mixed] for n, c in columns.items()}, **options))
    assert (again.log.item[again.order].reshape(40, 6) == found).all()
    in_rows = split_sessions(log, ties="row")
    assert (log.item[in_rows.order].reshape(40, 6) == np.arange(6)).all()
    assert not in_rows.report.baskets
    with pytest.warns(TiedEventsWarning):
        assert (log.item[split_sessions(log, ties="content").order].reshape(40, 6) == np.arange(6)).all()


def test_a_history_without_times_is_a_set_too() -> None:
    log = EventLog.from_columns(
        {"user_id": np.repeat(np.arange(30), 8), "item_id": np.tile(np.arange(8), 30)}, timestamp=None, action=None
    )
    with pytest.warns(TiedEventsWarning):
        sessions = split_sessions(log, gap_seconds=None)
    found = log.item[sessions.order].reshape(30, 8)
    assert len({tuple(row) for row in found.tolist()}) == 30


@pytest.mark.parametrize("n", [24, 25, 1000, 4096, 5003])
@pytest.mark.parametrize("spread", [3, 10**4, 10**15])
def test_each_sort_of_a_group_is_stable(n: int, spread: int) -> None:
    times = np.random.default_rng(n).integers(0, spread, n)
    log = EventLog.from_columns(
        {"user_id": np.zeros(n, int), "timestamp": times, "item_id": np.arange(n) % 7}, action=None, timestamp_unit="us"
    )
    sessions = split_sessions(log, gap_seconds=None, ties="row")
    assert sessions.order.tolist() == np.argsort(times, kind="stable").tolist()
    assert sessions.timestamps_us is not None
    assert sessions.timestamps_us.tolist() == np.sort(times).tolist()


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


def test_many_events_in_one_instant_are_sorted() -> None:
    n = 30_000  # a quadratic sort of ties would take minutes
    items = np.random.default_rng(1).permutation(n)
    columns = {"user_id": np.zeros(n, int), "timestamp": np.ones(n, int), "item_id": items}
    log = EventLog.from_columns(columns, action=None, timestamp_unit="s")
    assert log.item[split_sessions(log, ties="content").order].tolist() == list(range(n))
    assert sorted(log.item[split_sessions(log).order].tolist()) == list(range(n))


def baskets(n_baskets: int, items: Any, ids: str = "{}", **more: Any) -> EventLog:
    """Each user buys the same items at one instant of their own."""
    n = len(items)
    columns = {
        "user_id": np.repeat([ids.format(u) for u in range(n_baskets)], n), "item_id": np.tile(items, n_baskets),
        "timestamp": np.repeat(np.arange(n_baskets) * 86_400, n), **{k: np.tile(v, n_baskets) for k, v in more.items()},
    }
    return EventLog.from_columns(
        columns, action="action" if "action" in more else None, timestamp_unit="s", id_types="str",
        order="order" if "order" in more else None,
    )


def items_of(sessions: Any) -> list[list[Any]]:
    log = sessions.log
    return [log.item_ids[log.item[sessions[i]]].tolist() for i in range(len(sessions))]


@pytest.mark.parametrize("ids", ["{}", "küche {}", "0000000000000{}"])
def test_every_order_of_a_basket_is_as_likely(ids: str) -> None:
    items = [ids.format(i) for i in range(6)]
    found = np.array(items_of(split_sessions(baskets(3000, items, ids))))
    neighbours = {(a, b): 0 for a in items for b in items if a != b}
    for left, right in zip(found[:, :-1].ravel().tolist(), found[:, 1:].ravel().tolist()):
        neighbours[left, right] += 1
    # 500 expected of each of the 30 pairs; by id five pairs have 3,000 and the others none.
    assert max(abs(n - 500) for n in neighbours.values()) < 4.5 * np.sqrt(500)
    places = np.array([[(found[:, p] == item).sum() for p in range(6)] for item in items])
    assert abs(places - 500).max() < 4.5 * np.sqrt(500)


def test_a_planted_order_of_ids_is_gone() -> None:
    """Baskets of eight of the twelve items of a family: those next to each other by id are bought together no more
    often than others, which an order by id hides from every small window."""
    rng = np.random.default_rng(0)
    rows = [(u, i) for u in range(400) for i in rng.choice(np.arange(u % 2, 24, 2), 8, replace=False).tolist()]
    user, item = (np.array(c) for c in zip(*rows))
    columns = {"user_id": user, "item_id": item, "timestamp": user * 86_400}
    log = EventLog.from_columns(columns, action=None, timestamp_unit="s")

    def next_by_id(ties: str) -> float:
        found = items_of(split_sessions(log, ties=ties))
        pairs = [(a, b) for basket in found for a, b in pairwise(basket)]
        return sum(0 < b - a <= 4 for a, b in pairs) / len(pairs)  # the first or second id after it in the family

    assert next_by_id("content") > 0.85
    assert next_by_id("shuffle") == pytest.approx(21 / 132, abs=0.03)  # of the 12 * 11 ordered pairs of a family


def test_the_place_of_a_shuffled_event_depends_on_it_alone() -> None:
    """More items and users, and a part of the log, leave the order of the others as it was."""
    items = [f"i{k}" for k in range(12)]
    whole = dict(zip(range(50), items_of(split_sessions(baskets(50, items)))))
    more = items_of(split_sessions(baskets(50, [*items, "a new one", "zz"])))  # codes of all items shift by one
    assert [[i for i in basket if i in items] for basket in more] == list(whole.values())
    log = baskets(50, items)
    half = log.take(np.flatnonzero(log.user % 2 == 0))
    assert items_of(split_sessions(half)) == [whole[u] for u in range(0, 50, 2)]
    assert items_of(split_sessions(log, seed=1)) != list(whole.values())


def test_actions_of_one_item_stay_together_along_the_funnel() -> None:
    items, acts = [1, 2, 1, 2, 1, 3], np.array(["buy", "cart", "view", "view", "cart", "view"], dtype=object)
    orders = set()
    for seed in range(60):
        sessions = split_sessions(baskets(1, [str(i) for i in items], action=acts), seed=seed)
        log = sessions.log
        found = [(log.item_ids[log.item[r]], log.actions[log.action[r]]) for r in sessions[0]]
        for item, wanted in (("1", ["view", "cart", "buy"]), ("2", ["view", "cart"]), ("3", ["view"])):
            places = [place for place, (one, _) in enumerate(found) if one == item]
            assert [found[p][1] for p in places] == wanted
            assert places == list(range(places[0], places[0] + len(wanted)))
        orders.add(tuple(dict.fromkeys(one for one, _ in found)))
    assert len(orders) == 6


def test_repeats_of_one_instant_are_met_whatever_the_order() -> None:
    log = baskets(40, ["b", "a", "b", "c", "a", "b"])
    report = split_sessions(log, drop_duplicates=True).report
    assert (report.events_kept, report.events_duplicate) == (40 * 3, 40 * 3)
    assert split_sessions(log).report.duplicates_seen == 40 * 3
    assert split_sessions(log, merge_repeats=True).report.events_merged == 40 * 3


def test_positions_order_events_and_equal_positions_are_shuffled() -> None:
    found = items_of(split_sessions(baskets(200, list("abcdef"), order=[1, 1, 1, 0, 0, 0])))
    assert all(set(basket[:3]) == set("def") for basket in found)
    assert len({"".join(basket) for basket in found}) == 36
    timeless = EventLog.from_columns(
        {"user_id": np.zeros(60, int), "item_id": np.tile(np.arange(3), 20), "n": np.repeat(np.arange(20), 3)},
        timestamp=None, action=None, order="n",
    )
    sessions = split_sessions(timeless, gap_seconds=None)
    assert len({tuple(basket) for basket in timeless.item[sessions.order].reshape(20, 3).tolist()}) > 3
    assert sessions.report.neighbours_tied == 40


def test_given_sessions_of_one_customer_and_instant_differ() -> None:
    log = EventLog.from_columns(
        {"user_id": np.zeros(60, int), "item_id": np.tile(np.arange(3), 20), "timestamp": np.ones(60, int),
         "s": np.repeat(np.arange(20), 3)}, action=None, session="s", timestamp_unit="s",
    )
    assert len({tuple(basket) for basket in items_of(split_sessions(log))}) > 3


def test_ties_are_reported_and_warned_of() -> None:
    log = baskets(10, list("abcde"))
    for ties, words in (("shuffle", "window of at least 20 (fit_pipeline"), ("content", "ties='shuffle'")):
        with pytest.warns(TiedEventsWarning, match=r"100\.0% of the neighbours .* same time") as caught:
            report = split_sessions(log, ties=ties).report
        assert words in str(caught[0].message)
        assert words in str(report)
        assert "ties='row'" in str(caught[0].message)
        assert caught[0].filename == __file__
        assert (report.neighbours_tied, report.tied_share, report.advised_window) == (40, 1.0, BASKET_WINDOW)


@pytest.mark.filterwarnings("error")
def test_no_warning_where_the_order_is_known() -> None:
    report = split_sessions(baskets(10, list("abcde")), ties="row").report
    assert (report.tied_share, report.advised_window) == (1.0, WINDOW)
    assert "in the log's order" in str(report)
    report = split_sessions(baskets(10, list("abcde"), order=range(5))).report
    assert (report.tied_share, report.advised_window) == (0.0, WINDOW)
    rows = [(1, 0, 0, 1), (1, 0, 0, 2), (1, 1, 0, 3), (1, 2, 0, 4)]
    report = split_sessions(make_log(rows)).report
    assert report.tied_share == 1 / 3
    assert "33.3% of neighbours have the same time" in str(report)


def test_a_busy_day_may_span_given_sessions() -> None:
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


def test_progress_is_reported() -> None:
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
        ({"seed": -1}, ValueError, "'seed'"),
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
            EventLog.from_columns(
                {**columns, "timestamp": [1, 2]}, user=None, action=None, session="s", timestamp_unit="s"
            ),
            max_events_per_day=5,
        )
    with pytest.raises(ValueError, match="left alone where the log has a session column"):
        split_sessions(EventLog.from_columns(columns, session="s", **bare), gap_seconds=60)
    with pytest.raises(InputError, match="no events"):
        split_sessions(EventLog.from_columns(columns, **bare).take([]))
    with pytest.raises(TypeError, match="must be an EventLog"):
        split_sessions(columns)
