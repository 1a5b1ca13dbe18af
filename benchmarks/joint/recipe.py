"""The joint trait recipe: customers, session windows and PPMI rows factored together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from traitcore._rows import cosines, unit_rows
from traitcore.customers.components import Start, factorize
from traitcore.customers.counts import count_tokens, weigh_counts
from traitcore.customers.counts_recipe import CountsRecipe
from traitcore.customers.customer_subsets import take_owners
from traitcore.customers.recipes import RecipeResult, TraitFitOptions
from traitcore.customers.reliability import halve_histories, split_half_reliability
from traitcore.events.sequences import Sequences
from traitcore.factorization.fold_in import fold_in

from . import tuning
from .blend_selection import choose_blend
from .views import JointViews, refine_loadings, stack_views


class JointRecipe(CountsRecipe):
    """Customers, session windows and PPMI rows stacked, and factored for one set of token loadings.

    Descends from a merged start and from the SVD, as either may miss a trait, and keeps the loadings that read the
    customers more reliably. The ties between an item's tokens shape the loadings; a customer's weights are read from
    their own tokens, as in "counts".
    """

    name = "joint"

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        blend = choose_blend(sequences, token_item, options)
        views = JointViews.of(sequences, token_item, options)
        matrix = stack_views(views, blend, options.seed)
        found = [
            refine_loadings(factorize(matrix, options, start=start), blend.loading_power, views, options)
            for start in (merged_start(matrix, views, options), None)
        ]
        components = found[pick_more_reliable(found, sequences, token_item, views.idf, options)]
        raw = fold_in(views.plain, components, workers=options.workers)
        return RecipeResult(components, raw, {"idf": views.idf})


def merged_start(matrix: sparse.csr_array, views: JointViews, options: TraitFitOptions) -> Start:
    """(W, H) to descend from: a fit with more components than wanted, of which those with similar tokens are merged.

    A descent from the SVD ends in the minimum nearest to it, which on some samples misses a trait. Fitting a few extra
    components lets duplicates be recognised and merged.
    """
    extra = max(1, round(options.n_traits * tuning.EXTRA_COMPONENTS))
    H = factorize(matrix, replace(options, n_traits=options.n_traits + extra, n_restarts=1, progress=None))
    H = merge_components(fold_in(views.tied, H, workers=options.workers), H, options.n_traits)
    return fold_in(matrix, H, workers=options.workers), H


def pick_more_reliable(
    found: list[NDArray[np.float32]], sequences: Sequences, token_item: NDArray[np.int32], idf: NDArray[np.float32],
    options: TraitFitOptions,
) -> int:
    """1 if the second of two loadings has a clearly higher split-half reliability than the first, else 0."""
    rng = np.random.default_rng([options.seed, 13])
    drawn = np.sort(rng.permutation(sequences.n_owners)[: tuning.MAX_VALIDATION_CUSTOMERS])
    halves = [
        weigh_counts(count_tokens(half, n_tokens=len(token_item)), idf)
        for half in halve_histories(take_owners(sequences, drawn), token_item, rng)
    ]
    first, second = (
        split_half_reliability(*(fold_in(half, loadings, workers=options.workers) for half in halves))
        for loadings in found
    )
    return int(second > (1.0 + tuning.START_GAIN) * max(first, 0.0))


def merge_components(W: NDArray[np.float32], H: NDArray[np.float32], n_components: int) -> NDArray[np.float32]:
    """(n_components, m) float32 unit rows: of the components of W H, pairs merged until so many are left.

    Each time the pair whose rows of H have the largest cosine is merged into h_a + h_b, each as strong as it is in W H;
    the merged weights are w_a + w_b.

    """
    lengths = np.linalg.norm(H, axis=1).astype(np.float64)
    patterns = unit_rows(H.astype(np.float64))
    weights = W.astype(np.float64) * lengths
    while len(patterns) > n_components:
        close = cosines(patterns, patterns)
        np.fill_diagonal(close, -np.inf)
        a, b = np.unravel_index(int(np.argmax(close)), close.shape)
        kept = np.setdiff1d(np.arange(len(patterns)), (a, b))
        one = sum(np.linalg.norm(weights[:, j]) * patterns[j] for j in (a, b))
        patterns = np.vstack([patterns[kept], unit_rows(one[None])])
        weights = np.hstack([weights[:, kept], (weights[:, a] + weights[:, b])[:, None]])
    return np.ascontiguousarray(patterns, dtype=np.float32)
