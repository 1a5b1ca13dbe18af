"""Traits from version to version: rows and given names are kept where the trait is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import traitcore as tc
from traitcore.customers.components import match_rows
from traitcore.pipeline.fit import pointed_out
from traitcore.pipeline.trait_versions import PublishedTraits

OPTIONS = {"method": "ppmi", "vector_size": 8, "n_traits": 3, "min_count": 3}


@pytest.fixture(scope="module")
def shop() -> tc.EventLog:
    return tc.simulate_events(n_users=150, n_items=60, n_traits=3, seed=0).log


def test_rows_and_given_names_are_kept(shop: tc.EventLog, tmp_path: Path) -> None:
    first = tc.fit_pipeline(shop, store=tmp_path, trait_names={1: "Gardeners"}, **OPTIONS)
    assert first.traits[1].name == first.traits[1].given_name == "Gardeners"
    assert first.model is not None
    assert first.model.history_ is None
    kept = PublishedTraits.of(tc.TableStore(tmp_path))
    assert kept is not None
    np.testing.assert_allclose(kept.loadings_of(first.vocabulary.tokens), first.model.components_, atol=1e-5)

    second = tc.fit_pipeline(shop, store=tmp_path, seed=5, force=("me", "test"), **OPTIONS)
    assert second.model is not None
    assert second.model.history_ is not None
    assert second.model.history_.kept == (0, 1, 2)
    rows, cosine = match_rows(second.model.components_, first.model.components_)
    assert rows.tolist() == [0, 1, 2]
    assert cosine.min() > 0.95
    assert second.traits[1].name == "Gardeners"
    third = tc.fit_pipeline(shop, store=tmp_path, trait_names={1: ""}, force=("me", "test"), **OPTIONS)
    assert third.traits[1].given_name == ""
    assert third.traits[1].name not in ("", "Gardeners")
    report = next(stage.report for stage in second.stages if stage.name == "traits")
    assert "3 traits continue" in str(report)


def test_names_that_fit_no_trait_are_refused(shop: tc.EventLog) -> None:
    with pytest.raises(ValueError, match="'trait_names'"):
        tc.fit_pipeline(shop, trait_names={3: "none"}, **OPTIONS)
    with pytest.raises(TypeError, match="'trait_names'"):
        tc.fit_pipeline(shop, trait_names={0: 7}, **OPTIONS)  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="makes no customers"):
        tc.fit_pipeline(shop, trait_names={0: "Gardeners"}, customers="none", **OPTIONS)


def test_background_and_charges_are_pointed_out() -> None:
    texts = np.array(["POSTAGE", "red lamp", "blue lamp", "green lamp"], dtype=object)
    ones = np.ones(4, np.int64)
    vocabulary = tc.Vocabulary(np.arange(4), (), np.arange(4, dtype=np.int32), np.full(4, -1, np.int32), ones, ones, 40,
                               texts)
    sequences = tc.Sequences.from_lists([[0, 1, 2]] * 20 + [[3]] * 20)
    weights = np.zeros((40, 2), np.float32)
    weights[:20, 0], weights[20:, 0], weights[:, 1] = 1.0, 0.05, 1.0
    traits = tc.describe_traits(weights, sequences, vocabulary, smoothing=1.0)
    assert traits[0].charges == (0,)
    assert "postage" not in traits[0].name.lower()
    found = pointed_out(tuple(traits))
    assert found is not None
    assert "POSTAGE" in found
