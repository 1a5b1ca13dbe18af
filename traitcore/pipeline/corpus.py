"""From a log to the corpus of a run: sessions and tokens."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from ..events.action_names import buying
from ..events.log import EventLog
from ..events.sequences import Sequences
from ..events.session_report import BASKET_WINDOW, TiedEventsWarning
from ..events.sessions import Sessions, split_sessions
from ..events.tokens import tokenize
from ..events.vocabulary import Vocabulary
from .config import PipelineConfig
from .stages import Run


@dataclass(frozen=True, eq=False)
class TokenizedLog:
    """The corpus of a run: sequences, owned by the customers that have any, their vocabulary, and the window.

    sequences : the customers' whole histories, sessions of a single event too. long : (n_sequences,) bool, the sessions
    of `min_length` events or more, from which items are learned; None: all are. baskets : the order of a session's
    events isn't known.
    baskets : the events of a session have no known order.
    bought : (owners' rows, item ids) of all that was bought, whether or not it became a token; None: no action of the
    log means buying.
    """

    sequences: Sequences
    vocabulary: Vocabulary
    window: int
    bought: tuple[NDArray[np.int64], NDArray[Any]] | None = None
    long: NDArray[np.bool_] | None = None
    baskets: bool = False

    @property
    def sessions(self) -> Sequences:
        """The sequences that show which items go together: those of `min_length` events or more."""
        return self.sequences if self.long is None else self.sequences.take(np.flatnonzero(self.long))


def prepare_corpus(log: EventLog, config: PipelineConfig, run: Run | None = None) -> TokenizedLog:
    """Sessions and tokens of a log; owners are the customers that have any, and "sessions" makes each session one.

    A session shorter than `min_length` shows no items together, but it is part of its customer's history: where the
    run makes customers of users, it stays. Tokens that no longer session has are left out, for nothing shows what they
    go with.
    """
    run = Run(None) if run is None else run
    if config.customers == "sessions" and log.session is not None:
        log = replace(log, user=log.session, user_ids=log.session_ids)
    has_times, has_users = log.timestamp_us is not None, log.user is not None
    whole = config.customers in ("auto", "users") and has_users and config.min_length > 1
    with run.stage("sessions") as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)  # the window follows the report, which has the same warning
        sessions = _split(log, config, 1 if whole else config.min_length, run)
        enough = np.diff(sessions.offsets) >= config.min_length
        if not enough.any():
            _split(log, config, config.min_length, run)  # says why no session is left
        kept["report"] = sessions.report
    with run.stage("tokens") as kept:
        corpus = tokenize(
            sessions, action_map=config.action_map, tokens=config.tokens, min_count=config.min_count,
            workers=config.workers,
        )
        kept["report"] = corpus.report
    sequences, vocabulary, long = corpus.sequences, corpus.vocabulary, None
    if not enough.all():
        sequences, vocabulary, long = _with_neighbours(sequences, vocabulary, config.min_length)
    by_session = config.customers == "sessions" and log.session is None
    unordered = log.session is not None and not has_times and log.position is None and config.ties != "row"
    baskets = unordered or sessions.report.baskets
    window = config.window or (BASKET_WINDOW if baskets else sessions.report.advised_window)
    sequences = _compact_owners(sequences, by_session)
    bought = _bought_tokens(sequences, vocabulary) if by_session else _bought(log, sequences, config)
    return TokenizedLog(sequences, vocabulary, window, bought, long, baskets)


def _split(log: EventLog, config: PipelineConfig, min_length: int, run: Run) -> Sessions:
    has_times, has_users = log.timestamp_us is not None, log.user is not None
    return split_sessions(
        log,
        # A log that has its own sessions, or no times to cut at, is not cut again.
        gap_seconds=config.gap_seconds if log.session is None and has_times else None,
        min_length=min_length,
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


def _with_neighbours(
    sequences: Sequences, vocabulary: Vocabulary, min_length: int
) -> tuple[Sequences, Vocabulary, NDArray[np.bool_] | None]:
    """Sequences and vocabulary of the tokens that sequences of `min_length` tokens or more have, and which these are.

    None in place of the last where all are.
    """
    long = np.diff(sequences.offsets) >= min_length
    met = np.zeros(len(vocabulary), dtype=bool)
    met[sequences.tokens[np.repeat(long, np.diff(sequences.offsets))]] = True
    if met.all():
        return sequences, vocabulary, None if long.all() else long
    if not met.any():
        raise InputError(f"No session has {min_length} tokens or more (min_length), so no item has a neighbour.")
    row = (np.cumsum(met) - 1).astype(np.int32)
    kept = sequences.keep(met[sequences.tokens])
    kept = replace(kept, tokens=row[kept.tokens])
    filled = np.diff(kept.offsets) > 0
    items, item = np.unique(vocabulary.token_item[met], return_inverse=True)
    texts = vocabulary.item_texts
    smaller = replace(
        vocabulary, item_ids=vocabulary.item_ids[items], token_item=item.astype(np.int32),
        token_action=vocabulary.token_action[met], counts=vocabulary.counts[met],
        document_frequencies=vocabulary.document_frequencies[met],
        n_documents=len(np.unique(kept.owners()[filled])), item_texts=None if texts is None else texts[items],
    )
    return kept.take(np.flatnonzero(filled)), smaller, long[filled]


def _bought(
    log: EventLog, sequences: Sequences, config: PipelineConfig
) -> tuple[NDArray[np.int64], NDArray[Any]] | None:
    """What customers bought by the log itself: min_count and the limits of sessions leave out events, not purchases."""
    codes = [log.actions.index(name) for name in buying(log.actions, config.action_map)]
    if log.action is None or log.user is None or sequences.owner is None or not codes:
        return None
    owners = np.unique(sequences.owner)  # as `_compact_owners` numbers them
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
