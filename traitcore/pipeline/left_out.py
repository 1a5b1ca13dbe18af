"""Customers of the log that have no row in the table: how many events they had, and why they have none.

They are arrays of the customers' table, so that a question about one of them is answered, not refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events.ids import text_array
from ..events.log import EventLog

REASONS = (
    "all of them in sessions that were left out as too long or too busy",
    "all of items too rare for vectors",
)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """ids (n,) in rising order; events (n,) in the log; reason (n,) place in REASONS."""

    ids: NDArray[Any]
    events: NDArray[np.int64]
    reason: NDArray[np.uint8]

    def why(self, customer: Any) -> tuple[int, str] | None:
        """(events, reason) of one customer; None where it isn't one of these."""
        place = int(np.searchsorted(self.ids, customer)) if len(self.ids) else 0
        if place >= len(self.ids) or self.ids[place] != customer:
            return None
        return int(self.events[place]), REASONS[int(self.reason[place])]

    def without(self, customers: Iterable[Any]) -> LeftOut:
        """The same without some of them."""
        gone = set(customers)
        keep = np.array([one not in gone for one in self.ids.tolist()], dtype=bool)
        return LeftOut(self.ids[keep], self.events[keep], self.reason[keep])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for a table, of one row each: a table's subsets select from arrays as long as itself."""
        return {name: array[None] for name, array in self._flat().items()}

    def _flat(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {"left_out_events": self.events, "left_out_reason": self.reason}
        if self.ids.dtype.kind == "i":
            return arrays | {"left_out_ids": self.ids}
        encoded = [str(one).encode("utf-8") for one in self.ids.tolist()]
        ends = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
        return arrays | {"left_out_text": np.frombuffer(b"".join(encoded), dtype=np.uint8), "left_out_ends": ends}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> LeftOut | None:
        """The inverse of `to_arrays`; None for a table that was published without."""
        if "left_out_events" not in arrays:
            return None
        arrays = {name: array[0] for name, array in arrays.items() if name.startswith("left_out_")}
        if "left_out_ids" in arrays:
            ids: NDArray[Any] = arrays["left_out_ids"]
        else:
            text, ends = arrays["left_out_text"].tobytes(), arrays["left_out_ends"].tolist()
            ids = text_array([text[a:b].decode("utf-8") for a, b in pairwise(ends)])
        return cls(ids, arrays["left_out_events"], arrays["left_out_reason"])


def left_out_of(log: EventLog, with_sessions: NDArray[Any], with_tokens: NDArray[Any]) -> LeftOut | None:
    """The users of a log who aren't in `with_tokens` (codes), and whether they had a session (`with_sessions`)."""
    if log.user is None or log.user_ids is None:
        return None
    events = np.bincount(log.user, minlength=len(log.user_ids))
    out = events > 0
    out[with_tokens] = False
    codes = np.flatnonzero(out)
    rare = np.isin(codes, with_sessions).astype(np.uint8)
    return LeftOut(log.user_ids[codes], events[codes].astype(np.int64), rare)
