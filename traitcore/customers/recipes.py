"""The recipes of `TraitModel`: from token sequences to trait loadings of tokens and trait weights of customers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..events.sequences import Sequences
from ..items.cooccurrence import count_cooccurrences
from ..items.ppmi import positive_pmi
from .counts import count_tokens, count_windows, tie_tokens, token_idf, unit_rows, weigh_counts
from .folding import fold_in
from .nmf import factorize_nonnegative


@dataclass
class Settings:
    """Parameters of a fit, checked."""

    n_traits: int
    tie: float
    window: int
    windows_weight: float
    ppmi_weight: float
    max_iter: int
    tol: float
    seed: int
    workers: int


@dataclass
class Fitted:
    """What a recipe learned.

    components : (n_traits, n_tokens) float32 loadings of the tokens.
    raw : (n_customers, n_traits) float32 weights of the customers.
    arrays : what `encode` needs for other customers.
    """

    components: NDArray[np.float32]
    raw: NDArray[np.float32]
    arrays: dict[str, NDArray[Any]]
    figures: dict[str, float] = field(default_factory=dict)


def factorize(matrix: Any, settings: Settings) -> NDArray[np.float32]:
    """(n_traits, n_columns) components of a non-negative matrix; scale-free: each has Euclidean length 1."""
    found = factorize_nonnegative(
        matrix, settings.n_traits, init="nndsvda", max_iter=settings.max_iter, tol=settings.tol,
        random_state=settings.seed, workers=settings.workers,
    )  # fmt: skip
    norms = np.linalg.norm(found.H, axis=1, keepdims=True)
    return np.ascontiguousarray(found.H / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def customer_rows(sequences: Sequences, idf: NDArray[np.float32], tied: sparse.csr_array | None) -> sparse.csr_array:
    """(n_customers, n_tokens) CSR: unit rows of log(1 + count) * idf, spread over the tokens of one item."""
    rows = weigh_counts(count_tokens(sequences, n_tokens=len(idf)), idf)
    return rows if tied is None else sparse.csr_array(rows @ tied)


def fit_counts(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> Fitted:
    """NMF of the tf-idf weighted customer x token counts: the simple baseline."""
    idf = token_idf(count_tokens(sequences, n_tokens=len(token_item)))
    rows = customer_rows(sequences, idf, None)
    components = factorize(rows, settings)
    return Fitted(components, fold_in(rows, components), {"idf": idf})


def fit_joint(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> Fitted:
    """Customers, session windows and PPMI rows stacked, and factored for one set of token loadings."""
    n_tokens = len(token_item)
    idf = token_idf(count_tokens(sequences, n_tokens=n_tokens))
    tied = tie_tokens(token_item, settings.tie)
    rows = customer_rows(sequences, idf, tied)
    windows = weigh_counts(count_windows(sequences, n_tokens=n_tokens, length=settings.window), idf)
    counts = count_cooccurrences(sequences, n_items=n_tokens, window=settings.window)
    ppmi = unit_rows(sparse.csr_array(positive_pmi(counts, context_smoothing=1.0, discount=5.0)))
    parts = [rows]
    for part, weight in ((windows, settings.windows_weight), (ppmi, settings.ppmi_weight)):
        if weight > 0 and part.shape[0]:
            parts.append(part * np.float32(np.sqrt(weight * rows.shape[0] / part.shape[0])))
    components = factorize(sparse.vstack(parts, format="csr", dtype=np.float32), settings)
    return Fitted(components, fold_in(rows, components), {"idf": idf})
