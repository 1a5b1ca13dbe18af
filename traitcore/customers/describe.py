"""Traits in words: what sets a trait's customers apart, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._validate import check_array, check_int, check_real
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from .counts import count_tokens

OWNER = "describe_traits"


@dataclass(frozen=True, eq=False)
class Lift:
    """How much more often a trait's customers have a token than customers at large do.

    Attributes
    ----------
    lift : (n_traits, n_tokens) float64, smoothed; 1 where the trait says nothing about the token.
    low : the same at the lower end of a 95% interval.
    eligible : (n_tokens,) bool, tokens of at least `min_df` customers.
    document_frequencies : (n_tokens,) int64 customers with the token.
    """

    lift: NDArray[np.float64]
    low: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    document_frequencies: NDArray[np.int64]

    def top(self, n_top: int) -> list[NDArray[np.int64]]:
        """For each trait the rows of its `n_top` eligible tokens of highest lift above 1; ties by row."""
        tops = []
        for row in self.lift:
            order = np.argsort(np.where(self.eligible, -row, np.inf), kind="stable")[:n_top]
            tops.append(order[self.eligible[order] & (row[order] > 1.0)])
        return tops


def token_lift(profiles: Any, counts: sparse.csr_array, *, smoothing: float = 20.0, min_df: int = 5) -> Lift:
    """Smoothed lift of every token in every trait.

    With profile rows w_c that add up to 1, p_t their mean and B_j the df_j customers with token j:
    lift = (sum over B_j of w_ct / p_t + c) / (df_j + c), that is, a mean over the token's customers shrunk towards 1
    by c imaginary average customers, so that tokens of a few customers don't lead by chance.
    """
    smoothing = check_real("smoothing", OWNER, smoothing, 0.0)
    min_df = check_int("min_df", OWNER, min_df, 0)
    shape = (counts.shape[0], None)
    weights = check_array("profiles", OWNER, profiles, dtype=np.float64, shape=shape, nonnegative=True)
    present = sparse.csr_array((np.ones(counts.nnz), counts.indices, counts.indptr), shape=counts.shape)
    share = weights.mean(axis=0) if len(weights) else np.zeros(weights.shape[1])
    ratio = np.divide(weights, share, out=np.ones_like(weights), where=share > 0)
    df = np.bincount(counts.indices, minlength=counts.shape[1]).astype(np.int64)
    n = df + smoothing
    total = (present.T @ ratio).T
    mean = np.divide(total + smoothing, n, out=np.ones_like(total), where=n > 0)
    squares = (present.T @ (ratio * ratio)).T + smoothing
    variance = np.divide(squares, n, out=np.ones_like(total), where=n > 0) - mean * mean
    error = np.sqrt(np.maximum(variance, 0.0) / np.maximum(n, 1.0))
    return Lift(mean, np.maximum(mean - 1.96 * error, 0.0), df >= min_df, df)


@dataclass(frozen=True, eq=False)
class TopToken:
    """A token that names a trait: its row, external form, smoothed lift, 95% lower bound, and customers with it."""

    row: int
    token: Any
    lift: float
    low: float
    customers: int


@dataclass(frozen=True, eq=False)
class TraitDescription:
    """One trait as a merchandiser reads it.

    Attributes
    ----------
    trait : row of the trait.
    name : from its top tokens.
    prevalence : mean share of the trait in the customers' profiles.
    customers : customers whose weight is above `threshold`.
    tokens : the tokens of highest lift.
    """

    trait: int
    name: str
    prevalence: float
    customers: int
    tokens: tuple[TopToken, ...]


def describe_traits(
    profiles: Any,
    sequences: Sequences,
    vocabulary: Vocabulary,
    *,
    n_top: int = 10,
    smoothing: float = 20.0,
    min_df: int = 5,
    threshold: float = 0.3,
) -> list[TraitDescription]:
    """Describe each trait by the tokens of highest smoothed lift among its customers."""
    n_top = check_int("n_top", OWNER, n_top, 1)
    threshold = check_real("threshold", OWNER, threshold, 0.0, 1.0)
    counts = count_tokens(sequences, n_tokens=len(vocabulary))
    weights = check_array(
        "profiles", OWNER, profiles, dtype=np.float32, shape=(sequences.n_owners, None), nonnegative=True
    )
    lift = token_lift(weights, counts, smoothing=smoothing, min_df=min_df)
    external = vocabulary.tokens
    described = []
    for trait, rows in enumerate(lift.top(n_top)):
        tokens = tuple(
            TopToken(int(j), external[j], float(lift.lift[trait, j]), float(lift.low[trait, j]),
                     int(lift.document_frequencies[j]))
            for j in rows
        )  # fmt: skip
        name = " / ".join(str(token.token) for token in tokens[:3]) or f"trait {trait}"
        described.append(
            TraitDescription(trait, name, float(weights[:, trait].mean()),
                             int((weights[:, trait] > threshold).sum()), tokens)
        )  # fmt: skip
    return described
