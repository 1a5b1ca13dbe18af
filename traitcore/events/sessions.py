"""split_sessions: the rows of a log, customer by customer, in order of time, cut into sessions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._errors import InputError
from .._progress import Progress
from .._validate import Checks
from .ids import chain_hashes, code_integers, hashable_ids
from .log import EventLog
from .session_report import NoSessionLeft, SessionReport, TiedEventsWarning, tied_warning

GAP_SECONDS = 1800
TIES = ("shuffle", "content", "row")
_CHECK = Checks("split_sessions")
_TIE_RULES = {"row": 0, "content": 1, "shuffle": 2}
# What becomes of sessions and events, as cut_sessions counts them.
_KEPT, _STARTS, _SHORT, _LONG, _FAST, _DAY, _REPEAT, _DUPLICATE = range(8)


@dataclass(frozen=True, eq=False)
class Sessions:
    """Rows of a log in session order.

    Attributes
    ----------
    log : the EventLog that `order` indexes.
    order : (n_events,) int64 rows of the log, session by session, each in order of time.
    offsets : (n_sessions + 1,) int64; session s is order[offsets[s]:offsets[s + 1]].
    owner : (n_sessions,) int32 codes into `log.user_ids`, rising; or None: the log has no users.
    timestamps_us : (n_events,) int64 times in the order of `order`, or None.
    report : SessionReport.
    """

    log: EventLog
    order: NDArray[np.int64]
    offsets: NDArray[np.int64]
    owner: NDArray[np.int32] | None
    timestamps_us: NDArray[np.int64] | None
    report: SessionReport

    def refuse_changes(self) -> None:
        """ValueError where an array was changed so that it leads out of the log, or out of itself."""
        self.log.refuse_changes()
        n, order, offsets, owner = len(self.log), self.order, self.offsets, self.owner
        users = 0 if self.log.user_ids is None else len(self.log.user_ids)
        for name, good in (
            ("order", not len(order) or (order.min() >= 0 and order.max() < n)),
            ("offsets", offsets[0] == 0 and offsets[-1] == len(order) and not (offsets[1:] < offsets[:-1]).any()),
            ("owner", owner is None or not len(owner) or (owner.min() >= 0 and owner.max() < users)),
        ):
            if not good:
                message = _CHECK.message(f"sessions.{name}", "as split_sessions made it", "other values")
                raise ValueError(f"{message} The array was changed.")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.int64]:
        """Rows of session `index`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"session {index} of {len(self)}")
        i = index % len(self)
        return self.order[self.offsets[i] : self.offsets[i + 1]]

    def __repr__(self) -> str:
        return f"Sessions({len(self):,} sessions, {len(self.order):,} events)"


@dataclass
class _Groups:
    """Rows that are sorted together: a customer's, or those of one given session of one customer."""

    code: NDArray[np.int32]
    n: int
    owner: NDArray[np.int32] | None  # user of each group; None: the log has no users
    given_sessions: bool
    session: NDArray[np.int64] | None = None  # where groups are pairs of user and session


@dataclass(frozen=True)
class SessionRules:
    """How sessions are cut and which are removed; -1: no limit. The checked parameters of `split_sessions`."""

    gap_us: int
    min_length: int
    per_session: int
    per_minute: int
    per_day: int
    merge: bool
    drop: bool
    ties: str
    seed: int
    workers: int

    @classmethod
    def checked(
        cls, *, gap_seconds: float | None, min_length: int, max_events_per_session: int | None,
        max_events_per_minute: int | None, max_events_per_day: int | None, merge_repeats: bool, drop_duplicates: bool,
        ties: str, seed: int, workers: int,
    ) -> SessionRules:
        """The rules of these parameters of split_sessions."""
        gap_us = -1
        if gap_seconds is not None:
            gap_us = round(_CHECK.real("gap_seconds", gap_seconds, 0, 1e10, open_low=True) * 1e6)
        min_length = _CHECK.integer("min_length", min_length, 1)
        session, minute, day = (
            -1 if value is None else _CHECK.integer(name, value, 1)
            for name, value in (
                ("max_events_per_session", max_events_per_session),
                ("max_events_per_minute", max_events_per_minute),
                ("max_events_per_day", max_events_per_day),
            )
        )
        merge = _CHECK.boolean("merge_repeats", merge_repeats)
        drop = _CHECK.boolean("drop_duplicates", drop_duplicates)
        _CHECK.choice("ties", ties, TIES)
        if drop and ties == "row":
            raise _CHECK.value_error("drop_duplicates", "False with ties='row'", True)
        seed, workers = _CHECK.seed("seed", seed), _CHECK.workers(workers)
        return cls(gap_us, min_length, session, minute, day, merge, drop, ties, seed, workers)


def split_sessions(
    log: EventLog,
    *,
    gap_seconds: float | None = GAP_SECONDS,
    min_length: int = 2,
    max_events_per_session: int | None = None,
    max_events_per_minute: int | None = None,
    max_events_per_day: int | None = None,
    merge_repeats: bool = False,
    drop_duplicates: bool = False,
    ties: str = "shuffle",
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Sessions:
    """Cut each customer's history into sessions, wherever nothing happens for more than `gap_seconds`.

    Rows may come in any order. A log with a session column keeps its sessions (`gap_seconds` must then be left
    alone); one session id at two customers is two sessions. A log without users, or without times, needs a
    session column, or `gap_seconds=None`: then a customer's history is one session.

    Events are ordered by (timestamp, position). Nothing is known of the order of those equal in both (the lines of a
    basket), and any fixed order would make neighbours in it look alike to every window: `ties` says what to do. Except
    with "row", the order of the log's rows makes no difference. In a log with neither timestamps nor positions all
    events of a session are equal in both: it is a basket.

    Parameters
    ----------
    gap_seconds : a longer pause starts a session; None: never.
    min_length : sessions with fewer events (after merging) are removed.
    max_events_per_session : longer sessions are removed as bots'.
    max_events_per_minute : sessions with more events than this within any 60 s are removed as bots'.
    max_events_per_day : customers with more events on any UTC day are removed as bots, with all their sessions.
    merge_repeats : an event with the action and item of the one before it, in the same session, is merged into it.
    drop_duplicates : an event equal to another in everything is dropped (not with ties="row").
    ties : order of events equal in time and position, or without either. "shuffle": items in random order, an item's
        own actions along the funnel; "content": by action along the funnel, then by item id; "row": as in the log, for
        logs that are known to be in order.
    seed : of "shuffle". The place of an event comes from a hash of (seed, user, session, time, position, item), by
        their ids: it doesn't depend on the other rows, users or items of the log, nor on `workers`.
    workers : threads; the result does not depend on it.

    The limits look at events as logged, before merging. What was removed is counted in `report`.

    Warns
    -----
    TiedEventsWarning : more than half of the neighbours have the same time, or none is known, unless ties="row": models
        that learn from neighbours need a wider window (`report.advised_window`).

    Raises
    ------
    InputError : no session is left (the message says which rule to relax), or the log lacks a column that is needed.

    See Also
    --------
    tokenize : turns the sessions into sequences of tokens.

    Examples
    --------
    >>> import traitcore as tc
    >>> log = tc.EventLog.from_columns({"user_id": [7, 7, 7], "timestamp": [0, 60, 9000], "item_id": [5, 3, 4]},
    ...                                action=None, timestamp_unit="s")
    >>> sessions = tc.split_sessions(log, min_length=1)
    >>> [log.item_ids[log.item[rows]].tolist() for rows in (sessions[0], sessions[1])]
    [[5, 3], [4]]
    """
    if not isinstance(log, EventLog):
        raise _CHECK.type_error("log", "an EventLog", type(log).__name__)
    rules = SessionRules.checked(
        gap_seconds=gap_seconds, min_length=min_length, max_events_per_session=max_events_per_session,
        max_events_per_minute=max_events_per_minute, max_events_per_day=max_events_per_day,
        merge_repeats=merge_repeats, drop_duplicates=drop_duplicates, ties=ties, seed=seed, workers=workers,
    )
    if len(log) == 0:
        raise InputError("The log has no events: there is nothing to split.")
    log.refuse_changes()
    report_progress = progress or (lambda stage, done, total: None)
    report_progress("sessions", 0, len(log))
    sessions = split_bucket(log, rules)
    check_sessions(sessions.report, rules, stacklevel=3)
    report_progress("sessions", len(log), len(log))
    return sessions


def split_bucket(log: EventLog, rules: SessionRules) -> Sessions:
    """Sessions of a log, or of some of its customers; there may be none. `check_sessions` looks at the whole report."""
    _check_log(log, rules)
    n_threads, given = rules.workers, log
    if log.timestamp_us is None and log.position is None and rules.ties != "row":
        log = replace(log, position=np.zeros(len(log), dtype=np.int64))  # no order is known: all are tied
    groups = _groups_of(log)
    order, bounds, times = _in_order(log, groups, rules.ties, rules.seed, n_threads)
    if groups.given_sessions and groups.owner is not None and times is not None:
        order, bounds, times, groups = _by_first_time(groups, order, bounds, times)
    return replace(_cut(log, groups, order, bounds, times, rules, n_threads), log=given)


def check_sessions(report: SessionReport, rules: SessionRules, *, stacklevel: int) -> None:
    """InputError where no session is left; TiedEventsWarning where most neighbours have the same time."""
    if report.events_kept == 0:
        raise NoSessionLeft(report, rules.min_length)
    if report.baskets:
        warnings.warn(tied_warning(report, rows_in_order=True), TiedEventsWarning, stacklevel=stacklevel)


def _check_log(log: EventLog, rules: SessionRules) -> None:
    if log.session is not None and rules.gap_us not in (-1, GAP_SECONDS * 1_000_000):
        rule = "left alone where the log has a session column"
        raise _CHECK.value_error("gap_seconds", rule, rules.gap_us / 1e6)
    if log.session is None and log.user is None:
        raise InputError("The log has neither users nor sessions: name the column of one or the other.")
    if log.timestamp_us is None:
        if log.session is None and rules.gap_us >= 0:
            raise InputError(
                "The log has no timestamps to cut at: name a timestamp or a session column, or pass "
                "gap_seconds=None to make each customer's history one session."
            )
        if rules.per_minute >= 0 or rules.per_day >= 0:
            raise InputError("max_events_per_minute and max_events_per_day need timestamps; the log has none.")
    if log.user is None and rules.per_day >= 0:
        raise InputError("max_events_per_day needs users; the log has none.")


def _groups_of(log: EventLog) -> _Groups:
    if log.session is None:
        assert log.user is not None
        assert log.user_ids is not None
        n = len(log.user_ids)
        return _Groups(log.user, n, np.arange(n, dtype=np.int32), False)
    assert log.session_ids is not None
    n_sessions = len(log.session_ids)
    if log.user is None:
        return _Groups(log.session, n_sessions, None, True)
    code, pairs = code_integers(log.user.astype(np.int64) * n_sessions + log.session)
    return _Groups(code, len(pairs), (pairs // n_sessions).astype(np.int32), True, pairs % n_sessions)


def _in_order(
    log: EventLog, groups: _Groups, ties: str, seed: int, workers: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]:
    """(rows by group, sorted in each; (n_groups + 1,) bounds; times of the rows, if the log has them)."""
    group_hash = item_hash = None
    if ties == "shuffle":
        group_hash, item_hash = _group_hashes(log, groups), hashable_ids(log.item_ids)
    return _core.order_events(
        groups.code, groups.n, log.timestamp_us, log.position, log.action, log.item, _TIE_RULES[ties], seed, group_hash,
        item_hash, workers,
    )


def _group_hashes(log: EventLog, groups: _Groups) -> NDArray[np.uint64]:
    """(n_groups,) uint64 hashes of the ids of each group's user and session."""
    if log.session_ids is None or log.session is None:
        assert log.user_ids is not None
        return hashable_ids(log.user_ids)
    sessions = hashable_ids(log.session_ids)
    if groups.owner is None or groups.session is None:
        return sessions
    assert log.user_ids is not None
    return chain_hashes(hashable_ids(log.user_ids)[groups.owner], sessions[groups.session])


def _by_first_time(
    groups: _Groups, order: NDArray[np.int64], bounds: NDArray[np.int64], times: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], _Groups]:
    """Put the given sessions of each customer in order of their first event."""
    assert groups.owner is not None
    by_time = np.lexsort((times[bounds[:-1]], groups.owner))
    if (np.diff(by_time) > 0).all():
        return order, bounds, times, groups
    lengths = np.diff(bounds)[by_time]
    new_bounds = np.zeros_like(bounds)
    np.cumsum(lengths, out=new_bounds[1:])
    moved = np.repeat(bounds[by_time] - new_bounds[:-1], lengths) + np.arange(len(order))
    return order[moved], new_bounds, times[moved], _Groups(groups.code, groups.n, groups.owner[by_time], True)


def _cut(
    log: EventLog, groups: _Groups, order: NDArray[np.int64], bounds: NDArray[np.int64],
    times: NDArray[np.int64] | None, rules: SessionRules, workers: int,
) -> Sessions:
    offsets, owner, events, sessions, duplicates, busy, tied = _core.cut_sessions(
        order, bounds, times, groups.owner, log.position, log.action, log.item,
        -1 if groups.given_sessions else rules.gap_us, rules.min_length, rules.per_session, rules.per_minute,
        rules.per_day, rules.merge, rules.drop, workers,
    )
    kept = int(offsets[-1])
    report = _report(log, events, sessions, duplicates, owner, busy, groups.given_sessions, kept)
    report = replace(report, neighbours_tied=tied, ties=rules.ties)
    return Sessions(
        log, _shrunk(order, kept), offsets, owner, None if times is None else _shrunk(times, kept), report
    )


def _shrunk(array: NDArray[Any], n: int) -> NDArray[Any]:
    """The first n elements; copied where a view would keep much more memory alive."""
    part = array[:n]
    part = part.copy() if n < 0.8 * len(array) else part
    part.flags.writeable = False
    return part


def _report(
    log: EventLog, events: NDArray[np.int64], sessions: NDArray[np.int64], duplicates: int,
    owner: NDArray[np.int32] | None, n_banned: int, given_sessions: bool, kept: int,
) -> SessionReport:
    return SessionReport(
        events=len(log), events_kept=kept, sessions_kept=int(sessions[_KEPT]),
        customers=None if log.user_ids is None else len(log.user_ids),
        customers_kept=None if owner is None else int((np.diff(owner) > 0).sum()) + (len(owner) > 0),
        sessions_too_short=int(sessions[_SHORT]), events_too_short=int(events[_SHORT]),
        sessions_too_long=int(sessions[_LONG]), events_too_long=int(events[_LONG]),
        sessions_too_fast=int(sessions[_FAST]), events_too_fast=int(events[_FAST]),
        sessions_of_busy_customers=int(sessions[_DAY]), events_of_busy_customers=int(events[_DAY]),
        customers_too_busy=n_banned, events_merged=int(events[_REPEAT]), events_duplicate=int(events[_DUPLICATE]),
        duplicates_seen=int(duplicates), cut_by="session column" if given_sessions else "gap",
    )
