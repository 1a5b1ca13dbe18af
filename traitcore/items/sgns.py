"""Skip-gram with negative sampling over token sequences: item vectors and context vectors.

Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality"; for items Barkan &
Koenigstein 2016, "Item2vec".
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import on_behalf_of
from .._progress import Progress
from .._validate import Checks
from ..events.sequences import Sequences
from .sgns_options import SgnsOptions, check_options
from .sgns_report import SgnsResult, TrainingInterrupted
from .sgns_trainer import NoPairLeft, SgnsTrainer, no_pair_message, require_pairs

_CHECK = Checks("train_sgns")


def train_sgns(
    sequences: Sequences,
    options: SgnsOptions | None = None,
    *,
    n_items: int | None = None,
    held_out: Sequences | None = None,
    patience: int | None = None,
    start: SgnsResult | tuple[Any, Any] | None = None,
    progress: Progress | None = None,
) -> SgnsResult:
    """Item and context vectors by skip-gram with negative sampling.

    Each token of a sequence is a target for the items within its window: the item's vector learns to predict the
    target's context vector against noise items. So item @ context scores what goes with an item, item @ item what is
    similar to it. Where subsampling would drop every pair, as it can in a shop of a few items, the training runs
    without it, and a warning says so.

    Parameters
    ----------
    sequences : Sequences whose tokens are item rows in [0, n_items).
    options : SgnsOptions, or None for the defaults.
    n_items : number of items; None: one past the largest token. Rows in order of falling count train fastest.
    held_out : Sequences to measure the loss on after each epoch.
    patience : stop when the held-out loss hasn't improved for so many epochs, and keep the best epoch's vectors (a
        copy of both matrices is held meanwhile). Needs `held_out`.
    start : SgnsResult or (item_vectors, context_vectors), (m, vector_size) with m <= n_items: rows to start from;
        rows past m start fresh, so the vocabulary may have grown.
    progress : called as progress("sgns", tokens done, tokens in all), about every 50 ms, from this thread.

    Returns
    -------
    SgnsResult : item_vectors and context_vectors (n_items, vector_size) float32, the loss by epoch, and a report.

    Raises
    ------
    TypeError, ValueError : a parameter of the wrong type or value, a training or a held-out set without any pair of
        items, or a training that diverged (alpha too large).
    TrainingInterrupted : Ctrl-C, within a fraction of a second; its `.result` has the vectors as of then.

    See Also
    --------
    Item2Vec : the estimator. SgnsTrainer : sequences block by block, noise by group, a global context.

    References
    ----------
    Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality".
    Barkan & Koenigstein 2016, "Item2vec: neural item embedding for collaborative filtering".

    Examples
    --------
    >>> import traitcore as tc
    >>> baskets = tc.Sequences.from_lists([[0, 1], [2, 3]] * 200)
    >>> result = tc.train_sgns(baskets, tc.SgnsOptions(vector_size=8, epochs=20, sample=0.0))
    >>> (result.item_vectors @ result.context_vectors.T).argmax(axis=1).tolist()  # what goes with each item
    [1, 0, 3, 2]
    """
    with on_behalf_of(_CHECK.caller):
        return train(sequences, options, n_items, held_out, patience, start, progress)


def train(
    sequences: Sequences,
    options: SgnsOptions | None,
    n_items: int | None,
    held_out: Sequences | None,
    patience: int | None,
    start: SgnsResult | tuple[Any, Any] | None,
    progress: Progress | None,
) -> SgnsResult:
    """`train_sgns` for it and for `Item2Vec`: its warning points to the line that called them."""
    options = check_options(options, _CHECK)
    patience = _check_patience(patience, held_out)
    n_items = _check_corpus(sequences, n_items)
    require_pairs("sequences", sequences, _CHECK)
    if held_out is not None:
        if not isinstance(held_out, Sequences):
            raise _CHECK.type_error("held_out", "a Sequences or None", held_out)
        require_pairs("held_out", held_out, _CHECK)
    counts = sequences.token_counts(n_items)

    def run(options: SgnsOptions) -> SgnsResult:
        trainer = SgnsTrainer(counts, options, epoch_tokens=sequences.n_tokens, start=start)
        return _run(trainer, sequences, held_out, patience, progress)

    try:
        return run(options)
    except NoPairLeft:
        warnings.warn(
            f"Training runs with sample=0: sample={options.sample:g} keeps no pair of so few items.", stacklevel=3
        )
    return run(replace(options, sample=0.0))


def _check_patience(patience: int | None, held_out: Sequences | None) -> int | None:
    if patience is None:
        return None
    patience = _CHECK.integer("patience", patience, 1)
    if held_out is None:
        raise _CHECK.value_error("patience", "None where 'held_out' is None", patience)
    return patience


def _check_corpus(sequences: Sequences, n_items: int | None) -> int:
    """The number of items of a corpus that has tokens, all of them items."""
    if not isinstance(sequences, Sequences):
        raise _CHECK.type_error("sequences", "a Sequences", sequences)
    largest = sequences.largest_token() + 1
    if n_items is None:
        n_items = sequences.vocabulary_size(_CHECK)
    n_items = _CHECK.integer("n_items", n_items, 0, 2**31 - 1)
    if sequences.n_tokens == 0 or n_items == 0:
        raise _CHECK.value_error("sequences", "at least one token", "an empty corpus")
    if largest > n_items:
        place = int(np.argmax(sequences.tokens >= n_items))
        rule = f"Sequences of tokens in [0, {n_items})"
        raise _CHECK.value_error("sequences", rule, f"{sequences.tokens[place]} at {place}")
    return n_items


def _run(
    trainer: SgnsTrainer, sequences: Sequences, held_out: Sequences | None, patience: int | None,
    progress: Progress | None,
) -> SgnsResult:
    """All epochs, or as many as early stopping allows."""
    losses: list[float] = []  # of the held-out sequences
    best: tuple[int, NDArray[np.float32], NDArray[np.float32]] | None = None
    try:
        for epoch in range(trainer.options.epochs):
            trainer.train_block(sequences, progress=progress)
            trainer.end_epoch()
            if held_out is None:
                continue
            losses.append(_held_out_loss(trainer, held_out))
            if patience is None:
                continue
            if best is None or losses[-1] < losses[best[0]]:
                best = (epoch, *trainer.vectors())
            elif epoch - best[0] >= patience:
                break
    except KeyboardInterrupt as error:
        raise TrainingInterrupted(_reported(trainer, finished=False, held_out_loss=tuple(losses))) from error
    trainer.require_pairs()
    if best is None:
        return _reported(trainer, finished=True, held_out_loss=tuple(losses))
    result = _reported(trainer, finished=True, held_out_loss=tuple(losses), best_epoch=best[0])
    return replace(result, item_vectors=best[1], context_vectors=best[2])


def _held_out_loss(trainer: SgnsTrainer, held_out: Sequences) -> float:
    with on_behalf_of(_CHECK.caller, sequences="held_out"):
        loss = trainer.evaluate(held_out)
        if np.isnan(loss):
            raise NoPairLeft(no_pair_message("sequences", _CHECK, "none, after subsampling"))
    return loss


def _reported(trainer: SgnsTrainer, **changes: Any) -> SgnsResult:
    """The trainer's result; its report with what only the caller knows."""
    result = trainer.result()
    return replace(result, report=replace(result.report, **changes))
