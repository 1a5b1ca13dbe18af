"""SgnsOptions: checked, frozen, and the same in every estimator that has them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import traitcore as tc
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_options import SgnsOptions

SEQS = tc.Sequences.from_lists([[0, 1, 2], [1, 2, 3, 0]])


def test_estimators_have_the_options_as_parameters() -> None:
    options = {option.name: option.default for option in dataclasses.fields(SgnsOptions)}
    kept = tc.Item2Vec().get_params()
    assert {name: kept[name] for name in options} == options
    assert kept.keys() - options.keys() == {"patience"}
    walks = tc.WalkEmbedder().get_params()
    assert {name: walks[name] for name in options} == options | {"sample": 0.0, "epochs": 1}


def test_options_are_checked_and_frozen() -> None:
    options = SgnsOptions(vector_size=np.int64(8), workers=-1)  # type: ignore[arg-type]
    assert type(options.vector_size) is int
    assert options.workers == -1
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.window = 3  # type: ignore[misc]


def test_an_error_names_the_function_that_was_called() -> None:
    with pytest.raises(ValueError, match="'window' parameter of SgnsOptions"):
        SgnsOptions(window=0)
    with pytest.raises(TypeError, match="'options' parameter of train_sgns must be an SgnsOptions or None"):
        train_sgns(SEQS, {"window": 3})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'start\[0\]' parameter of train_sgns"):
        train_sgns(SEQS, start=(np.zeros((4, 64), dtype=complex), np.zeros((4, 64))))
    with pytest.raises(ValueError, match=r"'held_out' parameter of Item2Vec must be .*tokens in"):
        tc.Item2Vec().fit(SEQS, held_out=tc.Sequences.from_lists([[0, 9]]))
