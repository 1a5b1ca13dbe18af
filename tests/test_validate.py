"""The gate's checks of matrices: what would lead a native pass out of bounds never passes, whoever built it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from traitcore._validate import check_array, check_csr


def matrix(dtype: Any = np.float64) -> sparse.csr_array:
    """3 x 4 with entries at (0, 1), (0, 3), (2, 0)."""
    return sparse.csr_array(
        (np.array([1, 2, 3], dtype=dtype), np.array([1, 3, 0], np.int32), np.array([0, 2, 2, 3], np.int32)),
        shape=(3, 4),
    )


def test_a_good_matrix_passes_unchanged() -> None:
    X = matrix()
    clean = check_csr("X", "f", X)
    assert (clean.toarray() == [[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]]).all()
    assert check_csr("X", "f", sparse.csr_array((0, 0))).shape == (0, 0)
    assert check_csr("X", "f", sparse.csr_array((0, 5))).shape == (0, 5)
    assert check_csr("X", "f", sparse.csr_array((5, 0))).shape == (5, 0)


@pytest.mark.parametrize(
    "column", [4, -1, 2**31 - 1, -(2**31)], ids=["one past", "negative", "far", "far below"]
)
@pytest.mark.parametrize("canonical", [True, False], ids=["said canonical", "unknown"])
def test_column_indices_outside_the_matrix_are_refused(column: int, canonical: bool) -> None:
    X = matrix()
    X.indices[1] = column
    if canonical:  # a stale flag keeps scipy from looking again
        X.has_canonical_format = True
    told = rf"'X' parameter of f must be .*column indices in \[0, 4\).*{column} at row 0"
    with pytest.raises(ValueError, match=told):
        check_csr("X", "f", X)


def test_the_row_of_a_bad_index_is_named() -> None:
    X = matrix()
    X.indices[2] = 9
    with pytest.raises(ValueError, match="9 at row 2"):
        check_csr("X", "f", X)


@pytest.mark.parametrize(
    ("indptr", "told"),
    [
        ([0, 3, 2, 3], "3 followed by 2 at row 1"),
        ([0, -1, 2, 3], "0 followed by -1 at row 0"),
        ([0, 2, 2, 4], "4 from 0 to 4"),
        ([1, 2, 2, 3], "4 from 1 to 3"),
        ([0, 2, 3], "3 from 0 to 3"),
    ],
)
def test_pointers_outside_the_entries_are_refused(indptr: list[int], told: str) -> None:
    X = matrix()
    X.indptr = np.array(indptr, np.int32)
    X.has_canonical_format = True
    with pytest.raises(ValueError, match=f"indptr.*{told}"):
        check_csr("X", "f", X)


def test_a_malformed_csc_is_refused_before_it_is_converted() -> None:
    X = matrix().tocsc()
    X.indices[0] = 7
    with pytest.raises(ValueError, match=r"row indices in \[0, 3\).*7 at column 0"):
        check_csr("X", "f", X)


def test_negative_integers_are_refused_where_counts_are_due() -> None:
    X = matrix(np.int64)
    X.data[2] = -3
    with pytest.raises(ValueError, match=r"non-negative.*-3 at row 2, column 0"):
        check_csr("X", "f", X, dtype=np.int64, nonnegative=True)
    with pytest.raises(ValueError, match=r"non-negative.*-3 at \(1,\)"):
        check_array("x", "f", np.array([1, -3]), dtype=np.int64, shape=(None,), nonnegative=True)
    assert check_csr("X", "f", X, dtype=np.int64).data[2] == -3
