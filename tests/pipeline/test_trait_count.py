"""n_traits="auto": as many traits as the shop has, and from then on as many as were published."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

import traitcore as tc
from traitcore.cli.options import count_or_auto
from traitcore.pipeline import PipelineConfig, trait_count
from traitcore.shop.evaluation import judge_traits

OPTIONS: dict[str, Any] = {"method": "ppmi", "vector_size": 8, "n_traits": "auto"}


@pytest.fixture(scope="module")
def log() -> tc.EventLog:
    return tc.simulate_events(n_users=500, n_items=120, n_traits=6, seed=1).log


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates on both sides of the planted number."""
    chosen = partial(trait_count.choose_n_traits, candidates=(3, 6, 12), n_refits=2)
    monkeypatch.setattr(trait_count, "choose_n_traits", chosen)


@pytest.mark.usefixtures("few")
def test_the_planted_number_is_found_and_kept(
    log: tc.EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tc.fit_pipeline(log, store=tmp_path, trait_names={5: "tea"}, **OPTIONS)
    assert first.config.n_traits == 6
    assert first.profiles is not None
    assert first.profiles.shape[1] == 6
    assert first.tokens.metadata["config"]["n_traits"] == 6
    assert tc.verify_run(log, tmp_path).same
    monkeypatch.setattr(trait_count, "choose_n_traits", None)  # not asked again
    second = tc.fit_pipeline(log, store=tmp_path, force=("me", "the same log again"), **OPTIONS)
    assert second.config.n_traits == 6
    assert "6, as published" in next(str(s.report) for s in second.stages if s.name == trait_count.STAGE)
    with pytest.raises(ValueError, match=r"trait_names.* must be .*5\]?.* Got 6"):
        tc.fit_pipeline(log, store=tmp_path, trait_names={6: "coffee"}, **OPTIONS)


@pytest.mark.usefixtures("few")
def test_evaluate_judges_as_many(log: tc.EventLog) -> None:
    found = judge_traits(log, PipelineConfig(**OPTIONS), checks=("coherence",), n_splits=1)
    assert found["protocol"]["n_traits"] == 6


def test_other_words_and_numbers_are_refused(log: tc.EventLog) -> None:
    assert [count_or_auto(text) for text in ("auto", "12")] == ["auto", 12]
    for wrong in ("all", 0, 2.5):
        with pytest.raises((ValueError, TypeError), match=r"n_traits.* must be"):
            tc.fit_pipeline(log, **OPTIONS | {"n_traits": wrong})
