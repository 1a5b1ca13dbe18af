"""Trait recipes that lost in the trait benchmark: kept runnable, and examples of a recipe of one's own.

`TraitModel(16, method=RECIPES["semi"])` fits by one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.joint.views import ppmi_rows
from traitcore._rows import unit_rows, unit_sparse_rows
from traitcore.customers.components import factorize, unit_components
from traitcore.customers.counts import count_tokens, token_idf, weigh_counts
from traitcore.customers.recipes import Recipe, RecipeResult, TraitFitOptions
from traitcore.customers.shift import pooled_vectors, pooling_arrays, without_empty
from traitcore.events.sequences import Sequences
from traitcore.factorization.fold_in import fold_in
from traitcore.factorization.nmf import factorize_nonnegative
from traitcore.factorization.semi_nmf import factorize_semi_nonnegative

NEIGHBOURS = 20


class CodesRecipe:
    """NMF of the tokens' PPMI rows; a customer is the weighted sum of their tokens' codes (Murphy et al. 2012)."""

    name = "codes"
    needs_vectors = False

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        counts = count_tokens(sequences, n_tokens=len(token_item))
        idf = token_idf(counts)
        ppmi = ppmi_rows(sequences, counts, window=5, workers=options.workers)
        found = factorize_nonnegative(
            unit_sparse_rows(ppmi), options.n_traits, max_iter=options.max_iter, tol=options.tol,
            random_state=options.seed, workers=options.workers, progress=options.progress,
        )
        lengths = np.linalg.norm(found.H, axis=1)
        components = np.ascontiguousarray((found.W * lengths).T, dtype=np.float32)
        return RecipeResult(components, np.asarray(weigh_counts(counts, idf) @ components.T), {"idf": idf})

    def encode(self, sequences: Sequences, result: RecipeResult, options: TraitFitOptions) -> NDArray[np.float32]:
        counts = count_tokens(sequences, n_tokens=result.components.shape[1])
        return np.asarray(weigh_counts(counts, result.arrays["idf"]) @ result.components.T, dtype=np.float32)


class SmoothedRecipe:
    """NMF of tf-idf counts spread over each token's most similar tokens by the embedding."""

    name = "smoothed"
    needs_vectors = True

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        assert item_vectors is not None
        idf = token_idf(count_tokens(sequences, n_tokens=len(token_item)))
        rows = _spread_counts(sequences, idf, item_vectors)
        components = factorize(rows, options)
        raw = fold_in(rows, components, workers=options.workers)
        return RecipeResult(components, raw, {"idf": idf, "item_vectors": item_vectors})

    def encode(self, sequences: Sequences, result: RecipeResult, options: TraitFitOptions) -> NDArray[np.float32]:
        rows = _spread_counts(sequences, result.arrays["idf"], result.arrays["item_vectors"])
        return fold_in(rows, result.components, workers=options.workers)


def _spread_counts(
    sequences: Sequences, idf: NDArray[np.float32], vectors: NDArray[np.float32]
) -> sparse.csr_array:
    rows = weigh_counts(count_tokens(sequences, n_tokens=len(idf)), idf)
    return unit_sparse_rows(sparse.csr_array(rows @ similar_tokens(vectors)))


def similar_tokens(vectors: NDArray[np.float32], *, block: int = 2048) -> sparse.csr_array:
    """(n_tokens, n_tokens) CSR: 1 for a token itself, the cosine of its most similar tokens where positive."""
    unit = unit_rows(vectors, np.float32)
    n, k = len(unit), min(NEIGHBOURS, max(len(unit) - 1, 0))
    columns = np.empty((n, k), dtype=np.int64)
    values = np.empty((n, k), dtype=np.float32)
    for start in range(0, n, block):
        close = unit[start : start + block] @ unit.T
        here = np.arange(len(close))
        close[here, start + here] = -2.0
        # Ties at the cut go to the smaller row: a stable sort, for equal vectors are common among rare tokens.
        columns[start : start + block] = np.argsort(-close, axis=1, kind="stable")[:, :k]
        values[start : start + block] = np.take_along_axis(close, columns[start : start + block], axis=1)
    keep = values > 0
    rows = np.broadcast_to(np.arange(n)[:, None], (n, k))[keep]
    near = sparse.coo_array((values[keep], (rows, columns[keep])), shape=(n, n)).tocsr()
    return sparse.csr_array(near + sparse.csr_array(sparse.diags(np.ones(n, np.float32), dtype=np.float32)))


class SemiRecipe:
    """Semi-NMF of the customers' centred tf-idf pooled vectors C: C ~ W H with W >= 0 and H free (Ding, Li & Jordan
    2010). W does not change under a rotation of the embedding."""

    name = "semi"
    needs_vectors = True

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        assert item_vectors is not None
        arrays = pooling_arrays(sequences, item_vectors)
        pooled = pooled_vectors(sequences, arrays, options.workers)
        filled = np.diff(count_tokens(sequences, n_tokens=len(token_item)).indptr) > 0
        arrays["offset"] = pooled[filled].mean(axis=0, dtype=np.float64).astype(np.float32)
        arrays["H"] = self.factorize(self.features(pooled[filled] - arrays["offset"]), options)
        tokens = fold_in(self.features(item_vectors - arrays["offset"]), arrays["H"], workers=options.workers)
        result = RecipeResult(np.ascontiguousarray(tokens.T), np.zeros((0, options.n_traits), np.float32), arrays)
        result.raw_profiles = self.encode(sequences, result, options)
        return result

    def encode(self, sequences: Sequences, result: RecipeResult, options: TraitFitOptions) -> NDArray[np.float32]:
        moved = pooled_vectors(sequences, result.arrays, options.workers) - result.arrays["offset"]
        return without_empty(fold_in(self.features(moved), result.arrays["H"], workers=options.workers), sequences)

    def features(self, moved: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(moved, dtype=np.float32)

    def factorize(self, features: NDArray[np.float32], options: TraitFitOptions) -> NDArray[np.float32]:
        found = factorize_semi_nonnegative(
            features, options.n_traits, max_iter=options.max_iter, tol=min(options.tol, 1e-5),
            random_state=options.seed, workers=options.workers,
        )
        return unit_components(found.H)


class SplitRecipe(SemiRecipe):
    """NMF of [C+, C-]: positive and negative parts of the centred vectors side by side (Kim & Tidor 2003)."""

    name = "split"

    def features(self, moved: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([np.maximum(moved, 0.0), np.maximum(-moved, 0.0)], axis=1)

    def factorize(self, features: NDArray[np.float32], options: TraitFitOptions) -> NDArray[np.float32]:
        return factorize(features, options)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (SmoothedRecipe(), CodesRecipe(), SplitRecipe(), SemiRecipe())
}
