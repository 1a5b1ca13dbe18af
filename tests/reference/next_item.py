"""The next-item model, slow and obvious: the same draws as the C++ core, one example after the other, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sgns import GOLDEN, MASK, alias_table, draw, mix64, stream_state, word

START = 1e-6


@dataclass
class Parameters:
    """What the model learns; AdaGrad's sums beside it."""

    vectors: NDArray[np.float64]
    biases: NDArray[np.float64]
    steps: NDArray[np.float64]
    repeats: NDArray[np.float64]
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.vectors)
        sizes = {"vectors": n, "biases": n, "steps": len(self.steps), "repeats": len(self.steps)}
        self.sums = self.sums or {name: np.full(size, START) for name, size in sizes.items()}


def start(n_items: int, vector_size: int, window: int, decay: float, seed: int) -> Parameters:
    vectors = np.empty((n_items, vector_size))
    for i in range(n_items):
        state = stream_state(seed ^ 0x4E58, i)
        vectors[i] = [(word(state, k) >> 40) / 2**24 - 0.5 for k in range(vector_size)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    steps = np.power(decay, np.arange(window, dtype=np.float64))
    return Parameters(vectors, np.zeros(n_items), steps, np.zeros(window))


def encode(p: Parameters, before: Any, scale: float) -> NDArray[np.float64]:
    """The query of a session, its latest item last."""
    latest = list(before)[::-1][: len(p.steps)]
    total = sum((p.steps[k] * p.vectors[item] for k, item in enumerate(latest)), np.zeros(p.vectors.shape[1]))
    norm = np.linalg.norm(total)
    return scale * total / norm if norm > 1e-6 else 0 * total


def scores(p: Parameters, before: Any, scale: float) -> NDArray[np.float64]:
    """Logits of all items."""
    logits = p.vectors @ encode(p, before, scale) + p.biases
    latest = list(before)[::-1][: len(p.steps)]
    for item in set(latest):
        logits[item] += p.repeats[latest.index(item)]
    return logits


def candidates(before: Any, target: int, window: int, offsets: dict[int, float]) -> dict[int, float]:
    """What stands in the softmax's denominator: item -> what is added to its logit."""
    exact = {target, *list(before)[-window:]}
    return {item: offset for item, offset in offsets.items() if item not in exact} | dict.fromkeys(exact, 0.0)


def loss(p: Parameters, before: Any, target: int, offsets: dict[int, float], scale: float) -> float:
    logits = scores(p, before, scale)
    among = candidates(before, target, len(p.steps), offsets)
    return float(np.log(sum(math.exp(logits[i] + o) for i, o in among.items())) - logits[target])


def gradient(
    p: Parameters, before: Any, target: int, offsets: dict[int, float], scale: float
) -> dict[str, NDArray[np.float64]]:
    """Of one example's loss, by each parameter; that by the vectors lies in the sphere's tangents."""
    g = {name: np.zeros_like(getattr(p, name)) for name in ("vectors", "biases", "steps", "repeats")}
    among = candidates(before, target, len(p.steps), offsets)
    logits = scores(p, before, scale)
    power = {item: math.exp(logits[item] + offset) for item, offset in among.items()}
    total = sum(power.values())
    latest = list(before)[::-1][: len(p.steps)]
    h = encode(p, before, scale)
    by_query = np.zeros_like(h)
    for item, value in power.items():
        c = value / total - (item == target)
        by_query += c * p.vectors[item]
        g["vectors"][item] += c * h
        g["biases"][item] += c
        if item in latest:
            g["repeats"][latest.index(item)] += c
    inner = sum((p.steps[k] * p.vectors[item] for k, item in enumerate(latest)), np.zeros_like(h))
    norm = np.linalg.norm(inner)
    by_sum = (by_query - (by_query @ h) * h / scale**2) * (scale / norm if norm > 1e-6 else 0.0)
    for k, item in enumerate(latest):
        g["vectors"][item] += p.steps[k] * by_sum
        g["steps"][k] += by_sum @ p.vectors[item]
    g["vectors"] -= (g["vectors"] * p.vectors).sum(axis=1, keepdims=True) * p.vectors
    return g


def move(p: Parameters, g: dict[str, NDArray[np.float64]], alpha: float) -> None:
    """AdaGrad, one sum a row; then rows back to length 1."""
    p.sums["vectors"] += (g["vectors"] ** 2).mean(axis=1)
    p.vectors -= alpha * g["vectors"] / np.sqrt(p.sums["vectors"])[:, None]
    p.vectors /= np.linalg.norm(p.vectors, axis=1, keepdims=True)
    for name in ("biases", "steps", "repeats"):
        p.sums[name] += g[name] ** 2
        getattr(p, name)[:] -= alpha * g[name] / np.sqrt(p.sums[name])


def noise(counts: Any, negative: int, exponent: float, key: int, batch: int) -> dict[int, float]:
    """A batch's negatives: item -> log(draws / expected draws)."""
    if negative >= len(counts):
        return dict.fromkeys(range(len(counts)), 0.0)
    weights = [float(c) ** exponent for c in counts]
    table, state = alias_table(weights), stream_state(key, batch)
    drawn: dict[int, int] = {}
    for k in range(negative):
        item = draw(table, word(state, k))
        drawn[item] = drawn.get(item, 0) + 1
    return {i: math.log(m) - math.log(weights[i] / sum(weights) * negative) for i, m in drawn.items()}


def train(
    p: Parameters, sessions: Any, counts: Any, *, negative: int, exponent: float, scale: float, batch: int,
    alpha: float, min_alpha: float, epochs: int, seed: int, weights: Any = None,
) -> list[float]:
    """All epochs; the mean loss of each."""
    losses = []
    for epoch in range(epochs):
        key = mix64(seed ^ mix64(epoch + GOLDEN))
        examples = [(s, t) for s, session in enumerate(sessions) for t in range(1, len(session))]
        state = stream_state(key, MASK)
        for k, i in enumerate(range(len(examples), 1, -1)):
            j = (word(state, k) * i) >> 64
            examples[i - 1], examples[j] = examples[j], examples[i - 1]
        total, mass, batches = 0.0, 0.0, -(-len(examples) // batch)
        for b in range(batches):
            offsets = noise(counts, negative, exponent, key, b)
            g = {name: np.zeros_like(getattr(p, name)) for name in ("vectors", "biases", "steps", "repeats")}
            for s, t in examples[b * batch : (b + 1) * batch]:
                w = 1.0 if weights is None else float(weights[s])
                before, target = sessions[s][:t], sessions[s][t]
                total, mass = total + w * loss(p, before, target, offsets, scale), mass + w
                for name, part in gradient(p, before, target, offsets, scale).items():
                    g[name] += w * part
            move(p, g, alpha + (min_alpha - alpha) * (epoch + b / batches) / epochs)
        losses.append(total / mass)
    return losses
