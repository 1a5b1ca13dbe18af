"""Sessions given without times or places are sets: no order is learned from them, and none is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from tests.data.small_store import FAST
from traitcore.events.session_report import BASKET_WINDOW, TiedEventsWarning
from traitcore.pipeline import PipelineConfig, prepare_corpus
from traitcore.shop.evaluation import judge_items

SMALL: dict[str, Any] = FAST | {"vector_size": 8, "n_traits": 2, "customers": "sessions", "min_count": 1}
READ: dict[str, Any] = {"user": None, "timestamp": None, "session": "session", "action": None}


def in_order_of_rows() -> dict[str, Any]:
    """300 baskets, each of six items that follow each other in the catalogue and in the file."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 24, 300)
    return {"session": np.repeat(np.arange(300), 6), "item_id": (first[:, None] + np.arange(6)).ravel() % 24}


def test_no_order_is_learned_from_them(tmp_path: Path) -> None:
    columns = in_order_of_rows()
    log = tc.EventLog.from_columns(columns, **READ)
    corpus = prepare_corpus(log, PipelineConfig(customers="sessions", min_count=1))
    assert (corpus.sets, corpus.window) == (True, BASKET_WINDOW)
    as_rows = prepare_corpus(log, PipelineConfig(customers="sessions", min_count=1, ties="row"))
    assert (as_rows.sets, as_rows.window) == (False, 5)

    def steps(sequences: tc.Sequences, items: Any) -> float:
        """Share of neighbours that follow each other in the catalogue."""
        found = np.array([items[row] for row in sequences])
        return float(((np.diff(found, axis=1)) % 24 == 1).mean())

    assert steps(as_rows.sequences, as_rows.vocabulary.item_ids[as_rows.vocabulary.token_item]) == 1.0
    assert abs(steps(corpus.sequences, corpus.vocabulary.item_ids[corpus.vocabulary.token_item]) - 1 / 6) < 0.05
    mixed = np.random.default_rng(1).permutation(1800)
    again = tc.fit_pipeline(tc.EventLog.from_columns({n: c[mixed] for n, c in columns.items()}, **READ), **SMALL)
    assert again.tokens.fingerprint == tc.fit_pipeline(log, **SMALL).tokens.fingerprint
    lines = [f"{s},{i}" for s, i in zip(*(one.tolist() for one in columns.values()))]
    (tmp_path / "log.csv").write_text("\n".join(["session,item_id", *lines]) + "\n")
    with pytest.warns(TiedEventsWarning):
        prepared = tc.prepare_log(
            tmp_path / "log.csv", tmp_path / "corpus", scratch=tmp_path, customers="sessions", min_count=1, **READ
        )
    assert tc.fit_pipeline(prepared, **SMALL).tokens.fingerprint == again.tokens.fingerprint


def test_each_item_is_asked_for_given_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tc.EventLog.from_columns(in_order_of_rows(), **READ)
    config = PipelineConfig(**SMALL | {"customers": "none"})
    found, by_rows = (judge_items(log, config.with_options({"ties": ties})) for ties in ("shuffle", "row"))
    assert (found["baskets"], by_rows["baskets"]) == (True, False)
    assert found["queries"] == 6 * found["sessions"]
    assert by_rows["queries"] == 5 * by_rows["sessions"]
    asked: list[tc.Sequences] = []
    from traitcore.pipeline import next_choice

    plain = next_choice.evaluate_retrieval

    def seen(sessions: tc.Sequences, *args: Any, **options: Any) -> Any:
        asked.append(sessions)
        return plain(sessions, *args, **options)

    monkeypatch.setattr(next_choice, "evaluate_retrieval", seen)
    tc.fit_pipeline(log, store=tmp_path, **SMALL)
    whole = [one for one in asked if np.diff(one.offsets).max() > 2]
    assert whole
    assert all(one.timestamps_us is not None and not one.timestamps_us.any() for one in whole)
