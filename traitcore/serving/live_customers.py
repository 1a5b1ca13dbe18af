"""LiveCustomers: each new event updates its customer's vector and traits, without a refit."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .. import _npy as npy
from .._errors import TableError
from .._rows import rows_to_shares
from .._validate import Checks
from ..customers.pooling import inverse_document_frequencies
from ..customers.traits import TraitModel
from ..factorization.fold_in import WeightSolver
from .live_traits import TokenPairs, TraitBasis
from .row_ids import several
from .table import EmbeddingTable

CHECK = Checks("LiveCustomers")
METHODS = ("mean", "tfidf", "recency")
_DAY_US = 86_400_000_000.0
_PAIRS = ("pair_row", "pair_token", "pair_count")
_FIRST_ROWS = 1024


class LiveCustomers:
    """Running sums of `customer_vectors` for each customer: sum(w_e v_e) and sum(w_e), in float64.

    A customer's vector is what `customer_vectors` gives for all their events so far: bit for bit with "mean" and
    "tfidf" if events arrive in their order, else up to rounding. Memory per customer is O(d) for any number of events,
    and with `traits` 24 to 48 bytes more for each distinct token; `max_customers` limits the number of customers.

    Parameters
    ----------
    items : an `EmbeddingTable` of tokens (events then name its ids), or (n_tokens, d) float32 (events name rows).
    method : "mean", "tfidf" (needs `document_frequencies` (n_tokens,) and `n_documents`), or "recency" by elapsed time
        (needs `half_life_days`, and a timestamp with each event).
    token_action, action_weights : as in `customer_vectors`: factors of an event's weight by its token's action.
    traits : a fitted `TraitModel` of method "spectral" (its default) or "counts", or the `TraitBasis` of one: traits
        are then what `TraitModel.transform_raw` gives for all the customer's events so far, in any order.
    components : for the recipes over vectors, in place of `traits`: (k, d) float32 of any sign, or (k, 2d) with
        `split`: traits are the weights W >= 0 that minimise ||(vector - offset) - W components||. None: no traits.
    offset : (d,) subtracted before; None: nothing. split : fold in [C+, C-] in place of C.
    max_customers : when the limit is exceeded, the least recently active sixteenth of customers is evicted (counted in
        `n_evicted`). None: no limit.

    Several threads may update and read: a lock guards the sums. Traits are computed outside the lock.

    See Also
    --------
    customer_vectors : the same vectors in one batch. TraitModel : the traits. TableStore : keeps snapshots.

    Examples
    --------
    >>> import traitcore as tc
    >>> live = tc.LiveCustomers(tc.EmbeddingTable(["view_cup", "buy_cup"], [[1.0, 0.0], [0.0, 1.0]]))
    >>> live.update("ann", "view_cup")
    >>> live.update_batch(["ann", "bob"], ["buy_cup", "buy_cup"])
    >>> live.vector("ann"), len(live)
    (array([0.5, 0.5], dtype=float32), 2)
    """

    def __init__(
        self,
        items: Any,
        *,
        method: str = "mean",
        document_frequencies: Any = None,
        n_documents: int | None = None,
        half_life_days: float | None = None,
        token_action: Any = None,
        action_weights: Any = None,
        traits: TraitModel | TraitBasis | None = None,
        components: Any = None,
        offset: Any = None,
        split: bool = False,
        max_customers: int | None = None,
    ) -> None:
        self._table = items if isinstance(items, EmbeddingTable) else None
        vectors = items.vectors if isinstance(items, EmbeddingTable) else items
        self._vectors = CHECK.array("items", vectors, dtype=np.float32, shape=(None, None))
        n, d = self._vectors.shape
        self.method = CHECK.choice("method", method, METHODS)
        self._weights = _action_weights(token_action, action_weights, n)
        if method == "tfidf":
            if document_frequencies is None or n_documents is None:
                rule = "given, with n_documents, for method='tfidf'"
                raise CHECK.value_error("document_frequencies", rule, document_frequencies)
            df = CHECK.array("document_frequencies", document_frequencies, dtype=np.float64, shape=(n,))
            self._weights = self._weights * inverse_document_frequencies(df, n_documents)
        self._half_life_us = 0
        if method == "recency":
            # At most 2**62 us, some 146,000 years, so that it is an int64.
            days = CHECK.real("half_life_days", half_life_days, 0.0, 2.0**62 / _DAY_US, open_low=True)
            self._half_life_us = max(1, round(days * _DAY_US))
        elif half_life_days is not None:
            raise CHECK.value_error("half_life_days", "None unless method='recency'", half_life_days)
        self._split = CHECK.boolean("split", split)
        self._offset = np.zeros(d, np.float32)
        if offset is not None:
            self._offset = CHECK.array("offset", offset, dtype=np.float32, shape=(d,))
        self._solver: WeightSolver | None = None
        if components is not None:
            width = 2 * d if split else d
            components = CHECK.array("components", components, dtype=np.float32, shape=(None, width))
            self._solver = WeightSolver(components, tol=1e-6, max_iter=400)  # as `fold_in`, prepared once
        self._basis = self._check_basis(traits)
        if self._basis is not None and components is not None:
            raise CHECK.value_error("components", "None where traits is given", "both")
        self.max_customers = None if max_customers is None else CHECK.integer("max_customers", max_customers, 1)
        self._lock = threading.RLock()
        self._row_of: dict[Any, int] = {}
        self._free: list[int] = []
        self._clock = 0
        self.n_evicted = 0
        self.n_unknown = 0
        self._state = self._empty_state(0)
        self._pairs = TokenPairs()
        # Compile the kernel now (or read it from its cache), so that the first event is as fast as the others.
        self._add(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))

    def __getstate__(self) -> dict[str, Any]:
        """A consistent copy of the state: the copy is independent of this object."""
        with self._lock:
            state = {name: value for name, value in vars(self).items() if name != "_lock"}
            state |= {"_row_of": dict(self._row_of), "_free": list(self._free), "_pairs": copy.deepcopy(self._pairs)}
            state["_state"] = {key: array.copy() for key, array in self._state.items()}
        if self._table is not None:  # the table brings its vectors
            del state["_vectors"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()
        for key, array in state["_state"].items():  # joblib passes large arrays as read-only memory maps
            self._state[key] = np.require(np.asarray(array), requirements=["C", "A", "W"])
        if self._table is not None:
            self._vectors = self._table.vectors

    def _check_basis(self, traits: Any) -> TraitBasis | None:
        if traits is None:
            return None
        if not isinstance(traits, (TraitModel, TraitBasis)):
            raise CHECK.type_error("traits", "a fitted TraitModel or a TraitBasis", traits)
        basis = TraitBasis.of(traits) if isinstance(traits, TraitModel) else traits
        n = len(self._vectors)
        if basis.n_tokens != n:
            raise CHECK.value_error("traits", f"over the {n} tokens of items", f"{basis.n_tokens}")
        if self._table is not None and isinstance(traits, TraitModel):
            rows = self._table.rows(traits.tokens_, missing="mark")
            if (rows != np.arange(n)).any():
                odd = traits.tokens_[int(np.argmax(rows != np.arange(n)))]
                raise CHECK.value_error("traits", "over the tokens of items in their order", odd)
        return basis

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, customer: object) -> bool:
        return customer in self._row_of

    def __repr__(self) -> str:
        d = self._vectors.shape[1]
        return f"LiveCustomers({len(self):,} customers, method={self.method!r}, d={d})"

    # -- events ----------------------------------------------------------------------------------------------------

    def update(self, customer: int | str, token: Any, *, timestamp_us: int | None = None) -> None:
        """Add one event. A token that `items` doesn't have is counted in `n_unknown` and otherwise ignored."""
        if timestamp_us is None and self.method != "recency":
            timestamp_us = 0
        self.update_batch([customer], [token], timestamps_us=None if timestamp_us is None else [timestamp_us])

    def update_batch(self, customers: Any, tokens: Any, *, timestamps_us: Any = None) -> None:
        """Add m events in their order: customers (m,) ids, tokens (m,), timestamps_us (m,) int64 since 1970.

        All are checked before the first is added: an error changes nothing.
        """
        ids = customers.tolist() if isinstance(customers, np.ndarray) else list(customers)
        rows = self._token_rows(tokens, len(ids))
        if timestamps_us is None and self.method == "recency":
            raise CHECK.value_error("timestamps_us", "given: method='recency' needs times", None)
        if timestamps_us is None:
            times = np.zeros(len(ids), dtype=np.int64)
        else:
            times = CHECK.times("timestamps_us", timestamps_us, shape=(len(ids),))
        for one in set(map(type, ids)):
            if not issubclass(one, (int, str, np.integer)) or issubclass(one, bool):
                raise CHECK.type_error("customers", "ids that are ints or strings", one)
        known = rows >= 0
        if not known.all():
            ids = [one for one, keep in zip(ids, known.tolist()) if keep]
            rows, times = rows[known], times[known]
        with self._lock:
            self.n_unknown += int(len(known) - len(ids))
            # A batch may hold more new customers than the limit; parts of this size always fit.
            step = len(ids) if self.max_customers is None else max(1, self.max_customers)
            for start in range(0, len(ids), max(step, 1)):
                part = slice(start, start + step)
                self._add(self._customer_rows(ids[part]), rows[part], times[part])

    def _add(self, rows: NDArray[np.int64], tokens: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        s = self._state
        _core.add_live_events(
            rows, tokens, times, self._vectors, self._weights, self._half_life_us,
            s["sums"], s["mass"], s["known"], s["newest_us"], s["exponent"],
        )
        if self._basis is not None:
            self._pairs.add(rows, tokens, self._basis, s["trait_sums"], s["trait_squares"])

    def _token_rows(self, tokens: Any, n: int) -> NDArray[np.int64]:
        if self._table is not None:
            rows = self._table.rows(tokens, missing="mark")
            if len(rows) != n:
                raise CHECK.value_error("tokens", f"as many as customers ({n})", f"{len(rows)}")
            return rows
        rows = CHECK.array("tokens", tokens, dtype=np.int64, shape=(n,))
        if n and (rows.min() < 0 or rows.max() >= len(self._vectors)):
            odd = int(rows[(rows < 0) | (rows >= len(self._vectors))][0])
            raise CHECK.value_error("tokens", f"rows in [0, {len(self._vectors)})", odd)
        return rows

    def _customer_rows(self, ids: list[Any]) -> NDArray[np.int64]:
        """Rows of customers, new ones included; marks all as active. Called under the lock."""
        row_of = self._row_of
        rows = [row_of.get(one, -1) for one in ids]
        if -1 in rows:
            fresh = {one for one, row in zip(ids, rows) if row < 0}
            self._reserve_rows(len(fresh), set(rows))
            for place, (one, row) in enumerate(zip(ids, rows)):
                if row < 0:
                    if one not in row_of:
                        row_of[one] = self._free.pop()
                    rows[place] = row_of[one]
        found = np.array(rows, dtype=np.int64)
        self._state["seen"][found] = np.arange(self._clock, self._clock + len(found))
        self._clock += len(found)
        return found

    def _reserve_rows(self, wanted: int, in_use: set[int]) -> None:
        limit = self.max_customers
        excess = 0 if limit is None else len(self._row_of) + wanted - limit
        if excess > 0:
            row_of = self._row_of
            idle = sorted((int(self._state["seen"][r]), one) for one, r in row_of.items() if r not in in_use)
            evicted = [one for _, one in idle[: max(excess, (limit or 0) // 16)]]
            self.forget(evicted)
            self.n_evicted += len(evicted)
        if wanted > len(self._free):
            old = len(self._state["mass"])
            new = max(_FIRST_ROWS, 2 * old, old + wanted)
            new = new if limit is None else min(new, max(limit, old + wanted - len(self._free)))
            grown = self._empty_state(new)
            for key, array in self._state.items():
                grown[key][:old] = array
            self._state = grown
            self._free.extend(range(new - 1, old - 1, -1))

    def forget(self, customers: Any) -> int:
        """Remove customers (one id, or ids) with all that is kept of them; returns how many there were."""
        with self._lock:
            rows = [self._row_of.pop(one) for one in several(customers, CHECK, "customers") if one in self._row_of]
            for array in self._state.values():
                array[rows] = 0
            if self._basis is not None and rows:
                self._pairs.forget(rows)
            self._free.extend(rows)
        return len(rows)

    # -- reading ---------------------------------------------------------------------------------------------------

    def vector(self, customer: int | str) -> NDArray[np.float32]:
        """(d,) float32: the weighted mean of the customer's events; KeyError for a customer without any."""
        return self.vectors([customer])[0]  # type: ignore[no-any-return]

    def vectors(self, customers: Any) -> NDArray[np.float32]:
        """(m, d) float32 vectors of m customers; a customer whose events all weigh nothing has a zero row."""
        with self._lock:
            rows = self._rows(customers)
            mass = self._state["mass"][rows, None]
            sums = self._state["sums"][rows]
        mean = np.divide(sums, mass, out=np.zeros_like(sums), where=mass > 0)
        return np.asarray(mean, dtype=np.float32)

    def traits(self, customer: int | str) -> NDArray[np.float32]:
        """(k,) float32 trait weights of one customer."""
        return self.traits_batch([customer])[0]  # type: ignore[no-any-return]

    def traits_batch(self, customers: Any, *, workers: int = 1) -> NDArray[np.float32]:
        """(m, k) float32 trait weights; zero for a customer whose events all weigh nothing."""
        if self._basis is not None:
            with self._lock:
                rows = self._rows(customers)
                sums, squares = self._state["trait_sums"][rows], self._state["trait_squares"][rows]
            return self._basis.solve(sums, squares, workers)
        if self._solver is None:
            raise CHECK.value_error("traits", "given, or components: there are none", None)
        with self._lock:
            vectors = self.vectors(customers)
            empty = self._state["mass"][self._rows(customers)] <= 0
        moved = vectors - self._offset
        if self._split:
            moved = np.concatenate([np.maximum(moved, 0.0), np.maximum(-moved, 0.0)], axis=1)
        weights = np.asarray(self._solver(moved, workers=workers))
        weights[empty] = 0.0
        return weights

    def profiles(self, customers: Any, *, workers: int = 1) -> NDArray[np.float32]:
        """(m, k) float32 shares of the traits, rows adding up to 1 (or zero): as `TraitModel.transform`."""
        return rows_to_shares(self.traits_batch(customers, workers=workers))

    def _rows(self, customers: Any) -> NDArray[np.int64]:
        ids = customers.tolist() if isinstance(customers, np.ndarray) else list(customers)
        try:
            return np.array([self._row_of[one] for one in ids], dtype=np.int64)
        except KeyError as error:
            hint = "`update` adds some; `customer in live` tests for them"
            raise KeyError(f"no events of customer {error.args[0]!r}: {hint}") from None

    # -- snapshot --------------------------------------------------------------------------------------------------

    def snapshot(self) -> EmbeddingTable:
        """The whole state as a table (ids, vectors, sums), to publish to a `TableStore` and to `restore` from it."""
        with self._lock:
            ids = list(self._row_of)
            vectors = self.vectors(ids)
            rows = self._rows(ids)
            arrays = {key: array[rows] for key, array in self._state.items()}
            if self._basis is not None:
                arrays |= self._pair_arrays(rows)
            live = {"method": self.method, "half_life_us": self._half_life_us, "clock": self._clock,
                    "n_evicted": self.n_evicted, "n_unknown": self.n_unknown, "items": self._digest(),
                    "traits": self._traits_digest()}
        return EmbeddingTable(ids, vectors, arrays=arrays, metadata={"live": live, "versions": self._versions()})

    def _versions(self) -> dict[str, str]:
        """The published version that the vectors are from: pruning keeps it, and errors name it."""
        table = self._table
        published = table is not None and table.name is not None and table.version is not None
        return {table.name: table.version} if published else {}  # type: ignore[union-attr, dict-item]

    def _pair_arrays(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The (customer, token) pairs, customers as rows of the snapshot, sorted."""
        keys, counts = self._pairs.items()
        place = np.zeros(len(self._state["mass"]), dtype=np.int64)
        place[rows] = np.arange(len(rows))
        owner, token = place[keys >> 32], keys & 0xFFFFFFFF
        order = np.lexsort((token, owner))
        return dict(zip(_PAIRS, (owner[order], token[order], counts[order])))

    def _pairs_of(self, table: EmbeddingTable) -> TokenPairs:
        owner, token, count = (np.asarray(table.arrays[name]) for name in _PAIRS)
        good = owner.dtype == token.dtype == np.int64 and count.dtype == np.int32 and owner.ndim == 1
        good = good and owner.shape == token.shape == count.shape
        if good and len(owner):
            keys = (owner << 32) | token
            good = owner.min() >= 0 and owner.max() < len(table) and token.min() >= 0 and count.min() > 0
            good = good and token.max() < len(self._vectors) and bool((np.diff(keys) > 0).all())
        if not good:
            raise TableError(f"{table!r} is not a snapshot of LiveCustomers: its token pairs don't fit.")
        return TokenPairs.of((owner << 32) | token, count)

    def restore(self, table: EmbeddingTable) -> None:
        """Replace the state by that of a snapshot.

        TableError where it was taken with another method, half-life, item vectors or weights: its sums would be wrong.
        """
        live = CHECK.instance("table", table, EmbeddingTable).metadata.get("live")
        needed = (*self._state, *(_PAIRS if self._basis is not None else ()))
        if not isinstance(live, dict) or any(key not in table.arrays for key in needed[:6]):
            raise TableError(f"{table!r} is not a snapshot of LiveCustomers.")
        mine = {"method": self.method, "half_life_us": self._half_life_us, "items": self._digest(),
                "traits": self._traits_digest()}
        for key, value in mine.items():
            if live.get(key) != value:
                theirs, ours = live.get(key), value
                if key in ("items", "traits"):  # the versions say more than digests
                    theirs, ours = table.metadata.get("versions") or theirs, self._versions() or ours
                raise TableError(f"The snapshot was taken with other {key}: {theirs!r}, here {ours!r}.")
        if any(key not in table.arrays for key in needed):
            raise TableError(f"{table!r} is not a complete snapshot of LiveCustomers.")
        state = self._empty_state(len(table))
        for key in state:
            if table.arrays[key].shape != state[key].shape or table.arrays[key].dtype != state[key].dtype:
                raise TableError(f"{table!r} is not a snapshot of LiveCustomers: {key} has another shape or dtype.")
            state[key][:] = table.arrays[key]
        pairs = self._pairs_of(table) if self._basis is not None else TokenPairs()
        with self._lock:
            self._state, self._free, self._pairs = state, [], pairs
            self._row_of = {one: row for row, one in enumerate(table.ids.tolist())}
            self._clock, self.n_evicted = int(live["clock"]), int(live["n_evicted"])
            self.n_unknown = int(live["n_unknown"])

    def _digest(self) -> str:
        return npy.digest(self._vectors)[:32] + npy.digest(self._weights)[:32]

    def _traits_digest(self) -> str | None:
        basis = self._basis
        if basis is None:
            return None
        return npy.digest(basis.weights)[:32] + npy.digest(basis.basis)[:32]

    def _empty_state(self, n: int) -> dict[str, NDArray[Any]]:
        """Sums of n customers without events."""
        state: dict[str, NDArray[Any]] = {"sums": np.zeros((n, self._vectors.shape[1])), "mass": np.zeros(n)}
        state |= {key: np.zeros(n, dtype=np.int64) for key in ("known", "newest_us", "exponent", "seen")}
        if self._basis is not None:
            state |= {"trait_sums": np.zeros((n, self._basis.n_traits)), "trait_squares": np.zeros(n)}
        return state


def _action_weights(token_action: Any, action_weights: Any, n: int) -> NDArray[np.float32]:
    factor = np.ones(n, dtype=np.float32)
    if action_weights is None:
        return factor
    weights = CHECK.array("action_weights", action_weights, dtype=np.float32, shape=(None,), nonnegative=True)
    action = CHECK.array("token_action", token_action, dtype=np.int32, shape=(n,))
    if n and (action.min() < -1 or action.max() >= len(weights)):
        got = f"values from {action.min()} to {action.max()}"
        raise CHECK.value_error("token_action", f"ints in [-1, {len(weights) - 1}]", got)
    factor[action >= 0] = weights[action[action >= 0]]
    return factor
