"""Live traits of recipes over token counts: for each customer k running sums and the counts of their tokens.

A recipe's row of a customer is x / |x|, x the weighed tokens, and its weights W >= 0 minimise ||x / |x| - W H||. Only
the part of x in the span of the k components matters, and that is linear in the tokens: with H = R Q^T, Q
(n_tokens, k) orthonormal, W depends on Q^T x and |x| alone. An event adds a row of Q to the one, a number to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._errors import TableError
from .._validate import Checks
from ..customers.traits import TraitModel
from ..factorization.fold_in import WeightSolver
from .table import EmbeddingTable

METHODS = ("spectral", "counts")
_PREFIX = "live_"
_FIRST_PLACES = 1 << 12


@dataclass(frozen=True, eq=False)
class TraitBasis:
    """The part of a fitted recipe that live traits need: "spectral" or "counts" of `TraitModel`.

    weights : (n_tokens,) float32, what a token weighs in a customer's row (its idf).
    basis : (n_tokens, k) float32, what one unit of a token adds to the customer's sums.
    mixing : (k, k) float64, the components in that basis.
    """

    weights: NDArray[np.float32]
    basis: NDArray[np.float32]
    mixing: NDArray[np.float64]

    @classmethod
    def of(cls, model: TraitModel) -> TraitBasis:
        """From a fitted model; ValueError for a recipe that uses more than token counts."""
        arrays = model.to_arrays()  # NotFittedError before anything else
        recipe, _ = model._fitted_with
        if recipe.name not in METHODS:
            rule = f"a TraitModel of method {', '.join(METHODS)} (others: give LiveCustomers their components)"
            raise Checks("LiveCustomers").value_error("traits", rule, f"method={recipe.name!r}")
        components = arrays["components"].astype(np.float64)
        weights = np.ascontiguousarray(arrays["recipe_idf"], dtype=np.float32)
        lengths, turn = np.linalg.eigh(components @ components.T)
        lengths = np.sqrt(np.maximum(lengths, 0.0))
        spanned = lengths > 1e-7 * max(float(lengths.max()), 1e-300)
        basis = (components.T @ turn) * np.where(spanned, 1.0 / np.where(spanned, lengths, 1.0), 0.0)
        mixing = turn * np.where(spanned, lengths, 0.0)
        return cls(weights, np.ascontiguousarray(basis, dtype=np.float32), mixing)

    @property
    def n_tokens(self) -> int:
        return len(self.weights)

    @property
    def n_traits(self) -> int:
        return int(self.basis.shape[1])

    @cached_property
    def _solver(self) -> WeightSolver:
        return WeightSolver(self.mixing, tol=1e-6, max_iter=400)  # as `fold_in`

    def solve(self, sums: NDArray[np.float64], squares: NDArray[np.float64], workers: int) -> NDArray[np.float32]:
        """(m, k) trait weights of customers with these sums and squared lengths; zero at length 0."""
        length = np.sqrt(squares)[:, None]
        rows = np.divide(sums, length, out=np.zeros_like(sums), where=length > 0)
        solved = self._solver(rows, workers=workers)
        return np.asarray(solved, dtype=np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, to publish with the tokens' vectors."""
        arrays: dict[str, NDArray[Any]] = {"weights": self.weights, "basis": self.basis, "mixing": self.mixing}
        return {_PREFIX + name: array for name, array in arrays.items()}

    @classmethod
    def of_table(cls, tokens: EmbeddingTable) -> TraitBasis:
        """From a published table of tokens; TableError where it has none or they don't fit it."""
        found: Mapping[str, NDArray[Any]] = tokens.arrays
        if any(_PREFIX + name not in found for name in ("weights", "basis", "mixing")):
            raise TableError(f"{tokens!r} holds no live traits: it was published without customers, or by a recipe "
                             f"other than {', '.join(METHODS)}.")
        weights, basis = found[_PREFIX + "weights"], found[_PREFIX + "basis"]
        mixing = found[_PREFIX + "mixing"]
        k = basis.shape[1] if basis.ndim == 2 else -1
        wanted: list[tuple[NDArray[Any], Any, tuple[int, ...]]] = [
            (weights, np.float32, (len(tokens),)), (basis, np.float32, (len(tokens), k)), (mixing, np.float64, (k, k)),
        ]
        if any(array.dtype != dtype or array.shape != shape for array, dtype, shape in wanted):
            raise TableError(f"{tokens!r} holds live traits that don't fit its rows.")
        return cls(weights, basis, mixing)


class TokenPairs:
    """How often each customer (by row) had each token: a hash table with open addressing, key row << 32 | token."""

    def __init__(self) -> None:
        self.n = 0
        self._keys = np.full(_FIRST_PLACES, -1, dtype=np.int64)
        self._counts = np.zeros(_FIRST_PLACES, dtype=np.int32)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Both arrays must be writable; joblib passes large ones as read-only memory maps."""
        self.n = state["n"]
        keys, counts = np.asarray(state["_keys"]), np.asarray(state["_counts"])
        self._keys = np.require(keys, requirements=["C", "A", "W"])
        self._counts = np.require(counts, requirements=["C", "A", "W"])

    def add(
        self, rows: NDArray[np.int64], tokens: NDArray[np.int64], basis: TraitBasis, sums: NDArray[np.float64],
        squares: NDArray[np.float64],
    ) -> None:
        """Count events and update the sums of their customers."""
        self._reserve(self.n + len(rows))
        self.n += _core.add_token_events(
            rows, tokens, basis.weights, basis.basis, self._keys, self._counts, sums, squares
        )

    def forget(self, rows: list[int]) -> None:
        """Drop all pairs of these rows, before other customers get them."""
        keys, counts = self.items()
        keep = ~np.isin(keys >> 32, np.array(rows, dtype=np.int64))
        self.n, self._keys, self._counts = 0, np.full_like(self._keys, -1), np.zeros_like(self._counts)
        self._put(keys[keep], counts[keep])

    def items(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """All keys and their counts."""
        used = self._keys >= 0
        return self._keys[used], self._counts[used]

    @classmethod
    def of(cls, keys: NDArray[np.int64], counts: NDArray[np.int32]) -> TokenPairs:
        """From distinct keys."""
        pairs = cls()
        pairs._reserve(len(keys))
        pairs._put(keys, counts)
        return pairs

    def _put(self, keys: NDArray[np.int64], counts: NDArray[np.int32]) -> None:
        _core.move_pairs(keys, counts, self._keys, self._counts)
        self.n += len(keys)

    def _reserve(self, n: int) -> None:
        """Grow so that at most half of the places are used: searches stay short."""
        if 2 * n <= len(self._keys):
            return
        keys, counts = self.items()
        places = 1 << int(2 * n - 1).bit_length()
        self.n, self._keys, self._counts = 0, np.full(places, -1, dtype=np.int64), np.zeros(places, dtype=np.int32)
        self._put(keys, counts)
