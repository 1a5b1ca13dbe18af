"""Skip-gram with negative sampling, slow and obvious: the same draws and the same updates as the C++ core.

Random words come from Python ints, one pair of a window after the other, vectors in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
MAX_INPUTS, PIECE, TILE = 16, 1024, 6
AT_ONCE = np.float32(0.8)


def mix64(z: int) -> int:
    z &= MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def stream_state(seed: int, stream: int) -> int:
    return mix64(mix64(seed + GOLDEN) ^ ((stream * 0xD1342543DE82EF95 + GOLDEN) & MASK))


def word(state: int, i: int) -> int:
    return mix64(state + (i + 1) * GOLDEN)


def alias_table(weights: Any) -> tuple[list[int], list[int]]:
    """Vose's table as (thresholds, others), for weights > 0."""
    n, total = len(weights), 0.0
    for weight in weights:
        total += weight
    share = [weight / total * n for weight in weights]
    threshold, other = [2**32 - 1] * n, list(range(n))
    small = [i for i in range(n) if share[i] < 1]
    large = [i for i in range(n) if not share[i] < 1]
    while small and large:
        low, high = small.pop(), large[-1]
        threshold[low], other[low] = min(int(share[low] * 2**32), 2**32 - 1), high
        share[high] -= 1 - share[low]
        if share[high] < 1:
            small.append(large.pop())
    return threshold, other


def draw(table: tuple[list[int], list[int]], w: int) -> int:
    i = ((w >> 32) * len(table[0])) >> 32
    return i if (w & 0xFFFFFFFF) < table[0][i] else table[1][i]


def keep_threshold(count: int, total: int, sample: float) -> int:
    if sample <= 0:
        return 2**32 - 1
    f = count / (sample * total)
    p = (math.sqrt(f) + 1) / f
    return int(p * (2**32 - 1)) if p < 1 else 2**32 - 1


def start_vectors(
    counts: list[int], rounds: float, vector_size: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Items and contexts."""
    items, contexts = np.zeros((len(counts), vector_size)), np.zeros((len(counts), vector_size))
    for i, count in enumerate(counts):
        met = count * rounds / 300
        for rows, key, deviation in ((items, 0x5EED, 0.0003), (contexts, 0xC047, 0.07 * (met if met < 1 else 1 / met))):
            state, side = stream_state(seed ^ key, i), 2 * math.sqrt(3) * deviation
            for k in range(vector_size):
                unit = np.float32(word(state, k) >> 40) * np.float32(2.0**-24)
                rows[i, k] = (unit - np.float32(0.5)) * np.float32(side)
    return items, contexts


@dataclass
class ReferenceSgns:
    """Every option of `train_sgns` that shapes samples or updates."""

    counts: list[int]
    vector_size: int = 8
    window: int | None = 5
    dynamic_window: bool = True
    negative: int = 5
    shared: bool = True
    ns_exponent: float = 0.75
    sample: float = 0.0
    alpha: float = 0.025
    min_alpha: float = 1e-4
    epochs: int = 1
    seed: int = 0
    groups: list[int] | None = None
    group_negative: int = 0
    items: NDArray[np.float64] = field(init=False)
    contexts: NDArray[np.float64] = field(init=False)
    losses: list[float] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        n, total = len(self.counts), sum(self.counts)
        self.items, self.contexts = start_vectors(self.counts, self.epochs, self.vector_size, self.seed)
        logs = [self.ns_exponent * math.log(c) for c in self.counts]
        self.weights = [math.exp(x - max(logs)) for x in logs]
        self.table = alias_table(self.weights)
        self.keep = [keep_threshold(c, total, self.sample) for c in self.counts]
        self.group_tables = {}
        for group in set(self.groups or []):
            members = [i for i in range(n) if self.groups[i] == group]  # type: ignore[index]
            self.group_tables[group] = members, alias_table([self.weights[i] for i in members])

    def fit_stars(self, stars: list[list[int]], targets: list[int]) -> ReferenceSgns:
        """Each item of a star is met by its one target, and by no other item; fewer than PIECE items a star."""
        n_tokens = sum(map(len, stars))
        for epoch in range(self.epochs):
            key = mix64(self.seed ^ mix64(epoch + GOLDEN))
            loss, before = 0.0, 0
            for number, (star, target) in enumerate(zip(stars, targets)):
                share = (epoch + before / n_tokens) / self.epochs
                alpha = self.alpha + (self.min_alpha - self.alpha) * share
                loss += self._target(target, star, mix64(word(stream_state(key, number), 0)), alpha)
                before += len(star)
            self.losses.append(loss / n_tokens)
        return self

    def fit(self, sequences: list[list[int]], global_context: list[int] | None = None) -> ReferenceSgns:
        n_tokens = sum(map(len, sequences))
        for epoch in range(self.epochs):
            key = mix64(self.seed ^ mix64(epoch + GOLDEN))
            loss, pairs, before = 0.0, 0, 0
            for number, sequence in enumerate(sequences):
                state = stream_state(key, number)
                for start in range(0, len(sequence), PIECE):
                    share = (epoch + (before + start) / n_tokens) / self.epochs
                    alpha = self.alpha + (self.min_alpha - self.alpha) * share
                    last = min(start + PIECE, len(sequence))
                    target = -1 if global_context is None else global_context[number]
                    a, b = self._piece(sequence, state, start, last, alpha, target)
                    loss, pairs = loss + a, pairs + b
                before += len(sequence)
            self.losses.append(loss / pairs)
        return self

    def _piece(
        self, sequence: list[int], state: int, start: int, last: int, alpha: float, target: int
    ) -> tuple[float, int]:
        words = [word(state, i) for i in range(len(sequence))]
        kept = [i for i, w in enumerate(words) if (w >> 32) <= self.keep[sequence[i]]]
        loss, pairs = 0.0, 0
        for place, i in enumerate(kept):
            if not start <= i < last:
                continue
            half = len(sequence) if self.window is None else self.window
            if self.window is not None and self.dynamic_window:
                half = 1 + (((words[i] & 0xFFFFFFFF) * self.window) >> 32)
                self.windows.append(half)
            around = kept[max(0, place - half) : place] + kept[place + 1 : place + 1 + half]
            a = self._target(sequence[i], [sequence[j] for j in around], mix64(words[i]), alpha)
            loss, pairs = loss + a, pairs + len(around)
        if target >= 0:
            run: list[int] = []
            ends: list[int | None] = [*(i for i in kept if start <= i < last), None]
            for end in ends:
                if end is not None and sequence[end] != target:
                    run.append(end)
                elif run:
                    loss += self._target(target, [sequence[j] for j in run], mix64(words[run[0]] + GOLDEN), alpha)
                    pairs += len(run)
                    run = []
        return loss, pairs

    def _target(self, target: int, inputs: list[int], key: int, alpha: float) -> float:
        loss, number = 0.0, 0
        step = MAX_INPUTS if self.shared else 1
        for first in range(0, len(inputs), step):
            noise = self._noise(target, key + number * GOLDEN)
            number += self.negative
            self.drawn += noise
            loss += self._update(target, inputs[first : first + step], noise, alpha)
        return loss

    def _noise(self, target: int, key: int) -> list[int]:
        noise = []
        for k in range(self.negative):
            w = mix64(key + (k + 1) * GOLDEN)
            if k < self.group_negative:
                members, table = self.group_tables[self.groups[target]]  # type: ignore[index]
                noise.append(members[draw(table, w)])
            else:
                noise.append(draw(self.table, w))
        return noise

    def _update(self, target: int, inputs: list[int], noise: list[int], alpha: float) -> float:
        outputs, weights = [target], [1.0]
        for item in noise:
            if item == target:
                continue
            if item in outputs:
                weights[outputs.index(item)] += 1
            else:
                outputs.append(item)
                weights.append(1.0)
        # No output goes further at once than AT_ONCE: fewer inputs at a time, then smaller steps.
        heaviest = np.float32(alpha) * np.float32(max(weights))
        if len(inputs) * heaviest <= AT_ONCE * 1.001:
            return self._step(outputs, weights, inputs, alpha)
        together = max(1, int(AT_ONCE / heaviest) // 2 * 2)
        steps = max(1, math.ceil(heaviest / AT_ONCE - 0.001))
        loss = 0.0
        for first in range(0, len(inputs), together):
            losses = [
                self._step(outputs, weights, inputs[first : first + together], alpha / steps) for _ in range(steps)
            ]
            loss += losses[0]
        return loss

    def _step(self, outputs: list[int], weights: list[float], inputs: list[int], alpha: float) -> float:
        w, label = np.array(weights), np.arange(len(outputs)) == 0
        h, o = self.items[inputs].copy(), self.contexts[outputs].copy()
        f = h @ o.T
        loss = float((np.logaddexp(0.0, np.where(label, -f, f)) * w).sum())
        g = alpha * w * (label - 1 / (1 + np.exp(-f)))
        halfway = o.copy()
        halfway[0] += 0.5 * g[:, 0] @ h
        self.contexts[outputs[0]] += g[:, 0] @ h
        # Where an item stands in the window twice, its second turn meets the row that its first has moved, in the last
        # tile of outputs and for the second turn's own shrinking (in the first tile).
        last = (len(outputs) - 1) // TILE * TILE
        for j, item in enumerate(inputs):
            before, now = h[j], self.items[item].copy()
            for t in range(1, len(outputs)):
                self.contexts[outputs[t]] += g[j, t] * (now if t >= last else before)
            shrinking = now if last == 0 else before
            self.items[item] = now + g[j] @ halfway - 0.5 * g[j, 0] ** 2 * shrinking
        return loss
