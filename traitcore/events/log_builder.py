"""From columns to a coded log: ids become codes, times microseconds; bad rows are refused or set aside."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from . import ids as coding
from . import timestamps
from .columns import Column
from .log_report import LogReport, RejectedRows

ROLES = ("user", "session", "item", "action", "timestamp", "order", "item_text")
# Order of actions within one instant, and of tokens' actions everywhere; others follow by name.
FUNNEL = ("view", "add_cart", "cart", "remove_cart", "remove", "purchase", "buy")
_CANONICAL_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
_FIRST_PLACES = 5
MAX_ACTIONS = 32_767


class IdCoder:
    """Ids of one role, coded over blocks of rows; `finish` sorts them.

    `wanted` type of ids: "int", "str", "keep" that of the column, or "guess" from how texts are written.
    """

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.kind = ""
        self.invalid: set[int] = set()
        self._integers: coding.IntegerCoder | NDArray[np.int64] | None = None
        self._texts: dict[str, int] = {}
        self._spans = coding.TextCoder()

    def code(self, column: Column) -> NDArray[np.int32]:
        """Codes of a block, -1 where null (an empty string is null)."""
        self.kind = column.kind
        if column.kind == "spans":
            codes = self._spans.code(column.buffer, column.values, column.stops)
            self.invalid = self._spans.invalid
            return codes
        if column.kind == "texts":
            return coding.recoded(column.values, np.array([self._code_text(t) for t in column.texts], dtype=np.int32))
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

    def _code_text(self, text: str) -> int:
        if not text:
            return -1
        code = self._texts.setdefault(text, len(self._texts))
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:  # a lone surrogate, which no file can hold
                self.invalid.add(code)
        return code

    def finish(self, codes: NDArray[np.int32], dropped: bool) -> NDArray[Any]:
        """Distinct ids in rising order; codes are changed in place to point at them."""
        ids: NDArray[Any]
        if self.kind in ("spans", "texts"):
            texts = self._spans.texts if self.kind == "spans" else list(self._texts)
            ids = self._typed(texts, coding.drop_unused(codes, np.arange(len(texts))) if dropped else None)
        elif isinstance(self._integers, np.ndarray):
            return coding.drop_unused(codes, self._integers) if dropped else self._integers
        else:
            ids = np.zeros(0, dtype=np.int64) if self._integers is None else self._integers.ids().copy()
            ids = coding.drop_unused(codes, ids) if dropped else ids
        rank, ids = coding.sort_ids(ids)
        coding.remap_codes(codes, rank)
        return ids

    def _typed(self, texts: list[str], used: NDArray[np.int64] | None) -> NDArray[Any]:
        """Texts as int64 if all are written as one would be (and strs are not asked for), else as str objects."""
        if used is not None:
            texts = [texts[i] for i in used.tolist()]
        if self.wanted in ("int", "guess") and all(map(is_canonical, texts)):
            return np.array([int(t) for t in texts], dtype=np.int64)
        return coding.text_array(texts)


def is_canonical(text: str) -> bool:
    """Is the text what str() of an int64 gives?"""
    return _CANONICAL_INT.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


class LogBuilder:
    """Takes blocks of columns by role, checks and codes each row, and makes the parts of an EventLog.

    `names` gives each role's column name for messages; `place` is what a row's number counts ("line" or "row").
    Rows set aside are written to `rejects` too: place, reason and record. With `untyped` columns (a CSV's) ids are
    ints where all are written so, unless id_types says more.
    """

    def __init__(
        self, names: Mapping[str, str], *, source: str, place: str, timestamp_unit: str | None, set_aside: bool,
        id_types: Mapping[str, str], untyped: bool = False, rejects: TextIO | None = None,
    ) -> None:
        self.names, self.source, self.place = names, source, place
        self.unit, self.unit_given = timestamp_unit, timestamp_unit is not None
        self.aside = set_aside
        auto = "guess" if untyped else "keep"
        wanted = {role: auto if kind == "auto" else kind for role, kind in id_types.items()}
        self.coders = {role: IdCoder(wanted.get(role, "str")) for role in ("user", "session", "item", "action")}
        self.texts = coding.TextCoder()
        self.rows_read = 0
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[int]] = {}
        self.parts: dict[str, list[NDArray[Any]]] = {role: [] for role in names}
        self._writer = None if rejects is None else csv.writer(rejects, lineterminator="\n")
        if self._writer is not None:
            self._writer.writerow([self.place, "reason", "record"])

    def add(
        self,
        columns: Mapping[str, Column],
        *,
        places: NDArray[np.int64] | None = None,
        record: Callable[[int], str] | None = None,
        torn: tuple[NDArray[np.bool_], str] | None = None,
    ) -> None:
        """Take one block of rows.

        places: their lines or numbers (None: they are counted on); record(row): a row as it was read; torn: rows
        with a wrong number of fields, and the reason.
        """
        n = len(next(iter(columns.values())))
        if n == 0:
            return
        faults = _Faults(n)
        if torn is not None:
            faults.mark(*torn)
        coded: dict[str, NDArray[Any]] = {}
        for role, column in columns.items():
            name = self.names[role]
            if role == "timestamp":
                coded[role] = self._times(name, column, faults)
            elif role == "order":
                coded[role] = _positions(name, column, faults)
            elif role == "item_text":
                coded[role] = self._item_texts(name, column)
            else:
                coded[role] = self._ids(role, name, column, faults)
        if faults.any:
            if places is None:
                places = np.arange(self.rows_read, self.rows_read + n)
            self._reject(faults, columns, places, record)
            coded = {role: values[faults.codes == 0] for role, values in coded.items()}
        self.rows_read += n
        for role, values in coded.items():
            self.parts[role].append(values)

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
        if column.kind == "integers" and coder.wanted == "str" and role != "action":
            column = _as_texts(column)
        codes = coder.code(column)
        faults.mark(codes < 0, f"column {name!r} is null")
        if coder.invalid:
            faults.mark(np.isin(codes, list(coder.invalid)), f"column {name!r} is not valid UTF-8")
        if coder.wanted == "int" and column.kind in ("texts", "spans"):
            wrong = [row for row in np.flatnonzero(codes >= 0).tolist() if not is_canonical(column.text(row))]
            faults.mark_rows(np.array(wrong, dtype=np.int64), f"column {name!r} is not an integer")
        return codes

    def _item_texts(self, name: str, column: Column) -> NDArray[np.int32]:
        if column.kind not in ("texts", "spans"):
            raise InputError(f"{self.source}: column {name!r} must hold text. Got {column.kind} instead.")
        spans = column.as_spans()
        return self.texts.code(spans.buffer, spans.values, spans.stops)

    def _times(self, name: str, column: Column, faults: _Faults) -> NDArray[np.int64]:
        if column.kind in ("texts", "spans"):
            column = self._parse_times(name, column.as_spans(), faults)
        values = column.values
        if column.valid is not None:
            faults.mark(~column.valid, f"column {name!r} is null")
        good = values[faults.codes == 0] if faults.any else values
        if column.kind == "times":
            unit, detected = column.unit, False
        else:
            if self.unit == "iso":
                raise InputError(f"{self.source}: column {name!r} must hold ISO 8601 text. Got numbers instead.")
            self.unit = self.unit or timestamps.detect_unit(good)
            unit, detected = self.unit, not self.unit_given
        low, stop = timestamps.unit_span(unit, detected)
        if len(good) and (good.min() < low or good.max() >= stop):
            faults.mark(values < 0, f"column {name!r} is before 1970")
            what = f"not in {unit}, the unit of most rows" if detected else "after the year 9999"
            faults.mark((values < low) | (values >= stop), f"column {name!r} is {what}")
        if faults.any:
            values = np.where(faults.codes == 0, values, low)
        if values.dtype.kind == "f":
            return timestamps.floats_to_us(values, unit)
        return timestamps.integers_to_us(values, unit)

    def _parse_times(self, name: str, column: Column, faults: _Faults) -> Column:
        """Spans as epoch numbers or ISO 8601: as the unit says, else as more texts of the first block are."""
        iso = self.unit == "iso"
        values, status = timestamps.parse_spans(column.buffer, column.values, column.stops, iso)
        if self.unit is None and (status == timestamps.WRONG).any():
            others, fit = timestamps.parse_spans(column.buffer, column.values, column.stops, True)
            if np.count_nonzero(fit == timestamps.FINE) >= np.count_nonzero(status == timestamps.FINE):
                iso, self.unit, values, status = True, "iso", others, fit
        faults.mark(status == timestamps.EMPTY, f"column {name!r} is null")
        what = "is not an ISO 8601 time" if iso else "is not a number"
        faults.mark(status == timestamps.WRONG, f"column {name!r} {what}")
        if iso:
            return Column("times", values, unit="us")
        return Column("floats" if values.dtype.kind == "f" else "integers", values)

    def _reject(
        self, faults: _Faults, columns: Mapping[str, Column], places: NDArray[np.int64],
        record: Callable[[int], str] | None,
    ) -> None:
        """Raise for the first bad row, or count and write out the bad rows."""
        rows = np.flatnonzero(faults.codes)
        if not self.aside:
            row = int(rows[0])
            reason = faults.reason(row)
            column = next((c for r, c in columns.items() if f"column {self.names[r]!r}" in reason), None)
            got = "" if column is None or "is null" in reason else f" Got {column.show(row)}."
            raise InputError(
                f"{self.source}, {self.place} {int(places[row])}: {reason}.{got} "
                "(on_bad_rows='set_aside' leaves such rows out and reports them.)"
            )
        for code, reason in enumerate(faults.reasons):
            these = np.flatnonzero(faults.codes == code + 1)
            if len(these):
                self.counts[reason] = self.counts.get(reason, 0) + len(these)
                seen = self.first.setdefault(reason, [])
                seen += places[these[: _FIRST_PLACES - len(seen)]].tolist()
        if self._writer is not None:
            for row in rows.tolist():
                text = "|".join(c.text(row) for c in columns.values()) if record is None else record(row)
                self._writer.writerow([int(places[row]), faults.reason(row), text])

    def finish(self) -> dict[str, Any]:
        """Keyword arguments of EventLog. Raises InputError where no row is left."""
        if self.rows_read == 0:
            raise InputError(f"{self.source} has no rows: there is no event to learn from.")
        kept = sum(map(len, self.parts["item"]))
        aside = {reason: RejectedRows(n, tuple(self.first[reason])) for reason, n in self.counts.items()}
        if kept == 0:
            reasons = "; ".join(f"{a.count:,}: {reason}" for reason, a in aside.items())
            raise InputError(f"{self.source}: all {self.rows_read:,} rows were set aside ({reasons}).")
        whole = {role: _joined(self.parts.pop(role)) for role in list(self.parts)}
        parts: dict[str, Any] = {}
        for role, coder in self.coders.items():
            if role in whole:
                parts[role] = whole[role]
                parts[f"{role}_ids"] = coder.finish(whole[role], bool(aside))
                parts[f"{role}_ids"].flags.writeable = False
        if "action" in whole:
            parts["action"], parts["actions"] = _funnel_order(whole["action"], parts.pop("action_ids"), self)
        if "item_text" in whole:
            n_items = len(parts["item_ids"])
            parts["item_texts"] = _most_frequent_texts(whole["item"], whole["item_text"], self.texts.texts, n_items)
        parts["timestamp_us"], parts["position"] = whole.get("timestamp"), whole.get("order")
        parts["report"] = LogReport(
            source=self.source, rows_read=self.rows_read, rows_kept=kept, set_aside=aside,
            timestamp_unit=None if "timestamp" not in whole else (self.unit or "datetime"),
            timestamp_unit_detected=not self.unit_given and self.unit is not None, place=self.place,
            id_types={role: "int" if parts[f"{role}_ids"].dtype.kind == "i" else "str"
                      for role in ("user", "session", "item") if f"{role}_ids" in parts},
        )
        return parts


class _Faults:
    """The first fault of each row of a block; `codes` (n_rows,) is 0 for a good row."""

    def __init__(self, n_rows: int) -> None:
        self.codes = np.zeros(n_rows, dtype=np.int8)
        self.reasons: list[str] = []

    @property
    def any(self) -> bool:
        return bool(self.reasons)

    def mark(self, rows: NDArray[np.bool_], reason: str) -> None:
        if rows.any():
            self.mark_rows(np.flatnonzero(rows), reason)

    def mark_rows(self, rows: NDArray[np.int64], reason: str) -> None:
        rows = rows[self.codes[rows] == 0]
        if len(rows):
            self.reasons.append(reason)
            self.codes[rows] = len(self.reasons)

    def reason(self, row: int) -> str:
        return self.reasons[int(self.codes[row]) - 1]


def _integral(name: str, column: Column, faults: _Faults) -> Column:
    """Floats that are whole numbers (a column of ints with nulls, as pandas and Parquet hold them) as integers."""
    values = column.values
    valid = np.ones(len(values), dtype=np.bool_) if column.valid is None else column.valid
    with np.errstate(invalid="ignore"):
        whole = (values == np.rint(values)) & (np.abs(values) < 2**53)
    faults.mark(valid & ~whole, f"column {name!r} is not an integer or a string")
    valid = valid & whole
    return Column("integers", np.where(valid, values, 0).astype(np.int64), None if valid.all() else valid)


def _as_texts(column: Column) -> Column:
    """Integers as strs, for id_types="str"."""
    codes, ids = coding.code_integers(column.values, column.valid)
    return Column("texts", codes, texts=[str(i) for i in ids.tolist()])


def _positions(name: str, column: Column, faults: _Faults) -> NDArray[np.int64]:
    if column.kind == "times":
        raise InputError(f"Column {name!r} must hold integers, the order of events. Got datetimes instead.")
    if column.kind in ("texts", "spans"):
        spans = column.as_spans()
        values, status = timestamps.parse_spans(spans.buffer, spans.values, spans.stops, False)
        faults.mark(status == timestamps.EMPTY, f"column {name!r} is null")
        faults.mark(status == timestamps.WRONG, f"column {name!r} is not an integer")
        column = Column("floats" if values.dtype.kind == "f" else "integers", values)
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


def _most_frequent_texts(
    item: NDArray[np.int32], text: NDArray[np.int32], texts: list[str], n_items: int
) -> NDArray[Any]:
    """The most frequent text of each item, the alphabetically first of a tie; "" where there is none."""
    codes, distinct = coding.encode_strings([t.strip() or None for t in texts])
    rank, ordered = coding.sort_ids(coding.text_array(distinct))
    text = np.append(coding.recoded(codes, rank), np.int32(-1))[text]
    has = text >= 0
    n_texts = max(1, len(ordered))
    pairs, counts = np.unique(item[has].astype(np.int64) * n_texts + text[has], return_counts=True)
    best = pairs[np.lexsort((pairs, -counts, pairs // n_texts))]
    lead = best[np.flatnonzero(np.diff(best // n_texts, prepend=-1))]
    usual = coding.text_array([""] * n_items)
    usual[lead // n_texts] = ordered[lead % n_texts]
    usual.flags.writeable = False
    return usual
