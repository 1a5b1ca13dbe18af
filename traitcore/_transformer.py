"""What scikit-learn's users expect of an estimator that takes a matrix, without importing scikit-learn."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ._frames import column_labels, row_labels
from ._params import ParamsMixin
from ._validate import Checks

DTYPES = (np.float64, np.float32)
_CONTAINERS = ("default", "pandas", "polars")


class MatrixTransformer(ParamsMixin):
    """Base of the estimators that learn `components_` (n_components, n_features) from a matrix.

    Gives n_features_in_, feature_names_in_, get_feature_names_out, set_output and scikit-learn's tags.
    """

    components_: NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    _positive_only: ClassVar[bool] = False
    # By this scikit-learn's compositions know that `set_output` is heeded.
    _sklearn_auto_wrap_output_keys: ClassVar[frozenset[str]] = frozenset({"transform"})

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the columns of `transform`, such as "nmf0": (n_components,) str objects.

        `input_features` is None or the (n_features,) names of X's columns, which must be those of `fit`.
        """
        self._check_fitted("components_")
        if input_features is not None:
            given = np.asarray(input_features, dtype=object)
            names = getattr(self, "feature_names_in_", None)
            if names is not None and not np.array_equal(names, given):
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(given) != self.n_features_in_:
                raise ValueError(
                    f"input_features should have length equal to number of features ({self.n_features_in_}), "
                    f"got {len(given)}"
                )
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(len(self.components_))], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """What `transform` and `fit_transform` return: "default" (an array), "pandas" or "polars"; None: no change.

        Where nothing is set, scikit-learn's `set_config(transform_output=...)` holds.
        """
        if transform is not None:
            Checks(f"{type(self).__name__}.set_output").choice("transform", transform, _CONTAINERS)
            # scikit-learn's own name: `clone` copies it.
            self._sklearn_output_config = {"transform": transform}
        return self

    def _in_container(self, values: NDArray[Any], X: Any) -> Any:
        """`values`, a row for each row of X, as `set_output` asks."""
        chosen = getattr(self, "_sklearn_output_config", {}).get("transform")
        if chosen is None and (config := getattr(sys.modules.get("sklearn"), "get_config", None)) is not None:
            chosen = config().get("transform_output")
        if chosen in (None, "default"):
            return values
        library = importlib.import_module(str(chosen))  # the user asked for it by name
        names = self.get_feature_names_out().tolist()
        if chosen == "pandas":
            return library.DataFrame(values, index=row_labels(X), columns=names, copy=False)
        return library.DataFrame(values, schema=names, orient="row")

    def _back_to_features(self, weights: Any) -> NDArray[Any]:
        """weights (n, n_components) @ components_."""
        check, shape = Checks(f"{type(self).__name__}.inverse_transform"), (None, len(self.components_))
        product: NDArray[Any] = check.array("X", weights, dtype=DTYPES, shape=shape) @ self.components_
        return product

    def _check_X(
        self, X: Any, *, reset: bool, nonnegative: bool = False, finite: bool = True, empty: bool = False
    ) -> Any:
        """X as a canonical array or CSR. `reset` learns its width and column names, of a matrix without rows only with
        `empty`; else they must be those of `fit`.

        A fault is worded with the phrases of scikit-learn's messages, which its users search for.
        """
        caller = type(self).__name__
        check, names = Checks(caller), _feature_names(X, caller)
        if not reset:
            self._compare_names(names, caller)
        X = X if sparse.issparse(X) else check.plain("X", X)
        if X.dtype.kind == "c":
            raise ValueError(check.message("X", "real", "complex numbers") + " Complex data not supported.")
        if X.ndim != 2:
            message = check.message("X", "an array of two dimensions", f"{X.ndim}")
            hint = "Reshape your data: X.reshape(1, -1) is one row."
            raise ValueError(f"{message} Expected 2D array, got {X.ndim}D array instead. {hint}")
        try:
            if sparse.issparse(X):
                X = check.csr("X", X, dtype=DTYPES, finite=finite, nonnegative=nonnegative)
            else:
                X = check.array(
                    "X", X, dtype=DTYPES, shape=(None, None), finite=finite, nonnegative=nonnegative
                )
        except ValueError as error:
            known = {
                "must be non-negative": f"Negative values in data passed to {caller}.",
                "must be finite": "Input X contains NaN or infinity.",
            }
            hints = [hint for fault, hint in known.items() if fault in str(error)]
            raise ValueError(" ".join([str(error), *hints])) from None
        if reset:
            self._learn_width(X, names, caller, empty)
        elif X.shape[1] != self.n_features_in_:
            message = check.message("X", f"a matrix of {self.n_features_in_} columns", X.shape[1])
            why = f"X has {X.shape[1]} features, but {caller} is expecting {self.n_features_in_} features as input."
            raise ValueError(f"{message} {why}")
        return X

    def _learn_width(self, X: Any, names: NDArray[Any] | None, caller: str, empty: bool) -> None:
        for axis, what in ((0, "sample"), (1, "feature")):
            if X.shape[axis] == 0 and not (empty and axis == 0):
                message = Checks(caller).message("X", "a matrix with rows and columns", f"shape {X.shape}")
                why = f"Found array with 0 {what}(s) (shape={X.shape}) while a minimum of 1 is required."
                raise ValueError(f"{message} {why}")
        self.n_features_in_ = X.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _compare_names(self, names: NDArray[Any] | None, caller: str) -> None:
        known = getattr(self, "feature_names_in_", None)
        if (names is None) != (known is None):
            text = (
                f"X has feature names, but {caller} was fitted without feature names"
                if known is None
                else f"X does not have valid feature names, but {caller} was fitted with feature names"
            )
            warnings.warn(text, UserWarning, stacklevel=4)
        elif names is not None and known is not None and not np.array_equal(names, known):
            unseen, missing = sorted(set(names) - set(known)), sorted(set(known) - set(names))
            lines = ["The feature names should match those that were passed during fit."]
            for title, listed in (
                ("Feature names unseen at fit time:", unseen),
                ("Feature names seen at fit time, yet now missing:", missing),
            ):
                if listed:
                    lines += [title, *(f"- {name}" for name in listed[:5]), *(["- ..."] if len(listed) > 5 else [])]
            if not unseen and not missing:
                lines.append("Feature names must be in the same order as they were in fit.")
            raise ValueError("\n".join(lines) + "\n")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self._positive_only
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _feature_names(X: Any, caller: str) -> NDArray[Any] | None:
    """Labels of a frame's columns where all are str; None where none is, or X is no frame."""
    labels = column_labels(X)
    if not labels:
        return None
    texts = [isinstance(label, str) for label in labels]
    if any(texts) and not all(texts):
        other = next(label for label in labels if not isinstance(label, str))
        rule = "a frame whose columns are labelled by str alone, or by no str"
        raise TypeError(
            Checks(caller).message("X", rule, other)
            + " Feature names are only supported if all input features have string names."
        )
    return np.array([str(label) for label in labels], dtype=object) if all(texts) else None
