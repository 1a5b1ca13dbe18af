"""The native core's own messages: each names the parameter, the rule and the value."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from traitcore import _core

FLOATS, WIDE, LONG = np.ones((3, 4), np.float32), np.ones((3, 16), np.float32), np.zeros(3)
CSR = sparse.csr_array(np.eye(3, dtype=np.float32))


def search(**changed: Any) -> None:
    arrays = {"scale": np.ones(3, np.float32), "bias": np.zeros(3, np.float32)}
    given = {
        "queries": FLOATS, "q_begin": 0, "q_end": 3, "vectors": FLOATS, "begin": 0, "end": 3, **arrays, "first": None,
        "excluded": None, "rows": np.zeros((3, 2), np.int64), "scores": np.zeros((3, 2), np.float32), "workers": 1,
        "euclidean": False,
    }
    _core.search_top_k(**given | changed)


def read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


@pytest.mark.parametrize(
    ("error", "changed", "message"),
    [
        (ValueError, {"scale": np.ones(4, np.float32)},
         "The 'scale' parameter of search_top_k must be a C-contiguous array of float32 of shape (rows of vectors = "
         "3,). Got float32 of shape (4,) instead."),
        (TypeError, {"queries": FLOATS.astype(np.float64)},
         "The 'queries' parameter of search_top_k must be a C-contiguous array of float32 of shape (m, columns of "
         "vectors = 4). Got float64 of shape (3, 4) instead."),
        (TypeError, {"vectors": np.ones((4, 3), np.float32).T}, "float32 of shape (3, 4), not C-contiguous instead."),
        (TypeError, {"bias": None}, "of shape (rows of vectors = 3,). Got None instead."),
        (ValueError, {"rows": read_only(np.zeros((3, 2), np.int64))},
         "must be a writable C-contiguous array of int64 of shape (rows of queries = 3, k). Got a read-only int64 "
         "of shape (3, 2) instead."),
        (ValueError, {"scores": np.zeros((3, 5), np.float32)}, "(rows of queries = 3, columns of rows = 2)"),
        (ValueError, {"q_end": 4}, "The 'q_end' parameter of search_top_k must be an int in [0, 3]. Got 4 instead."),
        (ValueError, {"workers": 2**70}, "must be an int in [1, 18446744073709551615]. Got 1180591620717411303424"),
        (ValueError, {"begin": -1}, "must be an int in [0, 3]. Got -1 instead."),
        (TypeError, {"begin": 0.5}, "must be an int in [0, 3]. Got 0.5 instead."),
        (ValueError, {"first": np.zeros(4, np.int64)}, "'excluded' parameter of search_top_k must be given with"),
    ],
)
def test_a_search_names_parameter_rule_and_value(error: type[Exception], changed: dict[str, Any], message: str) -> None:
    search()
    with pytest.raises(error) as caught:
        search(**changed)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("error", "A", "message"),
    [
        (TypeError, CSR.astype(np.float64), "The 'A.data' parameter of sparse_times_dense must be a C-contiguous"),
        (TypeError, FLOATS, "'A.indptr' parameter of sparse_times_dense must be an array of int32 or int64. Got None"),
        (ValueError, SimpleNamespace(indptr=CSR.indptr, indices=CSR.indices[:2], data=CSR.data),
         "of shape (number of indices = 2,). Got float32 of shape (3,) instead."),
        (ValueError, SimpleNamespace(indptr=CSR.indptr[:0], indices=CSR.indices, data=CSR.data),
         "must be of a row or more"),
    ],
)
def test_a_matrix_names_the_part_that_is_wrong(error: type[Exception], A: Any, message: str) -> None:
    _core.sparse_times_dense(CSR, FLOATS, FLOATS.copy(), 1.0, 0.0, 1)
    with pytest.raises(error) as caught:
        _core.sparse_times_dense(A, FLOATS, FLOATS.copy(), 1.0, 0.0, 1)
    assert message in str(caught.value)


def test_an_array_an_object_with_one_and_a_csr_are_one_matrix() -> None:
    edges = np.array([0, 3])
    csr = SimpleNamespace(indptr=CSR.indptr.astype(np.int64), indices=CSR.indices, data=CSR.data)
    totals = []
    for X in (np.eye(3, dtype=np.float32), SimpleNamespace(dense=np.eye(3, dtype=np.float32)), csr):
        out = np.zeros((3, 16), np.float32)
        totals.append(_core.nmf_project_pass(X, WIDE, out, None, edges, 1)[0])
        np.testing.assert_array_equal(out, WIDE)
    np.testing.assert_array_equal(totals[0], totals[1])
    np.testing.assert_array_equal(totals[0], totals[2])
    for X, message in (
        (FLOATS, r"'X' parameter of nmf_project_pass .* of shape \(rows, rows of A = 3\). Got float32 .*\(3, 4\)"),
        (CSR, "'X.indptr' parameter of nmf_project_pass must be a C-contiguous array of int64"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            _core.nmf_project_pass(X, WIDE, None, None, edges, 1)
    with pytest.raises(TypeError, match="'A' parameter of nmf_project_pass must be an array of float32 or"):
        _core.nmf_project_pass(csr, np.zeros((3, 8), np.int64), None, None, edges, 1)


def test_ints_of_the_model_and_its_blocks_are_checked() -> None:
    with pytest.raises(ValueError, match=r"'seed' parameter of random_words must be an int in \[0, 18446744073709"):
        _core.random_words(2**64, 0, 0, 1)
    assert len(_core.random_words(np.uint64(2**64 - 1), 0, 0, np.int32(2))) == 2
    with pytest.raises(ValueError, match=r"'first' parameter of symmetric_eigen must be an int in \[0, 3\]. Got 4"):
        _core.symmetric_eigen(np.eye(3), 4, 1)
    with pytest.raises(ValueError, match=r"'A' parameter of symmetric_eigen .* \(n = 3, n = 3\). Got float64"):
        _core.symmetric_eigen(np.ones((3, 4)), 0, 1)
    with pytest.raises(TypeError, match=r"'texts' parameter of encode_strings must be a list or a tuple. Got"):
        _core.encode_strings("abc")  # type: ignore[arg-type]


def test_texts_of_numbers_times_and_views_are_checked() -> None:
    buffer, one, out = np.frombuffer(b"2019-10-01", dtype=np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64)
    status = np.zeros(1, np.uint8)
    with pytest.raises(ValueError, match="'starts' parameter of parse_times must be places in the buffer"):
        _core.parse_times(buffer, one, one + 11, "", out, status)
    with pytest.raises(ValueError, match="'starts' parameter of parse_numbers must be places in the buffer"):
        _core.parse_numbers(buffer, one + 3, one + 2, ".", "digits", out, out.copy(), status)
    with pytest.raises(ValueError, match="'point' parameter of parse_numbers must be one character"):
        _core.parse_numbers(buffer, one, one, "..", "digits", out, out.copy(), status)
    view = np.array([20, 0, 0, 1], dtype=np.int32).view(np.uint8)
    with pytest.raises(ValueError, match="'views' parameter of gather_views must be places within data"):
        _core.gather_views(view, [buffer], np.array([0, 20]), np.zeros(20, np.uint8))
    with pytest.raises(ValueError, match="'offsets' parameter of gather_views must be rising, within out"):
        _core.gather_views(view, [buffer], np.array([0, 21]), np.zeros(20, np.uint8))


@pytest.mark.parametrize("name", ["invert_sequences", "label_places"])
def test_offsets_without_a_first_are_refused(name: str) -> None:
    none, few = np.zeros(0, np.int64), np.zeros(0, np.int32)
    rest = (few, none, none, few, few) if name == "invert_sequences" else (none, few)
    with pytest.raises(ValueError, match=rf"'offsets' parameter of {name} must be of length n \+ 1. Got 0"):
        getattr(_core, name)(0, 0, *rest)
