"""Tables from and to word2vec's formats, GloVe's text files and gensim's objects.

A file is written under a temporary name and renamed, so a reader never sees an incomplete one.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._files import whole_file
from .._validate import Checks
from .table import EmbeddingTable

_BLANK = re.compile(r"\s")
_GZIP = b"\x1f\x8b"
_INFLATED = 1032  # bytes that one byte of a gzip file can stand for, at most
_LONGEST_ID = 1 << 20
_LONGEST_HEAD = 256
_ROWS = 4096


def write_word2vec(
    table: EmbeddingTable,
    path: str | os.PathLike[str],
    *,
    binary: bool = False,
    header: bool = True,
    context: bool = False,
) -> None:
    """Write word2vec's format, as gensim's `load_word2vec_format` reads it; gzipped where `path` ends in ".gz".

    Text is a line "n d", then on each line an id and d numbers of nine digits, which restore float32 exactly. Ids that
    are ints are written in digits.

    Parameters
    ----------
    binary : "n d" in text, then each id, a space, and d little-endian float32.
    header : False leaves out "n d", as GloVe's text files do; for text only.
    context : write the context vectors in place of the vectors.

    Raises
    ------
    ValueError, TypeError : an id that is empty or has white space, which the format can't quote; no context vectors.

    See Also
    --------
    read_word2vec : reads it back. from_gensim : a table from gensim's objects.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import traitcore as tc
    >>> path = Path(tempfile.mkdtemp(), "vectors.txt")
    >>> tc.write_word2vec(tc.EmbeddingTable(["cup", "jug"], [[1.0, 0.5], [0.25, 2.0]]), path)
    >>> print(path.read_text(), end="")
    2 2
    cup 1 0.5
    jug 0.25 2
    """
    check = Checks("write_word2vec")
    if not isinstance(table, EmbeddingTable):
        raise check.type_error("table", "an EmbeddingTable", table)
    _check_form(check, binary, header)
    side = _side(table, context, check)
    names = [str(one) for one in table.ids.tolist()]
    odd = next((one for one in names if not one or _BLANK.search(one)), None)
    if odd is not None:
        rule = "a table whose ids are not empty and have no white space, which the format can't hold"
        raise check.value_error("table", rule, odd)
    if not header and side.shape[1] == 0:
        raise check.value_error("header", "True for a table of no dimensions", header)
    line = "%s" + " %.9g" * side.shape[1] + "\n"
    with whole_file(path) as temporary, _created(temporary, zipped=os.fspath(path).endswith(".gz")) as file:
        if header:
            file.write(f"{len(names)} {side.shape[1]}\n".encode("ascii"))
        for start in range(0, len(names), _ROWS):
            block, ids = side[start : start + _ROWS], names[start : start + _ROWS]
            if binary:
                little = block.astype("<f4")
                file.write(b"".join(b"%s %s\n" % (one.encode("utf-8"), row.tobytes()) for one, row in zip(ids, little)))
            else:
                file.write("".join(line % (one, *row) for one, row in zip(ids, block.tolist())).encode("utf-8"))


def read_word2vec(
    path: str | os.PathLike[str], *, binary: bool = False, header: bool = True, limit: int | None = None
) -> EmbeddingTable:
    """A table from a word2vec file, text or binary, or from a text file of GloVe; ids are strings.

    Parameters
    ----------
    path : the file; gzip is recognised by content, whatever the name.
    binary : word2vec's binary form. header : False for a text file without the line "n d", as GloVe's are.
    limit : read only the first `limit` rows; None reads all.

    Raises
    ------
    InputError : with its line (text) or row (binary): a wrong number of fields (e.g. an id with spaces), an id that
        repeats, is empty or isn't UTF-8, a number that isn't finite as float32. The sizes in the header are compared
        with the file's before anything is allocated.

    See Also
    --------
    write_word2vec : writes such files. from_gensim : a table from gensim's objects.

    Examples
    --------
    >>> import tempfile
    >>> import traitcore as tc
    >>> path = tempfile.mkdtemp() + "/vectors.txt.gz"
    >>> tc.write_word2vec(tc.EmbeddingTable(["cup", "jug"], [[1.0, 0.5], [0.25, 2.0]]), path, header=False)
    >>> tc.read_word2vec(path, header=False, limit=1)["cup"].tolist()
    [1.0, 0.5]
    """
    _check_form(Checks("read_word2vec"), binary, header)
    most = None if limit is None else Checks("read_word2vec").integer("limit", limit, 1)
    try:
        with _opened(path) as (file, size), np.errstate(over="ignore"):  # `table` finds numbers beyond float32
            rows = _Rows(path, line=None if binary else 1 + header)
            n = _read_head(file, path, size, binary, rows) if header else None
            wanted = n if most is None else most if n is None else min(n, most)
            if n is not None and wanted is not None:
                rows.reserve(wanted)
            read = _binary_row if binary else _text_row
            while (wanted is None or len(rows.ids) < wanted) and read(file, rows, optional=n is None):
                pass
            if wanted == n and any(chunk.strip() for chunk in iter(lambda: file.read(1 << 16), b"")):
                raise InputError(f"{path}: more follows after the {n} rows of line 1.")
            return rows.table()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} can't be decompressed: {error}.") from error


class _Rows:
    """Ids and vectors as they are read, each checked, with its line or row for the errors."""

    def __init__(self, path: Any, *, line: int | None) -> None:
        self.path, self.line, self.d = path, line, -1
        self.ids: list[str] = []
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._row_of: dict[str, int] = {}

    def reserve(self, n: int) -> None:
        read = self.vectors()
        self._vectors = np.zeros((n, self.d), dtype=np.float32)
        self._vectors[: len(read)] = read

    def vectors(self) -> NDArray[np.float32]:
        """The rows read so far."""
        read = self._vectors[: len(self.ids)].reshape(len(self.ids), max(self.d, 0))
        return read if len(read) == len(self._vectors) else read.copy()

    def place(self, row: int | None = None) -> str:
        row = len(self.ids) if row is None else row
        return f"{self.path}, row {row + 1}" if self.line is None else f"{self.path}, line {row + self.line}"

    def add(self, name: bytes, numbers: Any) -> None:
        row = len(self.ids)
        if row == len(self._vectors):
            self.reserve(max(_ROWS, 2 * row))
        try:
            one = name.decode("utf-8")
            self._vectors[row] = numbers if self.line is None else [float(part) for part in numbers]
        except UnicodeDecodeError as error:
            raise InputError(f"{self.place()}: its id is not UTF-8 ({name[:40]!r}).") from error
        except ValueError as error:
            raise InputError(f"{self.place()}: {error}.") from error
        if not one:
            raise InputError(f"{self.place()}: its id is empty.")
        first = self._row_of.setdefault(one, row)
        if first != row:
            raise InputError(f"{self.place()}: the id {one!r} is there twice, first at {self.place(first)}.")
        self.ids.append(one)

    def table(self) -> EmbeddingTable:
        vectors = self.vectors()
        if not np.isfinite(vectors.sum(dtype=np.float64)):
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            if len(bad):
                row = int(bad[0])
                raise InputError(f"{self.place(row)}: the vector of {self.ids[row]!r} is not finite as float32.")
        return EmbeddingTable(self.ids, vectors, metadata={"source": "word2vec"})


def _read_head(file: BinaryIO, path: Any, size: int, binary: bool, rows: _Rows) -> int:
    """The number of rows by line 1; InputError where the file is too small for them."""
    head = file.readline(_LONGEST_HEAD).split()
    if len(head) != 2 or not all(part.isdigit() and len(part) < 19 for part in head):
        hint = "" if binary else " (a file without them, as GloVe's are, is read with header=False)"
        raise InputError(f"{path}, line 1: expected the number of rows and of dimensions{hint}.")
    n, d = int(head[0]), int(head[1])
    if n * (4 * d + 2 if binary else 2 * d + 1) > size:
        raise InputError(f"{path}, line 1: {n} rows of {d} numbers don't fit into {size} bytes.")
    rows.d = d
    return n


def _text_row(file: BinaryIO, rows: _Rows, *, optional: bool) -> bool:
    raw = file.readline()
    if not raw and optional:
        return False
    parts = raw.rstrip(b"\r\n").rstrip(b" ").split(b" ")
    if rows.d < 0:  # no header: the first line says how many numbers there are
        if len(parts) < 2:
            raise InputError(f"{rows.place()}: expected an id and numbers, separated by spaces.")
        rows.d = len(parts) - 1
    if len(parts) != rows.d + 1:
        hint = ", as from an id with a space" if len(parts) > rows.d + 1 else ""
        raise InputError(f"{rows.place()}: expected an id and {rows.d} numbers, found {len(parts)} fields{hint}.")
    rows.add(parts[0], parts[1:])
    return True


def _binary_row(file: BinaryIO, rows: _Rows, *, optional: bool) -> bool:
    name = bytearray()
    while (byte := file.read(1)) != b" ":
        if not byte or len(name) > _LONGEST_ID:
            raise InputError(f"{rows.place()}: no space ends its id.")
        name += byte if byte != b"\n" or name else b""  # some writers end a row with a newline
    raw = file.read(4 * rows.d)
    if len(raw) != 4 * rows.d:
        raise InputError(f"{rows.place()}: the file ends within its numbers.")
    rows.add(bytes(name), np.frombuffer(raw, dtype="<f4"))
    return True


def from_gensim(model: Any) -> EmbeddingTable:
    """A table from gensim's `KeyedVectors`, or from `Word2Vec` (then with context vectors, where it has them).

    Keys, all strings or all ints, become the ids in their order; known counts become `arrays["counts"]`. gensim itself
    is not imported.

    Raises
    ------
    TypeError : another object.

    See Also
    --------
    read_word2vec : reads what gensim's `save_word2vec_format` writes.

    Examples
    --------
    >>> import traitcore as tc
    >>> from gensim.models import KeyedVectors
    >>> vectors = KeyedVectors(2)
    >>> vectors.add_vectors(["cup", "mug"], [[1.0, 0.0], [0.6, 0.8]])
    >>> tc.from_gensim(vectors)
    EmbeddingTable(2 string ids, d=2)
    """
    keyed = getattr(model, "wv", model)
    if not hasattr(keyed, "index_to_key") or not hasattr(keyed, "vectors"):
        rule = "a gensim KeyedVectors or Word2Vec (with index_to_key and vectors)"
        raise Checks("from_gensim").type_error("model", rule, type(model))
    counts = getattr(keyed, "expandos", {}).get("count")
    context = getattr(model, "syn1neg", None)
    return EmbeddingTable(
        list(keyed.index_to_key),
        np.array(keyed.vectors, dtype=np.float32),
        context_vectors=None if context is None else np.array(context, dtype=np.float32),
        arrays=None if counts is None else {"counts": np.array(counts, dtype=np.int64)},
        metadata={"source": "gensim"},
    )


def _check_form(check: Checks, binary: bool, header: bool) -> None:
    check.boolean("binary", binary)
    if not check.boolean("header", header) and binary:
        raise check.value_error("header", "True for the binary form, which needs its sizes", header)


def _side(table: EmbeddingTable, context: bool, check: Checks) -> NDArray[np.float32]:
    if not check.boolean("context", context):
        return table.vectors
    if table.context_vectors is None:
        raise check.value_error("context", "False: this table has no context vectors", context)
    return table.context_vectors


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """A file to read, decompressed if it is gzip, and an upper bound of its size."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.peek(2)[:2] != _GZIP:
            yield file, size
            return
        with gzip.open(file) as unpacked:
            yield unpacked, size * _INFLATED  # type: ignore[misc]


@contextlib.contextmanager
def _created(path: Any, *, zipped: bool) -> Iterator[BinaryIO]:
    with open(path, "wb") as file:
        if not zipped:
            yield file
            return
        # No name and no time inside: the same table gives the same bytes.
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            yield packed  # type: ignore[misc]
