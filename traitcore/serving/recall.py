"""Recall of an index, of ours or anybody's, by rows as near as the k-th exact one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._errors import TableError
from .._protocols import VectorIndex
from .._validate import Checks
from .neighbors import METRICS, Searcher
from .similarity import SIDES
from .table import EmbeddingTable


def measure_recall(
    index: VectorIndex,
    table: EmbeddingTable,
    *,
    k: int = 10,
    metric: str = "cosine",
    against: str = "vectors",
    sample: int = 500,
    random_state: int = 0,
    workers: int = 1,
) -> float:
    """Recall@k of an index over a table: the mean share of the k rows found that are as near as the k-th exact one.

    Of equally near rows any counts. The queries are rows of the table, drawn without replacement.

    Parameters
    ----------
    index : any object with `fingerprint` and `search(queries, k)`, such as `build_index` makes; `docs/engines.md` has
        one of another library.
    k : rows to find; at most those of the table are looked for.
    metric, against : by which, and over which side of the table, the index searches.
    sample : number of queries. random_state : int, the seed by which they are drawn. workers : threads of exact search.

    Raises
    ------
    TableError : the index was built from another table. ValueError, TypeError : bad parameters, an empty table, an
        answer of another shape.

    See Also
    --------
    build_index : measures it for its own.

    Examples
    --------
    >>> import traitcore as tc
    >>> table = tc.EmbeddingTable(["cup", "mug", "tie"], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> tc.measure_recall(tc.build_index(table), table, k=2)
    1.0
    """
    check = Checks("measure_recall")
    check.choice("metric", metric, METRICS)
    check.choice("against", against, SIDES)
    vectors = side_of(check.instance("table", table, EmbeddingTable), against, check)
    if not len(vectors):
        raise check.value_error("table", "a table with rows", table)
    if index.fingerprint != table.fingerprint:
        raise TableError(f"{index!r} was not built from {table!r}: ids, their order or vectors differ.")
    k = min(check.integer("k", k, 1), len(vectors))
    rng = np.random.default_rng(check.seed("random_state", random_state))
    picked = np.sort(rng.choice(len(vectors), min(check.integer("sample", sample, 1), len(vectors)), replace=False))
    exact = Searcher(vectors, metric, check=check).search(vectors[picked], k, workers=workers)[0]
    found = np.asarray(index.search(vectors[picked], k)[0])
    if found.shape != exact.shape or found.dtype.kind not in "iu" or (found.size and found.max() >= len(vectors)):
        rule = f"one whose search returns rows of shape {exact.shape}, ints below {len(vectors)}"
        raise check.value_error("index", rule, f"{found.dtype} of shape {found.shape}")
    return _recall(vectors[picked], vectors, exact, found.astype(np.int64), metric)


def side_of(table: EmbeddingTable, against: str, check: Checks) -> NDArray[np.float32]:
    """The vectors or the context vectors of a table; ValueError where it has none."""
    side = table.vectors if against == "vectors" else table.context_vectors
    if side is None:
        raise check.value_error("against", "'vectors': this table has no context vectors", against)
    return side


def _recall(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], exact: NDArray[np.int64], found: NDArray[np.int64],
    metric: str,
) -> float:
    """Mean share of the rows found (m, k) whose score is at least the worst of the exact ones (m, k).

    Scores are recomputed in float64. Both searches choose by float32 sums of d products, each within
    (d + 2) 2^-24 |q| |v| of the truth (Higham 2002, section 3.1; of a distance: within that share of its square), so
    scores nearer than twice that are equal to either.
    """
    share = 2.0 * (vectors.shape[1] + 2) * 2.0**-24
    hits = 0
    for query, wanted, rows in zip(queries.astype(np.float64), exact, found):
        rows = np.unique(rows[rows >= 0])
        (best, _), (score, size) = (_merits(query, vectors[part], metric) for part in (wanted, rows))
        bar = best.min()
        slack = share * (np.abs(bar) if metric == "euclidean" else size)
        hits += int((score >= bar - slack).sum())
    return hits / max(exact.size, 1)


def _merits(
    query: NDArray[np.float64], rows: NDArray[np.float32], metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A float64 score of each row, larger is better, and the product of norms that bounds its error."""
    values = rows.astype(np.float64)
    if metric == "euclidean":
        return -((values - query) ** 2).sum(axis=1), np.zeros(len(rows))
    sizes = np.sqrt((query @ query) * (values**2).sum(axis=1))
    if metric == "dot":
        return values @ query, sizes
    cosines = np.divide(values @ query, sizes, out=np.zeros(len(rows)), where=sizes > 0)
    return cosines, np.ones(len(rows))
