"""What of a log reached the tables, what did not and why, and which option brings it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events.action_names import buying
from ..events.corpus import TokenReport
from ..events.log import EventLog
from ..events.sequences import Sequences
from ..events.session_report import SessionReport
from ..events.vocabulary import Vocabulary
from .config import PipelineConfig
from .item_sessions import LEAST

KEY = "coverage"  # in the metadata of the items


@dataclass(frozen=True)
class Loss:
    """Events left out for one reason; `option` says how to keep them, "" where nothing does."""

    reason: str
    events: int
    option: str


@dataclass(frozen=True)
class Coverage:
    """What of a log is in the corpus of a run.

    Attributes
    ----------
    kept, total : counts, by what is counted: "events", "items"; "customers" where they are the log's users or sessions
        (not where each session that was found is its own customer); "purchases" where an action means buying.
    losses : the reasons, most events first.
    histories_only : events kept that only customers' histories have: item vectors learn nothing from sessions of fewer
        than `min_length` tokens.
    """

    kept: Mapping[str, int]
    total: Mapping[str, int]
    losses: tuple[Loss, ...]
    histories_only: int = 0
    min_length: int = 2

    def share(self, what: str) -> float:
        """Share kept, in [0, 1]."""
        return self.kept[what] / max(1, self.total[what])

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts and numbers, for JSON and the metadata."""
        return asdict(self)

    @classmethod
    def of_dict(cls, plain: Mapping[str, Any]) -> Coverage:
        """The inverse of `as_dict`."""
        losses = tuple(Loss(**loss) for loss in plain["losses"])
        return cls(**{**plain, "kept": dict(plain["kept"]), "total": dict(plain["total"]), "losses": losses})

    def __str__(self) -> str:
        kept = [
            f"{self.share(what):.0%} of {what} ({n:,} of {self.total[what]:,})" if what == "events" else
            f"{self.share(what):.0%} of {what}" for what, n in self.kept.items()
        ]
        lines = [f"kept {', '.join(kept)}"]
        for loss in self.losses:
            advice = f" ({loss.option} keeps them)" if loss.option else ""
            share = loss.events / max(1, self.total["events"])
            lines.append(f"  left out {share:.1%} of events: {loss.reason}{advice}")
        if self.histories_only:
            share = self.histories_only / max(1, self.total["events"])
            lines.append(
                f"  {share:.1%} of events are in sessions of fewer than {self.min_length}: customers' histories have "
                "them, item vectors learn nothing from them"
            )
        return "\n".join(lines)


def coverage_of(
    log: EventLog, sequences: Sequences, vocabulary: Vocabulary, sessions: SessionReport, tokens: TokenReport,
    config: PipelineConfig, *, customers: bool,
) -> Coverage:
    """Compare a log with the corpus made of it.

    customers : whether the run makes customers, who keep short sessions; else what is in these is left out.
    """
    least = max(LEAST, config.min_length)
    long = np.repeat(np.diff(sequences.offsets) >= least, np.diff(sequences.offsets))
    short = sequences.n_tokens - int(long.sum())
    tokens_of = sequences.tokens if customers or not short else sequences.tokens[long]
    items = vocabulary.token_item if customers or not short else vocabulary.token_item[tokens_of]
    kept = {"events": len(tokens_of), "items": len(np.unique(items))}
    total = {"events": len(log), "items": _distinct(log.item)}
    if log.user is not None and sequences.owner is not None:
        kept["customers"], total["customers"] = sequences.n_owners, _distinct(log.user)
    buys = [log.actions.index(name) for name in buying(log.actions, config.action_map)]
    own_buys = [vocabulary.actions.index(name) for name in buying(vocabulary.actions, None)]
    if log.action is not None and buys and own_buys:
        total["purchases"] = int(np.isin(log.action, buys).sum())
        kept["purchases"] = int(np.isin(vocabulary.token_action[tokens_of], own_buys).sum())
    losses = [Loss(reason, n, option) for reason, n, option in _reasons(sessions, tokens, config) if n]
    if short and not customers:
        losses.append(Loss(f"sessions of fewer than {least}", short, "min_length=2" if least > LEAST else ""))
    order = ("events", "customers", "items", "purchases")
    return Coverage(
        {name: kept[name] for name in order if name in kept}, {name: total[name] for name in order if name in total},
        tuple(sorted(losses, key=lambda loss: -loss.events)), short if customers else 0, least,
    )


def _reasons(
    sessions: SessionReport, tokens: TokenReport, config: PipelineConfig
) -> list[tuple[str, int, str]]:
    return [
        (f"sessions of more than {config.max_events_per_session:,} events, taken for bots"
         if config.max_events_per_session else "", sessions.events_too_long, "max_events_per_session=None"),
        (f"sessions of more than {config.max_events_per_minute} events a minute, taken for bots",
         sessions.events_too_fast, "max_events_per_minute=None"),
        (f"customers of more than {config.max_events_per_day} events a day, taken for bots",
         sessions.events_of_busy_customers, "max_events_per_day=None"),
        ("repeats of the event before, which merge_repeats merges", sessions.events_merged, ""),
        ("exact duplicates, which drop_duplicates drops", sessions.events_duplicate, ""),
        ("actions that the action map maps to nothing", tokens.events_unmapped, ""),
        (f"things done fewer than {config.min_count} times in all (an action and its item)", tokens.events_rare,
         "min_count=1"),
    ]


def _distinct(codes: NDArray[Any]) -> int:
    return int(np.count_nonzero(np.bincount(codes))) if len(codes) else 0
