"""Ids written as text: which are integers, which mean that there is none. The one place where a text becomes an id."""

from __future__ import annotations

import re

# Words that exports write for "no value". They are ids like any other unless the caller says so; the report
# names those that a log has.
NULL_WORDS = frozenset({
    "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "Null", "None", "none", "NaN", "nan", "NAN", "NaT", r"\N",
    "(null)", "(not set)", "undefined", "-",
})
_CANONICAL_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
_WHOLE = re.compile(r"(0|-?[1-9][0-9]*)\.0+")


def is_canonical(text: str) -> bool:
    """Is the text what str() of an int64 gives?"""
    return _CANONICAL_INT.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


def as_integer(text: str) -> int | None:
    """The int64 that a text is: 123 or, as systems with only floats export it, 123.0; None for any other text."""
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        text = whole[1]
    return int(text) if is_canonical(text) else None


def parse_id(text: str, integers: bool) -> int | str | None:
    """The id that a text names, among ids that are `integers` or texts; None where it can't be one."""
    return as_integer(text) if integers else text or None
