"""The map's layout: families lie together, the same from run to run."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from traitcore.report.layout import map_layout


def families(n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    of = np.arange(n) % 3
    return (np.eye(12)[of] * 3 + 0.4 * rng.standard_normal((n, 12))).astype(np.float32), of


def share_of_family_among_nearest(places: np.ndarray, of: np.ndarray) -> float:
    distances = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(of[np.argsort(distances, axis=1)[:, :5]] == of[:, None]))


@pytest.mark.parametrize("with_sklearn", [True, False])
def test_families_lie_together(monkeypatch: pytest.MonkeyPatch, with_sklearn: bool) -> None:
    vectors, of = families()
    if with_sklearn:
        pytest.importorskip("sklearn")
    else:
        monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    places, how = map_layout(vectors)
    assert how == ("t-SNE" if with_sklearn else "principal axes")
    assert places.shape == (90, 2)
    assert places.min() == 0.0
    assert places.max() == 1.0
    assert share_of_family_among_nearest(places, of) > 0.95
    np.testing.assert_array_equal(places, map_layout(vectors)[0])


@pytest.mark.parametrize(("n", "d"), [(0, 3), (1, 3), (2, 1), (5, 4)])
def test_few_rows_and_few_columns(n: int, d: int) -> None:
    places, how = map_layout(np.random.default_rng(1).standard_normal((n, d)).astype(np.float32))
    assert places.shape == (n, 2)
    assert how == "principal axes"
    assert np.isfinite(places).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="'vectors' parameter of map_layout"):
        map_layout([[1.0, np.nan]])
