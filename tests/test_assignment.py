"""best_assignment against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from traitcore._assignment import best_assignment


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 9), (9, 4), (16, 16), (0, 3), (40, 41)])
@pytest.mark.parametrize("kind", ["reals", "ties", "equal", "negative"])
def test_the_sum_is_the_largest_and_no_row_or_column_comes_twice(shape: tuple[int, int], kind: str) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        values = rng.standard_normal(shape)
        if kind == "ties":
            values = np.round(values)
        elif kind == "equal":
            values = np.ones(shape)
        elif kind == "negative":
            values = -np.exp(values)
        rows, columns = best_assignment(values)
        assert len(rows) == len(set(columns.tolist())) == min(shape)
        assert (np.diff(rows) > 0).all()
        best = linear_sum_assignment(values, maximize=True)
        assert values[rows, columns].sum() == pytest.approx(values[best].sum())
        if kind == "reals":
            assert (rows.tolist(), columns.tolist()) == (best[0].tolist(), best[1].tolist())
