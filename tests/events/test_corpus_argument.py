"""Estimators learn the same from a corpus as from its sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import traitcore as tc
from traitcore.events.corpus_argument import sequences_of


def corpus() -> Any:
    return tc.tokenize(tc.split_sessions(tc.simulate_events(n_users=40, n_items=30, n_traits=2, seed=0).log))


@pytest.mark.parametrize(
    "make", [
        lambda: tc.Item2Vec(vector_size=4, epochs=1), lambda: tc.PPMIEmbedder(vector_size=4),
        lambda: tc.WalkEmbedder(vector_size=4, epochs=1, n_walks=1, walk_length=5),
    ], ids=["item2vec", "ppmi", "walks"],
)
def test_embedders(make: Any) -> None:
    whole = corpus()
    expected = make().fit(whole.sequences, n_items=len(whole.vocabulary))
    np.testing.assert_array_equal(make().fit(whole).item_vectors_, expected.item_vectors_)


def test_trait_model() -> None:
    whole = corpus()
    model = tc.TraitModel(2, method="counts")
    expected = model.fit(whole.sequences, whole.vocabulary).profiles_.copy()
    np.testing.assert_array_equal(model.fit(whole).profiles_, expected)
    with pytest.raises(TypeError, match=r"'vocabulary' parameter of TraitModel\.fit"):
        model.fit(whole.sequences)
    with pytest.raises(ValueError, match="left out: sequences is a corpus"):
        model.fit(whole, whole.vocabulary)


def test_a_number_of_items_that_is_given_holds() -> None:
    whole = corpus()
    assert sequences_of(whole, None) == (whole.sequences, len(whole.vocabulary))
    assert sequences_of(whole, 99) == (whole.sequences, 99)
    assert sequences_of(whole.sequences, None) == (whole.sequences, None)


@pytest.mark.parametrize("progress", [True])
def test_progress_true_draws_a_bar(capsys: pytest.CaptureFixture[str], progress: Any) -> None:
    tc.PPMIEmbedder(vector_size=4).fit(corpus(), progress=progress)
    assert "100%" in capsys.readouterr().err


def test_looks_in_a_notebook() -> None:
    whole = corpus()
    log = tc.simulate_events(n_users=40, n_items=30, n_traits=2, seed=0).log
    for thing, words in (
        (whole, "sequences"), (log, "actions"), (tc.TraitModel(2), "TraitModel (not fitted)"),
        (tc.TraitModel(2, method="counts").fit(whole), "TraitModel (fitted)"),
        (tc.EmbeddingTable(["a"], [[1.0]]), "dimension"),
    ):
        assert words in thing._repr_html_()
    assert repr(whole).startswith("Corpus(")
