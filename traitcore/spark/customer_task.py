"""In a worker: vectors and traits of the customers of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._rows import rows_to_shares, sorted_unique
from ..customers.pooling import customer_vectors
from ..customers.traits import TraitModel
from ..pipeline.many_customers import latest_tokens
from .encode_task import sequences_of
from .session_task import as_lists


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


def customer_schema(user: pa.DataType) -> pa.Schema:
    """Rows of `make_customers`: all that the table of customers holds."""
    floats = pa.list_(pa.float32())
    return pa.schema([
        ("user", user), ("profile", floats), ("raw_profile", floats), ("vector", floats), ("events", pa.int64()),
        ("recent", pa.list_(pa.int32())), ("history", pa.list_(pa.int32())),
        ("bought", pa.list_(pa.int32())),
    ])


def make_customers(batches: Iterator[pa.RecordBatch], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Traits, vector, latest tokens, items and items bought of each customer."""
    model = TraitModel.from_arrays(options["arrays"], options["params"])
    for batch in batches:
        sequences = sequences_of(batch)
        pooled = customer_vectors(sequences, options["table"].vectors, **options["pooling"])
        raw = model.transform_raw(sequences)
        owner = np.repeat(sequences.owners(), np.diff(sequences.offsets))
        yield {
            "user": batch.column("user"), "profile": _as_rows(rows_to_shares(raw)), "raw_profile": _as_rows(raw),
            "vector": _as_rows(pooled.vectors), "recent": _as_rows(latest_tokens(sequences, options["recent"])),
            "events": pa.array(np.bincount(owner, minlength=batch.num_rows)),
            "history": _item_lists(owner, options["item"][sequences.tokens], batch.num_rows),
            "bought": _item_lists(owner, options["bought"][sequences.tokens], batch.num_rows),
        }


def _item_lists(owner: NDArray[Any], item: NDArray[Any], n: int) -> pa.ListArray:
    """Each owner's items, rising, each once; -1 is none."""
    pairs = sorted_unique(owner[item >= 0].astype(np.int64) << 32 | item[item >= 0])
    edges = np.searchsorted(pairs >> 32, np.arange(n + 1))
    return as_lists(edges, pa.array((pairs & 0xFFFFFFFF).astype(np.int32)))


def _as_rows(matrix: NDArray[Any]) -> pa.ListArray:
    n, width = matrix.shape
    return as_lists(np.arange(n + 1) * width, pa.array(matrix.reshape(-1)))
