"""Tables for other systems: Parquet, word2vec's format, NumPy; and tables from word2vec files and gensim models.

Every file is written beside its place and renamed into it, so a reader never sees half of one.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, parameter_message
from .._files import whole_file
from .._validate import check_bool
from .table import EmbeddingTable

_BLANK = re.compile(r"\s")
_MAX_TEXT = 1 << 30
_GROUP_ROWS, _GROUP_BYTES = 1 << 16, 32 << 20


def write_word2vec(table: EmbeddingTable, path: str | os.PathLike[str], *, context: bool = False) -> None:
    """word2vec's text format, as gensim's `load_word2vec_format` reads it: "n d", then an id and d numbers a line.

    Nine digits, so that float32 comes back to the bit. The format has no way to quote: an empty id, or one with white
    space, is a ValueError. `context` writes the context vectors in place of the vectors.
    """
    side = _side(table, context, "write_word2vec")
    names = [str(one) for one in table.ids.tolist()]
    odd = next((one for one in names if not one or _BLANK.search(one)), None)
    if odd is not None:
        rule = "a table whose ids are not empty and have no white space, which the format can't hold"
        raise ValueError(parameter_message("table", "write_word2vec", rule, odd))
    line = "%s" + " %.9g" * side.shape[1] + "\n"
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{len(names)} {side.shape[1]}\n")
        for start in range(0, len(names), 4096):
            block = side[start : start + 4096].tolist()
            file.writelines(line % (name, *row) for name, row in zip(names[start:], block))


def read_word2vec(path: str | os.PathLike[str], *, binary: bool = False) -> EmbeddingTable:
    """A table from a word2vec file, text or binary; ids are strings.

    Raises
    ------
    InputError : what is wrong, with its line (text) or row (binary). Sizes are compared with the file before anything
        is allocated.
    """
    check_bool("binary", "read_word2vec", binary)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.readline(256).split()
        if len(head) != 2 or not all(part.isdigit() and len(part) < 19 for part in head):
            raise InputError(f"{path}, line 1: expected the number of rows and of dimensions.")
        n, d = int(head[0]), int(head[1])
        if n * (4 * d + 2 if binary else 2 * d + 1) > size:
            raise InputError(f"{path}, line 1: {n} rows of {d} numbers don't fit into {size} bytes.")
        vectors = np.empty((n, d), dtype=np.float32)
        ids = _read_binary(file, path, vectors) if binary else _read_text(file, path, vectors)
        if file.read(1).strip():
            raise InputError(f"{path}: more follows after the {n} rows that line 1 announces.")
    try:
        return EmbeddingTable(ids, vectors, metadata={"source": "word2vec"})
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _read_text(file: Any, path: Any, vectors: NDArray[np.float32]) -> list[str]:
    n, d = vectors.shape
    ids = []
    for row in range(n):
        parts = file.readline().rstrip(b"\r\n").rstrip(b" ").split(b" ")
        if len(parts) != d + 1:
            raise InputError(f"{path}, line {row + 2}: expected an id and {d} numbers, found {len(parts)} fields.")
        try:
            ids.append(parts[0].decode("utf-8"))
            vectors[row] = [float(part) for part in parts[1:]]
        except ValueError as error:
            raise InputError(f"{path}, line {row + 2}: {error}.") from error
    return ids


def _read_binary(file: Any, path: Any, vectors: NDArray[np.float32]) -> list[str]:
    n, d = vectors.shape
    ids = []
    for row in range(n):
        name = bytearray()
        while (byte := file.read(1)) != b" ":
            if not byte or len(name) > 1 << 20:
                raise InputError(f"{path}, row {row + 1}: no blank ends its id.")
            name += byte if byte != b"\n" or name else b""  # some writers end a row with a newline
        raw = file.read(4 * d)
        if len(raw) != 4 * d:
            raise InputError(f"{path}, row {row + 1}: the file ends within its numbers.")
        vectors[row] = np.frombuffer(raw, dtype="<f4")
        try:
            ids.append(name.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}, row {row + 1}: its id is not UTF-8.") from error
    tail = file.read(1)
    if tail not in (b"", b"\n"):
        raise InputError(f"{path}: more follows after the {n} rows that line 1 announces.")
    return ids


def from_gensim(model: Any) -> EmbeddingTable:
    """A table from gensim's `KeyedVectors`, or from `Word2Vec` (then with context vectors, where it has them).

    Keys become string ids in their order; counts, where known, `arrays["counts"]`. gensim itself is not imported.
    """
    keyed = getattr(model, "wv", model)
    if not hasattr(keyed, "index_to_key") or not hasattr(keyed, "vectors"):
        rule = "a gensim KeyedVectors or Word2Vec (with index_to_key and vectors)"
        raise TypeError(parameter_message("model", "from_gensim", rule, type(model)))
    keys = [str(key) for key in keyed.index_to_key]
    counts = getattr(keyed, "expandos", {}).get("count")
    context = getattr(model, "syn1neg", None)
    return EmbeddingTable(
        keys,
        np.array(keyed.vectors, dtype=np.float32),
        context_vectors=None if context is None else np.array(context, dtype=np.float32),
        arrays=None if counts is None else {"counts": np.array(counts, dtype=np.int64)},
        metadata={"source": "gensim"},
    )


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
            raise ValueError(parameter_message("table", "write_numpy", rule, odd or f"an id of {width} characters"))
        ids = ids.astype(f"U{max(width, 1)}")
    arrays: dict[str, Any] = {"ids": ids, "vectors": table.vectors}
    if table.context_vectors is not None:
        arrays["context_vectors"] = table.context_vectors
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def write_parquet(table: EmbeddingTable, path: str | os.PathLike[str], *, version: str | None = None) -> None:
    """Parquet with columns id, version, vector (and context_vector), through the extra `io` (pyarrow).

    A vector is a fixed-size list of d float32, the type that Arrow readers get back; an id int64 or a string.
    `version` defaults to the table's own, "" where it has none. Written in row groups of at most 65,536 rows and
    32 MiB of vectors each. ImportError without pyarrow, ValueError for vectors of 0 dimensions.
    """
    try:
        pa, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError("Writing Parquet needs pyarrow: pip install 'traitcore[io]'.") from error
    n, d = table.vectors.shape
    if not d:
        rule = "a table of at least one dimension: a Parquet list can't be of none"
        raise ValueError(parameter_message("table", "write_parquet", rule, table))
    label = pa.scalar(version if version is not None else table.version or "", pa.string())
    columns = {"id": _arrow_ids(pa, table), "vector": _fixed_size_lists(pa, table.vectors)}
    if table.context_vectors is not None:
        columns["context_vector"] = _fixed_size_lists(pa, table.context_vectors)
    types = {"id": columns["id"].type, "version": pa.string()} | {name: c.type for name, c in columns.items()}
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])
    step = max(1, min(_GROUP_ROWS, _GROUP_BYTES // (4 * d)))
    # Only the version repeats: a dictionary of distinct ids or numbers is built to be thrown away.
    with (
        whole_file(path) as temporary,
        parquet.ParquetWriter(os.fspath(temporary), schema, use_dictionary=["version"]) as writer,
    ):
        for start in range(0, n, step):
            part = {name: column.slice(start, step) for name, column in columns.items()}
            part["version"] = pa.repeat(label, len(part["id"]))
            writer.write_batch(pa.record_batch([part[name] for name in schema.names], schema=schema))


def _fixed_size_lists(pa: Any, vectors: NDArray[np.float32]) -> Any:
    """Rows as an Arrow array over the same memory."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def _arrow_ids(pa: Any, table: EmbeddingTable) -> Any:
    """Ids as an Arrow array over the same memory: int64, or large_utf8, which is how strings lie there already."""
    ids = table._ids
    if ids.values is not None:
        return pa.array(ids.values)
    assert ids.offsets is not None
    assert ids.data is not None
    return pa.LargeStringArray.from_buffers(len(ids), pa.py_buffer(ids.offsets), pa.py_buffer(ids.data))


def _side(table: EmbeddingTable, context: bool, owner: str) -> NDArray[np.float32]:
    if not check_bool("context", owner, context):
        return table.vectors
    if table.context_vectors is None:
        raise ValueError(parameter_message("context", owner, "False: this table has no context vectors", context))
    return table.context_vectors
