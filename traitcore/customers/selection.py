"""The weight of the PPMI rows in the joint recipe: from the density of the counts, moved by clear evidence only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from .coherence import name_diversity, npmi_coherence
from .counts import count_tokens
from .describe import token_lift
from .folding import fold_in
from .recipes import PAIR_DISCOUNT, JointParts, Settings, joint_components

# Candidates are multiples of the weight that the density suggests, the first of them 1.
MULTIPLES = (1.0, 0.25, 4.0)
N_SPLITS = 3
MOST_CUSTOMERS = 4000
# A gain in coherence must exceed so many standard errors, and cost less than so much diversity.
CLEAR_ERRORS = 2.0
MAX_DIVERSITY_LOSS = 0.02
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


def density_weight(counts: sparse.csr_array) -> float:
    """PAIR_DISCOUNT V / (N df) for N customers, V tokens and `df` customers per token: the weight without validation.

    With it a token's PPMI row counts as PAIR_DISCOUNT / df customers' rows: where many customers have each token, they
    say themselves what goes together; where few do, the pairs within sessions must. Empty rows and columns are left
    out; 0 for counts without entries.
    """
    n_customers = int((np.diff(counts.indptr) > 0).sum())
    n_tokens = len(np.unique(counts.indices))
    return PAIR_DISCOUNT * n_tokens**2 / (n_customers * counts.nnz) if counts.nnz else 0.0


def choose_ppmi_weight(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> float:
    """The weight that the density suggests, times 1/4 or 4 where inner splits of these customers clearly ask for it.

    On each split, fitted and named on one half and judged by the other, both ways, each candidate is the multiple of
    the density's weight for that half. A multiple replaces 1 only where its mean gain in coherence exceeds
    CLEAR_ERRORS standard errors of the paired differences and it loses at most MAX_DIVERSITY_LOSS of the names'
    diversity: small splits of sparse data are noisy, and the best of several noisy scores is a different one each
    time. At most MOST_CUSTOMERS customers take part, so that the choice costs the same on any log.
    """
    inner = replace(settings, n_restarts=1, max_iter=min(settings.max_iter, 80), tol=max(settings.tol, 1e-3),
                    progress=None)
    suggested = density_weight(count_tokens(sequences, n_tokens=len(token_item)))
    rng = np.random.default_rng([settings.seed, 7])
    active = np.unique(sequences.owners()[np.diff(sequences.offsets) > 0])
    if len(active) < 4:
        return suggested
    scores = np.zeros((N_SPLITS, len(MULTIPLES), 2))
    for split in range(N_SPLITS):
        sides = split_halves(sequences, rng.permutation(active)[:MOST_CUSTOMERS], rng)
        (a, b), met = _sides_and_tokens(sequences, sides)
        for fit_part, judge_part in ((a, b), (b, a)):
            scores[split] += _scores_of_multiples(fit_part, judge_part, token_item[met], inner) / 2
        if settings.progress is not None:
            settings.progress("ppmi weight", split + 1, N_SPLITS)
    return suggested * MULTIPLES[clear_choice(scores)]


def _sides_and_tokens(
    sequences: Sequences, sides: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[list[Sequences], NDArray[np.int32]]:
    """The sequences of both sides over the tokens that either has, and which tokens these are.

    A few thousand customers have met few of a large log's tokens, and the fits' time goes with the number of tokens.
    """
    sample = take_owners(sequences, np.concatenate(sides))
    met, rows = np.unique(sample.tokens, return_inverse=True)
    small = Sequences(
        rows.astype(np.int32), sample.offsets, sample.owner, sample.timestamps_us, sample.owner_ids
    )
    places = np.split(np.arange(small.n_owners), [len(sides[0])])
    return [take_owners(small, place) for place in places], met


def _scores_of_multiples(
    fit_part: Sequences, judge_part: Sequences, token_item: NDArray[np.int32], inner: Settings
) -> NDArray[np.float64]:
    """(len(MULTIPLES), 2) coherence over the judges and diversity of the names."""
    parts = JointParts.of(fit_part, token_item, inner)
    held_out = count_tokens(judge_part, n_tokens=len(token_item))
    own, scores = density_weight(parts.counts), np.zeros((len(MULTIPLES), 2))
    for row, multiple in enumerate(MULTIPLES):
        components = joint_components(parts, own * multiple, inner)
        raw = fold_in(parts.rows, components, workers=inner.workers)
        tops = token_lift(raw, parts.counts, min_df=MIN_DF).top(N_TOP)
        scores[row] = npmi_coherence(tops, held_out).mean(), name_diversity(tops)
    return scores


def clear_choice(scores: NDArray[np.float64]) -> int:
    """Row of the candidate to take, 0 unless another is clearly better.

    scores : (n_splits, n_candidates, 2) coherence and diversity. At least two splits, for the standard error.
    """
    gain = scores[:, :, 0] - scores[:, :1, 0]
    mean, error = gain.mean(axis=0), gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    loss = (scores[:, :1, 1] - scores[:, :, 1]).mean(axis=0)
    clear = (mean > CLEAR_ERRORS * error) & (loss <= MAX_DIVERSITY_LOSS)
    return int(np.argmax(np.where(clear, mean, 0.0)))
