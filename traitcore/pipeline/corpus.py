"""From a log to the corpus of a run: sessions and tokens."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._rows import sorted_unique
from ..events.action_names import buying
from ..events.log import EventLog
from ..events.occurrences import owners_seen
from ..events.prepared import PreparedCorpus
from ..events.sequences import Sequences
from ..events.session_report import SessionReport, TiedEventsWarning
from ..events.sessions import split_sessions
from ..events.tokens import tokenize
from ..events.vocabulary import Vocabulary
from ..serving.table import check_metadata
from .config import PipelineConfig
from .coverage import Coverage, coverage_of
from .item_sessions import item_sessions
from .left_out import LeftOut, left_out_of
from .stages import Run


@dataclass(frozen=True, eq=False)
class TokenizedLog:
    """The corpus of a run: sequences, owned by the customers that have any, their vocabulary, and the window.

    sequences : all that customers did. min_length : of the `sessions` that items are learned from. sets : no times are
        known, and most sessions are sets of events in random order: nothing should be asked of their order.
    bought : (owners' rows, item ids) of all that was bought, whether or not it became a token; None: no action of the
    log means buying.
    coverage : what of the log is in it. left_out : the users who aren't; None where customers are sessions.
    """

    sequences: Sequences
    vocabulary: Vocabulary
    window: int
    min_length: int
    sets: bool
    bought: tuple[NDArray[np.int64], NDArray[Any]] | None = None
    coverage: Coverage | None = None
    left_out: LeftOut | None = None

    @cached_property
    def sessions(self) -> Sequences:
        """Those of the sequences that item vectors and next items are learned from: see `item_sessions`."""
        return item_sessions(self.sequences, self.min_length)


def prepare_corpus(log: EventLog, config: PipelineConfig, run: Run | None = None) -> TokenizedLog:
    """Sessions and tokens of a log; owners are the customers that have any, and "sessions" makes each session one."""
    run = Run(None) if run is None else run
    if config.customers == "sessions" and log.session is not None:
        log = replace(log, user=log.session, user_ids=log.session_ids)
    options = config.session_options(
        times=log.timestamp_us is not None, users=log.user is not None, sessions=log.session is not None
    )
    with run.stage("sessions") as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)  # the window follows the report, which has the same warning
        sessions = split_sessions(log, **options, workers=config.workers, progress=run.stage_progress("sessions"))
        kept["report"] = sessions.report
    with run.stage("tokens") as kept:
        corpus = tokenize(
            sessions, action_map=config.action_map, tokens=config.tokens, min_count=config.min_count,
            workers=config.workers,
        )
        kept["report"] = corpus.report
    by_session = config.customers == "sessions" and log.session is None
    window = config.window or sessions.report.advised_window
    sequences = _compact_owners(corpus.sequences, by_session)
    bought = _bought_tokens(sequences, corpus.vocabulary) if by_session else _bought(log, corpus.sequences, config)
    with run.stage("coverage") as kept:
        coverage = coverage_of(
            log, sequences, corpus.vocabulary, sessions.report, corpus.report, config,
            customers=with_customers(config, log),
        )
        kept["report"] = coverage
    left_out = None
    if not by_session and sessions.owner is not None and corpus.sequences.owner is not None:
        left_out = left_out_of(log, sorted_unique(sessions.owner), sorted_unique(corpus.sequences.owner))
    sets = without_order(sequences, sessions.report)
    return TokenizedLog(sequences, corpus.vocabulary, window, config.min_length, sets, bought, coverage, left_out)


def corpus_of(prepared: PreparedCorpus, config: PipelineConfig, run: Run | None = None) -> TokenizedLog:
    """The same of a log that `prepare_log` has prepared."""
    run = Run(None) if run is None else run
    for name, report in (("sessions", prepared.session_report), ("tokens", prepared.token_report)):
        with run.stage(name) as kept:
            kept["report"] = report
    window = config.window or prepared.session_report.advised_window
    by_session = config.customers == "sessions" and prepared.session_report.cut_by == "gap"
    sequences, bought = _compact_owners(prepared.sequences, by_session), None
    if by_session:
        bought = _bought_tokens(sequences, prepared.vocabulary)
    elif prepared.bought is not None and prepared.sequences.owner is not None:
        owner, item, ids = prepared.bought
        rank, _ = _compact(prepared.sequences.owner, prepared.sequences.n_owners)
        known = rank[owner] >= 0
        bought = rank[owner[known]].astype(np.int64), ids[item[known]]
    sets = without_order(sequences, prepared.session_report)
    return TokenizedLog(sequences, prepared.vocabulary, window, config.min_length, sets, bought)


def without_order(sequences: Sequences, report: SessionReport) -> bool:
    """Whether no times are known, and most sessions are sets of events in random order."""
    return sequences.timestamps_us is None and report.baskets


def settings_of(prepared: PreparedCorpus, config: PipelineConfig, options: Mapping[str, Any]) -> PipelineConfig:
    """The configuration with what the corpus was prepared by; InputError where `options` ask for something else."""
    for name, value in options.items():
        if name in prepared.settings and check_metadata({name: value}) != {name: prepared.settings[name]}:
            raise InputError(
                f"The corpus in {prepared.path} was prepared with {name}={prepared.settings[name]!r}; another {name} "
                "needs the log: prepare it again."
            )
    return config.with_options(prepared.settings)


def _bought(
    log: EventLog, sequences: Sequences, config: PipelineConfig
) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """What customers bought by the log itself: min_count and the limits of sessions leave out events, not purchases."""
    codes = [log.actions.index(name) for name in buying(log.actions, config.action_map)]
    if log.action is None or log.user is None or sequences.owner is None or not codes:
        return None
    owners = sorted_unique(sequences.owner)  # as `_compact_owners` numbers them
    rows = np.flatnonzero(np.isin(log.action, codes))
    place = np.searchsorted(owners, log.user[rows])
    known = owners[np.minimum(place, len(owners) - 1)] == log.user[rows]
    return place[known].astype(np.int64), log.item_ids[log.item[rows[known]]]


def _bought_tokens(sequences: Sequences, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """The same from the tokens, where each session that was found is its own customer."""
    codes = [vocabulary.actions.index(name) for name in buying(vocabulary.actions, None)]
    if not codes:
        return None
    of_buy = np.isin(vocabulary.token_action[sequences.tokens], codes)
    owner = np.repeat(sequences.owners(), np.diff(sequences.offsets))[of_buy]
    return owner.astype(np.int64), vocabulary.item_ids[vocabulary.token_item[sequences.tokens[of_buy]]]


def with_customers(config: PipelineConfig, log: EventLog | PreparedCorpus) -> bool:
    """Whether the run makes customers."""
    with_users = (log.sequences.owner if isinstance(log, PreparedCorpus) else log.user) is not None
    if config.customers == "users" and not with_users:
        raise InputError(
            "customers='users' needs a log with users. 'sessions' makes each session its own customer, 'none' makes "
            "item vectors only."
        )
    return config.customers in ("users", "sessions") or (config.customers == "auto" and with_users)


def _compact_owners(sequences: Sequences, by_session: bool) -> Sequences:
    """Owners renumbered, without those that have no sequences; the reports count these."""
    if sequences.owner is None or by_session:
        return replace(sequences, owner=None, owner_ids=np.arange(len(sequences)))
    rank, present = _compact(sequences.owner, sequences.n_owners)
    if len(present) == len(rank) and sequences.owner_ids is not None:  # all have; a mapped array stays one
        return sequences
    ids = None if sequences.owner_ids is None else sequences.owner_ids[present]
    return replace(sequences, owner=rank[sequences.owner], owner_ids=ids)


def _compact(owner: NDArray[np.int32], n_owners: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """((n_owners,) new number of each owner, -1 without sequences; the owners that have any)."""
    has = owners_seen(owner, n_owners)
    rank = np.cumsum(has, dtype=np.int32) - np.int32(1)
    rank[~has] = -1
    return rank, np.flatnonzero(has)
