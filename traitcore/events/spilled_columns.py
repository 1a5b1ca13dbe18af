"""Ids and times of rows that go to disk as they are read; little of a column is kept, whatever the log's size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import timestamps
from .buckets import TextIds
from .columns import Column, texts_of_integers
from .id_coder import IdCoder
from .id_text import NULL_WORDS, as_integer, is_canonical
from .ids import hashable_ids
from .time_column import TimeColumn

_POWERS = 10 ** np.arange(1, 19, dtype=np.int64)


class SpilledIds(IdCoder):
    """Ids of customers (or sessions): too many to hold. `last` are the ids of the block coded last.

    They are integers as long as all are written as such; then `last` holds them. At the first that isn't, `on_texts`
    is called, which turns to texts what is on disk; from then on `last` holds numbers of the texts of `window`, which
    ends with each `take_window`.
    """

    def __init__(self, wanted: str, nulls: frozenset[str], on_texts: Callable[[], None]) -> None:
        super().__init__(wanted, nulls)
        self.form = ""  # "integers" or "texts": what is on disk and in the window
        self.mixed = False  # were there integers on disk before texts came?
        self.last: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.words: dict[str, int] = {}  # rows of ids that elsewhere mean "no value", by id
        self.first_stray: tuple[str, Any, int] | None = None  # the first id that is no integer, its source and row
        self._on_texts = on_texts
        self._window = IdCoder("str", nulls)

    @property
    def guesses(self) -> bool:
        """Are texts to be integers, if all can be?"""
        return self.wanted in ("guess", "int")

    def code(self, column: Column) -> NDArray[np.int32]:
        """-1 where there is no id; other numbers say nothing but to `invalid` and `nested`."""
        column = self._as_before(column)
        self.kind = column.kind
        if column.kind == "integers":
            return self._keep_integers(column.values, column.valid)
        if self.guesses and self.form != "texts" and column.kind == "spans" and not self.nulls:
            plain = _canonical_integers(column)
            if plain is not None:
                return self._keep_integers(*plain)
        return self._code_texts(column)

    def _as_before(self, column: Column) -> Column:
        """The column in the form of those before it (see IdCoder)."""
        self._numbers = self._numbers or column.numbers
        if column.numbers and self.kind == "integers":
            self.kind = "texts"
        if self.kind == "texts" and column.kind == "integers":
            return texts_of_integers(column)
        return column.as_spans() if self.kind == "spans" else column

    def _keep_integers(self, values: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.int32]:
        self.form = "integers"
        self.last = values.astype(np.int64, copy=False)
        return np.zeros(len(values), dtype=np.int32) if valid is None else valid.astype(np.int32) - np.int32(1)

    def _code_texts(self, column: Column) -> NDArray[np.int32]:
        self._window.flat = self.flat
        codes = self._window.code(column)
        if self.form != "texts":
            texts = self.window_texts()
            known = [one for code, one in enumerate(texts) if code not in self._window._null_codes]
            if self.guesses and all(map(is_canonical, known)):
                numbers = np.array([int(one) if is_canonical(one) else 0 for one in texts] or [0], dtype=np.int64)
                self._window = IdCoder("str", self.nulls)
                return self._keep_integers(numbers[codes], codes >= 0)
            if self.form == "integers":
                self.mixed = True
                self._on_texts()
            self.form = "texts"
        self.invalid, self.nested = self._window.invalid, self._window.nested
        self.last = codes.astype(np.int64)
        return codes

    def window_texts(self) -> list[str]:
        """The texts that `last` numbers."""
        return self._window._spans.texts if self._window.kind == "spans" else list(self._window._texts)

    def take_window(self, codes: NDArray[np.int64], place_of: Callable[[int], tuple[Any, int]]) -> TextIds:
        """The texts that rows since the last call number, which ends the window. codes : those of the rows kept."""
        texts = self.window_texts()
        for code, one in enumerate(texts):
            if one in NULL_WORDS and (n := int(np.count_nonzero(codes == code))):
                self.words[one] = self.words.get(one, 0) + n
        if self.guesses and self.first_stray is None:
            for code in np.unique(codes).tolist():
                if as_integer(texts[code]) is None:
                    self.first_stray = (texts[code], *place_of(int(np.argmax(codes == code))))
                    break
        self._window = IdCoder("str", self.nulls)
        self.invalid, self.nested = set(), set()
        return TextIds.of(texts)

    def hashes(self, ids: TextIds) -> NDArray[np.uint64]:
        """Hash of each id that is a text. Where integers went before, a text that is one has the integer's."""
        texts = ids.texts()
        found = hashable_ids(np.array(texts, dtype=object)).copy()
        if self.mixed:
            for k, one in enumerate(texts):
                if is_canonical(one):
                    found[k] = np.int64(int(one)).view(np.uint64)
        return found


def _canonical_integers(column: Column) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    """(integers, where there is one) of texts that all are as str() writes an int64, or empty; else None."""
    values, status = timestamps.parse_numbers(column.buffer, column.values, column.stops, ".", plain=True)
    if values.dtype.kind != "i" or (status == timestamps.WRONG).any():
        return None
    there = status == timestamps.FINE
    values = np.where(there, values, 0)
    if (values == np.iinfo(np.int64).min).any():
        return None
    digits = 1 + np.searchsorted(_POWERS, np.abs(values), side="right") + (values < 0)
    return (values, there) if ((column.stops - column.values)[there] == digits[there]).all() else None


class ReadAgain(Exception):
    """The times are other than their beginning looked like: the log has to be read once more, by what is known now."""

    def __init__(self, numbers: bool, unit: str | None) -> None:
        super().__init__()
        self.numbers, self.unit = numbers, unit


class SpilledTimes(TimeColumn):
    """Times that become microseconds at once. What numbers and texts mean is decided on the first rows, or was before
    (`known`: whether most are numbers, and their unit), and confirmed at the end."""

    def __init__(self, *args: Any, known: ReadAgain | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.known = known
        self.decided: tuple[bool, str | None] | None = None if known is None else (known.numbers, known.unit)
        self.last: tuple[NDArray[Any], Any] = (np.zeros(0), True)
        self._odd: dict[str, NDArray[Any]] = {}  # the first number that each unit doesn't fit
        self._misfits = 0

    def keep(self, values: NDArray[Any], times: NDArray[np.bool_] | bool, rows: NDArray[np.bool_] | None) -> None:
        super().keep(values, times, rows)
        values, times = self.last = self._parts.pop()
        numbers = values[~np.broadcast_to(np.asarray(times), values.shape)]
        for unit in timestamps.UNITS:
            if unit not in self._odd and len(numbers):
                low, stop = timestamps.unit_span(unit, True)
                odd = numbers[(numbers < low) | (numbers >= stop)]
                if len(odd):
                    self._odd[unit] = odd[:1]

    def misfits(self, values: NDArray[Any], times: NDArray[np.bool_] | bool) -> list[tuple[NDArray[np.bool_], str]]:
        """Rows of a block that don't fit most of the others, with the reason, where it is known what these are."""
        if self.known is None:
            return []
        of_time = np.broadcast_to(np.asarray(times), values.shape)
        faults: list[tuple[NDArray[np.int64], str]] = []
        self._us(values, of_time, *self.decided or (False, None), faults)
        return [(_mask(rows, len(values)), reason) for rows, reason in faults]

    def microseconds(self, parts: list[tuple[NDArray[Any], Any]]) -> NDArray[np.int64]:
        """Blocks kept, as microseconds."""
        if self.decided is None:
            self.decided = self._majority()
        faults: list[tuple[NDArray[np.int64], str]] = []
        us = [self._us(values, np.broadcast_to(np.asarray(times), values.shape), *self.decided, faults)
              for values, times in parts]
        self._misfits += len(faults)
        return np.concatenate([np.zeros(0, dtype=np.int64), *us])

    def _us(
        self, values: NDArray[Any], of_time: NDArray[np.bool_], numbers: bool, unit: str | None,
        faults: list[tuple[NDArray[np.int64], str]],
    ) -> NDArray[np.int64]:
        if (of_time == numbers).any():
            other, most = ("times", "numbers") if numbers else ("numbers", "times")
            faults.append((np.flatnonzero(of_time == numbers),
                           f"column {self.name!r} holds {other}, where most rows hold {most}"))
        if not numbers:
            return values.astype(np.int64, copy=False)
        if unit is None:  # not to be said yet; the log will be read again
            return np.zeros(len(values), dtype=np.int64)
        self.unit = unit
        return self._to_us(values, of_time, 0, faults)

    def _majority(self) -> tuple[bool, str | None]:
        """(are most of the rows so far numbers, their unit or None: it can't be told)."""
        if self._n_numbers <= self._n_times:
            return False, None
        best = int(np.argmax(self._plausible))
        sure = 2 * self._plausible[best] >= self._n_numbers
        return True, self.given or (timestamps.UNITS[best] if sure else None)

    def settle(self) -> None:
        """Set `unit`. ReadAgain where the end contradicts the beginning; InputError where no unit fits most numbers."""
        numbers, unit = self._majority()
        if numbers and unit is None:
            best = timestamps.UNITS[int(np.argmax(self._plausible))]
            self._parts = [(self._odd[best], False)]
            unit = self._detect()
        if self.known is None and self.decided is not None and ((numbers, unit) != self.decided or self._misfits):
            raise ReadAgain(numbers, unit)
        if self.known is not None:
            numbers, unit = self.known.numbers, self.known.unit
        self.unit = unit if numbers else (self.form or ("iso" if self._texts else None)) if self._n_times else None


def _mask(rows: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    found = np.zeros(n, dtype=np.bool_)
    found[rows] = True
    return found
