"""From a log to the corpus that a run learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from ..events.log import EventLog
from ..events.sequences import Sequences
from ..events.sessions import split_sessions
from ..events.tokens import tokenize
from ..events.vocabulary import Vocabulary
from .config import PipelineConfig
from .stages import Run

WINDOW = 5
BASKET_WINDOW = 20  # baskets have no order, so that near means nothing: more of each basket counts


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a run learns from: sequences whose owners are the customers that have any, their vocabulary, the window."""

    sequences: Sequences
    vocabulary: Vocabulary
    window: int


def prepare_corpus(log: EventLog, config: PipelineConfig, run: Run | None = None) -> Prepared:
    """Sessions and tokens of a log; owners are the customers that have any, and "sessions" makes each session one."""
    run = Run(None) if run is None else run
    if config.customers == "sessions" and log.session is not None:
        log = replace(log, user=log.session, user_ids=log.session_ids)
    has_times, has_users = log.timestamp_us is not None, log.user is not None
    with run.stage("sessions") as kept:
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
            workers=config.workers,
            progress=run.tell("sessions"),
        )
        kept["report"] = sessions.report
    with run.stage("tokens") as kept:
        corpus = tokenize(
            sessions, action_map=config.action_map, tokens=config.tokens, min_count=config.min_count,
            workers=config.workers,
        )  # fmt: skip
        kept["report"] = corpus.report
    by_session = config.customers == "sessions" and log.session is None
    sequences, tied = _compact_owners(corpus.sequences, by_session), 0.0
    if log.position is None and sequences.timestamps_us is not None:
        with run.stage("order") as kept:
            sequences, tied = shuffle_instants(sequences, corpus.vocabulary.token_action, seed=config.seed)
            kept["report"] = f"{tied:.1%} of neighbours in a session have the same time; shuffled within it"
    window = config.window or (BASKET_WINDOW if tied > 0.5 else WINDOW)
    return Prepared(sequences, corpus.vocabulary, window)


def shuffle_instants(
    sequences: Sequences, token_action: NDArray[np.int32], *, seed: int
) -> tuple[Sequences, float]:
    """(sequences, share of neighbours with the same time): events of one instant and action in random order.

    A basket's lines all have one time. Any fixed order among them, that of item ids say, would make neighbours in
    that order look alike to every window; a random one makes all of the basket neighbours.
    """
    assert sequences.timestamps_us is not None
    owner_of_event = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    same = (np.diff(sequences.timestamps_us) == 0) & (np.diff(owner_of_event) == 0)
    if not same.any():
        return sequences, 0.0
    tied = np.zeros(sequences.n_tokens, dtype=bool)
    tied[1:] |= same
    tied[:-1] |= same
    places = np.flatnonzero(tied)
    instant = np.cumsum(np.concatenate(([True], ~same)))[places]
    tokens = sequences.tokens.copy()
    chance = np.random.default_rng(seed).random(len(places))
    tokens[places] = tokens[places[np.lexsort((chance, token_action[tokens[places]], instant))]]
    share = float(same.sum() / max(1, (np.diff(owner_of_event) == 0).sum()))
    return replace(sequences, tokens=tokens), share


def with_customers(config: PipelineConfig, log: EventLog) -> bool:
    if config.customers == "users" and log.user is None:
        raise InputError(
            "customers='users' needs a log with users. 'sessions' makes each session its own customer, 'none' makes "
            "item vectors only."
        )
    return config.customers in ("users", "sessions") or (config.customers == "auto" and log.user is not None)


def _compact_owners(sequences: Sequences, by_session: bool) -> Sequences:
    """Owners numbered by those that have sequences; what became of the others stands in the reports."""
    if sequences.owner is None or by_session:
        return replace(sequences, owner=None, owner_ids=np.arange(len(sequences)))
    present, owner = np.unique(sequences.owner, return_inverse=True)
    ids = None if sequences.owner_ids is None else sequences.owner_ids[present]
    return replace(sequences, owner=owner.astype(np.int32), owner_ids=ids)
