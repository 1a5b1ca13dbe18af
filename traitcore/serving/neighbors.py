"""Exact nearest neighbours over rows of vectors.

The product and the selection are one pass in C++ (csrc/include/traitcore/topk.hpp): a tile of scores is compared with
each query's k-th best while still in registers. Distances that float32 can't order are computed in float64 and, where
that can't order them either, compared exactly. The kernel is in C++ because numba has neither masks of vector
comparisons nor a run-time choice of instruction set. Only this module calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .. import _core
from .._parallel import run_blocks
from .._rows import unit_float32_rows
from .._validate import Checks

METRICS = ("cosine", "dot", "euclidean")
_LANES = 32  # queries in a tile of the kernel
_QUERIES = 512  # queries in a call: their tiles fit the second-level cache
_CALL = 1 << 33  # multiplications in a call
_MEASURED = 1 << 24  # distances in a call, should float32 rule out none of them
# Searches of one query before rows are coded: coding takes what 13 of them save at 50k x 128, 15 at 1M x 64
# (benchmarks/versus.py topk, one processor); rather later, for scripts that ask a few times.
_CODES_PAY = 24
_WIDEST = 1 << 16  # of rows that are coded
_THREADS_PAY = 1 << 23  # multiplications, half a millisecond of one core: starting a thread takes a fifth of that


def top_k(
    queries: ArrayLike,
    vectors: ArrayLike,
    k: int,
    *,
    metric: str = "cosine",
    mask: ArrayLike | None = None,
    exclude: Any = None,
    workers: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest rows of `vectors` for each query: exact, best first, ties by row.

    By distance, rows are in the order of their true distances, even where their float32 scores are equal. Products and
    cosines are compared as float32 sums.

    Parameters
    ----------
    queries : (m, d) float32; vectors : (n, d) float32, both finite.
    k : number of rows for each query.
    metric : "cosine" (0 against a zero vector), "dot", or "euclidean" (scores are distances, smallest first).
    mask : (n,) bool or None, True where a row may be found.
    exclude : None, or for each query the rows it must not find: m sequences of rows, an (m, j) int array padded with
        -1, or an (m, n) sparse matrix whose non-zero entries are excluded (a stored zero is no mark).
    workers : threads; the result is the same bytes for any number.

    Returns
    -------
    rows (m, k) int64 and scores (m, k) float32; -1 and NaN where fewer than k rows are eligible.

    Raises
    ------
    ValueError, TypeError : shapes that don't fit, NaN or infinity, an excluded row outside [0, n).

    See Also
    --------
    EmbeddingTable.most_similar : the same by ids. build_index : approximate search.

    Examples
    --------
    >>> import traitcore as tc
    >>> rows, scores = tc.top_k([[1.0, 0.0]], [[0.0, 2.0], [3.0, 4.0], [5.0, 0.0]], 2)
    >>> print(rows, scores.round(2))
    [[2 1]] [[1.  0.6]]
    """
    vectors = Checks("top_k").array("vectors", vectors, dtype=np.float32, shape=(None, None), finite=False)
    searcher = Searcher(vectors, metric, check=Checks("top_k"))
    return searcher.search(queries, k, mask=mask, exclude=exclude, workers=workers)


class Searcher:
    """`top_k` over one side of a table, (n, d) float32 in C order, prepared once for many searches."""

    def __init__(self, vectors: NDArray[np.float32], metric: str, *, check: Checks) -> None:
        self.metric = check.choice("metric", metric, METRICS)
        self.vectors, self.check = vectors, check
        n, d = vectors.shape
        squares = np.empty(n)
        _core.squared_norms(vectors, squares)
        if not np.isfinite(squares).all():
            check.values("vectors", vectors)
        self._longest = float(np.sqrt(squares.max(initial=0.0)))
        self.scale, self.bias = np.ones(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
        if metric == "cosine":
            norms = np.sqrt(squares)
            self.vectors, norms = _in_range(vectors, norms)
            self.scale = np.divide(1.0, norms, out=np.zeros(n), where=norms > 0).astype(np.float32)
        elif metric == "euclidean":
            _core.euclidean_biases(squares, d, self.bias)
        self._alone = 0  # searches of one query
        self._codes: _core.RowCodes | None = None

    def search(
        self, queries: Any, k: int, *, mask: Any = None, exclude: Any = None, workers: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `top_k`."""
        n, d = self.vectors.shape
        queries = self.check.array("queries", queries, dtype=np.float32, shape=(None, d))
        k = self.check.integer("k", k, 1)
        threads = self.check.workers(workers)
        powers = None
        if self.metric == "cosine":
            queries = unit_float32_rows(queries)
        elif self.metric == "dot":
            queries, powers = _with_products_in_range(queries, self._longest)
        bias = self.bias
        if mask is not None:
            bias = np.where(_check_mask(mask, n, self.check), bias, np.float32(-np.inf))
        first, banned = _check_exclude(exclude, len(queries), n, self.check)
        if len(queries) == 1 and self._coded():
            rows, scores = self._search_codes(queries, k, bias, banned)
        else:
            euclidean = self.metric == "euclidean"
            rows, scores = _search(queries, self.vectors, k, self.scale, bias, first, banned, threads, euclidean)
        if powers is not None:
            with np.errstate(over="ignore"):  # a product beyond float32 is infinite, and ranked correctly
                scores = np.ldexp(scores.astype(np.float64), -powers[:, None]).astype(np.float32)
        return rows, scores

    def _coded(self) -> bool:
        """Whether there are 8-bit codes for searches of one query; those that come often get them."""
        if self._codes is None and self.metric != "euclidean" and self.vectors.shape[1] <= _WIDEST:
            self._alone += 1
            if self._alone > _CODES_PAY:
                self._codes = _core.RowCodes(self.vectors)
        return self._codes is not None

    def _search_codes(
        self, query: NDArray[np.float32], k: int, bias: NDArray[np.float32], banned: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The bytes of `_search`, from a quarter of the memory."""
        assert self._codes is not None
        rows, scores = np.empty((1, k), dtype=np.int64), np.empty((1, k), dtype=np.float32)
        other = np.zeros(0, dtype=np.int64) if banned is None else np.unique(banned)
        self._codes.search(
            query=query[0], vectors=self.vectors, scale=self.scale, bias=bias, other=other, other_bias=None,
            rows=rows[0], scores=scores[0],
        )
        return rows, scores


def _in_range(
    vectors: NDArray[np.float32], norms: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Rows with very large or small norms, scaled by a power of two to a norm near 1; and all norms."""
    wild = np.flatnonzero((norms > 2.0**60) | ((norms > 0) & (norms < 2.0**-60)))
    if not len(wild):
        return vectors, norms
    vectors, norms = vectors.copy(), norms.copy()
    powers = -np.frexp(norms[wild])[1]
    vectors[wild] = np.ldexp(vectors[wild], powers[:, None])
    norms[wild] = np.ldexp(norms[wild], powers)
    return vectors, norms


def _with_products_in_range(
    queries: NDArray[np.float32], longest: float
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Queries whose products may leave float32's range, each scaled by a power of two; and the powers."""
    norms = np.linalg.norm(queries.astype(np.float64), axis=1)
    reach = norms * longest
    wild = (reach > 2.0**100) | ((reach > 0) & (reach < 2.0**-60))
    if not wild.any():
        return queries, None
    wanted = np.clip(-np.frexp(longest)[1], -60, 60)
    powers = np.where(wild, wanted - np.frexp(norms)[1], 0)
    return np.ldexp(queries.astype(np.float64), powers[:, None]).astype(np.float32), powers


def _search(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int, scale: NDArray[np.float32],
    bias: NDArray[np.float32], first: NDArray[np.int64] | None, banned: NDArray[np.int64] | None, threads: int,
    euclidean: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Threads share the queries, or the rows where queries are few; the split doesn't change the result."""
    m, n = len(queries), len(vectors)
    found = np.empty((m, k), dtype=np.int64), np.empty((m, k), dtype=np.float32)
    by_rows = threads > 1 and m < 2 * _LANES * threads and m * n * vectors.shape[1] > _THREADS_PAY

    def search(start: int, stop: int) -> None:
        _core.search_top_k(
            queries, start, stop, vectors, 0, n, scale, bias, first, banned, *found, threads if by_rows else 1,
            euclidean,
        )

    # Whole tiles of queries, and some tenths of a second a call, so that Ctrl-C is heard between them.
    at_once = max(1, min(_QUERIES, _CALL // max(n * vectors.shape[1], 1))) if m > _LANES else m
    if euclidean:
        at_once = min(at_once, _MEASURED // max(n, 1))
    at_once = max(1, -(-at_once // _LANES)) * _LANES
    if not by_rows and threads > 1:
        at_once = min(at_once, max(_LANES, -(-m // (threads * _LANES)) * _LANES))
    blocks = [(a, min(a + at_once, m)) for a in range(0, m, at_once)]
    run_blocks(search, blocks, 1 if by_rows else threads)
    return found


def _check_mask(mask: Any, n: int, check: Checks) -> NDArray[np.bool_]:
    array: NDArray[Any] = check.plain("mask", mask)
    rule = f"an array of shape ({n},) and dtype bool"
    if array.dtype != np.bool_:
        raise check.type_error("mask", rule, f"dtype {array.dtype}")
    if array.shape != (n,):
        raise check.value_error("mask", rule, f"shape {array.shape}")
    return array


def _check_exclude(
    exclude: Any, m: int, n: int, check: Checks
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """(m + 1,) starts and the excluded rows, sorted within each query; both None without any."""
    if exclude is None:
        return None, None
    rule = f"{m} sequences of rows in [0, {n})"
    if sparse.issparse(exclude):
        if exclude.shape != (m, n):
            raise check.value_error("exclude", f"of shape ({m}, {n})", f"shape {exclude.shape}")
        matrix = check.csr("exclude", exclude, finite=False)
        if not matrix.data.all():
            matrix.eliminate_zeros()
        return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    if isinstance(exclude, np.ndarray) and exclude.shape == (m, 1) and exclude.dtype == np.int64:
        if m and (exclude.min() < -1 or exclude.max() >= n):
            raise check.value_error("exclude", rule, "a row out of range")
        return np.arange(m + 1, dtype=np.int64), np.ascontiguousarray(exclude[:, 0])
    if not isinstance(exclude, (np.ndarray, Sequence)) or isinstance(exclude, str):
        raise check.type_error("exclude", rule, exclude)
    if len(exclude) != m:
        raise check.value_error("exclude", rule, f"{len(exclude)} sequences")
    lists = []
    for one in exclude:
        rows = check.array("exclude", one, dtype=np.int64, shape=(None,))
        if isinstance(exclude, np.ndarray):
            rows = rows[rows != -1]
        if len(rows) and (rows.min() < 0 or rows.max() >= n):
            raise check.value_error("exclude", rule, int(rows[(rows < 0) | (rows >= n)][0]))
        lists.append(np.sort(rows))
    starts = np.zeros(m + 1, dtype=np.int64)
    np.cumsum([len(rows) for rows in lists], out=starts[1:])
    return starts, np.concatenate(lists) if lists else np.zeros(0, dtype=np.int64)
