"""The random side of the native core, and the choice of instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.reference import sgns as reference
from traitcore import _core


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_random_words_equal_the_reference(seed: int, stream: int, start: int) -> None:
    state = reference.stream_state(seed, stream)
    expected = [reference.word(state, start + i) for i in range(5)]
    assert _core.random_words(seed, stream, start, 5).tolist() == expected


def test_random_words_are_uniform() -> None:
    words = _core.random_words(0, 0, 0, 100_000)
    for shift in (0, 24, 56):
        counts = np.bincount((words >> np.uint64(shift)).astype(np.uint8), minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-4


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 1e3)), min_size=1, max_size=40).filter(lambda w: sum(w) > 0),
    st.integers(0, 2**32),
)
def test_alias_draws_follow_the_weights(weights: list[float], seed: int) -> None:
    w = np.array(weights)
    seen = np.bincount(_core.alias_draws(w, seed, 0, 20_000), minlength=len(w))
    assert seen[w == 0].sum() == 0
    expected = 20_000 * w / w.sum()
    often = expected >= 5
    if often.sum() > 1:
        statistic = ((seen[often] - expected[often]) ** 2 / expected[often]).sum()
        assert stats.chi2.sf(statistic, often.sum() - 1) > 1e-6


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [np.inf]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        _core.alias_draws(np.array(weights), 0, 0, 1)


def test_levels_can_be_forced() -> None:
    levels = _core.simd_levels()
    assert levels[0] == "baseline"
    assert _core.simd_level() == levels[-1]
    try:
        _core.set_simd_level("baseline")
        assert _core.simd_level() == "baseline"
    finally:
        _core.set_simd_level(None)
    assert _core.simd_level() == levels[-1]
    with pytest.raises(ValueError, match=r"'level' parameter of set_simd_level must be .* Got 'sse9' instead"):
        _core.set_simd_level("sse9")
