"""The rows of best score that may be listed: what `recommend.py` and `blended.py` have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._validate import Checks
from ..items.next_item_ranking import item_flags, top_places
from .mixing import TraitLimit

FALLBACKS = ("popular",)
BLOCK = 2_000_000  # scores held at once, about 8 MB


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Rows found for each query, best first; ties by row.

    Attributes
    ----------
    rows : (n_queries, k) int64, -1 past the last row with evidence; (k,) for a single query.
    scores : (n_queries, k) float32, NaN beside a row of -1 and beside a fallback row.
    by_trait : (n_queries, k, n_traits) float32, each score split by trait (0 where the score is NaN); None without
        traits.
    fallback : (n_queries, k) bool, True where a row is listed for its popularity alone; None without a fallback.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    by_trait: NDArray[np.float32] | None = None
    fallback: NDArray[np.bool_] | None = None

    def __getitem__(self, query: int) -> Recommendations:
        """The answer to one query of a batch."""
        of_trait = None if self.by_trait is None else self.by_trait[query]
        return Recommendations(
            self.rows[query], self.scores[query], of_trait, None if self.fallback is None else self.fallback[query]
        )


def popular_items(check: Checks, n_items: int, fallback: Any, popularity: Any) -> NDArray[np.int64] | None:
    """Rows of the fallback, the most popular first, ties by row; None without a fallback."""
    if fallback is None:
        if popularity is not None:
            raise check.value_error("popularity", "None unless fallback='popular'", "an array")
        return None
    check.choice("fallback", fallback, FALLBACKS)
    if popularity is None:
        raise check.value_error("popularity", "counts of the items, for fallback='popular'", None)
    counts = check.array("popularity", popularity, dtype=np.float64, shape=(n_items,), nonnegative=True)
    order = np.argsort(-counts, kind="stable")
    return order[counts[order] > 0]


def seen_items(check: Checks, seen: Any, n_rows: int, n_items: int, single: bool) -> sparse.csr_array:
    """What not to recommend: the stored entries of a CSR without zeros."""
    if single and not sparse.issparse(seen):
        flags = np.flatnonzero(item_flags(check, "seen", seen, n_items))
        ends = np.array([0, len(flags)])
        return sparse.csr_array((np.ones(len(flags), np.float32), flags, ends), shape=(1, n_items))
    if not sparse.issparse(seen) and np.asarray(seen).dtype == np.bool_:
        seen = np.asarray(seen).astype(np.float32)
    matrix = check.csr("seen", seen, shape=(n_rows, n_items)).copy()
    matrix.eliminate_zeros()
    return matrix


def ranked(
    rows: Any, table: Any, k: int, eligible: NDArray[np.bool_] | None, excluded: Any,
    popular: NDArray[np.int64] | None, *, signed: bool = False, limit: TraitLimit | None = None,
) -> Recommendations:
    """The `k` best columns of rows @ table (of rows where table is None) that are eligible and not excluded.

    Only scores above 0 count, or with `signed` scores other than 0. `popular` fills the places left. Dense rows without
    a table are written over. limit : for these rows, not with `signed`.
    """
    n_queries, n_columns = rows.shape[0], (rows if table is None else table).shape[1]
    found = np.full((n_queries, k), -1, dtype=np.int64)
    best = np.full((n_queries, k), np.nan, dtype=np.float32)
    filled = np.zeros((n_queries, k), dtype=bool)
    step = max(1, BLOCK // max(1, n_columns))
    for start in range(0, n_queries, step):
        part = rows[start : start + step]
        if table is not None:
            scores = part @ table
        else:
            scores = part.toarray() if sparse.issparse(part) else part
        if signed:
            scores[scores == 0] = -np.inf
        for q, row in enumerate(scores, start):
            hidden = np.zeros(0, np.int64)
            if excluded is not None:
                hidden = excluded.indices[excluded.indptr[q] : excluded.indptr[q + 1]]
            row[hidden] = -np.inf
            if eligible is not None:
                row[~eligible] = -np.inf
            top = top_places(row, k) if limit is None else limit.places(q, row, k)
            top = top if signed else top[row[top] > 0]
            n_found = len(top)
            found[q, :n_found], best[q, :n_found] = top, row[top]
            if popular is not None and n_found < k:
                more = fill_up(found[q], n_found, popular, eligible, hidden, n_columns)
                filled[q, n_found : n_found + more] = True
    by_trait = None
    if table is not None:
        listed = ((found >= 0) & ~filled)[:, :, None]
        by_trait = np.where(listed, rows[:, None, :] * table.T[found], np.float32(0))
    return Recommendations(found, best, by_trait, None if popular is None else filled)


def fill_up(
    listed: NDArray[np.int64], n_found: int, popular: NDArray[np.int64], eligible: NDArray[np.bool_] | None,
    hidden: NDArray[Any], n_items: int,
) -> int:
    """Put popular items that may be listed behind the first `n_found` of a list; returns how many."""
    free = np.ones(n_items, dtype=bool) if eligible is None else eligible.copy()
    free[hidden] = free[listed[:n_found]] = False
    more = popular[free[popular]][: len(listed) - n_found]
    listed[n_found : n_found + len(more)] = more
    return len(more)


def one_each(columns: NDArray[np.int64], width: int) -> sparse.csr_array:
    n = len(columns)
    return sparse.csr_array((np.ones(n, np.float32), columns, np.arange(n + 1)), shape=(n, width))
