"""The joint recipe's blend, chosen by how well two halves of a customer's history agree on the customer's traits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from traitcore.customers.components import factorize
from traitcore.customers.counts import count_tokens, weigh_counts
from traitcore.customers.customer_subsets import split_halves, take_owners
from traitcore.customers.recipes import TraitFitOptions
from traitcore.customers.reliability import halve_histories, split_half_reliability
from traitcore.events.sequences import Sequences
from traitcore.factorization.fold_in import fold_in

from . import tuning
from .views import Blend, JointViews, density_weight, refine_loadings, stack_views

_WINDOWS_WEIGHT, _LOW_WINDOWS_WEIGHT = tuning.WINDOWS_WEIGHTS
_POWER = tuning.LOADING_POWERS[0]
# The default and its rivals: one with a low weight of the windows, one in which pairs within sessions dominate.
BLENDS = (
    Blend(_WINDOWS_WEIGHT, None, _POWER), Blend(_LOW_WINDOWS_WEIGHT, None, _POWER),
    Blend(_WINDOWS_WEIGHT, tuning.HIGH_PPMI_WEIGHT, _POWER),
)


def choose_blend(sequences: Sequences, token_item: NDArray[np.int32], options: TraitFitOptions) -> Blend:
    """The default blend, unless another is clearly more reliable on customers it wasn't fitted on.

    Inner splits: fitted on half of the customers, each blend reads the traits of the others twice, from either half of
    their histories (`halve_histories`). Where the halves agree, the traits are the customers'; where they disagree, the
    trait is noise. On simulated shops this agreement (`split_half_reliability`), which needs no truth, ranked blends
    almost as the recovery of the planted traits did; predicting one half's tokens from the other did not.

    The views are chosen first, then the power. MAX_CHOICE_CUSTOMERS customers (or as many as have MAX_CHOICE_EVENTS
    events) and the MAX_CHOICE_TOKENS most common tokens take part, so that the choice costs the same on any log.
    """
    suggested = density_weight(count_tokens(sequences, n_tokens=len(token_item)))
    blends = BLENDS if suggested < tuning.HIGH_PPMI_RIVAL_BELOW * tuning.HIGH_PPMI_WEIGHT else BLENDS[:2]
    powers, chosen = tuning.LOADING_POWERS, blends[0]
    common = _with_common_tokens(sequences, len(token_item))
    active = np.unique(common.owners()[np.diff(common.offsets) > 0])
    if len(active) >= 4:
        reliable = _reliabilities(common, active, token_item, options, blends, powers)
        best = clearly_best(reliable[:, :, 0])
        chosen = replace(blends[best], loading_power=powers[clearly_best(reliable[:, best])])
    return replace(chosen, ppmi_weight=suggested) if chosen.ppmi_weight is None else chosen


def _with_common_tokens(sequences: Sequences, n_tokens: int) -> Sequences:
    if n_tokens <= tuning.MAX_CHOICE_TOKENS:
        return sequences
    common = np.zeros(n_tokens, dtype=bool)
    common[np.argsort(-sequences.token_counts(n_tokens), kind="stable")[:tuning.MAX_CHOICE_TOKENS]] = True
    return sequences.keep(common[sequences.tokens])


def _reliabilities(
    sequences: Sequences, active: NDArray[np.integer], token_item: NDArray[np.int32], options: TraitFitOptions,
    blends: tuple[Blend, ...], powers: tuple[float, ...],
) -> NDArray[np.float64]:
    """(N_INNER_SPLITS, n_blends, n_powers) split-half reliability over unseen customers, mean of both directions."""
    inner = replace(
        options, n_restarts=1, max_iter=min(options.max_iter, tuning.CHOICE_MAX_ITER),
        tol=max(options.tol, tuning.CHOICE_TOL), progress=None,
    )
    rng = np.random.default_rng([options.seed, 7])
    most = max(tuning.MAX_CHOICE_CUSTOMERS, tuning.MAX_CHOICE_EVENTS * len(active) // sequences.n_tokens)
    reliable = np.zeros((tuning.N_INNER_SPLITS, len(blends), len(powers)))
    for split in range(tuning.N_INNER_SPLITS):
        sides = split_halves(sequences, rng.permutation(active)[:most], rng)
        (a, b), met = _sides_and_tokens(sequences, sides)
        for fit_part, judged in ((a, b), (b, a)):
            views = JointViews.of(fit_part, token_item[met], inner)
            halves = [
                weigh_counts(count_tokens(half, n_tokens=len(met)), views.idf)
                for half in halve_histories(judged, token_item[met], rng)
            ]
            for i, blend in enumerate(blends):
                factors = factorize(stack_views(views, blend, inner.seed), inner)
                for j, power in enumerate(powers):
                    loadings = refine_loadings(factors, power, views, inner)
                    read = (fold_in(half, loadings, workers=inner.workers) for half in halves)
                    reliable[split, i, j] += split_half_reliability(*read) / 2
        if options.progress is not None:
            options.progress("choice of the blend", split + 1, tuning.N_INNER_SPLITS)
    return reliable


def _sides_and_tokens(
    sequences: Sequences, sides: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[list[Sequences], NDArray[np.int32]]:
    """The sequences of both sides over the tokens that either has, and which tokens these are.

    A few thousand customers have few of a large log's tokens, and the fits' time grows with the number of tokens.
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
    clear = (mean > tuning.CLEAR_ERRORS * error) & (mean > tuning.CLEAR_GAIN * abs(float(scores[:, 0].mean())))
    return int(np.argmax(np.where(clear, mean, 0.0)))
