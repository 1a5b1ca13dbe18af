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
    "long_sessions": encode_task.keep_long_sessions,
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
        for columns in TASKS[name](map(_plain, batches), options):
            yield _batch(columns, schema)
    except (ValueError, TypeError, MemoryError) as error:
        if schema.names[-1] != REPORT:
            raise
        for _ in batches:
            pass
        yield _batch({"report": pa.array([json.dumps({"fault": str(error), "kind": type(error).__name__})])}, schema)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with plain strings: large ones come where spark.sql.execution.arrow.useLargeVarTypes is set."""
    kinds = [_plain_type(field.type) for field in batch.schema]
    if kinds == batch.schema.types:
        return batch
    columns = [column.cast(kind) for column, kind in zip(batch.columns, kinds)]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type)) if pa.types.is_large_string(kind.value_type) else kind
    return pa.string() if pa.types.is_large_string(kind) else kind


def _batch(columns: Mapping[str, Any], schema: pa.Schema) -> pa.RecordBatch:
    n = len(next(iter(columns.values())))
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(n, field.type) for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
