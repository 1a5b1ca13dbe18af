"""The parameters of a factorization: one set of names and defaults, each checked by name."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pytest

import traitcore as tc
from tests.data.factors import planted
from traitcore.factorization.options import NmfOptions


def test_function_estimator_and_options_have_the_same_parameters_and_defaults():
    function, estimator = (
        {p.name: p.default for p in inspect.signature(f).parameters.values()}
        for f in (tc.factorize_nonnegative, tc.NMF.__init__)
    )
    options = {field.name: field.default for field in fields(NmfOptions)}
    data = {"X", "W", "H", "sample_weight", "observed"}
    assert set(function) - data == set(options) - {"observed_only"}
    assert set(estimator) - {"self", "forget_factor"} == set(options) - {"observed_only", "progress"}
    for name in set(options) - {"n_components", "observed_only"}:
        assert function[name] == options[name]
        assert name == "progress" or estimator[name] == options[name]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("n_components", 0, ValueError), ("n_components", 2.0, TypeError), ("init", "svd", ValueError),
        ("beta_loss", "itakura-saito", ValueError), ("schedule", 1, TypeError), ("tol", -1, ValueError),
        ("max_iter", 0, ValueError), ("alpha_W", -0.1, ValueError), ("alpha_H", "other", TypeError),
        ("l1_ratio", 1.5, ValueError), ("sample_weight", [1.0], ValueError),
        ("sample_weight", np.zeros(9), ValueError), ("random_state", -1, ValueError), ("workers", 0, ValueError),
        ("W", np.ones((9, 2)), ValueError), ("observed", "all", ValueError), ("observed", np.ones((9, 6)), TypeError),
    ],
)
def test_each_parameter_is_checked_by_name(name, value, error):
    with pytest.raises(error, match=f"The '{name}' parameter of factorize_nonnegative must be"):
        tc.factorize_nonnegative(planted(9, 6, 2), **{"n_components": 2, name: value})
