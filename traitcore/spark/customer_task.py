"""In a worker: vectors and traits of the customers of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._rows import rows_to_shares
from ..customers.pooling import customer_vectors
from ..customers.traits import TraitModel
from .encode_task import sequences_of


def vector_schema(user: pa.DataType) -> pa.Schema:
    """Rows of `pool_customers`."""
    return pa.schema([
        ("user", user), ("vector", pa.list_(pa.float32())), ("weight", pa.float64()), ("n_events", pa.int64()),
    ])


def profile_schema(user: pa.DataType) -> pa.Schema:
    """Rows of `fold_in_customers`."""
    return pa.schema([
        ("user", user), ("profile", pa.list_(pa.float32())), ("raw_profile", pa.list_(pa.float32())),
    ])


def pool_customers(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The vector of each customer, by `customer_vectors`."""
    for batch in batches:
        pooled = customer_vectors(sequences_of(batch), options["table"].vectors, **options["pooling"])
        yield {
            "user": batch.column("user"), "vector": _as_rows(pooled.vectors), "weight": pa.array(pooled.weights),
            "n_events": pa.array(pooled.n_events),
        }


def fold_in_customers(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The traits of each customer, by a fitted model."""
    model = TraitModel.from_arrays(options["arrays"], options["params"])
    for batch in batches:
        raw = model.transform_raw(sequences_of(batch))
        yield {
            "user": batch.column("user"), "profile": _as_rows(rows_to_shares(raw)), "raw_profile": _as_rows(raw),
        }


def _as_rows(matrix: NDArray[np.float32]) -> pa.ListArray:
    n, width = matrix.shape
    edges = np.arange(n + 1, dtype=np.int64) * width
    return pa.ListArray.from_arrays(pa.array(edges.astype(np.int32)), pa.array(matrix.reshape(-1)))
