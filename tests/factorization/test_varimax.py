"""The varimax rotation: its criterion, and structure that it must find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group

from tests.reference.traits import varimax_criterion
from traitcore.factorization.varimax import varimax_rotation


def test_a_rotated_sparse_structure_is_found_again():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 4, 300)
    sparse, _ = np.linalg.qr(np.eye(4)[group] * rng.uniform(0.5, 1.5, 300)[:, None])
    turned = sparse @ ortho_group.rvs(4, random_state=1)
    found = turned @ varimax_rotation(turned)
    close = np.abs(sparse.T @ found)
    assert close.max(axis=0).min() > 0.9999
    assert sorted(close.argmax(axis=0)) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(3))
def test_no_nearby_rotation_has_a_larger_criterion(seed):
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.standard_normal((60, 3)) ** 3)
    rotation = varimax_rotation(vectors.astype(np.float32))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    best = varimax_criterion(vectors @ rotation)
    assert best > varimax_criterion(vectors)
    for _ in range(20):
        nearby, _ = np.linalg.qr(np.eye(3) + 0.02 * rng.standard_normal((3, 3)))
        assert varimax_criterion(vectors @ rotation @ nearby) <= best * (1 + 1e-4)


def test_one_column_and_no_rows_stay_as_they_are():
    np.testing.assert_array_equal(np.abs(varimax_rotation(np.ones((5, 1)))), [[1.0]])
    assert np.isfinite(varimax_rotation(np.zeros((0, 2)))).all()
