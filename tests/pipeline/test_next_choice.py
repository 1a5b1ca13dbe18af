"""How `--next` ranks: the choice is what held-out sessions say, recorded in what is published."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from traitcore.cli import main
from traitcore.events.sequences import Sequences
from traitcore.events.simulate import simulate_events
from traitcore.pipeline import (
    Catalogue,
    PipelineConfig,
    fit_pipeline,
    make_embedder,
    next_choice,
    prepare_corpus,
    recorded_choice,
)
from traitcore.pipeline.next_choice import choose_next, latest_sessions
from traitcore.pipeline.refits import compare_refits
from traitcore.quality.retrieval import VectorScorer, evaluate_retrieval
from traitcore.serving.next_model import next_model_of
from traitcore.serving.recommend import next_items
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
    order = np.random.default_rng(1).permutation(len(corpus.sessions))
    n_trained = int(0.9 * len(order))
    train, test = (corpus.sessions.take(np.sort(rows)) for rows in (order[:n_trained], order[n_trained:]))
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


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("most", [0, 1, 7, 20, 1000])
def test_the_latest_sessions_of_a_large_log_choose(monkeypatch: pytest.MonkeyPatch, timed: bool, most: int) -> None:
    monkeypatch.setattr(next_choice, "LATEST_EVENTS", most)
    rng = np.random.default_rng(most)
    lengths = rng.integers(0, 4, 40)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    times = rng.integers(0, 1000, offsets[-1])
    sessions = Sequences(rng.integers(0, N, offsets[-1]).astype(np.int32), offsets, None, times if timed else None)
    kept = latest_sessions(sessions)
    assert lengths[kept].sum() <= most or kept.all()
    ends = np.array([times[b - 1] if b > a else -1 for a, b in itertools.pairwise(offsets)]) if timed else np.arange(40)
    wanted, room = set(), most
    for row in sorted(range(40), key=lambda row: (ends[row], row), reverse=True):
        room -= lengths[row]
        if room < 0:
            break
        wanted.add(row)
    assert set(np.flatnonzero(kept).tolist()) == wanted


def test_a_model_learns_the_latest_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[Sequences] = []
    fit = next_choice.NextItemModel.fit

    def keep(self: Any, sequences: Sequences, **options: Any) -> Any:
        learned.append(sequences)
        return fit(self, sequences, **options)

    monkeypatch.setattr(next_choice.NextItemModel, "fit", keep)
    monkeypatch.setattr(next_choice, "LATEST_EVENTS", 2_000)
    _, result = published_model(tmp_path, monkeypatch)
    assert 1_500 < learned[0].n_tokens <= 2_000 < result.vocabulary.counts.sum()


def published_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> tuple[TableStore, Any]:
    """A store of a shop where vectors alone find nothing, so that the model is published; and what fit returned."""
    monkeypatch.setattr(
        "traitcore.pipeline.next_choice.VectorScorer", lambda *sides: lambda p: np.zeros((len(p), len(sides[0])))
    )
    log = simulate_events(n_users=150, n_items=60, n_traits=3, sessions_per_user=6).log
    result = fit_pipeline(log, store=tmp_path, vector_size=8, epochs=1, customers="none", method="ppmi", **given)
    return TableStore(tmp_path), result


def test_the_model_is_published_where_it_finds_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, result = published_model(tmp_path, monkeypatch)
    items = store.open("items")
    assert recorded_choice(items, "recommend") == recorded_choice(items, "similar") == "model"
    assert items.metadata["next"]["recommend"]["recall_at_20"]["model"] > 0.3
    model = next_model_of(items)
    assert model is not None
    assert model.n_items_ == len(items) == len(result.items)
    encoder = items.metadata["next_encoder"]
    session = [3, 7, 3]
    # The encoder as its metadata tell it, by hand.
    vectors = items.arrays["next_vectors"]
    total = sum(w * vectors[i] for w, i in zip(encoder["step_weights"], session[::-1]))
    scores = encoder["scale"] * total / np.linalg.norm(total) @ vectors.T + items.arrays["next_biases"]
    scores[3] += encoder["repeat_bonus"][0]
    scores[7] += encoder["repeat_bonus"][1]
    np.testing.assert_allclose(model.score(session)[0], scores, atol=1e-4)
    found = next_items(session, model=model, k=5, exclude=[0])
    scores[0] = -np.inf
    assert found.rows.tolist() == np.argsort(-scores, kind="stable")[:5].tolist()
    hidden = next_items(session, model=model, k=len(items), exclude_seen=True)
    assert not {3, 7} & set(hidden.rows.tolist())
    with pytest.raises(ValueError, match="'model' parameter of next_items must be given alone"):
        next_items(session, np.eye(3), model=model)
    with pytest.raises(TypeError, match="'model' parameter of next_items"):
        next_items(session, model=3)
    with pytest.raises(ValueError, match="can't be trained on"):
        model.partial_fit(Sequences.from_lists([[0, 1]]))


def test_a_catalogue_s_new_items_take_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = simulate_events(n_users=150, n_items=60, n_traits=3, sessions_per_user=6).log
    old = log.item_ids.tolist()
    kinds = [f"kind {i % 4}" for i in range(len(old))]
    catalogue = Catalogue(
        np.asarray([*old, "brand new"], dtype=object), categories=[*kinds, "kind 1"],
        texts=[*(f"{kind} thing {i}" for i, kind in enumerate(kinds)), "kind 1 thing"],
    )
    store, _ = published_model(tmp_path, monkeypatch, catalogue=catalogue)
    items = store.open("items")
    model, row = next_model_of(items), items.row("brand new")
    assert model is not None
    assert np.linalg.norm(model.vectors_[row]) == pytest.approx(1, abs=1e-5)
    assert model.biases_[row] == model.biases_.min()
    assert np.isfinite(model.score([row])).all()
    assert row in model.recommend([1, 2], k=len(items))[0]


def test_a_session_is_answered_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = published_model(tmp_path, monkeypatch)
    items = store.open("items")
    model, names = next_model_of(items), items.ids[[5, 9, 2]].tolist()
    assert model is not None
    assert main(["recommend", "--session", ",".join(names), "--store", str(tmp_path), "-k", "4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["by"] == "model"
    assert answer["session"] == names
    assert [r["item"] for r in answer["recommended"]] == items.ids[model.recommend([5, 9, 2], k=4)[0]].tolist()
    assert all(r["why"].removeprefix("after ") in names for r in answer["recommended"])
    assert main(["similar", names[0], "--next", "--store", str(tmp_path), "-k", "3", "--json"]) == 0
    assert main(["recommend", "--store", str(tmp_path)]) == 2
