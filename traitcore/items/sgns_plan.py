"""What a training would take, before it runs: memory, pairs, time."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import parameter_message
from ..events.sequences import Sequences
from .sgns import SgnsTrainer, require_pairs, train_sgns

# The trial: so many tokens from so many places of the corpus, over at most so many rows (more than caches hold).
_TRIAL_TOKENS, _TRIAL_PLACES, _TRIAL_ROWS = 200_000, 16, 200_000


@dataclass(frozen=True)
class SgnsPlan:
    """What `train_sgns` would take with the same arguments.

    Attributes
    ----------
    matrix_bytes : the two matrices, rows padded to 16 floats, and the copies that early stopping keeps.
    corpus_bytes : the sequences, which are shared, not copied.
    tokens, kept_tokens, pairs : over all epochs; the last two are estimates from a trial on part of the corpus.
    seconds : estimate from the same trial on this machine, as busy as it was then.
    """

    matrix_bytes: int
    corpus_bytes: int
    tokens: int
    kept_tokens: int
    pairs: int
    seconds: float


def plan_sgns(sequences: Sequences, **options: Any) -> SgnsPlan:
    """Memory and time that `train_sgns(sequences, **options)` would take, from a trial of a fraction of a second.

    Raises
    ------
    TypeError, ValueError : as `train_sgns` would.
    """
    inspect.signature(train_sgns).bind(sequences, **options)
    if not isinstance(sequences, Sequences):
        raise TypeError(parameter_message("sequences", "plan_sgns", "a Sequences", sequences))
    if sequences.n_tokens == 0:
        raise ValueError(parameter_message("sequences", "plan_sgns", "at least one token", "an empty corpus"))
    if options.get("global_context") is None:
        require_pairs("sequences", sequences, "plan_sgns")
    given = options.get("n_items")
    n_items = sequences.vocabulary_size("plan_sgns") if given is None else int(given)
    counts = options.get("counts")
    counts = sequences.token_counts(n_items) if counts is None else np.asarray(counts)
    kept = {
        name: value
        for name, value in options.items()
        if name in inspect.signature(SgnsTrainer.__init__).parameters
        and name not in ("start", "first_epoch", "noise_groups", "group_negative")
    }
    rows = min(n_items, _TRIAL_ROWS)
    trial = _trial(sequences, rows)
    trainer = SgnsTrainer(counts[:rows], epoch_tokens=sequences.n_tokens, **kept)
    trainer.train_block(trial)
    result = trainer.result()
    done, vector_size = result.report, result.item_vectors.shape[1]
    epochs = trainer.epochs - int(options.get("first_epoch", 0))
    tokens = sequences.n_tokens * epochs
    share = tokens / trial.n_tokens
    copies = 4 if options.get("patience") is not None else 2
    return SgnsPlan(
        matrix_bytes=copies * n_items * -(-vector_size // 16) * 16 * 4,
        corpus_bytes=sequences.tokens.nbytes + sequences.offsets.nbytes,
        tokens=tokens,
        kept_tokens=round(done.kept_tokens * share),
        pairs=round(done.pairs * share),
        seconds=done.seconds * share,
    )


def _trial(sequences: Sequences, rows: int) -> Sequences:
    """Sequences from evenly spread places; items past `rows` stand in for each other among the last rows."""
    starts = np.linspace(0, sequences.n_tokens, _TRIAL_PLACES, endpoint=False)
    first = np.searchsorted(sequences.offsets, starts, side="right") - 1
    last = np.searchsorted(sequences.offsets, starts + _TRIAL_TOKENS / _TRIAL_PLACES, side="left")
    chosen = np.unique(np.concatenate([np.arange(a, min(b, len(sequences))) for a, b in zip(first, last)]))
    lengths = np.minimum(np.diff(sequences.offsets)[chosen], _TRIAL_TOKENS)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    places = np.repeat(sequences.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
    tokens = sequences.tokens[places]
    return Sequences(np.where(tokens < rows, tokens, rows - 1 - tokens % min(rows, 1000)).astype(np.int32), offsets)
