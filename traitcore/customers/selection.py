"""The weight of the PPMI rows in the joint recipe: from the density of the counts, unless unseen customers object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from .coherence import presence
from .counts import count_tokens, unit_rows, weigh_counts
from .folding import fold_in
from .joint import HEAVY, JointParts, joint_components
from .recipes import Settings, token_rates

# The weight without validation is DENSITY V / (N df).
DENSITY = 10.0
N_SPLITS = 3
# Customers who take part in the choice: at most so many, or as many as have so many events.
MOST_CUSTOMERS = 4000
MOST_EVENTS = 100_000
# To be taken HEAVY must foretell so much more, as a share, and by so many standard errors.
CLEAR_GAIN = 0.005
CLEAR_ERRORS = 2.0


def take_owners(sequences: Sequences, owners: NDArray[np.integer]) -> Sequences:
    """The sequences of some owners, in the order of the corpus; owners become 0, 1, ... in the order given."""
    place = np.full(sequences.n_owners, -1, dtype=np.int32)
    place[owners] = np.arange(len(owners), dtype=np.int32)
    whose = place[sequences.owners()]
    kept = np.flatnonzero(whose >= 0)
    ids = np.asarray(owners) if sequences.owner_ids is None else sequences.owner_ids[owners]
    return replace(sequences.take(kept), owner=whose[kept], owner_ids=ids)


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
    """DENSITY V / (N df) for N customers, V tokens and `df` customers per token: the weight without validation.

    With it a token's PPMI row counts as DENSITY / df customers' rows: where many customers have each token, they
    say themselves what goes together; where few do, the pairs within sessions must. Empty rows and columns are left
    out; 0 for counts without entries.
    """
    n_customers = int((np.diff(counts.indptr) > 0).sum())
    n_tokens = len(np.unique(counts.indices))
    return DENSITY * n_tokens**2 / (n_customers * counts.nnz) if counts.nnz else 0.0


def choose_ppmi_weight(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> float:
    """The weight that the density suggests, or HEAVY where that clearly foretells more of unseen customers.

    Inner splits of these customers: fitted on one half, both ways; of each customer of the other half, a random half of
    the events says what else they have (`completion`). HEAVY is taken where its mean gain is at least CLEAR_GAIN of
    what the suggested weight foretells, and more than CLEAR_ERRORS standard errors of the paired differences. Coherence
    of names doesn't decide: on simulated shops it doesn't tell which weight recovers more of the planted traits. At
    most MOST_CUSTOMERS customers take part, or as many as have MOST_EVENTS events, so that the choice costs the same
    on any log.
    """
    inner = replace(settings, n_restarts=1, max_iter=min(settings.max_iter, 80), tol=max(settings.tol, 1e-3),
                    progress=None)
    suggested = density_weight(count_tokens(sequences, n_tokens=len(token_item)))
    rng = np.random.default_rng([settings.seed, 7])
    active = np.unique(sequences.owners()[np.diff(sequences.offsets) > 0])
    if len(active) < 4 or suggested >= HEAVY:
        return suggested
    most = max(MOST_CUSTOMERS, MOST_EVENTS * len(active) // sequences.n_tokens)
    foretold = np.zeros((N_SPLITS, 2))
    for split in range(N_SPLITS):
        sides = split_halves(sequences, rng.permutation(active)[:most], rng)
        (a, b), met = _sides_and_tokens(sequences, sides)
        for fit_part, judge_part in ((a, b), (b, a)):
            given, wanted = split_events(judge_part, rng)
            foretold[split] += _foretold(fit_part, given, wanted, token_item[met], inner) / 2
        if settings.progress is not None:
            settings.progress("ppmi weight", split + 1, N_SPLITS)
    return HEAVY if clearly_better(foretold) else suggested


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


def split_events(sequences: Sequences, rng: np.random.Generator) -> tuple[Sequences, Sequences]:
    """Two corpora of the same owners: each event falls into either at random."""
    first = rng.random(sequences.n_tokens) < 0.5
    parts = []
    for kept in (first, ~first):
        ends = np.concatenate(([0], np.cumsum(kept)))[sequences.offsets]
        parts.append(Sequences(sequences.tokens[kept], ends, sequences.owner, None, sequences.owner_ids))
    return parts[0], parts[1]


def completion(profiles: NDArray[np.float32], rates: NDArray[np.float32], wanted: sparse.csr_array) -> float:
    """Mean cosine between what is foretold of customers, profiles (n, k) times rates (k, m), and which tokens they
    have, the entries of `wanted` (n, m).

    Customers without any are left out; a customer of whom nothing is foretold scores 0.
    """
    have = unit_rows(presence(wanted))
    weights, by_token = profiles.astype(np.float64), np.ascontiguousarray(rates.T, dtype=np.float64)
    norms = np.sqrt(np.maximum(np.einsum("ij,ij->i", weights @ (by_token.T @ by_token), weights), 0.0))
    along = np.einsum("ij,ij->i", have @ by_token, weights)
    cosines = np.divide(along, norms, out=np.zeros_like(along), where=norms > 0)[np.diff(have.indptr) > 0]
    return float(cosines.mean()) if len(cosines) else 0.0


def clearly_better(foretold: NDArray[np.float64]) -> bool:
    """Is the second column's gain over the first both large enough and beyond chance?

    foretold : (n_splits, 2), at least two splits, for the standard error.
    """
    gain = foretold[:, 1] - foretold[:, 0]
    error = float(gain.std(ddof=1)) / float(np.sqrt(len(gain)))
    mean, least = float(gain.mean()), CLEAR_GAIN * float(foretold[:, 0].mean())
    return mean > CLEAR_ERRORS * error and mean > least


def _foretold(
    fit_part: Sequences, given: Sequences, wanted: Sequences, token_item: NDArray[np.int32], inner: Settings
) -> NDArray[np.float64]:
    """(2,) completion of the judges by fits with the weight that this half suggests and with HEAVY."""
    parts = JointParts.of(fit_part, token_item, inner)
    asked, answer = (count_tokens(part, n_tokens=len(token_item)) for part in (given, wanted))
    scores = []
    for weight in (density_weight(parts.counts), HEAVY):
        components = joint_components(parts, weight, inner, merged_start=False)
        raw = fold_in(parts.plain, components, workers=inner.workers)
        rates = token_rates(raw, fit_part, token_item, 0.0, inner.workers)
        profiles = fold_in(weigh_counts(asked, parts.idf), components, workers=inner.workers)
        scores.append(completion(profiles, rates, answer))
    return np.array(scores)
