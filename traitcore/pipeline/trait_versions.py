"""Traits from version to version: what was published, and the names that users gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import TableError
from ..customers.describe import TraitDescription
from ..customers.trait_identity import TraitHistory, align_loadings
from ..serving.live_traits import TraitBasis
from ..serving.store import TableStore
from .config import CHECK


@dataclass(frozen=True, eq=False)
class PublishedTraits:
    """The traits of a store's latest version: loadings over its tokens, and the names given by users, by row."""

    tokens: NDArray[Any]
    loadings: NDArray[np.float32]
    given_names: dict[int, str]

    @classmethod
    def of(cls, store: TableStore | None) -> PublishedTraits | None:
        """None without a store, without traits in it, or where they can't be read."""
        if store is None or not all((store.root / name / "LATEST").exists() for name in ("tokens", "customers")):
            return None
        try:
            customers = store.open("customers")
            versions = customers.metadata.get("versions") or {}
            tokens = store.open("tokens", str(versions.get("tokens", "latest")))
            basis = TraitBasis.of_table(tokens)
        except TableError:
            return None
        # Rounding may leave entries a hair below zero.
        loadings = np.maximum(basis.mixing @ basis.basis.T.astype(np.float64), 0.0).astype(np.float32)
        names = {row: trait.get("given_name", "") for row, trait in enumerate(customers.metadata.get("traits") or [])}
        return cls(np.asarray(tokens.ids), loadings, {row: name for row, name in names.items() if name})

    def loadings_of(self, tokens: NDArray[Any]) -> NDArray[np.float32]:
        """(k, n_tokens) loadings over other tokens."""
        return align_loadings(self.loadings, self.tokens, tokens)


def carry_names(
    traits: Sequence[TraitDescription], given: Mapping[int, str], published: PublishedTraits | None,
    history: TraitHistory | None,
) -> tuple[TraitDescription, ...]:
    """The descriptions with names that users gave: now, or to the trait that one continues."""
    for row, name in given.items():
        CHECK.integer("trait_names", row, 0, max(0, len(traits) - 1))
        CHECK.instance("trait_names", name, str)
    kept = {} if published is None or history is None else {
        row: name for row, name in published.given_names.items() if row in history.kept
    }
    names = kept | dict(given)
    return tuple(
        replace(trait, name=names[trait.trait], given_name=names[trait.trait]) if trait.trait in names else trait
        for trait in traits
    )
