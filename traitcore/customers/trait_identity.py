"""Traits keep their rows from one version to the next: a campaign refers to "trait 7"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._rows import paired_cosines
from .components import match_rows
from .recipes import RecipeResult

# A trait whose loadings have at least this cosine with an earlier one's is the same trait: nearer to it than to
# something orthogonal. Not measured; no range.
SAME_TRAIT = 0.7


@dataclass(frozen=True)
class TraitHistory:
    """What became of the traits of the version before.

    kept : rows of traits that are those of the same row before. new : rows of others. gone : rows before that no
    trait continues. cosine : of each trait's loadings with those of its row before, nan without one.
    """

    kept: tuple[int, ...]
    new: tuple[int, ...]
    gone: tuple[int, ...]
    cosine: tuple[float, ...]

    def __str__(self) -> str:
        def listed(rows: tuple[int, ...]) -> str:
            return f" ({', '.join(map(str, rows))})" if rows else ""

        return (
            f"{len(self.kept)} traits continue those published before, {len(self.new)} are new{listed(self.new)}, "
            f"{len(self.gone)} are gone{listed(self.gone)}"
        )


def align_loadings(loadings: NDArray[Any], tokens: NDArray[Any], new_tokens: NDArray[Any]) -> NDArray[np.float32]:
    """(k, n_new) float32: the columns of `loadings` (k, n_old) by token; zero for tokens it doesn't have."""
    place = {token: row for row, token in enumerate(tokens.tolist())}
    column = np.array([place.get(token, -1) for token in new_tokens.tolist()], dtype=np.int64)
    aligned = np.zeros((len(loadings), len(column)), dtype=np.float32)
    aligned[:, column >= 0] = loadings[:, column[column >= 0]]
    return aligned


def order_as_before(previous: NDArray[np.float32], components: NDArray[np.float32]) -> NDArray[np.int64]:
    """(k,) the component to put in each row, so that components matched with an earlier trait are in its row."""
    k = len(components)
    row_of, cosine = match_rows(components, previous)
    row_of = np.where((cosine >= SAME_TRAIT) & (row_of < k), row_of, -1)
    order = np.full(k, -1, dtype=np.int64)
    order[row_of[row_of >= 0]] = np.flatnonzero(row_of >= 0)
    order[order < 0] = np.flatnonzero(row_of < 0)
    return order


def in_order(found: RecipeResult, order: NDArray[np.int64]) -> RecipeResult:
    """The same result with its traits in another order."""
    arrays = dict(found.arrays)
    if "H" in arrays:
        arrays["H"] = np.ascontiguousarray(arrays["H"][order])
    return RecipeResult(
        np.ascontiguousarray(found.components[order]), np.ascontiguousarray(found.raw_profiles[:, order]), arrays
    )


def history_of(previous: NDArray[np.float32], components: NDArray[np.float32]) -> TraitHistory:
    """What became of the traits `previous` in `components`, ordered by `order_as_before`."""
    common = min(len(previous), len(components))
    cosine = np.full(len(components), np.nan)
    cosine[:common] = paired_cosines(previous[:common], components[:common])
    kept = np.flatnonzero(cosine >= SAME_TRAIT)
    return TraitHistory(
        tuple(kept.tolist()), tuple(np.setdiff1d(np.arange(len(components)), kept).tolist()),
        tuple(np.setdiff1d(np.arange(len(previous)), kept).tolist()), tuple(cosine.tolist()),
    )
