"""The corpus of a run: whole histories beside the sessions that items are learned from; baskets without times."""

from __future__ import annotations

import numpy as np
import pytest

import traitcore as tc
from traitcore.events.session_report import BASKET_WINDOW, WINDOW
from traitcore.pipeline import PipelineConfig, prepare_corpus


def log_of(rows: list[tuple[str, int, str]]) -> tc.EventLog:
    user, time, item = (list(column) for column in zip(*rows))
    return tc.EventLog.from_columns(
        {"user_id": user, "timestamp": time, "item_id": item}, action=None, timestamp_unit="s"
    )


ROWS = [
    ("a", 0, "x"), ("a", 60, "y"),  # a session of two
    ("a", 90_000, "y"), ("b", 0, "x"),  # sessions of one event
    ("c", 0, "x"), ("c", 60, "y"), ("d", 0, "z"), ("d", 90_000, "z"),  # z is only ever alone
]


def test_sessions_of_one_event_stay_in_histories_and_teach_no_items():
    corpus = prepare_corpus(log_of(ROWS), PipelineConfig(min_count=1))
    assert corpus.vocabulary.tokens.tolist() == ["x", "y"]  # nothing shows what z goes with
    assert corpus.vocabulary.counts.tolist() == [3, 3]
    assert corpus.vocabulary.n_documents == 3
    assert corpus.sequences.owner_ids is not None
    assert corpus.sequences.owner_ids.tolist() == ["a", "b", "c"]
    assert [s.tolist() for s in corpus.sequences] == [[0, 1], [1], [0], [0, 1]]
    assert [s.tolist() for s in corpus.sessions] == [[0, 1], [0, 1]]
    items_only = prepare_corpus(log_of(ROWS), PipelineConfig(min_count=1, customers="none"))
    assert [s.tolist() for s in items_only.sequences] == [s.tolist() for s in corpus.sessions]


def test_where_all_sessions_are_long_nothing_is_left_out():
    corpus = prepare_corpus(log_of([*ROWS[:2], *ROWS[4:6]]), PipelineConfig(min_count=1))
    assert corpus.long is None
    assert corpus.sessions is corpus.sequences


def test_a_log_of_single_events_says_what_to_relax():
    with pytest.raises(tc.InputError, match="min_length"):
        prepare_corpus(log_of([("a", 0, "x"), ("b", 0, "x")]), PipelineConfig(min_count=1))


def test_given_sessions_without_times_are_baskets():
    columns = {"user_id": [1, 1, 1, 2, 2], "session_id": [1, 1, 1, 2, 2], "item_id": list("abcab")}
    log = tc.EventLog.from_columns(columns, session="session_id", timestamp=None, action=None)
    corpus = prepare_corpus(log, PipelineConfig(min_count=1))
    assert corpus.baskets
    assert corpus.window == BASKET_WINDOW
    ordered = prepare_corpus(log, PipelineConfig(min_count=1, ties="row"))
    assert not ordered.baskets
    assert ordered.window == WINDOW
    assert np.diff(corpus.sequences.offsets).tolist() == [3, 2]
