"""NMF and TruncatedSVD among scikit-learn's own: its checks, its compositions, frames in and out, its warnings."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

import traitcore as tc

KL = "kullback-leibler"
MODELS = [tc.NMF(2), tc.NMF(2, beta_loss=KL), tc.TruncatedSVD(2)]
BOTH = pytest.mark.parametrize("model", [tc.NMF(2), tc.TruncatedSVD(2)], ids=lambda m: type(m).__name__)
RNG = np.random.default_rng(3)
X = RNG.gamma(1.0, 1.0, (40, 2)) @ RNG.gamma(1.0, 1.0, (2, 5))
NAMES = ["jug", "pan", "cup", "lid", "tin"]
FRAME = pd.DataFrame(X, columns=NAMES, index=[f"c{i}" for i in range(40)])
LABELS = (X[:, 0] > np.median(X[:, 0])).astype(int)

# Checks of scikit-learn's that can't pass, and why. One is skipped: check_array_api_input, which runs only under
# SCIPY_ARRAY_API, and that is read when scipy is imported.
SIXTEEN_COMPONENTS = {
    # More components than the data has rows that differ: many pairs of factors fit alike, and rounding decides.
    "check_sample_weight_equivalence_on_dense_data": "of 12 different rows",
    "check_sample_weight_equivalence_on_sparse_data": "of 12 different rows",
}


def failures(model: Any) -> dict[str, str]:
    """Check by name: what scikit-learn says of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks' own; those of ours have tests below
        results = estimator_checks.check_estimator(model, on_fail=None, on_skip=None)
    assert len(results) > 40
    return {r["check_name"]: f"{r['status']}: {r['exception']}" for r in results if r["status"] != "passed"}


@pytest.mark.skipif(not hasattr(estimator_checks, "estimator_checks_generator"), reason="scikit-learn before 1.6")
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (tc.NMF(2), {}),
        (tc.NMF(3), {}),
        (tc.NMF(2, schedule="plain"), {}),
        (tc.NMF(2, beta_loss=KL), {}),
        (tc.NMF(3, beta_loss=KL), {}),
        (tc.NMF(), SIXTEEN_COMPONENTS),
        (tc.NMF(beta_loss=KL), {}),
        (tc.TruncatedSVD(), {}),
        (tc.TruncatedSVD(1, workers=2), {}),
    ],
    ids=lambda part: str(part) if hasattr(part, "fit") else "",
)
def test_scikit_learns_checks(model: Any, expected: dict[str, str]) -> None:
    found = failures(model)
    assert found.pop("check_array_api_input", "skipped").startswith("skipped")
    assert set(found) == set(expected), found


def test_nothing_here_imports_scikit_learn_or_a_frame_library() -> None:
    code = """
import sys
import numpy as np, traitcore as tc
X = np.abs(np.random.default_rng(0).normal(size=(12, 5)))
for model in (tc.NMF(2, max_iter=2), tc.NMF(2, beta_loss="kullback-leibler", max_iter=2), tc.TruncatedSVD(2)):
    import warnings
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        W = model.fit_transform(X)
    assert all(w.category is tc.ConvergenceWarning for w in seen), seen
    model.inverse_transform(model.transform(X)), model.get_feature_names_out(), repr(model)
try:
    tc.NMF().transform(X)
except tc.NotFittedError:
    pass
print(sorted({"sklearn", "pandas", "polars", "pyarrow"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@BOTH
def test_pipelines_searches_unions_and_columns(model: Any) -> None:
    pipeline = make_pipeline(MaxAbsScaler(), clone(model), LogisticRegression())
    step = type(model).__name__.lower()
    search = GridSearchCV(pipeline, {f"{step}__n_components": [1, 2]}, cv=3).fit(X, LABELS)
    assert search.best_score_ > 0.7
    assert search.best_estimator_.predict(X).shape == (40,)
    columns = ColumnTransformer([("few", clone(model), ["jug", "cup", "tin"])], remainder="passthrough")
    out = columns.set_output(transform="pandas").fit_transform(FRAME)
    assert list(out.columns) == [f"few__{step}0", f"few__{step}1", "remainder__pan", "remainder__lid"]
    assert list(out.index) == list(FRAME.index)
    both = FeatureUnion([("a", clone(model)), ("b", clone(model))])
    assert both.fit(X).transform(X).shape == (40, 4)
    assert "<div" in pipeline._repr_html_()


@BOTH
def test_names_of_columns_are_learned_and_a_reordered_frame_is_refused(model: Any) -> None:
    model = clone(model).fit(FRAME)
    assert model.feature_names_in_.tolist() == NAMES
    assert model.n_features_in_ == 5
    assert model.get_feature_names_out(NAMES).tolist() == [f"{type(model).__name__.lower()}{i}" for i in range(2)]
    for frame in (FRAME, pl.from_pandas(FRAME), FRAME.astype("Float64")):
        np.testing.assert_allclose(model.transform(frame), model.transform(FRAME))
    turned = FRAME[NAMES[::-1]]
    for frame in (turned, pl.from_pandas(turned)):
        with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
            model.transform(frame)
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- box\n.*now missing:\n- tin"):
        model.transform(FRAME.rename(columns={"tin": "box"}))
    with pytest.raises(ValueError, match="input_features is not equal"):
        model.get_feature_names_out(NAMES[::-1])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.transform(X)
    with pytest.raises(TypeError, match="all input features have string names"):
        model.fit(FRAME.rename(columns={"tin": 3}))
    model.fit(X)
    assert not hasattr(model, "feature_names_in_")
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        model.transform(FRAME)
    with pytest.raises(ValueError, match="number of features"):
        model.get_feature_names_out(["one"])


@BOTH
def test_output_is_in_the_container_that_was_set(model: Any) -> None:
    plain = clone(model).fit_transform(X)
    for container, kind in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        chosen = clone(model).set_output(transform=container)
        for out in (chosen.fit_transform(FRAME), chosen.transform(FRAME), clone(chosen).fit_transform(FRAME)):
            assert isinstance(out, kind)
            assert list(out.columns) == list(chosen.get_feature_names_out())
            np.testing.assert_allclose(out.to_numpy(), plain, rtol=1e-3, atol=1e-3)
        back = chosen.inverse_transform(chosen.transform(FRAME))
        assert back.shape == X.shape
        assert isinstance(chosen.set_output(transform="default").transform(FRAME), np.ndarray)
        with config_context(transform_output=container):
            assert isinstance(clone(model).fit_transform(FRAME), kind)
            assert isinstance(chosen.transform(FRAME), np.ndarray)
    kept = clone(model).set_output(transform="pandas").set_output().fit_transform(FRAME)
    assert list(kept.index) == list(FRAME.index)
    assert clone(model).set_output(transform="pandas").fit_transform(sparse.csr_array(X)).shape == (40, 2)
    with pytest.raises(ValueError, match=r"'transform' parameter of .*set_output"):
        model.set_output(transform="arrow")


@BOTH
def test_errors_name_the_callers_parameter(model: Any) -> None:
    name = type(model).__name__
    fitted = clone(model).fit(X)
    for wrong in (X[:, :4], sparse.csr_array(X[:, :4]), np.zeros((0, 4))):
        with pytest.raises(ValueError, match=f"'X' parameter of {name} must be a matrix of 5 columns. Got 4 instead"):
            fitted.transform(wrong)
    for wrong in (X[0], np.float64(3), X[None]):
        for method in (fitted.transform, clone(model).fit):
            with pytest.raises(ValueError, match=f"'X' parameter of {name}.*Reshape your data"):
                method(wrong)
    with pytest.raises(ValueError, match=f"'X' parameter of {name}.inverse_transform"):
        fitted.inverse_transform(X)
    for parameter in model.get_params():
        with pytest.raises((ValueError, TypeError), match=f"'{parameter}' parameter of {name} must be"):
            clone(model).set_params(**{parameter: object()}).fit(X)
    for bad in (np.nan, np.inf):
        broken = X.copy()
        broken[3, 2] = bad
        for method in (fitted.transform, clone(model).fit):
            with pytest.raises(ValueError, match=rf"'X' parameter of {name} must be finite. Got '{bad} at \(3, 2\)'"):
                method(broken)
    with pytest.raises(ValueError, match=f"'X' parameter of {name} .*null at row 1, column .pan"):
        clone(model).fit(pd.DataFrame({"jug": [1.0, 2.0], "pan": pd.array([0.5, None], dtype="Float64")}))


def test_an_unobserved_nan_is_fine_and_the_width_is_checked_all_the_same() -> None:
    seen = RNG.random(X.shape) < 0.8
    holes = np.where(seen, X, np.nan)
    model = tc.NMF(2, max_iter=500).fit(holes, observed=seen)
    assert model.transform(holes, observed=seen).shape == (40, 2)
    with pytest.raises(ValueError, match="'X' parameter of NMF must be a matrix of 5 columns"):
        model.transform(holes[:, :3], observed=seen[:, :3])
    with pytest.raises(ValueError, match=r"'X' parameter of NMF must be non-negative. Got '-1.0 at \(0, 0\)'"):
        tc.NMF(2).fit(np.where(np.eye(40, 5), -1.0, X))


def test_the_limit_of_iterations_warns_in_both_libraries_classes() -> None:
    for kind in (ConvergenceWarning, tc.ConvergenceWarning):
        with pytest.warns(kind, match="NMF stopped at max_iter=3 before it reached tol="):
            tc.NMF(2, max_iter=3, tol=1e-9).fit(X)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", kind)
            tc.NMF(2, max_iter=3, tol=1e-9).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tc.NMF(2, max_iter=2, tol=0).fit(X)  # a number of iterations was asked for


def test_not_fitted_is_both_libraries_error_and_travels() -> None:
    for model in (tc.NMF(), tc.TruncatedSVD()):
        for method, given in (("transform", [X]), ("inverse_transform", [X]), ("get_feature_names_out", [])):
            with pytest.raises(NotFittedError, match="is not fitted yet") as caught:
                getattr(model, method)(*given)
            assert isinstance(caught.value, tc.NotFittedError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is tc.NotFittedError
        assert str(again) == str(caught.value)
        with pytest.raises(NotFittedError):
            check_is_fitted(model)
        check_is_fitted(clone(model).set_params(n_components=2).fit(X))


@pytest.mark.parametrize("model", [tc.NMF(2, init="random", max_iter=500), tc.TruncatedSVD(2)], ids=str)
def test_random_state_in_all_its_forms(model: Any) -> None:
    def components(source: Any) -> Any:
        return clone(model).set_params(random_state=source).fit(X).components_

    for source in (np.random.RandomState, np.random.default_rng):
        assert components(source(4)).tobytes() == components(source(4)).tobytes()
    state = np.random.get_state()  # noqa: NPY002
    try:
        drawn = []
        for _ in range(2):
            np.random.seed(8)  # noqa: NPY002
            drawn.append(components(None).tobytes())
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert drawn[0] == drawn[1]
    if isinstance(model, tc.NMF):
        moving = np.random.RandomState(4)
        assert components(moving).tobytes() != components(moving).tobytes()


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept_and_layouts_agree(model: Any, dtype: Any) -> None:
    fitted = clone(model).fit(X.astype(dtype))
    assert fitted.components_.dtype == dtype
    data = X.astype(dtype)
    expected = fitted.transform(data)
    layouts = (np.asarray, np.asfortranarray, sparse.csr_array, sparse.coo_array, sparse.lil_array, sparse.dok_array)
    for given in (layout(data) for layout in layouts):
        out = fitted.transform(given)
        assert out.dtype == dtype
        np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)
    assert fitted.inverse_transform(expected).dtype == dtype


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_counts_stored_one_by_one_in_a_byte(model: Any) -> None:
    counts = np.rint(100 * X[:, :4]).astype(np.int64) + 1
    places = np.nonzero(np.ones_like(counts))
    each = tuple(np.repeat(axis, counts.ravel()) for axis in places)
    ones = sparse.coo_array((np.ones(len(each[0]), np.uint8), each), shape=counts.shape)
    np.testing.assert_allclose(
        clone(model).fit(ones).components_, clone(model).fit(counts.astype(float)).components_, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_pickled_models_continue(model: Any) -> None:
    fitted = clone(model).fit(FRAME)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.transform(FRAME).tobytes() == fitted.transform(FRAME).tobytes()
    assert again.get_feature_names_out().tolist() == fitted.get_feature_names_out().tolist()
    if hasattr(fitted, "partial_fit"):
        batch = pickle.loads(pickle.dumps(fitted.partial_fit(FRAME)))
        assert batch.partial_fit(FRAME).components_.tobytes() == fitted.partial_fit(FRAME).components_.tobytes()


def test_only_the_frobenius_loss_has_a_partial_fit() -> None:
    assert hasattr(tc.NMF(), "partial_fit")
    assert not hasattr(tc.NMF(beta_loss=KL), "partial_fit")
    with pytest.raises(ValueError, match=r"'beta_loss' parameter of NMF\.partial_fit must be 'frobenius'"):
        tc.NMF(beta_loss=KL).partial_fit(X)
    model = tc.NMF(2).partial_fit(FRAME)
    assert model.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match="same order"):
        model.partial_fit(FRAME[NAMES[::-1]])
    with pytest.raises(ValueError, match="X has 4 features, but NMF is expecting 5"):
        tc.NMF(2).fit(X).partial_fit(X[:, :4])


@pytest.mark.parametrize("loss", ["frobenius", KL])
@pytest.mark.parametrize("n_components", [1, 3, 16])
def test_a_row_has_the_same_weights_at_the_fit_and_later(loss: str, n_components: int) -> None:
    for data in (X, sparse.csr_array(np.where(X > 0.5, X, 0)), X.astype(np.float32)):
        model = tc.NMF(n_components, beta_loss=loss)
        W = model.fit_transform(data)
        assert W.tobytes() == clone(model).fit(data).transform(data).tobytes()
        found = tc.factorize_nonnegative(data, n_components, beta_loss=loss)
        assert found.H.tobytes() == model.components_.tobytes()
        dense = data.toarray() if sparse.issparse(data) else data
        ours, fits = (float(np.square(dense - weights @ found.H).sum()) for weights in (W, found.W))
        assert ours <= fits * 1.01 + 1e-3 * np.square(dense).sum()
