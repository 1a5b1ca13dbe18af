"""The picture of traits."""

from __future__ import annotations

import numpy as np
import pytest

import traitcore as tc


@pytest.fixture
def shop():
    """Two kinds of customers: ten who view and buy lamps, ten who view (and never buy) chairs."""
    actions = ("view", "buy")
    texts = np.array(["red desk lamp", "blue desk lamp", "desk lamp shade", "oak chair", "pine chair", "old chair"],
                     dtype=object)
    item = np.repeat(np.arange(6), 2).astype(np.int32)
    action = np.tile([0, 1], 6).astype(np.int32)
    lists = [[0, 1, 2, 3, 4, 5]] * 10 + [[6, 8, 10, 6]] * 10
    sequences = tc.Sequences.from_lists(lists)
    ones = np.ones(12, np.int64)
    vocabulary = tc.Vocabulary(np.arange(6), actions, item, action, ones, ones, 20, texts)
    profiles = np.zeros((20, 2), np.float32)
    profiles[:10, 0], profiles[10:, 1] = 2.0, 3.0
    return profiles, sequences, vocabulary


def test_the_picture_shows_each_trait_with_its_tokens(shop, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    profiles, sequences, vocabulary = shop
    traits = tc.describe_traits(profiles, sequences, vocabulary)
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # texts stay texts
        tc.plot_traits(traits, tmp_path / "traits.svg", k=3)
    drawn = (tmp_path / "traits.svg").read_text()
    for trait in traits:
        assert f"{trait.trait} {trait.name}" in drawn
        assert f"{trait.prevalence:.1%} of behaviour" in drawn
        assert all(t.text in drawn for t in trait.tokens[:3])
    assert all(f">{action}</text>" in drawn for action in vocabulary.actions)
    tc.plot_traits(traits, tmp_path / "traits.png")
    assert (tmp_path / "traits.png").read_bytes().startswith(b"\x89PNG")
    silent = tc.describe_traits(np.zeros((20, 1), np.float32), sequences, vocabulary)
    tc.plot_traits(silent, tmp_path / "silent.svg")  # a trait without tokens is drawn as one


def test_the_picture_refuses(shop, tmp_path):
    traits = tc.describe_traits(*shop)
    with pytest.raises(ValueError, match="'traits'"):
        tc.plot_traits([], tmp_path / "traits.png")
    with pytest.raises(ValueError, match=r"\.png, \.svg or \.pdf"):
        tc.plot_traits(traits, tmp_path / "traits.gif")
    with pytest.raises(ValueError, match="'k'"):
        tc.plot_traits(traits, tmp_path / "traits.png", k=0)
