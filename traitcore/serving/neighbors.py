"""Exact nearest neighbours over rows of vectors, and indexes bound to the table they were built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._parallel import resolve_workers
from .._validate import check_array, check_choice, check_int

METRICS = ("cosine", "dot", "euclidean")


def top_k(
    queries: Any,
    vectors: Any,
    k: int,
    *,
    metric: str = "cosine",
    mask: Any = None,
    exclude: Any = None,
    workers: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest rows of `vectors` for each query: exact, best first, ties by row.

    Parameters
    ----------
    queries : (m, d) float32; vectors : (n, d) float32, both finite.
    k : rows wanted for each query.
    metric : "cosine" (0 against a zero vector), "dot", or "euclidean" (scores are distances, smallest first).
    mask : (n,) bool or None, True where a row may be found.
    exclude : None, or for each query the rows it must not find: m sequences of rows, an (m, j) int array padded with
        -1, or an (m, n) sparse matrix whose stored entries are excluded.
    workers : threads; the result is the same bytes for any number.

    Returns
    -------
    rows (m, k) int64 and scores (m, k) float32; -1 and NaN where fewer than k rows are eligible.

    Raises
    ------
    ValueError, TypeError : shapes that don't meet, NaN or infinity, an excluded row outside [0, n).
    """
    vectors = check_array("vectors", "top_k", vectors, dtype=np.float32, shape=(None, None))
    searcher = Searcher(vectors, metric, owner="top_k")
    return searcher.search(queries, k, mask=mask, exclude=exclude, workers=workers)


class Searcher:
    """`top_k` over one side of a table, with what depends on the rows alone computed once. Rows are not re-checked."""

    def __init__(self, vectors: NDArray[np.float32], metric: str, *, owner: str) -> None:
        self.metric = check_choice("metric", owner, metric, METRICS)
        self.vectors, self.owner = vectors, owner
        n = len(vectors)
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64) if metric != "dot" else np.zeros(0)
        self.scale, self.bias = np.ones(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
        if metric == "cosine":
            norms = np.sqrt(squares)
            self.scale = np.divide(1.0, norms, out=np.zeros(n), where=norms > 0).astype(np.float32)
        elif metric == "euclidean":  # |q - v|^2 falls as q.v - |v|^2 / 2 rises
            self.bias = (-0.5 * squares).astype(np.float32)

    def search(
        self, queries: Any, k: int, *, mask: Any = None, exclude: Any = None, workers: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `top_k`."""
        n, d = self.vectors.shape
        queries = check_array("queries", self.owner, queries, dtype=np.float32, shape=(None, d))
        k = check_int("k", self.owner, k, 1)
        resolve_workers(workers, self.owner)
        if self.metric == "cosine":
            norms = np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
            queries = np.divide(queries, norms, out=np.zeros(queries.shape), where=norms > 0).astype(np.float32)
        allowed = _check_mask(mask, n, self.owner)
        starts, banned = _check_exclude(exclude, len(queries), n, self.owner)
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), np.nan, dtype=np.float32)
        for i, query in enumerate(queries):
            score = (self.vectors @ query) * self.scale + self.bias
            if allowed is not None:
                score[~allowed] = -np.inf
            score[banned[starts[i] : starts[i + 1]]] = -np.inf
            best = np.argsort(-score, kind="stable")[:k]
            best = best[score[best] > -np.inf]
            rows[i, : len(best)], scores[i, : len(best)] = best, score[best]
            if self.metric == "euclidean":
                scores[i, : len(best)] = np.linalg.norm(self.vectors[best] - query, axis=1)
        return rows, scores


def _check_mask(mask: Any, n: int, owner: str) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    array = np.asarray(mask)
    rule = f"an array of shape ({n},) and dtype bool"
    if array.dtype != np.bool_:
        raise TypeError(parameter_message("mask", owner, rule, f"dtype {array.dtype}"))
    if array.shape != (n,):
        raise ValueError(parameter_message("mask", owner, rule, f"shape {array.shape}"))
    return np.ascontiguousarray(array)


def _check_exclude(exclude: Any, m: int, n: int, owner: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(m + 1,) starts and the excluded rows, sorted within each query."""
    if exclude is None:
        return np.zeros(m + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rule = f"{m} sequences of rows in [0, {n})"
    if sparse.issparse(exclude):
        if exclude.shape != (m, n):
            raise ValueError(parameter_message("exclude", owner, f"of shape ({m}, {n})", f"shape {exclude.shape}"))
        matrix = sparse.csr_array(exclude)
        matrix.sort_indices()
        return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    if not isinstance(exclude, (np.ndarray, Sequence)) or isinstance(exclude, str):
        raise TypeError(parameter_message("exclude", owner, rule, exclude))
    if len(exclude) != m:
        raise ValueError(parameter_message("exclude", owner, rule, f"{len(exclude)} sequences"))
    lists = []
    for one in exclude:
        rows = check_array("exclude", owner, one, dtype=np.int64, shape=(None,))
        if isinstance(exclude, np.ndarray):
            rows = rows[rows != -1]
        if len(rows) and (rows.min() < 0 or rows.max() >= n):
            raise ValueError(parameter_message("exclude", owner, rule, int(rows[(rows < 0) | (rows >= n)][0])))
        lists.append(np.sort(rows))
    starts = np.zeros(m + 1, dtype=np.int64)
    np.cumsum([len(rows) for rows in lists], out=starts[1:])
    return starts, np.concatenate(lists) if lists else np.zeros(0, dtype=np.int64)
