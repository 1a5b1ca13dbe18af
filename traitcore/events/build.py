"""From columns to a coded log: bad rows found and refused or set aside, ids coded, times in microseconds."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from . import ids as coding
from . import timestamps
from .columns import Column

ROLES = ("user", "session", "item", "action", "timestamp", "order", "item_text")
# Order of actions within one instant, and of tokens' actions everywhere; others follow by name.
FUNNEL = ("view", "add_cart", "cart", "remove_cart", "remove", "purchase", "buy")
_CANONICAL_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
_FIRST_PLACES = 5
MAX_ACTIONS = 32_767


@dataclass(frozen=True)
class SetAside:
    """Rows set aside for one reason: how many, and the first lines (CSV) or rows (counted from 0) they stand in."""

    count: int
    first: tuple[int, ...]


@dataclass(frozen=True)
class LogReport:
    """What became of the rows read: rows_read = rows_kept + the counts of `set_aside`, which is keyed by reason."""

    source: str
    rows_read: int
    rows_kept: int
    set_aside: Mapping[str, SetAside] = field(default_factory=dict)
    timestamp_unit: str | None = None
    timestamp_unit_detected: bool = False
    id_types: Mapping[str, str] = field(default_factory=dict)
    place: str = "row"

    @property
    def rows_set_aside(self) -> int:
        """Number of rows set aside, over all reasons."""
        return sum(aside.count for aside in self.set_aside.values())

    def as_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers (for JSON)."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.rows_kept:,} of {self.rows_read:,} rows of {self.source} kept"]
        for reason, aside in self.set_aside.items():
            places = ", ".join(map(str, aside.first)) + (", ..." if aside.count > len(aside.first) else "")
            lines.append(f"  set aside {aside.count:,}: {reason} ({self.place} {places})")
        if self.timestamp_unit:
            how = "detected" if self.timestamp_unit_detected else "given"
            lines.append(f"  timestamps: {self.timestamp_unit} ({how})")
        return "\n".join(lines)


class IdCoder:
    """Ids of one role, coded over blocks of rows; `finish` sorts them."""

    def __init__(self, wanted: str = "auto") -> None:
        self.wanted = wanted
        self.kind = ""
        self._integers: coding.IntegerCoder | NDArray[np.int64] | None = None
        self._texts: dict[str, int] = {}

    def code(self, column: Column) -> NDArray[np.int32]:
        """Codes of a block, -1 where null (an empty string is null)."""
        self.kind = self.kind or column.kind
        if column.kind == "texts":
            rank = np.fromiter(
                (self._texts.setdefault(t, len(self._texts)) if t else -1 for t in column.texts),
                dtype=np.int32, count=len(column.texts),
            )  # fmt: skip
            codes = column.values.copy()
            coding.kernels.remap_codes(codes, rank)
            return codes
        if self._integers is None:
            codes, self._integers = coding.code_integers(column.values, column.valid)
            return codes
        if isinstance(self._integers, np.ndarray):
            known, self._integers = self._integers, coding.IntegerCoder()
            self._integers.code(known)
        codes = np.full(len(column), -1, dtype=np.int32)
        rows = slice(None) if column.valid is None else column.valid
        codes[rows] = self._integers.code(np.ascontiguousarray(column.values[rows], dtype=np.int64))
        return codes

    def finish(self, codes: NDArray[np.int32], dropped: bool) -> NDArray[Any]:
        """Distinct ids in rising order; codes are changed in place to point at them."""
        ids: NDArray[Any]
        if self.kind == "texts":
            texts = list(self._texts)
            if self.wanted != "str" and all(map(_is_canonical, texts)):
                ids = np.array([int(t) for t in texts], dtype=np.int64)
            else:
                ids = coding.text_array(texts)
        elif isinstance(self._integers, coding.IntegerCoder):
            ids = self._integers.ids().copy()
        else:
            ids = np.zeros(0, dtype=np.int64) if self._integers is None else self._integers
        if self.kind == "texts" or isinstance(self._integers, coding.IntegerCoder):
            rank, ids = coding.sort_ids(ids)
            coding.kernels.remap_codes(codes, rank)
        if dropped:
            ids = coding.drop_unused(codes, ids)
        ids.flags.writeable = False
        return ids


def _is_canonical(text: str) -> bool:
    return _CANONICAL_INT.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


class LogBuilder:
    """Takes blocks of columns by role, checks and codes each row, and makes the parts of an EventLog.

    `names` gives each role's column name for messages; `place` is what a row's number counts ("line" or "row").
    """

    def __init__(
        self, names: Mapping[str, str], *, source: str, place: str, timestamp_unit: str | None, set_aside: bool,
        id_types: Mapping[str, str], from_text: bool = False, rejects: TextIO | None = None,
    ) -> None:  # fmt: skip
        self.names, self.source, self.place = names, source, place
        self.unit, self.unit_given = timestamp_unit, timestamp_unit is not None
        self._iso: bool | None = None
        self.aside, self.from_text = set_aside, from_text
        self.coders = {role: IdCoder(id_types.get(role, "auto")) for role in ("user", "session", "item", "action")}
        self.coders["action"].wanted = "str"
        self.texts: dict[str, int] = {}
        self.rows_read = 0
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[int]] = {}
        self.parts: dict[str, list[NDArray[Any]]] = {role: [] for role in names}
        self._writer = None if rejects is None else csv.writer(rejects)
        if self._writer is not None:
            self._writer.writerow([self.place, "reason", *names.values()])

    def add(self, columns: Mapping[str, Column], places: Callable[[Any], Any]) -> None:
        """Take one block; places(rows) gives the line or row numbers of rows of the block, for messages."""
        n = len(next(iter(columns.values())))
        faults = _Faults(n)
        coded: dict[str, NDArray[Any]] = {}
        for role, column in columns.items():
            name = self.names[role]
            if role == "timestamp":
                coded[role] = self._times(name, column, faults)
            elif role == "order":
                coded[role] = _positions(name, column, faults)
            elif role == "item_text":
                coded[role] = self._item_texts(column)
            else:
                coded[role] = self._ids(role, name, column, faults)
        self.rows_read += n
        good = self._deal_with(faults, columns, places)
        for role, values in coded.items():
            self.parts[role].append(values if good is None else values[good])

    def _ids(self, role: str, name: str, column: Column, faults: _Faults) -> NDArray[np.int32]:
        if column.kind == "times":
            raise InputError(f"{self.source}: column {name!r} must hold {role} ids. Got datetimes instead.")
        coder = self.coders[role]
        if column.kind == "floats":
            column = _integral(name, column, faults)
        if coder.kind and coder.kind != column.kind:
            raise InputError(
                f"{self.source}: column {name!r} must hold ids of one type. Got {coder.kind}, then {column.kind}."
            )
        if coder.wanted == "int" and column.kind == "texts":
            column = _drop_texts(name, column, _is_canonical, "is not an integer", faults)
        codes = coder.code(column)
        faults.mark(codes < 0, f"column {name!r} is null")
        return codes

    def _item_texts(self, column: Column) -> NDArray[np.int32]:
        if column.kind != "texts":
            raise InputError(f"{self.source}: column {self.names['item_text']!r} must hold text.")
        rank = [self.texts.setdefault(t, len(self.texts)) if t.strip() else -1 for t in column.texts]
        codes = column.values.copy()
        coding.kernels.remap_codes(codes, np.array(rank, dtype=np.int32))
        return codes

    def _times(self, name: str, column: Column, faults: _Faults) -> NDArray[np.int64]:
        if column.kind == "texts":
            column = self._parse_times(name, column, faults)
        values = column.values
        if column.valid is not None:
            faults.mark(~column.valid, f"column {name!r} is null")
        bad = faults.bad
        good = values if not bad.any() else values[~bad]
        unit = column.unit
        if column.kind != "times":
            if self.unit is None:
                self.unit = timestamps.detect_unit(good)
            unit = self.unit
        low, stop = timestamps.unit_span(unit, column.kind != "times" and not self.unit_given)
        if len(good) and (good.min() < low or good.max() >= stop):
            with np.errstate(invalid="ignore"):
                faults.mark(values < 0, f"column {name!r} is negative")
                beyond = values >= timestamps.unit_span(unit, False)[1]
                faults.mark(beyond, f"column {name!r} is after year 9999 (read as {unit})")
                other = (values < low) | (values >= stop)
                faults.mark(other, f"column {name!r} is not in {unit}, the unit of most rows")
        if faults.bad.any():
            values = np.where(faults.bad, low, values)
        if values.dtype.kind == "f":
            return timestamps.floats_to_us(values, unit)
        return timestamps.integers_to_us(values, unit)

    def _parse_times(self, name: str, column: Column, faults: _Faults) -> Column:
        """Texts as epoch numbers if the first is one and a unit is not "iso", else as ISO 8601."""
        first = next((t for t in column.texts if t), "")
        if self._iso is None and first:
            self._iso = self.unit == "iso" or (self.unit is None and _number(first) is None)
        parsed = [timestamps.parse_iso(t) if self._iso else _number(t) for t in column.texts]
        empty = np.array([not t for t in column.texts], dtype=np.bool_)
        wrong = np.array([v is None for v in parsed], dtype=np.bool_) & ~empty
        null = column.values < 0
        codes = np.where(null, 0, column.values)
        if not len(column.texts):
            return Column("integers", np.zeros(len(column), dtype=np.int64), ~null)
        null = null | empty[codes]
        what = "is not an ISO 8601 time" if self._iso else "is not a number"
        faults.mark(null, f"column {name!r} is null")
        faults.mark(wrong[codes] & ~null, f"column {name!r} {what}")
        integral = self._iso or all(v is None or isinstance(v, int) for v in parsed)
        table = np.array([0 if v is None else v for v in parsed], dtype=np.int64 if integral else np.float64)
        return Column("times" if self._iso else "integers" if integral else "floats", table[codes], unit="us")

    def _deal_with(
        self, faults: _Faults, columns: Mapping[str, Column], places: Callable[[Any], Any]
    ) -> NDArray[np.bool_] | None:
        """Raise for the first bad row, or count the bad rows; returns which rows are good, None for all."""
        if not faults.bad.any():
            return None
        rows = np.flatnonzero(faults.bad)
        if not self.aside:
            row = int(rows[0])
            reason = faults.reason(row)
            value = next((c.show(row) for r, c in columns.items() if repr(self.names[r]) in reason), "")
            value = "" if "is null" in reason else f" Got {value}."
            raise InputError(
                f"{self.source}, {self.place} {int(places(row))}: {reason}.{value} {len(rows):,} rows here can't be "
                "read; on_bad_rows='set_aside' leaves them out and reports them."
            )
        for code, reason in enumerate(faults.reasons):
            these = np.flatnonzero(faults.codes == code + 1)
            if not len(these):
                continue
            self.counts[reason] = self.counts.get(reason, 0) + len(these)
            seen = self.first.setdefault(reason, [])
            seen += [int(places(row)) for row in these[: _FIRST_PLACES - len(seen)]]
        if self._writer is not None:
            for row in rows.tolist():
                self._writer.writerow(
                    [int(places(row)), faults.reason(row), *(columns[r].text(row) for r in self.names)]
                )
        good: NDArray[np.bool_] = ~faults.bad
        return good

    def finish(self) -> dict[str, Any]:
        """Keyword arguments of EventLog. Raises InputError where no row is left."""
        if self.rows_read == 0:
            raise InputError(f"{self.source} has no rows: there is no event to learn from.")
        kept = sum(map(len, self.parts["item"]))
        aside = {reason: SetAside(n, tuple(self.first[reason])) for reason, n in self.counts.items()}
        if kept == 0:
            reasons = "; ".join(f"{a.count:,}: {reason}" for reason, a in aside.items())
            raise InputError(f"{self.source}: all {self.rows_read:,} rows were set aside ({reasons}).")
        whole = {role: _joined(self.parts.pop(role)) for role in list(self.parts)}
        parts: dict[str, Any] = {}
        for role, coder in self.coders.items():
            if role in whole:
                parts[role] = whole[role]
                parts[f"{role}_ids"] = coder.finish(whole[role], bool(aside))
        if "action" in whole:
            parts["action"], parts["actions"] = _funnel_order(whole["action"], parts.pop("action_ids"), self)
        if "item_text" in whole:
            n_items = len(parts["item_ids"])
            parts["item_texts"] = _usual_texts(whole["item"], whole["item_text"], list(self.texts), n_items)
        parts["timestamp_us"], parts["position"] = whole.get("timestamp"), whole.get("order")
        parts["report"] = LogReport(
            source=self.source, rows_read=self.rows_read, rows_kept=kept, set_aside=aside,
            timestamp_unit=None if "timestamp" not in whole else (self.unit or "datetime"),
            timestamp_unit_detected=not self.unit_given and self.unit is not None, place=self.place,
            id_types={role: "int" if parts[f"{role}_ids"].dtype.kind == "i" else "str"
                      for role in ("user", "session", "item") if f"{role}_ids" in parts},
        )  # fmt: skip
        return parts


class _Faults:
    """The first fault of each row of a block."""

    def __init__(self, n_rows: int) -> None:
        self.codes = np.zeros(n_rows, dtype=np.int8)
        self.reasons: list[str] = []

    @property
    def bad(self) -> NDArray[np.bool_]:
        return self.codes > 0

    def mark(self, rows: NDArray[np.bool_], reason: str) -> None:
        if rows.any():
            self.reasons.append(reason)
            self.codes[rows & (self.codes == 0)] = len(self.reasons)

    def reason(self, row: int) -> str:
        return self.reasons[self.codes[row] - 1]


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _integral(name: str, column: Column, faults: _Faults) -> Column:
    """Floats that are whole numbers (a column of ints with nulls, as pandas and Parquet hold them) as integers."""
    values = column.values
    valid = np.ones(len(values), dtype=np.bool_) if column.valid is None else column.valid
    with np.errstate(invalid="ignore"):
        whole = (values == np.rint(values)) & (np.abs(values) < 2**53)
    faults.mark(valid & ~whole, f"column {name!r} is not an integer or a string")
    valid = valid & whole
    return Column("integers", np.where(valid, values, 0).astype(np.int64), None if valid.all() else valid)


def _drop_texts(name: str, column: Column, allowed: Callable[[str], bool], what: str, faults: _Faults) -> Column:
    wrong = np.array([bool(t) and not allowed(t) for t in column.texts] + [False], dtype=np.bool_)
    rows = wrong[column.values]
    if not rows.any():
        return column
    faults.mark(rows, f"column {name!r} {what}")
    codes = np.where(rows, -1, column.values).astype(np.int32)
    return Column("texts", codes, codes >= 0, texts=["" if w else t for t, w in zip(column.texts, wrong)])


def _positions(name: str, column: Column, faults: _Faults) -> NDArray[np.int64]:
    if column.kind == "texts":
        numbers = [_number(t) for t in column.texts] + [None]
        wrong = np.array([not isinstance(v, int) for v in numbers], dtype=np.bool_)
        faults.mark(wrong[column.values], f"column {name!r} is not an integer")
        table = np.array([v if isinstance(v, int) else 0 for v in numbers], dtype=np.int64)
        return table[column.values]
    if column.kind == "floats":
        column = _integral(name, column, faults)
    if column.valid is not None:
        faults.mark(~column.valid, f"column {name!r} is null")
    return column.values.astype(np.int64, copy=False)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _funnel_order(
    codes: NDArray[np.int32], ids: NDArray[Any], builder: LogBuilder
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    if len(ids) > MAX_ACTIONS:
        raise InputError(
            f"{builder.source}: column {builder.names['action']!r} has {len(ids):,} distinct values, too many for "
            "actions. Is it the right column?"
        )
    names = [str(i) for i in ids]
    order = sorted(range(len(names)), key=lambda i: (FUNNEL.index(names[i]) if names[i] in FUNNEL else len(FUNNEL), i))
    rank = np.empty(len(names), dtype=np.int16)
    rank[order] = np.arange(len(names), dtype=np.int16)
    return rank[codes], tuple(names[i] for i in order)


def _usual_texts(
    item: NDArray[np.int32], text: NDArray[np.int32], texts: list[str], n_items: int
) -> NDArray[Any]:
    """The text met most often with each item, of equals the first in the alphabet; "" where there is none."""
    rank, ordered = coding.sort_ids(coding.text_array(texts))
    has = text >= 0
    pairs = item[has].astype(np.int64) * max(1, len(texts)) + rank[text[has]]
    distinct, counts = np.unique(pairs, return_counts=True)
    best = np.lexsort((distinct, -counts, distinct // max(1, len(texts))))
    owners = distinct[best] // max(1, len(texts))
    lead = np.flatnonzero(np.diff(owners, prepend=-1))
    usual = coding.text_array([""] * n_items)
    usual[owners[lead]] = ordered[distinct[best][lead] % max(1, len(texts))]
    usual.flags.writeable = False
    return usual
