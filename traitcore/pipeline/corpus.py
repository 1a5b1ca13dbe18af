"""From a log to the corpus of a run: sessions and tokens."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from .._errors import InputError
from ..events.log import EventLog
from ..events.sequences import Sequences
from ..events.session_report import TiedEventsWarning
from ..events.sessions import split_sessions
from ..events.tokens import tokenize
from ..events.vocabulary import Vocabulary
from .config import PipelineConfig
from .stages import Run


@dataclass(frozen=True, eq=False)
class TokenizedLog:
    """The corpus of a run: sequences, owned by the customers that have any, their vocabulary, and the window."""

    sequences: Sequences
    vocabulary: Vocabulary
    window: int


def prepare_corpus(log: EventLog, config: PipelineConfig, run: Run | None = None) -> TokenizedLog:
    """Sessions and tokens of a log; owners are the customers that have any, and "sessions" makes each session one."""
    run = Run(None) if run is None else run
    if config.customers == "sessions" and log.session is not None:
        log = replace(log, user=log.session, user_ids=log.session_ids)
    has_times, has_users = log.timestamp_us is not None, log.user is not None
    with run.stage("sessions") as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)  # the window follows the report, which has the same warning
        sessions = split_sessions(
            log,
            # A log that has its own sessions, or no times to cut at, is not cut again.
            gap_seconds=config.gap_seconds if log.session is None and has_times else None,
            min_length=config.min_length,
            max_events_per_session=config.max_events_per_session,
            max_events_per_minute=config.max_events_per_minute if has_times else None,
            max_events_per_day=config.max_events_per_day if has_times and has_users else None,
            merge_repeats=config.merge_repeats,
            drop_duplicates=config.drop_duplicates,
            ties=config.ties,
            seed=config.seed,
            workers=config.workers,
            progress=run.stage_progress("sessions"),
        )
        kept["report"] = sessions.report
    with run.stage("tokens") as kept:
        corpus = tokenize(
            sessions, action_map=config.action_map, tokens=config.tokens, min_count=config.min_count,
            workers=config.workers,
        )
        kept["report"] = corpus.report
    by_session = config.customers == "sessions" and log.session is None
    window = config.window or sessions.report.advised_window
    return TokenizedLog(_compact_owners(corpus.sequences, by_session), corpus.vocabulary, window)


def with_customers(config: PipelineConfig, log: EventLog) -> bool:
    """Whether the run makes customers."""
    if config.customers == "users" and log.user is None:
        raise InputError(
            "customers='users' needs a log with users. 'sessions' makes each session its own customer, 'none' makes "
            "item vectors only."
        )
    return config.customers in ("users", "sessions") or (config.customers == "auto" and log.user is not None)


def _compact_owners(sequences: Sequences, by_session: bool) -> Sequences:
    """Owners renumbered, without those that have no sequences; the reports count these."""
    if sequences.owner is None or by_session:
        return replace(sequences, owner=None, owner_ids=np.arange(len(sequences)))
    present, owner = np.unique(sequences.owner, return_inverse=True)
    ids = None if sequences.owner_ids is None else sequences.owner_ids[present]
    return replace(sequences, owner=owner.astype(np.int32), owner_ids=ids)
