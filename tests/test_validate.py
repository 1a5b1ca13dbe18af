"""The gate's checks of matrices: what would lead a native pass out of bounds never passes, whoever built it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from traitcore import merge_counts
from traitcore._validate import Checks


def matrix(dtype: Any = np.float64) -> sparse.csr_array:
    """3 x 4 with entries at (0, 1), (0, 3), (2, 0)."""
    return sparse.csr_array(
        (np.array([1, 2, 3], dtype=dtype), np.array([1, 3, 0], np.int32), np.array([0, 2, 2, 3], np.int32)),
        shape=(3, 4),
    )


def test_a_good_matrix_passes_unchanged() -> None:
    X = matrix()
    clean = Checks("f").csr("X", X)
    assert (clean.toarray() == [[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]]).all()
    assert Checks("f").csr("X", sparse.csr_array((0, 0))).shape == (0, 0)
    assert Checks("f").csr("X", sparse.csr_array((0, 5))).shape == (0, 5)
    assert Checks("f").csr("X", sparse.csr_array((5, 0))).shape == (5, 0)


@pytest.mark.parametrize(
    "column", [4, -1, 2**31 - 1, -(2**31)], ids=["one past", "negative", "far", "far below"]
)
@pytest.mark.parametrize("canonical", [True, False], ids=["said canonical", "unknown"])
def test_column_indices_outside_the_matrix_are_refused(column: int, canonical: bool) -> None:
    X = matrix()
    X.indices[1] = column
    if canonical:  # a stale flag keeps scipy from looking again
        X.has_canonical_format = True
    message = rf"'X' parameter of f must be .*column indices in \[0, 4\).*{column} at row 0"
    with pytest.raises(ValueError, match=message):
        Checks("f").csr("X", X)


def test_the_row_of_a_bad_index_is_named() -> None:
    X = matrix()
    X.indices[2] = 9
    with pytest.raises(ValueError, match="9 at row 2"):
        Checks("f").csr("X", X)


@pytest.mark.parametrize(
    ("indptr", "said"),
    [
        ([0, 3, 2, 3], "3 followed by 2 at row 1"),
        ([0, -1, 2, 3], "0 followed by -1 at row 0"),
        ([0, 2, 2, 4], "4 from 0 to 4"),
        ([1, 2, 2, 3], "4 from 1 to 3"),
        ([0, 2, 3], "3 from 0 to 3"),
    ],
)
def test_pointers_outside_the_entries_are_refused(indptr: list[int], said: str) -> None:
    X = matrix()
    X.indptr = np.array(indptr, np.int32)
    X.has_canonical_format = True
    with pytest.raises(ValueError, match=f"indptr.*{said}"):
        Checks("f").csr("X", X)


def test_a_malformed_csc_is_refused_before_it_is_converted() -> None:
    X = matrix().tocsc()
    X.indices[0] = 7
    with pytest.raises(ValueError, match=r"row indices in \[0, 3\).*7 at column 0"):
        Checks("f").csr("X", X)


def test_negative_integers_are_refused_where_counts_are_due() -> None:
    X = matrix(np.int64)
    X.data[2] = -3
    with pytest.raises(ValueError, match=r"non-negative.*-3 at row 2, column 0"):
        Checks("f").csr("X", X, dtype=np.int64, nonnegative=True)
    with pytest.raises(ValueError, match=r"non-negative.*-3 at \(1,\)"):
        Checks("f").array("x", np.array([1, -3]), dtype=np.int64, shape=(None,), nonnegative=True)
    assert Checks("f").csr("X", X, dtype=np.int64).data[2] == -3


SMALL = [np.bool_, np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64, np.uint64, np.float32, np.float64]


def repeated(dtype: Any, form: str, times: int) -> Any:
    """2 x 3 with `times` ones at (0, 1), and one at (1, 2), as stored by a caller who counts events."""
    rows, columns = np.append(np.zeros(times, np.int32), 1), np.append(np.ones(times, np.int32), 2)
    data = np.ones(times + 1, dtype)
    if form == "coo":
        return sparse.coo_array((data, (rows, columns)), shape=(2, 3))
    if form == "csr":
        return sparse.csr_array((data, columns, np.array([0, times, times + 1], np.int32)), shape=(2, 3))
    if form == "csc":
        return sparse.csc_array((data, rows, np.array([0, 0, times, times + 1], np.int32)), shape=(2, 3))
    blocks = np.zeros((times + 1, 1, 3), dtype)
    blocks[:-1, 0, 1] = blocks[-1, 0, 2] = 1
    places = np.zeros(times + 1, np.int32)
    return sparse.bsr_array((blocks, places, np.array([0, times, times + 1], np.int32)), shape=(2, 3))


@pytest.mark.parametrize("form", ["coo", "csr", "csc", "bsr"])
@pytest.mark.parametrize("dtype", SMALL, ids=lambda d: d.__name__)
def test_duplicates_are_summed_in_a_type_that_holds_the_sum(dtype: Any, form: str) -> None:
    given = repeated(dtype, form, 300)
    entries, stored = given.nnz, given.data.tobytes()
    for wanted in [np.float32, np.float64] + ([] if np.dtype(dtype).kind == "f" else [np.int64]):
        clean = Checks("f").csr("X", given, dtype=wanted)
        assert clean.toarray().tolist() == [[0, 300, 0], [0, 0, 1]]
        assert clean.dtype == wanted
    assert (given.nnz, given.data.tobytes()) == (entries, stored)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(-128, 127)), max_size=60))
def test_sums_of_small_integers_are_exact(entries: list[tuple[int, int, int]]) -> None:
    expected = np.zeros((3, 4))
    for row, column, value in entries:
        expected[row, column] += value
    rows, columns, values = (np.array([e[k] for e in entries], dtype=np.int64) for k in range(3))
    coo = sparse.coo_array((values.astype(np.int8), (rows, columns)), shape=(3, 4))
    np.testing.assert_array_equal(Checks("f").csr("X", coo).toarray(), expected)


def test_float_sums_keep_the_callers_type_and_half_precision_does_not_overflow() -> None:
    clean = Checks("f").csr("X", repeated(np.float32, "coo", 3), dtype=(np.float64, np.float32))
    assert clean.dtype == np.float32
    half = repeated(np.float32, "csr", 300)
    half.data = (half.data * 60000).astype(np.float16)
    assert Checks("f").csr("X", half, dtype=np.float32).toarray()[0, 1] == 300 * 60000
    many = sparse.coo_array((np.full(4, 2.0**24, np.float32), ([0] * 4, [0] * 4)), shape=(1, 1))
    many.data[1:] = 1  # a float32 sum stays at 2^24
    assert Checks("f").csr("X", many, dtype=np.float64).data.tolist() == [2.0**24 + 3]


def test_fractions_are_no_counts_even_where_they_sum_to_one() -> None:
    halves = sparse.coo_array((np.array([0.5, 0.5]), ([0, 0], [1, 1])), shape=(2, 3))
    with pytest.raises(TypeError, match="dtype float64"):
        Checks("f").csr("X", halves, dtype=np.int64)


def test_masked_values_are_refused_and_plain_masked_arrays_taken() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    clean = Checks("f").array("X", np.ma.array(values), dtype=np.float32, shape=(None, None))
    assert type(clean) is np.ndarray
    masked = np.ma.array(values, mask=[[0, 0], [1, 0]])
    for value in (masked, [masked[0], masked[1]], list(masked)):
        with pytest.raises(ValueError, match=r"'X' parameter of f .* masked value at \(1, 0\)"):
            Checks("f").array("X", value, dtype=np.float32, shape=(None, None))
        with pytest.raises(ValueError, match=r"masked value at \(1, 0\)"):
            Checks("f").csr("X", value)
    held = sparse.csr_array(values)
    held.data = np.ma.array(held.data, mask=[0, 1, 0, 0])
    with pytest.raises(ValueError, match="masked"):
        Checks("f").csr("X", held)


def frames(columns: dict[str, list[Any]]) -> list[Any]:
    """The same table in every library and in every way it keeps nulls."""
    table = pa.table(columns)
    nullable = pd.DataFrame({name: pd.array(column) for name, column in columns.items()})
    arrow = pd.DataFrame({name: pd.Series(pd.array(column)).convert_dtypes(dtype_backend="pyarrow")
                          for name, column in columns.items()})
    return [nullable, arrow, pl.DataFrame(columns), table, table.to_batches()[0]]


def test_frames_of_numbers_without_nulls_are_taken() -> None:
    columns: dict[str, list[Any]] = {"a": [1, 2], "b": [0.5, 0.0], "c": [True, False]}
    expected = [[1.0, 0.5, 1.0], [2.0, 0.0, 0.0]]
    plain = pd.DataFrame(columns)  # numpy would make it objects: bools beside numbers
    sparse_columns = plain.astype({"b": pd.SparseDtype(float, 0.0)})
    for frame in [plain, sparse_columns, *frames(columns)]:
        for dtype in (np.float32, np.float64):
            clean = Checks("f").array("X", frame, dtype=dtype, shape=(None, None))
            assert clean.tolist() == expected
            assert clean.dtype == dtype
        assert Checks("f").csr("X", frame).toarray().tolist() == expected
    for column in (pd.Series([1, 2], dtype="Int64"), pl.Series([1, 2]), pa.array([1, 2]), pa.chunked_array([[1], [2]])):
        assert Checks("f").array("x", column, dtype=np.int64, shape=(None,)).tolist() == [1, 2]


def test_a_null_is_named_by_row_and_column() -> None:
    for frame in frames({"a": [1, 2, 3], "price": [0.5, 1.5, None]}):
        with pytest.raises(ValueError, match=r"'X' parameter of f .* null at row 2, column 'price'"):
            Checks("f").array("X", frame, dtype=np.float32, shape=(None, None))


def test_a_column_of_texts_is_named() -> None:
    for frame in frames({"a": [1, 2], "name": ["x", "y"]}):
        with pytest.raises(TypeError, match=r"'X.*' parameter of f .*column .+name.+ of dtype"):
            Checks("f").array("X", frame, dtype=np.float32, shape=(None, None))


def test_bools_are_zeros_and_ones_dense_and_sparse_alike() -> None:
    flags = np.array([[True, False], [False, True]])
    for dtype in (np.float32, np.float64, np.int64):
        from_dense, from_sparse = (Checks("f").csr("X", X, dtype=dtype) for X in (flags, sparse.csr_array(flags)))
        assert from_dense.toarray().tolist() == from_sparse.toarray().tolist() == [[1, 0], [0, 1]]
    assert Checks("f").array("X", flags, dtype=np.float32, shape=(2, 2)).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(TypeError, match="dtype bool"):
        Checks("f").array("rows", flags[0], dtype=np.int64, shape=(None,))


def test_objects_are_taken_where_they_are_numbers() -> None:
    numbers = np.array([[1, 2.5, np.float32(3), True]], object)
    assert Checks("f").array("X", numbers, dtype=np.float32, shape=(None, None)).tolist() == [[1, 2.5, 3, 1]]
    for odd in ("3", None, {}, 1j, pd.NA):
        with pytest.raises(TypeError, match=r"'X' parameter of f must be an array of numbers.*at \(0, 1\)"):
            Checks("f").array("X", np.array([[1, odd]], object), dtype=np.float32, shape=(None, None))


@pytest.mark.parametrize("huge", [2**63, 2**64, 2**70, 10**400, -(2**70)])
def test_huge_integers_are_refused_by_name(huge: int) -> None:
    with pytest.raises((ValueError, TypeError), match="'x' parameter of f"):
        Checks("f").array("x", [1, huge], dtype=np.int64, shape=(None,))
    with pytest.raises(ValueError, match="'k' parameter of f"):
        Checks("f").integer("k", huge, 1)
    if abs(huge) > 1e300:
        with pytest.raises(ValueError, match="'k' parameter of f"):
            Checks("f").real("k", huge, 0.0)
        with pytest.raises(ValueError, match="'x' parameter of f"):
            Checks("f").array("x", [1, huge], dtype=np.float64, shape=(None,))
    with pytest.raises(ValueError, match="'workers' parameter of f"):
        Checks("f").workers(huge)


def test_numbers_too_large_for_the_type_wanted_are_quoted_as_given() -> None:
    with pytest.raises(ValueError, match=r"numbers that fit float32. Got .1e\+300 at \(0, 1\)"):
        Checks("f").array("X", [[1.0, 1e300]], dtype=np.float32, shape=(None, None))


def test_random_states_of_every_kind() -> None:
    assert Checks("f").random_state("random_state", np.int32(7)) == 7
    sources: list[Any] = [np.random.RandomState, np.random.default_rng]
    for source in sources:
        one, two = source(5), source(5)
        first = Checks("f").random_state("random_state", one)
        assert first == Checks("f").random_state("random_state", two)
        assert first != Checks("f").random_state("random_state", one)  # it moves on
    state = np.random.get_state()  # noqa: NPY002
    try:
        drawn = []
        for _ in range(2):
            np.random.seed(3)  # noqa: NPY002
            drawn.append(Checks("f").random_state("random_state", None))
        assert drawn[0] == drawn[1] != Checks("f").random_state("random_state", None)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    for bad in ("1", 1.0, True):
        with pytest.raises(TypeError, match="'random_state' parameter of f"):
            Checks("f").random_state("random_state", bad)
    for bad in (-1, 2**64):
        with pytest.raises(ValueError, match="'random_state' parameter of f"):
            Checks("f").random_state("random_state", bad)


def test_columns_of_texts_stay_texts_where_texts_are_taken() -> None:
    texts = ["b", "a"]
    for column in (pd.Series(texts), pd.Series(texts, dtype="category"), pl.Series(texts), pa.array(texts)):
        assert Checks("f").plain("labels", column).tolist() == ["b", "a"]
    assert Checks("f").plain("labels", pl.Series(["b", None])).tolist() == ["b", None]


def test_a_sum_that_outgrows_int32_becomes_int64_where_that_is_taken() -> None:
    big = sparse.coo_array((np.full(3, 2**30, np.int32), ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    clean = Checks("f").csr("X", big, dtype=(np.float32, np.int32, np.int64))
    assert clean.toarray().tolist() == [[0, 2**31], [2**30, 0]]
    assert Checks("f").csr("X", big, dtype=np.float64).toarray().tolist() == [[0, 2**31], [2**30, 0]]
    with pytest.raises(ValueError, match=r"'X' parameter of f .*values that fit"):
        Checks("f").csr("X", big, dtype=np.int32)
    small = sparse.csr_array(np.array([[0, -(2**31)], [0, 0]], np.int32))
    assert merge_counts([small, small]).toarray().tolist() == [[0, -(2**32)], [0, 0]]
    assert merge_counts([big, big]).toarray().tolist() == [[0, 2**32], [2**31, 0]]
