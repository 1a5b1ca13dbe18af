"""The recipes of `TraitModel` over token counts: from sequences to loadings of tokens and weights of customers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import ConvergenceWarning
from ..events.sequences import Sequences
from ..factorization.fold_in import fold_in
from ..factorization.nmf import factorize_nonnegative
from ..factorization.starts import nndsvd_start
from ..factorization.svd import randomized_svd
from ..items.cooccurrence import count_cooccurrences
from ..items.ppmi import positive_pmi
from .consensus import consensus_components
from .counts import count_lately, count_tokens, tie_tokens, token_idf, unit_rows, weigh_counts

# PPMI rows count as df ** TOKEN_POWER, for the row of a token few customers have is mostly chance.
TOKEN_POWER = 0.5
# PPMI values are multiplied by n / (n + PAIR_DISCOUNT) for a pair met n times.
PAIR_DISCOUNT = 5.0
# What a customer had k sessions ago counts RATE_DECAY ** k in a trait's rates.
RATE_DECAY = 0.5
# Starts from singular vectors that are right to this, or the traits would differ from seed to seed.
START_TOL = 1e-3
# Entries of a singular vector below this share of its largest are taken as zero.
ROUNDING = 1e-5
# The search for them ends with so many columns, and so many a component more: shops take 200; noise, whose singular
# values are all alike, would take thousands.
START_COLUMNS, COLUMNS_A_COMPONENT = 128, 24


@dataclass(frozen=True)
class Settings:
    """Parameters of a fit, checked. What is None of the joint recipe's blend is chosen on inner validation splits."""

    n_traits: int
    tie: float = 0.5
    window: int = 10
    ppmi_window: int = 5
    windows_weight: float | None = None
    ppmi_weight: float | None = None
    loading_power: float | None = None
    n_restarts: int = 1
    max_iter: int = 200
    tol: float = 1e-4
    seed: int = 0
    workers: int = 1
    progress: Callable[[str, float, float], None] | None = None


@dataclass
class Fitted:
    """What a recipe learned.

    components : (n_traits, n_tokens) float32 loadings of the tokens.
    raw : (n_customers, n_traits) float32 weights of the customers.
    arrays : what `encode` needs for other customers. chosen : the joint recipe's blend, by parameter.
    """

    components: NDArray[np.float32]
    raw: NDArray[np.float32]
    arrays: dict[str, NDArray[Any]]
    chosen: dict[str, float] = field(default_factory=dict)


def unit_length(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of Euclidean length 1; zero rows stay zero.

    Components, so that the customers' weights are on one scale; customers' weights, because with sums of 1 a customer
    of many traits would count for less than one of a single.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def token_rates(
    raw: NDArray[np.float32], sequences: Sequences, token_item: NDArray[np.int32], tie: float, workers: int
) -> NDArray[np.float32]:
    """Non-negative least squares of who has which token (spread over an item's tokens by `tie`) on the weights.

    A token counts RATE_DECAY for each session since the customer last had it: what a trait's customers took lately
    says more of what they take next, as ranges change. A customer's weights and tokens have length 1 here: with plain
    ones for tokens the longest histories would be the rates.
    """
    have = unit_rows(count_lately(sequences, n_tokens=len(token_item), decay=RATE_DECAY))
    tied = tie_tokens(token_item, tie)
    taken = (have if tied is None else sparse.csr_array(have @ tied)).T
    return np.ascontiguousarray(fold_in(taken, np.ascontiguousarray(unit_length(raw).T), workers=workers).T)


Start = tuple[NDArray[np.float32], NDArray[np.float32]]


def factorize(matrix: Any, settings: Settings, *, start: Start | None = None) -> NDArray[np.float32]:
    """(n_traits, n_columns) unit components of a non-negative matrix; with restarts, those that the runs agree on.

    The first run starts from `start` (W, H), or else the SVD, each restart from a rougher one with random fill-ins
    ("nndsvdar").
    """
    runs = []
    for restart in range(settings.n_restarts):
        W, H = (start or converged_start(matrix, settings)) if restart == 0 else (None, None)
        found = factorize_nonnegative(
            matrix, settings.n_traits, init="nndsvdar" if W is None else "custom", W=W, H=H,
            max_iter=settings.max_iter, tol=settings.tol, random_state=settings.seed + restart,
            workers=settings.workers, progress=settings.progress,
        )  # fmt: skip
        runs.append(unit_length(found.H))
    return runs[0] if len(runs) == 1 else consensus_components(runs)[0]


def converged_start(matrix: Any, settings: Settings) -> Start:
    """(W, H) by nndsvda (Boutsidis & Gallopoulos 2008) from an SVD searched until it has converged, or is noise.

    `factorize_nonnegative` starts from an SVD of a few steps, which is enough for a good fit; but the minimum that a
    fit ends in follows from the start, and traits should not change with the seed.
    """
    n, m = matrix.shape
    rank = min(settings.n_traits, n, m)
    columns = START_COLUMNS + COLUMNS_A_COMPONENT * rank
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # noise: any start will do
        found = randomized_svd(
            matrix, rank, tol=START_TOL, random_state=settings.seed, workers=settings.workers,
            memory_limit_mb=4 * columns * min(n, m) / 2**20 if min(n, m) > 2 * columns else None,
        )  # fmt: skip
    U, V = (_without_rounding(vectors) for vectors in (found.U, found.Vt.T))
    return nndsvd_start(
        U, found.singular_values, V, settings.n_traits, fill=float(matrix.sum(dtype=np.float64)) / max(1, n * m),
        smallest=float(np.finfo(np.float32).tiny), workers=settings.workers,
    )  # fmt: skip


def _without_rounding(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Singular vectors, in columns, with zeros for what may be a zero's rounding error of either sign."""
    size = np.abs(vectors)
    return np.where(size > ROUNDING * size.max(axis=0), vectors, np.float32(0)).astype(np.float32, order="C")


# --- counts ---


def fit_counts(sequences: Sequences, token_item: NDArray[np.int32], settings: Settings) -> Fitted:
    """NMF of the tf-idf weighted customer x token counts: the simple baseline."""
    counts = count_tokens(sequences, n_tokens=len(token_item))
    idf = token_idf(counts)
    rows = weigh_counts(counts, idf)
    components = factorize(rows, settings)
    return Fitted(components, fold_in(rows, components, workers=settings.workers), {"idf": idf})


def encode_counts(sequences: Sequences, fitted: Fitted, settings: Settings) -> NDArray[np.float32]:
    """Weights of other customers on the counts' components."""
    counts = count_tokens(sequences, n_tokens=fitted.components.shape[1])
    return fold_in(weigh_counts(counts, fitted.arrays["idf"]), fitted.components, workers=settings.workers)


# --- PPMI rows, of "joint" and "codes" ---


def ppmi_rows(sequences: Sequences, counts: sparse.csr_array, settings: Settings) -> sparse.csr_array:
    """(n_tokens, n_tokens) CSR: PPMI within sessions, rows of length df ** TOKEN_POWER with mean square 1."""
    pairs = count_cooccurrences(
        sequences, n_items=counts.shape[1], window=settings.ppmi_window, workers=settings.workers
    )
    ppmi = positive_pmi(pairs, context_smoothing=1.0, discount=PAIR_DISCOUNT, workers=settings.workers)
    df = np.bincount(counts.indices, minlength=counts.shape[1])
    return scaled_rows(unit_rows(sparse.csr_array(ppmi)), df**TOKEN_POWER)


def scaled_rows(matrix: sparse.csr_array, lengths: NDArray[Any]) -> sparse.csr_array:
    """Rows multiplied by `lengths`, these first brought to mean square 1 over the rows that hold anything."""
    live = np.diff(matrix.indptr) > 0
    factor = np.where(live, lengths, 0.0).astype(np.float64)
    mean_square = float((factor[live] ** 2).mean()) if live.any() else 1.0
    factor /= np.sqrt(mean_square) if mean_square > 0 else 1.0
    scaled = matrix.copy()
    scaled.data = (matrix.data * np.repeat(factor, np.diff(matrix.indptr))).astype(np.float32)
    return scaled
