"""What crosses between the driver and Spark's Python workers: functions, and the reports that come back.

A worker's fault comes back as a row of its own, not as an exception: Spark would run the task three times more, and
then show a Java stack trace.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import __version__

REPORT = "report"  # the column of rows that are no data: the counts of a partition, or its fault
_DDL = {
    "int64": "bigint", "int32": "int", "int16": "smallint", "string": "string", "binary": "binary", "float": "float",
    "double": "double",
}


def ddl(schema: Any) -> str:
    """A pyarrow schema in Spark's words."""
    return ", ".join(f"{field.name} {_ddl_type(field.type)}" for field in schema)


def _ddl_type(kind: Any) -> str:
    return f"array<{_ddl_type(kind.value_type)}>" if str(kind).startswith("list") else _DDL[str(kind)]


def task(name: str, schema: Any, options: Mapping[str, Any]) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """The function for `mapInArrow` that runs the task of this name (see `tasks.py`) in a worker.

    schema : pyarrow's, of the output. Where its last column is `report`, faults come back in it; else, in frames that
    callers go on with, they are raised. The function is local, so it is pickled by value: a worker without traitcore
    can load it all the same, and say what is missing.
    """
    version, given, reports = __version__, dict(options), schema.names[-1] == REPORT

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        import json

        import pyarrow as pa

        fault = None
        try:
            import traitcore

            if traitcore.__version__ != version:
                fault = f"traitcore {version} is on the driver, {traitcore.__version__} on a worker"
        except ImportError as error:
            fault = f"traitcore {version} is on the driver, none that can be imported on a worker ({error})"
        if fault is None:
            from traitcore.spark.tasks import run_task

            yield from run_task(name, batches, given, schema)
            return
        if not reports:
            raise RuntimeError(fault)
        for _ in batches:  # Spark expects that its rows are read
            pass
        row = [pa.nulls(1, field.type) for field in schema][:-1]
        yield pa.RecordBatch.from_arrays([*row, pa.array([json.dumps({"fault": fault})])], schema=schema)

    return run


def sum_reports(texts: list[str]) -> dict[str, Any]:
    """The reports of all partitions as one: numbers are added, mappings likewise, lists joined without repeats."""
    total: dict[str, Any] = {}
    for text in texts:
        _add(total, json.loads(text))
    return total


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    for name, value in counts.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(name, {}), value)
        elif isinstance(value, list):
            total[name] = list(dict.fromkeys([*total.get(name, []), *value]))
        elif isinstance(value, str):
            total.setdefault(name, value)
        else:
            total[name] = total.get(name, 0) + value
