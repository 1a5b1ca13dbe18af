"""What a trait recipe is: the options it gets, what it does, what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from ..events.sequences import Sequences


@dataclass(frozen=True)
class TraitFitOptions:
    """The checked parameters of a fit.

    previous : (n_traits, n_tokens) float32 >= 0 loadings of an earlier fit to start from, or None. A recipe may ignore
    it; the traits are put in the order of the earlier ones in any case.
    """

    n_traits: int
    n_restarts: int = 1
    max_iter: int = 200
    tol: float = 1e-4
    seed: int = 0
    workers: int = 1
    progress: Progress | None = None
    previous: NDArray[np.float32] | None = None


@dataclass
class RecipeResult:
    """What a recipe learned.

    components : (n_traits, n_tokens) float32 loadings of the tokens.
    raw_profiles : (n_customers, n_traits) float32 weights >= 0 of the customers; a zero row without known tokens.
    arrays : what `encode` needs for other customers, without objects. Traits may be put in another order (`fit` with
        `previous`): "H" has a row for each of them and follows; no other array may depend on their order.
    """

    components: NDArray[np.float32]
    raw_profiles: NDArray[np.float32]
    arrays: dict[str, NDArray[Any]]


@runtime_checkable
class Recipe(Protocol):
    """A way from token sequences to traits; `TraitModel(method=...)` takes any object of this form.

    name : short, for reports. needs_vectors : whether `fit` reads `item_vectors`.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs_vectors(self) -> bool: ...

    def fit(
        self, sequences: Sequences, token_item: NDArray[np.int32], item_vectors: NDArray[np.float32] | None,
        options: TraitFitOptions,
    ) -> RecipeResult:
        """Traits of the owners of `sequences`. `token_item` (n_tokens,) gives each token's item; `item_vectors` is
        (n_tokens, d), or None."""
        ...

    def encode(self, sequences: Sequences, result: RecipeResult, options: TraitFitOptions) -> NDArray[np.float32]:
        """(n_owners, n_traits) weights of other customers, the traits fixed."""
        ...
