"""What to do with traits: similar customers, products for a customer, the next item of a session.

One rule holds for every list, that of `NextItemCounts` included: a row is listed only where something speaks for it.
Where fewer than k are left, the rest is row -1 with score NaN. Counts, profile x affinity and cosines of profiles speak
for a row by a score above 0. Scores of vectors say so by any score but 0, which is what an empty session gives, or an
item without a vector: their sign says nothing (skip-gram's scores are shifted by -log(negative), so that 99% of them,
right answers among them, lie below 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._rows import unit_float32_rows
from .._validate import as_array, check_array, check_bool, check_choice, check_csr, check_int, check_real
from ..events.sequences import Sequences

FALLBACKS = ("popular",)
_BLOCK = 2_000_000  # scores held at once, about 8 MB


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows found for each query, best first; ties by row.

    Attributes
    ----------
    rows : (n_queries, k) int64, -1 where nothing speaks for any other row; (k,) for a single query.
    scores : (n_queries, k) float32, NaN beside a row of -1 and beside one of the fallback.
    by_trait : (n_queries, k, n_traits) float32 parts of each score, which add up to it (0 where the score is NaN); None
        where no traits play.
    fallback : (n_queries, k) bool, True where a row is there for its popularity alone; None where no fallback was
        asked for.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    by_trait: NDArray[np.float32] | None = None
    fallback: NDArray[np.bool_] | None = None

    def __getitem__(self, query: int) -> Ranked:
        """The answer to one query of a batch."""
        of_trait = None if self.by_trait is None else self.by_trait[query]
        return Ranked(
            self.rows[query], self.scores[query], of_trait, None if self.fallback is None else self.fallback[query]
        )


def find_similar_customers(
    profiles: Any, customers: Any, *, k: int = 10, include_self: bool = False
) -> Ranked:
    """The customers whose profiles point most nearly the same way (cosine).

    Parameters
    ----------
    profiles : (n_customers, n_traits) float32; a zero row is like nobody.
    customers : row or (n,) rows of the customers asked about.
    include_self : keep the customer in their own answer.

    Returns
    -------
    Ranked : rows of customers, cosines above 0, and each cosine's parts by trait; -1 and NaN where fewer than `k`
        customers share a trait.

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
    unit = unit_float32_rows(matrix)
    banned = None if keep else _one_each(asked, len(matrix))
    found = _rank(unit[asked], np.ascontiguousarray(unit.T), k, None, banned, None)
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
    "remove" -1: taking a product out of the cart speaks against it. A product without tokens has affinity 0, so that
    `recommend_products` lists it for nobody.
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
    fallback: str | None = None,
    popularity: Any = None,
) -> Ranked:
    """Products by profile x affinity.

        found = tc.recommend_products(profiles, affinity, k=10, seen=bought, fallback="popular", popularity=counts)

    Parameters
    ----------
    profiles : (n_customers, n_traits) float32, or (n_traits,) for one customer.
    affinity : (n_traits, n_items) float32, see `product_affinity`.
    seen : (n_customers, n_items) matrix, sparse or dense, not 0 at products not to recommend to each, e.g. bought ones
        (a stored 0 is a 0); or, for one customer, rows of products or an (n_items,) bool mask.
    allow, deny : rows of products, or (n_items,) bool masks; only allowed ones, and no denied one, are ever given.
    item_category : (n_items,) int category of each product, with `categories`, the categories to keep.
    fallback : "popular" fills the places that nothing speaks for, all of them for a customer without traits, with the
        products of most `popularity` among those allowed, not seen and not listed yet, and says so in
        `Ranked.fallback`; None leaves them -1.
    popularity : (n_items,) counts >= 0, with `fallback`; a product of popularity 0 is no fallback.

    Returns
    -------
    Ranked : rows of products, scores above 0, parts by trait; -1 and NaN where fewer than `k` score above 0 and pass
        the filters.

    Raises
    ------
    ValueError, TypeError : shapes that don't fit, rows out of range, categories without `item_category`, a fallback
        without `popularity`.
    """
    owner = "recommend_products"
    k = check_int("k", owner, k, 1)
    table = check_array("affinity", owner, affinity, dtype=np.float32, shape=(None, None))
    single = np.ndim(profiles) == 1
    rows = check_array("profiles", owner, np.atleast_2d(profiles), dtype=np.float32, shape=(None, table.shape[0]))
    n_items = table.shape[1]
    open_ = _open(owner, n_items, allow, deny)
    popular = _popular(owner, n_items, fallback, popularity)
    if categories is not None:
        if item_category is None:
            raise ValueError(parameter_message("item_category", owner, "given where categories are", None))
        category = check_array("item_category", owner, item_category, dtype=np.int64, shape=(n_items,))
        open_ &= np.isin(category, np.atleast_1d(as_array("categories", owner, categories)))
    banned = None if seen is None else _seen(owner, seen, len(rows), n_items, single)
    found = _rank(rows, table, k, open_, banned, popular)
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
    fallback: str | None = None,
    popularity: Any = None,
) -> Ranked:
    """The likely next items of a session: each item of it speaks, the latest loudest.

    Score of item j = sum over the session's items i, s steps back, of decay**s * (item_vectors[i] .
    context_vectors[j]), or with `counts` of decay**s * counts[i, j]. Without `context_vectors` it is the cosine between
    the sum of decay**s * (unit vector of i) and item j, as `VectorScorer` has it. Which of the two finds more next
    items depends on the shop: `fit_pipeline` asks held-out sessions and records the answer.

    Parameters
    ----------
    sessions : Sequences, or one session as an array of item rows.
    item_vectors, context_vectors : (n_items, d) float32.
    counts : (n_items, n_items) sparse weights, row i -> what follows i; instead of the vectors.
    decay : in [0, 1].
    exclude_seen : leave out the session's own items; shoppers come back to them, so the default keeps them.
    allow, deny : rows of items, or (n_items,) bool masks; only allowed ones, and no denied one, are ever given.
    fallback, popularity : as in `recommend_products`, for sessions that are empty or of items that nothing is known of.

    Returns
    -------
    Ranked : rows of items and scores; -1 and NaN where nothing speaks for another item: by counts where fewer than `k`
        score above 0, by vectors where fewer score other than 0.

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
        if context_vectors is None:
            left = right = unit_float32_rows(left)
        else:
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
    open_, popular = _open(owner, n_items, allow, deny), _popular(owner, n_items, fallback, popularity)
    banned = voices if check_bool("exclude_seen", owner, exclude_seen) else None  # also those that decay made 0
    spoken = voices @ left
    if counts is None and context_vectors is None:
        spoken = unit_float32_rows(spoken)
    found = _rank(spoken, table, k, open_, banned, popular, signed=counts is None)
    return found[0] if single else found


def _open(owner: str, n_items: int, allow: Any, deny: Any) -> NDArray[np.bool_]:
    flags = np.ones(n_items, dtype=bool) if allow is None else _flags("allow", owner, allow, n_items)
    if deny is not None:
        flags &= ~_flags("deny", owner, deny, n_items)
    return flags


def _popular(owner: str, n_items: int, fallback: Any, popularity: Any) -> NDArray[np.int64] | None:
    """Rows of what may fill a list, the most popular first, ties by row; None where no fallback is asked for."""
    if fallback is None:
        if popularity is not None:
            raise ValueError(parameter_message("popularity", owner, "None unless fallback='popular'", "an array"))
        return None
    check_choice("fallback", owner, fallback, FALLBACKS)
    if popularity is None:
        raise ValueError(parameter_message("popularity", owner, "counts of the items, for fallback='popular'", None))
    counts = check_array("popularity", owner, popularity, dtype=np.float64, shape=(n_items,), nonnegative=True)
    order = np.argsort(-counts, kind="stable")
    return order[counts[order] > 0]


def _seen(owner: str, seen: Any, n_rows: int, n_items: int, single: bool) -> sparse.csr_array:
    """What not to recommend: the stored entries of a CSR without zeros."""
    if single and not sparse.issparse(seen):
        flags = np.flatnonzero(_flags("seen", owner, seen, n_items))
        ends = np.array([0, len(flags)])
        return sparse.csr_array((np.ones(len(flags), np.float32), flags, ends), shape=(1, n_items))
    if not sparse.issparse(seen) and np.asarray(seen).dtype == np.bool_:
        seen = np.asarray(seen).astype(np.float32)
    matrix = check_csr("seen", owner, seen, shape=(n_rows, n_items)).copy()
    matrix.eliminate_zeros()
    return matrix


def _rank(
    rows: Any, table: Any, k: int, open_: NDArray[np.bool_] | None, banned: Any, popular: NDArray[np.int64] | None,
    *, signed: bool = False,
) -> Ranked:  # fmt: skip
    """Best `k` columns of rows @ table (of rows themselves where table is None) that are open and not banned, and that
    something speaks for: a score above 0, or with `signed` other than 0. `popular` fills the places left."""
    n_queries, n_columns = rows.shape[0], (rows if table is None else table).shape[1]
    found = np.full((n_queries, k), -1, dtype=np.int64)
    best = np.full((n_queries, k), np.nan, dtype=np.float32)
    filled = np.zeros((n_queries, k), dtype=bool)
    step = max(1, _BLOCK // max(1, n_columns))
    for start in range(0, n_queries, step):
        part = rows[start : start + step]
        scores = part.toarray() if table is None else part @ table
        if signed:
            scores[scores == 0] = -np.inf
        for q, row in enumerate(scores, start):
            shut = np.zeros(0, np.int64) if banned is None else banned.indices[banned.indptr[q] : banned.indptr[q + 1]]
            row[shut] = -np.inf
            if open_ is not None:
                row[~open_] = -np.inf
            top = _top(row, k)
            top = top if signed else top[row[top] > 0]
            n_top = len(top)
            found[q, :n_top], best[q, :n_top] = top, row[top]
            if popular is not None and n_top < k:
                free = np.ones(n_columns, dtype=bool) if open_ is None else open_.copy()
                free[shut] = free[top] = False
                more = popular[free[popular]][: k - n_top]
                found[q, n_top : n_top + len(more)], filled[q, n_top : n_top + len(more)] = more, True
    by_trait = None
    if table is not None:
        listed = ((found >= 0) & ~filled)[:, :, None]
        by_trait = np.where(listed, rows[:, None, :] * table.T[found], np.float32(0))
    return Ranked(found, best, by_trait, None if popular is None else filled)


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
    """(n_items,) bool from rows or from such a mask."""
    mask = np.asarray(rows)
    if mask.dtype == np.bool_:
        if mask.shape != (n_items,):
            rule = f"rows of products in [0, {n_items - 1}], or a bool mask of shape ({n_items},)"
            raise ValueError(parameter_message(name, owner, rule, f"a mask of shape {mask.shape}"))
        return mask.copy()
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
