"""Non-negative matrix factorization by coordinate descent."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of, parameter_message, warn_not_converged
from .._parallel import resolve_workers
from .._progress import Progress
from .._transformer import MatrixTransformer
from .._validate import RandomSource, check_array, check_bool, check_choice, check_int, check_random_state, check_real
from .descent import Descent, Penalty, Watch, WatchArgs
from .engine import Operand, check_data, half_squared_error, without_zeros
from .entries import EntryDescent, observed_entries
from .fold_in import LOSSES, check_rows, fold_rows, solve_weights
from .online import OnlineFactor
from .result import ConvergenceReport, Factorization
from .scale import Scaling, factorization, scaled_weights, times_power
from .starts import INITS, initial_factors

_OWNER = "factorize_nonnegative"
SCHEDULES = ("accelerated", "plain")


def factorize_nonnegative(
    X: Any,
    n_components: int,
    *,
    init: str = "nndsvda",
    W: Any = None,
    H: Any = None,
    beta_loss: str = "frobenius",
    schedule: str = "accelerated",
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,
    alpha_H: float | str = "same",
    l1_ratio: float = 0.0,
    shuffle: bool = False,
    sample_weight: Any = None,
    observed: Any = None,
    random_state: RandomSource = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Factorization:
    """X ~ W H with W, H >= 0.

    The objective is loss(X, W H) + alpha_W m (l1_ratio |W|_1 + 0.5 (1 - l1_ratio) |W|^2) + the same for H with
    alpha_H n: scikit-learn's. It never rises from one iteration to the next, beyond rounding.

    Parameters
    ----------
    X : (n, m) array or sparse matrix, non-negative, float32 or float64 (others become float64).
    n_components : k >= 1; more than min(n, m) is fine.
    init : "nndsvd", "nndsvda", "nndsvdar" (Boutsidis & Gallopoulos 2008), "random", or "custom" with `W` (n, k) and
        `H` (k, m), where a component that is zero on both sides (with the Kullback-Leibler loss: on either) stays zero,
        and a start of such components alone is refused. With the Kullback-Leibler loss a zero of the start stays zero:
        prefer "nndsvda" to "nndsvd".
    beta_loss : "frobenius", 0.5 |X - W H|^2, by cyclic coordinate descent (HALS; Cichocki & Phan 2009, algorithm 2);
        "kullback-leibler", sum x log(x / p) - x + p, for counts, by multiplicative updates on X's nonzeros alone
        (Lee & Seung 2001).
    schedule : "plain", one sweep of W, then one of H: scikit-learn's iterates, one by one; "accelerated", several
        inner sweeps for each product (Gillis & Glineur 2012) and, with the Frobenius loss and all of X observed,
        extrapolation (Ang & Gillis 2019): far sooner at the same error.
    tol : "plain" coordinate descent stops when the projected gradient's 1-norm falls to tol times that of the first
        iteration, scikit-learn's test for it; the accelerated one, and the Kullback-Leibler loss, when sqrt(objective)
        fell by at most tol times its start over ten iterations, scikit-learn's test for multiplicative updates.
    shuffle : visit the components in random order (coordinate descent over all of X only; else a ValueError).
    sample_weight : (n,) non-negative or None; weight s counts a row and its penalty s times, as if it stood there s
        times: in the start, in every step and in the stopping test. Rows of weight 0 change nothing; their W is solved
        for afterwards.
    observed : None (all of X), a boolean array or sparse matrix of X's shape, true where X is known, or "stored": a
        sparse X's stored entries. Nothing else is looked at: it may hold NaN.
    random_state : seed of the random parts. workers : threads; the result doesn't depend on it, but for rounding
        with more than 8.

    Raises
    ------
    ValueError, TypeError : a parameter out of range; NaN, infinity or a negative value in X (the first place is named).
    """
    owner = _OWNER
    k = check_int("n_components", owner, n_components, 1)
    check_choice("init", owner, init, INITS)
    poisson = check_choice("beta_loss", owner, beta_loss, LOSSES) == "kullback-leibler"
    check_choice("schedule", owner, schedule, SCHEDULES)
    tol = check_real("tol", owner, tol, 0)
    max_iter = check_int("max_iter", owner, max_iter, 1)
    alpha_W = check_real("alpha_W", owner, alpha_W, 0)
    alpha_H = alpha_W if isinstance(alpha_H, str) and alpha_H == "same" else check_real("alpha_H", owner, alpha_H, 0)
    l1_ratio = check_real("l1_ratio", owner, l1_ratio, 0, 1)
    by_entries = poisson or observed is not None
    if check_bool("shuffle", owner, shuffle) and by_entries:
        rule = "False with the Kullback-Leibler loss or with `observed`"
        raise ValueError(parameter_message("shuffle", owner, rule, shuffle))
    seed = check_random_state("random_state", owner, random_state)
    workers = resolve_workers(workers, owner)
    X = check_data(X, owner) if observed is None else observed_entries(X, observed, owner)
    weights = check_rows("sample_weight", owner, sample_weight, X.shape[0])
    W, H = _custom_start(X, k, init, W, H, weights, poisson, owner)
    fit = _Fit(
        k, init, poisson, observed is not None, schedule, (tol, max_iter, progress), (alpha_W, alpha_H, l1_ratio),
        np.random.default_rng(seed) if shuffle else None, seed, workers,
    )  # fmt: skip
    return fit(X, W, H, weights)


@dataclass(frozen=True)
class _Fit:
    """A factorization's checked parameters; called with the data, it is the factorization."""

    k: int
    init: str
    poisson: bool
    partial: bool
    schedule: str
    watch_args: WatchArgs
    alphas: tuple[float, float, float]
    shuffle: np.random.Generator | None
    seed: int
    workers: int

    def __call__(self, X: Any, W: Any, H: Any, weights: NDArray[np.float64] | None) -> Factorization:
        """Fit X from the start given, or from `init`; rows of weight 0 are folded in afterwards."""
        if weights is None or weights.all():
            return self._fit(X, W, H, weights)
        counted = weights > 0
        fitted = self._fit(X[counted], None if W is None else W[counted], H, weights[counted])
        all_W = np.zeros((len(weights), self.k), dtype=fitted.W.dtype)
        all_W[counted] = fitted.W
        all_W[~counted] = fold_rows(
            X[~counted], fitted.H, self.alphas[0], self.alphas[2], poisson=self.poisson, partial=self.partial,
            tol=1e-4, max_iter=200, workers=self.workers, owner=_OWNER,
        )  # fmt: skip
        return replace(fitted, W=all_W)

    def _fit(self, X: Any, W: Any, H: Any, weights: NDArray[np.float64] | None) -> Factorization:
        scaling = Scaling.of(X, H)
        X = times_power(X, -scaling.x)
        weight_exponent, row_weights = scaled_weights(weights, X.dtype)
        if W is None:
            W, H = initial_factors(X, self.k, self.init, self.seed, self.workers, row_weights)
        else:
            W, H = scaling.start(W, H, self.poisson)
        if 0 in X.shape:
            return _empty(W, H, self.watch_args[0])
        rows = X.shape[0] if row_weights is None else float(row_weights.sum(dtype=np.float64))
        penalty = Penalty.scaled(*self.alphas, rows, X.shape[1])
        W, Ht, loss, watch = self._descend(
            X, W, np.ascontiguousarray(H.T), scaling.penalty(penalty, self.poisson, X.dtype), row_weights
        )
        unit = scaling.loss_exponent(self.poisson) + weight_exponent
        return factorization(times_power(W, scaling.w), times_power(Ht, scaling.h), loss, watch, unit)

    def _descend(
        self, X: Any, W: NDArray[Any], Ht: NDArray[Any], penalty: Penalty, row_weights: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any], float, Watch]:
        """(W, H, the loss alone, the watch) of data and start on a scale that the arithmetic bears."""
        if self.poisson or self.partial:
            entries = EntryDescent(
                sparse.csr_array(X), W, Ht, penalty, poisson=self.poisson, partial=self.partial,
                row_weights=row_weights, schedule=self.schedule, workers=self.workers, owner=_OWNER,
            )  # fmt: skip
            watch = entries.run(self.watch_args)
            return *entries.factors(), entries.loss(), watch
        operand = Operand.of(X, _OWNER)
        descent = Descent(operand, W, Ht, penalty, row_weights, self.workers)
        schedule = descent.plain if self.schedule == "plain" else descent.accelerated
        watch = schedule(self.watch_args, self.shuffle)
        loss = half_squared_error(operand, descent.W, descent.Ht, row_weights, self.workers)
        return *descent.factors(), loss, watch


class _NoPartialFit(ValueError, AttributeError):
    """`partial_fit` of a loss that has none: hasattr(model, "partial_fit") is False, as scikit-learn expects."""


class _with_frobenius_loss:
    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, model: Any, kind: type) -> Any:
        if model is not None and model.beta_loss == "kullback-leibler":
            rule = "'frobenius'"
            raise _NoPartialFit(parameter_message("beta_loss", "NMF.partial_fit", rule, model.beta_loss))
        return self.method.__get__(model, kind)


class NMF(MatrixTransformer):
    """Non-negative matrix factorization with scikit-learn's names; `factorize_nonnegative` explains the parameters.

    A matrix is an array, a sparse matrix, or a frame of pandas, polars or pyarrow whose columns are numbers without
    nulls. `random_state` may be None, a RandomState or a Generator too. `forget_factor` in (0, 1] is `partial_fit`'s:
    each batch multiplies what the batches before it left by this.

    Attributes
    ----------
    components_ : (n_components, n_features) H. n_components_, n_features_in_.
    feature_names_in_ : (n_features,) X's column names, where all are str.
    n_iter_, reconstruction_err_, history_, report_ : as in Factorization; after `partial_fit`, n_iter_ counts batches
        and the others are those of the last `fit`, if any.

    Warns
    -----
    ConvergenceWarning : `fit` reached max_iter before tol (scikit-learn's class of that name too, where it is loaded).

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> X = np.array([[2.0, 0, 1], [4, 0, 2], [0, 3, 0]])
    >>> model = tc.NMF(2).fit(X)
    >>> bool(np.allclose(model.inverse_transform(model.transform(X)), X, atol=0.01))
    True
    """

    _positive_only = True

    def __init__(
        self,
        n_components: int = 16,
        *,
        init: str = "nndsvda",
        beta_loss: str = "frobenius",
        schedule: str = "accelerated",
        tol: float = 1e-4,
        max_iter: int = 200,
        alpha_W: float = 0.0,
        alpha_H: float | str = "same",
        l1_ratio: float = 0.0,
        shuffle: bool = False,
        forget_factor: float = 0.9,
        random_state: RandomSource = 0,
        workers: int = 1,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.beta_loss = beta_loss
        self.schedule = schedule
        self.tol = tol
        self.max_iter = max_iter
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.shuffle = shuffle
        self.forget_factor = forget_factor
        self.random_state = random_state
        self.workers = workers

    def fit(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, observed: Any = None,
        progress: Progress | None = None,
    ) -> Self:  # fmt: skip
        """Learn H from X (n_samples, n_features). `y` is there for scikit-learn's pipelines; nothing reads it."""
        self._fit(X, None, None, sample_weight, observed, progress)
        return self

    def fit_transform(
        self, X: Any, y: Any = None, *, W: Any = None, H: Any = None, sample_weight: Any = None, observed: Any = None,
        progress: Progress | None = None,
    ) -> Any:  # fmt: skip
        """Fit, and return W (n_samples, n_components). `W` and `H` are the start where init is "custom"."""
        return self._in_container(self._fit(X, W, H, sample_weight, observed, progress), X)

    def _fit(
        self, X: Any, W: Any, H: Any, sample_weight: Any, observed: Any, progress: Progress | None
    ) -> NDArray[Any]:
        params = self.get_params()
        check_real("forget_factor", "NMF", params.pop("forget_factor"), 0, 1, open_low=True)
        # What isn't observed may be anything, so the values are looked at below.
        stored = observed is None
        X = self._check_X(X, reset=True, nonnegative=stored, finite=stored)
        with on_behalf_of("NMF"):
            result = factorize_nonnegative(
                X, W=W, H=H, sample_weight=sample_weight, observed=observed, progress=progress, **params
            )
        self._online: OnlineFactor | None = None
        self._learned(result.H)
        self.n_iter_ = result.n_iter
        self.reconstruction_err_ = result.reconstruction_err
        self.history_ = result.history
        self.report_ = result.report
        if not result.converged and self.tol > 0:
            warn_not_converged(
                f"NMF stopped at max_iter={self.max_iter} before it reached tol={self.tol:g} (it was at "
                f"{result.report.criterion:.2g}). Increase max_iter, or tol.", stacklevel=3,
            )  # fmt: skip
        return result.W

    @_with_frobenius_loss
    def partial_fit(self, X: Any, y: Any = None, *, H: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one more batch of rows: memory grows with the batch, never with the rows seen.

        The batch's weights are solved for, its sums X^T W and W^T W are added to those of the batches before (online
        factorization; Mairal et al. 2010, algorithm 1), and H is swept against them. The first batch that isn't empty
        or all zero also gives the start of H, by `init` (at random for components that it leaves at zero); with init
        "custom" `H` (k, n_features) does; after a `fit`, H goes on from there. Until there is a start, `components_`
        is zero. Frobenius loss only. `alpha_H` is scaled by the rows that the sums stand for.

        Raises
        ------
        ValueError : another number of features than before; the Kullback-Leibler loss.
        """
        owner = "NMF.partial_fit"
        check_choice("beta_loss", owner, self.beta_loss, ("frobenius",))
        X = self._check_X(X, reset=not hasattr(self, "components_"), nonnegative=True, empty=True)
        weights = check_rows("sample_weight", owner, sample_weight, X.shape[0], zeros=True)
        if sparse.issparse(X):
            X = without_zeros(X)
        if weights is not None:  # rows of weight 0 are no rows
            X, weights = X[weights > 0], weights[weights > 0]
        workers = resolve_workers(self.workers, owner)
        if getattr(self, "_online", None) is None:
            self._online = OnlineFactor(
                self._online_start(X, H, owner), self.alpha_W,
                self.alpha_W if self.alpha_H == "same" else self.alpha_H, self.l1_ratio, self.forget_factor,
            )  # fmt: skip
            self.n_iter_ = 0
        online = self._online
        assert online is not None
        if not online.has_start and (X.data if sparse.issparse(X) else X).any():
            seed = check_random_state("random_state", owner, self.random_state)
            online.start(X, self.init, seed, workers, weights)
        online.learn(X, weights, self.tol, self.max_iter, workers)
        self.n_iter_ += 1
        self._learned(online.H())
        return self

    def transform(self, X: Any, *, observed: Any = None) -> Any:
        """W (n_samples, n_components) of new rows, H fixed."""
        self._check_fitted("components_")
        rows = self._check_X(X, reset=False, finite=observed is None)
        with on_behalf_of("NMF"):
            W = solve_weights(
                rows, self.components_, beta_loss=self.beta_loss, alpha_W=self.alpha_W, l1_ratio=self.l1_ratio,
                observed=observed, tol=self.tol, max_iter=self.max_iter, workers=self.workers,
            )  # fmt: skip
        return self._in_container(W, X)

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """(n_samples, n_features) W H of weights X (n_samples, n_components)."""
        self._check_fitted("components_")
        return self._back_to_features(X)

    def _learned(self, H: NDArray[Any]) -> None:
        self.components_ = H
        self.n_components_ = len(H)

    def _online_start(self, X: Any, H: Any, owner: str) -> NDArray[Any]:
        """H to go on from, or zeros where the first batch with something in it shall give the start."""
        k = check_int("n_components", owner, self.n_components, 1)
        check_choice("init", owner, self.init, INITS)
        if (self.init == "custom") != (H is not None):
            got = "None" if H is None else "an array"
            raise ValueError(parameter_message("H", owner, "given exactly when init is 'custom', at first", got))
        if H is not None:
            H = check_array("H", owner, H, dtype=X.dtype, shape=(k, X.shape[1]), nonnegative=True, copy=True)
            if H.size and not H.any():
                raise ValueError(parameter_message("H", owner, "positive somewhere", "zeros, which would stay zero"))
            return np.asarray(H)
        if hasattr(self, "components_") and self.components_.shape == (k, X.shape[1]):
            return self.components_.astype(X.dtype)  # go on from a fit
        return np.zeros((k, X.shape[1]), X.dtype)


def _custom_start(
    X: Any, k: int, init: str, W: Any, H: Any, weights: NDArray[np.float64] | None, poisson: bool, owner: str
) -> tuple[Any, Any]:
    """The caller's W (n, k) and H (k, m), checked; None and None where `init` isn't "custom"."""
    for name, value in (("W", W), ("H", H)):
        if (init == "custom") != (value is not None):
            got = "None" if value is None else "an array"
            raise ValueError(parameter_message(name, owner, "given exactly when init is 'custom'", got))
    if init != "custom":
        return None, None
    W = check_array("W", owner, W, dtype=X.dtype, shape=(X.shape[0], k), nonnegative=True, copy=True)
    H = check_array("H", owner, H, dtype=X.dtype, shape=(k, X.shape[1]), nonnegative=True, copy=True)
    if (X.data if sparse.issparse(X) else X).any():  # of a matrix of zeros, zeros are the answer
        some_W, some_H = (W if weights is None else W[weights > 0]).any(axis=0), H.any(axis=1)
        # Least squares finds one side of a component from the other; a multiplicative update needs both.
        if not (some_W & some_H if poisson else some_W | some_H).any():
            rule = f"positive somewhere in a component whose H is{' too' if poisson else ', or H must be'}"
            raise ValueError(parameter_message("W", owner, rule, "a start that is zero, and would stay zero"))
    return W, H


def _empty(W: NDArray[Any], H: NDArray[Any], tol: float) -> Factorization:
    report = ConvergenceReport(True, "exact", 0, 0.0, tol, 0.0, 0.0)
    return Factorization(W, H, 0, 0.0, np.zeros(1), True, report)
