"""Column: a column of a log in one of five plain forms, whatever it was read from.

integers  values int64 (or another int dtype)                  ids, epoch timestamps
floats    values float64                                       epoch timestamps with fractions; ids if all are whole
times     values int64 + unit                                  datetimes
texts     codes int32 into a list of distinct str, -1 null     Python strings
spans     starts (values) and stops in a buffer of UTF-8       fields of a CSV, Arrow strings; an empty span is null
A null is False in `valid`; None: no nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError, MissingColumnError
from .ids import TextCoder, code_integers, encode_strings, recoded, sort_ids, spans_of_strings, text_array

_NO_BYTES = np.zeros(0, dtype=np.uint8)
_NO_STOPS = np.zeros(0, dtype=np.int64)


@dataclass
class Column:
    """`kind` is one of the five; see the module. `numbers`: the texts are integers, some beyond int64.

    `taken_from`: where the spans are those of another column, taken by row, that column and the rows; -1 where null.
    """

    kind: str
    values: NDArray[Any]
    valid: NDArray[np.bool_] | None = None
    unit: str = ""
    texts: list[str] = field(default_factory=list)
    buffer: NDArray[np.uint8] = field(default_factory=lambda: _NO_BYTES)
    stops: NDArray[np.int64] = field(default_factory=lambda: _NO_STOPS)
    numbers: bool = False
    taken_from: tuple[Column, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def text(self, row: int) -> str:
        """The value of a row as text; "" for null."""
        if self.valid is not None and not self.valid[row]:
            return ""
        value = self.values[row]
        if self.kind == "spans":
            return self.buffer[value : self.stops[row]].tobytes().decode("utf-8", "backslashreplace")
        if self.kind == "texts":
            return self.texts[value] if value >= 0 else ""
        if self.kind == "times":
            value = self.values[row : row + 1].view(f"datetime64[{self.unit}]")[0]
        return str(value)

    def show(self, row: int) -> str:
        """The value of a row, for an error message."""
        text = self.text(row)
        shown = repr(text) if self.kind in ("spans", "texts") else text or "null"
        return shown if len(shown) <= 60 else shown[:57] + "..."

    def at(self, rows: NDArray[np.int64], valid: NDArray[np.bool_] | None) -> Column:
        """The values of the given rows, null where not valid."""
        inner = None if self.valid is None else self.valid[rows]
        both = inner if valid is None else valid if inner is None else inner & valid
        values, stops, taken_from = self.values[rows], self.stops, None
        if self.kind == "spans":
            stops = stops[rows] if both is None else np.where(both, stops[rows], values)
            taken_from = self, rows if both is None else np.where(both, rows, -1)
        elif self.kind == "texts" and both is not None:
            values = np.where(both, values, np.int32(-1))
        return Column(self.kind, values, both, self.unit, self.texts, self.buffer, stops, taken_from=taken_from)

    def distinct(self) -> tuple[Column, NDArray[np.int64] | NDArray[np.int32] | None]:
        """(spans, each row's place among them, -1 where null) of texts; None: they are the rows. Equal texts may recur.

        A column of texts that repeat has fewer of them than rows, and all of them are in use.
        """
        if self.kind == "texts":
            values: NDArray[Any] = self.values
            each = Column("texts", np.arange(len(self.texts), dtype=np.int32), texts=self.texts)
        elif self.taken_from is not None and 2 * len(self.taken_from[0]) < len(self):
            each, values = self.taken_from
        else:
            return self.as_spans(), None
        used = np.zeros(len(each) + 1, dtype=np.bool_)  # the last entry is for nulls
        used[values] = True
        places = np.cumsum(used) - 1
        places[-1] = -1
        return each.as_spans().at(np.flatnonzero(used[:-1]), None), places[values]

    def owned(self) -> Column:
        """The same, with text copied from a buffer that will be released: what was taken from a column was copied."""
        if self.kind == "spans" and self.taken_from is None:
            self.buffer = self.buffer.copy()
            self.values, self.stops = self.values.copy(), self.stops.copy()
        return self

    def as_spans(self) -> Column:
        """Texts as spans; spans as they are."""
        if self.kind != "texts":
            return self
        encoded = [t.encode("utf-8", "surrogatepass") for t in self.texts]
        ends = np.zeros(len(encoded) + 2, dtype=np.int64)  # the last entry is for nulls, code -1
        np.cumsum([len(e) for e in encoded], out=ends[1:-1])
        ends[-1] = ends[-2]
        starts, stops = ends[:-1][self.values], ends[1:][self.values]
        buffer = np.frombuffer(bytearray(b"".join(encoded)), dtype=np.uint8)
        return Column("spans", starts, buffer=buffer, stops=stops)


def text_column(values: list[Any] | tuple[Any, ...], *, repeat: bool = True) -> Column:
    """strs and None as texts or, where they seldom `repeat`, as spans. TypeError for anything else."""
    if not repeat:
        with suppress(UnicodeEncodeError):  # a lone surrogate, which is shown as it was written
            buffer, ends = spans_of_strings(list(values))
            return Column("spans", ends[:-1], buffer=buffer, stops=ends[1:])
    codes, texts = encode_strings(values)
    return Column("texts", codes, texts=texts)


def null_column(n: int) -> Column:
    """n nulls."""
    nothing = np.zeros(n, dtype=np.int64)
    return Column("spans", nothing, stops=nothing)


def concatenate(name: str, parts: Sequence[Column]) -> Column:
    """Blocks of one column as one."""
    if any(part.numbers for part in parts):  # integers beyond int64 in one block make texts of them all
        parts = [texts_of_integers(part) if part.kind == "integers" else part for part in parts]
        parts = [part.as_spans() for part in parts]
    if len({part.kind for part in parts}) > 1:
        kinds = ", ".join(sorted({part.kind for part in parts}))
        raise InputError(f"Column {name!r} must hold values of one type. Got {kinds}.")
    shift = np.cumsum([0] + [len(part.buffer) for part in parts])
    first = parts[0]
    valid = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([np.ones(len(p), dtype=np.bool_) if p.valid is None else p.valid for p in parts])
    moved = [p.values + s for p, s in zip(parts, shift)] if first.kind == "spans" else [p.values for p in parts]
    return Column(
        first.kind, np.concatenate(moved), valid, first.unit, first.texts, np.concatenate([p.buffer for p in parts]),
        np.concatenate([p.stops + s for p, s in zip(parts, shift)]),
    )


def integer_column(values: NDArray[Any], valid: NDArray[np.bool_] | None) -> Column:
    """Integers of any width as a column; of texts, where one of them is beyond int64."""
    if values.dtype == np.uint64:
        if valid is not None:
            values = np.where(valid, values, 0)
        if len(values) and values.max() > np.iinfo(np.int64).max:
            return big_integer_column(values.tolist(), valid)
        values = values.astype(np.int64)
    return Column("integers", values, valid)


def big_integer_column(values: list[int], valid: NDArray[np.bool_] | None) -> Column:
    """Integers, some beyond int64, as texts: exact, where floats would merge ids that differ in their last digits."""
    codes, texts = encode_strings(list(map(str, values)))
    return Column("texts", codes if valid is None else np.where(valid, codes, np.int32(-1)), texts=texts, numbers=True)


def texts_of_integers(column: Column) -> Column:
    """Integers as texts."""
    codes, ids = code_integers(column.values, column.valid)
    return Column("texts", codes, texts=[str(i) for i in ids.tolist()], numbers=True)


def find_column(names: Sequence[str], role: str, name: str) -> int:
    """Place of the one column of this name; InputError lists the columns there are."""
    if names.count(name) == 1:
        return names.index(name)
    what = "there more than once" if name in names else "missing"
    problem = f"Column {name!r}, wanted as {role}, is {what}. There are: {', '.join(map(repr, names))}."
    raise InputError(problem) if name in names else MissingColumnError(role, problem)


def code_column(name: str, column: Column) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """(codes, -1 where null; distinct ids in rising order) of a column of ids that are all ints or all strs."""
    if column.kind == "integers":
        return code_integers(column.values, column.valid)
    if column.kind == "spans":
        coder = TextCoder()
        codes, texts = coder.code(column.buffer, column.values, column.stops), coder.texts
        if coder.invalid:
            row = int(np.argmax(np.isin(codes, list(coder.invalid))))
            raise InputError(f"Column {name!r} must be valid UTF-8. Got {column.show(row)} in row {row} instead.")
    elif column.kind == "texts":
        codes, texts = column.values, column.texts
        if "" in texts:
            codes = np.where(codes == texts.index(""), np.int32(-1), codes)
    else:
        raise InputError(f"Column {name!r} must hold ints or strs. Got {column.kind} instead.")
    rank, ids = sort_ids(text_array(texts))
    if len(ids) and ids[0] == "":
        ids, rank = ids[1:], rank - np.int32(1)
    return recoded(codes, rank), ids
