"""Recommendations: similar customers, products for a customer, the next item of a session.

A row is listed only where there is evidence for it, here and in `NextItemCounts`. Where fewer than k rows qualify, the
rest is row -1 with score NaN. For counts, profile x affinity and cosines of profiles, evidence is a score above 0. For
scores of vectors it is any score but 0, the score of an empty session and of an item without a vector. Their sign says
nothing: skip-gram's scores are shifted by -log(negative), so 99% of them lie below 0, right answers included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._rows import unit_float32_rows
from .._validate import Checks
from ..events.sequences import Sequences
from ..items.next_item import NextItemCounts
from ..items.next_item_blend import NextItemBlend
from ..items.next_item_model import NextItemModel
from ..items.next_item_queries import steps_back
from ..items.next_item_ranking import item_flags, may_list, top_places

FALLBACKS = ("popular",)
_BLOCK = 2_000_000  # scores held at once, about 8 MB


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Rows found for each query, best first; ties by row.

    Attributes
    ----------
    rows : (n_queries, k) int64, -1 past the last row with evidence; (k,) for a single query.
    scores : (n_queries, k) float32, NaN beside a row of -1 and beside a fallback row.
    by_trait : (n_queries, k, n_traits) float32, each score split by trait (0 where the score is NaN); None without
        traits.
    fallback : (n_queries, k) bool, True where a row is listed for its popularity alone; None without a fallback.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    by_trait: NDArray[np.float32] | None = None
    fallback: NDArray[np.bool_] | None = None

    def __getitem__(self, query: int) -> Recommendations:
        """The answer to one query of a batch."""
        of_trait = None if self.by_trait is None else self.by_trait[query]
        return Recommendations(
            self.rows[query], self.scores[query], of_trait, None if self.fallback is None else self.fallback[query]
        )


def find_similar_customers(
    profiles: ArrayLike, customers: ArrayLike, *, k: int = 10, include_self: bool = False
) -> Recommendations:
    """The customers whose trait profiles have the largest cosine with those of the given customers.

    Parameters
    ----------
    profiles : (n_customers, n_traits) float32; a zero row is similar to no other.
    customers : row or (n,) rows of the customers to find others for.
    k : number of customers listed.
    include_self : list the customer too.

    Returns
    -------
    Recommendations : rows of customers, cosines above 0, and each cosine's parts by trait; -1 and NaN where fewer than
        `k` customers share a trait.

    Raises
    ------
    ValueError, TypeError : a customer outside the profiles, NaN, a bad `k`.

    See Also
    --------
    recommend_products : products for a customer. EmbeddingTable.most_similar : the same for the rows of any table.

    Examples
    --------
    >>> import traitcore as tc
    >>> found = tc.find_similar_customers([[0.9, 0.1], [0.8, 0.2], [0.0, 1.0]], 0, k=2)
    >>> print(found.rows, found.scores.round(2))
    [1 2] [0.99 0.11]
    """
    check = Checks("find_similar_customers")
    k = check.integer("k", k, 1)
    keep = check.boolean("include_self", include_self)
    matrix = check.array("profiles", profiles, dtype=np.float32, shape=(None, None))
    single = np.ndim(customers) == 0
    asked = check.array("customers", np.atleast_1d(customers), dtype=np.int64, shape=(None,))
    if len(asked) and (asked.min() < 0 or asked.max() >= len(matrix)):
        rule = f"rows in [0, {len(matrix) - 1}]"
        raise check.value_error("customers", rule, f"{asked.min()} ... {asked.max()}")
    unit = unit_float32_rows(matrix)
    excluded = None if keep else _one_each(asked, len(matrix))
    found = _rank(unit[asked], np.ascontiguousarray(unit.T), k, None, excluded, None)
    return found[0] if single else found


def product_affinity(
    components: ArrayLike,
    token_item: ArrayLike,
    token_action: ArrayLike | None = None,
    *,
    actions: tuple[str, ...] = (),
    action_weights: Mapping[str, float] | None = None,
    n_items: int | None = None,
) -> NDArray[np.float32]:
    """Affinity of traits to products: the loadings of a product's tokens, weighted by action and added up.

    Parameters
    ----------
    components : (n_traits, n_tokens) float32 loadings, such as `TraitModel.token_rates_`.
    token_item : (n_tokens,) row of the product that each token is of.
    token_action : (n_tokens,) place in `actions` of each token's action, -1 for none; None: every token counts 1.
    action_weights : weight by action; actions not named weigh 1. None: "remove" weighs -1, for a product taken out of
        the cart is less wanted.
    n_items : number of products; None: 1 + the largest row.

    Returns
    -------
    (n_traits, n_items) float32. A product without tokens has affinity 0: `recommend_products` never lists it.

    Raises
    ------
    ValueError, TypeError : lengths that differ, a product or action out of range, a weight of an unknown action.

    See Also
    --------
    recommend_products : ranks products by profile x affinity.

    Examples
    --------
    >>> import traitcore as tc
    >>> tc.product_affinity([[2.0, 1.0, 0.5]], [0, 0, 1], [0, 1, 0], actions=("view", "remove")).tolist()
    [[1.0, 0.5]]
    """
    check = Checks("product_affinity")
    loadings = check.array("components", components, dtype=np.float32, shape=(None, None))
    item = check.array("token_item", token_item, dtype=np.int64, shape=(loadings.shape[1],))
    width = int(item.max(initial=-1)) + 1 if n_items is None else check.integer("n_items", n_items, 0)
    if len(item) and (item.min() < 0 or item.max() >= width):
        rule = f"rows in [0, {width - 1}]"
        raise check.value_error("token_item", rule, f"{item.min()} ... {item.max()}")
    weight = np.ones(len(item), dtype=np.float32)
    if token_action is not None:
        action = check.array("token_action", token_action, dtype=np.int64, shape=(len(item),))
        if len(action) and (action.min() < -1 or action.max() >= len(actions)):
            rule = f"ints in [-1, {len(actions) - 1}], places in actions"
            raise check.value_error("token_action", rule, f"{action.min()} ... {action.max()}")
        weights = {"remove": -1.0} if action_weights is None else dict(action_weights)
        if action_weights is not None and set(weights) - set(actions):
            unknown = sorted(set(weights) - set(actions))
            raise check.value_error("action_weights", f"weights of actions {actions}", unknown)
        by_action = np.array([weights.get(name, 1.0) for name in actions] + [1.0], dtype=np.float32)
        weight = by_action[action]
    spread = sparse.csr_array((weight, (np.arange(len(item)), item)), shape=(len(item), width))
    return np.ascontiguousarray(loadings @ spread, dtype=np.float32)


def recommend_products(
    profiles: ArrayLike,
    affinity: ArrayLike,
    *,
    k: int = 10,
    seen: Any = None,
    allowed: ArrayLike | None = None,
    exclude: ArrayLike | None = None,
    item_category: ArrayLike | None = None,
    categories: ArrayLike | None = None,
    fallback: str | None = None,
    popularity: ArrayLike | None = None,
) -> Recommendations:
    """Products ranked by profile x affinity.

    Parameters
    ----------
    profiles : (n_customers, n_traits) float32, or (n_traits,) for one customer.
    affinity : (n_traits, n_items) float32, see `product_affinity`.
    k : number of products listed.
    seen : products not to recommend, e.g. those bought: an (n_customers, n_items) matrix, sparse or dense, nonzero
        there; or, for one customer, rows of products or an (n_items,) bool mask.
    allowed, exclude : rows of products, or (n_items,) bool masks: only allowed ones are listed, excluded ones never.
    item_category : (n_items,) int category of each product, with `categories`, the categories to keep.
    fallback : "popular" fills the remaining places (all of them for a customer without traits) with the most popular
        products that may be listed, and marks them in `Recommendations.fallback`; None leaves them -1.
    popularity : (n_items,) counts >= 0, for `fallback`; a product of popularity 0 is never a fallback.

    Returns
    -------
    Recommendations : rows of products, scores above 0, parts by trait; -1 and NaN where fewer than `k` score above 0
        and pass the filters.

    Raises
    ------
    ValueError, TypeError : shapes that don't fit, rows out of range, categories without `item_category`, a fallback
        without `popularity`.

    See Also
    --------
    product_affinity : makes `affinity`. next_items : by a session's items instead of traits.

    Examples
    --------
    >>> import traitcore as tc
    >>> affinity = [[0.9, 0.4, 0.0], [0.0, 0.1, 0.8]]
    >>> found = tc.recommend_products([0.7, 0.3], affinity, k=2, seen=[0])
    >>> print(found.rows, found.scores.round(2))
    [1 2] [0.31 0.24]
    """
    check = Checks("recommend_products")
    k = check.integer("k", k, 1)
    table = check.array("affinity", affinity, dtype=np.float32, shape=(None, None))
    single = np.ndim(profiles) == 1
    rows = check.array("profiles", np.atleast_2d(profiles), dtype=np.float32, shape=(None, table.shape[0]))
    n_items = table.shape[1]
    eligible = may_list(check, n_items, allowed, exclude)
    popular = _popular(check, n_items, fallback, popularity)
    if categories is not None:
        if item_category is None:
            raise check.value_error("item_category", "given where categories are", None)
        category = check.array("item_category", item_category, dtype=np.int64, shape=(n_items,))
        eligible &= np.isin(category, np.atleast_1d(check.plain("categories", categories)))
    excluded = None if seen is None else _seen(check, seen, len(rows), n_items, single)
    found = _rank(rows, table, k, eligible, excluded, popular)
    return found[0] if single else found


def next_items(
    sessions: Sequences | ArrayLike,
    item_vectors: ArrayLike | None = None,
    context_vectors: ArrayLike | None = None,
    *,
    counts: Any = None,
    model: Any = None,
    k: int = 20,
    decay: float = 0.5,
    exclude_seen: bool = False,
    allowed: ArrayLike | None = None,
    exclude: ArrayLike | None = None,
    fallback: str | None = None,
    popularity: ArrayLike | None = None,
) -> Recommendations:
    """The likely next items of a session, its latest items weighing most.

    The score of item j is the sum, over the session's items i, s steps back, of decay**s * (item_vectors[i] .
    context_vectors[j]), or with `counts` of decay**s * counts[i, j]. Without `context_vectors` it is the cosine between
    the sum of decay**s * (unit vector of i) and item j, as in `VectorScorer`. Which of the two rankings finds more next
    items depends on the shop: `fit_pipeline` measures both on held-out sessions and records the better one.

    Parameters
    ----------
    sessions : Sequences, or one session as an array of item rows.
    item_vectors, context_vectors : (n_items, d) float32.
    counts : (n_items, n_items) sparse weights, row i -> what follows i; instead of the vectors.
    model : a fitted `NextItemModel`, `NextItemBlend` or `NextItemCounts` (or that of a published table,
        `next_model_of`), instead of vectors and counts; it has its own decay. But for counts it ranks after an empty
        session, too.
    k : number of items listed.
    decay : in [0, 1].
    exclude_seen : leave out the session's own items. Kept by default: shoppers come back to them.
    allowed, exclude : rows of items, or (n_items,) bool masks: only allowed ones are listed, excluded ones never.
    fallback, popularity : as in `recommend_products`, for empty sessions and for items without vectors or counts.

    Returns
    -------
    Recommendations : rows of items and scores; -1 and NaN where fewer than `k` items score above 0 (by counts) or
        other than 0 (by vectors).

    Raises
    ------
    ValueError, TypeError : an item outside the vectors or counts, shapes that don't fit, neither vectors nor counts.

    See Also
    --------
    NextItemCounts : learns and ranks by counts. evaluate_retrieval : measures a ranking on held-out sessions.

    Examples
    --------
    >>> import traitcore as tc
    >>> vectors = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
    >>> found = tc.next_items([2, 0], vectors, k=2, exclude_seen=True)
    >>> print(found.rows, found.scores.round(2))
    [ 1 -1] [0.98  nan]
    """
    check = Checks("next_items")
    k = check.integer("k", k, 1)
    decay = check.real("decay", decay, 0.0, 1.0)
    single = not isinstance(sessions, Sequences)
    if model is not None:
        if item_vectors is not None or context_vectors is not None or counts is not None:
            raise check.value_error("model", "given alone, without vectors and counts", type(model).__name__)
        if not isinstance(model, (NextItemModel, NextItemBlend, NextItemCounts)):
            raise check.type_error("model", "a NextItemModel, NextItemBlend or NextItemCounts, or None", model)
        if single and isinstance(model, NextItemModel) and fallback is popularity is None:
            listed = _live(check, sessions, model, k, exclude_seen, allowed, exclude)
            if listed.scores.all():  # items of score 0 aren't listed
                return listed
        batch = _batch(sessions)
        found = _by_model(check, batch, model, k, exclude_seen, allowed, exclude, fallback, popularity)
        return found[0] if single else found
    batch = _batch(sessions)
    if counts is None:
        left = check.array("item_vectors", item_vectors, dtype=np.float32, shape=(None, None))
        if context_vectors is None:
            left = right = unit_float32_rows(left)
        else:
            right = check.array("context_vectors", context_vectors, dtype=np.float32, shape=left.shape)
        table: Any = np.ascontiguousarray(right.T)
    else:
        left = check.csr("counts", counts, square=True, dtype=np.float32)
        table = None
    n_items = left.shape[0]
    if batch.n_tokens and batch.tokens.max() >= n_items:
        rule = f"items in [0, {n_items - 1}]"
        raise check.value_error("sessions", rule, f"item {batch.tokens.max()}")
    weight = np.float32(decay) ** steps_back(batch).astype(np.float32)
    weights = sparse.csr_array((weight, batch.tokens, batch.offsets), shape=(len(batch), n_items))
    eligible, popular = may_list(check, n_items, allowed, exclude), _popular(check, n_items, fallback, popularity)
    excluded = weights if check.boolean("exclude_seen", exclude_seen) else None  # also at weight 0
    scores = weights @ left
    if counts is None and context_vectors is None:
        scores = unit_float32_rows(scores)
    found = _rank(scores, table, k, eligible, excluded, popular, signed=counts is None)
    return found[0] if single else found


def _batch(sessions: Any) -> Sequences:
    return sessions if isinstance(sessions, Sequences) else Sequences.from_lists([sessions])


def _live(
    check: Checks, session: Any, model: NextItemModel, k: int, exclude_seen: bool, allowed: Any, exclude: Any
) -> Recommendations:
    """`next_items` of one session, items of score 0 among them."""
    model._check_fitted("n_items_")
    may = None if allowed is None and exclude is None else may_list(check, model.n_items_, allowed, exclude)
    skip = check.boolean("exclude_seen", exclude_seen)
    items, scores = model.recommend(session, k=k, exclude_seen=skip, allowed=may)
    return Recommendations(items.astype(np.int64), scores)


def _by_model(
    check: Checks, batch: Sequences, model: NextItemModel | NextItemBlend | NextItemCounts, k: int, exclude_seen: bool,
    allowed: Any, exclude: Any, fallback: Any, popularity: Any,
) -> Recommendations:
    """`next_items` by a fitted model. Dense scores are made for so many sessions at once as `_BLOCK` allows."""
    model._check_fitted("n_items_")
    n_items, dense = model.n_items_, not isinstance(model, NextItemCounts)
    eligible, popular = may_list(check, n_items, allowed, exclude), _popular(check, n_items, fallback, popularity)
    hide = check.boolean("exclude_seen", exclude_seen)
    step, parts = max(1, _BLOCK // max(1, n_items) if dense else len(batch)), []
    for start in range(0, max(1, len(batch)), step):
        part = batch.take(np.arange(start, min(start + step, len(batch))))
        hidden = None
        if hide:
            ones = np.ones(part.n_tokens, dtype=np.float32)
            hidden = sparse.csr_array((ones, part.tokens, part.offsets), shape=(len(part), n_items))
        parts.append(_rank(model.score(part), None, k, eligible, hidden, popular, signed=dense))
    return Recommendations(
        np.concatenate([part.rows for part in parts]), np.concatenate([part.scores for part in parts]),
        fallback=None if popular is None else np.concatenate([part.fallback for part in parts]),
    )


def _popular(check: Checks, n_items: int, fallback: Any, popularity: Any) -> NDArray[np.int64] | None:
    """Rows of the fallback, the most popular first, ties by row; None without a fallback."""
    if fallback is None:
        if popularity is not None:
            raise check.value_error("popularity", "None unless fallback='popular'", "an array")
        return None
    check.choice("fallback", fallback, FALLBACKS)
    if popularity is None:
        raise check.value_error("popularity", "counts of the items, for fallback='popular'", None)
    counts = check.array("popularity", popularity, dtype=np.float64, shape=(n_items,), nonnegative=True)
    order = np.argsort(-counts, kind="stable")
    return order[counts[order] > 0]


def _seen(check: Checks, seen: Any, n_rows: int, n_items: int, single: bool) -> sparse.csr_array:
    """What not to recommend: the stored entries of a CSR without zeros."""
    if single and not sparse.issparse(seen):
        flags = np.flatnonzero(item_flags(check, "seen", seen, n_items))
        ends = np.array([0, len(flags)])
        return sparse.csr_array((np.ones(len(flags), np.float32), flags, ends), shape=(1, n_items))
    if not sparse.issparse(seen) and np.asarray(seen).dtype == np.bool_:
        seen = np.asarray(seen).astype(np.float32)
    matrix = check.csr("seen", seen, shape=(n_rows, n_items)).copy()
    matrix.eliminate_zeros()
    return matrix


def _rank(
    rows: Any, table: Any, k: int, eligible: NDArray[np.bool_] | None, excluded: Any,
    popular: NDArray[np.int64] | None, *, signed: bool = False,
) -> Recommendations:
    """The `k` best columns of rows @ table (of rows where table is None) that are eligible and not excluded.

    Only scores above 0 count, or with `signed` scores other than 0. `popular` fills the places left. Dense rows without
    a table are written over.
    """
    n_queries, n_columns = rows.shape[0], (rows if table is None else table).shape[1]
    found = np.full((n_queries, k), -1, dtype=np.int64)
    best = np.full((n_queries, k), np.nan, dtype=np.float32)
    filled = np.zeros((n_queries, k), dtype=bool)
    step = max(1, _BLOCK // max(1, n_columns))
    for start in range(0, n_queries, step):
        part = rows[start : start + step]
        if table is not None:
            scores = part @ table
        else:
            scores = part.toarray() if sparse.issparse(part) else part
        if signed:
            scores[scores == 0] = -np.inf
        for q, row in enumerate(scores, start):
            hidden = np.zeros(0, np.int64)
            if excluded is not None:
                hidden = excluded.indices[excluded.indptr[q] : excluded.indptr[q + 1]]
            row[hidden] = -np.inf
            if eligible is not None:
                row[~eligible] = -np.inf
            top = top_places(row, k)
            top = top if signed else top[row[top] > 0]
            n_found = len(top)
            found[q, :n_found], best[q, :n_found] = top, row[top]
            if popular is not None and n_found < k:
                free = np.ones(n_columns, dtype=bool) if eligible is None else eligible.copy()
                free[hidden] = free[top] = False
                more = popular[free[popular]][: k - n_found]
                found[q, n_found : n_found + len(more)], filled[q, n_found : n_found + len(more)] = more, True
    by_trait = None
    if table is not None:
        listed = ((found >= 0) & ~filled)[:, :, None]
        by_trait = np.where(listed, rows[:, None, :] * table.T[found], np.float32(0))
    return Recommendations(found, best, by_trait, None if popular is None else filled)


def _one_each(columns: NDArray[np.int64], width: int) -> sparse.csr_array:
    n = len(columns)
    return sparse.csr_array((np.ones(n, np.float32), columns, np.arange(n + 1)), shape=(n, width))
