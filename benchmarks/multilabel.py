"""DeepWalk's evaluation: labels of nodes from their vectors, one-vs-rest, the number of labels of a node known.

Perozzi, Al-Rfou & Skiena 2014, section 5.3: shuffle the nodes, train one logistic regression per label (L2, as
LIBLINEAR's) on the first share of them, predict for each other node its k likeliest labels, k being the number it has;
micro- and macro-F1, means over shuffles. DeepWalk's own script takes the vectors as they are and C = 1; but how long
a method's vectors are is an accident of its training that acts as C does. So there is a second way: rows of norm 1,
and C chosen by cross-validation on the training nodes alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

C_GRID = (0.25, 1.0, 4.0, 16.0)
N_FOLDS, LEAST_JUDGED = 5, 1000  # of five folds, as many are held out in turn as hold so many nodes


class Scores(NamedTuple):
    micro: float
    macro: float


def one_vs_rest(x: NDArray[np.float32], y: NDArray[np.bool_], c: float = 1.0) -> NDArray[np.float64]:
    """(d + 1, n_labels) weights of all logistic regressions at once; the last row is the intercept.

    Minimises 0.5 |w|^2 + c * sum of log(1 + exp(-y x w)) for each label, the intercept regularised too, as LIBLINEAR
    does. The problems are separate, so their joint minimum is each one's; one matrix product serves all of them. In
    the basis of x's singular vectors, each direction scaled by about the root of its curvature, L-BFGS needs a tenth
    of the steps.
    """
    rows = np.concatenate([x, np.ones((len(x), 1), dtype=x.dtype)], axis=1).astype(np.float64)
    values, basis = np.linalg.eigh(rows.T @ rows)
    share = np.clip(y.mean(axis=0), 1e-3, 0.5)
    scale = 1.0 / np.sqrt(1.0 + c * np.maximum(values, 0.0)[:, None] * share * (1.0 - share))
    rows = rows @ basis
    sign = np.where(y, 1.0, -1.0)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = flat.reshape(scale.shape) * scale
        margin = sign * (rows @ w)
        small = np.exp(-np.abs(margin))
        value = 0.5 * float((w * w).sum()) + c * float((np.log1p(small) - np.minimum(margin, 0.0)).sum())
        pull = -sign * np.where(margin > 0, small, 1.0) / (1.0 + small)
        return value, ((w + c * (rows.T @ pull)) * scale).ravel()

    found = optimize.minimize(
        loss, np.zeros(scale.size), jac=True, method="L-BFGS-B",
        options={"maxiter": 2000, "maxcor": 20, "gtol": 1e-3, "ftol": 1e-8},
    )
    return np.asarray(basis @ (found.x.reshape(scale.shape) * scale))


def label_scores(
    vectors: NDArray[np.float32], labels: NDArray[np.bool_], train_share: float, *, shuffles: int = 10, seed: int = 0,
    c: float | None = 1.0,
) -> Scores:
    """Mean micro- and macro-F1 over the shuffles; nodes without a label are left out.

    c : penalty of the regressions on the vectors as they are; None: of norm 1, and chosen of `C_GRID` for each
        shuffle by cross-validation on its training nodes, by the sum of micro- and macro-F1.
    """
    known = labels.any(axis=1)
    x, y = vectors[known], labels[known]
    if c is None:
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    scores = []
    for i in range(shuffles):
        order = np.random.default_rng([seed, i]).permutation(len(x))
        train, test = np.split(order, [int(train_share * len(x))])
        best = chosen_c(x[train], y[train]) if c is None else c
        scores.append(_f1(_tally(x, y, train, test, best)))
    return Scores(*np.mean(scores, axis=0).tolist())


def chosen_c(x: NDArray[np.float32], y: NDArray[np.bool_]) -> float:
    """The C of `C_GRID` with the largest micro- plus macro-F1 over the folds that are held out in turn."""
    folds = np.array_split(np.arange(len(x)), N_FOLDS)  # of nodes in random order
    held = folds[: min(N_FOLDS, -(-LEAST_JUDGED // len(folds[0])))]
    found = []
    for c in C_GRID:
        tallies = [_tally(x, y, np.setdiff1d(np.arange(len(x)), fold), fold, c) for fold in held]
        found.append(sum(_f1(np.sum(tallies, axis=0))))
    return C_GRID[int(np.argmax(found))]


def _tally(
    x: NDArray[np.float32], y: NDArray[np.bool_], train: NDArray[np.int64], test: NDArray[np.int64], c: float
) -> NDArray[np.float64]:
    """(2, n_labels): right guesses, and guesses plus labels that there are."""
    weights = one_vs_rest(x[train], y[train], c)
    score = x[test] @ weights[:-1] + weights[-1]
    rank = np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1)
    guess = rank < y[test].sum(axis=1, keepdims=True)
    return np.array([(guess & y[test]).sum(axis=0), guess.sum(axis=0) + y[test].sum(axis=0)], dtype=float)


def _f1(tally: NDArray[np.float64]) -> Scores:
    hit, both = tally
    macro = np.divide(2 * hit, both, out=np.zeros_like(hit), where=both > 0)  # a label nobody has or gets: 0
    return Scores(float(2 * hit.sum() / both.sum()), float(macro.mean()))
