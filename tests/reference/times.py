"""The times of a column of texts, slow and obvious: one cell after another, by Python's own parsers."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

LATEST_US = 253_402_300_800_000_000  # year 10000
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NUMBER = re.compile(r"\s*(-?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?\s*", re.ASCII)
# What Python doesn't read: blanks before the zone, and zones in words.
_USUAL = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)[ \t]*(Z|z|UTC|GMT|[-+]\d\d(?::?\d\d)?)", re.ASCII
)


class Refused(Exception):
    """The message of the InputError that is due; `row` None: it is about the whole column."""

    def __init__(self, row: int | None, words: str) -> None:
        super().__init__(words)
        self.row, self.words = row, words


def number(text: str) -> int | float | None:
    """A plain decimal number with fewer digits than 2**63."""
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return None
    if found[4] is not None or int(found[2] or 0) >= 2**63:
        value = float(text)
        if abs(value) >= 2**63:
            return None
        return int(value) if value == int(value) else value
    billionths = int(f"{found[3] or '':0<9}"[:9])
    sign = -1 if found[1] else 1
    whole = sign * int(found[2] or 0)
    return whole + sign * billionths * 1e-9 if billionths else whole


def iso(text: str) -> int | None:
    """Microseconds since 1970 UTC of a date or time of ISO 8601."""
    plain = text.strip(" \t")
    usual = _USUAL.fullmatch(plain)
    if usual is not None:
        plain = usual[1] + ("+00:00" if usual[2] in ("Z", "z", "UTC", "GMT") else usual[2])
    try:
        return _us(datetime.fromisoformat(plain))
    except (ValueError, OverflowError):
        return None


def formatted(text: str, form: str) -> int | None:
    """Microseconds since 1970 UTC of a time as strptime reads it."""
    try:
        return _us(datetime.strptime(text.strip(" \t"), form))
    except (ValueError, OverflowError):
        return None


def _us(moment: datetime) -> int:
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    span = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (span.days * 86_400 + span.seconds) * 10**6 + span.microseconds


def read_cell(text: str | None, unit: str | None, form: str | None, nulls: set[str]) -> tuple[str, Any]:
    """("null" | "wrong" | "number" | "time", its value)."""
    if text is None or not text.strip(" \t"):
        return "null", None
    time = number_found = None
    if form is not None:
        time = formatted(text, form)
    elif unit == "iso":
        time = iso(text)
    else:
        number_found = number(text)
        if number_found is None and unit is None:
            time = iso(text)
    if number_found is None and time is None:
        return ("null" if text in nulls else "wrong"), None
    return ("time", time) if number_found is None else ("number", number_found)


def read_times(
    name: str, texts: list[str | None], *, unit: str | None = None, form: str | None = None,
    nulls: set[str] = frozenset(), set_aside: bool = False,  # type: ignore[assignment]
) -> tuple[list[int], dict[str, list[int]]]:
    """(microseconds of the rows kept, rows set aside by reason); raises Refused."""
    cells = [read_cell(text, unit, form, nulls) for text in texts]
    faults: dict[int, str] = {}
    what = "is neither a number nor an ISO 8601 time" if unit is None else "is not a number"
    what = "is not an ISO 8601 time" if unit == "iso" else what
    what = what if form is None else f"is not a time written as {form!r}"
    for row, (kind, value) in enumerate(cells):
        fault = {"null": "is null", "wrong": what}.get(kind)
        if fault is None and value < 0:
            fault = "is before 1970"
        stop = LATEST_US if kind == "time" else None
        if kind == "number" and unit is not None:
            stop = LATEST_US * PER_SECOND[unit] // 10**6
        if fault is None and stop is not None and value >= min(stop, 2**63 - 1):
            fault = "is after the year 9999"
        if fault is not None:
            faults[row] = f"column {name!r} {fault}"
            if not set_aside:
                text = repr(texts[row])
                text = text if len(text) <= 60 else text[:57] + "..."
                got = "" if fault == "is null" else f" Got {text}."
                raise Refused(row, f"{faults[row]}.{got}")
    good = [row for row in range(len(cells)) if row not in faults]
    if not good:
        raise Refused(None, "rows were set aside")
    floats = any(isinstance(value, float) for kind, value in cells if kind == "number")
    numbers = [cells[row][1] for row in good if cells[row][0] == "number"]
    most_numbers = 2 * len(numbers) > len(good)
    found = (unit or _unit(numbers)) if most_numbers else None
    misfits: dict[int, str] = {}
    for row in good:
        kind, value = cells[row]
        if (kind == "number") != most_numbers:
            other, most = ("times", "numbers") if most_numbers else ("numbers", "times")
            misfits[row] = f"column {name!r} holds {other}, where most rows hold {most}"
        elif found is not None and unit is None and not _plausible(value, found):
            misfits[row] = f"column {name!r} is not in {found}, the unit of most rows (of the years 1990 to 2099)"
    if misfits and not set_aside:
        row = min(misfits)
        raise Refused(row, f"{misfits[row]}.")
    aside: dict[str, list[int]] = {}
    for row, reason in sorted((faults | misfits).items()):
        aside.setdefault(reason, []).append(row)
    kept = [cells[row][1] for row in good if row not in misfits]
    return [value if found is None else _to_us(value, found, floats) for value in kept], aside


def _plausible(value: float, unit: str) -> bool:
    return 631_152_000 * PER_SECOND[unit] <= value < 4_102_444_800 * PER_SECOND[unit]


def _unit(numbers: list[Any]) -> str:
    counts = {unit: sum(_plausible(value, unit) for value in numbers) for unit in PER_SECOND}
    best = max(counts, key=lambda unit: counts[unit])
    if 2 * counts[best] < len(numbers):
        raise Refused(None, "are no epoch times of the years 1990 to 2099")
    return best


def _to_us(value: Any, unit: str, floats: bool) -> int:
    if not floats:
        return int(value) // 1000 if unit == "ns" else int(value) * (10**6 // PER_SECOND[unit])
    if unit == "ns":
        return math.floor(float(value) / 1000)
    return round(float(value) * (10**6 // PER_SECOND[unit]))
