"""The views that the joint recipe factors together, their blend, and the loadings read from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from traitcore._rows import unit_sparse_rows
from traitcore.customers.components import unit_components
from traitcore.customers.counts import count_tokens, scale_rows, tie_tokens, token_idf, weigh_counts
from traitcore.customers.recipes import TraitFitOptions
from traitcore.events.sequences import Sequences
from traitcore.factorization.fold_in import fold_in
from traitcore.items.cooccurrence import count_cooccurrences
from traitcore.items.ppmi import positive_pmi

from . import tuning


@dataclass(frozen=True)
class Blend:
    """How much each view counts, and how the loadings are read.

    windows_weight, ppmi_weight : against the customers' rows; a `ppmi_weight` of None is the density's.
    loading_power : in (0, 1], loadings are raised to it. Least squares gives a few tokens nearly all of a trait, so
        that these few decide who has it. Flatter loadings let more tokens decide: steadier where events are noisy,
        but they blur traits that a few tokens do make up.
    """

    windows_weight: float
    ppmi_weight: float | None
    loading_power: float


@dataclass
class JointViews:
    """Three views of one corpus over the same tokens: customers (plain; tied; tied and with row weights), windows,
    PPMI."""

    counts: sparse.csr_array
    idf: NDArray[np.float32]
    plain: sparse.csr_array
    tied: sparse.csr_array
    weighted: sparse.csr_array
    windows: sparse.csr_array
    ppmi: sparse.csr_array

    @classmethod
    def of(cls, sequences: Sequences, token_item: NDArray[np.int32], options: TraitFitOptions) -> JointViews:
        """Build them; each view's rows have mean square length 1, so that weights compare views, not sizes."""
        counts = count_tokens(sequences, n_tokens=len(token_item))
        idf = token_idf(counts)
        plain = weigh_counts(counts, idf)
        tied = tie_rows(plain, token_item, tuning.TIE)
        windows = count_windows(
            sequences, n_tokens=len(token_item), length=tuning.WINDOW, stride=max(1, tuning.WINDOW // 2)
        )
        return cls(
            counts, idf, plain, tied,
            weighted=scale_rows(tied, np.diff(counts.indptr) ** tuning.HISTORY_POWER),
            windows=scale_rows(weigh_counts(windows, idf), np.diff(windows.indptr)),
            ppmi=ppmi_rows(sequences, counts, window=tuning.PPMI_WINDOW, workers=options.workers),
        )

    def stacked(self, windows_weight: float, ppmi_weight: float, seed: int) -> sparse.csr_array:
        """One matrix whose views have total squares N, windows_weight N and ppmi_weight N for N customers.

        A random sample of MAX_FIT_ROWS stands for more customers and windows, each row weighing more accordingly.
        """
        views = [self.weighted]
        if windows_weight > 0 and self.windows.nnz:
            views.append(self._scaled(self.windows, windows_weight))
        n_rows = sum(view.shape[0] for view in views)
        if n_rows > tuning.MAX_FIT_ROWS:
            rng, share = np.random.default_rng([seed, 11]), tuning.MAX_FIT_ROWS / n_rows
            for i, view in enumerate(views):
                few = max(1, int(share * view.shape[0]))
                drawn = np.sort(rng.permutation(view.shape[0])[:few])
                views[i] = sparse.csr_array(view[drawn] * np.float32(np.sqrt(view.shape[0] / few)))
        if ppmi_weight > 0 and self.ppmi.nnz:
            views.append(self._scaled(self.ppmi, ppmi_weight))
        return sparse.csr_array(sparse.vstack(views, format="csr", dtype=np.float32))

    def _scaled(self, view: sparse.csr_array, weight: float) -> sparse.csr_array:
        filled = int((np.diff(view.indptr) > 0).sum())
        return sparse.csr_array(view * np.float32(np.sqrt(weight * self.tied.shape[0] / filled)))


def tie_rows(rows: sparse.csr_array, token_item: NDArray[np.int32], tie: float) -> sparse.csr_array:
    """Rows over tokens, each entry also given, times `tie`, to the other tokens of its item."""
    tied = tie_tokens(token_item, tie)
    return rows if tied is None else sparse.csr_array(rows @ tied)


def stack_views(views: JointViews, blend: Blend, seed: int) -> sparse.csr_array:
    """The stacked views in a blend."""
    weight = density_weight(views.counts) if blend.ppmi_weight is None else blend.ppmi_weight
    return views.stacked(blend.windows_weight, weight, seed)


def refine_loadings(
    components: NDArray[np.float32], power: float, views: JointViews, options: TraitFitOptions
) -> NDArray[np.float32]:
    """The loadings raised to `power`, a share OWN_SHARE of them estimated from the traits' customers' own counts.

    Windows and PPMI rows show which tokens belong together. Customers' own rows show better which of an item's tokens
    they take, and how much of each: the least-squares fit of those rows on the customers' weights.
    """
    damped = unit_components(components**power)
    weights = unit_components(fold_in(views.tied, damped, workers=options.workers))
    taken = fold_in(sparse.csr_array(views.plain.T), np.ascontiguousarray(weights.T), workers=options.workers)
    own = unit_components(taken.T)
    mixed = unit_components((1 - tuning.OWN_SHARE) * components + tuning.OWN_SHARE * own)
    return unit_components(mixed**power)


def density_weight(counts: sparse.csr_array) -> float:
    """The PPMI weight to begin with: DENSITY * n_tokens / (n_customers * customers per token).

    With it a token's PPMI row weighs as much as DENSITY / (customers per token) customers' rows: where many customers
    have each token, their rows show what goes together; where few do, the pairs within sessions must. Empty rows and
    columns are left out; 0 for counts without entries.
    """
    n_customers = int((np.diff(counts.indptr) > 0).sum())
    n_tokens = len(np.unique(counts.indices))
    return tuning.DENSITY * n_tokens**2 / (n_customers * counts.nnz) if counts.nnz else 0.0


def count_windows(sequences: Sequences, *, n_tokens: int, length: int, stride: int) -> sparse.csr_array:
    """(n_windows, n_tokens) CSR float32: token counts of windows of `length` consecutive events, inside a sequence.

    Windows begin every `stride` events; the last one of a sequence is the first that reaches its end.
    """
    sizes = np.diff(sequences.offsets)
    n_windows = np.where(sizes > 0, 1 + np.maximum(0, -(-(sizes - length) // stride)), 0)
    nth = np.arange(int(n_windows.sum())) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    start = np.repeat(sequences.offsets[:-1], n_windows) + nth * stride
    held = np.minimum(length, np.repeat(sequences.offsets[1:], n_windows) - start)
    events = np.arange(int(held.sum())) - np.repeat(np.cumsum(held) - held, held) + np.repeat(start, held)
    windows = sequences.tokens[events]
    cuts = np.concatenate(([0], np.cumsum(held)))
    return count_tokens(Sequences(windows, cuts), n_tokens=n_tokens)


def ppmi_rows(sequences: Sequences, counts: sparse.csr_array, *, window: int, workers: int) -> sparse.csr_array:
    """(n_tokens, n_tokens) CSR: PPMI within sessions, rows of length df ** PPMI_DF_POWER with mean square 1."""
    pairs = count_cooccurrences(sequences, n_items=counts.shape[1], window=window, workers=workers)
    ppmi = positive_pmi(pairs, context_smoothing=1.0, discount=tuning.PAIR_DISCOUNT, workers=workers)
    df = np.bincount(counts.indices, minlength=counts.shape[1])
    return scale_rows(unit_sparse_rows(sparse.csr_array(ppmi)), df**tuning.PPMI_DF_POWER)
