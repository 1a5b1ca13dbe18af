"""evaluate_retrieval: figures that can be worked out by hand, ties at their mean rank, splits that leak nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import serving as slow
from traitcore import Sequences, evaluate_retrieval
from traitcore.quality.retrieval import (
    VectorScorer,
    best_rows,
    mean_ranks,
    oldest_first,
    popularity_percentiles,
    split_sequences,
)


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
    assert seen[-3:] == [[5], [5, 6], [8]]  # after a look at scores of each alone
    assert all(one in ([5], [5, 6], [8]) for one in seen)


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
    part = evaluate_retrieval(test, scorer, n_items=50, max_queries=40, random_state=1)
    assert part.n_queries == 40
    assert set(part.ranks) <= set(one.ranks)
    again = evaluate_retrieval(test, scorer, n_items=50, max_queries=40, random_state=1)
    assert part.ranks.tolist() == again.ranks.tolist()


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
    train, test = split_sequences(sequences, by="session", test_share=0.5, random_state=3)
    whole = sorted(map(tuple, lists))
    assert sorted(tuple(s.tolist()) for part in (train, test) for s in part) == [tuple(map(int, w)) for w in whole]
    with pytest.raises(ValueError, match="timestamps"):
        split_sequences(base)


def test_which_of_those_that_end_together_are_held_out_is_by_chance() -> None:
    sequences = timed([[(i, 5)] for i in range(100)])
    train, test = split_sequences(sequences, test_share=0.5)
    held_out = test.tokens.tolist()
    assert sorted([*train.tokens.tolist(), *held_out]) == list(range(100))
    assert 10 < sum(token >= 50 for token in held_out) < 40  # by row all 50: the customers with the highest ids
    assert held_out == split_sequences(sequences, test_share=0.5)[1].tokens.tolist()
    assert held_out != split_sequences(sequences, test_share=0.5, random_state=1)[1].tokens.tolist()


# -- events of one time ------------------------------------------------------------------------------------------------


def timed(lists: list[list[tuple[int, int]]]) -> Sequences:
    flat = [event for one in lists for event in one]
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in lists])))
    return Sequences(
        np.array([item for item, _ in flat], dtype=np.int32), offsets.astype(np.int64),
        timestamps_us=np.array([time for _, time in flat], dtype=np.int64),
    )


def as_set(prefixes: Sequences) -> Any:
    """Scores that follow the set of events given, whatever their order; few values, so that they tie."""
    times = prefixes.timestamps_us
    assert times is not None
    mass = np.stack([
        sum(((np.arange(9) * (item + 2) + time) % 5 for item, time in zip(one, times[a:b])), np.zeros(9))
        for one, a, b in zip(prefixes, prefixes.offsets[:-1], prefixes.offsets[1:])
    ])
    return mass % 4


timed_lists = st.lists(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=8).map(lambda e: sorted(e, key=lambda x: x[1])),
    min_size=1, max_size=6,
)


@given(timed_lists, st.randoms(use_true_random=False), st.sampled_from([1, 3]))
def test_sets_equal_the_slow_twin_in_any_order(lists: Any, random: Any, workers: int) -> None:
    wanted = []
    for events in lists:
        for given_, item, others in slow.next_item_queries(events):
            scores = as_set(timed([given_]))[0]
            rivals = [s for i, s in enumerate(scores) if i not in others]
            wanted.append(slow.next_item_rank(rivals, item - sum(o < item for o in others)))
    moved = [sorted((random.random(), *e) for e in one) for one in lists]
    moved = [sorted(((i, t) for _, i, t in one), key=lambda e: e[1]) for one in moved]
    if not wanted:
        with pytest.raises(ValueError, match="two or more"):
            evaluate_retrieval(timed(lists), as_set, n_items=9)
        return
    first = evaluate_retrieval(timed(lists), as_set, n_items=9, k=3, workers=workers)
    again = evaluate_retrieval(timed(moved), as_set, n_items=9, k=3)
    assert sorted(first.ranks.tolist()) == sorted(wanted)
    assert first.ranks.tobytes() == again.ranks.tobytes()
    assert first.as_dict() == again.as_dict()


def test_the_order_of_a_basket_does_not_change_the_figures() -> None:
    """A scorer that knows the order, "the id after the last one", is right by chance only."""
    rng = np.random.default_rng(0)
    baskets = [[(int(i), 5) for i in np.sort(rng.choice(100, 10, replace=False))] for _ in range(300)]

    def after_the_last(prefixes: Sequences) -> Any:
        last = prefixes.tokens[prefixes.offsets[1:] - 1]
        return -((np.arange(100)[None, :] - last[:, None] - 1) % 100)

    known = evaluate_retrieval(timed(baskets), after_the_last, n_items=100, ties="order")
    assert known.recall > 0.8
    fair = [evaluate_retrieval(timed(baskets), after_the_last, n_items=100, random_state=seed) for seed in (0, 1)]
    assert [report.recall for report in fair] == pytest.approx([0.22, 0.22], abs=0.03)  # 20 of the 91 not given
    shuffled = [[basket[i] for i in rng.permutation(10)] for basket in baskets]
    again = evaluate_retrieval(timed(shuffled), after_the_last, n_items=100)
    assert again.ranks.tobytes() == fair[0].ranks.tobytes()


def test_a_set_is_not_its_own_context_and_all_of_it_is_right() -> None:
    seen: list[list[int]] = []

    def scorer(prefixes: Sequences) -> Any:
        seen.extend(sorted(p.tolist()) for p in prefixes)
        return np.tile([0, 5, 4, 3, 2], (len(prefixes), 1))

    report = evaluate_retrieval(timed([[(0, 1), (1, 2), (2, 2), (1, 2), (3, 2)]]), scorer, n_items=5, k=1)
    assert seen[-3:] == [[0], [0], [0]]  # asked once for each of 1, 2 and 3
    assert all(one == [0] for one in seen)
    assert report.ranks.tolist() == [1.0, 1.0, 1.0]
    seen.clear()
    report = evaluate_retrieval(timed([[(1, 2), (2, 2), (3, 2)], [(4, 7), (4, 7)]]), scorer, n_items=5, k=1)
    assert sorted(seen[-3:]) == [[1, 2], [1, 3], [2, 3]]
    assert sorted(report.ranks.tolist()) == [1.0, 2.0, 3.0]  # those given may be listed, and are wrong
    report = evaluate_retrieval(
        timed([[(1, 2), (2, 2), (3, 2)]]), scorer, n_items=5, k=1, repeats="exclude", max_queries=2
    )
    assert report.ranks.tolist() == [1.0, 1.0]
    report = evaluate_retrieval(timed([[(0, 1), (3, 2), (4, 2), (1, 2)]]), scorer, n_items=5, repeats="exclude")
    assert sorted(report.ranks.tolist()) == [1.0, 2.0, 2.0]  # 2 is above 3 and 4


def test_vector_scorer_counts_one_time_as_one_step() -> None:
    unit = np.eye(5, dtype=np.float32)
    found = VectorScorer(unit)(timed([[(0, 1), (1, 1), (2, 3), (3, 3)], [], [(4, 3)]]))
    assert found.tolist() == [[0.5, 0.5, 1, 1, 0], [0] * 5, [0, 0, 0, 0, 1]]


# -- scores of any kind ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "u2", "u8", "i1", "i2", "i8", "f2", "f4", "f8", "?", ">i4"])
@pytest.mark.parametrize("repeats", ["keep", "exclude"])
def test_scores_of_every_dtype_rank_alike(dtype: str, repeats: str) -> None:
    rng = np.random.default_rng(0)
    test = Sequences.from_lists([rng.integers(0, 30, 5) for _ in range(30)])
    scores = rng.integers(0, 2 if dtype == "?" else 100, 30)

    def report(kind: str) -> Any:
        made = np.asarray(scores, dtype=kind)
        return evaluate_retrieval(
            test, lambda p: np.tile(made, (len(p), 1)), n_items=30, k=7, repeats=repeats, popularity=np.arange(30)
        )

    found, wanted = report(dtype), report("f8")
    assert found.ranks.tolist() == wanted.ranks.tolist()
    assert found.as_dict() == wanted.as_dict()


def test_the_ends_of_the_integers() -> None:
    test = Sequences.from_lists([[0, 1], [0, 2], [0, 3]])
    for low, high in ((0, 2**64 - 1), (-(2**63), 2**63 - 1)):
        scores = np.array([low, high, high - 1, low], dtype=np.uint64 if low == 0 else np.int64)
        for repeats, last in (("keep", 3.5), ("exclude", 3.0)):
            found = evaluate_retrieval(test, lambda p: np.tile(scores, (len(p), 1)), n_items=4, k=1, repeats=repeats)  # noqa: B023
            assert found.ranks.tolist() == [1.0, 2.0, last]
            assert found.coverage == 0.25


def test_a_list_is_as_long_as_what_may_be_listed() -> None:
    test = Sequences.from_lists([[0, 1], [0, 1]])
    for scores in ([3.0, 2, 1], [0.0, 0, 0], [np.inf, 0, -np.inf]):
        found = evaluate_retrieval(test, constant(scores), n_items=3, k=3, repeats="exclude", popularity=[9, 5, 1])
        listed = 2 if scores[2] > -np.inf else 1
        assert found.coverage == pytest.approx(listed / 3)
        assert found.popularity_bias == pytest.approx([0.0, -1 / 6][listed - 1])
    nothing = evaluate_retrieval(test, constant([-np.inf] * 3), n_items=3, k=3, popularity=[9, 5, 1])
    assert (nothing.recall, nothing.coverage, nothing.ranks.tolist()) == (0.0, 0.0, [np.inf, np.inf])
    assert nothing.popularity_bias is None


@given(seed=st.integers(0, 999), n=st.integers(1, 12), k=st.integers(1, 12), kind=st.sampled_from(["f4", "u1", "?"]))
def test_lists_equal_the_slow_twin(seed: int, n: int, k: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    k = min(k, n)
    scores, may = rng.integers(0, 4, (5, n)).astype(kind), rng.random((5, n)) < 0.7
    for row, allowed, found in zip(scores, may, best_rows(scores, may, k)):
        best = sorted((-float(s), i) for i, s in enumerate(row) if allowed[i])[:k]
        assert sorted(found[found >= 0].tolist()) == sorted(i for _, i in best)


def test_percentiles_share_ties() -> None:
    assert popularity_percentiles(np.array([1, 1, 5, 0])).tolist() == [0.5, 0.5, 0.875, 0.125]


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"sequences": Sequences.from_lists([[1], []])}, "two or more"), ({"n_items": 2}, "tokens in"),
        ({"scorer": constant([0.0, 1.0])}, "shape"), ({"scorer": constant([np.nan] * 5)}, "NaN"), ({"k": 0}, "'k'"),
        ({"scorer": lambda p: np.ma.masked_invalid(constant([np.nan] * 5)(p))}, "masked"), ({"ties": "row"}, "ties"),
        ({"repeats": "some"}, "repeats"), ({"popularity": [1, 2]}, "popularity"), ({"max_queries": 0}, "max_queries"),
    ],
)
def test_bad_calls(kwargs: dict[str, Any], match: str) -> None:
    call: dict[str, Any] = {
        "sequences": Sequences.from_lists([[0, 1, 2]]), "scorer": constant([0.0] * 5), "n_items": 5,
    }
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


def scorer_of(n_items: int) -> Any:
    table = np.random.default_rng(0).normal(size=(n_items, n_items))

    def scorer(prefixes: Sequences) -> Any:
        return np.stack([table[p].sum(axis=0) for p in prefixes])

    return scorer


def test_no_order_no_copy_and_no_batch_of_the_test_sessions_changes_the_figures() -> None:
    rng = np.random.default_rng(3)
    lists = [rng.integers(0, 30, rng.integers(1, 7)).tolist() for _ in range(150)]
    scorer = scorer_of(30)
    plain = evaluate_retrieval(Sequences.from_lists(lists), scorer, n_items=30, k=5)
    order = rng.permutation(len(lists))
    shuffled = evaluate_retrieval(Sequences.from_lists([lists[i] for i in order]), scorer, n_items=30, k=5)
    doubled = evaluate_retrieval(Sequences.from_lists(lists + lists), scorer, n_items=30, k=5)
    parts = [evaluate_retrieval(Sequences.from_lists(lists[a : a + 40]), scorer, n_items=30, k=5)
             for a in range(0, 150, 40)]
    assert sorted(shuffled.ranks) == sorted(plain.ranks)
    for other in (shuffled, doubled):
        assert (other.recall, other.mrr) == pytest.approx((plain.recall, plain.mrr))
    np.testing.assert_array_equal(np.concatenate([part.ranks for part in parts]), plain.ranks)


def test_a_scorer_that_reads_its_neighbours_is_refused() -> None:
    sessions = Sequences.from_lists([[0, 1, 2, 3], [4, 5, 6, 7]] * 5)

    def leaky(prefixes: Sequences) -> Any:
        """The next prefix of a session ends with the answer to this one."""
        scores = np.zeros((len(prefixes), 8))
        for i in range(len(prefixes) - 1):
            scores[i, prefixes[i + 1][-1]] = 1.0
        return scores

    def centred(prefixes: Sequences) -> Any:
        scores = scorer_of(8)(prefixes)
        return scores - scores.mean(axis=0)

    for scorer in (leaky, centred):
        with pytest.raises(ValueError, match="scores of a prefix don't depend on the other prefixes"):
            evaluate_retrieval(sessions, scorer, n_items=8)
