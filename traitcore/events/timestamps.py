"""Timestamps: epoch seconds, ms, us or ns, texts, or datetimes become int64 microseconds since 1970 UTC.

An undeclared unit is the one in which most values are of the years 1990 to 2099; where there is none, the column is
refused. One unit holds for a column: another value makes a bad row, not a date in 1970. Texts are epoch numbers, ISO
8601, or as a format says. Times without a zone are UTC. Nanoseconds are cut to microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core

UNITS = ("s", "ms", "us", "ns")
# 1990-01-01 and 2100-01-01 in seconds: a unit is detected by where the values lie.
_FIRST_S, _STOP_S = 631_152_000, 4_102_444_800
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Year 10000: later timestamps are refused, whatever the unit.
LATEST_US = 253_402_300_800_000_000
_EARLIEST_US = -62_135_596_800_000_000  # year 1
_US_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}


def plausible_counts(values: NDArray[Any]) -> NDArray[np.int64]:
    """(4,) how many values are of the years 1990 to 2099 in each of UNITS."""
    counts = np.zeros(len(UNITS), dtype=np.int64)
    if len(values) == 0:
        return counts
    low, high = values.min(), values.max()
    for place, unit in enumerate(UNITS):
        first, stop = unit_span(unit, True)
        if first <= low and high < stop:
            counts[place] = len(values)
            return counts
        if high >= first and low < stop:
            counts[place] = np.count_nonzero((values >= first) & (values < stop))
    return counts


def unit_span(unit: str, detected: bool) -> tuple[int, int]:
    """[first, stop) of the raw values allowed: 1990 to 2099 where the unit was detected, else 1970 to year 9999."""
    if detected:
        return _FIRST_S * _PER_SECOND[unit], _STOP_S * _PER_SECOND[unit]
    stop = LATEST_US * 1000 if unit == "ns" else LATEST_US // _US_PER[unit]
    return 0, min(stop, 2**63 - 1)


def integers_to_us(values: NDArray[Any], unit: str) -> NDArray[np.int64]:
    """Integer epoch values of a unit as int64 microseconds (values must be in the unit's span)."""
    values = values.astype(np.int64, copy=False)
    if unit == "ns":
        return values // 1000
    return values if unit == "us" else values * np.int64(_US_PER[unit])


def datetimes_to_us(times: NDArray[Any]) -> NDArray[np.int64]:
    """datetime64 of any unit as int64 microseconds; a time outside the years 1 to 9999 stays outside them.

    numpy's own conversion wraps what doesn't fit. NaT stays NaT.
    """
    values = times.astype("datetime64[us]")
    if np.datetime_data(times.dtype)[0] in ("Y", "M", "W", "D", "h", "m", "s", "ms"):
        # In the times' own unit: numpy compares unlike units by converting to the finer one, which wraps as well.
        low, high = (np.datetime64(edge, "us") for edge in (_EARLIEST_US - 1, LATEST_US))
        values = np.where(times < low.astype(times.dtype), low, values)
        values = np.where(times > high.astype(times.dtype), high, values)
    return values.astype(np.int64)


def floats_to_us(values: NDArray[np.float64], unit: str) -> NDArray[np.int64]:
    """Float epoch values as int64 microseconds, rounded (values must be in the unit's span)."""
    if unit == "ns":
        return np.floor(values / 1000).astype(np.int64)
    return np.rint(values * _US_PER[unit]).astype(np.int64)


FINE, EMPTY, WRONG, TIME = 0, 1, 2, 3  # as in csrc/include/traitcore/time_texts.hpp
_FLOAT = re.compile(r"\s*-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)

Spans = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]  # buffer, starts and stops


def is_number(text: str) -> bool:
    """Is the text a plain decimal number, perhaps with an exponent?"""
    return _FLOAT.fullmatch(text) is not None


def parse_numbers(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], decimal: str = ".", *,
    plain: bool = False,
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """(values, status) of spans of text as numbers: int64, or float64 if any has a fraction; FINE, EMPTY or WRONG.

    What the native parser doesn't read (more than int64, fractions with an exponent) is left to Python's float. With
    `plain` these, and whatever has an exponent (an id such as 12e2), are WRONG.
    """
    spans = (buffer, starts, stops)
    if plain:
        return _native_numbers(spans, decimal, "digits")
    return _with_floats(*_native_numbers(spans, decimal, "numbers"), spans, decimal)


def parse_numbers_or_times(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], decimal: str = "."
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """As `parse_numbers`, or else ISO 8601: int64 microseconds of status TIME."""
    spans = (buffer, starts, stops)
    values, status = _with_floats(*_native_numbers(spans, decimal, "numbers or times"), spans, decimal)
    _read_others(spans, status, parse_iso, values, TIME)
    return values, status


def parse_times(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], form: str = ""
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(int64 us, status) of spans of text as times: in a format of strptime's directives, or "" for ISO 8601.

    What the native parser of ISO 8601 doesn't read (such as separators other than T) is left to Python's.
    """
    starts, stops = np.ascontiguousarray(starts), np.ascontiguousarray(stops)
    us, status = np.empty(len(starts), dtype=np.int64), np.empty(len(starts), dtype=np.uint8)
    _core.parse_times(buffer, starts, stops, form, us, status)
    if not form:
        _read_others((buffer, starts, stops), status, parse_iso, us, FINE)
    return us, status


def _native_numbers(spans: Spans, decimal: str, reads: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    buffer, starts, stops = spans[0], np.ascontiguousarray(spans[1]), np.ascontiguousarray(spans[2])
    whole, parts = np.empty(len(starts), dtype=np.int64), np.empty(len(starts), dtype=np.int64)
    status = np.empty(len(starts), dtype=np.uint8)
    _core.parse_numbers(buffer, starts, stops, decimal, reads, whole, parts, status)
    return whole + parts * 1e-9 if parts.any() else whole, status


def _with_floats(
    values: NDArray[Any], status: NDArray[np.uint8], spans: Spans, decimal: str
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """The texts that are WRONG by Python's float: exponents, and more digits than int64 has."""

    def number(text: str) -> float | None:
        if decimal != ".":
            text = text.replace(".", "?").replace(decimal, ".")
        value = float(text) if is_number(text) else None
        return value if value is not None and abs(value) < 2**63 else None

    rows, found = _others(spans, status, number)
    if (found != np.rint(found)).any():
        values = values.astype(np.float64)
    values[rows], status[rows] = found, FINE
    return values, status


def _read_others(
    spans: Spans, status: NDArray[np.uint8], read: Callable[[str], int | None], values: NDArray[Any], good: int
) -> None:
    """Values and status, in place, of the WRONG texts that `read` reads."""
    rows, found = _others(spans, status, read)
    values[rows], status[rows] = found, good


def _others(
    spans: Spans, status: NDArray[np.uint8], read: Callable[[str], Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """(rows, values) of the WRONG texts for which `read` has a value: each is read once, however often it is there."""
    rows = np.flatnonzero(status == WRONG)
    codes, texts = distinct_texts(spans, rows)
    found = [read(text.decode("utf-8", "replace")) for text in texts]
    known = np.array([value is not None for value in found], dtype=np.bool_)
    table = np.array([0 if value is None else value for value in found])
    there = known[codes]
    return rows[there], table[codes[there]]


def distinct_texts(spans: Spans, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], list[bytes]]:
    """(codes, texts by code) of these rows, none of them empty."""
    table = _core.TextCodes()
    codes = table.code(spans[0], spans[1][rows], spans[2][rows])
    data, ends = table.texts(0)
    return codes, [data[first:stop] for first, stop in pairwise(ends.tolist())]


def parse_iso(text: str) -> int | None:
    """Microseconds since 1970 UTC of an ISO 8601 date or date and time (no zone: UTC), or None."""
    try:
        return datetime_to_us(datetime.fromisoformat(text.strip(" \t")))
    except (ValueError, OverflowError):
        return None


_DIRECTIVES = "YymdHIpMSfbBaAzZ%"


def check_format(form: str) -> str | None:
    """What is wrong with a format of times; None: nothing."""
    found = re.findall("%(.?)", form)
    if any(one not in _DIRECTIVES or not one for one in found):
        return f"made of strptime's directives {' '.join('%' + one for one in _DIRECTIVES)}"
    if not {"Y", "y"} & set(found) or not {"m", "b", "B"} & set(found) or "d" not in found:
        return "a format with a year, a month and a day, such as '%d/%m/%Y %H:%M'"
    return None


def datetime_to_us(moment: datetime) -> int:
    """Microseconds since 1970 UTC of a datetime; a naive one is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def format_us(timestamps_us: NDArray[np.int64]) -> NDArray[np.str_]:
    """ISO 8601 with microseconds and Z, e.g. 2015-05-03T03:25:10.000000Z."""
    return np.char.add(np.datetime_as_string(timestamps_us.astype("datetime64[us]")), "Z")
