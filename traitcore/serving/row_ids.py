"""RowIds: the external names of a table's rows, as int64 or as UTF-8 strings in Arrow's layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import TableError
from .._validate import Checks

_CHECK = Checks("EmbeddingTable")
_RULE = "unique ids, all of them ints that fit int64 or all of them strings"
_ASKED = 1 << 20  # ids looked up at a time: Ctrl-C is heard between
_LISTS = (list, tuple, set, frozenset, np.ndarray)


def is_id(value: object) -> bool:
    """Whether a value can be one id: a string or an int, numpy's too."""
    return isinstance(value, (str, int, np.integer)) and not isinstance(value, bool)


def several(values: Any, check: Checks, name: str) -> Any:
    """Ids as a list or a one-dimensional array. One id gives a list of one; a string is never split into letters."""
    if is_id(values):
        return [values]
    if isinstance(values, RowIds):
        return values.array()
    if not isinstance(values, np.ndarray) and hasattr(values, "__array__"):
        values = np.asarray(values)  # columns of pandas, polars, pyarrow
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise check.value_error(name, "one id, or ids in one dimension", f"shape {values.shape}")
        if np.ma.is_masked(values):
            raise check.value_error(name, "ids without masked places", values)
        return values
    if isinstance(values, (bytes, bytearray)) or not isinstance(values, Iterable):
        raise check.type_error(name, "one id, or a sequence of ids", values)
    return values if isinstance(values, (list, tuple)) else list(values)


class RowIds:
    """Distinct ids in row order. Ints and strings are different: id "1" is not id 1.

    Strings are concatenated as UTF-8 in `data` (uint8), id i at data[offsets[i]:offsets[i + 1]] (`offsets` int64, as
    in Arrow's large_utf8), so a table of a million names opens without reading them. The look-up index is built at the
    first use.
    """

    def __init__(
        self,
        values: NDArray[np.int64] | None = None,
        offsets: NDArray[np.int64] | None = None,
        data: NDArray[np.uint8] | None = None,
        source: str | None = None,
    ) -> None:
        """Unchecked; callers use `from_values`. `source` names the file in errors of a stored table."""
        self.values, self.offsets, self.data, self.source = values, offsets, data, source
        self._strings: NDArray[Any] | None = None
        self._row_of: dict[str, int] | None = None
        self._sorted: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __getstate__(self) -> tuple[Any, ...]:
        """The pickled state; the look-up index is rebuilt when it is needed."""
        return self.values, self.offsets, self.data, self.source

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        values, offsets, data = (None if part is None else frozen_view(part) for part in state[:3])
        RowIds.__init__(self, values, offsets, data, state[3])

    @classmethod
    def from_values(cls, values: Any, check: Checks = _CHECK, name: str = "ids") -> RowIds:
        """From any sequence of ints or of strings, checked and copied; ValueError where two rows share an id."""
        if isinstance(values, RowIds):
            return values
        if not isinstance(values, np.ndarray) and hasattr(values, "__array__"):
            values = np.asarray(values)  # columns of pandas, polars, pyarrow
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise check.type_error(name, _RULE, values)
        array = check.plain(name, values) if isinstance(values, np.ndarray) else None
        if array is not None and array.dtype.kind in "iu":
            return cls._of_ints(array, check, name)
        items = array.reshape(-1).tolist() if array is not None else list(values)
        if all(isinstance(v, str) for v in items):
            return cls._of_strings([str(v) for v in items], check, name)
        if all(isinstance(v, (int, np.integer)) and not isinstance(v, (bool, np.bool_)) for v in items):
            return cls._of_ints(np.array([int(v) for v in items], dtype=object), check, name)
        kind = str if isinstance(items[0], str) else (int, np.integer)
        odd = next(v for v in items if isinstance(v, (bool, np.bool_)) or not isinstance(v, kind))
        raise check.type_error(name, _RULE, odd)

    @classmethod
    def _of_ints(cls, array: NDArray[Any], check: Checks, name: str) -> RowIds:
        if array.ndim != 1:
            raise check.value_error(name, _RULE + " (one dimension)", f"shape {array.shape}")
        limits = np.iinfo(np.int64)
        if array.size and (int(array.max()) > limits.max or int(array.min()) < limits.min):
            raise check.value_error(name, _RULE, int(array.max()))
        ids = cls(values=_frozen(np.array(array, dtype=np.int64)))
        ordered, _ = ids._order()
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(twice):
            raise check.value_error(name, _RULE, f"{int(ordered[twice[0]])} twice")
        return ids

    @classmethod
    def _of_strings(cls, strings: list[str], check: Checks, name: str) -> RowIds:
        try:
            joined = "".join(strings).encode("utf-8")
        except UnicodeEncodeError as error:
            odd = next(s for s in strings if any("\ud800" <= c <= "\udfff" for c in s))
            raise check.value_error(name, "strings that UTF-8 can hold", odd) from error
        ascii_only = len(joined) == sum(map(len, strings))
        lengths = [len(s) if ascii_only else len(s.encode("utf-8")) for s in strings]
        offsets = np.zeros(len(strings) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        ids = cls(offsets=_frozen(offsets), data=np.frombuffer(joined, dtype=np.uint8))
        rows = {s: i for i, s in enumerate(strings)}
        if len(rows) < len(strings):
            seen: set[str] = set()
            twice = next(s for s in strings if s in seen or seen.add(s))  # type: ignore[func-returns-value]
            raise check.value_error(name, _RULE, f"{twice!r} twice")
        ids._row_of = rows
        return ids

    @property
    def kind(self) -> str:
        """ "int64" or "string"."""
        return "int64" if self.values is not None else "string"

    def __len__(self) -> int:
        if self.values is not None:
            return len(self.values)
        assert self.offsets is not None
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> int | str:
        """The id of one row; nothing else is read."""
        n = len(self)
        if not -n <= row < n:
            raise IndexError(f"row {row} of {n}")
        row %= n
        if self.values is not None:
            return int(self.values[row])
        assert self.offsets is not None
        assert self.data is not None
        start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
        if not 0 <= start <= stop <= len(self.data):
            raise self._damaged(f"the offsets of row {row} are {start} and {stop}, of {len(self.data)} bytes")
        try:
            return self.data[start:stop].tobytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._damaged(f"the id of row {row} is not UTF-8") from error

    def __iter__(self) -> Iterator[int | str]:
        return iter(self.array().tolist())

    def take(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The ids of `rows`, in `rows`' shape: int64, or object strings. Few rows of many decode only those."""
        if self.values is not None:
            return np.asarray(self.values[rows])
        if self._strings is None and rows.size < len(self) // 8:
            out = np.empty(rows.size, dtype=object)
            out[:] = [self[int(r)] for r in rows.reshape(-1)]
            return out.reshape(rows.shape)
        return np.asarray(self.array()[rows])

    def array(self) -> NDArray[Any]:
        """(n,) all ids, read-only: int64, or object strings (decoded at the first call)."""
        if self.values is not None:
            return self.values
        if self._strings is None:
            self._strings = self._decode()
        return self._strings

    def _decode(self) -> NDArray[Any]:
        assert self.offsets is not None
        assert self.data is not None
        offsets = self.offsets
        if offsets[0] != 0 or offsets[-1] != len(self.data) or (np.diff(offsets) < 0).any():
            raise self._damaged("the offsets of its ids do not rise from 0 to the end of the text")
        raw = self.data.tobytes()
        out = np.empty(len(self), dtype=object)
        try:
            text = raw.decode("utf-8")
            places = offsets.tolist()
            if len(text) == len(raw):  # ASCII: bytes are characters
                out[:] = [text[a:b] for a, b in pairwise(places)]
            else:
                out[:] = [raw[a:b].decode("utf-8") for a, b in pairwise(places)]
        except UnicodeDecodeError as error:
            raise self._damaged("an id is not UTF-8") from error
        return _frozen(out)

    def row(self, token: object) -> int:
        """The row of one id, or -1."""
        if self.values is not None:
            if isinstance(token, (bool, np.bool_)) or not isinstance(token, (int, np.integer)):
                return -1
            ordered, rows = self._order()
            place = int(np.searchsorted(ordered, int(token))) if -(2**63) <= int(token) < 2**63 else len(ordered)
            return int(rows[place]) if place < len(ordered) and ordered[place] == token else -1
        return self._rows_by_name().get(token, -1) if isinstance(token, str) else -1

    def rows(self, tokens: Any) -> NDArray[np.int64]:
        """(m,) int64 rows of several ids, -1 where an id is unknown."""
        if self.values is not None and isinstance(tokens, np.ndarray) and tokens.dtype.kind in "iu":
            ordered, rows = self._order()
            if not len(ordered) or (tokens.dtype.kind == "u" and tokens.size and int(tokens.max()) >= 2**63):
                return np.array([self.row(int(t)) for t in tokens], dtype=np.int64)
            wanted = tokens.astype(np.int64, copy=False)
            found = np.empty(len(wanted), dtype=np.int64)
            for start in range(0, len(wanted), _ASKED):
                part = slice(start, start + _ASKED)
                place = np.minimum(np.searchsorted(ordered, wanted[part]), len(ordered) - 1)
                found[part] = np.where(ordered[place] == wanted[part], rows[place], -1)
            return found
        tokens = several(tokens, Checks("EmbeddingTable"), "ids")
        return np.fromiter((self.row(t) for t in tokens), dtype=np.int64, count=len(tokens))

    def restrict(
        self, exclude: Any, allowed: Any, m: int, check: Checks
    ) -> tuple[NDArray[np.bool_] | None, list[NDArray[np.int64]] | None]:
        """What m queries may find: an (n,) mask, True where allowed, and rows each must not find; None: no limit.

        exclude : one id, several for all the queries, or m lists of ids. allowed : None, ids, or an (n,) bool mask.
        """
        mask = None if allowed is None else self._mask(allowed, check)
        if isinstance(exclude, np.ndarray) and exclude.ndim == 2:
            exclude = list(exclude)
        items = several(exclude, check, "exclude")
        if not len(items):
            return mask, None
        if any(isinstance(one, _LISTS) for one in items):
            if len(items) != m or not all(isinstance(one, _LISTS) for one in items):
                rule = f"an id, ids, or {m} lists of ids, one for each query"
                raise check.value_error("exclude", rule, exclude)
            each = [self._known(one, check) for one in items]
            return mask, each
        common = self._known(items, check)
        if m * len(common) <= len(self):  # few: a query skips its own list faster than a mask is made
            return mask, [common] * m
        mask = np.ones(len(self), dtype=bool) if mask is None else mask.copy()
        mask[common] = False
        return mask, None

    def _known(self, ids: Any, check: Checks) -> NDArray[np.int64]:
        """Distinct rows of the ids that are there."""
        ids = several(ids, check, "exclude")
        if len(ids) and isinstance(ids[0], (bool, np.bool_)):
            raise check.type_error("exclude", "ids (a mask is given as allowed)", ids)
        rows = np.unique(self.rows(ids))
        return rows[rows >= 0]

    def _mask(self, allowed: Any, check: Checks) -> NDArray[np.bool_]:
        values = several(allowed, check, "allowed")
        if len(values) and all(isinstance(one, (bool, np.bool_)) for one in values):
            if len(values) != len(self):
                rule = f"ids, or a bool mask of shape ({len(self)},)"
                raise check.value_error("allowed", rule, f"shape ({len(values)},)")
            return np.array(values, dtype=bool)
        if any(isinstance(one, (bool, np.bool_, float, np.floating)) for one in values):
            rule = f"ids, or a bool mask of shape ({len(self)},) without gaps"
            raise check.type_error("allowed", rule, values)
        mask = np.zeros(len(self), dtype=bool)
        mask[self._known(values, check)] = True
        return mask

    def _rows_by_name(self) -> dict[str, int]:
        if self._row_of is None:
            rows = {s: i for i, s in enumerate(self.array().tolist())}
            if len(rows) < len(self):
                raise self._damaged("two rows have the same id")
            self._row_of = rows
        return self._row_of

    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._sorted is None:
            assert self.values is not None
            rows = np.argsort(self.values, kind="stable")
            self._sorted = self.values[rows], rows
        return self._sorted

    def _damaged(self, what: str) -> TableError:
        return TableError(f"{self.source or 'the ids of this table'} is damaged: {what}.")


def frozen_view(array: NDArray[Any]) -> NDArray[Any]:
    """A plain, contiguous, read-only array over the same memory where it can be (joblib hands over memory maps)."""
    view: NDArray[Any] = np.require(np.asarray(array), requirements=["C", "A"]).view()
    return _frozen(view)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
