"""Ids of one role become codes, block by block; at the end it is decided whether texts are integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import ids as coding
from .columns import Column, texts_of_integers
from .id_text import NULL_WORDS, as_integer, is_canonical


class IdCoder:
    """Ids of one role, coded over blocks of rows; `finish` sorts them.

    `wanted` type of ids: "int", "str", "keep" that of the column, or "guess" from how texts are written. `nulls` are
    texts that stand for no id. Where `flat` is set, a text that is a JSON object or list is none either: see `nested`.
    """

    def __init__(self, wanted: str, nulls: frozenset[str] = frozenset()) -> None:
        self.wanted, self.nulls, self.flat = wanted, nulls, False
        self.kind = ""
        self.invalid: set[int] = set()
        self.nested: set[int] = set()
        self.strays: list[tuple[str, int]] = []  # texts that alone keep a column from being integers, and their codes
        self.null_words: list[tuple[str, int]] = []  # ids that elsewhere mean "no value", and their codes
        self._null_codes: set[int] = set()
        self._looked_at, self._numbers = 0, False
        self._integers: coding.IntegerCoder | NDArray[np.int64] | None = None
        self._texts: dict[str, int] = {}
        self._spans = coding.TextCoder()

    def code(self, column: Column) -> NDArray[np.int32]:
        """Codes of a block, -1 where null (an empty string is null)."""
        column = self._alike(column)
        self.kind = column.kind
        if column.kind == "integers":
            return self._code_integers(column)
        if column.kind == "spans":
            codes = self._spans.code(column.buffer, column.values, column.stops)
            self.invalid = self._spans.invalid
            texts: Any = self._spans.texts
        else:
            codes = coding.recoded(column.values, np.array([self._code_text(t) for t in column.texts], dtype=np.int32))
            texts = list(self._texts) if self.nulls or self.flat else ()
        if self.nulls or self.flat:
            for code in range(self._looked_at, len(texts)):
                if texts[code] in self.nulls:
                    self._null_codes.add(code)
                elif self.flat and texts[code][:1] in ("{", "["):
                    self.nested.add(code)
            self._looked_at = len(texts)
        if self._null_codes:
            codes[np.isin(codes, list(self._null_codes))] = -1
        return codes

    @property
    def holds_numbers(self) -> bool:
        """Are its texts integers, some beyond int64?"""
        return self._numbers

    def text(self, code: int) -> str:
        """The id of a code, before `finish`."""
        if self.kind == "spans":
            return self._spans.texts[code]
        if self.kind == "texts":
            return list(self._texts)[code]
        assert self._integers is not None
        return str((self._integers if isinstance(self._integers, np.ndarray) else self._integers.ids())[code])

    def _alike(self, column: Column) -> Column:
        """The column in the form of those before it: integers turn to texts where some are beyond int64."""
        self._numbers = self._numbers or column.numbers
        if column.numbers and self.kind == "integers":
            known = self._integers if isinstance(self._integers, np.ndarray) else self._integers.ids()  # type: ignore[union-attr]
            self._texts = {str(one): code for code, one in enumerate(known.tolist())}
            self.kind, self._integers = "texts", None
        if self.kind == "texts" and column.kind == "integers":
            return texts_of_integers(column)
        if self.kind == "texts" and column.kind == "spans":
            known = Column("texts", np.arange(len(self._texts), dtype=np.int32), texts=list(self._texts)).as_spans()
            self._spans.code(known.buffer, known.values, known.stops)  # the same codes, for the order is the same
        return column.as_spans() if self.kind == "spans" else column

    def _code_integers(self, column: Column) -> NDArray[np.int32]:
        if self._integers is None:
            codes, self._integers = coding.code_integers(column.values, column.valid)
            return codes
        if isinstance(self._integers, np.ndarray):
            known, self._integers = self._integers, coding.IntegerCoder()
            self._integers.code(known)
        codes = np.full(len(column), -1, dtype=np.int32)
        rows = slice(None) if column.valid is None else column.valid
        codes[rows] = self._integers.code(np.ascontiguousarray(column.values[rows], dtype=np.int64))
        return codes

    def _code_text(self, text: str) -> int:
        if not text:
            return -1
        code = self._texts.setdefault(text, len(self._texts))
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:  # a lone surrogate, which no file can hold
                self.invalid.add(code)
        return code

    def finish(self, codes: NDArray[np.int32], dropped: bool) -> NDArray[Any]:
        """Distinct ids in rising order; codes are changed in place to point at them, as strays' and null_words' are."""
        ids: NDArray[Any]
        if self.kind in ("spans", "texts"):
            texts = self._spans.texts if self.kind == "spans" else list(self._texts)
            used = dropped or bool(self._null_codes)
            ids = self._typed(texts, coding.drop_unused(codes, np.arange(len(texts))) if used else None)
        elif isinstance(self._integers, np.ndarray):
            return coding.drop_unused(codes, self._integers) if dropped else self._integers
        else:
            ids = np.zeros(0, dtype=np.int64) if self._integers is None else self._integers.ids().copy()
            ids = coding.drop_unused(codes, ids) if dropped else ids
        rank, ids = coding.sort_ids(ids)
        coding.remap_codes(codes, rank)
        self.strays = [(text, int(rank[code])) for text, code in self.strays]
        self.null_words = [(text, int(rank[code])) for text, code in self.null_words]
        return ids

    def _typed(self, texts: list[str], used: NDArray[np.int64] | None) -> NDArray[Any]:
        """Texts as int64 if all are written as integers (and strs are not asked for), else as str objects."""
        if used is not None:
            texts = [texts[i] for i in used.tolist()]
        if self.wanted in ("int", "guess"):
            if all(map(is_canonical, texts)):
                return np.array([int(t) for t in texts], dtype=np.int64)
            few = max(1, len(texts) // 100)
            integers, odd = [], []
            for code, text in enumerate(texts):
                integers.append(as_integer(text))
                if integers[-1] is None:
                    odd.append(code)
                    if len(odd) > few:  # it is a column of texts
                        break
            if not odd and len(set(integers)) == len(integers):
                return np.array(integers, dtype=np.int64)
            if len(texts) >= 10 and 1 <= len(odd) <= few:
                self.strays = [(texts[code], code) for code in odd]
        self.null_words = [(text, code) for code, text in enumerate(texts) if text in NULL_WORDS]
        return coding.text_array(texts)
