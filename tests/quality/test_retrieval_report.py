"""Intervals of figures of retrieval, by session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from traitcore.events.sequences import Sequences
from traitcore.quality.retrieval import evaluate_retrieval


def even(prefixes: Sequences) -> Any:
    return np.zeros((len(prefixes), 50))


def test_intervals_are_by_session() -> None:
    rng = np.random.default_rng(0)
    lists = [[int(rng.integers(0, 50))] * 12 for _ in range(200)]
    ranks = np.repeat(rng.choice([1.0, 100.0], 200), 11)  # a session's queries have one fate
    report = evaluate_retrieval(Sequences.from_lists(lists), even, n_items=50)
    report = replace(report, ranks=ranks, recall=float((ranks <= 20).mean()))
    low, high = report.interval("recall")
    assert low < report.recall < high
    error = np.sqrt(report.recall * (1 - report.recall) / 200)  # of 200 fates, not of 2,200 queries
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert report.interval("recall") == report.interval("recall")
    assert report.interval("mrr", level=0.5)[0] > report.interval("mrr", level=0.99)[0]
    better = replace(report, ranks=np.where(np.arange(len(ranks)) % 11 == 0, 1.0, ranks))
    low, high = better.difference(report)
    assert 0 < low < (better.ranks <= 20).mean() - report.recall < high
    assert report.difference(report) == (0.0, 0.0)
    short = evaluate_retrieval(Sequences.from_lists(lists[:5]), even, n_items=50)
    with pytest.raises(ValueError, match="a report on the same queries"):
        report.difference(short)
    with pytest.raises(ValueError, match="'figure'"):
        report.interval("precision")
    assert set(report.as_dict()) >= {"recall_low", "recall_high", "mrr_low", "mrr_high"}
    with pytest.raises(ValueError, match="doesn't know its sessions"):
        replace(report, sessions=None).interval()


def test_unknown_answers_are_misses_of_the_interval_too() -> None:
    lists = [[i % 50, (i * 7) % 50, 3] for i in range(40)]

    def scorer(prefixes: Sequences) -> Any:
        odd = prefixes.tokens[prefixes.offsets[:-1]] % 2
        return np.where(odd, 1.0, -1.0)[:, None] * np.arange(50.0)

    known = evaluate_retrieval(Sequences.from_lists(lists), scorer, n_items=50)
    half = evaluate_retrieval(Sequences.from_lists(lists), scorer, n_items=50, n_unknown=known.n_queries)
    assert half.recall == pytest.approx(known.recall / 2)
    for figure in ("recall", "mrr", "ndcg"):
        low, high = known.interval(figure)
        assert low < getattr(known, figure) < high
        assert half.interval(figure) == pytest.approx((low / 2, high / 2))
    with pytest.raises(ValueError, match="a report on the same queries"):
        known.difference(half)
    with pytest.raises(ValueError, match=r"'figure' parameter of RetrievalReport\.difference"):
        known.difference(known, "precision")
