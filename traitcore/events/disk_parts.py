"""The events of a partitioned log as parts on disk: each bucket split into sessions and coded, then all joined in the
order of the customers' ids."""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _disk as disk
from .._progress import Progress
from .._rows import sorted_unique
from .array_files import ArrayFile, map_array
from .buckets import Buckets, TextIds
from .coded import Coded
from .ids import IntegerCoder, text_array
from .partition import PartitionedLog
from .session_report import SessionReport, sum_reports
from .sessions import SessionRules, Sessions, split_bucket
from .tokens import TokenRules

# A table of all pairs of item and action is worth its memory up to here; above it those that occur are numbered.
_MOST_PAIRS = 1 << 22
_JOINED_AT_ONCE = 1 << 22  # tokens of the customers that are brought in order together: some 100 MB
_LEVELS = 6  # how often a bucket is split at most
_FIELDS = ("codes", "offsets", "owner", "times")


class DiskParts:
    """`coded.Parts` of a partitioned log. `reports`, `sizes` and the others are whole once each part has been seen.

    folder, out : where the parts and, at the end, the arrays of the whole go: `files` are the latter, for a manifest.
    most_rows : events of a bucket that are split into sessions at once; a larger bucket is cut again, unless it is
        one customer's. bought : actions that mean buying; `bought_pairs` are then of all events, whether they became
        tokens or not.
    """

    def __init__(
        self, folder: Path, out: Path, log: PartitionedLog, sessions: SessionRules, tokens: TokenRules, most_rows: int,
        bought: list[int], progress: Progress | None,
    ) -> None:
        self.folder, self.out = folder, out
        self.log, self.session_rules, self.token_rules = log, sessions, tokens
        self.most_rows, self.bought, self.progress = most_rows, bought, progress
        self.reports: list[SessionReport] = []
        self.files: dict[str, dict[str, Any]] = {}
        self.owner_ids: NDArray[Any] | None = None
        self.bought_pairs: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None  # customers, items
        self._n = 0  # parts seen
        self._at = 0
        self._pairs: IntegerCoder | None = None
        n_pairs = len(log.item_ids) * max(1, len(tokens.names))
        if n_pairs > _MOST_PAIRS:
            self._pairs = IntegerCoder()
        self._seen = False
        folder.mkdir()

    def __iter__(self) -> Iterator[Coded]:
        if self._seen:
            for k in range(self._n):
                self._at = k
                yield self._load(k, None)
            return
        done, total = 0, int(self.log.buckets.n_rows.sum())
        for log in self._bucket_logs(self.log.buckets, 1):
            sessions = split_bucket(log, self.session_rules)
            self.reports.append(sessions.report)
            part = self._coded(sessions)
            _save_ids(self._path(self._n, "ids"), log.user_ids if log.user is not None else log.session_ids)
            if self._knows_bought:
                rows = np.flatnonzero(np.isin(log.action, self.bought))
                pairs = sorted_unique(log.user[rows].astype(np.int64) << 32 | log.item[rows])
                np.save(self._path(self._n, "bought"), pairs)
            self._at = self._n
            self.put(part)
            self._n += 1
            yield part
            done += len(log)
            if self.progress is not None:
                self.progress("sessions", done, total)
        self._seen = True

    @property
    def _knows_bought(self) -> bool:
        return bool(self.bought) and self.log.key == "user" and bool(self.log.actions)

    def _bucket_logs(self, buckets: Buckets, level: int) -> Iterator[Any]:
        """The log of each bucket; those too large as several."""
        for k in range(buckets.n):
            n = int(buckets.n_rows[k])
            if n > self.most_rows and level < _LEVELS:
                parts = buckets.split(k, math.ceil(2 * n / self.most_rows), self.log.key_hashes, level)
                yield from self._bucket_logs(parts, level + (_LEVELS if parts.n_rows.max() == n else 1))
            elif n:
                log = self.log.log(k, buckets)
                buckets.remove(k)
                yield log

    def _coded(self, sessions: Sessions) -> Coded:
        """Codes that mean the same in every part; without customers each session is its own owner."""
        part, pairs = self.token_rules.code(sessions, self._pairs is None, self.session_rules.workers)
        if self._pairs is not None and pairs is not None:
            known = self._pairs.code(pairs)
            part.codes = np.where(part.codes >= 0, np.append(known, np.int32(-1))[part.codes], np.int32(-1))
            part.n = len(self._pairs.ids())
        if part.owner is None:
            assert sessions.log.session is not None
            part.owner = sessions.log.session[sessions.order[sessions.offsets[:-1]]]
        return part

    def put(self, part: Coded) -> None:
        for name in _FIELDS:
            values = getattr(part, name)
            if values is not None:
                np.save(self._path(self._at, name), values)

    def _load(self, k: int, mode: Any) -> Coded:
        found = {name: np.load(path, mmap_mode=mode) for name in _FIELDS if (path := self._path(k, name)).exists()}
        n = self._n_codes()
        return Coded(found["codes"], n, found["offsets"], found["owner"], found.get("times"))

    def _n_codes(self) -> int:
        if self._pairs is not None:
            return len(self._pairs.ids())
        return len(self.log.item_ids) * max(1, len(self.token_rules.names))

    def _path(self, k: int, name: str) -> Path:
        return self.folder / f"{k:05d}-{name}.npy"

    def pair_ids(self) -> NDArray[np.int64] | None:
        """item * n_actions + action of each code, or None: the code is that."""
        return None if self._pairs is None else self._pairs.ids().copy()

    rank = pair_ids

    def report(self) -> SessionReport:
        """Of all sessions."""
        return sum_reports(self.reports)

    # -- joining ---------------------------------------------------------------------------------------------------

    def joined(self) -> Coded:
        """All parts in one, mapped, in order of the customers' ids; the files of the parts are removed."""
        parts = [_Part(self._load(k, "r"), _open_ids(self._path(k, "ids"))) for k in range(self._n)]
        n_tokens, n_sequences = sum(len(p.coded.codes) for p in parts), sum(len(p.coded.offsets) - 1 for p in parts)
        with contextlib.ExitStack() as stack:
            out = {"codes": self._created(stack, "tokens", np.int32, n_tokens),
                   "offsets": self._created(stack, "offsets", np.int64, n_sequences + 1)}
            if self.log.key == "user":
                out["owner"] = self._created(stack, "owner", np.int32, n_sequences)
            if parts[0].coded.times is not None:
                out["times"] = self._created(stack, "timestamps_us", np.int64, n_tokens)
            self._join(parts, out, n_tokens)
            self.files = {file.path.name: file.entry() for file in out.values()}
        for k in range(self._n):
            for name in (*_FIELDS, "ids", "bought"):
                self._path(k, name).unlink(missing_ok=True)
        with disk.Folder(self.out) as folder:
            found = {name: map_array(folder, file.path.name, self.files[file.path.name], verify=False)
                     for name, file in out.items()}
        return Coded(found["codes"], self._n_codes(), found["offsets"], found.get("owner"), found.get("times"))

    def _created(self, stack: contextlib.ExitStack, name: str, dtype: Any, n: int) -> ArrayFile:
        return stack.enter_context(contextlib.closing(ArrayFile(self.out / f"{name}.npy", dtype, n)))

    def _join(self, parts: list[_Part], out: dict[str, ArrayFile], n_tokens: int) -> None:
        """Write all parts in order of their customers' ids, and keep these ids."""
        ids: list[NDArray[Any]] = []
        ranks = [np.empty(len(part.ids), dtype=np.int32) for part in parts] if self._knows_bought else []
        end, user = 0, 0
        out["offsets"].write(np.zeros(1, dtype=np.int64))
        for lows, highs in _ranges(parts, max(64, _JOINED_AT_ONCE * _n_users(parts) // max(1, n_tokens))):
            found = np.concatenate([part.ids_of(a, b) for part, a, b in zip(parts, lows, highs)])
            order = np.argsort(found, kind="stable")
            ids.append(found[order])
            place = np.empty(len(order), dtype=np.int32)
            place[order] = np.arange(user, user + len(order), dtype=np.int32)
            for rank, a, b, own in zip(ranks, lows, highs, np.split(place, np.cumsum(np.subtract(highs, lows)))):
                rank[a:b] = own
            for block in _blocks(parts, lows, highs, order):
                if "owner" in out:
                    out["owner"].write(np.repeat(np.arange(user, user + len(block.n_sequences)), block.n_sequences))
                lengths = block.gather("lengths")
                out["offsets"].write(end + np.cumsum(lengths))
                end += int(lengths.sum())
                user += len(block.n_sequences)
                for name in ("codes", "times"):
                    if name in out:
                        block.copy(name, out[name])
            if self.progress is not None:
                self.progress("joining", end, max(1, n_tokens))
        if self.log.key == "user":
            self.owner_ids = np.concatenate(ids)
        if self._knows_bought:
            pairs = [np.load(self._path(k, "bought")) for k in range(self._n)]
            placed = [rank[one >> 32].astype(np.int64) << 32 | one & 0xFFFFFFFF for rank, one in zip(ranks, pairs)]
            whole = np.sort(np.concatenate(placed))  # in an order that no number of buckets changes
            self.bought_pairs = (whole >> 32).astype(np.int32), (whole & 0xFFFFFFFF).astype(np.int32)


@dataclass
class _Part:
    """A part that is mapped, with the ids of its customers in rising order."""

    coded: Coded
    ids: NDArray[np.int64] | TextIds

    def ids_of(self, low: int, high: int) -> NDArray[Any]:
        """Ids of customers low ... high - 1."""
        return text_array(self.ids.texts(low, high)) if isinstance(self.ids, TextIds) else self.ids[low:high]

    def place(self, key: Any) -> int:
        """How many ids are smaller."""
        if isinstance(self.ids, TextIds):
            return bisect_left(range(len(self.ids)), key, key=lambda k: self.ids_of(k, k + 1)[0])
        return int(np.searchsorted(self.ids, key))


def _n_users(parts: list[_Part]) -> int:
    return sum(len(part.ids) for part in parts)


def _ranges(parts: list[_Part], n_users: int) -> Iterator[tuple[list[int], list[int]]]:
    """(first, last + 1) customer of each part, range of ids by range of ids, each of about n_users customers."""
    step = max(1, n_users // (2 * len(parts)))
    marks = sorted(part.ids_of(k, k + 1)[0] for part in parts for k in range(step, len(part.ids), step))
    lows = [0] * len(parts)
    for mark in marks[:: max(1, len(parts))]:
        highs = [part.place(mark) for part in parts]
        if highs != lows:
            yield lows, highs
        lows = highs
    yield lows, [len(part.ids) for part in parts]


@dataclass
class _Block:
    """Some customers, in their order: which part each is of, and where its sequences and tokens lie there."""

    parts: list[_Part]
    part: NDArray[np.int64]
    first_sequence: NDArray[np.int64]
    n_sequences: NDArray[np.int64]
    first_token: NDArray[np.int64]
    n_tokens: NDArray[np.int64]

    def gather(self, name: str) -> NDArray[Any]:
        """Lengths of the sequences, or codes or times of the tokens, customer by customer."""
        firsts, counts = (self.first_sequence, self.n_sequences) if name == "lengths" else (
            self.first_token, self.n_tokens)
        begin = np.cumsum(counts) - counts
        out: NDArray[Any] = np.empty(int(counts.sum()), dtype=np.int32 if name == "codes" else np.int64)
        for k, one in enumerate(self.parts):
            mine = np.flatnonzero((self.part == k) & (counts > 0))
            if not len(mine):
                continue
            low, high = int(firsts[mine[0]]), int(firsts[mine[-1]] + counts[mine[-1]])  # they lie end to end
            source = np.diff(one.coded.offsets[low : high + 1]) if name == "lengths" else (
                getattr(one.coded, name)[low:high])
            n = counts[mine]
            out[np.repeat(begin[mine] - (np.cumsum(n) - n), n) + np.arange(high - low)] = source
        return out

    def copy(self, name: str, file: ArrayFile) -> None:
        """The tokens' codes or times to a file; those of a single customer, however many, without gathering them."""
        if len(self.part) == 1:
            low = int(self.first_token[0])
            for start in range(low, low + int(self.n_tokens[0]), _JOINED_AT_ONCE):
                stop = min(start + _JOINED_AT_ONCE, low + int(self.n_tokens[0]))
                file.write(getattr(self.parts[int(self.part[0])].coded, name)[start:stop])
        else:
            file.write(self.gather(name))


def _blocks(parts: list[_Part], lows: list[int], highs: list[int], order: NDArray[np.int64]) -> Iterator[_Block]:
    """The customers of a range, in `order` of their ids, so many at a time as have _JOINED_AT_ONCE tokens."""
    columns: list[list[NDArray[np.int64]]] = [[], [], [], [], []]
    for k, (part, low, high) in enumerate(zip(parts, lows, highs)):
        sequence = np.searchsorted(part.coded.owner, np.arange(low, high + 1))  # type: ignore[arg-type]
        token = np.asarray(part.coded.offsets[sequence])
        for column, values in zip(columns, (np.full(high - low, k), sequence[:-1], np.diff(sequence), token[:-1],
                                            np.diff(token))):
            column.append(values)
    found = [np.concatenate(column)[order] for column in columns]
    block_of = (np.cumsum(found[4]) - found[4]) // _JOINED_AT_ONCE
    edges = np.flatnonzero(np.diff(block_of, prepend=-1, append=-1))
    for a, z in zip(edges[:-1].tolist(), edges[1:].tolist()):
        # A customer with more than a block's tokens ends one; it is then alone in it.
        alone = z - 1 if z - a > 1 and found[4][z - 1] > _JOINED_AT_ONCE else z
        for low, high in ((a, alone), (alone, z)):
            if high > low:
                yield _Block(parts, *(column[low:high] for column in found))


def _save_ids(path: Path, ids: NDArray[Any] | None) -> None:
    assert ids is not None
    if ids.dtype.kind != "O":
        np.save(path, ids)
        return
    texts = TextIds.of(ids.tolist())
    with open(path, "wb") as file:
        np.save(file, texts.ends)
        np.save(file, texts.data)


def _open_ids(path: Path) -> NDArray[np.int64] | TextIds:
    with open(path, "rb") as file:
        first = np.load(file)
        if not file.read(1):
            return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
        file.seek(-1, 1)
        return TextIds(np.load(file), first)


