"""count_cooccurrences: pairs of a corpus on Spark, counted by our kernel in the workers and added up by the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._csr import stacked
from .._errors import on_behalf_of
from .._parallel import balanced_blocks
from .._validate import Checks
from ..items.count_parts import INT32_MAX, csr_of
from . import engine
from .corpus import SparkCorpus
from .count_task import matrix_of, part_schema, rows_schema

CHECK = Checks("traitcore.spark.count_cooccurrences")
MEBI = 2.0**20
_PART_PAIRS = 1 << 23  # pairs of a part, about, before equal ones are added up: some tens of MB
_MOST_PARTS = 4096


def count_cooccurrences(
    corpus: SparkCorpus,
    *,
    window: int = 5,
    symmetric: bool = True,
    weighting: str = "flat",
    self_pairs: bool = True,
    min_pair_count: float | None = None,
    k: int | None = None,
    memory_limit_mb: float | None = None,
    path: str | None = None,
) -> sparse.csr_array | None:
    """`traitcore.count_cooccurrences` of a corpus on Spark: the same bytes, for any partitions.

    Whole numbers are added up, and `min_pair_count` and `k` act on finished rows, so nothing depends on how the corpus
    is cut. Each worker counts some millions of tokens at a time; the parts meet by ranges of rows, of which the driver
    holds two while it joins them.

    Parameters
    ----------
    corpus : of `sessions`.
    window, symmetric, self_pairs, min_pair_count, k : as there.
    weighting : "flat", or "linear": counted in whole numbers too, window - d + 1 at distance d, and divided by the
        window at the end (float32).
    memory_limit_mb : MemoryError when the matrix on the driver grows beyond it.
    path : a folder for Parquet files of one row for each row of the matrix (row, columns, values), which never meet on
        the driver.

    Returns
    -------
    (n_tokens, n_tokens) CSR, int32 (int64 where a count could exceed it) or float32; None where `path` is given.
    """
    CHECK.instance("corpus", corpus, SparkCorpus)
    limit = None
    if memory_limit_mb is not None:
        limit = CHECK.real("memory_limit_mb", memory_limit_mb, 0.0, open_low=True)
    vocabulary = corpus.vocabulary
    with on_behalf_of(str(CHECK)):
        options = _options(
            corpus, CHECK.integer("window", window, 1), CHECK.boolean("symmetric", symmetric),
            CHECK.choice("weighting", weighting, ("flat", "linear")), CHECK.boolean("self_pairs", self_pairs),
        )
        options |= {
            "min_pair_count": 0.0 if min_pair_count is None else CHECK.real("min_pair_count", min_pair_count, 0.0),
            "k": 0 if k is None else CHECK.integer("k", k, 1), "lists": path is not None,
        }
    merged = _merged(corpus, options)
    if path is not None:
        engine.told(lambda: merged.write.mode("overwrite").parquet(path))
        return None
    parts: dict[int, sparse.csr_array] = {}
    held = 0
    for row in engine.streamed(merged):
        rows = matrix_of(row.asDict(), options["edges"], len(vocabulary), options["dtype"])
        held += rows.data.nbytes + rows.indices.nbytes
        if limit is not None and held > limit * MEBI:
            raise MemoryError(
                f"The counts need more than memory_limit_mb={limit:g} on the driver: {len(parts) + 1} of "
                f"{len(options['edges']) - 1} parts are {held / MEBI:,.0f} MiB. 'min_pair_count' or 'k' makes the "
                "matrix smaller; path='...' leaves it in files."
            )
        parts[row["part"]] = rows
    return _joined(parts, options["edges"], len(vocabulary), options["dtype"])


def _options(corpus: SparkCorpus, window: int, symmetric: bool, weighting: str, self_pairs: bool) -> dict[str, Any]:
    """What the workers get: the arguments of the kernel, the edges of the parts, the matrix's dtypes."""
    occurrences = corpus.vocabulary.counts
    reach = window * (2 if symmetric else 1)
    largest = reach * corpus.report.tokens
    if largest > INT32_MAX and corpus.own_vocabulary:
        largest = reach * int(occurrences.max())
    # float64 holds the sums of whole weights exactly.
    dtype = np.dtype(np.float64) if weighting == "linear" else np.dtype(np.int32 if largest <= INT32_MAX else np.int64)
    n_parts = min(_MOST_PARTS, max(8, reach * corpus.report.tokens // _PART_PAIRS))
    blocks = balanced_blocks(np.concatenate(([0], np.cumsum(occurrences + 1))), n_parts)
    count = {
        "n_items": len(corpus.vocabulary), "window": window, "symmetric": symmetric, "self_pairs": self_pairs,
        "dtype": dtype, "weighting": "flat" if weighting == "flat" else np.arange(window, 0, -1, dtype=np.float64),
    }
    return {
        "count": count, "reach": reach, "edges": np.array([0, *(stop for _, stop in blocks)]),
        "scale": float(window) if weighting == "linear" else 1.0,
        "dtype": np.dtype(np.float32) if weighting == "linear" else dtype,
    }


def _merged(corpus: SparkCorpus, options: dict[str, Any]) -> Any:
    import pyarrow as pa

    counted = engine.run(corpus.frame, "count_pairs", part_schema(), options)
    parts = counted.repartition("part").sortWithinPartitions("part")
    schema = part_schema()
    if options["lists"]:
        schema = rows_schema(pa.from_numpy_dtype(options["dtype"]))
    return engine.run(parts, "merge_pairs", schema, options)


def _joined(
    parts: dict[int, sparse.csr_array], edges: NDArray[np.int64], n_items: int, dtype: np.dtype[Any]
) -> sparse.csr_array:
    """All parts, one below the other, rows of zeros where there is none; each is let go once it is copied."""
    heights = enumerate(np.diff(edges).tolist())
    whole = stacked([parts.pop(part, sparse.csr_array((height, n_items), dtype=dtype)) for part, height in heights])
    return csr_of(whole.data, whole.indices, whole.indptr, (n_items, n_items))
