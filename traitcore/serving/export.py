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
    """Parquet with columns id, version, vector (and context_vector), through the extra `io` (DuckDB).

    A vector is a fixed-size list of float32 (DuckDB's FLOAT[d]; a list column to other readers, all of length d).
    `version` defaults to the table's own, "" where it has none. ImportError without DuckDB.
    """
    try:
        duckdb = importlib.import_module("duckdb")
    except ImportError as error:
        raise ImportError("Writing Parquet needs DuckDB: pip install 'traitcore[io]'.") from error
    version = version if version is not None else table.version or ""
    columns: dict[str, NDArray[Any]] = {"id": table.ids}
    chosen = ["id", "$version AS version"]
    sides = [("vector", table.vectors), ("context_vector", table.context_vectors)]
    for name, side in sides:
        if side is None:
            continue
        parts = [f"{name[0]}{j}" for j in range(side.shape[1])]
        columns |= {part: np.ascontiguousarray(side[:, j]) for j, part in enumerate(parts)}
        chosen.append(f"array_value({', '.join(parts)})::FLOAT[{side.shape[1]}] AS {name}")
    with whole_file(path) as temporary, duckdb.connect() as connection:
        connection.register("rows", columns)
        target = str(temporary).replace("'", "''")
        query = f"SELECT {', '.join(chosen)} FROM rows".replace("$version", "'" + version.replace("'", "''") + "'")
        connection.execute(f"COPY ({query}) TO '{target}' (FORMAT PARQUET)")


def _side(table: EmbeddingTable, context: bool, owner: str) -> NDArray[np.float32]:
    if not check_bool("context", owner, context):
        return table.vectors
    if table.context_vectors is None:
        raise ValueError(parameter_message("context", owner, "False: this table has no context vectors", context))
    return table.context_vectors
