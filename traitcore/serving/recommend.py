"""Recommendations: similar customers, products for a customer, the next item of a session.

A row is listed only where there is evidence for it, here and in `NextItemCounts`. Where fewer than k rows qualify, the
rest is row -1 with score NaN. For counts, profile x affinity and cosines of profiles, evidence is a score above 0. For
scores of vectors it is any score but 0, the score of an empty session and of an item without a vector. Their sign says
nothing: skip-gram's scores are shifted by -log(negative), so 99% of them lie below 0, right answers included.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from ..items.next_item_ranking import may_list
from .mixing import TraitLimit
from .ranking import BLOCK, Recommendations, fill_up, one_each, popular_items, ranked, seen_items


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
    excluded = None if keep else one_each(asked, len(matrix))
    found = ranked(unit[asked], np.ascontiguousarray(unit.T), k, None, excluded, None)
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
    max_per_trait: int | None = None,
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
    max_per_trait : at most so many products of one trait, that with the largest part of a product's score, so that a
        list is mixed; None: no limit. A list isn't shortened: where the products of other traits run out, the best of
        those left fill it, before the fallback. Popular products of the fallback aren't counted.

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
    >>> print(tc.recommend_products([0.7, 0.3], affinity, k=2).rows)
    [0 1]
    >>> print(tc.recommend_products([0.7, 0.3], affinity, k=2, max_per_trait=1).rows)
    [0 2]
    """
    check = Checks("recommend_products")
    k = check.integer("k", k, 1)
    table = check.array("affinity", affinity, dtype=np.float32, shape=(None, None))
    single = np.ndim(profiles) == 1
    rows = check.array("profiles", np.atleast_2d(profiles), dtype=np.float32, shape=(None, table.shape[0]))
    n_items = table.shape[1]
    eligible = may_list(check, n_items, allowed, exclude)
    popular = popular_items(check, n_items, fallback, popularity)
    if categories is not None:
        if item_category is None:
            raise check.value_error("item_category", "given where categories are", None)
        category = check.array("item_category", item_category, dtype=np.int64, shape=(n_items,))
        eligible &= np.isin(category, np.atleast_1d(check.plain("categories", categories)))
    excluded = None if seen is None else seen_items(check, seen, len(rows), n_items, single)
    limit = TraitLimit.of(check, max_per_trait, rows, table)
    found = ranked(rows, table, k, eligible, excluded, popular, limit=limit)
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
        if single and isinstance(model, NextItemModel):
            listed = _live(check, sessions, model, k, exclude_seen, allowed, exclude, fallback, popularity)
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
    eligible = may_list(check, n_items, allowed, exclude)
    popular = popular_items(check, n_items, fallback, popularity)
    excluded = weights if check.boolean("exclude_seen", exclude_seen) else None  # also at weight 0
    scores = weights @ left
    if counts is None and context_vectors is None:
        scores = unit_float32_rows(scores)
    found = ranked(scores, table, k, eligible, excluded, popular, signed=counts is None)
    return found[0] if single else found


def _batch(sessions: Any) -> Sequences:
    return sessions if isinstance(sessions, Sequences) else Sequences.from_lists([sessions])


def _live(
    check: Checks, session: Any, model: NextItemModel, k: int, exclude_seen: bool, allowed: Any, exclude: Any,
    fallback: Any, popularity: Any,
) -> Recommendations:
    """`next_items` of one session, items of score 0 among them."""
    model._check_fitted("n_items_")
    popular = popular_items(check, model.n_items_, fallback, popularity)
    may = None if allowed is None and exclude is None else may_list(check, model.n_items_, allowed, exclude)
    skip = check.boolean("exclude_seen", exclude_seen)
    items, scores = model.recommend(session, k=k, exclude_seen=skip, allowed=may)
    rows, n_found = items.astype(np.int64), int(np.count_nonzero(items >= 0))
    if popular is None:
        return Recommendations(rows, scores)
    filled = np.zeros(k, dtype=bool)
    if n_found < k:
        hidden = np.asarray(session, dtype=np.int64) if skip else np.zeros(0, dtype=np.int64)
        filled[n_found : n_found + fill_up(rows, n_found, popular, may, hidden, model.n_items_)] = True
    return Recommendations(rows, scores, fallback=filled)


def _by_model(
    check: Checks, batch: Sequences, model: NextItemModel | NextItemBlend | NextItemCounts, k: int, exclude_seen: bool,
    allowed: Any, exclude: Any, fallback: Any, popularity: Any,
) -> Recommendations:
    """`next_items` by a fitted model. Dense scores are made for so many sessions at once as `BLOCK` allows."""
    model._check_fitted("n_items_")
    n_items, dense = model.n_items_, not isinstance(model, NextItemCounts)
    eligible = may_list(check, n_items, allowed, exclude)
    popular = popular_items(check, n_items, fallback, popularity)
    hide = check.boolean("exclude_seen", exclude_seen)
    step, parts = max(1, BLOCK // max(1, n_items) if dense else len(batch)), []
    for start in range(0, max(1, len(batch)), step):
        part = batch.take(np.arange(start, min(start + step, len(batch))))
        hidden = None
        if hide:
            ones = np.ones(part.n_tokens, dtype=np.float32)
            hidden = sparse.csr_array((ones, part.tokens, part.offsets), shape=(len(part), n_items))
        parts.append(ranked(model.score(part), None, k, eligible, hidden, popular, signed=dense))
    return Recommendations(
        np.concatenate([part.rows for part in parts]), np.concatenate([part.scores for part in parts]),
        fallback=None if popular is None else np.concatenate([part.fallback for part in parts]),
    )
