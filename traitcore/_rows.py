"""Rows of a matrix brought to a common scale, and the cosines between them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Numbers in a range of rows.
_PART = 1 << 21
# Rows in a product of two tall matrices.
_TALL = 1 << 17
# Norms between 1 / reach and reach have squares well within the type's range.
_REACH: dict[type[np.floating[Any]], float] = {np.float32: 2.0**60, np.float64: 2.0**508}


def rows_to_shares(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their sums, so that they add up to 1; zero rows stay zero."""
    mass = weights.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.zeros_like(weights)
    np.divide(weights, mass, out=shares, where=mass > 0, casting="unsafe")
    return shares


def row_parts(rows: NDArray[Any]) -> Iterator[slice]:
    """Ranges of rows of some millions of numbers: passes by them stay in the cache, and Ctrl-C is heard between."""
    step = max(1, _PART // max(1, rows.shape[1]))
    return (slice(start, start + step) for start in range(0, len(rows), step))


def cross_product(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """x.T @ y, summed over ranges of rows in float64: one call of BLAS, which hears no Ctrl-C, is never long."""
    total = (x[:_TALL].T @ y[:_TALL]).astype(np.float64)
    for start in range(_TALL, len(x), _TALL):
        total += x[start : start + _TALL].T @ y[start : start + _TALL]
    return np.asarray(total)


def order_within(group: NDArray[Any], key: NDArray[Any]) -> NDArray[np.int64]:
    """np.lexsort((key, group)) where `group` (n,) never falls: by ranges of whole groups, as `row_parts`."""
    places = np.searchsorted(group, group[_PART::_PART], side="left")
    order = np.empty(len(group), dtype=np.int64)
    for start, stop in pairwise(np.unique(np.concatenate(([0], places, [len(group)]))).tolist()):
        order[start:stop] = start + np.lexsort((key[start:stop], group[start:stop]))
    return order


def sorted_unique(values: NDArray[Any]) -> NDArray[Any]:
    """`np.unique(values)` of many distinct integers, for which numpy 2.3 on hashes them: six times as long as this."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def unit_rows(rows: Any, precision: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
    """Rows of Euclidean length 1, of type `precision`, in which they are worked out; zero rows stay zero.

    A row whose squares would leave the type's range is first scaled by a power of two, which is exact.
    """
    array = np.asarray(rows)
    unit = np.empty(array.shape, dtype=precision)
    for part in row_parts(array):
        unit[part] = _unit_part(array[part].astype(precision, copy=False), precision)
    return unit


def _unit_part(array: NDArray[Any], precision: type[np.floating[Any]]) -> NDArray[Any]:
    reach = _REACH[precision]
    with np.errstate(over="ignore", under="ignore"):
        norms = np.linalg.norm(array, axis=1, keepdims=True)
    in_range = (norms > 1.0 / reach) & (norms < reach)
    if not in_range.all() and array.shape[1]:
        extreme = np.flatnonzero(~in_range)
        array = array.copy()
        exponents = np.frexp(np.abs(array[extreme]).max(axis=1, keepdims=True))[1]
        array[extreme] = np.ldexp(array[extreme], -exponents)
        norms[extreme] = np.linalg.norm(array[extreme], axis=1, keepdims=True)
    return np.asarray(np.divide(array, norms, out=np.zeros_like(array), where=norms > 0))


def unit_float32_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """`unit_rows` of float32 rows, rounded to float32; no square of a float32 leaves the range of float64."""
    unit = np.empty(rows.shape, dtype=np.float32)
    for part in row_parts(rows):
        norms = np.linalg.norm(rows[part].astype(np.float64), axis=1, keepdims=True)
        unit[part] = np.divide(rows[part], norms, out=np.zeros(rows[part].shape), where=norms > 0)
    return unit


def unit_vector(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """`vector` with Euclidean length 1; zero stays zero. For one vector `unit_rows` would take three times as long."""
    norm = float(np.sqrt((vector * vector).sum()))
    return vector / norm if norm > 0 else vector


def unit_sparse_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Rows of Euclidean length 1 in float32; zero rows stay zero."""
    squares = matrix.data.astype(np.float64) ** 2
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    norms = np.sqrt(np.bincount(rows, weights=squares, minlength=matrix.shape[0]))
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    scaled = matrix.copy()
    scaled.data = (matrix.data * scale[rows]).astype(np.float32)
    return scaled


def cosines(left: Any, right: Any) -> NDArray[np.float64]:
    """(len(left), len(right)) cosines between rows; 0 against a zero row."""
    product: NDArray[np.float64] = unit_rows(left) @ unit_rows(right).T
    return product


def paired_cosines(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float32]:
    """(m,) cosines of rows with their counterparts, either may be a single row; equal pairs get equal cosines."""
    x, y = left.astype(np.float64), right.astype(np.float64)
    dots, norms = (x * y).sum(1), np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return np.asarray(np.divide(dots, norms, out=np.zeros(len(dots)), where=norms > 0), dtype=np.float32)
