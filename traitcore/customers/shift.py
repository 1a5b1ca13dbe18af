"""The trait recipe first proposed: pooled vectors shifted to be non-negative, factored, tokens found by cosine."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events.sequences import Sequences
from ..factorization.fold_in import fold_in
from ..factorization.nmf import factorize_nonnegative
from .counts import count_tokens
from .pooling import customer_vectors
from .recipes import RecipeResult, TraitFitOptions

SHIFT_WARNING = (
    "method='shift' is the recipe as first written: it adds a constant to make vectors non-negative, so its traits "
    "depend on the coordinates of the embedding and are named hardly better than chance. `benchmarks/versus.py traits` "
    "compares it (docs/traits.md); method='spectral' is the default."
)


class ShiftWarning(UserWarning):
    """The "shift" recipe was chosen; the message says what it costs."""


class ShiftRecipe:
    """NMF of C - min(C) + 1e-6 for the customers' tf-idf pooled vectors C; the tokens' loadings are cos(H, E).

    Kept as it was specified, scikit-learn's "nndsvd" start and no unit length included, so that it can be compared.
    """

    name = "shift"
    needs_vectors = True

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        assert item_vectors is not None
        warnings.warn(SHIFT_WARNING, ShiftWarning, stacklevel=3)
        arrays = pooling_arrays(sequences, item_vectors)
        pooled = pooled_vectors(sequences, arrays, options.workers)
        arrays["offset"] = np.full(item_vectors.shape[1], min(float(pooled.min()), 0.0) - 1e-6, dtype=np.float32)
        found = factorize_nonnegative(
            pooled - arrays["offset"], options.n_traits, init="nndsvd", max_iter=options.max_iter, tol=options.tol,
            random_state=options.seed, workers=options.workers,
        )
        H = np.ascontiguousarray(found.H, dtype=np.float32)
        arrays["H"] = H
        norms = np.linalg.norm(H, axis=1)[:, None] * np.linalg.norm(item_vectors, axis=1)[None, :]
        components = np.asarray(H @ item_vectors.T / (norms + 1e-6), dtype=np.float32)
        result = RecipeResult(components, np.zeros((0, options.n_traits), np.float32), arrays)
        result.raw_profiles = self.encode(sequences, result, options)
        return result

    def encode(self, sequences: Sequences, result: RecipeResult, options: TraitFitOptions) -> NDArray[np.float32]:
        moved = pooled_vectors(sequences, result.arrays, options.workers) - result.arrays["offset"]
        # A new customer may lie below the minimum that the shift was fitted on.
        raw = fold_in(np.maximum(moved, 0.0), result.arrays["H"], workers=options.workers)
        return without_empty(raw, sequences)


def pooling_arrays(sequences: Sequences, item_vectors: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """What `pooled_vectors` needs to weigh other customers' tokens as those of `sequences`."""
    counts = count_tokens(sequences, n_tokens=len(item_vectors))
    df = np.bincount(counts.indices, minlength=len(item_vectors))
    return {"item_vectors": item_vectors, "document_frequencies": df, "n_documents": np.array([counts.shape[0]])}


def pooled_vectors(sequences: Sequences, arrays: dict[str, NDArray[Any]], workers: int) -> NDArray[np.float32]:
    """(n_owners, d) tf-idf pooled vectors."""
    return customer_vectors(
        sequences, arrays["item_vectors"], method="tfidf", document_frequencies=arrays["document_frequencies"],
        n_documents=int(arrays["n_documents"][0]), workers=workers,
    ).vectors


def without_empty(raw: NDArray[np.float32], sequences: Sequences) -> NDArray[np.float32]:
    """`raw` with zero rows for customers without tokens, changed in place."""
    raw[np.bincount(sequences.owners(), weights=np.diff(sequences.offsets), minlength=len(raw)) == 0] = 0.0
    return raw
