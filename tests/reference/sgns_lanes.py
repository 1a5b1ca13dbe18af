"""Skip-gram with negative sampling in lanes, slow and obvious: each lane trains on a copy of everything.

A super-step's lanes must have moved disjoint rows, but for the shared ones, whose moves are added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .sgns import GOLDEN, MASK, MAX_INPUTS, PIECE, ReferenceSgns, alias_table, draw, mix64, stream_state, word

HOT, CURVATURE, PAIRS, LEAST_FREE, TRIES = 0.7, 0.1, 7, 0.2, 64
Range = tuple[int, int, int]  # sequence, and places in it
Lane = list[Range]


@dataclass
class ReferenceLanes(ReferenceSgns):
    """`ReferenceSgns` with `lanes` chunks of about `chunk` tokens side by side."""

    lanes: int = 4
    chunk: int = 16
    shared_rows: set[int] = field(default_factory=set)
    fallbacks: int = 0
    only_drawn: list[int] | None = None
    stream: Iterator[int | tuple[str, int]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kept = [c * (k / 4294967295.0) for c, k in zip(self.counts, self.keep, strict=True)]
        self.tokens = int(self.chunk / (sum(kept) / sum(self.counts)))
        expected = [k / sum(kept) * self.chunk * self.lanes for k in kept]
        ranked = sorted((i for i, c in enumerate(self.counts) if c > 0), key=lambda i: -self.counts[i])
        hot = {i for i in ranked if expected[i] >= HOT}
        self.every = ranked[: len(hot)]  # rows that every lane may draw
        self.classes: list[list[int]] = []
        drawn = [self.weights[i] for i in self.every]
        for i in ranked[len(self.every) :]:
            last = self.classes[-1] if self.classes else None
            lead = self.weights[last[0]] if last else 0.0
            if last is None or len(last) == self.lanes or not lead / 2 <= self.weights[i] <= lead * 2:
                last = []
                self.classes.append(last)
            last.append(i)
        for members in self.classes:
            free = [max(LEAST_FREE, math.exp(-expected[i])) for i in members]
            mean = sum(self.weights[i] / f for i, f in zip(members, free, strict=True)) / len(members)
            drawn.append(mean * self.lanes)
        self.lane_table = alias_table(drawn)
        shares = [w / sum(drawn) for w in drawn]
        self.hot = dict(zip(self.every, shares, strict=False))

    def fit(self, sequences: list[list[int]], global_context: list[int] | None = None) -> ReferenceLanes:
        chunks = self._chunks([len(s) for s in sequences])
        n_tokens = sum(map(len, sequences))
        before = np.cumsum([0, *map(len, sequences)])
        for epoch in range(self.epochs):
            key, loss, pairs = mix64(self.seed ^ mix64(epoch + GOLDEN)), 0.0, 0
            turns = mix64(self.seed + mix64(epoch * GOLDEN + 0x1A9E5))
            for step, first in enumerate(range(0, len(chunks), self.lanes)):
                lanes = chunks[first : first + self.lanes]
                turn = mix64(turns + step * GOLDEN) >> 32
                a, b = self._super_step(lanes, turn, sequences, global_context, key, epoch, before, n_tokens)
                loss, pairs = loss + a, pairs + b
            self.losses.append(loss / pairs)
        return self

    def _chunks(self, lengths: list[int]) -> list[Lane]:
        reach = 2**40 if self.window is None else self.window + 1 if self.dynamic_window else 2 * self.window
        most = self.tokens * PAIRS
        chunks: list[Lane] = []
        chunk: Lane = []
        tokens = weight = 0
        for q, length in enumerate(lengths):
            at, each = 0, 1 + min(reach, length - 1)
            while at < length:
                fits = min(self.tokens - tokens, -((weight - most) // each))
                left = length - at
                if left <= fits or not (tokens > self.tokens // 2 or weight > most // 2):
                    taken = min(left, fits)
                    chunk.append((q, at, at + taken))
                    at, tokens, weight = at + taken, tokens + taken, weight + taken * each
                    full = tokens >= self.tokens - self.tokens // 8 or weight >= most - most // 8
                    if left <= fits and not full:
                        continue
                chunks.append(chunk)
                chunk, tokens, weight = [], 0, 0
        return [*chunks, chunk] if chunk else chunks

    def _super_step(
        self, lanes: list[Lane], turn: int, sequences: list[list[int]], global_context: list[int] | None, key: int,
        epoch: int, before: NDArray[np.int64], n_tokens: int,
    ) -> tuple[float, int]:
        items, contexts = self.items, self.contexts
        pieces = [[piece for r in lane for piece in self._pieces(r, len(sequences[r[0]]))] for lane in lanes]
        listed = [[i for p in lane for i in self._listed(p, sequences, global_context, key)] for lane in pieces]
        n_listed = sum(map(len, listed))
        if self.group_negative:  # negatives are drawn beforehand, and count as tokens
            for rows, parts in zip(listed, pieces, strict=True):
                rows += self._drawn_for(parts, sequences, global_context, key)
        owner: dict[int, int] = {}
        self.shared_rows, met = set(self.hot), dict.fromkeys(self.hot, 0)
        for lane, rows in enumerate(listed):
            for r in rows:
                if r in self.shared_rows:
                    met[r] += 1
                elif owner.setdefault(r, lane) != lane:
                    self.shared_rows.add(r)
                    met[r] = 2
        self.busy = set(owner)
        loss, pairs, alphas = 0.0, 0, []
        moved, touched = [], []
        for lane, parts in enumerate(pieces):
            self.items, self.contexts = items.copy(), contexts.copy()
            self.own = {r for r, o in owner.items() if o == lane} - self.shared_rows
            self.member = (lane + turn) % self.lanes
            self.used: set[int] = set()
            self.stream, self.n_wanted = None, 0
            if not self.group_negative:
                self.n_wanted = len(self._drawn_for(parts, sequences, global_context, key))
            for q, start, stop in parts:
                share = (epoch * n_tokens + before[q] + start // PIECE * PIECE) / (self.epochs * n_tokens)
                alpha = self.alpha + (self.min_alpha - self.alpha) * share
                target = -1 if global_context is None else global_context[q]
                a, b = self._piece(sequences[q], stream_state(key, q), start, stop, alpha, target)
                loss, pairs = loss + a, pairs + b
                alphas += [alpha] if b else []
            moved.append((self.items - items, self.contexts - contexts))
            tokens = {i for p in parts for i in self._listed(p, sequences, global_context, key)}
            touched.append((tokens if self.used else set(), self.used))
        self.items, self.contexts = items, contexts
        per_item = pairs / max(1, n_listed)
        for matrix, table in enumerate((items, contexts)):
            moves = [m[matrix] for m in moved]
            for r in range(len(table)):
                of_row = [m[r] for m in moves if m[r].any()]
                if r not in self.shared_rows:
                    assert len(of_row) <= 1, "two lanes moved a row that isn't shared"
                share = 1.0
                if r in self.shared_rows:
                    steps: float = met[r] * per_item
                    if matrix == 0:
                        steps *= 1 + self.negative
                    elif r in self.hot:
                        steps += self.negative * self.hot[r] * pairs
                    n = max(1, sum(r in t[matrix] for t in touched))  # lanes that had a copy
                    u = CURVATURE * alphas[0] * steps / n if alphas else 0.0
                    share = (1 + u) / (1 + n * u)
                table[r] += share * np.sum(of_row, axis=0) if of_row else 0.0
        return loss, pairs

    def _pieces(self, part: Range, length: int) -> list[Range]:
        q, start, stop = part
        reach = length if self.window is None else min(self.window, length)
        most = max(1, PIECE * MAX_INPUTS // max(MAX_INPUTS, min(2 * reach, length)))
        pieces = []
        while start < stop:
            end = min(stop, start + most, (start // PIECE + 1) * PIECE)
            pieces.append((q, start, end))
            start = end
        return pieces

    def _listed(
        self, piece: Range, sequences: list[list[int]], global_context: list[int] | None, key: int
    ) -> list[int]:
        """A piece's tokens, those that its windows may reach, and the global context."""
        q, start, stop = piece
        sequence, state = sequences[q], stream_state(key, q)
        kept = [i for i in range(len(sequence)) if (word(state, i) >> 32) <= self.keep[sequence[i]]]
        reach = len(sequence) if self.window is None else self.window
        left, right = [i for i in kept if i < start], [i for i in kept if i >= stop]
        rows = [sequence[i] for i in (*left[-reach:], *(i for i in kept if start <= i < stop), *right[:reach])]
        return [*rows, global_context[q]] if global_context is not None and global_context[q] >= 0 else rows

    def _drawn_for(
        self, pieces: list[Range], sequences: list[list[int]], global_context: list[int] | None, key: int
    ) -> list[int]:
        """The negatives of a lane's windows."""
        self.only_drawn = []
        for q, start, stop in pieces:
            target = -1 if global_context is None else global_context[q]
            self._piece(sequences[q], stream_state(key, q), start, stop, 0.0, target)
        drawn, self.only_drawn = self.only_drawn, None
        return drawn

    def _noise(self, target: int, key: int) -> list[int]:
        if self.group_negative:
            return super()._noise(target, key)
        if self.only_drawn is not None:
            return [target] * self.negative  # only their number is asked for
        if self.stream is None:
            self.stream = self._stream(mix64(key))
        row = [next(self.stream) for _ in range(self.negative)]
        return [self._whatever(target, r[1]) if isinstance(r, tuple) else r for r in row]

    def _stream(self, key: int) -> Iterator[int | tuple[str, int]]:
        """A lane's negatives one after the other; where it finds too few, keys to draw any row by."""
        tries, got = self.n_wanted + 8, 0
        while got < self.n_wanted and tries > 0:
            for i in range(8):
                row = self._candidate(mix64(key + (i + 1) * GOLDEN))
                if row is not None:
                    got += 1
                    yield row
            key, tries = key + 8 * GOLDEN, tries - 1
        for i in range(got, self.n_wanted):
            yield "key", key + i * GOLDEN

    def _whatever(self, target: int, key: int) -> int:
        for i in range(TRIES):
            row = draw(self.table, mix64((MASK - (key & MASK)) - i * GOLDEN))
            if row in self.shared_rows or row in self.own:
                self.fallbacks += 1
                return row
        return target

    def _update(self, target: int, inputs: list[int], noise: list[int], alpha: float) -> float:
        if self.only_drawn is not None:
            self.only_drawn += noise
            return 0.0
        self.used |= {target, *noise}
        return super()._update(target, inputs, noise, alpha)

    def _candidate(self, w: int) -> int | None:
        e = draw(self.lane_table, w)
        if e < len(self.every):
            return self.every[e]
        members = self.classes[e - len(self.every)]
        if self.member >= len(members):
            return None
        row = members[self.member]
        return None if row in self.busy else row
