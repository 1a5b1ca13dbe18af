"""How `--next` ranks: the choice is what held-out sessions say, recorded in what is published."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from traitcore.events.sequences import Sequences
from traitcore.events.simulate import simulate_events
from traitcore.pipeline import PipelineConfig, fit_pipeline, make_embedder, prepare_corpus, recorded_choice
from traitcore.pipeline.next_choice import choose_next
from traitcore.pipeline.refits import compare_refits
from traitcore.quality.retrieval import VectorScorer, evaluate_retrieval
from traitcore.serving.store import TableStore
from traitcore.serving.table import EmbeddingTable

N = 30


def vocabulary() -> Any:
    """What the choice reads of a vocabulary: here each of N items has one token."""
    return SimpleNamespace(item_ids=np.arange(N), token_item=np.arange(N, dtype=np.int32))


def circle(rng: np.random.Generator, n: int) -> Sequences:
    """Sessions that go round a circle of N items, item after item."""
    starts = rng.integers(0, N, n)
    return Sequences.from_lists([[(start + step) % N for step in range(6)] for start in starts])


def test_the_ranking_that_finds_more_is_chosen() -> None:
    rng = np.random.default_rng(0)
    sessions, eye, noise = circle(rng, 40), np.eye(N, dtype=np.float32), rng.normal(size=(N, N)).astype(np.float32)
    # By context the next item has the only score above 0; the vectors themselves are alike for nobody.
    ahead = eye, np.roll(eye, 1, axis=0)
    # By cosine neighbours on the circle are near; the context is noise.
    angle = 2 * np.pi * np.arange(N) / N
    near = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), noise[:, :2]
    found = {}
    for name, sides in (("context", ahead), ("cosine", near)):
        for_tokens, for_items = choose_next(sides, sides, sessions, vocabulary(), seed=0, workers=1)
        assert for_tokens["similar"]["by"] == for_items["similar"]["by"] == for_items["recommend"]["by"] == name
        assert for_tokens["similar"]["queries"] == 200
        found[name] = for_tokens["similar"]["recall_at_20"]
    assert found["context"]["context"] == 1.0
    assert found["cosine"]["cosine"] == 1.0


def test_items_that_are_the_tokens_in_another_order_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    order = rng.permutation(N).astype(np.int32)
    items = rng.normal(size=(N, 4)).astype(np.float32), rng.normal(size=(N, 4)).astype(np.float32)
    tokens = items[0][order], items[1][order]
    words = SimpleNamespace(item_ids=np.arange(N), token_item=order)
    asked: list[int] = []

    def counted(sequences: Sequences, scorer: Any, **how: Any) -> Any:
        asked.append(len(sequences))
        return evaluate_retrieval(sequences, scorer, **how)

    monkeypatch.setattr("traitcore.pipeline.next_choice.evaluate_retrieval", counted)
    sessions, other = circle(rng, 40), (items[0], items[1] + 1)
    once = choose_next(tokens, items, sessions, words, seed=0, workers=1)  # type: ignore[arg-type]
    assert len(asked) == 4
    choose_next(tokens, other, sessions, words, seed=0, workers=1)  # type: ignore[arg-type]
    assert len(asked) == 4 + 6
    monkeypatch.setattr("traitcore.pipeline.next_choice.np.array_equal", lambda a, b: False)
    assert choose_next(tokens, items, sessions, words, seed=0, workers=1) == once  # type: ignore[arg-type]
    assert len(asked) == 4 + 6 + 6


def test_without_a_query_the_default_is_kept() -> None:
    eye = np.eye(N, dtype=np.float32)
    lonely = Sequences.from_lists([[3], [], [4]])
    repeats = Sequences.from_lists([[3, 3, 3]])
    nothing = {"by": "context", "queries": 0}
    for_tokens, for_items = choose_next((eye, eye), (eye, eye), lonely, vocabulary(), seed=0, workers=1)
    assert for_tokens == {"similar": nothing}
    assert for_items == {"similar": nothing, "recommend": nothing}
    for_tokens, for_items = choose_next((eye, eye), (eye, eye), repeats, vocabulary(), seed=0, workers=1)
    assert for_tokens == {"similar": nothing}  # what comes next to 3 is never 3 itself
    assert for_items["recommend"]["queries"] == 2


@pytest.mark.parametrize("recorded", [None, {}, [], {"next": None}, {"next": {"similar": {}}}, {"next": {"similar": 3}},
                                      {"next": {"similar": {"by": "vibes"}}}])
def test_a_table_without_a_record_is_ranked_by_context(recorded: Any) -> None:
    eye = np.eye(3, dtype=np.float32)
    table = EmbeddingTable([1, 2, 3], eye, context_vectors=eye, metadata=recorded or {})
    assert recorded_choice(table, "similar") == "context"


def test_published_metadata_records_the_chosen_ranking(tmp_path: Path) -> None:
    log = simulate_events(n_users=150, n_items=60, n_traits=3, sessions_per_user=6).log
    config = PipelineConfig(vector_size=16, epochs=3, customers="none")
    fit_pipeline(log, config=config, store=tmp_path)
    store = TableStore(tmp_path)
    corpus = prepare_corpus(log, config)
    order = np.random.default_rng(1).permutation(len(corpus.sequences))
    n_trained = int(0.9 * len(order))
    train, test = (corpus.sequences.take(np.sort(rows)) for rows in (order[:n_trained], order[n_trained:]))
    refit = make_embedder(replace(config, seed=1), corpus.window).fit(train, n_items=len(corpus.vocabulary))
    steps = [(int(a), int(b)) for session in test for a, b in itertools.pairwise(session) if a != b]
    recorded = store.open("tokens").metadata["next"]["similar"]
    recall = {}
    for name, context in (("context", refit.context_vectors_), ("cosine", None)):
        report = evaluate_retrieval(
            Sequences.from_lists(steps), VectorScorer(refit.item_vectors_, context), n_items=len(corpus.vocabulary),
            repeats="exclude", max_queries=2000,
        )
        recall[name] = report.recall
        assert recorded["recall_at_20"][name] == pytest.approx(report.recall, abs=1e-4)
    assert recorded["by"] == max(recall, key=lambda name: recall[name])
    assert recorded["queries"] == len(steps)
    items = store.open("items")
    assert set(items.metadata["next"]) == {"similar", "recommend"}
    assert recorded_choice(items, "recommend") == items.metadata["next"]["recommend"]["by"]


def test_workers_choose_alike() -> None:
    log = simulate_events(n_users=60, n_items=40, n_traits=3).log
    found = []
    for workers in (1, 3):
        config = PipelineConfig(vector_size=8, epochs=1, customers="none", workers=workers)
        result = fit_pipeline(log, config=config)
        corpus = prepare_corpus(log, config)
        found.append(compare_refits(result.items, corpus, make_embedder, config, None))
    assert found[0].next_tokens == found[1].next_tokens
    assert found[0].next_items == found[1].next_items
