"""A map from content to behaviour vectors, for items without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._rows import cross_product, row_parts, unit_rows
from .._validate import Checks

RIDGES = tuple(10.0**e for e in np.arange(-4.0, 3.01, 0.5))  # penalties tried, in units of the mean eigenvalue


@dataclass(frozen=True, eq=False)
class ContentMap:
    """A map from content to behaviour vectors, learned where items have both: ridge regression and local residuals.

    The linear map holds for all items; part of its residual at the nearest known items is added, as in kriging of
    regression residuals. There are more families of similar products than content has dimensions.

    Attributes
    ----------
    coefficients : (c, d) float64, and `intercept` (d,) float64: behaviour is about content @ coefficients + intercept.
    known_content (n_fitted, c), residuals (n_fitted, d) : float32, of the items it was fitted on.
    n_neighbors, local_weight : how many nearest items' residuals are averaged, by squared cosine, and the share in
        [0, 1] of that mean that is added; the share is the one with the least leave-one-out error.
    ridge : the penalty used.
    n_fitted : items it was fitted on.
    error : mean squared error of the linear leave-one-out predictions per item (behaviour has norm 1, so the mean of
        all alone would leave about 1); the smaller, the better content predicts behaviour.
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
        rows = check_content(content, Checks("ContentMap.transform"), None)
        if rows.shape[1] != len(self.coefficients):
            rule = f"of {len(self.coefficients)} columns, as fitted"
            raise Checks("ContentMap.transform").value_error("content", rule, f"shape {rows.shape}")
        unit = unit_rows(rows)
        predicted = unit @ self.coefficients + self.intercept
        if self.local_weight > 0:
            predicted += self.local_weight * _near_residuals(
                unit.astype(np.float32), self.known_content, self.residuals, self.n_neighbors
            )
        predicted = unit_rows(predicted)
        predicted[~nonzero_rows(rows)] = 0.0
        return np.ascontiguousarray(predicted, dtype=np.float32)


def fit_content_map(
    content: Any, behaviour: Any, *, ridge: float | None = None, n_neighbors: int = 10, item_counts: Any = None,
    half_count: float = 10.0,
) -> ContentMap:
    """Ridge regression from content to behaviour vectors over the items that have both, and its local residuals.

    Both sides are scaled to norm 1 and centred. The penalty is chosen by leave-one-out error, in closed form from one
    eigendecomposition. At the largest penalty every item is predicted as the mean.

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

    See Also
    --------
    backfill_vectors : uses the map for items without behaviour.

    References
    ----------
    Allen 1974, "The relationship between variable selection and data augmentation and a method for prediction" (PRESS).
    Hastie, Tibshirani & Friedman 2009, "The elements of statistical learning", section 7.10.

    Examples
    --------
    >>> import traitcore as tc
    >>> content, behaviour = [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 0], [0, 1], [0, 0]]
    >>> content_map = tc.fit_content_map(content, behaviour)
    >>> content_map.n_fitted, content_map.transform([[0, 2, 0]]).round(2).tolist()
    (2, [[0.0, 1.0]])
    """
    check = Checks("fit_content_map")
    target = check.array("behaviour", behaviour, dtype=np.float32, shape=(None, None))
    rows = check_content(content, check, len(target))
    if ridge is not None:
        ridge = check.real("ridge", ridge, 0.0, open_low=True)
    n_neighbors = check.integer("n_neighbors", n_neighbors, 0)
    trust = behaviour_weights(1.0, item_counts, half_count, len(target), check)
    both = nonzero_rows(rows) & nonzero_rows(target) & (trust > 0)
    if np.count_nonzero(both) < 2:
        rule = "at least 2 items that have behaviour and content, to learn from"
        raise check.value_error("content", rule, f"{np.count_nonzero(both)}")
    weight, x, y = trust[both] / trust[both].sum(), unit_rows(rows[both]), unit_rows(target[both])
    known = x.astype(np.float32)
    x_mean, y_mean = weight @ x, weight @ y
    root = np.sqrt(weight)[:, None]
    x, y = (x - x_mean) * root, (y - y_mean) * root
    coefficients, left_out, best, error = _ridge(x, y, weight, RIDGES if ridge is None else (ridge,))
    residuals = ((y - x @ coefficients) / root).astype(np.float32)
    share = _local_share(known, residuals, left_out, root[:, 0], n_neighbors)
    return ContentMap(
        coefficients, y_mean - x_mean @ coefficients, known, residuals, n_neighbors, share, best, len(known), error
    )


def _ridge(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64], ridges: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Coefficients, leave-one-out residuals, penalty and error of the penalty with the least leave-one-out error.

    `x` and `y` are centred and scaled by the root of `weight`, which sums to 1.
    """
    values, basis = np.linalg.eigh(cross_product(x, x))
    values = np.maximum(values, 1e-12 * values[-1:])  # of directions that no content has, so that no quotient overflows
    scale = max(float(values.mean()), 1e-9)  # of unit rows that hardly differ
    turned = x @ basis
    moment = cross_product(turned, y)
    best, best_error, left_out = 0.0, np.inf, y
    for candidate in ridges:
        shrink = 1.0 / (values + candidate * scale)
        # The intercept's own leverage is the weight, of a row of the scaled problem.
        leverage = np.minimum((turned**2) @ shrink + weight, 1.0 - 1e-9)
        residual = (y - turned @ (shrink[:, None] * moment)) / (1.0 - leverage)[:, None]
        error = float((residual**2).sum())
        if error < best_error:
            best, best_error, left_out = float(candidate), error, residual
    return basis @ (moment / (values + best * scale)[:, None]), left_out, best, best_error


def _near_residuals(
    unit: NDArray[np.float32], known: NDArray[np.float32], residuals: NDArray[np.float32], n_neighbors: int,
    itself: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Mean residual of each row's nearest known items, weighted by squared cosine; `itself` is left out of its own."""
    out = np.zeros((len(unit), residuals.shape[1]))
    k = min(n_neighbors, len(known))
    for begin in range(0, len(unit), 512):  # rows at a time, so that no n x n matrix is made
        part = slice(begin, begin + 512)
        cosine = unit[part] @ known.T
        row = np.arange(len(cosine))[:, None]
        if itself is not None:
            cosine[row[:, 0], itself[part]] = 0.0
        near = np.concatenate([np.argpartition(-cosine[few], k - 1, axis=1)[:, :k] for few in row_parts(cosine)])
        weight = np.maximum(cosine[row, near], 0.0).astype(np.float64) ** 2
        total = weight.sum(axis=1, keepdims=True)
        weight /= np.where(total > 0, total, 1.0)
        out[part] = np.einsum("nk,nkd->nd", weight, residuals[near])
    return out


def _local_share(
    known: NDArray[np.float32], residuals: NDArray[np.float32], left_out: NDArray[np.float64],
    root: NDArray[np.float64], n_neighbors: int,
) -> float:
    """The share in [0, 1] of the near residuals that leaves the least of the leave-one-out residuals: least squares."""
    if n_neighbors == 0:
        return 0.0
    rows = np.unique(np.linspace(0, len(known) - 1, min(len(known), 4096)).astype(np.int64))
    near = _near_residuals(known[rows], known, residuals, n_neighbors, itself=rows) * root[rows, None]
    power = float((near * near).sum())
    return float(np.clip((near * left_out[rows]).sum() / power, 0.0, 1.0)) if power > 0 else 0.0


def check_content(content: Any, check: Checks, n: int | None) -> NDArray[np.float32]:
    """(n, c) float32 content vectors; None: of any number of items."""
    return check.array("content", content, dtype=np.float32, shape=(n, None))


def nonzero_rows(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) which rows are not zero: a zero row stands for none."""
    return np.asarray((rows != 0).any(axis=1))


def behaviour_weights(share: Any, item_counts: Any, half_count: float, n: int, check: Checks) -> NDArray[np.float64]:
    """(n,) weight of behaviour: the given share, shrunk for rare items."""
    if np.ndim(share) == 0:
        weight = np.full(n, check.real("behaviour_weight", share, 0.0, 1.0))
    else:
        weight = check.array("behaviour_weight", share, dtype=np.float64, shape=(n,), nonnegative=True)
        if len(weight) and weight.max() > 1.0:
            place = int(np.argmax(weight))
            got = f"{weight[place]} at {place}"
            raise check.value_error("behaviour_weight", "numbers in [0, 1]", got)
    if item_counts is None:
        return weight
    half = check.real("half_count", half_count, 0.0, open_low=True)
    counts = check.array("item_counts", item_counts, dtype=np.float64, shape=(n,), nonnegative=True)
    return np.asarray(weight * counts / (counts + half))
