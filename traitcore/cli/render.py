"""Output: aligned tables and JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TextIO

import numpy as np

from .._looks import Rows, cut, show, width_of
from .._looks import text_table as table

__all__ = ["cut", "plain", "show", "table", "width_of", "write_json"]


def plain(value: Any) -> Any:
    """A value for JSON: NumPy scalars and arrays, dataclasses, tuples; NaN and infinity become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Rows):
        return plain(value.to_dicts())
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
