"""SGNS in lanes: the slow twin, and the same bytes for any workers, blocks and options."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions
from tests.reference.sgns_lanes import ReferenceLanes
from traitcore import _core

DEFAULTS: dict[str, Any] = {
    "vector_size": 16, "window": 5, "dynamic_window": True, "negative": 5, "shared": True, "sample": 0.0,
    "ns_exponent": 0.75, "alpha": 0.025, "min_alpha": 1e-4, "seed": 0,
}


def train(
    lists: list[list[int]], n_items: int, *, epochs: int = 1, lanes: int = 4, chunk: int = 16, workers: int = 1,
    cuts: list[int] | None = None, groups: Any = None, group_negative: int = 0, bought: list[int] | None = None,
    reproducible: bool = True, **options: Any,
) -> tuple[Any, Any, list[float]]:
    """Vectors, context vectors and losses of the native trainer; `cuts` are sequences at which blocks end."""
    given = DEFAULTS | options
    window = given.pop("window")
    counts = np.bincount(np.concatenate(lists).astype(np.int64), minlength=n_items)
    model = _core.SgnsModel(
        counts=counts, groups=None if groups is None else np.asarray(groups, np.int32), group_negative=group_negative,
        window=window or 0, rounds=float(epochs), reproducible=reproducible, lanes=lanes, chunk=chunk, **given,
    )
    n, losses = int(counts.sum()), []
    for epoch in range(epochs):
        loss, pairs, before = 0.0, 0, 0
        for a, b in pairwise([0, *(cuts or []), len(lists)]):
            block = tc.Sequences.from_lists(lists[a:b])
            end = b == len(lists) and a < b
            one = model.train(
                tokens=block.tokens, offsets=block.offsets, epoch=epoch, first_sequence=a,
                targets=None, global_context=None if bought is None else np.array(bought[a:b], np.int32),
                schedule_first=epoch * n + before, schedule_stop=(epoch + 1) * n, schedule_total=epochs * n,
                last=end, workers=workers, update=True, progress=None,
            )
            assert one[3] is None
            loss, pairs, before = loss + one[0], pairs + one[1], before + block.n_tokens
        losses.append(loss / max(pairs, 1))
    return model.item_vectors().copy(), model.context_vectors().copy(), losses


def some_lists(seed: int, n_items: int, n: int, longest: int, skew: float) -> list[list[int]]:
    """Sequences of 0 ... longest items; the larger `skew`, the more often the first items."""
    rng = np.random.default_rng(seed)
    weights = (1.0 + np.arange(n_items)) ** -skew
    weights /= weights.sum()
    lists = [rng.choice(n_items, rng.integers(0, longest + 1), p=weights).tolist() for _ in range(n)]
    return [*lists, [0, 1]]


TWINS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fresh": {"shared": False},
    "many negatives": {"negative": 11, "lanes": 8},
    "fixed window": {"window": 3, "dynamic_window": False},
    "whole sequences": {"window": None},
    "subsampled": {"sample": 0.01},
    "flat noise": {"ns_exponent": 0.0},
    "rare noise": {"ns_exponent": -0.5, "lanes": 16, "chunk": 8},
    "one lane less than a class": {"lanes": 2, "chunk": 40},
    "groups": {"groups": True, "group_negative": 3},
    "global context": {"bought": True, "chunk": 24},
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_lanes_equal_the_slow_twin(name: str, skew: float) -> None:
    options = dict(TWINS[name])
    lists = some_lists(3, 150, 35, 30, skew)
    counts = np.bincount(np.concatenate(lists).astype(int), minlength=150) + 0
    lists.append(np.flatnonzero(counts == 0).tolist())  # the twin's items all occur
    counts = np.bincount(np.concatenate(lists).astype(int), minlength=150)
    if options.pop("groups", False):
        options["groups"] = [i % 4 for i in range(150)]
    bought = [s[-1] if s and i % 3 else -1 for i, s in enumerate(lists)] if options.pop("bought", False) else None
    shape = {"lanes": 4, "chunk": 16} | options
    twin = ReferenceLanes(counts.tolist(), vector_size=16, epochs=2, alpha=0.05, **shape).fit(lists, bought)
    for level in _core.simd_levels():
        _core.set_simd_level(level)
        try:
            items, contexts, losses = train(lists, 150, epochs=2, alpha=0.05, bought=bought, workers=2, **options)
        finally:
            _core.set_simd_level(None)
        np.testing.assert_allclose(losses, twin.losses, atol=1e-4)
        np.testing.assert_allclose(items, twin.items, atol=2e-5)
        np.testing.assert_allclose(contexts, twin.contexts, atol=2e-5)


def test_windows_that_hold_every_item_still_have_negatives() -> None:
    lists = [np.random.default_rng(i).permutation(60).tolist() for i in range(6)]
    options: dict[str, Any] = {"window": None, "lanes": 8, "chunk": 4}
    twin = ReferenceLanes([6] * 60, vector_size=16, **options).fit(lists)
    assert twin.fallbacks > 100
    items, contexts, losses = train(lists, 60, workers=3, **options)
    np.testing.assert_allclose(losses, twin.losses, atol=1e-4)
    np.testing.assert_allclose(items, twin.items, atol=1e-4)
    np.testing.assert_allclose(contexts, twin.contexts, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_bytes_depend_on_neither_workers_nor_blocks(data: st.DataObject) -> None:
    n_items = data.draw(st.sampled_from([1, 2, 5, 40, 300]), "items")
    skew = data.draw(st.sampled_from([0.0, 1.0, 4.0]), "skew")
    lists = some_lists(data.draw(st.integers(0, 99)), max(n_items, 2), 40, data.draw(st.integers(1, 40)), skew)
    n_items = max(n_items, 2)
    options: dict[str, Any] = {
        "lanes": data.draw(st.sampled_from([1, 2, 4, 16, 64])),
        "chunk": data.draw(st.integers(4, 60)),
        "epochs": data.draw(st.integers(1, 2)),
        "vector_size": data.draw(st.sampled_from([3, 16, 64, 128])),
        "window": data.draw(st.sampled_from([None, 1, 5, 20])),
        "dynamic_window": data.draw(st.booleans()),
        "negative": data.draw(st.sampled_from([1, 5, 9])),
        "shared": data.draw(st.booleans()),
        "sample": data.draw(st.sampled_from([0.0, 0.02])),
        "ns_exponent": data.draw(st.sampled_from([-1.0, 0.0, 0.75, 3.0])),
        "alpha": data.draw(st.sampled_from([0.025, 0.5])),
    }
    if data.draw(st.booleans(), "groups"):
        options |= {"groups": np.arange(n_items) % 3, "group_negative": data.draw(st.integers(0, options["negative"]))}
    if data.draw(st.booleans(), "global"):
        options["bought"] = [(i * 7) % n_items if i % 4 else -1 for i in range(len(lists))]
    one = train(lists, n_items, **options)
    assert np.isfinite(one[0]).all()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=6), "cuts"))
    workers = data.draw(st.sampled_from([1, 2, 3, 7, 16]), "workers")
    other = train(lists, n_items, workers=workers, cuts=cuts, **options)
    assert other[0].tobytes() == one[0].tobytes()
    assert other[1].tobytes() == one[1].tobytes()
    if cuts:
        np.testing.assert_allclose(other[2], one[2], rtol=1e-6)  # blocks' losses are rounded one by one
    else:
        assert other[2] == one[2]


def test_the_public_trainers_give_the_same_bytes_on_any_workers() -> None:
    corpus = clustered_sessions(200_000, 2_000, 40, seed=1)
    held_out = corpus.sequences.take(np.arange(500))
    shape: dict[str, Any] = {"vector_size": 16, "epochs": 1, "parallel": "reproducible"}
    results = [
        tc.train_sgns(
            corpus.sequences, tc.SgnsOptions(workers=w, **shape), n_items=2_000, held_out=held_out, patience=1
        )
        for w in (1, 2, 3)
    ]
    for other in results[1:]:
        assert other.item_vectors.tobytes() == results[0].item_vectors.tobytes()
        assert other.context_vectors.tobytes() == results[0].context_vectors.tobytes()
        assert other.loss == results[0].loss
        assert other.report.held_out_loss == results[0].report.held_out_loss
    hogwild = tc.train_sgns(corpus.sequences, tc.SgnsOptions(vector_size=16, epochs=1, parallel="hogwild"))
    assert hogwild.item_vectors.tobytes() != results[0].item_vectors.tobytes()  # lanes were used
    assert hogwild.loss[-1] == pytest.approx(results[0].loss[-1], rel=0.05)


def test_order_of_rows_makes_no_difference_to_quality() -> None:
    corpus = clustered_sessions(200_000, 2_000, 40, seed=1)
    turn = np.random.default_rng(0).permutation(2_000).astype(np.int32)
    turned = tc.Sequences(turn[corpus.sequences.tokens], corpus.sequences.offsets)
    losses = [
        tc.train_sgns(s, tc.SgnsOptions(vector_size=16, epochs=2, parallel="reproducible"), n_items=2_000).loss[-1]
        for s in (corpus.sequences, turned)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
