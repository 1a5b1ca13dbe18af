"""Non-negative matrix factorization by coordinate descent."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of, warn_not_converged
from .._progress import Progress
from .._transformer import MatrixTransformer
from .._validate import Checks, RandomSource
from .convergence import ConvergenceMonitor
from .descent import Descent
from .engine import NativeMatrix, check_data, half_squared_error, without_zeros
from .entries import EntryDescent, observed_entries
from .fold_in import check_rows, fold_rows, solve_weights
from .online import OnlineFactor
from .options import NmfOptions, Penalty
from .result import ConvergenceReport, Factorization
from .scale import Scaling, factorization, scaled_weights, times_power
from .starts import initial_factors

_CHECK = Checks("factorize_nonnegative")


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
    sample_weight: Any = None,
    observed: Any = None,
    random_state: RandomSource = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Factorization:
    """Factorize X ~ W H with W, H >= 0.

    The objective is scikit-learn's: loss(X, W H) + alpha_W m (l1_ratio |W|_1 + 0.5 (1 - l1_ratio) |W|^2), plus the same
    for H with alpha_H n. It never rises from one iteration to the next, beyond rounding.

    Parameters
    ----------
    X : (n, m) array or sparse matrix, non-negative, float32 or float64 (others become float64).
    n_components : k >= 1; it may exceed min(n, m).
    init : "nndsvd", "nndsvda", "nndsvdar" (Boutsidis & Gallopoulos 2008), "random", or "custom" with `W` (n, k) and
        `H` (k, m). A component that starts at zero on both sides (Kullback-Leibler: on either) stays zero; a start of
        such components alone is an error. With the Kullback-Leibler loss each zero of the start stays zero: prefer
        "nndsvda" to "nndsvd".
    beta_loss : "frobenius", 0.5 |X - W H|^2, by cyclic coordinate descent (HALS; Cichocki & Phan 2009, algorithm 2);
        "kullback-leibler", sum x log(x / p) - x + p, for counts, by multiplicative updates on X's nonzeros alone
        (Lee & Seung 2001).
    schedule : "plain", one sweep of W, then one of H: scikit-learn's iterates, one by one; "accelerated", several
        inner sweeps for each product (Gillis & Glineur 2012) and, with the Frobenius loss and all of X observed,
        extrapolation (Ang & Gillis 2019): the same error in much less time.
    tol : "plain" coordinate descent stops when the projected gradient's 1-norm is at most tol times that of the first
        iteration, as scikit-learn's does. The accelerated schedule and the Kullback-Leibler loss stop when
        sqrt(objective) fell by at most tol times its start over ten iterations, as scikit-learn's "mu" solver does.
    max_iter : most iterations; without convergence by then, `report` says so.
    alpha_W, alpha_H, l1_ratio : weights of the penalties, and the share of L1 in them; alpha_H "same" is alpha_W.
    sample_weight : (n,) non-negative or None; a row of weight s counts as s copies of it: in the start, in every step
        and in the stopping test. Rows of weight 0 change nothing; their W is solved for afterwards.
    observed : None (all of X), a boolean array or sparse matrix of X's shape, true where X is known, or "stored": a
        sparse X's stored entries. Other entries are ignored and may be NaN.
    random_state : seed of the random parts, as an int, RandomState, Generator, or None for numpy's global state.
    workers : threads, -1 for all cores; the result is the same to the last byte for any number.
    progress : called as progress("nmf", iterations done, max_iter).

    Returns
    -------
    Factorization : W (n, k), H (k, m), the history of the objective and a convergence report.

    Raises
    ------
    ValueError, TypeError : a parameter out of range; NaN, infinity or a negative value in X (the first place is named).

    References
    ----------
    Lee & Seung 1999, "Learning the parts of objects by non-negative matrix factorization".
    Cichocki & Phan 2009, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations".

    See Also
    --------
    NMF : the same as an estimator. solve_weights : W for new rows. factorize_semi_nonnegative : X of any sign.

    Examples
    --------
    >>> import numpy as np, traitcore as tc
    >>> X = np.array([[2.0, 0, 1], [4, 0, 2], [0, 3, 0]])
    >>> W, H = tc.factorize_nonnegative(X, 2)
    >>> (W @ H).round(2).tolist()
    [[2.0, 0.0, 1.0], [4.0, 0.0, 2.0], [0.0, 3.0, 0.0]]
    """
    check = _CHECK
    options = NmfOptions(
        n_components=n_components, init=init, beta_loss=beta_loss, schedule=schedule, tol=tol, max_iter=max_iter,
        alpha_W=alpha_W, alpha_H=alpha_H, l1_ratio=l1_ratio, random_state=random_state, workers=workers,
        progress=progress, observed_only=observed is not None,
    ).checked(check)
    X = check_data(X, check) if observed is None else observed_entries(X, observed, check)
    weights = check_rows("sample_weight", check, sample_weight, X.shape[0])
    W, H = _custom_start(X, W, H, weights, options)
    if weights is None or weights.all():
        return _fit(X, W, H, weights, options)
    counted = weights > 0
    fitted = _fit(X[counted], None if W is None else W[counted], H, weights[counted], options)
    all_W = np.zeros((len(weights), options.n_components), dtype=fitted.W.dtype)
    all_W[counted] = fitted.W
    all_W[~counted] = fold_rows(X[~counted], fitted.H, replace(options, tol=1e-4, max_iter=200))
    return replace(fitted, W=all_W)


def _fit(X: Any, W: Any, H: Any, weights: NDArray[np.float64] | None, options: NmfOptions) -> Factorization:
    """Factorize checked data, rows weighted by positive weights, from the start given, or from `init`."""
    scaling = Scaling.of(X, H)
    X = times_power(X, -scaling.x)
    weight_exponent, row_weights = scaled_weights(weights, X.dtype)
    if W is None:
        W, H = initial_factors(X, options.n_components, options.init, options.seed, options.workers, row_weights)
    else:
        W, H = scaling.start(W, H, options.poisson)
    if 0 in X.shape:
        report = ConvergenceReport(True, "exact", 0, 0.0, options.tol, 0.0, 0.0)
        return Factorization(W, H, 0, 0.0, np.zeros(1), True, report)
    rows = X.shape[0] if row_weights is None else float(row_weights.sum(dtype=np.float64))
    penalty = scaling.penalty(options.penalty(rows, X.shape[1]), options.poisson, X.dtype)
    W, Ht, loss, monitor = _descend(X, W, np.ascontiguousarray(H.T), penalty, row_weights, options)
    unit = scaling.loss_exponent(options.poisson) + weight_exponent
    return factorization(times_power(W, scaling.w), times_power(Ht, scaling.h), loss, monitor, unit)


def _descend(
    X: Any, W: NDArray[Any], Ht: NDArray[Any], penalty: Penalty, row_weights: NDArray[Any] | None, options: NmfOptions
) -> tuple[NDArray[Any], NDArray[Any], float, ConvergenceMonitor]:
    """(W, H, the loss without penalties, the monitor) of data and a start on a scale safe from overflow."""
    if options.by_entries:
        entries = EntryDescent(sparse.csr_array(X), W, Ht, penalty, row_weights, options)
        monitor = entries.run()
        return *entries.factors(), entries.loss(), monitor
    matrix = NativeMatrix.of(X, _CHECK)
    descent = Descent(matrix, W, Ht, penalty, row_weights, options.workers)
    monitor = descent.plain(options) if options.schedule == "plain" else descent.accelerated(options)
    loss = half_squared_error(matrix, descent.W, descent.Ht, row_weights, options.workers)
    return *descent.factors(), loss, monitor


class _NoPartialFit(ValueError, AttributeError):
    """`partial_fit` of a loss that has none: hasattr(model, "partial_fit") is False, as scikit-learn expects."""


class _with_frobenius_loss:
    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, model: Any, kind: type) -> Any:
        if model is not None and model.beta_loss == "kullback-leibler":
            rule = "'frobenius'"
            raise _NoPartialFit(Checks("NMF.partial_fit").message("beta_loss", rule, model.beta_loss))
        return self.method.__get__(model, kind)


class NMF(MatrixTransformer):
    """Non-negative matrix factorization with scikit-learn's names; `factorize_nonnegative` explains the parameters.

    A matrix is an array, a sparse matrix, or a frame of pandas, polars or pyarrow whose columns are numbers without
    nulls. `forget_factor` in (0, 1] is for `partial_fit`: each batch multiplies the sums of earlier batches by it.

    Attributes
    ----------
    components_ : (n_components, n_features) H. n_components_, n_features_in_.
    feature_names_in_ : (n_features,) X's column names, where all are str.
    n_iter_, reconstruction_err_, history_, report_ : as in Factorization; after `partial_fit`, n_iter_ counts batches
        and the others are those of the last `fit`, if any.

    Warns
    -----
    ConvergenceWarning : `fit` reached max_iter before tol. It is scikit-learn's class too, where that is loaded.

    References
    ----------
    Cichocki & Phan 2009, algorithm 2; Ang & Gillis 2019, "Accelerating nonnegative matrix factorization algorithms
    using extrapolation"; Mairal et al. 2010, "Online learning for matrix factorization and sparse coding".

    See Also
    --------
    factorize_nonnegative : the same as a function. WeightSolver : `transform` for rows that come one by one.
    TruncatedSVD : components of any sign.

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
        self.forget_factor = forget_factor
        self.random_state = random_state
        self.workers = workers

    def fit(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, observed: Any = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn H from X (n_samples, n_features). `y` is ignored; scikit-learn's pipelines pass it."""
        self._fit(X, None, None, sample_weight, observed, progress)
        return self

    def fit_transform(
        self, X: Any, y: Any = None, *, W: Any = None, H: Any = None, sample_weight: Any = None, observed: Any = None,
        progress: Progress | None = None,
    ) -> Any:
        """Fit, and return `transform(X)`, (n_samples, n_components). `W` and `H` are the start where init is "custom".

        The weights are those that `transform` finds for the fitted H, so that rows get the same ones at the fit and
        later. `factorize_nonnegative` returns the W of the fit's last iteration, which is near them or, with more
        components than the data has dimensions, one of many that fit about as well.
        """
        self._fit(X, W, H, sample_weight, observed, progress)
        return self._in_container(self._weights(X, observed), X)

    def _fit(self, X: Any, W: Any, H: Any, sample_weight: Any, observed: Any, progress: Progress | None) -> None:
        params = self.get_params()
        Checks("NMF").real("forget_factor", params.pop("forget_factor"), 0, 1, open_low=True)
        # Unobserved entries may be anything, so `factorize_nonnegative` checks the values.
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
            )

    @_with_frobenius_loss
    def partial_fit(self, X: Any, y: Any = None, *, H: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one more batch of rows; memory grows with the batch, not with the rows seen.

        The batch's weights are solved for, its sums X^T W and W^T W are added to those of earlier batches (online
        factorization; Mairal et al. 2010, algorithm 1), and H is swept against them. H starts from the last `fit`, or
        from `H` (k, n_features) with init "custom", or else from the first batch that isn't empty or all zero, by
        `init` (at random for components that it leaves at zero). Until there is a start, `components_` is zero.
        Frobenius loss only. `alpha_H` is scaled by the number of rows in the sums, faded as they are.

        Raises
        ------
        ValueError : another number of features than before; the Kullback-Leibler loss.
        """
        check = Checks("NMF.partial_fit")
        check.choice("beta_loss", self.beta_loss, ("frobenius",))
        X = self._check_X(X, reset=not hasattr(self, "components_"), nonnegative=True, empty=True)
        weights = check_rows("sample_weight", check, sample_weight, X.shape[0], zeros=True)
        if sparse.issparse(X):
            X = without_zeros(X)
        if weights is not None:  # rows of weight 0 are no rows
            X, weights = X[weights > 0], weights[weights > 0]
        params = self.get_params()
        del params["forget_factor"]
        random_state = params.pop("random_state")  # a generator is drawn from only where a start needs it
        options = NmfOptions(**params).checked(check)
        if getattr(self, "_online", None) is None:
            self._online = OnlineFactor(self._online_start(X, H, options, check), self.forget_factor)
            self.n_iter_ = 0
        online = self._online
        assert online is not None
        if not online.has_start and (X.data if sparse.issparse(X) else X).any():
            seed = check.random_state("random_state", random_state)
            online.start(X, weights, replace(options, random_state=seed))
        online.learn(X, weights, options)
        self.n_iter_ += 1
        self._learned(online.H())
        return self

    def transform(self, X: Any, *, observed: Any = None) -> Any:
        """W (n_samples, n_components) of new rows, H fixed."""
        self._check_fitted("components_")
        return self._in_container(self._weights(X, observed), X)

    def _weights(self, X: Any, observed: Any) -> NDArray[Any]:
        rows = self._check_X(X, reset=False, finite=observed is None)
        with on_behalf_of("NMF"):
            return solve_weights(
                rows, self.components_, beta_loss=self.beta_loss, alpha_W=self.alpha_W, l1_ratio=self.l1_ratio,
                observed=observed, tol=self.tol, max_iter=self.max_iter, workers=self.workers,
            )

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """(n_samples, n_features) W H of weights X (n_samples, n_components)."""
        self._check_fitted("components_")
        return self._back_to_features(X)

    def _learned(self, H: NDArray[Any]) -> None:
        self.components_ = H
        self.n_components_ = len(H)

    def _online_start(self, X: Any, H: Any, options: NmfOptions, check: Checks) -> NDArray[Any]:
        """H to continue from, or zeros where the first batch that isn't zero gives the start."""
        k = options.n_components
        if (self.init == "custom") != (H is not None):
            got = "None" if H is None else "an array"
            raise check.value_error("H", "given exactly when init is 'custom', at first", got)
        if H is not None:
            H = check.array("H", H, dtype=X.dtype, shape=(k, X.shape[1]), nonnegative=True, copy=True)
            if H.size and not H.any():
                raise check.value_error("H", "positive somewhere", "zeros, which would stay zero")
            return np.asarray(H)
        if hasattr(self, "components_") and self.components_.shape == (k, X.shape[1]):
            return self.components_.astype(X.dtype)  # go on from a fit
        return np.zeros((k, X.shape[1]), X.dtype)


def _custom_start(
    X: Any, W: Any, H: Any, weights: NDArray[np.float64] | None, options: NmfOptions
) -> tuple[Any, Any]:
    """The caller's W (n, k) and H (k, m), checked; None and None unless `init` is "custom"."""
    k, init, poisson = options.n_components, options.init, options.poisson
    for name, value in (("W", W), ("H", H)):
        if (init == "custom") != (value is not None):
            got = "None" if value is None else "an array"
            raise _CHECK.value_error(name, "given exactly when init is 'custom'", got)
    if init != "custom":
        return None, None
    W = _CHECK.array("W", W, dtype=X.dtype, shape=(X.shape[0], k), nonnegative=True, copy=True)
    H = _CHECK.array("H", H, dtype=X.dtype, shape=(k, X.shape[1]), nonnegative=True, copy=True)
    if (X.data if sparse.issparse(X) else X).any():  # of a matrix of zeros, zeros are the answer
        some_W, some_H = (W if weights is None else W[weights > 0]).any(axis=0), H.any(axis=1)
        # Least squares finds one side of a component from the other; a multiplicative update needs both.
        if not (some_W & some_H if poisson else some_W | some_H).any():
            rule = f"positive somewhere in a component whose H is{' too' if poisson else ', or H must be'}"
            raise _CHECK.value_error("W", rule, "a start that is zero, and would stay zero")
    return W, H
