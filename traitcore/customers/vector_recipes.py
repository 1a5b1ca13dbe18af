"""The recipes of `TraitModel` that go through an embedding of the tokens."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from ..factorization.fold_in import fold_in
from ..factorization.nmf import factorize_nonnegative
from ..factorization.semi_nmf import factorize_semi_nonnegative
from .counts import count_tokens, token_idf, unit_rows, weigh_counts
from .pooling import customer_vectors
from .recipes import Fitted, Settings, factorize, ppmi_rows, unit_length

SHIFT_WARNING = (
    "method='shift' is the recipe as first written: it adds a constant to make vectors non-negative, so its traits "
    "depend on the coordinates of the embedding and are named hardly better than chance. Compare it in the README's "
    "table of trait methods; method='joint' is the default."
)
_NEIGHBOURS = 20


class ShiftWarning(UserWarning):
    """The 'shift' recipe was chosen; the message says what it costs."""


# --- codes: non-negative codes of tokens, pooled ---


def fit_codes(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> Fitted:
    """NMF of the tokens' PPMI rows; a customer is the weighted sum of the codes of their tokens (after NNSE)."""
    counts = count_tokens(sequences, n_tokens=len(token_item))
    idf = token_idf(counts)
    ppmi = unit_rows(ppmi_rows(sequences, counts, settings))
    found = factorize_nonnegative(
        ppmi, settings.n_traits, max_iter=settings.max_iter, tol=settings.tol, random_state=settings.seed,
        workers=settings.workers, progress=settings.progress,
    )  # fmt: skip
    lengths = np.linalg.norm(found.H, axis=1)
    components = np.ascontiguousarray((found.W * lengths).T, dtype=np.float32)
    return Fitted(components, np.asarray(weigh_counts(counts, idf) @ components.T), {"idf": idf})


def encode_codes(sequences: Sequences, fitted: Fitted, settings: Settings) -> NDArray[np.float32]:
    """The codes of other customers' tokens, pooled."""
    counts = count_tokens(sequences, n_tokens=fitted.components.shape[1])
    return np.asarray(weigh_counts(counts, fitted.arrays["idf"]) @ fitted.components.T, dtype=np.float32)


# --- smoothed: counts spread over similar tokens ---


def fit_smoothed(
    sequences: Sequences, token_item: NDArray[np.int32], vectors: NDArray[np.float32], settings: Settings
) -> Fitted:
    """NMF of tf-idf counts spread over each token's most similar tokens by the embedding."""
    counts = count_tokens(sequences, n_tokens=len(token_item))
    idf = token_idf(counts)
    spread = similar_tokens(vectors)
    rows = unit_rows(sparse.csr_array(weigh_counts(counts, idf) @ spread))
    components = factorize(rows, settings)
    raw = fold_in(rows, components, workers=settings.workers)
    return Fitted(components, raw, {"idf": idf, "item_vectors": vectors})


def encode_smoothed(sequences: Sequences, fitted: Fitted, settings: Settings) -> NDArray[np.float32]:
    """Weights of other customers' spread counts."""
    counts = count_tokens(sequences, n_tokens=fitted.components.shape[1])
    spread = similar_tokens(fitted.arrays["item_vectors"])
    rows = unit_rows(sparse.csr_array(weigh_counts(counts, fitted.arrays["idf"]) @ spread))
    return fold_in(rows, fitted.components, workers=settings.workers)


def similar_tokens(vectors: NDArray[np.float32], *, block: int = 2048) -> sparse.csr_array:
    """(n_tokens, n_tokens) CSR: 1 for a token itself, the cosine of its most similar tokens where positive."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    n, k = len(unit), min(_NEIGHBOURS, max(len(unit) - 1, 0))
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


# --- semi, split, shift: from customer vectors ---


def fit_vectors(
    sequences: Sequences,
    token_item: NDArray[np.int32],
    vectors: NDArray[np.float32],
    settings: Settings,
    method: str,
) -> Fitted:
    """Traits of the customers' tf-idf pooled vectors C.

    "semi": centred C ~ W H with W >= 0 and H free (Ding, Li & Jordan 2010): W doesn't change under a rotation.
    "split": NMF of [C+, C-], the positive and negative parts side by side (Kim & Tidor 2003).
    "shift": NMF of C - min(C) + 1e-6; the tokens' loadings are cos(H, E).
    """
    counts = count_tokens(sequences, n_tokens=len(token_item))
    df = np.bincount(counts.indices, minlength=len(token_item))
    arrays: dict[str, NDArray[Any]] = {
        "item_vectors": vectors, "document_frequencies": df, "n_documents": np.array([counts.shape[0]]),
    }  # fmt: skip
    fitted = Fitted(np.zeros((settings.n_traits, len(token_item)), np.float32), np.zeros((0, 0), np.float32), arrays)
    pooled = _pooled(sequences, fitted, settings)
    live = np.diff(counts.indptr) > 0
    if method == "shift":
        warnings.warn(SHIFT_WARNING, ShiftWarning, stacklevel=4)
        arrays["offset"] = np.full(vectors.shape[1], min(float(pooled.min()), 0.0) - 1e-6, dtype=np.float32)
        # The first recipe as written: scikit-learn's names, nndsvd, and no unit length.
        found = factorize_nonnegative(
            pooled - arrays["offset"], settings.n_traits, init="nndsvd", max_iter=settings.max_iter, tol=settings.tol,
            random_state=settings.seed, workers=settings.workers,
        )  # fmt: skip
        H = np.ascontiguousarray(found.H, dtype=np.float32)
    else:
        arrays["offset"] = pooled[live].mean(axis=0, dtype=np.float64).astype(np.float32)
        features = _features(pooled[live] - arrays["offset"], method)
        if method == "semi":
            found = factorize_semi_nonnegative(
                features, settings.n_traits, max_iter=settings.max_iter, tol=min(settings.tol, 1e-5),
                random_state=settings.seed, workers=settings.workers,
            )  # fmt: skip
            H = unit_length(found.H)
        else:
            H = factorize(features, settings)
    arrays["H"] = H
    fitted.raw = encode_vectors(sequences, fitted, settings, method)
    if method == "shift":
        fitted.components = _cosines(H, vectors)
    else:
        tokens = _features(vectors - arrays["offset"], method)
        fitted.components = np.ascontiguousarray(fold_in(tokens, H, workers=settings.workers).T)
    return fitted


def encode_vectors(sequences: Sequences, fitted: Fitted, settings: Settings, method: str) -> NDArray[np.float32]:
    """Weights of customers' vectors; a customer without known tokens has none."""
    pooled = _pooled(sequences, fitted, settings)
    moved = pooled - fitted.arrays["offset"]
    # A new customer may lie below the minimum that the shift was fitted on.
    features = np.maximum(moved, 0.0) if method == "shift" else _features(moved, method)
    raw = fold_in(features, fitted.arrays["H"], workers=settings.workers)
    raw[np.bincount(sequences.owners(), weights=np.diff(sequences.offsets), minlength=len(raw)) == 0] = 0.0
    return raw


def _pooled(sequences: Sequences, fitted: Fitted, settings: Settings) -> NDArray[np.float32]:
    arrays = fitted.arrays
    return customer_vectors(
        sequences, arrays["item_vectors"], method="tfidf", document_frequencies=arrays["document_frequencies"],
        n_documents=int(arrays["n_documents"][0]), workers=settings.workers,
    ).vectors  # fmt: skip


def _features(moved: NDArray[np.float32], method: str) -> NDArray[np.float32]:
    if method == "split":
        return np.concatenate([np.maximum(moved, 0.0), np.maximum(-moved, 0.0)], axis=1)
    return np.ascontiguousarray(moved, dtype=np.float32)


def _cosines(H: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(H, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)[None, :]
    return np.asarray(H @ vectors.T / (norms + 1e-6), dtype=np.float32)
