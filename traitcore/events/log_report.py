"""Report of what became of the rows that a log was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class RejectedRows:
    """Rows set aside for one reason: their number, and the first few lines (CSV) or rows (from 0)."""

    count: int
    first: tuple[int, ...]


@dataclass(frozen=True)
class LogReport:
    """Counts of the rows read: rows_read = rows_kept + the counts of `set_aside`, which is keyed by reason."""

    source: str
    rows_read: int
    rows_kept: int
    set_aside: Mapping[str, RejectedRows] = field(default_factory=dict)
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
            how = " (detected)" if self.timestamp_unit_detected else ""
            lines.append(f"  timestamps: {self.timestamp_unit}{how}")
        return "\n".join(lines)
