"""The tasks by name, as `wire.task` finds them in a worker: Arrow record batches in, record batches out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from . import count_task, customer_task, encode_task, session_task
from .wire import REPORT

Task = Callable[[Iterator[pa.RecordBatch], Mapping[str, Any]], Iterator[Mapping[str, Any]]]

TASKS: Mapping[str, Task] = {
    "sessions": session_task.make_histories,
    "token_counts": session_task.flatten_token_counts,
    "encode": encode_task.encode_histories,
    "count_pairs": count_task.count_pairs,
    "merge_pairs": count_task.merge_pairs,
    "pool": customer_task.pool_customers,
    "customers": customer_task.make_customers,
    "fold_in": customer_task.fold_in_customers,
    "spell": encode_task.spell_sequences,
    "pack": encode_task.pack_batches,
}


def run_task(
    name: str, batches: Iterator[pa.RecordBatch], options: Mapping[str, Any], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The batches that a task makes, with nulls for the columns that it leaves out; its error as a report."""
    try:
        for columns in TASKS[name](batches, options):
            yield _batch(columns, schema)
    except (ValueError, TypeError, MemoryError) as error:
        if schema.names[-1] != REPORT:
            raise
        for _ in batches:
            pass
        yield _batch({"report": pa.array([json.dumps({"fault": str(error), "kind": type(error).__name__})])}, schema)


def _batch(columns: Mapping[str, Any], schema: pa.Schema) -> pa.RecordBatch:
    n = len(next(iter(columns.values())))
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(n, field.type) for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
