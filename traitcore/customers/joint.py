"""The default recipe: customers, session windows and PPMI rows, factored together for one set of token loadings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from .counts import count_tokens, count_windows, tie_tokens, token_idf, weigh_counts
from .folding import fold_in
from .merging import merge_components
from .recipes import (
    Fitted,
    Settings,
    Start,
    factorize,
    ppmi_rows,
    scaled_rows,
    unit_length,
)  # fmt: skip

# A customer's rows count as (number of different tokens) ** HISTORY_POWER: long histories say more, but not in
# proportion, or a few of them would be the traits.
HISTORY_POWER = 0.15
# Windows likewise.
WINDOW_POWER = 0.5
# Loadings are raised to this power: least squares gives a few tokens nearly all of a trait, and then only customers
# with just these count as its own. On simulated shops, too, the damped ones recover the planted shares better.
LOADING_POWER = 0.85
# So much of the final loadings is what the trait's customers have, tokens by tokens; the rest is from all three views.
OWN_SHARE = 0.2
# The start has so many components more, as a share, before those that are nearly one are merged.
EXTRA_COMPONENTS = 0.25
# It is looked for on at most so many rows of the stacked views.
MOST_START_ROWS = 100_000
# The PPMI weight of shops whose customers' histories are too short to say what goes together: these rows then shape
# the traits nearly alone, and a descent from the SVD finds more of the planted ones than one from a merged start.
HEAVY = 30.0


@dataclass
class JointParts:
    """The three views of one corpus over the same tokens: customers (as they are; tied; tied and with row weights),
    windows, PPMI."""

    counts: sparse.csr_array
    idf: NDArray[np.float32]
    plain: sparse.csr_array
    tied: sparse.csr_array
    weighted: sparse.csr_array
    windows: sparse.csr_array
    ppmi: sparse.csr_array

    @classmethod
    def of(cls, sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> JointParts:
        """Build them; each part's rows have mean square length 1, so that weights compare parts, not sizes."""
        counts = count_tokens(sequences, n_tokens=len(token_item))
        idf = token_idf(counts)
        plain = weigh_counts(counts, idf)
        tied = tie_rows(plain, token_item, settings.tie)
        windows = count_windows(sequences, n_tokens=len(token_item), length=settings.window,
                                stride=max(1, settings.window // 2))  # fmt: skip
        distinct = np.diff(windows.indptr)
        windows = scaled_rows(weigh_counts(windows, idf), distinct**WINDOW_POWER)
        return cls(
            counts, idf, plain, tied, scaled_rows(tied, np.diff(counts.indptr) ** HISTORY_POWER), windows,
            ppmi_rows(sequences, counts, settings),
        )  # fmt: skip

    def stacked(self, windows_weight: float, ppmi_weight: float) -> sparse.csr_array:
        """One matrix whose parts have total squares N, windows_weight N and ppmi_weight N for N customers."""
        n = self.tied.shape[0]
        parts = [self.weighted]
        for part, weight in ((self.windows, windows_weight), (self.ppmi, ppmi_weight)):
            if weight > 0 and part.nnz:
                live = int((np.diff(part.indptr) > 0).sum())
                parts.append(sparse.csr_array(part * np.float32(np.sqrt(weight * n / live))))
        return sparse.csr_array(sparse.vstack(parts, format="csr", dtype=np.float32))


def tie_rows(rows: sparse.csr_array, token_item: NDArray[np.int32], tie: float) -> sparse.csr_array:
    """Rows over tokens, each entry also given, times `tie`, to the other tokens of its item."""
    tied = tie_tokens(token_item, tie)
    return rows if tied is None else sparse.csr_array(rows @ tied)


def joint_components(
    parts: JointParts, ppmi_weight: float, settings: Settings, *, merged_start: bool = True
) -> NDArray[np.float32]:
    """(n_traits, n_tokens) unit components of the stacked views, their loadings damped.

    A start without `merged_start` is sooner found, and good enough to compare weights.
    """
    matrix = parts.stacked(settings.windows_weight, ppmi_weight)
    start = start_merged(matrix, parts, settings) if merged_start and ppmi_weight < HEAVY else None
    return own_loadings(factorize(matrix, settings, start=start), parts, settings)


def start_merged(
    matrix: sparse.csr_array, parts: JointParts, settings: Settings
) -> Start:
    """(W, H) to descend from: a fit with more components than wanted, those merged that are nearly one pattern.

    A descent from the SVD ends in the minimum nearest to it, which misses a trait on some samples and finds it on
    others; of a few components too many the superfluous ones are seen.
    """
    extra = max(1, round(settings.n_traits * EXTRA_COMPONENTS))
    wide = replace(settings, n_traits=settings.n_traits + extra, n_restarts=1, progress=None)
    rows = matrix
    if matrix.shape[0] > MOST_START_ROWS:
        rng = np.random.default_rng([settings.seed, 11])
        rows = sparse.csr_array(matrix[np.sort(rng.permutation(matrix.shape[0])[:MOST_START_ROWS])])
    H = factorize(rows, wide)
    H = merge_components(fold_in(parts.tied, H, workers=settings.workers), H, settings.n_traits)
    return fold_in(matrix, H, workers=settings.workers), H


def own_loadings(
    components: NDArray[np.float32], parts: JointParts, settings: Settings
) -> NDArray[np.float32]:
    """The damped loadings, OWN_SHARE of them as the traits' customers themselves have the tokens.

    Windows and PPMI rows say which tokens belong together; which of an item's tokens and how much of each a trait's
    customers take, their own rows know better: least squares of these on their weights.
    """
    damped = unit_length(components**LOADING_POWER)
    weights = unit_length(fold_in(parts.tied, damped, workers=settings.workers))
    taken = fold_in(sparse.csr_array(parts.plain.T), np.ascontiguousarray(weights.T), workers=settings.workers)
    own = unit_length(taken.T)
    mixed = unit_length((1 - OWN_SHARE) * components + OWN_SHARE * own)
    return unit_length(mixed**LOADING_POWER)


def fit_joint(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> Fitted:
    """Customers, session windows and PPMI rows stacked, and factored for one set of token loadings.

    The ties between an item's tokens shape the loadings; a customer's weights are read from what they did.
    """
    from .selection import choose_ppmi_weight

    weight = settings.ppmi_weight
    if weight is None:
        weight = choose_ppmi_weight(sequences, token_item, settings)
    parts = JointParts.of(sequences, token_item, settings)
    components = joint_components(parts, weight, settings)
    raw = fold_in(parts.plain, components, workers=settings.workers)
    return Fitted(components, raw, {"idf": parts.idf}, {"ppmi_weight": weight})
