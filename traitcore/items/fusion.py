"""Behaviour and content in one vector, and vectors for items that nobody has touched yet.

A zero vector means "none": behaviour of an item without events, content of an item without a description. Every
result says of each row where it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import parameter_message
from .._rows import unit_rows
from .._validate import check_array, check_choice, check_int, check_real

BEHAVIOUR, FUSED, CONTENT, CATEGORY, MISSING = "behaviour", "fused", "content", "category", "missing"
SOURCES = (BEHAVIOUR, FUSED, CONTENT, CATEGORY, MISSING)
METHODS = ("sum", "concatenate", "map")
RIDGES = tuple(10.0**e for e in np.arange(-4.0, 3.01, 0.5))  # penalties tried, in units of the mean eigenvalue


@dataclass(frozen=True, eq=False)
class SourcedVectors:
    """Vectors that say where they came from.

    Attributes
    ----------
    vectors : (n_items, d) float32, C-contiguous; each row has norm 1, or is zero where `source` is "missing".
    source : (n_items,) str: "behaviour" (its own events), "fused" (events and content), "content" (content alone),
        "category" (its category's mean) or "missing" (nothing is known; the row is zero).
    behaviour_weight : (n_items,) float32: the share of behaviour in each row, 0 where there was none.
    """

    vectors: NDArray[np.float32]
    source: NDArray[np.str_]
    behaviour_weight: NDArray[np.float32]

    @property
    def missing(self) -> NDArray[np.int64]:
        """Rows for which there is no vector."""
        return np.flatnonzero(self.source == MISSING)

    def source_counts(self) -> dict[str, int]:
        """How many rows came from where; every source is listed."""
        return {name: int(np.count_nonzero(self.source == name)) for name in SOURCES}

    def __repr__(self) -> str:
        parts = ", ".join(f"{count:,} {name}" for name, count in self.source_counts().items() if count)
        return f"SourcedVectors({self.vectors.shape[0]:,} x {self.vectors.shape[1]}: {parts or 'no rows'})"


# The defaults .7 and 10 against others, on a random half of the sessions: Recall@20 of the cosine neighbours of the
# other half, by count with "map"; rarest tenth / most frequent / all. Online Retail: behaviour .135/.534/.278, content
# alone .105/.260/.150, half_count 3 .171/.560/.312, 10 .170/.549/.305, 30 .155/.526/.287, no counts .164/.567/.314.
# Simulated shop: .059/.302/.125, .146/.303/.185, 3 .148/.374/.199, 10 .157/.370/.205, no counts .119/.367/.182. The
# shops want different ones, so the spec's .7 and a middle count stay (other splits: benchmarks/compare/graph.py).
def fuse_vectors(
    behaviour: Any,
    content: Any,
    *,
    behaviour_weight: Any = 0.7,
    method: str = "sum",
    item_counts: Any = None,
    half_count: float = 10.0,
    n_components: int | None = None,
    ridge: float | None = None,
) -> SourcedVectors:
    """One vector per item from its behaviour and its content, both scaled to norm 1 first.

    Parameters
    ----------
    behaviour : (n_items, d) item vectors; a zero row is an item without any.
    content : (n_items, c) dense content vectors; a zero row is an item without any.
    behaviour_weight : w in [0, 1], or (n_items,) of them.
    method : "sum": w * behaviour + (1 - w) * content, which needs c == d and one common space. "concatenate":
        [sqrt(w) * behaviour, sqrt(1 - w) * content], whose cosines are the weighted means of both cosines where
        all have the same w, then reduced to `n_components` by SVD (None keeps all d + c). "map": content is first
        mapped into the space of behaviour (`ContentMap`, fitted on the items that have both), then summed.
    item_counts : (n_items,) events of each item, or None. Given, the weight of an item becomes
        w * count / (count + half_count): a rare item leans on its content.
    half_count : count at which an item's behaviour gets half its weight; only with item_counts.
    n_components : only for "concatenate".
    ridge : only for "map": the penalty, None chooses it (`fit_content_map`).

    Returns
    -------
    SourcedVectors : rows with both are "fused" (or "behaviour" at a weight of 1, "content" at 0); a row with one of
        the two is that one alone; a row with none is zero and "missing".

    Raises
    ------
    ValueError, TypeError : shapes that don't fit together, NaN, weights outside [0, 1], negative counts, a parameter
        given to a method that doesn't use it, no item with both where "map" has to learn.
    """
    owner = "fuse_vectors"
    check_choice("method", owner, method, METHODS)
    own = check_array("behaviour", owner, behaviour, dtype=np.float32, shape=(None, None))
    n = len(own)
    other = _check_content(content, owner, n)
    weight = _weights(behaviour_weight, item_counts, half_count, n, owner)
    for name, value, user in (("n_components", n_components, "concatenate"), ("ridge", ridge, "map")):
        if value is not None and method != user:
            raise ValueError(parameter_message(name, owner, f"None unless method is {user!r}", value))
    has_own, has_other = _nonzero_rows(own), _nonzero_rows(other)
    if method == "map":
        other = fit_content_map(other, own, ridge=ridge).transform(other)
        has_other &= _nonzero_rows(other)
    if method == "sum" and other.shape[1] != own.shape[1]:
        rule = f"of shape ({n}, {own.shape[1]}) as behaviour for method 'sum' ('map' and 'concatenate' take any width)"
        raise ValueError(parameter_message("content", owner, rule, f"shape {other.shape}"))
    weight = np.where(has_own, np.where(has_other, weight, 1.0), 0.0)
    left, right = unit_rows(own), unit_rows(other)
    if method == "concatenate":
        both = np.concatenate(
            [np.sqrt(weight)[:, None] * left, np.sqrt(np.where(has_other, 1.0 - weight, 0.0))[:, None] * right], axis=1
        )
        vectors = _reduce(both, n_components, owner)
    else:
        vectors = weight[:, None] * left + (1.0 - weight)[:, None] * right
    return _sourced(vectors, has_own, has_other, weight)


@dataclass(frozen=True, eq=False)
class ContentMap:
    """A map from content to behaviour vectors, learned where items have both: a ridge and its residuals near by.

    The linear map says what holds everywhere; what it leaves over at the nearest known items (families of alike
    products, which are more than content has dimensions) is added in part, as in kriging of regression residuals.

    Attributes
    ----------
    coefficients : (c, d) float64, and `intercept` (d,) float64: behaviour is about content @ coefficients + intercept.
    known_content (n_fitted, c), residuals (n_fitted, d) : float32, of the items it was fitted on.
    n_neighbors, local_weight : how many nearest items' residuals are averaged, by squared cosine, and the share in
        [0, 1] of that mean that is added; the share is the one with the least leave-one-out error.
    ridge : the penalty used.
    n_fitted : items it was fitted on.
    error : mean squared error of the linear leave-one-out predictions per item (behaviour has norm 1, so the mean of
        all alone would leave about 1); how much content says about behaviour.
    """

    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64]
    known_content: NDArray[np.float32]
    residuals: NDArray[np.float32]
    n_neighbors: int
    local_weight: float
    ridge: float
    n_fitted: int
    error: float

    def transform(self, content: Any) -> NDArray[np.float32]:
        """(n, d) float32 predicted behaviour of norm 1 for (n, c) content; a zero row of content stays zero."""
        rows = _check_content(content, "ContentMap.transform", None)
        if rows.shape[1] != len(self.coefficients):
            rule = f"of {len(self.coefficients)} columns, as fitted"
            raise ValueError(parameter_message("content", "ContentMap.transform", rule, f"shape {rows.shape}"))
        unit = unit_rows(rows)
        predicted = unit @ self.coefficients + self.intercept
        if self.local_weight > 0:
            predicted += self.local_weight * _near_residuals(
                unit.astype(np.float32), self.known_content, self.residuals, self.n_neighbors
            )
        predicted = unit_rows(predicted)
        predicted[~_nonzero_rows(rows)] = 0.0
        return np.ascontiguousarray(predicted, dtype=np.float32)


def fit_content_map(
    content: Any, behaviour: Any, *, ridge: float | None = None, n_neighbors: int = 10, item_counts: Any = None,
    half_count: float = 10.0,
) -> ContentMap:  # fmt: skip
    """Ridge regression from content to behaviour vectors over the items that have both, and its residuals near by.

    Both sides are scaled to norm 1 and centred. The penalty is chosen by leave-one-out error, in closed form from one
    eigendecomposition (Allen 1974, PRESS; Hastie, Tibshirani & Friedman 2009, section 7.10). At the largest penalty
    every item is predicted as the mean.

    Parameters
    ----------
    content : (n, c) dense; reduce sparse features first (`content_features`). A zero row is an item without any.
    behaviour : (n, d) item vectors; a zero row is an item without any.
    ridge : penalty > 0 in units of the mean eigenvalue of the content's covariance, or None to choose it.
    n_neighbors : known items whose residuals correct a prediction near them; 0 for the linear map alone. Time to fit
        is quadratic in the items up to 4,096, then linear: the correction's share is chosen on so many of them.
    item_counts, half_count : (n,) events of each item: rare items, whose behaviour is noise, count for
        count / (count + half_count) in the fit; None counts all alike.

    Raises
    ------
    ValueError, TypeError : fewer than 2 items with both, shapes that don't fit together, NaN, negative counts.
    """
    owner = "fit_content_map"
    target = check_array("behaviour", owner, behaviour, dtype=np.float32, shape=(None, None))
    rows = _check_content(content, owner, len(target))
    if ridge is not None:
        ridge = check_real("ridge", owner, ridge, 0.0, open_low=True)
    n_neighbors = check_int("n_neighbors", owner, n_neighbors, 0)
    trust = _weights(1.0, item_counts, half_count, len(target), owner)
    both = _nonzero_rows(rows) & _nonzero_rows(target) & (trust > 0)
    if np.count_nonzero(both) < 2:
        rule = "at least 2 items that have behaviour and content, to learn from"
        raise ValueError(parameter_message("content", owner, rule, f"{np.count_nonzero(both)}"))
    x, y, w = unit_rows(rows[both]), unit_rows(target[both]), trust[both] / trust[both].sum()
    x_mean, y_mean = w @ x, w @ y
    root = np.sqrt(w)[:, None]
    x, y = (x - x_mean) * root, (y - y_mean) * root
    values, basis = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, 1e-12 * values[-1:])  # of directions that no content has, so that no quotient overflows
    scale = max(float(values.mean()), 1e-9)  # of unit rows that hardly differ
    turned = x @ basis
    moment = turned.T @ y
    best, best_error, left_out = 0.0, np.inf, y
    for candidate in RIDGES if ridge is None else (ridge,):
        shrink = 1.0 / (values + candidate * scale)
        # The intercept's own leverage is w, of a row of the scaled problem.
        leverage = np.minimum((turned**2) @ shrink + w, 1.0 - 1e-9)
        residual = (y - turned @ (shrink[:, None] * moment)) / (1.0 - leverage)[:, None]
        error = float((residual**2).sum())
        if error < best_error:
            best, best_error, left_out = float(candidate), error, residual
    coefficients = basis @ (moment / (values + best * scale)[:, None])
    known = unit_rows(rows[both]).astype(np.float32)
    residuals = ((y - x @ coefficients) / root).astype(np.float32)
    share = _local_share(known, residuals, left_out, np.sqrt(w), n_neighbors)
    return ContentMap(
        coefficients, y_mean - x_mean @ coefficients, known, residuals, n_neighbors, share, best, len(known), best_error
    )


def _near_residuals(
    unit: NDArray[np.float32], known: NDArray[np.float32], residuals: NDArray[np.float32], n_neighbors: int,
    itself: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """Mean residual of each row's nearest known items, weighted by squared cosine; `itself` is left out of its own."""
    out = np.zeros((len(unit), residuals.shape[1]))
    k = min(n_neighbors, len(known))
    for begin in range(0, len(unit), 512):  # rows at a time, so that no n x n matrix is made
        part = slice(begin, begin + 512)
        cosine = unit[part] @ known.T
        row = np.arange(len(cosine))[:, None]
        if itself is not None:
            cosine[row[:, 0], itself[part]] = 0.0
        near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        weight = np.maximum(cosine[row, near], 0.0).astype(np.float64) ** 2
        total = weight.sum(axis=1, keepdims=True)
        weight /= np.where(total > 0, total, 1.0)
        out[part] = np.einsum("nk,nkd->nd", weight, residuals[near])
    return out


def _local_share(
    known: NDArray[np.float32], residuals: NDArray[np.float32], left_out: NDArray[np.float64],
    root: NDArray[np.float64], n_neighbors: int,
) -> float:  # fmt: skip
    """The share in [0, 1] of the near residuals that leaves the least of the leave-one-out residuals: least squares."""
    if n_neighbors == 0:
        return 0.0
    rows = np.unique(np.linspace(0, len(known) - 1, min(len(known), 4096)).astype(np.int64))
    near = _near_residuals(known[rows], known, residuals, n_neighbors, itself=rows) * root[rows, None]
    power = float((near * near).sum())
    return float(np.clip((near * left_out[rows]).sum() / power, 0.0, 1.0)) if power > 0 else 0.0


def backfill_vectors(
    behaviour: Any,
    *,
    content: Any = None,
    categories: Any = None,
    item_counts: Any = None,
    half_count: float = 10.0,
    ridge: float | None = None,
    content_map: ContentMap | None = None,
) -> SourcedVectors:
    """Vectors for items without behaviour: from their content, else their category's mean, else reported missing.

    Parameters
    ----------
    behaviour : (n_items, d) item vectors, new items among them as zero rows.
    content : (n_items, c) dense content vectors, or None; zero rows have none.
    categories : (n_items,) ints, -1 where unknown; or (n_items, n_levels), finest level first, of which the first
        with any known item is used. None: no categories.
    item_counts : (n_items,) events of each item: weights of a category's mean; and rare items count for less where
        the map is fitted. None: all alike.
    half_count, ridge : of the fit, as in `fit_content_map`.
    content_map : a map fitted before; None fits one here, if there are two items to learn from.

    Returns
    -------
    SourcedVectors : rows with behaviour are kept (scaled to norm 1, "behaviour"); others are "content", "category" or
        "missing".

    Raises
    ------
    ValueError, TypeError : shapes that don't fit together, NaN, a content_map without content, a ridge without a fit.
    """
    owner = "backfill_vectors"
    own = check_array("behaviour", owner, behaviour, dtype=np.float32, shape=(None, None))
    n = len(own)
    weight = np.ones(n)
    if item_counts is not None:
        weight = check_array("item_counts", owner, item_counts, dtype=np.float64, shape=(n,), nonnegative=True)
    vectors = unit_rows(own)
    source = np.where(_nonzero_rows(own), BEHAVIOUR, MISSING).astype("<U9")
    known = source == BEHAVIOUR
    given = content_map is not None
    if content is not None:
        rows = _check_content(content, owner, n)
        if content_map is None and np.count_nonzero(known & _nonzero_rows(rows) & (weight > 0)) >= 2:
            content_map = fit_content_map(rows, own, ridge=ridge, item_counts=item_counts, half_count=half_count)
        if content_map is not None:
            new = np.flatnonzero(~known)  # few, as a rule: predictions for the others would be thrown away
            predicted = content_map.transform(rows[new])
            if predicted.shape[1] != own.shape[1]:
                rule = f"fitted to vectors of {own.shape[1]} dimensions"
                raise ValueError(parameter_message("content_map", owner, rule, predicted.shape[1]))
            found = _nonzero_rows(predicted)
            vectors[new[found]], source[new[found]] = predicted[found], CONTENT
    elif content_map is not None:
        raise ValueError(parameter_message("content", owner, "given with a content_map", None))
    if ridge is not None and (content is None or given):
        raise ValueError(parameter_message("ridge", owner, "None unless a map is fitted here, to content", ridge))
    if categories is not None:
        _fill_from_categories(vectors, source, known, weight, categories, owner)
    return SourcedVectors(
        np.ascontiguousarray(vectors, dtype=np.float32), source, known.astype(np.float32)
    )


def _check_content(content: Any, owner: str, n: int | None) -> NDArray[np.float32]:
    return check_array("content", owner, content, dtype=np.float32, shape=(n, None))


def _nonzero_rows(rows: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((rows != 0).any(axis=1))


def _weights(share: Any, item_counts: Any, half_count: float, n: int, owner: str) -> NDArray[np.float64]:
    """(n,) weight of behaviour: the given share, shrunk for rare items."""
    if np.ndim(share) == 0:
        weight = np.full(n, check_real("behaviour_weight", owner, share, 0.0, 1.0))
    else:
        weight = check_array("behaviour_weight", owner, share, dtype=np.float64, shape=(n,), nonnegative=True)
        if len(weight) and weight.max() > 1.0:
            place = int(np.argmax(weight))
            got = f"{weight[place]} at {place}"
            raise ValueError(parameter_message("behaviour_weight", owner, "numbers in [0, 1]", got))
    if item_counts is None:
        return weight
    half = check_real("half_count", owner, half_count, 0.0, open_low=True)
    counts = check_array("item_counts", owner, item_counts, dtype=np.float64, shape=(n,), nonnegative=True)
    return np.asarray(weight * counts / (counts + half))


def _reduce(rows: NDArray[np.float64], n_components: int | None, owner: str) -> NDArray[np.float64]:
    """Rows in the basis of their largest singular directions (uncentred, so that cosines survive), signs fixed."""
    if n_components is None:
        return rows
    k = check_int("n_components", owner, n_components, 1, rows.shape[1])
    _, basis = np.linalg.eigh(rows.T @ rows)
    basis = basis[:, ::-1][:, :k]
    signs = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(k)])
    return np.asarray(rows @ (basis * signs))


def _sourced(
    vectors: NDArray[np.float64], has_own: NDArray[np.bool_], has_other: NDArray[np.bool_], weight: NDArray[np.float64]
) -> SourcedVectors:
    vectors = unit_rows(vectors)
    source = np.full(len(vectors), MISSING, dtype="<U9")
    source[has_own & (weight > 0)] = BEHAVIOUR
    source[has_other & (weight < 1)] = CONTENT
    source[has_own & has_other & (weight > 0) & (weight < 1)] = FUSED
    source[~_nonzero_rows(vectors)] = MISSING  # behaviour and content that cancel out exactly
    return SourcedVectors(np.ascontiguousarray(vectors, dtype=np.float32), source, weight.astype(np.float32))


def _fill_from_categories(
    vectors: NDArray[np.float64], source: NDArray[np.str_], known: NDArray[np.bool_], weight: NDArray[np.float64],
    categories: Any, owner: str,
) -> None:  # fmt: skip
    """Rows still missing get the weighted mean of the known rows of their finest category that has any."""
    shape = (len(vectors),) if np.ndim(categories) == 1 else (len(vectors), None)
    levels = check_array("categories", owner, categories, dtype=np.int64, shape=shape)
    for level in levels[:, None].T if levels.ndim == 1 else levels.T:
        names, code = np.unique(level, return_inverse=True)
        share = sparse.csr_array(
            (np.where(known, weight, 0.0), (code.ravel(), np.arange(len(code)))), shape=(len(names), len(code))
        )
        means = unit_rows(np.asarray(share @ vectors))
        fill = (source == MISSING) & (level >= 0) & _nonzero_rows(means)[code.ravel()]
        vectors[fill], source[fill] = means[code.ravel()[fill]], CATEGORY
