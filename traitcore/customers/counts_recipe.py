"""The simple trait recipe: NMF of the customers' token counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from ..factorization.fold_in import fold_in
from . import tuning
from .components import factorize
from .counts import count_tokens, token_idf, weigh_counts, with_tokens
from .recipes import RecipeResult, TraitFitOptions


class CountsRecipe:
    """NMF of the tf-idf weighted customer x token counts: the simple baseline.

    A recipe that only weighs tokens otherwise, or finds the loadings in another way, overrides `token_weights` or
    `components`.
    """

    name = "counts"
    needs_vectors = False

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        counts = count_tokens(sequences, n_tokens=len(token_item))
        weights = self.token_weights(counts)
        rows = weigh_counts(counts, weights)
        components = self.components(counts, rows, options)
        return RecipeResult(components, fold_in(rows, components, workers=options.workers), {"idf": weights})

    def token_weights(self, counts: sparse.csr_array) -> NDArray[np.float32]:
        """(n_tokens,) what a token weighs in the customers' rows."""
        return token_idf(counts)

    def components(
        self, counts: sparse.csr_array, rows: sparse.csr_array, options: TraitFitOptions
    ) -> NDArray[np.float32]:
        """(n_traits, n_tokens) unit loadings, of the counts and of the customers' rows that were made of them."""
        rows, H = with_tokens(rows, tuning.SHAPING_TOKENS), options.previous
        start = None if H is None else (fold_in(rows, H, workers=options.workers), H)
        return factorize(rows, options, start=start)

    def encode(self, sequences: Sequences, result: RecipeResult, options: TraitFitOptions) -> NDArray[np.float32]:
        counts = count_tokens(sequences, n_tokens=result.components.shape[1])
        return fold_in(weigh_counts(counts, result.arrays["idf"]), result.components, workers=options.workers)
