"""Rows brought to a common scale."""

from __future__ import annotations

import numpy as np
import pytest

from traitcore import _rows
from traitcore._rows import (
    cosines,
    paired_cosines,
    rows_to_shares,
    sorted_unique,
    unit_float32_rows,
    unit_rows,
)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_unit_rows_hold_at_any_scale_the_type_has(precision):
    rows = np.random.default_rng(0).standard_normal((7, 5)).astype(precision)
    exponent = np.finfo(precision).maxexp
    powers = np.array([0, 1, -1, exponent - 3, 40 - exponent, exponent // 2 + 4, -exponent // 2 - 4])
    want = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    got = unit_rows(np.ldexp(rows, powers[:, None]), precision)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == precision
    assert not unit_rows(np.zeros((2, 3)), precision).any()
    assert unit_rows(np.zeros((2, 0)), precision).shape == (2, 0)
    assert unit_rows(np.zeros((0, 2)), precision).shape == (0, 2)


@pytest.mark.parametrize("values", [
    [], [5], [5, 5, 5], [3, -1, 3, 2], [2**62, -(2**62), 2**62], np.arange(9)[::-1], np.arange(12).reshape(4, 3)[:, 1],
])
def test_distinct_values_are_those_of_numpy(values):
    array = np.asarray(values, dtype=np.int64)
    before = array.copy()
    np.testing.assert_array_equal(sorted_unique(array), np.unique(array))
    np.testing.assert_array_equal(array, before)


def test_cosines_of_pairs_and_of_all():
    left, right = np.random.default_rng(1).standard_normal((2, 6, 4)).astype(np.float32)
    left[2] = 0
    every = cosines(left, right)
    np.testing.assert_allclose(paired_cosines(left, right), np.diag(every), atol=1e-6)
    np.testing.assert_allclose(paired_cosines(left[:1], right), every[0], atol=1e-6)
    assert not every[2].any()
    assert unit_float32_rows(left).dtype == np.float32


def test_shares_add_up_to_one():
    rows = rows_to_shares(np.array([[1, 3], [0, 0], [2, 0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.25, 0.75], [0, 0], [1, 0]])


def test_rows_in_parts_are_the_rows_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).normal(size=(37, 5)).astype(np.float32)
    rows[[3, 20]] = 0
    rows[7] *= 1e30
    whole = [_rows.unit_rows(rows), _rows.unit_rows(rows, np.float32), _rows.unit_float32_rows(rows)]
    monkeypatch.setattr(_rows, "_PART", 16)
    parts = [_rows.unit_rows(rows), _rows.unit_rows(rows, np.float32), _rows.unit_float32_rows(rows)]
    assert [a.tobytes() for a in whole] == [b.tobytes() for b in parts]
    assert _rows.unit_rows(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("part", [1, 7, 1000])
def test_the_order_within_groups_is_that_of_one_sort_of_all(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(_rows, "_PART", part)
    rng = np.random.default_rng(4)
    for n in (0, 1, 60):
        for groups in (1, 5, 100):
            group, key = np.sort(rng.integers(0, groups, n)), rng.integers(0, 4, n)
            np.testing.assert_array_equal(_rows.order_within(group, key), np.lexsort((key, group)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_of_tall_matrices_in_parts(monkeypatch: pytest.MonkeyPatch, dtype: type[np.floating]) -> None:
    x, y = (np.random.default_rng(s).normal(size=(50, s)).astype(dtype) for s in (3, 4))
    assert _rows.cross_product(x, y).tobytes() == (x.T @ y).astype(np.float64).tobytes()
    for rows in (1, 7, 50):
        monkeypatch.setattr(_rows, "_TALL", rows)
        np.testing.assert_allclose(_rows.cross_product(x, y), x.T.astype(np.float64) @ y, rtol=1e-4)
        assert _rows.cross_product(x, y).dtype == np.float64
    assert _rows.cross_product(x[:0], y[:0]).tolist() == np.zeros((3, 4)).tolist()
