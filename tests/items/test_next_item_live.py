"""One session a call: the codes change neither an item nor a bit of a score."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcore import _core
from traitcore.items.next_item_model import NextItemModel

KINDS = ("unit", "coarse", "alike", "zero", "denormal", "huge", "mixed")


def vectors_of(kind: str, rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    rows = rng.normal(size=(n, d))
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    if kind == "coarse":  # ties in plenty
        rows = rng.integers(-1, 2, (n, d)).astype(float)
    elif kind == "alike":
        rows = rows[rng.integers(0, min(n, 2), n)] if n else rows
    elif kind == "zero":
        rows[rng.random(n) < 0.9] = 0.0
    elif kind == "denormal":
        rows *= 2.0 ** -rng.integers(126, 149)
    elif kind == "huge":
        rows *= 10.0 ** rng.integers(15, 38)
    elif kind == "mixed":
        rows *= 10.0 ** rng.uniform(-40, 18, (n, 1))
    return rows.astype(np.float32)


def searched(query: np.ndarray, vectors: np.ndarray, scale: np.ndarray, bias: np.ndarray, k: int) -> Any:
    """Of all rows, without codes."""
    rows, scores = np.empty((1, k), np.int64), np.empty((1, k), np.float32)
    _core.search_top_k(query[None], 0, 1, vectors, 0, len(vectors), scale, bias, None, None, rows, scores, 1, False)
    return rows[0], scores[0]


@pytest.mark.parametrize("level", _core.simd_levels())
@given(
    n=st.integers(0, 400), d=st.integers(1, 70), k=st.sampled_from([1, 3, 20, 500]), seed=st.integers(0, 9999),
    kind=st.sampled_from(KINDS), like=st.sampled_from(KINDS), masked=st.booleans(), biased=st.booleans(),
    hide=st.booleans(),
)
def test_codes_find_what_a_search_of_all_rows_finds(
    level: str, n: int, d: int, k: int, seed: int, kind: str, like: str, masked: bool, biased: bool, hide: bool
) -> None:
    rng = np.random.default_rng(seed)
    vectors, query = vectors_of(kind, rng, n, d), vectors_of(like, rng, 1, d)[0]
    scale = rng.choice([1.0, 0.0, 0.3], n).astype(np.float32)
    bias = (rng.normal(size=n) if biased else np.zeros(n)).astype(np.float32)
    if masked:
        bias[rng.random(n) < 0.5] = -np.inf
    other = np.flatnonzero(rng.random(n) < 0.05)
    raised = rng.normal(size=len(other)).astype(np.float32)
    changed = bias.copy()
    changed[other] = -np.inf if hide else raised
    rows, scores = np.empty(k, np.int64), np.empty(k, np.float32)
    _core.set_simd_level(level)
    try:
        _core.RowCodes(vectors).search(
            query=query, vectors=vectors, scale=scale, bias=bias, other=other, other_bias=None if hide else raised,
            rows=rows, scores=scores,
        )
        want = searched(query, vectors, scale, changed, k)
    finally:
        _core.set_simd_level(None)
    np.testing.assert_array_equal(rows, want[0])
    assert scores.tobytes() == want[1].tobytes()


def model_of(rng: np.random.Generator, n: int = 900, window: int = 4) -> NextItemModel:
    return NextItemModel.from_arrays(
        vectors_of("unit", rng, n, 24), rng.normal(size=n).astype(np.float32),
        rng.random(window).astype(np.float32), rng.normal(size=window).astype(np.float32), scale=9.0,
    )


@given(seed=st.integers(0, 9999), length=st.integers(0, 9), skip=st.booleans(), masked=st.booleans())
def test_recommend_of_one_session_is_the_best_of_all_scores(seed: int, length: int, skip: bool, masked: bool) -> None:
    rng = np.random.default_rng(seed)
    model = model_of(rng)
    session = rng.integers(0, 30, length).astype(np.int32)
    allowed = rng.random(900) < 0.5 if masked else None
    bias = model.biases_.copy()
    row, item, bonus = model._encoder.repeats(model._sessions(session)[0])
    bias[item] += bonus
    if skip:
        bias[session] = -np.inf
    if masked:
        bias[~allowed] = -np.inf
    want = searched(model._encoder.query(session), model.vectors_, np.ones(900, np.float32), bias, 15)
    items, scores = model.recommend(session, k=15, exclude_seen=skip, allowed=allowed)
    assert len(row) == len(item)
    np.testing.assert_array_equal(items, want[0])
    assert scores.tobytes() == want[1].tobytes()


def test_codes_never_outlive_the_vectors_they_are_of() -> None:
    rng = np.random.default_rng(0)
    model = model_of(rng)
    before = model.recommend([1, 2])
    with pytest.raises(ValueError, match="read-only"):
        model.vectors_[5] = 0.0
    for changed in (model.vectors_.copy(), model.vectors_):
        changed.flags.writeable = True
        changed[:] = vectors_of("unit", rng, 900, 24)
        model.vectors_ = changed
        fresh = NextItemModel.from_arrays(
            changed.copy(), model.biases_, model.step_weights_, model.repeat_bonus_, scale=9.0
        )
        for found, want, old in zip(model.recommend([1, 2]), fresh.recommend([1, 2]), before):
            np.testing.assert_array_equal(found, want)
            assert (found != old).any()
    copy = pickle.loads(pickle.dumps(model))
    for found, want in zip(copy.recommend([1, 2]), model.recommend([1, 2])):
        np.testing.assert_array_equal(found, want)


def test_vectors_that_are_part_of_another_array_are_copied() -> None:
    rng = np.random.default_rng(1)
    model = model_of(rng)
    whole = np.concatenate((model.vectors_, model.vectors_))
    model.vectors_ = whole[:900]
    before = model.recommend([1, 2])[0]
    whole[:] = 0.0
    np.testing.assert_array_equal(model.recommend([1, 2])[0], before)
    assert not np.shares_memory(model.vectors_, whole)


def test_what_the_native_search_refuses() -> None:
    rows = np.zeros((40, 3), dtype=np.float32)
    codes = _core.RowCodes(rows)
    given = {
        "query": rows[0], "vectors": rows, "scale": np.ones(40, np.float32), "bias": np.zeros(40, np.float32),
        "other": np.array([2, 5]), "other_bias": None, "rows": np.empty(4, np.int64),
        "scores": np.empty(4, np.float32),
    }
    codes.search(**given)
    assert given["rows"].tolist() == [0, 1, 3, 4]
    for name, value in (
        ("other", np.array([5, 2])), ("other", np.array([5, 5])), ("other", np.array([-1])), ("other", np.array([40])),
        ("other_bias", np.zeros(3, np.float32)), ("vectors", rows[:39]), ("query", np.zeros(2, np.float32)),
        ("scores", np.empty(3, np.float32)),
    ):
        with pytest.raises(ValueError, match=rf"'{name}' parameter of RowCodes.search"):
            codes.search(**given | {name: value})
    with pytest.raises(ValueError, match="'vectors' parameter of RowCodes must be of at most 65536 columns"):
        _core.RowCodes(np.zeros((1, 65537), np.float32))
