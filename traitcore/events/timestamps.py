"""Timestamps: epoch seconds, ms, us or ns, ISO 8601, or datetimes become int64 microseconds since 1970 UTC.

An undeclared unit is inferred from the size of the values: below 1e11 seconds (years to 5138), below 1e14 ms (1973
on), below 1e17 us, else ns. One unit holds for a column; a value of another size makes a bad row, not a date in 1970.
Times without a zone are UTC. Nanoseconds are cut to microseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._kernels import text as kernels

UNITS = ("s", "ms", "us", "ns")
# First value of each unit's class of sizes, and one past the last.
_CLASS_START = np.array([0, 10**11, 10**14, 10**17], dtype=np.int64)
_CLASS_STOP = (10**11, 10**14, 10**17, 2**63 - 1)
# Year 10000: later timestamps are refused, whatever the unit.
LATEST_US = 253_402_300_800_000_000
_EARLIEST_US = -62_135_596_800_000_000  # year 1
_US_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}


def detect_unit(values: NDArray[Any]) -> str:
    """Unit of the class into which most values fall; the coarser one of a tie."""
    if len(values) == 0:
        return "s"
    low, high = values.min(), values.max()
    first = int(np.searchsorted(_CLASS_START, low, side="right")) - 1
    if first == int(np.searchsorted(_CLASS_START, high, side="right")) - 1 and first >= 0:
        return UNITS[first]
    classes = np.searchsorted(_CLASS_START, values, side="right") - 1
    return UNITS[int(np.argmax(np.bincount(classes[classes >= 0], minlength=4)))]


def unit_span(unit: str, detected: bool) -> tuple[int, int]:
    """[first, stop) of the raw values allowed: those of the unit's class if it was detected, else to year 10000."""
    if detected:
        place = UNITS.index(unit)
        return int(_CLASS_START[place]), int(_CLASS_STOP[place])
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


FINE, EMPTY, WRONG = kernels.FINE, kernels.EMPTY, kernels.WRONG
_FLOAT = re.compile(r"\s*-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)


def is_number(text: str) -> bool:
    """Is the text a plain decimal number, perhaps with an exponent?"""
    return _FLOAT.fullmatch(text) is not None


def parse_spans(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], iso: bool
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """(values, status) of spans of text: ISO 8601 as int64 us, or numbers as int64, float64 if any has a fraction.

    status: FINE, EMPTY or WRONG. What the fast parsers don't read (exponents; ISO 8601 week dates and the basic
    form) is left to Python's.
    """
    n = len(starts)
    starts, stops = np.ascontiguousarray(starts), np.ascontiguousarray(stops)
    whole, status = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.uint8)
    if iso:
        kernels.parse_iso_times(buffer, starts, stops, whole, status)
        parts = None
    else:
        nanos = np.empty(n, dtype=np.int64)
        kernels.parse_decimals(buffer, starts, stops, whole, nanos, status)
        parts = nanos if nanos.any() else None
    values: NDArray[Any] = whole if parts is None else whole + parts * 1e-9
    for row in np.flatnonzero(status == WRONG).tolist():
        text = buffer[starts[row] : stops[row]].tobytes().decode("utf-8", "replace")
        value = parse_iso(text) if iso else float(text) if is_number(text) else None
        if value is not None and abs(value) < 2**63:
            if value != int(value):
                values = values.astype(np.float64)
            values[row], status[row] = value, FINE
    return values, status


def parse_iso(text: str) -> int | None:
    """Microseconds since 1970 UTC of an ISO 8601 date or date and time (no zone: UTC), or None."""
    try:
        return datetime_to_us(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
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
