"""On the driver: Spark itself, the columns it is given, and results and faults brought back from its workers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._errors import InputError
from .._validate import Checks
from .wire import REPORT, ddl, sum_reports, task

LEAST_PYSPARK = (3, 5)
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
NUMBERS = (*_INTEGERS, "float", "double")
_ADVICE = "pip install 'traitcore[spark]'"


def functions(frame: Any) -> Any:
    """pyspark.sql.functions for a DataFrame of classic Spark or of Spark Connect."""
    if "connect" in type(frame).__module__:
        from pyspark.sql.connect import functions as connect

        return connect
    from pyspark.sql import functions as classic

    return classic


def as_frame(name: str, value: Any, check: Checks) -> Any:
    """A Spark DataFrame, by a pyspark and with a pyarrow that can be used."""
    try:
        import pyarrow  # noqa: F401
        import pyspark
    except ImportError as error:
        raise ImportError(f"{check} needs pyspark and pyarrow: {_ADVICE}.") from error
    found = tuple(int(part) for part in re.findall(r"\d+", pyspark.__version__)[:2])
    if found < LEAST_PYSPARK:
        least = ".".join(map(str, LEAST_PYSPARK))
        raise ImportError(f"{check} needs pyspark {least} or newer. Found {pyspark.__version__}: {_ADVICE}.")
    if not type(value).__module__.startswith("pyspark.sql") or not hasattr(value, "mapInArrow"):
        raise check.type_error(name, "a Spark DataFrame", value)
    return value


def column_types(frame: Any, wanted: Mapping[str, str]) -> dict[str, str]:
    """Spark's type of the column of each role; InputError where a column is missing or there twice."""
    there: dict[str, list[str]] = {}
    for field in frame.schema.fields:
        there.setdefault(field.name, []).append(field.dataType.simpleString())
    for role, name in wanted.items():
        if len(there.get(name, ())) != 1:
            what = "there more than once" if name in there else "missing"
            names = ", ".join(map(repr, there))
            raise InputError(f"Column {name!r}, wanted as {role}, is {what}. The DataFrame has: {names}.")
    return {role: there[name][0] for role, name in wanted.items()}


def id_type(role: str, name: str, kind: str) -> str:
    """"bigint" or "string", as ids of a column of this type are kept; InputError for any other type."""
    if kind in _INTEGERS:
        return "bigint"
    if kind == "string":
        return "string"
    raise InputError(
        f"Column {name!r}, wanted as {role}, must hold integers or strings. Got {kind}: cast it first, "
        f"such as df.withColumn({name!r}, df[{name!r}].cast('string'))."
    )


def arrow_ids(kind: str) -> Any:
    """pyarrow's type of ids that are "bigint" or "string" on Spark."""
    import pyarrow as pa

    return pa.string() if kind == "string" else pa.int64()


def user_type(frame: Any) -> Any:
    """pyarrow's type of the users of a corpus' frame."""
    return arrow_ids(dict(frame.dtypes)["user"])


def run(frame: Any, name: str, schema: Any, options: Mapping[str, Any]) -> Any:
    """The DataFrame of what a task makes of another one's rows, reports among them."""
    return frame.mapInArrow(task(name, schema, options), ddl(schema))


def data_rows(frame: Any) -> Any:
    """A task's rows without its reports."""
    return frame.where(f"{REPORT} is null").drop(REPORT)


def kept(frame: Any, path: str | None) -> Any:
    """The DataFrame, computed once however often it is read: written as Parquet, or kept by Spark without a path."""
    if path is None:
        return frame.persist()
    told(lambda: frame.write.mode("overwrite").parquet(path))
    return frame.sparkSession.read.parquet(path)


def reports(frame: Any) -> dict[str, Any]:
    """The reports of all partitions summed; the fault of a worker is raised here, as one sentence.

    Spark then forgets the frame, if it kept it: nobody gets it.
    """
    try:
        rows = told(lambda: frame.where(f"{REPORT} is not null").select(REPORT).collect())
        for row in rows:
            raise_fault(row[0])
    except BaseException:
        frame.unpersist()
        raise
    return sum_reports([row[0] for row in rows])


def raise_fault(report: str | None) -> None:
    """The error that a worker reported, if this is one."""
    found = {} if report is None else json.loads(report)
    if "fault" not in found:
        return
    kinds: dict[str, type[Exception]] = {
        "InputError": InputError, "TypeError": TypeError, "MemoryError": MemoryError, "ValueError": ValueError
    }
    if "kind" in found:
        raise kinds.get(found["kind"], ValueError)(found["fault"])
    raise RuntimeError(f"Versions must be equal everywhere: {found['fault']}. Install the same one on all workers.")


def told(action: Any) -> Any:
    """The result of an action of Spark; its failure as one sentence, with Spark's own account behind it."""
    try:
        return action()
    except Exception as error:
        sentence = _sentence(str(error))
        if sentence is None:
            raise
        raise RuntimeError(sentence) from error


def _sentence(text: str) -> str | None:
    """What a failure of Spark's means, where that is known."""
    if "PYTHON_VERSION_MISMATCH" in text or "different minor version than that in driver" in text:
        found = re.search(r"[Pp]ython in worker has different (?:minor )?version[^.]*\.?[^.]*", text)
        return f"Spark's workers run another Python than the driver: {found.group() if found else 'set PYSPARK_PYTHON'}"
    if "No module named 'pyarrow'" in text:
        return f"A Spark worker has no pyarrow: {_ADVICE} on all of them."
    if "PERSIST" in text and "SERVERLESS" in text.upper():
        return "This Spark can't keep a DataFrame in memory: name a folder it can write to, path='...'."
    lines = [line for line in text.splitlines() if re.match(r"^(\w+\.)*\w*(Error|Exception): ", line.strip())]
    if "PythonException" in text and lines:
        return f"A Spark worker failed: {lines[-1].strip()}"
    return None


def collected(frame: Any) -> Any:
    """All rows as one pyarrow.Table; None where there is none."""
    import pyarrow as pa

    packed = pa.schema([("data", pa.binary())])
    rows = told(lambda: run(frame, "pack", packed, {}).collect())
    batches: list[Any] = []
    for (data,) in rows:
        with pa.ipc.open_stream(bytes(data)) as stream:
            batches += [batch for batch in stream if batch.num_rows]
    return pa.Table.from_batches(batches) if batches else None


def streamed(frame: Any) -> Iterator[Any]:
    """The rows, two partitions of them on the driver at a time."""
    rows = told(lambda: frame.toLocalIterator(prefetchPartitions=True))
    while (row := told(lambda: next(rows, None))) is not None:
        yield row
