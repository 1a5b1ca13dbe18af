"""Skip-gram with negative sampling over token sequences: item vectors and context vectors.

Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality"; for items Barkan &
Koenigstein 2016, "Item2vec". The arithmetic is C++ (csrc/include/traitcore/sgns.hpp): numba has no vector registers to
hold, no prefetch and no choice of instruction set. This module is the only one that calls it.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._errors import parameter_message
from .._parallel import resolve_workers
from .._progress import Progress
from .._validate import COUNT_MAX, check_array, check_bool, check_choice, check_int, check_real, check_seed
from ..events.sequences import Sequences

# Held-out loss is always measured with the same draws, so that epochs can be compared: an epoch no training reaches.
_HELD_OUT_EPOCH = 2**63


@dataclass(frozen=True)
class SgnsReport:
    """What a training did.

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


class SgnsTrainer:
    """Training on blocks of sequences that need not be in memory at once (a stream of walks, a log read in parts).

    Parameters as of `train_sgns`, and

    counts : (n_items,) int, occurrences of each item over one epoch: they shape noise and subsampling. An estimate
        does (degrees, for walks).
    epoch_tokens : int or None, tokens in one epoch, which place a block in the learning rate's schedule; None: the
        sum of `counts`.

    A block is any `Sequences`; within an epoch, blocks follow each other, and sampling is keyed by (seed, epoch,
    number of the sequence in the epoch), so that cutting an epoch into other blocks draws the same samples.

        trainer = SgnsTrainer(counts, vector_size=64, epochs=2)
        for _ in range(2):
            for block in blocks():
                trainer.train_block(block)
            trainer.end_epoch()
        result = trainer.result()
    """

    def __init__(
        self,
        counts: Any,
        *,
        epoch_tokens: int | None = None,
        vector_size: int = 64,
        window: int | None = 5,
        dynamic_window: bool = True,
        negative: int = 5,
        negatives: str = "shared",
        ns_exponent: float = 0.75,
        sample: float = 1e-3,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        epochs: int = 5,
        first_epoch: int = 0,
        workers: int = 1,
        seed: int = 0,
        noise_groups: Any = None,
        group_negative: int | None = None,
        start: SgnsResult | tuple[Any, Any] | None = None,
        owner: str = "SgnsTrainer",
    ) -> None:
        counts = check_array("counts", owner, counts, dtype=np.int64, shape=(None,))
        if len(counts) and counts.min() < 0:
            place = int(np.argmax(counts < 0))
            raise ValueError(parameter_message("counts", owner, "non-negative", f"{counts[place]} at {place}"))
        self._owner = owner
        self.n_items = check_int("n_items", owner, len(counts), 1, 2**31 - 1)
        self.negative = check_int("negative", owner, negative, 1, 1000)
        self.epochs = check_int("epochs", owner, epochs, 1)
        self.epoch = check_int("first_epoch", owner, first_epoch, 0, self.epochs)
        self.workers = resolve_workers(workers, owner)
        self._alpha = check_real("alpha", owner, alpha, 0.0, open_low=True)
        self._min_alpha = check_real("min_alpha", owner, min_alpha, 0.0, self._alpha)
        if epoch_tokens is None:
            epoch_tokens = max(int(counts.sum()), 1)
        self._epoch_tokens = check_int("epoch_tokens", owner, epoch_tokens, 1, COUNT_MAX)
        groups, from_group = self._check_groups(noise_groups, group_negative)
        self._model = _core.SgnsModel(
            counts=counts,
            groups=groups,
            vector_size=check_int("vector_size", owner, vector_size, 1, 2**20),
            window=0 if window is None else check_int("window", owner, window, 1),
            dynamic_window=check_bool("dynamic_window", owner, dynamic_window),
            negative=self.negative,
            group_negative=from_group,
            shared=check_choice("negatives", owner, negatives, ("shared", "fresh")) == "shared",
            sample=check_real("sample", owner, sample, 0.0),
            ns_exponent=check_real("ns_exponent", owner, ns_exponent, -np.inf),
            alpha=self._alpha,
            min_alpha=self._min_alpha,
            seed=check_seed("seed", owner, seed),
            rounds=self.epochs * self._epoch_tokens / max(int(counts.sum()), 1),
        )
        if start is not None:
            self._start_from(start, vector_size)
        self._first_epoch = self.epoch
        self._losses: list[float] = []
        self._loss, self._pairs, self._sequences, self._tokens = 0.0, 0, 0, 0
        self._total_tokens, self._total_kept, self._total_pairs, self._seconds = 0, 0, 0, 0.0
        self._interrupted = False

    def train_block(
        self, sequences: Sequences, *, global_context: Any = None, progress: Progress | None = None
    ) -> None:
        """Train on the next sequences of the epoch; `global_context` (n_sequences,) int32 as of `train_sgns`.

        Ctrl-C raises KeyboardInterrupt within a fraction of a second; `result()` then has the vectors as of then.

        Raises
        ------
        ValueError : a token that is not an item, more epochs than planned, or a training that diverged.
        """
        if self.epoch >= self.epochs:
            raise ValueError(f"SgnsTrainer has run its {self.epochs} epochs; plan more with 'epochs'.")
        context = self._check_block(sequences, global_context)
        all_tokens, before = self.epochs * self._epoch_tokens, self.epoch * self._epoch_tokens
        done = min(self._tokens, self._epoch_tokens)
        stop = min(self._tokens + sequences.n_tokens, self._epoch_tokens)

        def report(handed: int) -> None:
            if progress is not None:
                progress("sgns", min(before + self._tokens + handed, all_tokens), all_tokens)

        began = time.perf_counter()
        loss, pairs, kept, error = self._model.train(
            tokens=sequences.tokens,
            offsets=sequences.offsets,
            global_context=context,
            epoch=self.epoch,
            first_sequence=self._sequences,
            schedule_start=(before + done) / all_tokens,
            schedule_stop=(before + stop) / all_tokens,
            workers=self.workers,
            update=True,
            progress=None if progress is None else report,
        )
        self._seconds += time.perf_counter() - began
        self._loss += loss
        self._pairs += pairs
        self._total_pairs += pairs
        self._total_kept += kept
        if error is not None:
            self._interrupted = True
            raise error
        self._total_tokens += sequences.n_tokens
        self._sequences += len(sequences)
        self._tokens += sequences.n_tokens
        report(0)

    def end_epoch(self) -> float:
        """Close the epoch; its mean log-loss per positive pair (NaN when it had no pair).

        Raises
        ------
        ValueError : the loss is more than twice that of chance (`alpha` is too large), or no epoch had a pair.
        """
        self._losses.append(self._loss / self._pairs if self._pairs else float("nan"))
        self._loss, self._pairs, self._sequences, self._tokens = 0.0, 0, 0, 0
        self.epoch += 1
        chance = (1 + self.negative) * np.log(2.0)
        if self._losses[-1] > 2 * chance:
            raise ValueError(
                f"SGNS training diverged: the loss is {self._losses[-1]:.3g} in epoch {self.epoch}, where chance is "
                f"{chance:.3g}. A smaller 'alpha' than {self._alpha:g} is needed."
            )
        if self.epoch == self.epochs:
            self._require_pairs()
        return self._losses[-1]

    def _require_pairs(self) -> None:
        if self._losses and self._total_pairs == 0:
            raise _NoPairLeft(_no_pair("sequences", self._owner, "none, after subsampling"))

    def evaluate(self, sequences: Sequences) -> float:
        """Mean log-loss per positive pair over other sequences, no updates, always with the same draws."""
        self._check_block(sequences, None)
        loss, pairs, _, error = self._model.train(
            tokens=sequences.tokens,
            offsets=sequences.offsets,
            global_context=None,
            epoch=_HELD_OUT_EPOCH,
            first_sequence=0,
            schedule_start=0.0,
            schedule_stop=0.0,
            workers=self.workers,
            update=False,
            progress=None,
        )
        if error is not None:
            self._interrupted = True
            raise error
        return loss / pairs if pairs else float("nan")

    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Copies of the item vectors and the context vectors as of now."""
        return self._model.item_vectors().copy(), self._model.context_vectors().copy()

    def result(self) -> SgnsResult:
        """The vectors and the report. The arrays are the trainer's own memory: training on would change them."""
        return self._result((), None, self.epoch >= self.epochs)

    def _result(self, held_out: tuple[float, ...], best_epoch: int | None, complete: bool) -> SgnsResult:
        def rate(epoch: float) -> float:
            return self._alpha + (self._min_alpha - self._alpha) * epoch / self.epochs

        loss = tuple(self._losses)
        reached = self.epoch + min(self._tokens, self._epoch_tokens) / self._epoch_tokens
        report = SgnsReport(
            finished=complete and not self._interrupted,
            epochs=len(loss),
            loss=loss,
            held_out_loss=held_out,
            best_epoch=best_epoch,
            alpha=(rate(self._first_epoch), rate(reached)),
            tokens=self._total_tokens,
            kept_tokens=self._total_kept,
            pairs=self._total_pairs,
            seconds=self._seconds,
            pairs_per_second=self._total_pairs / self._seconds if self._seconds else 0.0,
            workers=self.workers,
            simd_level=_core.simd_level(),
        )
        return SgnsResult(self._model.item_vectors(), self._model.context_vectors(), loss, report)

    def _check_groups(self, groups: Any, group_negative: int | None) -> tuple[NDArray[np.int32] | None, int]:
        owner = self._owner
        if groups is None:
            if group_negative is not None:
                rule = "None where 'noise_groups' is None"
                raise ValueError(parameter_message("group_negative", owner, rule, group_negative))
            return None, 0
        groups = check_array("noise_groups", owner, groups, dtype=np.int32, shape=(self.n_items,))
        if group_negative is None:
            return groups, self.negative
        return groups, check_int("group_negative", owner, group_negative, 0, self.negative)

    def _check_block(self, sequences: Sequences, global_context: Any) -> NDArray[np.int32] | None:
        if not isinstance(sequences, Sequences):
            raise TypeError(parameter_message("sequences", self._owner, "a Sequences", sequences))
        if sequences.largest_token() >= self.n_items:
            place = int(np.argmax(sequences.tokens >= self.n_items))
            rule = f"Sequences of tokens in [0, {self.n_items})"
            raise ValueError(parameter_message("sequences", self._owner, rule, f"{sequences.tokens[place]} at {place}"))
        if global_context is None:
            return None
        context = check_array("global_context", self._owner, global_context, dtype=np.int32, shape=(len(sequences),))
        if len(context) and (context.min() < -1 or context.max() >= self.n_items):
            place = int(np.argmax((context < -1) | (context >= self.n_items)))
            rule = f"items in [0, {self.n_items}), or -1 for none"
            raise ValueError(parameter_message("global_context", self._owner, rule, f"{context[place]} at {place}"))
        return context

    def _start_from(self, start: SgnsResult | tuple[Any, Any], vector_size: int) -> None:
        given: Any = (start.item_vectors, start.context_vectors) if isinstance(start, SgnsResult) else start
        if not isinstance(given, tuple) or len(given) != 2:
            rule = "an SgnsResult or a pair (item_vectors, context_vectors)"
            raise TypeError(parameter_message("start", self._owner, rule, start))
        kept = [
            check_array(f"start[{i}]", self._owner, a, dtype=np.float32, shape=(None, vector_size))
            for i, a in enumerate(given)
        ]
        if len(kept[0]) != len(kept[1]) or len(kept[0]) > self.n_items:
            rule = f"two arrays of equally many rows, at most n_items ({self.n_items})"
            raise ValueError(parameter_message("start", self._owner, rule, f"{len(kept[0])} and {len(kept[1])} rows"))
        self._model.item_vectors()[: len(kept[0])] = kept[0]
        self._model.context_vectors()[: len(kept[1])] = kept[1]


def train_sgns(
    sequences: Sequences,
    *,
    n_items: int | None = None,
    vector_size: int = 64,
    window: int | None = 5,
    dynamic_window: bool = True,
    negative: int = 5,
    negatives: str = "shared",
    ns_exponent: float = 0.75,
    sample: float = 1e-3,
    alpha: float = 0.025,
    min_alpha: float = 1e-4,
    epochs: int = 5,
    first_epoch: int = 0,
    stop_epoch: int | None = None,
    workers: int = 1,
    seed: int = 0,
    counts: Any = None,
    noise_groups: Any = None,
    group_negative: int | None = None,
    global_context: Any = None,
    held_out: Sequences | None = None,
    patience: int | None = None,
    start: SgnsResult | tuple[Any, Any] | None = None,
    progress: Progress | None = None,
) -> SgnsResult:
    """Item and context vectors by skip-gram with negative sampling.

    Each token of a sequence is a target for the items within its window: the item's vector learns to predict the
    target's context vector against `negative` noise items. So item @ context scores "what goes with it", item @ item
    "what is like it".

    Parameters
    ----------
    sequences : Sequences whose tokens are item rows in [0, n_items).
    n_items : number of items; None: one past the largest token. Rows in order of falling count train fastest.
    vector_size : components of a vector; multiples of 16 are fastest.
    window : context items to each side; None: the whole sequence (item2vec's baskets; cost is quadratic in length).
    dynamic_window : True: each target's reach is uniform in 1 ... window (word2vec); False: always `window`.
    negative : noise items for each positive.
    negatives : 'shared': drawn once for a target's window (at most 16 contexts); 'fresh': for each pair (word2vec).
        A noise item that equals the target is skipped.
    ns_exponent : noise is drawn in proportion to counts ** ns_exponent; any real number, 0 is uniform over the items
        that occur, negative favours the rare (Caselles-Dupre et al. 2018, "Word2vec applied to recommendation").
    sample : subsampling of frequent items, as a frequency; 0 keeps every token.
    alpha, min_alpha : learning rate, linear from `alpha` to `min_alpha` over `epochs`.
    epochs, first_epoch, stop_epoch : the schedule is `epochs` long; the epochs [first_epoch, stop_epoch) of it run.
        Three epochs with epochs=6, stop_epoch=3, then start=result, first_epoch=3 equal six in one go.
    workers : threads; -1 for all cores. 1: the same bytes for the same seed and instruction set. More: Hogwild,
        the same quality, not the same bytes.
    seed : sampling is keyed by (seed, epoch, sequence, place), the initial vectors by (seed, row). Context vectors
        start at random, with a standard deviation of 0.07 in each component for items that the training will meet 300
        times and in proportion less for rarer and for more frequent ones; item vectors with one of 0.0003, so that no
        chance stays in them (word2vec starts items at random and contexts at zero).
    counts : (n_items,) int occurrences that shape noise and subsampling; None: those of `sequences`.
    noise_groups : (n_items,) int32 or None: noise items come from the target's own group (market, category), after
        Grbovic & Cheng 2018, "Real-time personalization using embeddings for search ranking at Airbnb".
    group_negative : how many of the `negative` come from the group, the others from all items; None: all of them.
    global_context : (n_sequences,) int32 or None: an item (the one that was bought) that is a further target for
        every other item of the sequence, whatever the distance (same paper, section 4.1); -1 for none.
    held_out : Sequences to measure the loss on after each epoch.
    patience : stop when the held-out loss hasn't improved for so many epochs, and keep the best epoch's vectors (a
        copy of both matrices is held meanwhile). Needs `held_out`.
    start : SgnsResult or (item_vectors, context_vectors), (m, vector_size) with m <= n_items: rows to start from;
        rows past m start fresh, so the vocabulary may have grown.
    progress : called as progress("sgns", tokens done, tokens in all), about every 50 ms, from this thread.

    Raises
    ------
    TypeError, ValueError : a parameter of the wrong type or value, a training or a held-out set without any pair of
        items, or a training that diverged (alpha too large).
    TrainingInterrupted : Ctrl-C, within a fraction of a second; its `.result` has the vectors as of then.
    """
    return _train("train_sgns", **locals())


def require_pairs(name: str, sequences: Sequences, owner: str) -> None:
    """Refuse a corpus in which no item stands beside another: nothing could be learned of it, nor measured on it."""
    longest = int(np.diff(sequences.offsets).max(initial=0))
    if longest < 2:
        raise ValueError(_no_pair(name, owner, f"sequences of at most {longest}"))


class _NoPairLeft(ValueError):
    """Subsampling dropped so many tokens that no item stands beside another."""


def _no_pair(name: str, owner: str, got: str) -> str:
    rule = "Sequences with at least one pair of items: longer ones, or a smaller 'sample', which drops frequent items"
    return parameter_message(name, owner, rule, got)


def _train(owner: str, **arguments: Any) -> SgnsResult:
    """Train; without subsampling, and with a warning, where that would leave nothing to train on.

    So it is in a shop of a few items, each of which is far more frequent than `sample`.
    """
    try:
        return _train_sampled(owner, **arguments)
    except _NoPairLeft:
        warnings.warn(
            f"{owner} was trained with sample=0: sample={arguments['sample']:g} keeps no pair of so few items.",
            stacklevel=3,
        )
    return _train_sampled(owner, **{**arguments, "sample": 0.0})


def _train_sampled(
    owner: str,
    *,
    sequences: Sequences,
    n_items: int | None,
    counts: Any,
    epochs: int,
    first_epoch: int,
    stop_epoch: int | None,
    global_context: Any,
    held_out: Sequences | None,
    patience: int | None,
    progress: Progress | None,
    **options: Any,
) -> SgnsResult:
    if not isinstance(sequences, Sequences):
        raise TypeError(parameter_message("sequences", owner, "a Sequences", sequences))
    largest = sequences.largest_token() + 1
    if n_items is None:
        n_items = sequences.vocabulary_size(owner) if counts is None else len(counts)
    n_items = check_int("n_items", owner, n_items, 0, 2**31 - 1)
    if sequences.n_tokens == 0 or n_items == 0:
        raise ValueError(parameter_message("sequences", owner, "at least one token", "an empty corpus"))
    if largest > n_items:
        place = int(np.argmax(sequences.tokens >= n_items))
        rule = f"Sequences of tokens in [0, {n_items})"
        raise ValueError(parameter_message("sequences", owner, rule, f"{sequences.tokens[place]} at {place}"))
    if counts is None:
        counts = sequences.token_counts(n_items)
    counts = check_array("counts", owner, counts, dtype=np.int64, shape=(n_items,))
    epochs = check_int("epochs", owner, epochs, 1)
    stop = epochs if stop_epoch is None else check_int("stop_epoch", owner, stop_epoch, 0, epochs)
    if patience is not None:
        patience = check_int("patience", owner, patience, 1)
        if held_out is None:
            raise ValueError(parameter_message("patience", owner, "None where 'held_out' is None", patience))
    if global_context is None:
        require_pairs("sequences", sequences, owner)
    if held_out is not None and isinstance(held_out, Sequences):
        require_pairs("held_out", held_out, owner)
    trainer = SgnsTrainer(
        counts, epoch_tokens=sequences.n_tokens, epochs=epochs, first_epoch=first_epoch, owner=owner, **options
    )
    held_losses: list[float] = []
    best: tuple[int, NDArray[np.float32], NDArray[np.float32]] | None = None
    try:
        while trainer.epoch < stop:
            trainer.train_block(sequences, global_context=global_context, progress=progress)
            trainer.end_epoch()
            if held_out is None:
                continue
            held_losses.append(trainer.evaluate(held_out))
            if np.isnan(held_losses[-1]):
                raise _NoPairLeft(_no_pair("held_out", owner, "none, after subsampling"))
            if patience is None:
                continue
            if best is None or held_losses[-1] < held_losses[best[0]]:
                best = (len(held_losses) - 1, *trainer.vectors())
            elif len(held_losses) - 1 - best[0] >= patience:
                break
    except KeyboardInterrupt as error:
        trainer._interrupted = True
        raise TrainingInterrupted(trainer._result(tuple(held_losses), None, False)) from error
    trainer._require_pairs()
    if best is None:
        return trainer._result(tuple(held_losses), None, True)
    result = trainer._result(tuple(held_losses), trainer._first_epoch + best[0], True)
    return SgnsResult(best[1], best[2], result.loss, result.report)
