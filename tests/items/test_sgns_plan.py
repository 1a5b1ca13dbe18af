"""plan_sgns: its estimates against a training."""

from __future__ import annotations

import pytest

from benchmarks.suite.synthetic import clustered_sessions
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_options import SgnsOptions
from traitcore.items.sgns_plan import plan_sgns


def test_the_plan_estimates_memory_and_time() -> None:
    corpus = clustered_sessions(60_000, 600, 12, seed=1)
    options = SgnsOptions(vector_size=40, epochs=3)
    plan = plan_sgns(corpus.sequences, options)
    result = train_sgns(corpus.sequences, options)
    assert plan.matrix_bytes == 2 * 600 * 48 * 4
    assert plan.pairs == pytest.approx(result.report.pairs, rel=0.1)
    assert plan.kept_tokens == pytest.approx(result.report.kept_tokens, rel=0.05)
    assert plan.seconds > 0
    assert plan_sgns(corpus.sequences, patience=2).matrix_bytes == 4 * 600 * 64 * 4


def test_tokens_that_wait_for_a_super_step_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traitcore.items.sgns_plan._TRIAL_TOKENS", 700)  # less than a super-step of this corpus
    sequences = clustered_sessions(200_000, 2_000, 40, seed=1).sequences
    plans = [
        plan_sgns(sequences, SgnsOptions(vector_size=16, sample=0.0, parallel=parallel))
        for parallel in ("reproducible", "hogwild")
    ]
    assert plans[0].pairs == plans[1].pairs > 0
    assert plans[0].kept_tokens == plans[1].kept_tokens
