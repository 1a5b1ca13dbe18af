"""The weight of the PPMI rows in the joint recipe, chosen on inner splits of the customers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..events.sequences import Sequences
from .coherence import name_diversity, npmi_coherence
from .counts import count_tokens
from .describe import token_lift
from .folding import fold_in
from .recipes import JointParts, Settings, factorize

CANDIDATES = (0.1, 0.3, 1.0, 3.0, 6.0, 8.0)
N_SPLITS = 2
MOST_CUSTOMERS = 4000
MIN_DIVERSITY = 0.95
MIN_DF = 5
N_TOP = 10


def take_owners(sequences: Sequences, owners: NDArray[np.integer]) -> Sequences:
    """The sequences of some owners, in the order of the corpus; owners become 0, 1, ... in the order given."""
    place = np.full(sequences.n_owners, -1, dtype=np.int32)
    place[owners] = np.arange(len(owners), dtype=np.int32)
    whose = place[sequences.owners()]
    kept = np.flatnonzero(whose >= 0)
    lengths = np.diff(sequences.offsets)[kept]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    events = np.repeat(sequences.offsets[:-1][kept] - offsets[:-1], lengths) + np.arange(offsets[-1])
    times = sequences.timestamps_us
    ids = np.asarray(owners) if sequences.owner_ids is None else sequences.owner_ids[owners]
    return Sequences(
        sequences.tokens[events], offsets, whose[kept], None if times is None else times[events], ids
    )


def split_halves(
    sequences: Sequences, owners: NDArray[np.integer], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two random halves of `owners`, each in order, with equal shares of long and short histories.

    Owners are paired by the length of their histories and each pair is parted at random: a handful of very long
    histories, all on one side, would decide any score.
    """
    lengths = np.bincount(sequences.owners(), weights=np.diff(sequences.offsets), minlength=sequences.n_owners)
    drawn = rng.permutation(owners)
    ranked = drawn[np.argsort(-lengths[drawn], kind="stable")]
    first = ranked[0 : len(ranked) - 1 : 2], ranked[1::2]
    swap = rng.random(len(first[1])) < 0.5
    a, b = np.where(swap, first[1], first[0]), np.where(swap, first[0], first[1])
    if len(ranked) % 2:
        b = np.append(b, ranked[-1])
    return np.sort(a), np.sort(b)


def choose_ppmi_weight(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> float:
    """The candidate whose traits, fitted and named on one half of the customers, cohere best over the other half.

    Only candidates whose names use enough different tokens compete; where none does, the most diverse one wins.
    At most MOST_CUSTOMERS customers take part, so that the choice costs the same on any log.
    """
    inner = replace(settings, n_restarts=1, max_iter=min(settings.max_iter, 80), tol=max(settings.tol, 1e-3),
                    progress=None)
    rng = np.random.default_rng([settings.seed, 7])
    active = np.unique(sequences.owners()[np.diff(sequences.offsets) > 0])
    scores = np.zeros((N_SPLITS, len(CANDIDATES), 2))
    for split in range(N_SPLITS):
        fit_on, judge_on = split_halves(sequences, rng.permutation(active)[:MOST_CUSTOMERS], rng)
        if not len(fit_on):
            return CANDIDATES[0]
        parts = JointParts.of(take_owners(sequences, fit_on), token_item, inner)
        held_out = count_tokens(take_owners(sequences, judge_on), n_tokens=len(token_item))
        for c, candidate in enumerate(CANDIDATES):
            components = factorize(parts.stacked(inner.windows_weight, candidate), inner)
            raw = fold_in(parts.rows, components, workers=inner.workers)
            tops = token_lift(raw, parts.counts, min_df=MIN_DF).top(N_TOP)
            scores[split, c] = npmi_coherence(tops, held_out).mean(), name_diversity(tops)
        if settings.progress is not None:
            settings.progress("ppmi weight", split + 1, N_SPLITS)
    coherence, diversity = scores.mean(axis=0).T
    admitted = diversity >= MIN_DIVERSITY
    if not admitted.any():
        return CANDIDATES[int(np.argmax(diversity))]
    return CANDIDATES[int(np.argmax(np.where(admitted, coherence, -np.inf)))]
