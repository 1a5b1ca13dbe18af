"""What every estimator owes its user, whatever it learns: scikit-learn's conventions, without importing it."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import warnings
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

import traitcore as tc
from traitcore._params import ParamsMixin

ESTIMATORS = [
    getattr(tc, name)
    for name in tc.__all__
    if inspect.isclass(getattr(tc, name)) and issubclass(getattr(tc, name), ParamsMixin)
]
SEQS = tc.Sequences.from_lists([[0, 1, 2, 3, 1], [3, 2, 1, 0], [2, 0, 3, 3]] * 4)


def fit(estimator: Any) -> Any:
    """Fit on data that suits the estimator; only parameters can be at fault."""
    parameters = inspect.signature(estimator.fit).parameters
    if "X" in parameters:
        return estimator.fit(np.ones((6, 4)) + np.eye(6, 4))
    if "vocabulary" in parameters:
        return estimator.fit(SEQS, vocabulary())
    if "context_vectors" in parameters:
        return estimator.fit(SEQS, np.eye(4, 6, dtype=np.float32), np.eye(4, 6, dtype=np.float32))
    if isinstance(estimator, tc.ContentEncoder):
        return estimator.fit(texts=["red jug", "blue jug", "green pan", "old pan"])
    return estimator.fit(SEQS)


def refusal(estimator: Any) -> str:
    """What `fit` says against a parameter; says so itself where `fit` says nothing."""
    try:
        fit(estimator)
    except (TypeError, ValueError) as error:
        return str(error)
    return "was accepted in silence"


def vocabulary() -> tc.Vocabulary:
    rows = np.arange(4, dtype=np.int32)
    return tc.Vocabulary(
        item_ids=np.array([10, 11, 12, 13]),
        actions=(),
        token_item=rows,
        token_action=np.full(4, -1, dtype=np.int32),
        counts=SEQS.token_counts(4),
        document_frequencies=np.full(4, 12, dtype=np.int64),
        n_documents=12,
    )


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_parameters_go_in_and_out_unchanged(cls: type[ParamsMixin]) -> None:
    estimator = cls()
    params = estimator.get_params()
    assert cls(**params).get_params() == params
    assert estimator.set_params(**params) is estimator
    assert repr(estimator) == f"{cls.__name__}()"
    with pytest.raises(ValueError, match="has no parameter 'nonsense'"):
        estimator.set_params(nonsense=1)


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_constructors_neither_train_nor_validate(cls: type[ParamsMixin]) -> None:
    marker = object()
    for name in cls().get_params():
        assert getattr(cls(**{name: marker}), name) is marker
    assert not [name for name in vars(cls()) if name.endswith("_") and not name.startswith("_")]


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_every_parameter_refuses_a_bad_type_by_name(cls: type[ParamsMixin]) -> None:
    for name in cls().get_params():
        estimator = cls(**{name: object()})
        assert f"'{name}'" in refusal(estimator), f"{cls.__name__}({name}=object()): {refusal(estimator)}"


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_every_number_refuses_nan_and_far_below_zero(cls: type[ParamsMixin]) -> None:
    for name, value in cls().get_params().items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        wrong = [float("nan")] if name == "ns_exponent" else [float("nan"), -7]
        for bad in wrong:
            message = refusal(cls(**{name: bad}))
            assert f"'{name}'" in message, f"{cls.__name__}({name}={bad}): {message}"


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_what_needs_fit_says_so(cls: type[ParamsMixin]) -> None:
    given = {"X": np.ones((2, 4)), "texts": ["red jug"], "item_vectors": np.eye(4, 6, dtype=np.float32)}
    estimator = cls()
    for method in ("transform", "score", "recommend"):
        if hasattr(estimator, method):
            parameters = inspect.signature(getattr(estimator, method)).parameters
            known = {name: value for name, value in given.items() if name in parameters}
            first = [] if set(known) & {"X", "texts"} else [SEQS]
            with pytest.raises(tc.NotFittedError, match="is not fitted yet"):
                getattr(estimator, method)(*first, **known)


QUICK: dict[str, dict[str, Any]] = {
    "NMF": {"n_components": 2}, "TruncatedSVD": {"n_components": 2}, "ContentEncoder": {"n_components": 2},
    "Item2Vec": {"vector_size": 4}, "PPMIEmbedder": {"vector_size": 4}, "WalkEmbedder": {"vector_size": 4},
    "TraitModel": {"n_traits": 2, "method": "counts"}, "AttentionPooling": {"horizon": "event"},
}


def fitted(cls: type[ParamsMixin]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tc.ConvergenceWarning)
        return fit(cls(**QUICK.get(cls.__name__, {})))


def learned(estimator: Any) -> dict[str, Any]:
    """The arrays among what `fit` learned, as bytes, and the numbers."""
    plain = (np.ndarray, int, float, tuple)
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else repr(value)
        for name, value in vars(estimator).items() if name.endswith("_") and isinstance(value, plain)
    }


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_clones_are_unfitted_and_keep_the_parameters(cls: type[ParamsMixin]) -> None:
    estimator = fitted(cls)
    fresh = clone(estimator)
    assert type(fresh) is cls
    assert fresh.get_params() == estimator.get_params()
    assert not learned(fresh)
    check_is_fitted(estimator)
    assert get_tags(estimator).input_tags.two_d_array == ("X" in inspect.signature(estimator.fit).parameters)


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_fitted_estimators_travel(cls: type[ParamsMixin]) -> None:
    estimator = fitted(cls)
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    copies = [pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator), joblib.load(file)]
    assert learned(estimator)
    for again in copies:
        assert learned(again) == learned(estimator)
        assert again.get_params() == estimator.get_params()
        assert repr(again) == repr(estimator)


@pytest.mark.parametrize("cls", ESTIMATORS, ids=lambda c: c.__name__)
def test_parameters_are_set_through_a_pipeline(cls: type[ParamsMixin]) -> None:
    name, value = next((n, v) for n, v in cls().get_params().items() if isinstance(v, (int, float)))
    pipeline = Pipeline([("model", cls())]).set_params(**{f"model__{name}": value + 1})
    assert pipeline.get_params()[f"model__{name}"] == value + 1
    with pytest.raises(ValueError, match="nonsense"):
        pipeline.set_params(model__nonsense=1)
