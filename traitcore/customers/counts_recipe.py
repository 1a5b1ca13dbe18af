"""The simple trait recipe: NMF of the customers' token counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..events.sequences import Sequences
from ..factorization.fold_in import fold_in
from .components import factorize
from .counts import count_tokens, token_idf, weigh_counts
from .recipes import RecipeResult, TraitFitOptions


class CountsRecipe:
    """NMF of the tf-idf weighted customer x token counts: the simple baseline."""

    name = "counts"
    needs_vectors = False

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        counts = count_tokens(sequences, n_tokens=len(token_item))
        idf = token_idf(counts)
        rows = weigh_counts(counts, idf)
        start = None if options.previous is None else (
            fold_in(rows, options.previous, workers=options.workers), options.previous
        )
        components = factorize(rows, options, start=start)
        return RecipeResult(components, fold_in(rows, components, workers=options.workers), {"idf": idf})

    def encode(self, sequences: Sequences, result: RecipeResult, options: TraitFitOptions) -> NDArray[np.float32]:
        counts = count_tokens(sequences, n_tokens=result.components.shape[1])
        return fold_in(weigh_counts(counts, result.arrays["idf"]), result.components, workers=options.workers)
