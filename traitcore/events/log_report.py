"""Report of what became of the rows that a log was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


class InputWarning(UserWarning):
    """Something in a log may be meant otherwise than it was read; `LogReport.notes` has the same sentence."""


@dataclass(frozen=True)
class RejectedRows:
    """Rows set aside for one reason: their number, and the first few lines (CSV) or rows (from 0), each of its file."""

    count: int
    first: tuple[int, ...]
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class LogReport:
    """Counts of the rows read: rows_read = rows_kept + the counts of `set_aside`, which is keyed by reason.

    `notes` say what in the log may be meant otherwise than it was read.
    """

    source: str
    rows_read: int
    rows_kept: int
    set_aside: Mapping[str, RejectedRows] = field(default_factory=dict)
    timestamp_unit: str | None = None
    timestamp_unit_detected: bool = False
    id_types: Mapping[str, str] = field(default_factory=dict)
    place: str = "row"
    notes: tuple[str, ...] = ()

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
            many = len(set(aside.files)) > 1
            places = ", ".join(f"{place} of {name}" if many else str(place)
                               for place, name in zip(aside.first, aside.files or ("",) * len(aside.first)))
            places += ", ..." if aside.count > len(aside.first) else ""
            where = f" ({self.place} {places})" if places else ""
            lines.append(f"  set aside {aside.count:,}: {reason}{where}")
        if self.timestamp_unit:
            how = " (detected)" if self.timestamp_unit_detected else ""
            lines.append(f"  timestamps: {self.timestamp_unit}{how}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)
