"""Report of split_sessions: what was removed and why, and how many neighbours have the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .._errors import InputError

WINDOW = 5
BASKET_WINDOW = 20  # baskets have no order, so a model should learn from most of each


class TiedEventsWarning(UserWarning):
    """Most neighbours in the sessions have the same time, so their order carries no information."""


@dataclass(frozen=True)
class SessionReport:
    """Counts of events: events = events_kept + the six `events_...` counts of those removed.

    `duplicates_seen` counts the events of kept sessions that equal the one before in all columns, dropped or not.
    `neighbours_tied` counts the events kept that have the time and position of the one before them in their session,
    or all where neither is known (unless ties="row"); `ties` is how they were ordered.
    """

    events: int
    events_kept: int
    sessions_kept: int
    customers: int | None
    customers_kept: int | None
    sessions_too_short: int = 0
    events_too_short: int = 0
    sessions_too_long: int = 0
    events_too_long: int = 0
    sessions_too_fast: int = 0
    events_too_fast: int = 0
    sessions_of_busy_customers: int = 0
    events_of_busy_customers: int = 0
    customers_too_busy: int = 0
    events_merged: int = 0
    events_duplicate: int = 0
    duplicates_seen: int = 0
    neighbours_tied: int = 0
    ties: str = "shuffle"
    cut_by: str = "gap"

    @property
    def tied_share(self) -> float:
        """Share in [0, 1] of the neighbours in a session that have the same time (and position)."""
        return self.neighbours_tied / max(1, self.events_kept - self.sessions_kept)

    @property
    def baskets(self) -> bool:
        """Do most neighbours have the same time, so that the order within a session carries little information?"""
        return self.ties != "row" and self.tied_share > 0.5

    @property
    def advised_window(self) -> int:
        """Window for models that learn from neighbours: 5, or 20 for `baskets`."""
        return BASKET_WINDOW if self.baskets else WINDOW

    def as_dict(self) -> dict[str, Any]:
        """The report as a plain dict (for JSON)."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.events_kept:,} of {self.events:,} events kept, in {self.sessions_kept:,} sessions"]
        for what, sessions, events in (
            ("shorter than min_length", self.sessions_too_short, self.events_too_short),
            ("bots: longer than max_events_per_session", self.sessions_too_long, self.events_too_long),
            ("bots: faster than max_events_per_minute", self.sessions_too_fast, self.events_too_fast),
            (f"bots: {self.customers_too_busy:,} customers over max_events_per_day",
             self.sessions_of_busy_customers, self.events_of_busy_customers),
        ):
            if sessions:
                lines.append(f"  removed {sessions:,} sessions, {events:,} events: {what}")
        if self.events_merged:
            lines.append(f"  merged {self.events_merged:,} immediate repeats")
        if self.events_duplicate:
            lines.append(f"  dropped {self.events_duplicate:,} exact duplicates")
        elif self.duplicates_seen:
            lines.append(f"  {self.duplicates_seen:,} exact duplicates are kept (drop_duplicates=True drops them)")
        if self.neighbours_tied:
            order = {"shuffle": "in random order", "content": "in order of their ids", "row": "in the log's order"}
            stand = order[self.ties]
            lines.append(f"  {self.tied_share:.1%} of neighbours have the same time, or none: they stand {stand}")
        if self.baskets:
            lines.append(f"  {advice(self)}")
        return "\n".join(lines)


def sum_reports(reports: Sequence[SessionReport]) -> SessionReport:
    """The report of a whole log, given those of parts that share no customer."""
    total = reports[0]
    for one in reports[1:]:
        counts = {f.name: getattr(total, f.name) + getattr(one, f.name) for f in fields(SessionReport)
                  if isinstance(getattr(one, f.name), int)}
        total = replace(total, **counts)
    return total


def tied_warning(report: SessionReport, *, rows_in_order: bool = False) -> str:
    """The text of a TiedEventsWarning; see `advice`."""
    share = f"{report.tied_share:.1%} of the neighbours in these sessions have the same time, or none is known."
    return f"{share} {advice(report, rows_in_order=rows_in_order)}"


def advice(report: SessionReport, *, rows_in_order: bool = False) -> str:
    """Advice where most neighbours have the same time. `rows_in_order`: can ties="row" be passed? Not on Spark."""
    shuffle = "" if report.ties == "shuffle" else "order them randomly (ties='shuffle'), and "
    or_row = " or pass ties='row'" if rows_in_order else ""
    return (
        f"The order of such events carries no information: {shuffle}learn from all of a session, with a "
        f"window of at least {BASKET_WINDOW} (fit_pipeline's default there) or window=None. Where the log knows "
        f"their order, name its column (order=...){or_row}."
    )


class NoSessionLeft(InputError):
    """The rules of `split_sessions` removed every session: `report` counts by which, the message says what to relax."""

    def __init__(self, report: SessionReport, min_length: int) -> None:
        removed = {
            f"min_length (now {min_length}), or raise gap_seconds": report.sessions_too_short,
            "max_events_per_session": report.sessions_too_long,
            "max_events_per_minute": report.sessions_too_fast,
            "max_events_per_day": report.sessions_of_busy_customers,
        }
        rule = max(removed, key=lambda name: removed[name])
        relax = "lower" if rule.startswith("min_length") else "raise"
        super().__init__(
            f"No session is left: {removed[rule]:,} were removed by one rule. To keep them, {relax} {rule}."
        )
        self.report, self.min_length = report, min_length

    def __reduce__(self) -> tuple[type[NoSessionLeft], tuple[SessionReport, int]]:
        return NoSessionLeft, (self.report, self.min_length)
