"""Events as codes, in memory or in parts on disk, and what `min_count` and `min_length` leave of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._errors import InputError
from .._parallel import even_blocks, run_blocks
from .corpus import Corpus, TokenReport
from .occurrences import add_counts, count_occurrences, owners_seen
from .sequences import Sequences
from .vocabulary import Vocabulary


@dataclass
class Coded:
    """Events in sequence order, as codes in [0, n); -1: the event has no token."""

    codes: NDArray[np.int32]
    n: int
    offsets: NDArray[np.int64]
    owner: NDArray[np.int32] | None
    times: NDArray[np.int64] | None


@dataclass
class Lost:
    """Events of actions mapped to nothing, of rare tokens, in sequences too short; and how many those were."""

    unmapped: int = 0
    rare: int = 0
    short: int = 0
    sequences: int = 0

    def __add__(self, other: Lost) -> Lost:
        return Lost(self.unmapped + other.unmapped, self.rare + other.rare, self.short + other.short,
                     self.sequences + other.sequences)


@dataclass
class Kept:
    """What min_count and min_length left: rows in place of codes, and the codes present by falling count."""

    sequences: Coded
    present: NDArray[np.int64]
    counts: NDArray[np.int64]
    documents: NDArray[np.int64]
    events: int
    n_rare: int
    lost: Lost

    def corpus(
        self, owner_ids: NDArray[Any] | None, item_ids: NDArray[Any], item: NDArray[np.int64],
        action: NDArray[np.int64] | None, names: tuple[str, ...], texts: NDArray[Any] | None, kind: str,
    ) -> Corpus:
        """The corpus, given the item and action of each code present."""
        kept = self.sequences
        n_owners = len(kept.offsets) - 1 if kept.owner is None else _n_distinct(kept.owner)
        used = np.zeros(len(item_ids), dtype=np.bool_)
        used[item] = True
        place = np.cumsum(used, dtype=np.int32) - np.int32(1)
        token_action = np.full(len(item), -1, dtype=np.int32) if action is None else action.astype(np.int32)
        vocabulary = Vocabulary(
            item_ids[used], names, place[item], token_action, self.counts, self.documents, n_owners,
            None if texts is None else texts[used],
        )
        report = TokenReport(
            events=self.events, tokens=len(kept.codes), sequences=len(kept.offsets) - 1, vocabulary=len(item),
            customers=None if kept.owner is None else n_owners, token_kind=kind,
            events_unmapped=self.lost.unmapped, tokens_rare=self.n_rare, events_rare=self.lost.rare,
            sequences_too_short=self.lost.sequences, events_too_short=self.lost.short,
        )
        sequences = Sequences(
            tokens=kept.codes, offsets=kept.offsets, owner=kept.owner, timestamps_us=kept.times,
            owner_ids=None if kept.owner is None else owner_ids,
        )
        return Corpus(sequences, vocabulary, report)


def _n_distinct(owner: NDArray[np.int32]) -> int:
    return int(np.count_nonzero(owners_seen(owner, int(owner.max(initial=-1)) + 1)))


class Parts(Protocol):
    """The events of a corpus in parts that share no owner: one in memory, or many on disk."""

    def __iter__(self) -> Iterator[Coded]:
        """Each part. A code means the same in all. The first time round a later part may have more codes than those
        before; then all have all."""

    def put(self, part: Coded) -> None:
        """Keep a changed part in place of the one that was handed out last."""

    def rank(self) -> NDArray[np.int64] | None:
        """(n,) by which codes of equal counts are ordered; None: by themselves. Asked once each part has been seen."""

    def joined(self) -> Coded:
        """All of it in one, in order of the owners."""


class OnePart:
    """A corpus that is in memory."""

    def __init__(self, coded: Coded) -> None:
        self.coded = coded

    def __iter__(self) -> Iterator[Coded]:
        yield self.coded

    def put(self, part: Coded) -> None:
        self.coded = part

    def rank(self) -> NDArray[np.int64] | None:
        return None

    def joined(self) -> Coded:
        return self.coded


def keep(
    parts: Parts, min_count: int, min_length: int, workers: int, *, seen: Callable[[], None] = lambda: None
) -> Kept:
    """Count, drop what is rare or short, rank by falling count, and put rows in place of codes (changed in place).

    `seen` is called once each part has been seen.
    """
    counts, documents, n_events, shortest = _counted(parts, workers, min_length)
    seen()
    frequent = counts >= min_count
    n_rare = int(((counts > 0) & ~frequent).sum())
    lost = Lost()
    if n_rare or counts.sum() < n_events or shortest < min_length:
        n_left = 0
        for part in parts:
            left, more = _dropped(part, frequent[: part.n], min_length)
            n_left += len(left.codes)
            lost = lost + more
            parts.put(left)
        if n_left == 0:
            raise InputError(
                f"No token is left of {n_events:,} events: {lost.rare:,} are of tokens rarer than "
                f"min_count={min_count}, {lost.short:,} in sequences shorter than min_length={min_length}, "
                f"{lost.unmapped:,} of actions mapped to None. Lower min_count or min_length."
            )
        if lost.short:
            counts, documents, _, _ = _counted(parts, workers, min_length)
    present, rank = np.flatnonzero(frequent & (counts > 0)), parts.rank()
    if rank is not None:
        present = present[np.argsort(rank[present], kind="stable")]
    present = present[np.argsort(-counts[present], kind="stable")]
    row = np.empty(len(counts), dtype=np.int32)
    row[present] = np.arange(len(present), dtype=np.int32)
    for part in parts:
        n = len(part.codes)
        run_blocks(_core.remap_codes, even_blocks(n, max(4 * workers, n >> 22)), workers, part.codes, row)
        parts.put(part)
    return Kept(parts.joined(), present, counts[present], documents[present], n_events, n_rare, lost)


def _counted(
    parts: Parts, workers: int, min_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """(occurrences, documents, events, length of the shortest sequence or min_length) over all parts."""
    counts, documents = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    n_events, shortest = 0, min_length
    for part in parts:
        more = count_occurrences(part.codes, part.offsets, part.owner, part.n, workers)
        counts, documents = add_counts(counts, more[0]), add_counts(documents, more[1])
        n_events += len(part.codes)
        shortest = int(np.diff(part.offsets).min(initial=shortest))
    return counts, documents, n_events, shortest


def _dropped(coded: Coded, frequent: NDArray[np.bool_], min_length: int) -> tuple[Coded, Lost]:
    """Without rare tokens and short sequences, and what they were."""
    same = np.where(frequent, np.arange(coded.n, dtype=np.int32), np.int32(-1))
    offsets = coded.offsets.copy()
    owner = None if coded.owner is None else coded.owner.copy()
    times = None if coded.times is None else coded.times.copy()
    n, n_sequences, *lost = _core.keep_tokens(coded.codes, offsets, owner, times, same, min_length)
    kept = Coded(
        coded.codes[:n].copy(), coded.n, offsets[: n_sequences + 1].copy(),
        None if owner is None else owner[:n_sequences].copy(), None if times is None else times[:n].copy(),
    )
    return kept, Lost(*lost)
