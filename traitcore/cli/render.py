"""Output: aligned tables and JSON."""

from __future__ import annotations

import json
import math
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, TextIO

import numpy as np


def show(value: Any) -> str:
    """One cell: numbers short, counts with commas, missing as "-"; control characters are escaped."""
    if value is None:
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return f"{value:.3f}" if abs(float(value)) < 10 else f"{value:,.1f}"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def width_of(text: str) -> int:
    """Columns a text takes on a terminal: East Asian wide characters and most emoji take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """At most `width` columns, with an ellipsis where something is left out."""
    if width_of(text) <= width:
        return text
    kept, used = [], 0
    for c in text:
        used += width_of(c)
        if used > width - 1:
            break
        kept.append(c)
    return "".join(kept) + "…"


def table(rows: Sequence[Sequence[Any]], heads: Sequence[str], *, width: int | None = None, indent: int = 0) -> str:
    """Aligned columns: numbers to the right, text to the left; the last text column shrinks on a narrow terminal."""
    cells = [[show(value) for value in row] for row in rows]
    right = [all(map(_is_number, column)) for column in zip(*rows)] or [False] * len(heads)
    widths = [max(width_of(line[i]) for line in [list(heads), *cells]) for i in range(len(heads))]
    total: int = width or (shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 10_000)
    texts = [i for i, number in enumerate(right) if not number]
    spare = total - indent - sum(widths) - 2 * (len(widths) - 1)
    if spare < 0 and texts:
        widths[texts[-1]] = max(8, widths[texts[-1]] + spare)
    lines = []
    for line in [list(heads), *cells]:
        padded = []
        for text, size, number in zip(line, widths, right):
            text = cut(text, size)
            fill = " " * (size - width_of(text))
            padded.append(fill + text if number else text + fill)
        lines.append(" " * indent + "  ".join(padded).rstrip())
    return "\n".join(lines)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float, np.number)) and not isinstance(value, bool))


def plain(value: Any) -> Any:
    """A value for JSON: NumPy scalars and arrays, dataclasses, tuples; NaN and infinity become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def write_json(value: Any, stream: TextIO | None = None) -> None:
    """One JSON document and a newline, in ASCII."""
    stream = sys.stdout if stream is None else stream
    stream.write(json.dumps(plain(value), ensure_ascii=True, allow_nan=False, indent=1) + "\n")
