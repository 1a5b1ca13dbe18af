"""A log that may be larger than memory, partitioned: read once, its rows in buckets on disk, each with whole customers.

Items and actions are coded once for the whole log; customers, and given sessions, in each bucket by itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .action_names import in_funnel_order
from .buckets import Buckets, TextIds, bucket_of
from .id_text import as_integer, is_canonical
from .ids import IntegerCoder, code_integers, hashable_ids, sort_ids, text_array
from .item_texts import most_frequent_texts
from .log import EventLog
from .log_builder import LogBuilder
from .log_report import LogReport
from .occurrences import add_counts
from .set_aside import RowSource
from .spilled_columns import ReadAgain, SpilledIds, SpilledTimes

_WINDOW = 1 << 20  # rows between two writes: some 50 bytes each
_DTYPES = {"user": np.int64, "session": np.int64, "item": np.int32, "action": np.int32, "timestamp": np.int64,
           "order": np.int64}
_CODED = ("item", "action")


class PartitionBuilder(LogBuilder):
    """A LogBuilder whose rows go to buckets on disk. `finish_partition` ends it, in place of `finish`."""

    def __init__(
        self, names: Mapping[str, str], *, folder: Path, n_buckets: int, known: ReadAgain | None = None, **options: Any
    ) -> None:
        super().__init__(names, **options)
        self.key = "user" if "user" in names else "session"
        if self.key not in names:
            raise InputError("The log has neither users nor sessions: name the column of one or the other.")
        self.spilled: dict[str, SpilledIds] = {}
        for role in ("user", "session"):
            if role in names:
                one = SpilledIds(self.coders[role].wanted, self.nulls, lambda role=role: self._turn_to_texts(role))  # type: ignore[misc]
                self.coders[role] = self.spilled[role] = one
        self.times: SpilledTimes = SpilledTimes(
            self.times.name, self.source, unit=self.times.given, form=self.times.form, decimal=self.decimal,
            nulls=self.nulls, known=known,
        )
        columns = {role: dtype for role, dtype in _DTYPES.items() if role in names}
        self.buckets = Buckets(folder, n_buckets, columns, tuple(self.spilled))
        self.n_kept = 0
        self.counts = {role: np.zeros(0, dtype=np.int64) for role in _CODED}  # rows of each code
        self._first_stray: tuple[int, RowSource, int] | None = None  # of items: code and place
        self._looked_at = 0  # item codes below it are no strays
        self._pairs, self._pair_counts = IntegerCoder(), np.zeros(0, dtype=np.int64)  # of item and text
        self._waiting: dict[str, list[Any]] = {role: [] for role in columns}
        self._places: list[tuple[RowSource, NDArray[np.int64] | int, int]] = []  # of the waiting rows
        self._n_waiting = 0

    def _mark_misfits(self, coded: Mapping[str, Any], mark: Any) -> None:
        if "timestamp" in coded:
            for rows, reason in self.times.misfits(*coded["timestamp"]):
                mark(rows, reason)

    def _keep(
        self, coded: dict[str, Any], good: NDArray[np.bool_] | None, source: RowSource,
        rows: NDArray[np.int64] | int, n_kept: int,
    ) -> None:
        for role, one in self.spilled.items():
            coded[role] = one.last
        if "timestamp" in coded:
            values, of_time = coded.pop("timestamp")
            self.times.keep(values, of_time, good)
            self._waiting["timestamp"].append(self.times.last)
        kept = {role: values if good is None else values[good] for role, values in coded.items()}
        for role in _CODED:
            if role in kept:
                self.counts[role] = add_counts(self.counts[role], np.bincount(kept[role]))
        if "item_text" in kept:
            has = kept["item_text"] >= 0
            pairs = self._pairs.code(kept["item"][has].astype(np.int64) << 32 | kept["item_text"][has])
            self._pair_counts = add_counts(self._pair_counts, np.bincount(pairs))
        self._look_for_stray(kept["item"], source, rows)
        for role in self._waiting:
            if role != "timestamp":
                self._waiting[role].append(kept[role])
        self._places.append((source, rows, n_kept))
        self.n_kept += n_kept
        self._n_waiting += n_kept
        if self._n_waiting >= _WINDOW:
            self.flush()

    def _look_for_stray(self, items: NDArray[np.int32], source: RowSource, rows: NDArray[np.int64] | int) -> None:
        """Remember where the first item is that is no integer, where they may be taken as integers."""
        coder = self.coders["item"]
        if coder.wanted not in ("guess", "int") or coder.kind == "integers" or self._first_stray is not None:
            return
        for code in (self._looked_at + np.flatnonzero(self.counts["item"][self._looked_at :])).tolist():
            if as_integer(coder.text(code)) is None:
                row = int(np.argmax(items == code))
                self._first_stray = (code, source, int(rows[row]) if isinstance(rows, np.ndarray) else rows + row)
                return
        self._looked_at = len(self.counts["item"])

    def _turn_to_texts(self, role: str) -> None:
        self.flush()
        self.buckets.turn_to_texts(role)

    def _place_of(self, row: int) -> tuple[RowSource, int]:
        """(source, number in it) of a waiting row."""
        for source, rows, n in self._places:
            if row < n:
                return source, int(rows[row]) if isinstance(rows, np.ndarray) else rows + row
            row -= n
        raise IndexError(row)

    def flush(self) -> None:
        """Write the waiting rows to their buckets."""
        if not self._n_waiting:
            return
        rows = {role: np.concatenate(parts) for role, parts in self._waiting.items() if role != "timestamp"}
        if "timestamp" in self._waiting:
            rows["timestamp"] = self.times.microseconds(self._waiting["timestamp"])
        texts = {role: one.take_window(rows[role], self._place_of)
                 for role, one in self.spilled.items() if one.form == "texts"}
        key = self.key_hashes(rows, texts)
        self.buckets.append(bucket_of(key, self.buckets.n), rows, texts)
        self._waiting = {role: [] for role in self._waiting}
        self._places, self._n_waiting = [], 0

    def key_hashes(self, rows: Mapping[str, NDArray[Any]], texts: Mapping[str, TextIds]) -> NDArray[np.uint64]:
        """Hash of each row's customer, or session where the log has no customers."""
        if self.key in texts:
            hashes = self.spilled[self.key].hashes(texts[self.key])
            return np.asarray(hashes[rows[self.key]])
        return hashable_ids(rows[self.key])

    def discard(self) -> None:
        """Delete what was written."""
        shutil.rmtree(self.buckets.folder)

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish_partition(self, action_value: str | None) -> PartitionedLog:
        """The log in buckets. Raises InputError where no row is left, ReadAgain where the times ask for it."""
        self._refuse_torn()
        if self.rows_read == 0:
            raise InputError(f"{self.source} has no rows: there is no event to learn from.")
        self.flush()
        if "timestamp" in self.names and self.n_kept:
            self.times.settle()
        aside = bool(self.set_aside.counts)
        rank: dict[str, NDArray[np.int32]] = {}
        ids: dict[str, NDArray[Any]] = {}
        codes: dict[str, NDArray[np.int32]] = {}
        for role in _CODED:
            if role in self.names:
                used = np.flatnonzero(self.counts[role]).astype(np.int32)
                codes[role] = used.copy()
                ids[role] = self.coders[role].finish(codes[role], aside)
                rank[role] = np.zeros(len(self.counts[role]), dtype=np.int32)
                rank[role][used] = codes[role]
        types = {role: _settled(self.buckets, role, one, self.n_kept) for role, one in self.spilled.items()}
        notes = self._spilled_notes(ids, rank, types)
        self._refuse_empty(self.n_kept)
        kinds = {role: "i" if one.integers else "O" for role, one in types.items()}
        actions: tuple[str, ...] = () if action_value is None else (action_value,)
        if "action" in ids:
            to, actions = in_funnel_order(
                np.arange(len(ids["action"]), dtype=np.int32), ids["action"],
                f"{self.source}: column {self.names['action']!r}",
            )
            rank["action"] = to.astype(np.int32)[rank["action"]]
        texts = None
        if "item_text" in self.names:
            pairs = self._pairs.ids()
            texts = most_frequent_texts(rank["item"][pairs >> 32].astype(np.int64), pairs & 0xFFFFFFFF,
                                        self._pair_counts, self.texts.texts, len(ids["item"]))
        ids["item"].flags.writeable = False
        report = self._report(self.n_kept, {**kinds, "item": ids["item"].dtype.kind}, notes, stacklevel=5)
        return PartitionedLog(
            self.buckets, self.key, {role: one.integers for role, one in types.items()}, ids["item"], rank["item"],
            actions, rank.get("action"), texts, report, self.key_hashes,
        )

    def _spilled_notes(
        self, ids: Mapping[str, NDArray[Any]], rank: Mapping[str, NDArray[np.int32]], types: Mapping[str, _Settled]
    ) -> list[str]:
        """The notes of `_notes`, by what was counted on the way."""
        for role, one in self.spilled.items():
            one.null_words = [] if types[role].integers else [(word, k) for k, word in enumerate(one.words)]
            one.strays = []
            if types[role].n_strays and one.first_stray is not None:
                one.strays = [(one.first_stray[0], 0)] * types[role].n_strays

        def rows_with(role: str, code: int) -> int:
            if role in self.spilled:
                return list(self.spilled[role].words.values())[code]
            return int(self.counts[role][rank[role] == code].sum())

        def first_with(role: str, code: int) -> tuple[RowSource, int]:
            found = self.spilled[role].first_stray if role in self.spilled else self._first_stray
            assert found is not None
            return found[1], found[2]

        n_ids = {role: types[role].n if role in types else len(ids[role]) for role in self.coders
                 if role in types or role in ids}
        return self._notes(n_ids, rows_with, first_with)


@dataclass(frozen=True)
class _Settled:
    """What the ids of a role are: integers or texts, how many, and how many of these texts alone are no integers."""

    integers: bool
    n: int
    n_strays: int = 0


def _settled(buckets: Buckets, role: str, ids: SpilledIds, n_rows: int) -> _Settled:
    """As IdCoder decides it. Only texts that may be integers are looked at one by one."""
    if ids.form != "texts":
        return _Settled(ids.wanted != "str" or ids.kind == "integers", 0)
    if not ids.guesses:
        return _Settled(False, 0)
    whole, odd, n, written = 0, 0, 0, set[int]()
    for k in range(buckets.n):
        distinct = set(buckets.texts(k, role).texts())
        n += len(distinct)
        for one in distinct:
            value = as_integer(one)
            odd += value is None
            if value is not None and not is_canonical(one):
                whole += 1
                written.add(value)
    if not odd:
        every = (one for k in range(buckets.n) for one in buckets.texts(k, role).texts())
        twice = len(written) < whole or any(is_canonical(one) and int(one) in written for one in every)
        return _Settled(not twice, n)
    return _Settled(False, n, odd if n >= 10 and 1 <= odd <= max(1, n // 100) else 0)


@dataclass
class PartitionedLog:
    """A log in buckets on disk. `log(k)` is that of a bucket, with the item codes and actions of all of it.

    buckets : rows as read. key : role by which they are cut, "user" or "session". integers : are the ids of a role?
    item_ids, actions, item_texts, report : of the whole log, as of EventLog. item_rank, action_rank : code of each code
    in the buckets.
    """

    buckets: Buckets
    key: str
    integers: dict[str, bool]
    item_ids: NDArray[Any]
    item_rank: NDArray[np.int32]
    actions: tuple[str, ...]
    action_rank: NDArray[np.int32] | None
    item_texts: NDArray[Any] | None
    report: LogReport
    key_hashes: Any = field(repr=False)

    def log(self, k: int, buckets: Buckets | None = None) -> EventLog:
        """The events of a bucket (of these, or of parts that one was split into)."""
        buckets = self.buckets if buckets is None else buckets
        columns = buckets.read(k)
        parts: dict[str, Any] = {"item": self.item_rank[columns.pop("item")], "item_ids": self.item_ids}
        if self.actions:
            raw = columns.pop("action", None)
            rank = np.zeros(1, dtype=np.int32) if self.action_rank is None else self.action_rank
            parts["actions"] = self.actions
            parts["action"] = (
                np.zeros(len(parts["item"]), dtype=np.int16) if raw is None else rank[raw].astype(np.int16)
            )
        for role in ("user", "session"):
            if role in columns:
                parts[role], parts[f"{role}_ids"] = self._coded(columns.pop(role), buckets.texts(k, role), role)
        return EventLog(
            **parts, timestamp_us=columns.get("timestamp"), position=columns.get("order"), item_texts=self.item_texts,
            report=self.report,
        )

    def _coded(self, values: NDArray[np.int64], texts: TextIds, role: str) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """(codes, distinct ids in rising order) of a bucket's rows."""
        if not len(texts):
            return code_integers(values)
        listed = texts.texts()
        if self.integers[role]:
            return code_integers(np.array([as_integer(one) for one in listed], dtype=np.int64)[values])
        codes = dict.fromkeys(listed)
        for code, one in enumerate(codes):
            codes[one] = code
        rank, ids = sort_ids(text_array(list(codes)))
        of_listed = rank[np.fromiter((codes[one] for one in listed), dtype=np.int64, count=len(listed))]
        return of_listed[values], ids
