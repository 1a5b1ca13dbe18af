"""A trainer for skip-gram with negative sampling that reads its sequences block by block.

The arithmetic is C++ (csrc/include/traitcore/sgns.hpp): numba has no vector registers to hold, no prefetch and no
choice of instruction set. This module is the only one that calls it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._progress import Progress
from .._validate import COUNT_MAX, Checks
from ..events.sequences import Sequences
from .sgns_options import SgnsOptions, check_options
from .sgns_report import SgnsReport, SgnsResult

# Held-out loss is always measured with the same draws, so that epochs can be compared: an epoch no training reaches.
_HELD_OUT_EPOCH = 2**63
_CHECK = Checks("SgnsTrainer")
_NO_SEQUENCES = Sequences(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64))


class SgnsTrainer:
    """Training on blocks of sequences that need not be in memory at once (a stream of walks, a log read in parts).

    A block is any `Sequences`; within an epoch, blocks follow each other, and sampling is keyed by (seed, epoch,
    number of the sequence in the epoch), so that cutting an epoch into other blocks draws the same samples.

    Parameters
    ----------
    counts : (n_items,) int, occurrences of each item over one epoch: they shape noise and subsampling. An estimate
        does (degrees, for walks).
    options : SgnsOptions, or None for the defaults.
    epoch_tokens : int or None, tokens in one epoch, which place a block in the learning rate's schedule; None: the
        sum of `counts`.
    first_epoch : epochs of the schedule that have run before: with `start` from a trainer that stopped after 3 of 6
        epochs, first_epoch=3 goes on as if it had not stopped.
    noise_groups : (n_items,) int32 or None: noise items come from the target's own group (market, category), after
        Grbovic & Cheng 2018, "Real-time personalization using embeddings for search ranking at Airbnb".
    group_negative : how many of the `negative` come from the group, the others from all items; None: all of them.
    start : SgnsResult or (item_vectors, context_vectors), (m, vector_size) with m <= n_items: rows to start from;
        rows past m start fresh, so the vocabulary may have grown.

    Raises
    ------
    TypeError, ValueError : a parameter of the wrong type or value.

    See Also
    --------
    train_sgns : the same for sequences in memory, with early stopping.

    Examples
    --------
    >>> import traitcore as tc
    >>> baskets = tc.Sequences.from_lists([[0, 1], [2, 3]] * 200)
    >>> trainer = tc.SgnsTrainer(baskets.token_counts(), tc.SgnsOptions(vector_size=8, epochs=2, sample=0.0))
    >>> for _ in range(2):
    ...     trainer.train_block(baskets)
    ...     loss = trainer.end_epoch()
    >>> trainer.result().item_vectors.shape
    (4, 8)
    """

    def __init__(
        self,
        counts: Any,
        options: SgnsOptions | None = None,
        *,
        epoch_tokens: int | None = None,
        first_epoch: int = 0,
        noise_groups: Any = None,
        group_negative: int | None = None,
        start: SgnsResult | tuple[Any, Any] | None = None,
    ) -> None:
        check = _CHECK
        self.options = options = check_options(options, check)
        counts = check.array("counts", counts, dtype=np.int64, shape=(None,), nonnegative=True)
        self.n_items = check.integer("n_items", len(counts), 1, 2**31 - 1)
        self.epoch = self._first_epoch = check.integer("first_epoch", first_epoch, 0, options.epochs)
        self.workers = check.workers(options.workers)
        n_tokens = max(int(counts.sum()), 1)
        self._epoch_tokens = n_tokens
        if epoch_tokens is not None:
            self._epoch_tokens = check.integer("epoch_tokens", epoch_tokens, 1, COUNT_MAX)
        groups, from_group = self._check_groups(noise_groups, group_negative)
        rounds = options.epochs * self._epoch_tokens / n_tokens
        self._model = _new_model(options, counts, groups, from_group, rounds)
        if start is not None:
            self._start_from(start, options.vector_size)
        self._losses: list[float] = []
        self._loss, self._pairs, self._sequences, self._tokens = 0.0, 0, 0, 0
        self._total_tokens, self._total_kept, self._total_pairs, self._seconds = 0, 0, 0, 0.0
        self._interrupted = False

    def train_block(
        self, sequences: Sequences, *, global_context: Any = None, progress: Progress | None = None
    ) -> None:
        """Train on the next sequences of the epoch.

        With parallel='reproducible' the last few thousand tokens of a block may wait for the next block, or for
        `end_epoch`, so that the blocks' ends make no difference.

        sequences : their tokens are item rows in [0, n_items).
        global_context : (n_sequences,) int32 or None: an item (the one that was bought) that is a further target for
            every other item of the sequence, whatever the distance (Grbovic & Cheng 2018, section 4.1); -1 for none.
        progress : called as progress("sgns", tokens done, tokens in all), about every 50 ms, from this thread.

        Ctrl-C raises KeyboardInterrupt within a fraction of a second; `result()` then has the vectors as of then.

        Raises
        ------
        ValueError : a token that is not an item, more epochs than planned, or a training that diverged.
        """
        if self.epoch >= self.options.epochs:
            raise ValueError(f"SgnsTrainer has run its {self.options.epochs} epochs; plan more with 'epochs'.")
        self._train_block(sequences, self._check_block(sequences, global_context), None, progress)

    def _train_block(
        self, sequences: Sequences, context: NDArray[np.int32] | None, targets: NDArray[np.int32] | None,
        progress: Progress | None,
    ) -> None:
        """`train_block` of checked arrays; with `targets` (n_sequences,) each item of a sequence is met by its one
        target, and by no other item: in order, on one thread, unless parallel is 'hogwild'."""
        all_tokens, before = self.options.epochs * self._epoch_tokens, self.epoch * self._epoch_tokens

        def report(handed: int) -> None:
            if progress is not None:
                progress("sgns", min(before + self._tokens + handed, all_tokens), all_tokens)

        self._train(sequences, context, targets, last=False, progress=None if progress is None else report)
        self._total_tokens += sequences.n_tokens
        self._sequences += len(sequences)
        self._tokens += sequences.n_tokens
        report(0)

    def _train(
        self, sequences: Sequences, context: NDArray[np.int32] | None, targets: NDArray[np.int32] | None, *, last: bool,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        before = self.epoch * self._epoch_tokens
        began = time.perf_counter()
        loss, pairs, kept, error = self._model.train(
            tokens=sequences.tokens,
            offsets=sequences.offsets,
            global_context=context,
            targets=targets,
            epoch=self.epoch,
            first_sequence=self._sequences,
            schedule_first=before + self._tokens,
            schedule_stop=before + self._epoch_tokens,
            schedule_total=self.options.epochs * self._epoch_tokens,
            last=last,
            workers=self.workers,
            update=True,
            progress=progress,
        )
        self._seconds += time.perf_counter() - began
        self._loss += loss
        self._pairs += pairs
        self._total_pairs += pairs
        self._total_kept += kept
        if error is not None:
            self._interrupted = True
            raise error

    def end_epoch(self) -> float:
        """Close the epoch: train what waits (see `train_block`), and return its mean log-loss per positive pair (NaN
        when it had no pair).

        Raises
        ------
        ValueError : the loss is more than twice that of chance (`alpha` is too large), or no epoch had a pair.
        """
        self._train(_NO_SEQUENCES, None, None, last=True)
        self._losses.append(self._loss / self._pairs if self._pairs else float("nan"))
        self._loss, self._pairs, self._sequences, self._tokens = 0.0, 0, 0, 0
        self.epoch += 1
        chance = (1 + self.options.negative) * np.log(2.0)
        if self._losses[-1] > 2 * chance:
            raise ValueError(
                f"SGNS training diverged: the loss is {self._losses[-1]:.3g} in epoch {self.epoch}, where chance is "
                f"{chance:.3g}. A smaller 'alpha' than {self.options.alpha:g} is needed."
            )
        if self.epoch == self.options.epochs:
            self.require_pairs()
        return self._losses[-1]

    def require_pairs(self) -> None:
        """ValueError where epochs have run and none had a pair of items."""
        if self._losses and self._total_pairs == 0:
            raise NoPairLeft(no_pair_message("sequences", _CHECK, "none, after subsampling"))

    def evaluate(self, sequences: Sequences) -> float:
        """Mean log-loss per positive pair over other sequences, no updates, always with the same draws."""
        self._check_block(sequences, None)
        loss, pairs, _, error = self._model.train(
            tokens=sequences.tokens,
            offsets=sequences.offsets,
            global_context=None,
            targets=None,
            epoch=_HELD_OUT_EPOCH,
            first_sequence=0,
            schedule_first=0,
            schedule_stop=0,
            schedule_total=0,
            last=True,
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
        options, loss = self.options, tuple(self._losses)

        def rate(epoch: float) -> float:
            return options.alpha + (options.min_alpha - options.alpha) * epoch / options.epochs

        reached = self.epoch + min(self._tokens, self._epoch_tokens) / self._epoch_tokens
        report = SgnsReport(
            finished=self.epoch >= options.epochs and not self._interrupted,
            epochs=len(loss),
            loss=loss,
            held_out_loss=(),
            best_epoch=None,
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
        negative = self.options.negative
        if groups is None:
            if group_negative is not None:
                rule = "None where 'noise_groups' is None"
                raise _CHECK.value_error("group_negative", rule, group_negative)
            return None, 0
        groups = _CHECK.array("noise_groups", groups, dtype=np.int32, shape=(self.n_items,))
        if group_negative is None:
            return groups, negative
        return groups, _CHECK.integer("group_negative", group_negative, 0, negative)

    def _check_block(self, sequences: Sequences, global_context: Any) -> NDArray[np.int32] | None:
        if not isinstance(sequences, Sequences):
            raise _CHECK.type_error("sequences", "a Sequences", sequences)
        if sequences.largest_token() >= self.n_items:
            place = int(np.argmax(sequences.tokens >= self.n_items))
            rule = f"Sequences of tokens in [0, {self.n_items})"
            raise _CHECK.value_error("sequences", rule, f"{sequences.tokens[place]} at {place}")
        if global_context is None:
            return None
        context = _CHECK.array("global_context", global_context, dtype=np.int32, shape=(len(sequences),))
        if len(context) and (context.min() < -1 or context.max() >= self.n_items):
            place = int(np.argmax((context < -1) | (context >= self.n_items)))
            rule = f"items in [0, {self.n_items}), or -1 for none"
            raise _CHECK.value_error("global_context", rule, f"{context[place]} at {place}")
        return context

    def _start_from(self, start: SgnsResult | tuple[Any, Any], vector_size: int) -> None:
        given: Any = (start.item_vectors, start.context_vectors) if isinstance(start, SgnsResult) else start
        if not isinstance(given, tuple) or len(given) != 2:
            rule = "an SgnsResult or a pair (item_vectors, context_vectors)"
            raise _CHECK.type_error("start", rule, start)
        kept = [
            _CHECK.array(f"start[{i}]", a, dtype=np.float32, shape=(None, vector_size))
            for i, a in enumerate(given)
        ]
        if len(kept[0]) != len(kept[1]) or len(kept[0]) > self.n_items:
            rule = f"two arrays of equally many rows, at most n_items ({self.n_items})"
            raise _CHECK.value_error("start", rule, f"{len(kept[0])} and {len(kept[1])} rows")
        self._model.item_vectors()[: len(kept[0])] = kept[0]
        self._model.context_vectors()[: len(kept[1])] = kept[1]


def _new_model(
    options: SgnsOptions, counts: NDArray[np.int64], groups: NDArray[np.int32] | None, group_negative: int,
    rounds: float,
) -> _core.SgnsModel:
    """The native trainer; over all epochs each item is met `rounds` times its count."""
    return _core.SgnsModel(
        counts=counts,
        groups=groups,
        vector_size=options.vector_size,
        window=0 if options.window is None else options.window,
        dynamic_window=options.dynamic_window,
        negative=options.negative,
        group_negative=group_negative,
        shared=options.negatives == "shared",
        sample=options.sample,
        ns_exponent=options.ns_exponent,
        alpha=options.alpha,
        min_alpha=options.min_alpha,
        seed=options.seed,
        rounds=rounds,
        reproducible=options.parallel == "reproducible",
    )


def require_pairs(name: str, sequences: Sequences, check: Checks) -> None:
    """Refuse sequences without any pair of items: nothing could be learned from them, or measured."""
    longest = int(np.diff(sequences.offsets).max(initial=0))
    if longest < 2:
        raise ValueError(no_pair_message(name, check, f"sequences of at most {longest}"))


class NoPairLeft(ValueError):
    """Subsampling dropped so many tokens that no pair of items is left."""


def no_pair_message(name: str, check: Checks, got: str) -> str:
    """The sentence of both refusals."""
    rule = "Sequences with at least one pair of items: longer ones, or a smaller 'sample', which drops frequent items"
    return check.message(name, rule, got)
