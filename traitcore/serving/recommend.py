"""What to do with traits: similar customers, products for a customer, the next item of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._validate import as_array, check_array, check_bool, check_csr, check_int, check_real
from ..events.sequences import Sequences

_BLOCK = 2_000_000  # scores held at once, about 8 MB


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows found for each query, best first; ties by row.

    Attributes
    ----------
    rows : (n_queries, k) int64, -1 where fewer than k could be given; (k,) for a single query.
    scores : (n_queries, k) float32, -inf beside a row of -1.
    by_trait : (n_queries, k, n_traits) float32 parts of each score, which add up to it; None where no traits play.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    by_trait: NDArray[np.float32] | None = None

    def __getitem__(self, query: int) -> Ranked:
        """The answer to one query of a batch."""
        return Ranked(self.rows[query], self.scores[query], None if self.by_trait is None else self.by_trait[query])


def find_similar_customers(
    profiles: Any, customers: Any, *, k: int = 10, include_self: bool = False
) -> Ranked:
    """The customers whose profiles point most nearly the same way (cosine).

    Parameters
    ----------
    profiles : (n_customers, n_traits) float32; a zero row is like nobody (score 0).
    customers : row or (n,) rows of the customers asked about.
    include_self : keep the customer in their own answer.

    Returns
    -------
    Ranked : rows of customers, cosines, and each cosine's parts by trait.

    Raises
    ------
    ValueError, TypeError : a customer outside the profiles, NaN, a bad `k`.
    """
    owner = "find_similar_customers"
    k = check_int("k", owner, k, 1)
    keep = check_bool("include_self", owner, include_self)
    matrix = check_array("profiles", owner, profiles, dtype=np.float32, shape=(None, None))
    single = np.ndim(customers) == 0
    asked = check_array("customers", owner, np.atleast_1d(customers), dtype=np.int64, shape=(None,))
    if len(asked) and (asked.min() < 0 or asked.max() >= len(matrix)):
        rule = f"rows in [0, {len(matrix) - 1}]"
        raise ValueError(parameter_message("customers", owner, rule, f"{asked.min()} ... {asked.max()}"))
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0)
    banned = None if keep else _one_each(asked, len(matrix))
    found = _rank(unit[asked], np.ascontiguousarray(unit.T), k, None, banned)
    return found[0] if single else found


def product_affinity(
    components: Any,
    token_item: Any,
    token_action: Any = None,
    *,
    actions: tuple[str, ...] = (),
    action_weights: Mapping[str, float] | None = None,
    n_items: int | None = None,
) -> NDArray[np.float32]:
    """(n_traits, n_items) float32 affinity of traits to products, from the loadings of the products' tokens.

    Sum over a product's tokens of loading x weight of the token's action. By default every action counts 1, and
    "remove" -1: taking a product out of the cart speaks against it.
    """
    owner = "product_affinity"
    loadings = check_array("components", owner, components, dtype=np.float32, shape=(None, None))
    item = check_array("token_item", owner, token_item, dtype=np.int64, shape=(loadings.shape[1],))
    width = int(item.max(initial=-1)) + 1 if n_items is None else check_int("n_items", owner, n_items, 0)
    if len(item) and (item.min() < 0 or item.max() >= width):
        rule = f"rows in [0, {width - 1}]"
        raise ValueError(parameter_message("token_item", owner, rule, f"{item.min()} ... {item.max()}"))
    weight = np.ones(len(item), dtype=np.float32)
    if token_action is not None:
        action = check_array("token_action", owner, token_action, dtype=np.int64, shape=(len(item),))
        if len(action) and (action.min() < -1 or action.max() >= len(actions)):
            rule = f"ints in [-1, {len(actions) - 1}], places in actions"
            raise ValueError(parameter_message("token_action", owner, rule, f"{action.min()} ... {action.max()}"))
        weights = {"remove": -1.0} if action_weights is None else dict(action_weights)
        if action_weights is not None and set(weights) - set(actions):
            unknown = sorted(set(weights) - set(actions))
            raise ValueError(parameter_message("action_weights", owner, f"weights of actions {actions}", unknown))
        by_action = np.array([weights.get(name, 1.0) for name in actions] + [1.0], dtype=np.float32)
        weight = by_action[action]
    spread = sparse.csr_array((weight, (np.arange(len(item)), item)), shape=(len(item), width))
    return np.ascontiguousarray(loadings @ spread, dtype=np.float32)


def recommend_products(
    profiles: Any,
    affinity: Any,
    *,
    k: int = 10,
    seen: Any = None,
    allow: Any = None,
    deny: Any = None,
    item_category: Any = None,
    categories: Any = None,
) -> Ranked:
    """Products by profile x affinity.

    Parameters
    ----------
    profiles : (n_customers, n_traits) float32, or (n_traits,) for one customer.
    affinity : (n_traits, n_items) float32, see `product_affinity`.
    seen : (n_customers, n_items) CSR (or rows for one customer): products not to recommend to each, e.g. bought ones.
    allow, deny : rows of products; only allowed ones, and no denied one, are ever given.
    item_category : (n_items,) int category of each product, with `categories`, the categories to keep.

    Returns
    -------
    Ranked : rows of products, scores, parts by trait. Fewer than `k` where the filters leave fewer.

    Raises
    ------
    ValueError, TypeError : shapes that don't fit, rows out of range, categories without `item_category`.
    """
    owner = "recommend_products"
    k = check_int("k", owner, k, 1)
    table = check_array("affinity", owner, affinity, dtype=np.float32, shape=(None, None))
    single = np.ndim(profiles) == 1
    rows = check_array("profiles", owner, np.atleast_2d(profiles), dtype=np.float32, shape=(None, table.shape[0]))
    n_items = table.shape[1]
    open_ = _open(owner, n_items, allow, deny)
    if categories is not None:
        if item_category is None:
            raise ValueError(parameter_message("item_category", owner, "given where categories are", None))
        category = check_array("item_category", owner, item_category, dtype=np.int64, shape=(n_items,))
        open_ &= np.isin(category, np.atleast_1d(as_array("categories", owner, categories)))
    banned = None
    if seen is not None:
        if single and not sparse.issparse(seen):
            flags = np.flatnonzero(_flags("seen", owner, seen, n_items))
            ends = np.array([0, len(flags)])
            banned = sparse.csr_array((np.ones(len(flags), np.float32), flags, ends), shape=(1, n_items))
        else:
            banned = check_csr("seen", owner, seen, shape=(len(rows), n_items))
    found = _rank(rows, table, k, open_, banned)
    return found[0] if single else found


def next_items(
    sessions: Any,
    item_vectors: Any = None,
    context_vectors: Any = None,
    *,
    counts: Any = None,
    k: int = 20,
    decay: float = 0.5,
    exclude_seen: bool = False,
    allow: Any = None,
    deny: Any = None,
) -> Ranked:
    """The likely next items of a session: each item of it speaks, the latest loudest.

    Score of item j = sum over the session's items i, s steps back, of decay**s * (item_vectors[i] .
    context_vectors[j]), or with `counts` of decay**s * counts[i, j]. Item against context vectors: item against
    item says what is alike, not what follows.

    Parameters
    ----------
    sessions : Sequences, or one session as an array of item rows.
    item_vectors, context_vectors : (n_items, d) float32.
    counts : (n_items, n_items) sparse weights, row i -> what follows i; instead of the vectors.
    decay : in [0, 1].
    exclude_seen : leave out the session's own items; shoppers come back to them, so the default keeps them.
    allow, deny : rows of items; only allowed ones, and no denied one, are ever given.

    Returns
    -------
    Ranked : rows of items and scores; an empty session scores every item 0.

    Raises
    ------
    ValueError, TypeError : an item outside the vectors or counts, shapes that don't fit, neither vectors nor counts.
    """
    owner = "next_items"
    k = check_int("k", owner, k, 1)
    decay = check_real("decay", owner, decay, 0.0, 1.0)
    single = not isinstance(sessions, Sequences)
    batch = Sequences.from_lists([sessions]) if single else sessions
    back = np.repeat(batch.offsets[1:], np.diff(batch.offsets)) - 1 - np.arange(batch.n_tokens)
    if counts is None:
        left = check_array("item_vectors", owner, item_vectors, dtype=np.float32, shape=(None, None))
        right = check_array("context_vectors", owner, context_vectors, dtype=np.float32, shape=left.shape)
        table: Any = np.ascontiguousarray(right.T)
    else:
        left = check_csr("counts", owner, counts, square=True, dtype=np.float32)
        table = None
    n_items = left.shape[0]
    if batch.n_tokens and batch.tokens.max() >= n_items:
        rule = f"items in [0, {n_items - 1}]"
        raise ValueError(parameter_message("sessions", owner, rule, f"item {batch.tokens.max()}"))
    voices = sparse.csr_array(
        (np.float32(decay) ** back.astype(np.float32), batch.tokens, batch.offsets), shape=(len(batch), n_items)
    )
    banned = None
    if check_bool("exclude_seen", owner, exclude_seen):
        banned = voices
    spoken = voices @ left
    found = _rank(spoken, table, k, _open("next_items", n_items, allow, deny), banned)
    return found[0] if single else found


def _open(owner: str, n_items: int, allow: Any, deny: Any) -> NDArray[np.bool_]:
    flags = np.ones(n_items, dtype=bool) if allow is None else _flags("allow", owner, allow, n_items)
    if deny is not None:
        flags &= ~_flags("deny", owner, deny, n_items)
    return flags


def _rank(rows: Any, table: Any, k: int, open_: NDArray[np.bool_] | None, banned: Any) -> Ranked:
    """Best `k` columns of rows @ table (of rows themselves where table is None) that are open and not banned."""
    n_queries, n_columns = rows.shape[0], (rows if table is None else table).shape[1]
    found = np.full((n_queries, k), -1, dtype=np.int64)
    best = np.full((n_queries, k), -np.inf, dtype=np.float32)
    step = max(1, _BLOCK // max(1, n_columns))
    for start in range(0, n_queries, step):
        part = rows[start : start + step]
        scores = part.toarray() if table is None else part @ table
        for q, row in enumerate(scores, start):
            if banned is not None:
                row[banned.indices[banned.indptr[q] : banned.indptr[q + 1]]] = -np.inf
            if open_ is not None:
                row[~open_] = -np.inf
            top = _top(row, k)
            found[q, : len(top)], best[q, : len(top)] = top, row[top]
    by_trait = None
    if table is not None and not sparse.issparse(rows):
        by_trait = np.where(found[:, :, None] >= 0, rows[:, None, :] * table.T[found], np.float32(0))
    return Ranked(found, best, by_trait)


def _top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Places of the `k` highest finite scores, best first, ties by place."""
    if k < len(scores):
        cut = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= cut)
    else:
        places = np.arange(len(scores))
    places = places[scores[places] > -np.inf]
    return places[np.argsort(-scores[places], kind="stable")][:k]


def _flags(name: str, owner: str, rows: Any, n_items: int) -> NDArray[np.bool_]:
    listed = check_array(name, owner, np.atleast_1d(rows), dtype=np.int64, shape=(None,))
    if len(listed) and (listed.min() < 0 or listed.max() >= n_items):
        rule = f"rows of products in [0, {n_items - 1}]"
        raise ValueError(parameter_message(name, owner, rule, f"{listed.min()} ... {listed.max()}"))
    flags = np.zeros(n_items, dtype=bool)
    flags[listed] = True
    return flags


def _one_each(columns: NDArray[np.int64], width: int) -> sparse.csr_array:
    n = len(columns)
    return sparse.csr_array((np.ones(n, np.float32), columns, np.arange(n + 1)), shape=(n, width))
