"""An estimate of a training before it runs: memory, pairs, time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._errors import on_behalf_of
from .._validate import Checks
from ..events.sequences import Sequences
from .sgns_options import SgnsOptions, check_options
from .sgns_trainer import SgnsTrainer, require_pairs

# The trial: so many tokens from so many places of the corpus, over at most so many rows (more than caches hold).
_TRIAL_TOKENS, _TRIAL_PLACES, _TRIAL_ROWS = 200_000, 16, 200_000


@dataclass(frozen=True)
class SgnsPlan:
    """What `train_sgns` needs with the same arguments.

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


@on_behalf_of("plan_sgns")
def plan_sgns(
    sequences: Sequences,
    options: SgnsOptions | None = None,
    *,
    n_items: int | None = None,
    patience: int | None = None,
) -> SgnsPlan:
    """Memory and time that `train_sgns` would take with these arguments, from a trial of a fraction of a second.

    Raises
    ------
    TypeError, ValueError : as `train_sgns` would.
    """
    check = Checks("plan_sgns")
    options = check_options(options, check)
    if not isinstance(sequences, Sequences):
        raise check.type_error("sequences", "a Sequences", sequences)
    if sequences.n_tokens == 0:
        raise check.value_error("sequences", "at least one token", "an empty corpus")
    require_pairs("sequences", sequences, check)
    n_items = sequences.vocabulary_size(check) if n_items is None else int(n_items)
    rows = min(n_items, _TRIAL_ROWS)
    trial = _trial(sequences, rows)
    trainer = SgnsTrainer(sequences.token_counts(n_items)[:rows], options, epoch_tokens=sequences.n_tokens)
    trainer.train_block(trial)
    trainer.end_epoch()  # in lanes, up to a super-step of tokens waits until then
    done = trainer.result().report
    tokens = sequences.n_tokens * options.epochs
    share = tokens / trial.n_tokens
    copies = 4 if patience is not None else 2
    return SgnsPlan(
        matrix_bytes=copies * n_items * -(-options.vector_size // 16) * 16 * 4,
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
