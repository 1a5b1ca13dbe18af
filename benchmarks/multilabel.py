"""DeepWalk's evaluation: labels of nodes from their vectors, one-vs-rest, the number of labels of a node known.

Perozzi, Al-Rfou & Skiena 2014, section 5.3: shuffle the nodes, train one logistic regression per label (L2, C = 1, as
LIBLINEAR's default) on the first share of them, predict for each other node its k likeliest labels, k being the number
it has; micro- and macro-F1, means over shuffles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize


class Scores(NamedTuple):
    micro: float
    macro: float


def one_vs_rest(x: NDArray[np.float32], y: NDArray[np.bool_], c: float = 1.0) -> NDArray[np.float64]:
    """(d + 1, n_labels) weights of all logistic regressions at once; the last row is the intercept.

    Minimises 0.5 |w|^2 + c * sum of log(1 + exp(-y x w)) for each label, the intercept regularised too, as LIBLINEAR
    does. The problems are separate, so their joint minimum is each one's; one matrix product serves all of them.
    """
    rows = np.concatenate([x, np.ones((len(x), 1), dtype=x.dtype)], axis=1).astype(np.float64)
    sign = np.where(y, 1.0, -1.0)
    shape = (rows.shape[1], y.shape[1])

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = flat.reshape(shape)
        margin = sign * (rows @ w)
        value = 0.5 * float((w * w).sum()) + c * float(np.logaddexp(0.0, -margin).sum())
        pull = -sign / (1.0 + np.exp(np.minimum(margin, 500.0)))
        return value, (w + c * (rows.T @ pull)).ravel()

    found = optimize.minimize(
        loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B",
        options={"maxiter": 2000, "maxcor": 20, "gtol": 1e-2 * c, "ftol": 1e-9},
    )  # fmt: skip
    return np.asarray(found.x).reshape(shape)


def label_scores(
    vectors: NDArray[np.float32], labels: NDArray[np.bool_], train_share: float, *, shuffles: int = 10, seed: int = 0
) -> Scores:
    """Mean micro- and macro-F1 over the shuffles; nodes without a label are left out."""
    known = labels.any(axis=1)
    x, y = vectors[known], labels[known]
    scores = [_one_shuffle(x, y, train_share, np.random.default_rng([seed, i])) for i in range(shuffles)]
    return Scores(*np.mean(scores, axis=0).tolist())


def _one_shuffle(x: NDArray[np.float32], y: NDArray[np.bool_], share: float, rng: np.random.Generator) -> Scores:
    order = rng.permutation(len(x))
    train, test = order[: int(share * len(x))], order[int(share * len(x)) :]
    weights = one_vs_rest(x[train], y[train])
    score = x[test] @ weights[:-1] + weights[-1]
    rank = np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1)
    guess = rank < y[test].sum(axis=1, keepdims=True)
    hit = (guess & y[test]).sum(axis=0).astype(float)
    both = guess.sum(axis=0) + y[test].sum(axis=0)
    macro = np.divide(2 * hit, both, out=np.zeros_like(hit), where=both > 0)  # a label nobody has or gets: 0
    return Scores(float(2 * hit.sum() / both.sum()), float(macro.mean()))
