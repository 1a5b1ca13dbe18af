"""The result of a training with negative sampling: vectors and a report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SgnsReport:
    """How a training went.

    Attributes
    ----------
    finished : every planned epoch ran, or early stopping ended the training; False after Ctrl-C.
    epochs : number of epochs that ran to their end.
    loss : mean log-loss per positive pair by epoch: -log s(positive) - sum of log s(-negative) over its negatives,
        in nats, each pair's loss taken before its own update. (1 + negative) * log 2 is chance.
    held_out_loss : the same over the held-out sequences after each epoch, without updates; empty without any.
    best_epoch : the epoch whose vectors were kept by early stopping, counted from 0; None without `patience`.
    alpha : learning rate at the start and at the end of what ran.
    tokens, kept_tokens, pairs : tokens read, tokens that subsampling kept and positive pairs, over all epochs.
    seconds, pairs_per_second : wall-clock time in the trainer, and the rate.
    workers, simd_level : threads used, and the instruction set ('baseline', 'avx2' or 'avx512').
    """

    finished: bool
    epochs: int
    loss: tuple[float, ...]
    held_out_loss: tuple[float, ...]
    best_epoch: int | None
    alpha: tuple[float, float]
    tokens: int
    kept_tokens: int
    pairs: int
    seconds: float
    pairs_per_second: float
    workers: int
    simd_level: str


@dataclass(frozen=True, eq=False)
class SgnsResult:
    """`item_vectors` and `context_vectors`, (n_items, vector_size) float32; `loss` by epoch; and the report."""

    item_vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32]
    loss: tuple[float, ...]
    report: SgnsReport


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training. `result` holds the vectors as of then; its report says finished=False."""

    def __init__(self, result: SgnsResult) -> None:
        super().__init__("training interrupted; the vectors as of then are in .result")
        self.result = result
