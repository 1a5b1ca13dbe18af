"""The default recipe: customers, session windows and PPMI rows, factored together for one set of token loadings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from ..factorization.fold_in import fold_in
from .counts import count_tokens, count_windows, tie_tokens, token_idf, weigh_counts
from .customer_subsets import take_owners
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
from .reliability import halve_histories, split_half_reliability

# A customer's rows count as (number of different tokens) ** HISTORY_POWER: long histories say more, but not in
# proportion, or a few of them would be the traits. Windows, of like length, do count in proportion.
HISTORY_POWER = 0.15
# The PPMI weight to begin with is DENSITY V / (N df).
DENSITY = 10.0
# So much of the final loadings is what the trait's customers have, tokens by tokens; the rest is from all three views.
OWN_SHARE = 0.5
# The start has so many components more, as a share, before those that are nearly one are merged.
EXTRA_COMPONENTS = 0.25
# At most so many customers and windows shape the loadings; with more of them 16 traits hardly change.
MOST_ROWS = 100_000
# A descent from the SVD is taken when it is so much more reliable than one from a merged start, as a share.
START_GAIN = 0.05
# On so many customers, picked at random.
MOST_JUDGES = 20_000


@dataclass(frozen=True)
class Blend:
    """How much each view counts, and how the loadings are read.

    windows_weight, ppmi_weight : against the customers' rows; a `ppmi_weight` of None is the density's.
    loading_power : in (0, 1], loadings are raised to it. Least squares gives a few tokens nearly all of a trait, and
        then only these few tell who has it; flatter loadings ask more tokens, which is steadier where events are
        noisy, and blurs traits that a few tokens do make up.
    """

    windows_weight: float
    ppmi_weight: float | None
    loading_power: float


BLEND = tuple(field.name for field in fields(Blend))


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
        windows = scaled_rows(weigh_counts(windows, idf), np.diff(windows.indptr))
        return cls(
            counts, idf, plain, tied, scaled_rows(tied, np.diff(counts.indptr) ** HISTORY_POWER), windows,
            ppmi_rows(sequences, counts, settings),
        )  # fmt: skip

    def stacked(self, windows_weight: float, ppmi_weight: float, seed: int) -> sparse.csr_array:
        """One matrix whose parts have total squares N, windows_weight N and ppmi_weight N for N customers.

        Of more than MOST_ROWS customers and windows so many at random stand for all, each weighing more for it.
        """
        parts = [self.weighted]
        if windows_weight > 0 and self.windows.nnz:
            parts.append(self._scaled(self.windows, windows_weight))
        if sum(part.shape[0] for part in parts) > MOST_ROWS:
            rng, share = np.random.default_rng([seed, 11]), MOST_ROWS / sum(part.shape[0] for part in parts)
            for i, part in enumerate(parts):
                few = max(1, int(share * part.shape[0]))
                drawn = np.sort(rng.permutation(part.shape[0])[:few])
                parts[i] = sparse.csr_array(part[drawn] * np.float32(np.sqrt(part.shape[0] / few)))
        if ppmi_weight > 0 and self.ppmi.nnz:
            parts.append(self._scaled(self.ppmi, ppmi_weight))
        return sparse.csr_array(sparse.vstack(parts, format="csr", dtype=np.float32))

    def _scaled(self, part: sparse.csr_array, weight: float) -> sparse.csr_array:
        live = int((np.diff(part.indptr) > 0).sum())
        return sparse.csr_array(part * np.float32(np.sqrt(weight * self.tied.shape[0] / live)))


def tie_rows(rows: sparse.csr_array, token_item: NDArray[np.int32], tie: float) -> sparse.csr_array:
    """Rows over tokens, each entry also given, times `tie`, to the other tokens of its item."""
    tied = tie_tokens(token_item, tie)
    return rows if tied is None else sparse.csr_array(rows @ tied)


def blended(parts: JointParts, blend: Blend, seed: int) -> sparse.csr_array:
    """The stacked views in a blend."""
    weight = density_weight(parts.counts) if blend.ppmi_weight is None else blend.ppmi_weight
    return parts.stacked(blend.windows_weight, weight, seed)


def merged_start(matrix: sparse.csr_array, parts: JointParts, settings: Settings) -> Start:
    """(W, H) to descend from: a fit with more components than wanted, those merged that have nearly the same tokens.

    A descent from the SVD ends in the minimum nearest to it, which misses a trait on some samples and finds it on
    others; of a few components too many the superfluous ones are seen.
    """
    extra = max(1, round(settings.n_traits * EXTRA_COMPONENTS))
    H = factorize(matrix, replace(settings, n_traits=settings.n_traits + extra, n_restarts=1, progress=None))
    H = merge_components(fold_in(parts.tied, H, workers=settings.workers), H, settings.n_traits)
    return fold_in(matrix, H, workers=settings.workers), H


def own_loadings(
    components: NDArray[np.float32], power: float, parts: JointParts, settings: Settings
) -> NDArray[np.float32]:
    """The loadings raised to `power`, OWN_SHARE of them as the traits' customers themselves have the tokens.

    Windows and PPMI rows say which tokens belong together; which of an item's tokens and how much of each a trait's
    customers take, their own rows know better: least squares of these on their weights.
    """
    damped = unit_length(components**power)
    weights = unit_length(fold_in(parts.tied, damped, workers=settings.workers))
    taken = fold_in(sparse.csr_array(parts.plain.T), np.ascontiguousarray(weights.T), workers=settings.workers)
    own = unit_length(taken.T)
    mixed = unit_length((1 - OWN_SHARE) * components + OWN_SHARE * own)
    return unit_length(mixed**power)


def density_weight(counts: sparse.csr_array) -> float:
    """DENSITY V / (N df) for N customers, V tokens and `df` customers per token: the PPMI weight to begin with.

    With it a token's PPMI row counts as DENSITY / df customers' rows: where many customers have each token, they
    say themselves what goes together; where few do, the pairs within sessions must. Empty rows and columns are left
    out; 0 for counts without entries.
    """
    n_customers = int((np.diff(counts.indptr) > 0).sum())
    n_tokens = len(np.unique(counts.indices))
    return DENSITY * n_tokens**2 / (n_customers * counts.nnz) if counts.nnz else 0.0


def fit_joint(
    sequences: Sequences, token_item: NDArray[np.int32], blend: Blend, settings: Settings
) -> Fitted:
    """Customers, session windows and PPMI rows stacked, and factored for one set of token loadings.

    Descends from a merged start and from the SVD, for either may miss a trait, and keeps the loadings that read the
    customers more reliably. The ties between an item's tokens shape the loadings; a customer's weights are read from
    what they did.
    """
    parts = JointParts.of(sequences, token_item, settings)
    matrix = blended(parts, blend, settings.seed)
    found = [
        own_loadings(factorize(matrix, settings, start=start), blend.loading_power, parts, settings)
        for start in (merged_start(matrix, parts, settings), None)
    ]
    components = found[more_reliable(found, sequences, token_item, parts.idf, settings)]
    raw = fold_in(parts.plain, components, workers=settings.workers)
    return Fitted(components, raw, {"idf": parts.idf}, asdict(blend))


def more_reliable(
    found: list[NDArray[np.float32]], sequences: Sequences, token_item: NDArray[np.int32], idf: NDArray[np.float32],
    settings: Settings,
) -> int:  # fmt: skip
    """0, the first of two loadings, unless by the second the halves of customers' histories agree clearly better."""
    rng = np.random.default_rng([settings.seed, 13])
    judges = take_owners(sequences, np.sort(rng.permutation(sequences.n_owners)[:MOST_JUDGES]))
    halves = [
        weigh_counts(count_tokens(half, n_tokens=len(token_item)), idf)
        for half in halve_histories(judges, token_item, rng)
    ]
    first, second = (
        split_half_reliability(*(fold_in(half, loadings, workers=settings.workers) for half in halves))
        for loadings in found
    )
    return int(second > (1.0 + START_GAIN) * max(first, 0.0))
