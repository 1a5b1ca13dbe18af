"""Tables as files for other systems: Parquet, CSV, NumPy (also word2vec.py, tensors.py and hub_folder.py).

Every file is written under a temporary name and renamed, so a reader never sees an incomplete one.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from .._files import csv_writer, whole_file
from .._validate import Checks
from .frames import arrow_ids, fixed_size_lists, pyarrow
from .table import EmbeddingTable

_MAX_TEXT = 1 << 30
_GROUP_ROWS, _GROUP_BYTES = 1 << 16, 32 << 20


def write_numpy(table: EmbeddingTable, path: str | os.PathLike[str]) -> None:
    """An uncompressed .npz: "ids" (int64, or fixed-width unicode), "vectors", maybe "context_vectors", no pickles.

    ValueError for strings that such an array can't hold: NUL at the end, or one that would widen the array past 1 GiB.
    """
    ids = table.ids
    if table.id_kind == "string":
        width = max((len(one) for one in ids), default=0)
        odd = next((one for one in ids if one.endswith("\0")), None)
        if odd is not None or 4 * width * len(ids) > _MAX_TEXT:
            rule = "a table whose ids fit a fixed-width unicode array (no NUL at the end, 1 GiB in all)"
            raise Checks("write_numpy").value_error("table", rule, odd or f"an id of {width} characters")
        ids = ids.astype(f"U{max(width, 1)}")
    arrays: dict[str, Any] = {"ids": ids, "vectors": table.vectors}
    if table.context_vectors is not None:
        arrays["context_vectors"] = table.context_vectors
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def write_parquet(table: EmbeddingTable, path: str | os.PathLike[str], *, version: str | None = None) -> None:
    """Parquet with columns id, version, vector (and context_vector), through the extra `io` (pyarrow).

    A vector is a fixed-size list of d float32, the type that Arrow readers get back; an id int64 or a string.
    `version` defaults to the table's own, "" where it has none. The schema's metadata is that of `to_arrow`. Written in
    row groups of at most 65,536 rows and 32 MiB of vectors each. ImportError without pyarrow, ValueError for
    vectors of 0 dimensions.
    """
    pa, parquet = pyarrow("Writing Parquet"), pyarrow("Writing Parquet", "pyarrow.parquet")
    n, d = table.vectors.shape
    label = pa.scalar(version if version is not None else table.version or "", pa.string())
    columns = {"id": arrow_ids(pa, table._ids), "vector": fixed_size_lists(pa, table.vectors)}
    if table.context_vectors is not None:
        columns["context_vector"] = fixed_size_lists(pa, table.context_vectors)
    types = {"id": columns["id"].type, "version": pa.string()} | {name: c.type for name, c in columns.items()}
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()], table._labels())
    step = max(1, min(_GROUP_ROWS, _GROUP_BYTES // (4 * d)))
    # Dictionary encoding pays for the version only: ids and numbers are distinct.
    with (
        whole_file(path) as temporary,
        parquet.ParquetWriter(os.fspath(temporary), schema, use_dictionary=["version"]) as writer,
    ):
        for start in range(0, n, step):
            part = {name: column.slice(start, step) for name, column in columns.items()}
            part["version"] = pa.repeat(label, len(part["id"]))
            writer.write_batch(pa.record_batch([part[name] for name in schema.names], schema=schema))


def write_csv(table: EmbeddingTable, path: str | os.PathLike[str]) -> None:
    """CSV with columns id, v0, v1, ...: numbers as the shortest text that gives the same float32 again."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv_writer(file)
        writer.writerow(["id", *(f"v{i}" for i in range(table.dimension))])
        for start in range(0, len(table), 8192):
            part = slice(start, start + 8192)
            numbers = table.vectors[part].astype(str).tolist()
            writer.writerows([key, *row] for key, row in zip(table.ids[part].tolist(), numbers))


def write_npy(table: EmbeddingTable, path: str | os.PathLike[str]) -> Path:
    """The vectors as .npy, and beside it the ids by row as NAME.ids.json, whose path is returned."""
    target = Path(path)
    beside = target.with_name(f"{target.stem}.ids.json")
    with whole_file(beside) as names, whole_file(target) as temporary:
        names.write_text(json.dumps(table.ids.tolist()), encoding="utf-8")
        with open(temporary, "wb") as file:
            np.save(file, np.ascontiguousarray(table.vectors))
    return beside


def write_features(
    table: EmbeddingTable, path: str | os.PathLike[str], *, timestamp: datetime, entity: str = "customer_id"
) -> None:
    """Parquet as feature stores (Feast) take it: the entity's id, "event_timestamp", a float32 column a dimension.

    Columns are "trait_0", ... for customers with traits, else "v0", ...; `timestamp` (with a time zone) is that of all
    rows, when the features were known: for a published table, when it was published. ImportError without pyarrow.
    """
    check = Checks("write_features")
    if not isinstance(timestamp, datetime) or timestamp.tzinfo is None:
        raise check.type_error("timestamp", "a datetime with a time zone", timestamp)
    stem = "trait_" if table.metadata.get("traits") else "v"
    names = [entity, "event_timestamp", *(f"{stem}{i}" for i in range(table.dimension))]
    if not isinstance(entity, str) or not entity or names.count(entity) > 1:
        raise check.value_error("entity", "the name of a column other than those of the features", entity)
    pa, parquet = pyarrow("Writing Parquet"), pyarrow("Writing Parquet", "pyarrow.parquet")
    when = pa.repeat(pa.scalar(timestamp, pa.timestamp("us", tz="UTC")), len(table))
    columns = [arrow_ids(pa, table._ids), when, *(pa.array(np.ascontiguousarray(c)) for c in table.vectors.T)]
    schema = pa.schema([pa.field(n, c.type, nullable=False) for n, c in zip(names, columns)], table._labels())
    with whole_file(path) as temporary:
        parquet.write_table(pa.Table.from_arrays(columns, schema=schema), os.fspath(temporary))
