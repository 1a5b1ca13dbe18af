"""evaluate: items and traits beside their controls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.command_line import answer, refused, said
from traitcore.cli import build_parser, evaluate
from traitcore.events.readers import read_events
from traitcore.events.sequences import Sequences
from traitcore.items.next_item import NextItemCounts
from traitcore.pipeline import PipelineConfig, prepare_corpus
from traitcore.quality.retrieval import evaluate_retrieval, split_sequences
from traitcore.shop.evaluation import CHECKS, DEFAULT_CHECKS, next_item_scorer


def test_the_checks_that_help_names_are_those_there_are() -> None:
    """They are written out in cli/evaluate.py, so that --help doesn't import the library."""
    assert evaluate.CHECKS == CHECKS
    args = build_parser().parse_args(["evaluate", "x.csv"])
    assert tuple(args.checks.split(",")) == DEFAULT_CHECKS


def test_evaluate_judges_items_and_traits_beside_their_controls(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(folder / "events.csv")
    how = ("--epochs", "10", "--n-traits", "3", "--trait-method", "counts", "--splits", "2")
    found = answer(capsys, "evaluate", log, *how, "--checks", "coherence,support")
    assert found["items"]["by"] == "time"
    corpus = prepare_corpus(read_events(log), PipelineConfig(tokens="item"))
    train, test = split_sequences(corpus.sessions, by="time", test_share=0.2)
    n = len(corpus.vocabulary)
    popular = train.token_counts(n).astype(np.float32)
    control = evaluate_retrieval(test, lambda p: np.tile(popular, (len(p), 1)), n_items=n, popularity=popular)
    scorers = found["items"]["scorers"]
    assert scorers["popularity (control)"] == pytest.approx(control.as_dict())
    assert found["items"]["scorers"]["item2vec, cosine"]["recall"] > 20 / n  # chance
    ends = [times[-1] for times in np.split(train.timestamps_us, train.offsets[1:-1])]
    ordered = Sequences.from_lists([train[i] for i in np.argsort(ends, kind="stable")])
    counts = NextItemCounts.preset("next_click").fit(ordered, n_items=n)
    beside = evaluate_retrieval(test, lambda p: counts.score(p).toarray(), n_items=n, popularity=popular)
    assert scorers["next-item counts"] == pytest.approx(beside.as_dict())
    assert beside.recall > control.recall
    unordered = NextItemCounts.preset("next_click").fit(train, n_items=n)  # the order of owners tells no age
    other = evaluate_retrieval(test, lambda p: unordered.score(p).toarray(), n_items=n, popularity=popular)
    assert other.mrr != beside.mrr
    assert found["traits"]["figures"]["npmi"] > found["traits"]["figures"]["npmi_random"]
    assert found["traits"]["protocol"]["n_traits"] == 3
    how = (*how, "--only", "items")
    items_only = answer(capsys, "evaluate", log, *how, "--by", "session", "--exclude-seen", "-k", "5")
    assert items_only["items"]["by"] == "session"
    assert "traits" not in items_only
    assert all(f["k"] == 5 for f in items_only["items"]["scorers"].values())
    text = said(capsys, "evaluate", log, *how)
    assert "Recall@20" in text
    assert "popularity (control)" in text
    assert "next-item counts" in text
    lists = answer(capsys, "evaluate", log, "--only", "lists", "--n-traits", "3", "--trait-method", "counts")
    assert set(lists) == {"lists"}
    assert lists["lists"]["customers"] == found["lists"]["customers"] > 20
    assert lists["lists"]["lists"] == found["lists"]["lists"]
    lists_of_one = ("--only", "lists", "--n-traits", "3", "--trait-method", "counts", "--max-per-trait", "1")
    limited = answer(capsys, "evaluate", log, *lists_of_one)["lists"]["lists"]
    name = "counts and traits, at most 1 a trait"
    assert set(limited) - set(lists["lists"]["lists"]) == {name}
    assert limited[name]["traits"] > limited["counts and traits"]["traits"]
    assert "'checks'" in refused(capsys, "evaluate", log, *how, "--only", "traits", "--checks", "vibes")


def test_evaluate_judges_baskets_as_sets_unless_their_order_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Baskets of nine of 30 items, any of them, in order of item id: only the order says what comes next."""
    rng = np.random.default_rng(0)
    rows = [f"{u},{1_500_000_000 + u * 86_400},{i}"
            for u in range(300) for i in np.sort(rng.choice(30, 9, replace=False)).tolist()]
    head = "user_id,timestamp,item_id"
    how = ("--action", "-", "--only", "items", "--exclude-seen", "-k", "3", "--epochs", "1", "--min-count", "1")
    found = {}
    for name, lines in (("sorted", rows), ("permuted", [rows[i] for i in rng.permutation(len(rows))])):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join([head, *lines]))
        found[name] = answer(capsys, "evaluate", str(path), *how)["items"]
    assert found["sorted"] == found["permuted"]
    fair = found["sorted"]["scorers"]["next-item counts"]["recall"]
    known = answer(capsys, "evaluate", str(tmp_path / "sorted.csv"), *how, "--ties", "row")["items"]
    assert fair < 0.2  # 3 of 22 by chance
    assert known["scorers"]["next-item counts"]["recall"] > 0.4


def test_next_item_counts_without_times_do_not_age_sessions() -> None:
    rng = np.random.default_rng(0)
    train = Sequences.from_lists([rng.integers(0, 9, 5) for _ in range(30)])
    backwards = Sequences.from_lists([train[i] for i in reversed(range(30))])
    one, other = next_item_scorer(train, 9, 1)(train), next_item_scorer(backwards, 9, 1)(train)
    assert one.shape == (30, 9)
    np.testing.assert_allclose(one, other, rtol=1e-4)
