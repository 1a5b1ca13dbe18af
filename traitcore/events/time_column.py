"""The timestamps of a log, block by block. What numbers and texts mean is decided at the end, on the whole column."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from . import timestamps
from .columns import Column

Mark = Callable[[NDArray[np.bool_], str], None]


class TimeColumn:
    """Collects the raw values of good rows; `finish` gives microseconds, and the rows that don't fit the others.

    unit : "s", "ms", "us", "ns", "iso", or None: detected. form : how texts are written (strptime), or None.
    """

    def __init__(
        self, name: str, source: str, *, unit: str | None, form: str | None, decimal: str, nulls: frozenset[str]
    ) -> None:
        self.name, self.source, self.given, self.form = name, source, unit, form
        self.decimal, self.nulls = decimal, nulls
        self.unit: str | None = None  # what was found
        self._parts: list[tuple[NDArray[Any], NDArray[np.bool_] | bool]] = []  # values, and which are us already
        self._n_times = 0
        self._plausible = np.zeros(len(timestamps.UNITS), dtype=np.int64)
        self._n_numbers = 0
        self._texts = False

    @property
    def detected(self) -> bool:
        """Was the unit, or that texts are ISO 8601, found by looking at the values?"""
        return self.unit in (*timestamps.UNITS, "iso") and self.given is None and self.form is None

    def read(self, column: Column, mark: Mark) -> tuple[NDArray[Any], NDArray[np.bool_] | bool]:
        """(values, which of them are microseconds) of a block; rows that are no times at all are marked."""
        if column.kind in ("texts", "spans"):
            values, times = self._read_texts(column.as_spans(), mark)
            self._texts = True
        else:
            values, times = column.values, column.kind == "times"
            if column.valid is not None:
                mark(~column.valid, f"column {self.name!r} is null")
                values = np.where(column.valid, values, 0)
            if times:
                values = _typed(values, column.unit)
            elif self.given == "iso" or self.form is not None:
                kind = "ISO 8601 text" if self.form is None else f"text as {self.form!r}"
                raise InputError(f"{self.source}: column {self.name!r} must hold {kind}. Got numbers instead.")
        low = np.asarray(values).min(initial=0)
        if low < 0:
            mark(values < 0, f"column {self.name!r} is before 1970")
        if times is not False and len(values) and values.max() >= timestamps.LATEST_US:
            mark(times & (values >= timestamps.LATEST_US), f"column {self.name!r} is after the year 9999")
        if self.given in timestamps.UNITS and times is False and len(values):
            stop = timestamps.unit_span(self.given, False)[1]
            if values.max() >= stop:
                mark(values >= stop, f"column {self.name!r} is after the year 9999")
        return values, times

    def keep(self, values: NDArray[Any], times: NDArray[np.bool_] | bool, rows: NDArray[np.bool_] | None) -> None:
        """Keep the good rows of what `read` gave."""
        if rows is not None:
            values, times = values[rows], times if isinstance(times, bool) else times[rows]
        if not isinstance(times, bool) and (times.all() or not times.any()):
            times = bool(times.all())
        numbers = values[~times] if isinstance(times, np.ndarray) else values[:0] if times else values
        self._n_numbers += len(numbers)
        self._n_times += len(values) - len(numbers)
        if self.given is None:
            self._plausible += timestamps.plausible_counts(numbers)
        self._parts.append((values, times))

    def _read_texts(self, column: Column, mark: Mark) -> tuple[NDArray[Any], NDArray[np.bool_] | bool]:
        distinct, codes = column.distinct()
        spans = distinct.buffer, distinct.values, distinct.stops
        values: NDArray[Any]
        if self.form is not None:
            values, status = timestamps.parse_times(*spans, self.form)
            what = f"is not a time written as {self.form!r}"
        elif self.given == "iso":
            values, status = timestamps.parse_times(*spans)
            what = "is not an ISO 8601 time"
        elif self.given is not None:
            values, status = timestamps.parse_numbers(*spans, self.decimal)
            what = "is not a number"
        else:
            values, status = timestamps.parse_numbers_or_times(*spans, self.decimal)
            what = "is neither a number nor an ISO 8601 time"
        if self.nulls:
            self._empty_nulls(spans, status)
        if codes is not None:
            values, status = values[codes], status[codes]
            status[codes < 0] = timestamps.EMPTY
        if (status % timestamps.TIME).any():  # neither FINE nor TIME
            mark(status == timestamps.EMPTY, f"column {self.name!r} is null")
            mark(status == timestamps.WRONG, f"column {self.name!r} {what}")
            values[status % timestamps.TIME != 0] = 0
        if self.form is not None or self.given == "iso":
            return values, True
        times = status == timestamps.TIME
        return values, times if times.any() else False

    def _empty_nulls(self, spans: timestamps.Spans, status: NDArray[np.uint8]) -> None:
        """Texts that mean "no value" are as empty ones."""
        wrong = np.flatnonzero(status == timestamps.WRONG)
        codes, texts = timestamps.distinct_texts(spans, wrong)
        null = np.array([text.decode("utf-8", "backslashreplace") in self.nulls for text in texts], dtype=np.bool_)
        status[wrong[null[codes]]] = timestamps.EMPTY

    def finish(self) -> tuple[NDArray[np.int64], list[tuple[NDArray[np.int64], str]]]:
        """(microseconds of all rows kept; rows that don't fit the others, with the reason)."""
        mixed = self._n_times > 0 and self._n_numbers > 0
        numbers = self._n_numbers > self._n_times
        if numbers:
            self.unit = self.given or self._detect()
        elif self._n_times:
            self.unit = self.form or ("iso" if self._texts else None)
        out = np.empty(self._n_times + self._n_numbers, dtype=np.int64)
        faults: list[tuple[NDArray[np.int64], str]] = []
        at = 0
        for k, (values, times) in enumerate(self._parts):
            self._parts[k] = (values[:0], True)  # its memory is free again
            part = out[at : at + len(values)]
            of_time = np.broadcast_to(np.asarray(times), values.shape)
            if mixed and (of_time == numbers).any():
                other, most = ("times", "numbers") if numbers else ("numbers", "times")
                reason = f"column {self.name!r} holds {other}, where most rows hold {most}"
                faults.append((np.flatnonzero(of_time == numbers) + at, reason))
            part[:] = self._to_us(values, of_time, at, faults) if numbers else values
            at += len(values)
        return out, faults

    def _to_us(
        self, values: NDArray[Any], times: NDArray[np.bool_], at: int, faults: list[tuple[NDArray[np.int64], str]]
    ) -> NDArray[np.int64]:
        unit = self.unit
        assert unit is not None
        low, stop = timestamps.unit_span(unit, self.given is None)
        wrong = (values < low) | (values >= stop)
        if wrong.any():
            if (wrong & ~times).any():
                reason = f"column {self.name!r} is not in {unit}, the unit of most rows (of the years 1990 to 2099)"
                faults.append((np.flatnonzero(wrong & ~times) + at, reason))
            values = np.where(wrong, low, values)
        return (timestamps.floats_to_us if values.dtype.kind == "f" else timestamps.integers_to_us)(values, unit)

    def _detect(self) -> str:
        """The unit in which most numbers are plausible times."""
        best = int(np.argmax(self._plausible))
        if 2 * self._plausible[best] >= self._n_numbers:
            return timestamps.UNITS[best]
        low, stop = timestamps.unit_span(timestamps.UNITS[best], True)
        odd = (v[~np.broadcast_to(t, v.shape) & ((v < low) | (v >= stop))] for v, t in self._parts)
        first = next(values[0] for values in odd if len(values))
        seconds = datetime.fromtimestamp(float(first), UTC).date() if first < timestamps.LATEST_US / 1e6 else "no date"
        hint = "timestamp_unit='s' (or 'ms', 'us', 'ns') says that they are"
        if re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])(\d{6})?", f"{first:.0f}"):
            hint = f"timestamp_format='%Y%m%d{'%H%M%S' if first > 1e9 else ''}' reads dates; {hint}"
        raise InputError(
            f"{self.source}: most numbers of column {self.name!r} are no epoch times of the years 1990 to 2099 in s, "
            f"ms, us or ns: in seconds, the first of them, {first:.15g}, is {seconds}. {hint}."
        )


def _typed(values: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    """Datetimes as microseconds; those that don't fit become a time after the last."""
    low, stop = timestamps.unit_span(unit, False)
    far = values >= stop
    us = timestamps.integers_to_us(np.where(far | (values < low), 0, values), unit)
    us[far] = timestamps.LATEST_US
    us[values < low] = -1
    return us
