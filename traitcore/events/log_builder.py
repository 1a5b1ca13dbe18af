"""From columns to a coded log: ids become codes, times microseconds; bad rows are refused or set aside."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from . import ids as coding
from . import timestamps
from .action_names import in_funnel_order
from .columns import Column, texts_of_integers
from .id_coder import IdCoder
from .id_text import as_integer
from .item_texts import most_frequent_texts, text_counts
from .log_report import InputWarning, LogReport
from .set_aside import RowSource, SetAside
from .time_column import Mark, TimeColumn

ROLES = ("user", "session", "item", "action", "timestamp", "order", "item_text")
CODED = ("user", "session", "item", "action")


class LogBuilder:
    """Takes blocks of columns by role, checks and codes each row, and makes the parts of an EventLog.

    `names` gives each role's column name for messages. Rows set aside are written to `rejects` too: file, line or row,
    reason and record. `nulls`: texts that mean "no value"; None: only "" does.
    """

    def __init__(
        self, names: Mapping[str, str], *, source: str, set_aside: bool, id_types: Mapping[str, str],
        timestamp_unit: str | None = None, timestamp_format: str | None = None, decimal: str = ".",
        nulls: frozenset[str] | None = None, rejects: TextIO | None = None,
    ) -> None:
        self.names, self.source, self.aside, self.decimal = names, source, set_aside, decimal
        self.nulls, self.nulls_given = nulls or frozenset(), nulls is not None
        wanted = {role: "keep" if kind == "auto" else kind for role, kind in id_types.items()}
        self.coders = {role: IdCoder(wanted.get(role, "str"), self.nulls) for role in CODED}
        self.texts = coding.TextCoder()
        self.times = TimeColumn(names.get("timestamp", ""), source, unit=timestamp_unit, form=timestamp_format,
                                decimal=decimal, nulls=self.nulls)
        self.sources: list[RowSource] = []
        self._id_sources: dict[str, RowSource] = {}  # where ids of each role were met first
        self.set_aside = SetAside(rejects)
        self.parts: dict[str, list[NDArray[Any]]] = {role: [] for role in names if role != "timestamp"}
        self._kept: list[tuple[RowSource, NDArray[np.int64] | int, int]] = []  # source, rows or the first one, count

    def begin(self, source: RowSource) -> None:
        """The next blocks come from this source."""
        for coder in self.coders.values():
            coder.flat = coder.flat or source.flat
            if source.untyped and coder.wanted == "keep":
                coder.wanted = "guess"
        self.sources.append(source)

    @property
    def rows_read(self) -> int:
        """Rows of all sources, kept or not."""
        return sum(source.n_read + source.n_torn for source in self.sources)

    def add(
        self, columns: Mapping[str, Column], *, rows: NDArray[np.int64] | None = None, count: int | None = None,
        torn: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take one block of rows.

        rows: their numbers in the source (None: they are counted on); count: how many rows of the source it stands for
        (None: as many as it has); torn: which don't have their fields in place.
        """
        n = len(next(iter(columns.values())))
        source = self.sources[-1]
        start = source.n_rows
        source.n_rows += n if count is None else count
        source.n_read += n
        if n == 0:
            return
        faults = _Faults(n)
        if torn is not None:
            faults.mark(torn, source.reader.torn_reason)
        coded: dict[str, Any] = {}
        for role, column in columns.items():
            name = self.names[role]
            if role == "timestamp":
                coded[role] = self.times.read(column, faults.mark)
            elif role == "order":
                coded[role] = _positions(name, column, faults, self.decimal)
            elif role == "item_text":
                coded[role] = self._item_texts(name, column)
            else:
                coded[role] = self._ids(role, name, column, faults)
        self._mark_misfits(coded, faults.mark)
        good: NDArray[np.bool_] | None = None
        if faults.any:
            numbers = np.arange(start, start + n) if rows is None else rows
            self._reject(faults, columns, numbers)
            good = faults.codes == 0
            rows = numbers[good]
        self._keep(coded, good, source, start if rows is None else rows, n if rows is None else len(rows))

    def _mark_misfits(self, coded: Mapping[str, Any], mark: Mark) -> None:
        """Mark rows that don't fit the rest of the log, where that is known already; here it is at the end."""

    def _keep(
        self, coded: dict[str, Any], good: NDArray[np.bool_] | None, source: RowSource,
        rows: NDArray[np.int64] | int, n_kept: int,
    ) -> None:
        """Keep the good rows of a coded block; `rows`: the numbers of these in the source, or the first one's."""
        if "timestamp" in coded:
            values, of_time = coded.pop("timestamp")
            self.times.keep(values, of_time, good)
        for role, values in coded.items():
            self.parts[role].append(values if good is None else values[good])
        self._kept.append((source, rows, n_kept))

    def reject(self, rows: NDArray[np.int64], reason: str) -> None:
        """Set aside rows of the source that hold no columns at all, such as lines that aren't JSON."""
        source = self.sources[-1]
        if not self.aside:
            self._refuse(source, int(rows[0]), reason, "")
        self.leave_out(rows, reason)

    def leave_out(self, rows: NDArray[np.int64], reason: str) -> None:
        """Count rows that say of themselves that they hold no event: no fault of theirs."""
        self.sources[-1].n_read += len(rows)
        self.set_aside.add(self.sources[-1], rows, reason, None)

    def _ids(self, role: str, name: str, column: Column, faults: _Faults) -> NDArray[np.int32]:
        if column.kind == "times":
            raise InputError(f"{self.source}: column {name!r} must hold {role} ids. Got datetimes instead.")
        coder = self.coders[role]
        if column.kind == "floats":
            column = _integral(name, column, faults)
        if coder.kind and (coder.kind == "integers") != (column.kind == "integers") and not (
            column.numbers or (coder.kind == "texts" and column.kind == "integers" and coder.holds_numbers)
        ):
            raise InputError(
                f"{self.sources[-1].name}: column {name!r} must hold ids of one type. Got {coder.kind}"
                f"{self._first_with_ids(role)}, then {column.kind}."
            )
        if column.kind == "integers" and coder.wanted == "str" and role != "action":
            column = texts_of_integers(column)
        codes = coder.code(column)
        self._id_sources.setdefault(role, self.sources[-1])
        faults.mark(codes < 0, f"column {name!r} is null")
        if coder.invalid:
            faults.mark(np.isin(codes, list(coder.invalid)), f"column {name!r} is not valid UTF-8")
        if coder.nested:
            faults.mark(np.isin(codes, list(coder.nested)), f"column {name!r} is a JSON object or list")
        if coder.wanted == "int" and column.kind in ("texts", "spans"):
            wrong = [row for row in np.flatnonzero(codes >= 0).tolist() if as_integer(column.text(row)) is None]
            faults.mark_rows(np.array(wrong, dtype=np.int64), f"column {name!r} is not an integer")
        return codes

    def _first_with_ids(self, role: str) -> str:
        """" in FILE": the file whose ids were the first of this role, where it is another one."""
        first = self._id_sources.get(role)
        return "" if first is None or first is self.sources[-1] else f" in {first.name}"

    def _item_texts(self, name: str, column: Column) -> NDArray[np.int32]:
        if column.kind not in ("texts", "spans"):
            raise InputError(f"{self.source}: column {name!r} must hold text. Got {column.kind} instead.")
        spans = column.as_spans()
        return self.texts.code(spans.buffer, spans.values, spans.stops)

    def _reject(self, faults: _Faults, columns: Mapping[str, Column], numbers: NDArray[np.int64]) -> None:
        """Raise for the first bad row, or count and write out the bad rows."""
        source = self.sources[-1]
        if not self.aside:
            row = int(np.flatnonzero(faults.codes)[0])
            reason = faults.reason(row)
            column = next((c for r, c in columns.items() if f"column {self.names[r]!r}" in reason), None)
            got = "" if column is None or "is null" in reason else f" Got {column.show(row)}."
            self._refuse(source, int(numbers[row]), reason, got)
        for code, reason in enumerate(faults.reasons):
            these = np.flatnonzero(faults.codes == code + 1)
            if len(these):
                texts = ("|".join(c.text(row) for c in columns.values()) for row in these.tolist())
                self.set_aside.add(source, numbers[these], reason, texts)

    def _refuse(self, source: RowSource, row: int, reason: str, got: str) -> None:
        place, number, other = source.place_of(row)
        reason, got = (reason, got) if other is None else (other, "")
        raise InputError(
            f"{source.name}, {place} {number}: {reason}.{got} "
            "(on_bad_rows='set_aside' leaves such rows out and reports them.)"
        )

    def source_of(self, row: int) -> tuple[RowSource, int]:
        """(source, number in it) of a kept row."""
        for source, rows, n in self._kept:
            if row < n:
                return source, int(rows[row]) if isinstance(rows, np.ndarray) else rows + row
            row -= n
        raise IndexError(row)

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish(self) -> dict[str, Any]:
        """Keyword arguments of EventLog. Raises InputError where no row is left."""
        self._refuse_torn()
        if self.rows_read == 0:
            raise InputError(f"{self.source} has no rows: there is no event to learn from.")
        whole = {role: _joined(self.parts.pop(role)) for role in list(self.parts)}
        if "timestamp" in self.names and sum(n for _, _, n in self._kept) > 0:
            whole["timestamp"] = self._finished_times(whole)
        kept = len(whole["item"])
        parts: dict[str, Any] = {}
        aside = bool(self.set_aside.counts)
        for role, coder in self.coders.items():
            if role in whole:
                parts[role] = whole[role]
                parts[f"{role}_ids"] = coder.finish(whole[role], aside)
                parts[f"{role}_ids"].flags.writeable = False
        notes = self._notes(
            {role: len(parts[f"{role}_ids"]) for role in self.coders if role in parts},
            lambda role, code: int(np.count_nonzero(parts[role] == code)),
            lambda role, code: self.source_of(int(np.argmax(parts[role] == code))),
        )
        self._refuse_empty(kept)
        if "action" in whole:
            parts["action"], parts["actions"] = in_funnel_order(
                whole["action"], parts.pop("action_ids"), f"{self.source}: column {self.names['action']!r}"
            )
        if "item_text" in whole:
            n_items = len(parts["item_ids"])
            counted = text_counts(whole["item"], whole["item_text"])
            parts["item_texts"] = most_frequent_texts(*counted, self.texts.texts, n_items)
        parts["timestamp_us"], parts["position"] = whole.get("timestamp"), whole.get("order")
        roles = [role for role in ("user", "session", "item") if f"{role}_ids" in parts]
        kinds = {role: parts[f"{role}_ids"].dtype.kind for role in roles}
        parts["report"] = self._report(kept, kinds, notes, stacklevel=6)
        return parts

    def _refuse_empty(self, kept: int) -> None:
        """Settle where the rows set aside came from; InputError where no other is left."""
        for source in self.sources:
            self.set_aside.settle(source)
        if kept == 0:
            reasons = "; ".join(f"{a.count:,}: {reason}" for reason, a in self.set_aside.report().items())
            raise InputError(f"{self.source}: all {self.rows_read:,} rows were set aside ({reasons}).")

    def _report(self, kept: int, id_kinds: Mapping[str, str], notes: list[str], *, stacklevel: int) -> LogReport:
        """The report, its notes also as warnings; `id_kinds`: the kind of each role's dtype."""
        places = {source.place for source in self.sources}
        timed = "timestamp" in self.names
        report = LogReport(
            source=self.source, rows_read=self.rows_read, rows_kept=kept, set_aside=self.set_aside.report(),
            timestamp_unit=(self.times.unit or "datetime") if timed else None,
            timestamp_unit_detected=self.times.detected, place=places.pop() if len(places) == 1 else "line or row",
            id_types={role: "int" if kind == "i" else "str" for role, kind in id_kinds.items()},
            notes=(*notes, *self.set_aside.notes),
        )
        for note in report.notes:
            warnings.warn(f"{self.source}: {note}", InputWarning, stacklevel=stacklevel)
        return report

    def _refuse_torn(self) -> None:
        for source in self.sources:
            torn = source.torn()
            if torn is not None and len(torn.starts):
                source.n_torn = len(torn.starts)
                if not self.aside:
                    line, reason = source.reader.line_at(int(torn.starts[0])), torn.reasons[0]
                    more = " encoding='latin-1', say, reads text in another encoding." if "UTF-8" in reason else ""
                    raise InputError(
                        f"{source.name}, line {line}: {reason}.{more} "
                        "(on_bad_rows='set_aside' leaves such rows out and reports them.)"
                    )

    def _finished_times(self, whole: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
        """Microseconds of the rows kept, after those that don't fit the whole column are set aside too."""
        us, faults = self.times.finish()
        if not faults:
            return us
        if not self.aside:
            row, reason = min((int(rows[0]), reason) for rows, reason in faults)
            source, number = self.source_of(row)
            self._refuse(source, number, reason, "")
        good = np.ones(len(us), dtype=np.bool_)
        for rows, reason in faults:
            good[rows] = False
            for source, numbers, texts in self._by_source(rows, whole):
                self.set_aside.add(source, numbers, reason, texts)
        for role in whole:
            whole[role] = whole[role][good]
        kept: list[tuple[RowSource, NDArray[np.int64] | int, int]] = []
        at = 0
        for source, first, n in self._kept:
            mask = good[at : at + n]
            own = first if isinstance(first, np.ndarray) else np.arange(first, first + n)
            kept.append((source, own[mask], int(np.count_nonzero(mask))))
            at += n
        self._kept = kept
        return us[good]

    def _by_source(
        self, rows: NDArray[np.int64], whole: Mapping[str, NDArray[Any]]
    ) -> Iterator[tuple[RowSource, NDArray[np.int64], Iterator[str]]]:
        """Kept rows (rising) by where they came from."""
        at = 0
        for source, numbers, n in self._kept:
            first, last = np.searchsorted(rows, (at, at + n))
            if last > first:
                inside = rows[first:last] - at
                own = numbers[inside] if isinstance(numbers, np.ndarray) else numbers + inside
                texts = ("|".join(self._text_of(role, whole[role][at + row]) for role in self.coders if role in whole)
                         for row in inside.tolist())
                yield source, own, texts
            at += n

    def _text_of(self, role: str, code: int) -> str:
        return self.coders[role].text(int(code))

    def _notes(
        self, n_ids: Mapping[str, int], rows_with: Callable[[str, int], int],
        first_with: Callable[[str, int], tuple[RowSource, int]],
    ) -> list[str]:
        """What may be meant otherwise than it was read; n_ids by role, rows_with and first_with by role and code."""
        notes = []
        for role, coder in self.coders.items():
            if role not in n_ids:
                continue
            name = self.names[role]
            for word, code in [] if self.nulls_given else coder.null_words:
                n = rows_with(role, code)
                notes.append(f"column {name!r} is {word!r} in {n:,} rows, taken as a {role} of that name; "
                             f"null={word!r} makes them rows without one")
            if coder.strays and role != "action":
                text, code = coder.strays[0]
                notes.append(
                    f"column {name!r} is text for {len(coder.strays):,} of its {n_ids[role]:,} ids, all "
                    f"others are integers: the first is {text!r} in {self._place(*first_with(role, code))}; "
                    "id_types='int' makes it a bad row"
                )
        return notes

    def _place(self, source: RowSource, number: int) -> str:
        found = None
        if source.reader is not None:
            found = source.reader.locate(np.array([number]), source.n_rows)
        place, at = (source.place, number + source.first) if found is None else ("line", int(found[0][0]))
        return f"{place} {at}" if len(self.sources) == 1 else f"{source.name}, {place} {at}"


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


def _positions(name: str, column: Column, faults: _Faults, decimal: str) -> NDArray[np.int64]:
    if column.kind == "times":
        raise InputError(f"Column {name!r} must hold integers, the order of events. Got datetimes instead.")
    if column.kind in ("texts", "spans"):
        spans = column.as_spans()
        values, status = timestamps.parse_numbers(spans.buffer, spans.values, spans.stops, decimal)
        faults.mark(status == timestamps.EMPTY, f"column {name!r} is null")
        faults.mark(status == timestamps.WRONG, f"column {name!r} is not an integer")
        column = Column("floats" if values.dtype.kind == "f" else "integers", values)
    if column.kind == "floats":
        column = _integral(name, column, faults)
    if column.valid is not None:
        faults.mark(~column.valid, f"column {name!r} is null")
    return column.values.astype(np.int64, copy=False)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=np.int32), *parts][len(parts) > 0 :])
