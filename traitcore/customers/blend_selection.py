"""What the joint recipe leaves open, chosen by whether two halves of a customer's history tell of the same traits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..events.sequences import Sequences
from ..factorization.fold_in import fold_in
from .counts import count_tokens, weigh_counts
from .customer_subsets import split_halves, take_owners
from .joint import BLEND, Blend, JointParts, blended, density_weight, own_loadings
from .recipes import Settings, factorize
from .reliability import halve_histories, split_half_reliability

POWERS = (0.85, 0.7, 0.5)
# The default and its rivals: windows for little; pairs within sessions for nearly all, which short histories need.
HEAVY = 30.0
BLENDS = (Blend(3.5, None, POWERS[0]), Blend(1.0, None, POWERS[0]), Blend(3.5, HEAVY, POWERS[0]))
# The last is a rival only where the density suggests a weight below this share of HEAVY.
MUCH_LIGHTER = 0.3
N_SPLITS = 3
# Customers who take part in the choice: at most so many, or as many as have so many events.
MOST_CUSTOMERS = 4000
MOST_EVENTS = 60_000
# Of the tokens so many, the most common: a sample of customers has each of a large range's tokens too seldom to tell.
MOST_TOKENS = 5000
# To be taken, a choice must be so much more reliable than the default, as a share, and by so many standard errors.
CLEAR_GAIN = 0.03
CLEAR_ERRORS = 2.0


def choose_blend(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> Blend:
    """The default blend, unless another is clearly more reliable on customers it wasn't fitted on.

    Inner splits: fitted on half of the customers, each blend reads the traits of the others twice, from either half of
    their histories (`halve_histories`). Traits on which the halves agree are the customers'; where they don't, it is
    chance that speaks. That agreement (`split_half_reliability`), which needs no truth, ranked blends on simulated
    shops nearly as the recovery of the planted traits did; what half a history foretells of the tokens of the other
    half did not. First the views are chosen, then the power. At most MOST_CUSTOMERS customers take part, or as many as
    have MOST_EVENTS events, and the MOST_TOKENS most common tokens, so that the choice costs the same on any log. What
    `settings` fixes stays.
    """
    suggested = density_weight(count_tokens(sequences, n_tokens=len(token_item)))
    rivals = BLENDS if suggested < MUCH_LIGHTER * HEAVY else BLENDS[:2]
    blends = list(dict.fromkeys(_with_fixed(blend, settings) for blend in rivals))
    powers = POWERS if settings.loading_power is None else (settings.loading_power,)
    chosen = blends[0]
    common = _with_common_tokens(sequences, len(token_item))
    active = np.unique(common.owners()[np.diff(common.offsets) > 0])
    if len(blends) * len(powers) > 1 and len(active) >= 4:
        reliable = _reliabilities(common, active, token_item, settings, blends, powers)
        best = clearly_best(reliable[:, :, 0])
        chosen = replace(blends[best], loading_power=powers[clearly_best(reliable[:, best])])
    return replace(chosen, ppmi_weight=suggested) if chosen.ppmi_weight is None else chosen


def _with_common_tokens(sequences: Sequences, n_tokens: int) -> Sequences:
    if n_tokens <= MOST_TOKENS:
        return sequences
    common = np.zeros(n_tokens, dtype=bool)
    common[np.argsort(-sequences.token_counts(n_tokens), kind="stable")[:MOST_TOKENS]] = True
    return sequences.keep(common[sequences.tokens])


def _with_fixed(blend: Blend, settings: Settings) -> Blend:
    return replace(blend, **{name: getattr(settings, name) for name in BLEND if getattr(settings, name) is not None})


def _reliabilities(
    sequences: Sequences, active: NDArray[np.integer], token_item: NDArray[np.int32], settings: Settings,
    blends: list[Blend], powers: tuple[float, ...],
) -> NDArray[np.float64]:  # fmt: skip
    """(N_SPLITS, n_blends, n_powers) split-half reliability over unseen customers, mean of both directions."""
    inner = replace(settings, n_restarts=1, max_iter=min(settings.max_iter, 80), tol=max(settings.tol, 1e-3),
                    progress=None)  # fmt: skip
    rng = np.random.default_rng([settings.seed, 7])
    most = max(MOST_CUSTOMERS, MOST_EVENTS * len(active) // sequences.n_tokens)
    reliable = np.zeros((N_SPLITS, len(blends), len(powers)))
    for split in range(N_SPLITS):
        sides = split_halves(sequences, rng.permutation(active)[:most], rng)
        (a, b), met = _sides_and_tokens(sequences, sides)
        for fit_part, judge_part in ((a, b), (b, a)):
            parts = JointParts.of(fit_part, token_item[met], inner)
            halves = [
                weigh_counts(count_tokens(half, n_tokens=len(met)), parts.idf)
                for half in halve_histories(judge_part, token_item[met], rng)
            ]
            for i, blend in enumerate(blends):
                factors = factorize(blended(parts, blend, inner.seed), inner)
                for j, power in enumerate(powers):
                    loadings = own_loadings(factors, power, parts, inner)
                    read = (fold_in(half, loadings, workers=inner.workers) for half in halves)
                    reliable[split, i, j] += split_half_reliability(*read) / 2
        if settings.progress is not None:
            settings.progress("choice of the blend", split + 1, N_SPLITS)
    return reliable


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


def clearly_best(scores: NDArray[np.float64]) -> int:
    """The column whose gain over the first is largest among those both large enough and beyond chance; else 0.

    scores : (n_splits, n_choices), at least two splits, for the standard error.
    """
    gain = scores - scores[:, :1]
    mean, error = gain.mean(axis=0), gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    clear = (mean > CLEAR_ERRORS * error) & (mean > CLEAR_GAIN * abs(float(scores[:, 0].mean())))
    return int(np.argmax(np.where(clear, mean, 0.0)))
