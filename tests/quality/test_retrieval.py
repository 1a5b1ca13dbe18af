"""evaluate_retrieval: figures that can be worked out by hand, ties at their mean rank, splits that leak nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import serving as slow
from traitcore import Sequences, evaluate_retrieval
from traitcore.quality.retrieval import VectorScorer, mean_ranks, oldest_first, popularity_percentiles, split_sequences


def constant(scores: Any) -> Any:
    return lambda prefixes: np.tile(np.asarray(scores, dtype=np.float32), (len(prefixes), 1))


def test_by_hand() -> None:
    test = Sequences.from_lists([[0, 1, 2], [3], [2, 0]])
    report = evaluate_retrieval(test, constant([4, 3, 2, 1, 0]), n_items=5, k=2, popularity=[5, 4, 3, 2, 1])
    assert report.ranks.tolist() == [2.0, 3.0, 1.0]  # targets 1, 2 and 0
    assert report.n_queries == 3
    assert report.recall == pytest.approx(2 / 3)
    assert report.mrr == pytest.approx((1 / 2 + 1) / 3)
    assert report.ndcg == pytest.approx((1 / np.log2(3) + 1) / 3)
    assert report.coverage == pytest.approx(2 / 5)
    percentile = np.array([0.9, 0.7, 0.5, 0.3, 0.1])
    assert report.popularity_bias == pytest.approx(percentile[:2].mean() - percentile[[1, 2, 0]].mean())
    assert "Recall@2 0.6667" in str(report)
    assert report.as_dict()["recall"] == report.recall


def test_ties_and_unknown_targets() -> None:
    test = Sequences.from_lists([[0, 1], [0, 2]])
    report = evaluate_retrieval(test, constant([0, 0, 0, 0]), n_items=4, k=2, n_unknown=2)
    assert report.ranks.tolist() == [2.5, 2.5]  # an optimist would say 1
    assert (report.recall, report.n_queries) == (0.0, 4)
    with_hit = evaluate_retrieval(test, constant([0, 1, 0, 0]), n_items=4, k=2, n_unknown=2)
    assert with_hit.recall == 0.25


@given(seed=st.integers(0, 999), n=st.integers(1, 12))
def test_mean_ranks_equal_the_slow_twin(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scores, targets = rng.integers(0, 3, (6, n)).astype(np.float32), rng.integers(0, n, 6)
    want = [slow.next_item_rank(row, target) for row, target in zip(scores, targets)]
    assert mean_ranks(scores, targets).tolist() == want


def test_repeats() -> None:
    test = Sequences.from_lists([[0, 0], [0, 1]])
    keep = evaluate_retrieval(test, constant([2, 1, 0]), n_items=3, k=1)
    exclude = evaluate_retrieval(test, constant([2, 1, 0]), n_items=3, k=1, repeats="exclude")
    assert keep.ranks.tolist() == [1.0, 2.0]
    assert exclude.ranks.tolist() == [np.inf, 1.0]


def test_the_scorer_sees_the_prefix_only() -> None:
    seen: list[list[int]] = []

    def scorer(prefixes: Sequences) -> Any:
        seen.extend(p.tolist() for p in prefixes)
        return np.zeros((len(prefixes), 9))

    evaluate_retrieval(Sequences.from_lists([[5, 6, 7], [], [8, 8]]), scorer, n_items=9)
    assert seen == [[5], [5, 6], [8]]


def test_vector_scorer_decays_and_takes_either_side() -> None:
    rng = np.random.default_rng(0)
    v, c = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(6, 4)).astype(np.float32)
    prefixes = Sequences.from_lists([[0, 1, 2], [5]])
    unit = v / np.linalg.norm(v, axis=1, keepdims=True)
    sessions = np.array([0.25 * unit[0] + 0.5 * unit[1] + unit[2], unit[5]])
    np.testing.assert_allclose(VectorScorer(v)(prefixes), sessions @ unit.T, rtol=1e-5, atol=1e-6)
    raw = np.array([0.25 * v[0] + 0.5 * v[1] + v[2], v[5]])
    np.testing.assert_allclose(VectorScorer(v, c)(prefixes), raw @ c.T, rtol=1e-5, atol=1e-6)
    assert np.isfinite(VectorScorer(np.zeros((6, 4)))(prefixes)).all()


def test_workers_and_samples() -> None:
    rng = np.random.default_rng(0)
    test = Sequences.from_lists([rng.integers(0, 50, rng.integers(0, 9)) for _ in range(300)])
    scorer = VectorScorer(rng.normal(size=(50, 8)).astype(np.float32))
    calls: list[float] = []
    one = evaluate_retrieval(test, scorer, n_items=50, progress=lambda stage, done, total: calls.append(done / total))
    many = evaluate_retrieval(test, scorer, n_items=50, workers=7)
    assert one.ranks.tobytes() == many.ranks.tobytes()
    assert one.as_dict() == many.as_dict()
    assert calls[-1] == 1.0
    part = evaluate_retrieval(test, scorer, n_items=50, max_queries=40, seed=1)
    assert part.n_queries == 40
    assert set(part.ranks) <= set(one.ranks)
    assert part.ranks.tolist() == evaluate_retrieval(test, scorer, n_items=50, max_queries=40, seed=1).ranks.tolist()


def test_splits_cut_no_session_and_leak_no_time() -> None:
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 9, 4) for _ in range(50)]
    start = rng.permutation(50) * 100
    base = Sequences.from_lists(lists, owner=np.arange(50) % 7, owner_ids=np.arange(7))
    times = (start[:, None] + np.arange(4)).reshape(-1)
    sequences = Sequences(base.tokens, base.offsets, base.owner, times, base.owner_ids)
    train, test = split_sequences(sequences, by="time", test_share=0.2)
    assert (len(train), len(test)) == (40, 10)
    assert train.timestamps_us.max() < test.timestamps_us.min()  # type: ignore[union-attr]
    assert np.sort(np.concatenate([train.timestamps_us, test.timestamps_us])).tolist() == np.sort(times).tolist()
    assert test.owner_ids.tolist() == list(range(7))  # type: ignore[union-attr]
    train, test = split_sequences(sequences, by="session", test_share=0.5, seed=3)
    whole = sorted(map(tuple, lists))
    assert sorted(tuple(s.tolist()) for part in (train, test) for s in part) == [tuple(map(int, w)) for w in whole]
    with pytest.raises(ValueError, match="timestamps"):
        split_sequences(base)


def test_percentiles_share_ties() -> None:
    assert popularity_percentiles(np.array([1, 1, 5, 0])).tolist() == [0.5, 0.5, 0.875, 0.125]


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"sequences": Sequences.from_lists([[1], []])}, "two or more"), ({"n_items": 2}, "tokens in"),
        ({"scorer": constant([0.0, 1.0])}, "shape"), ({"scorer": constant([np.nan] * 5)}, "NaN"), ({"k": 0}, "'k'"),
        ({"repeats": "some"}, "repeats"), ({"popularity": [1, 2]}, "popularity"), ({"max_queries": 0}, "max_queries"),
    ],
)  # fmt: skip
def test_bad_calls(kwargs: dict[str, Any], match: str) -> None:
    call: dict[str, Any] = {
        "sequences": Sequences.from_lists([[0, 1, 2]]), "scorer": constant([0.0] * 5), "n_items": 5,
    }  # fmt: skip
    call |= kwargs
    with pytest.raises(ValueError, match=match):
        evaluate_retrieval(call.pop("sequences"), call.pop("scorer"), **call)


def test_oldest_first() -> None:
    tokens, offsets = np.array([0, 1, 2, 3, 4]), np.array([0, 2, 2, 4, 5])
    times, owner = np.array([5, 9, 1, 2, 9]), np.array([0, 1, 2, 3])
    seqs = Sequences(tokens=tokens, offsets=offsets, timestamps_us=times, owner=owner)
    found = oldest_first(seqs)
    assert [one.tolist() for one in found] == [[], [2, 3], [0, 1], [4]]
    assert found.owners().tolist() == [1, 2, 0, 3]
    assert found.timestamps_us is not None
    assert found.timestamps_us.tolist() == [1, 2, 5, 9, 9]
    with pytest.raises(ValueError, match="timestamps_us"):
        oldest_first(Sequences.from_lists([[0, 1]]))
