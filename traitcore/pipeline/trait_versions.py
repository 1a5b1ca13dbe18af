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
from ..serving.table import EmbeddingTable
from .config import CHECK

KEY = "continues"  # in the metadata of the customers: the version of tokens whose traits the run continued


@dataclass(frozen=True, eq=False)
class PublishedTraits:
    """Traits that a store holds: loadings (k, n_tokens) over the tokens of a version, and the names that users gave, by
    row."""

    version: str
    tokens: NDArray[Any]
    loadings: NDArray[np.float32]
    given_names: dict[int, str]

    @classmethod
    def of(cls, store: TableStore | None) -> PublishedTraits | None:
        """The latest; None without a store, without traits in it, or where they can't be read."""
        if store is None or not all((store.root / name / "LATEST").exists() for name in ("tokens", "customers")):
            return None
        try:
            customers = store.open("customers")
            versions = customers.metadata.get("versions") or {}
            return cls.of_version(store, str(versions.get("tokens", "latest")), given_names(customers))
        except TableError:
            return None

    @classmethod
    def of_version(cls, store: TableStore, version: str, names: Mapping[int, str]) -> PublishedTraits:
        """Those of a version of the tokens; TableError where there is none, or one without traits."""
        tokens = store.open("tokens", version)
        basis = TraitBasis.of_table(tokens)
        # Rounding may leave entries a hair below zero.
        loadings = np.maximum(basis.mixing @ basis.basis.T.astype(np.float64), 0.0).astype(np.float32)
        return cls(str(tokens.version), np.asarray(tokens.ids), loadings, dict(names))

    def loadings_of(self, tokens: NDArray[Any]) -> NDArray[np.float32]:
        """(k, n_tokens) loadings over other tokens."""
        return align_loadings(self.loadings, self.tokens, tokens)


def given_names(customers: EmbeddingTable) -> dict[int, str]:
    """{row: name} of the traits of a published table of customers that users named."""
    traits = customers.metadata.get("traits") or []
    return {row: name for row, trait in enumerate(traits) if (name := trait.get("given_name", ""))}


def check_names(names: Mapping[int, str], n_traits: int) -> None:
    """ValueError or TypeError, before anything is learned, for names of rows that there won't be."""
    for row, name in names.items():
        CHECK.integer("trait_names", row, 0, n_traits - 1)
        CHECK.instance("trait_names", name, str)


def carry_names(
    traits: Sequence[TraitDescription], given: Mapping[int, str], published: PublishedTraits | None,
    history: TraitHistory | None,
) -> tuple[TraitDescription, ...]:
    """The descriptions with names that users gave: now ("" takes a name back), or to the trait that one continues."""
    kept = {} if published is None or history is None else {
        row: name for row, name in published.given_names.items() if row in history.kept
    }
    names = {row: name for row, name in (kept | dict(given)).items() if name}
    return tuple(
        replace(trait, name=names[trait.trait], given_name=names[trait.trait]) if trait.trait in names else trait
        for trait in traits
    )
