"""EventLog: who did what to which item and when, as coded columns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._files import csv_writer, whole_file
from .._looks import html_facts
from .._validate import Checks
from . import ids as coding
from .array_likes import pick_columns
from .arrow import read_stream
from .log_builder import LogBuilder
from .log_report import LogReport
from .pseudonyms import pseudonyms
from .set_aside import RowSource
from .timestamps import UNITS, check_format, format_us

ID_TYPES = ("auto", "int", "str")


@dataclass(frozen=True, eq=False)
class EventLog:
    """Events as columns of equal length; ids are coded, so that kernels see small integers only.

    Attributes
    ----------
    item : (n,) int32 codes into `item_ids`.
    item_ids : (n_items,) int64 or object (str), in rising order.
    user : (n,) int32 codes into `user_ids`, or None: the log has no users.
    user_ids : (n_users,) as item_ids, or None.
    action : (n,) int16 codes into `actions`, or None.
    actions : names of the actions; view, add_cart, cart, remove_cart, remove, purchase, buy first, others by name.
    timestamp_us : (n,) int64 microseconds since 1970 UTC in (-2**62, 2**62), or None.
    session : (n,) int32 codes into `session_ids`, or None: sessions are found by `split_sessions`.
    session_ids : (n_sessions,) as item_ids, or None.
    position : (n,) int64 place within the session or history, from the `order` column, or None.
    item_texts : (n_items,) object (str), the most frequent text of each item ("" where none), or None.
    report : LogReport, what became of the rows read.

    Make one with `from_columns` or `read_events`. Arrays are read-only.

    See Also
    --------
    read_events : a log from a CSV or Parquet file.
    split_sessions : cuts a log into sessions.

    Examples
    --------
    >>> import traitcore as tc
    >>> log = tc.EventLog.from_columns({"user_id": ["ann", "bob", "ann"], "timestamp": [0, 30, 60],
    ...                                 "action": ["view", "buy", "view"], "item_id": [5, 3, 4]},
    ...                                timestamp_unit="s")
    >>> log
    EventLog(3 events, 2 users, 3 items, 2 actions)
    >>> log.user_ids[log.user].tolist()
    ['ann', 'bob', 'ann']
    >>> log.take(log.user == 0).to_columns()["item_id"].tolist()
    [5, 4]
    """

    item: NDArray[np.int32]
    item_ids: NDArray[Any]
    user: NDArray[np.int32] | None = None
    user_ids: NDArray[Any] | None = None
    action: NDArray[np.int16] | None = None
    actions: tuple[str, ...] = ()
    timestamp_us: NDArray[np.int64] | None = None
    session: NDArray[np.int32] | None = None
    session_ids: NDArray[Any] | None = None
    position: NDArray[np.int64] | None = None
    item_texts: NDArray[Any] | None = None
    report: LogReport | None = None

    def __post_init__(self) -> None:
        n = len(self.item)
        for name, dtype, ids in (
            ("item", np.int32, self.item_ids), ("user", np.int32, self.user_ids), ("action", np.int16, self.actions),
            ("timestamp_us", np.int64, None), ("session", np.int32, self.session_ids), ("position", np.int64, None),
        ):
            values = getattr(self, name)
            if values is None:
                continue
            if name == "timestamp_us":
                array = Checks("EventLog").times(name, values, shape=(n,)).view()
            else:
                array = Checks("EventLog").array(name, values, dtype=dtype, shape=(n,)).view()
            if ids is not None and n and (array.min() < 0 or array.max() >= len(ids)):
                got = f"values from {array.min()} to {array.max()}"
                raise Checks("EventLog").value_error(name, f"codes in [0, {len(ids) - 1}]", got)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def refuse_changes(self) -> None:
        """ValueError where codes no longer fit their ids: the caller changed an array that it shares with the log.

        Called by what hands the codes on to kernels, which read and write by them.
        """
        for name, ids in (("item", self.item_ids), ("user", self.user_ids), ("action", self.actions),
                          ("session", self.session_ids)):
            codes = getattr(self, name)
            if codes is None or ids is None or not len(codes):
                continue
            if int(codes.view(f"u{codes.dtype.itemsize}").max()) >= len(ids):  # a negative code is huge as unsigned
                got = f"values from {codes.min()} to {codes.max()}"
                message = Checks("EventLog").message(name, f"codes in [0, {len(ids) - 1}]", got)
                reason = "The array was changed after EventLog was made of it: pass a copy of an array that changes."
                raise ValueError(f"{message} {reason}")

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        users = "" if self.user_ids is None else f", {len(self.user_ids):,} users"
        return f"EventLog({len(self):,} events{users}, {len(self.item_ids):,} items, {len(self.actions)} actions)"

    def _repr_html_(self) -> str:
        counts = {"events": len(self), "users": self.user_ids, "items": self.item_ids, "sessions": self.session_ids}
        facts = {name: n if isinstance(n, int) else len(n) for name, n in counts.items() if n is not None}
        if self.timestamp_us is not None and len(self):
            facts |= {"from": format_us(self.timestamp_us[[self.timestamp_us.argmin()]])[0],
                      "to": format_us(self.timestamp_us[[self.timestamp_us.argmax()]])[0]}
        return html_facts("EventLog", facts | {"actions": self.actions})

    @classmethod
    def from_columns(
        cls,
        data: Any,
        *,
        user: str | None = "user_id",
        timestamp: str | None = "timestamp",
        action: str | None = "action",
        item: str = "item_id",
        session: str | None = None,
        order: str | None = None,
        item_text: str | None = None,
        action_value: str | None = None,
        timestamp_unit: str | None = None,
        timestamp_format: str | None = None,
        id_types: str | Mapping[str, str] = "auto",
        null: str | Sequence[str] | None = None,
        on_bad_rows: str = "raise",
    ) -> EventLog:
        """A log from columns that are in memory.

        Parameters
        ----------
        data : mapping of 1-D arrays or lists, pandas or polars DataFrame, polars LazyFrame, pyarrow table, or any
            object with `__arrow_c_stream__`, such as a DuckDB relation.
        user, timestamp, action, item, session, order, item_text : name of the column of each role; None where the
            log has none. Only `item` is required. `order` is an integer place within the session or history;
            `item_text` describes the item.
        action_value : the action of every row, where there is no action column.
        timestamp_unit : "s", "ms", "us", "ns" for epoch numbers, "iso" for ISO 8601 text; None: ISO 8601 where most
            texts are, else the unit in which most numbers are of the years 1990 to 2099. Datetimes carry their own.
        timestamp_format : how texts are written, by strptime's directives, e.g. "%d/%m/%Y %H:%M".
        id_types : "auto" keeps integers and strings as they are; "int" or "str" (for all, or by role in a mapping
            with keys user, item, session) makes text ids one or the other. 1 and "1" are never the same id.
        null : texts that mean "no value", e.g. "NA"; None: only empty ones do, and such words are noted in the report.
        on_bad_rows : "raise" or "set_aside": rows with a null or empty user, item, action, session or timestamp, or
            a timestamp that can't be one, are refused, or left out and counted in `report`.

        Raises
        ------
        InputError : a column is missing, of mixed or unfit type, or a row is bad; TypeError, ValueError: parameters.
        """
        check = Checks("EventLog.from_columns")
        names = column_names(check, user, timestamp, action, item, session, order, item_text)
        check_options(check, timestamp_unit, on_bad_rows, action, action_value, timestamp_format)
        builder = LogBuilder(
            names, source="columns", set_aside=on_bad_rows == "set_aside", id_types=check_id_types(check, id_types),
            timestamp_unit=timestamp_unit, timestamp_format=timestamp_format, nulls=check_nulls(check, null),
        )
        builder.begin(RowSource("columns"))
        if type(data).__module__.split(".")[0] == "polars" and type(data).__name__ == "LazyFrame":
            there = data.collect_schema().names()
            data = data.select([n for n in dict.fromkeys(names.values()) if n in there] or there).collect()
        if _streams(data):
            for batch in read_stream(_only(data, list(names.values())), names):
                builder.add(batch)
        else:
            builder.add(pick_columns(data, names))
        return log_from(builder, action_value)

    def take(self, rows: ArrayLike) -> EventLog:
        """The events of the given rows (int indices or a boolean mask), in that order; ids keep their codes."""
        index = Checks("EventLog.take").plain("rows", rows)
        index = index.astype(np.int64) if index.size == 0 else index  # np.asarray([]) is float64
        if index.dtype.kind not in "iub" or index.ndim != 1:
            raise Checks("EventLog.take").type_error("rows", "a 1-D array of ints or bools", rows)
        fields = ("item", "user", "action", "timestamp_us", "session", "position")
        taken = {name: getattr(self, name)[index] for name in fields if getattr(self, name) is not None}
        return replace(self, **taken)

    def with_pseudonyms(self, key: bytes) -> EventLog:
        """The same events under other user ids: `pseudonyms(user_ids, key)`. ValueError where the log has no users.

        What is learned of it holds pseudonyms only, and new events get theirs by the same key.
        """
        if self.user is None or self.user_ids is None:
            raise Checks("EventLog.with_pseudonyms").value_error("log", "a log with users", "none")
        names = pseudonyms(self.user_ids, key)
        order = np.argsort(names, kind="stable")
        code_of = np.empty(len(names), dtype=np.int32)
        code_of[order] = np.arange(len(names), dtype=np.int32)
        return replace(self, user=code_of[self.user], user_ids=names[order])

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Columns with external ids, by name; timestamps are datetime64[us] in UTC."""
        columns: dict[str, NDArray[Any]] = {}
        if self.user is not None and self.user_ids is not None:
            columns["user_id"] = self.user_ids[self.user]
        if self.session is not None and self.session_ids is not None:
            columns["session_id"] = self.session_ids[self.session]
        if self.timestamp_us is not None:
            columns["timestamp"] = self.timestamp_us.astype("datetime64[us]")
        if self.action is not None:
            columns["action"] = coding.text_array(list(self.actions))[self.action]
        columns["item_id"] = self.item_ids[self.item]
        if self.position is not None:
            columns["position"] = self.position
        if self.item_texts is not None:
            columns["item_text"] = self.item_texts[self.item]
        return columns

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `to_columns` as CSV (UTF-8, times as ISO 8601); the file appears whole or not at all."""
        columns = self.to_columns()
        if self.timestamp_us is not None:
            columns["timestamp"] = format_us(self.timestamp_us)
        with whole_file(path) as scratch, open(scratch, "w", encoding="utf-8", newline="") as file:
            writer = csv_writer(file)
            writer.writerow(columns)
            for start in range(0, len(self), 65_536):
                writer.writerows(zip(*(c[start : start + 65_536].tolist() for c in columns.values())))


def _streams(data: Any) -> bool:
    """Is it a table that comes as an Arrow stream? pandas' own arrays need no Arrow library."""
    return hasattr(data, "__arrow_c_stream__") and type(data).__module__.split(".")[0] != "pandas"


def _only(data: Any, names: list[str]) -> Any:
    """A polars or pyarrow table with the wanted columns only, so that others aren't converted."""
    if type(data).__module__.split(".")[0] in ("polars", "pyarrow") and hasattr(data, "select"):
        there = getattr(data, "column_names", None) or getattr(data, "columns", [])
        if set(names) <= set(there):
            return data.select(list(dict.fromkeys(names)))
    return data


def column_names(
    check: Checks, user: str | None, timestamp: str | None, action: str | None, item: str, session: str | None,
    order: str | None, item_text: str | None,
) -> dict[str, str]:
    """Column name by role, without the roles that are None."""
    given = {"user": user, "session": session, "item": item, "action": action, "timestamp": timestamp,
             "order": order, "item_text": item_text}
    for role, name in given.items():
        if not isinstance(name, str) and (name is not None or role == "item"):
            raise check.type_error(role, "a column's name", name)
    return {role: name for role, name in given.items() if name is not None}


def check_options(
    check: Checks, timestamp_unit: str | None, on_bad_rows: str, action: str | None, action_value: str | None,
    timestamp_format: str | None,
) -> None:
    """Check the options that all readers share."""
    if timestamp_format is not None:
        if not isinstance(timestamp_format, str):
            raise check.type_error("timestamp_format", "a format of strptime", timestamp_format)
        rule = check_format(timestamp_format)
        if rule is not None:
            raise check.value_error("timestamp_format", rule, timestamp_format)
        if timestamp_unit is not None:
            raise check.value_error("timestamp_unit", "None where timestamp_format is given", timestamp_unit)
    if timestamp_unit is not None:
        check.choice("timestamp_unit", timestamp_unit, (*UNITS, "iso"))
    check.choice("on_bad_rows", on_bad_rows, ("raise", "set_aside"))
    if action_value is not None:
        if not isinstance(action_value, str) or not action_value:
            raise check.type_error("action_value", "a non-empty str", action_value)
        if action is not None:
            rule = "None where an action column is named; action=None says that there is none"
            raise check.value_error("action_value", rule, action_value)


def check_id_types(check: Checks, id_types: str | Mapping[str, str]) -> dict[str, str]:
    """Type wanted of each role's ids."""
    roles = ("user", "session", "item")
    if isinstance(id_types, Mapping):
        for role in id_types:
            check.choice("id_types", role, roles)
        given = dict(id_types)
    else:
        given = dict.fromkeys(roles, id_types)
    for wanted in given.values():
        check.choice("id_types", wanted, ID_TYPES)
    return given


def check_nulls(check: Checks, null: str | Sequence[str] | None) -> frozenset[str] | None:
    """The texts that mean "no value"; None where nothing was said."""
    if null is None:
        return None
    words = (null,) if isinstance(null, str) else null
    if not isinstance(words, (list, tuple, set, frozenset)) or not all(isinstance(word, str) for word in words):
        raise check.type_error("null", "a str or a list of strs", null)
    return frozenset(words)


def log_from(builder: LogBuilder, action_value: str | None) -> EventLog:
    """The finished log, with a constant action where one was given."""
    parts = builder.finish()
    if action_value is not None:
        parts["actions"] = (action_value,)
        parts["action"] = np.zeros(len(parts["item"]), dtype=np.int16)
    return EventLog(**parts)
