"""The matrices behind the traits: customers x tokens, their weights, and ties between tokens of one item."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._csr import canonical
from .._rows import unit_sparse_rows
from .._validate import Checks
from ..events.sequences import Sequences
from . import tuning
from .pooling import OwnerRuns, check_tokens_covered, inverse_document_frequencies


def count_tokens(sequences: Sequences, *, n_tokens: int | None = None) -> sparse.csr_array:
    """(n_owners, n_tokens) CSR float32: how often each customer has each token; indices sorted.

    A customer without tokens has an empty row. Raises ValueError where a token is not below `n_tokens` (by default
    one past the largest token seen).
    """
    width = _width(sequences, n_tokens, Checks("count_tokens"))
    runs = OwnerRuns.of(sequences)
    places = runs.places(sequences.n_owners)
    return _csr(runs.events, sequences.tokens if places is None else sequences.tokens[places], width)


def recency_counts(
    sequences: Sequences, *, n_tokens: int | None = None, decay: float = tuning.RATE_DECAY
) -> sparse.csr_array:
    """(n_owners, n_tokens) CSR float32: decay ** (the customer's sequences since the last one that has the token).

    Sequences of an owner are in the order of time; empty ones don't count. 1 for a token of the last sequence.
    """
    width = _width(sequences, n_tokens, Checks("recency_counts"))
    decay = Checks("recency_counts").real("decay", decay, 0.0, 1.0)
    lengths = np.diff(sequences.offsets)
    filled = np.flatnonzero(lengths > 0)
    owner = sequences.owners()[filled]
    order = np.argsort(owner, kind="stable")
    behind = np.cumsum(np.bincount(owner, minlength=sequences.n_owners))
    since = np.empty(len(filled), dtype=np.int64)
    since[order] = behind[owner[order]] - 1 - np.arange(len(filled))
    rows = np.repeat(owner, lengths[filled])
    place, first = np.unique(rows * np.int64(width) + sequences.tokens, return_inverse=True)
    latest = np.full(len(place), np.iinfo(np.int64).max)
    np.minimum.at(latest, first, np.repeat(since, lengths[filled]))
    values = np.power(decay, latest.astype(np.float64)).astype(np.float32)
    indptr = np.searchsorted(place, np.arange(sequences.n_owners + 1) * np.int64(width))
    columns = (place % max(width, 1)).astype(np.int32)
    return sparse.csr_array((values, columns, indptr), shape=(sequences.n_owners, width))


def weigh_counts(counts: sparse.csr_array, idf: NDArray[np.float32]) -> sparse.csr_array:
    """Rows log(1 + count) * idf, each of Euclidean length 1 (empty rows stay empty)."""
    weighed = counts.copy()
    weighed.data = (np.log1p(counts.data) * idf[counts.indices]).astype(np.float32)
    return unit_sparse_rows(weighed)


def token_idf(counts: sparse.csr_array) -> NDArray[np.float32]:
    """(n_tokens,) float32 ln((1 + N) / (1 + df)) + 1 over the rows of `counts`."""
    return inverse_document_frequencies(np.bincount(counts.indices, minlength=counts.shape[1]), counts.shape[0])


def tie_tokens(token_item: ArrayLike, strength: float) -> sparse.csr_array | None:
    """I + strength * Tie, with Tie linking the different tokens of one item; None where every item has one token."""
    item = Checks("tie_tokens").array("token_item", token_item, dtype=np.int64, shape=(None,))
    n = len(item)
    if strength == 0 or len(np.unique(item)) == n:
        return None
    member = sparse.csr_array((np.ones(n, dtype=np.float32), (np.arange(n), item)), shape=(n, int(item.max()) + 1))
    tied = (member @ member.T).tocsr() * np.float32(strength)
    tied = tied + sparse.csr_array(sparse.diags(np.full(n, 1.0 - strength, dtype=np.float32), dtype=np.float32))
    tied.sort_indices()
    return sparse.csr_array(tied)


def with_tokens(matrix: sparse.csr_array, least: int) -> sparse.csr_array:
    """The rows of at least `least` entries; all where none has so many."""
    telling = np.diff(matrix.indptr) >= least
    return matrix if telling.all() or not telling.any() else sparse.csr_array(matrix[np.flatnonzero(telling)])


def scale_rows(matrix: sparse.csr_array, lengths: NDArray[Any]) -> sparse.csr_array:
    """Rows multiplied by `lengths`, these first brought to mean square 1 over the rows with entries."""
    filled = np.diff(matrix.indptr) > 0
    factor = np.where(filled, lengths, 0.0).astype(np.float64)
    mean_square = float((factor[filled] ** 2).mean()) if filled.any() else 1.0
    factor /= np.sqrt(mean_square) if mean_square > 0 else 1.0
    scaled = matrix.copy()
    scaled.data = (matrix.data * np.repeat(factor, np.diff(matrix.indptr))).astype(np.float32)
    return scaled


def _width(sequences: Sequences, n_tokens: int | None, check: Checks) -> int:
    if n_tokens is None:
        return sequences.vocabulary_size(check)
    n_tokens = check.integer("n_tokens", n_tokens, 0)
    check_tokens_covered(sequences, n_tokens, check)
    return n_tokens


def _csr(indptr: NDArray[Any], columns: NDArray[np.int32], width: int) -> sparse.csr_array:
    """How often each row i has each column, of columns[indptr[i] : indptr[i + 1]] in any order."""
    ones = np.ones(len(columns), dtype=np.float32)
    if len(columns) <= np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)  # as `columns`: scipy casts both to one type
    matrix = sparse.csr_array((ones, columns, indptr), shape=(len(indptr) - 1, width))
    counts = canonical(matrix, ones.dtype)
    return counts.copy() if counts is matrix else counts  # never the sequences' own array
