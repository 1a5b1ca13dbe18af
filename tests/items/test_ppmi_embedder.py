"""PPMIEmbedder: its fit is its parts, partial fits add up, planted neighbours are found."""

from __future__ import annotations

import numpy as np
import pytest

import traitcore as tc


def planted(seed: int = 0, n_sessions: int = 600) -> tc.Sequences:
    """Sessions within one of 6 groups of 10 items."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 6, n_sessions)
    return tc.Sequences.from_lists([10 * g + rng.integers(0, 10, 7) for g in group])


def part(seqs: tc.Sequences, start: int, stop: int) -> tc.Sequences:
    return tc.Sequences.from_lists([seqs[i] for i in range(start, stop)])


def test_fit_is_counts_ppmi_and_svd() -> None:
    seqs = planted()
    model = tc.PPMIEmbedder(vector_size=12, window=3, weighting="harmonic", shift=1.2, discount=1.0, power=0.3, seed=4)
    model.fit(seqs)
    counts = tc.count_cooccurrences(seqs, window=3, weighting="harmonic")
    parts = tc.svd_vectors(tc.positive_pmi(counts, shift=1.2, discount=1.0), 12, power=0.3, random_state=4)
    np.testing.assert_array_equal(model.item_vectors_, parts.item_vectors)
    np.testing.assert_array_equal(model.context_vectors_, parts.context_vectors)
    assert model.item_vectors_.dtype == np.float32
    assert model.item_vectors_.flags.c_contiguous
    assert model.n_items_ == 60


def test_neighbours_are_of_the_planted_group() -> None:
    vectors = tc.PPMIEmbedder(vector_size=8).fit(planted()).item_vectors_
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = np.argsort(-(unit @ unit.T), axis=1)[:, 1:6]
    assert (near // 10 == np.arange(60)[:, None] // 10).mean() > 0.95


def test_partial_fits_add_up_to_the_whole() -> None:
    seqs = planted()
    whole = tc.PPMIEmbedder(vector_size=10).fit(seqs)
    pieces = tc.PPMIEmbedder(vector_size=10)
    for start in (0, 200, 400):
        assert pieces.partial_fit(part(seqs, start, start + 200), n_items=60) is pieces
    np.testing.assert_array_equal(pieces.counts_.toarray(), whole.counts_.toarray())
    np.testing.assert_array_equal(pieces.item_vectors_, whole.item_vectors_)


def test_decay_new_items_and_items_without_partners() -> None:
    model = tc.PPMIEmbedder(vector_size=5, decay=0.5).fit(tc.Sequences.from_lists([[0, 1], [0, 1]]))
    model.partial_fit(tc.Sequences.from_lists([[0, 3], [2]]))
    np.testing.assert_array_equal(model.counts_.toarray()[0], [0, 1, 0, 1])
    assert model.item_vectors_.shape == (4, 5)
    assert (model.item_vectors_[2] == 0).all()
    assert (model.context_vectors_[2] == 0).all()
    model.partial_fit(tc.Sequences.from_lists([]))
    assert model.n_items_ == 4
    model.fit(tc.Sequences.from_lists([[0, 1]]))
    assert model.n_items_ == 2


def test_rare_pairs_can_be_left_out_of_the_vectors_only() -> None:
    seqs = tc.Sequences.from_lists([[0, 1]] * 3 + [[2, 3]])
    model = tc.PPMIEmbedder(vector_size=3, min_pair_count=2).fit(seqs)
    assert model.counts_[2, 3] == 1
    assert (model.item_vectors_[2:] == 0).all()
    assert (model.item_vectors_[:2] != 0).any()


def test_nothing_to_learn_from() -> None:
    model = tc.PPMIEmbedder(vector_size=4).fit(tc.Sequences.from_lists([[0], [1]]))
    assert model.item_vectors_.tolist() == [[0] * 4] * 2


def test_errors_and_parameters() -> None:
    seqs = tc.Sequences.from_lists([[0, 1]])
    bad = {"vector_size": 0, "decay": 0.0, "min_pair_count": -1, "shift": 0.0, "window": 0, "power": 2}
    for name, value in bad.items():
        model = tc.PPMIEmbedder(**{name: value})
        with pytest.raises(ValueError, match=name):
            model.fit(seqs).partial_fit(seqs)
    assert repr(tc.PPMIEmbedder(vector_size=9)) == "PPMIEmbedder(vector_size=9)"
    calls: list[str] = []
    tc.PPMIEmbedder().fit(seqs, progress=lambda stage, done, total: calls.append(stage))
    assert "counts" in calls


def test_presets_take_other_parameters() -> None:
    model = tc.PPMIEmbedder.preset("sessions", vector_size=7)
    assert model.vector_size == 7
    assert model.discount > 0
    with pytest.raises(ValueError, match=r"'name'.*sessions"):
        tc.PPMIEmbedder.preset("words")


def test_self_pairs_can_be_left_out() -> None:
    seqs = tc.Sequences.from_lists([[0, 0, 1], [1, 2, 1]])
    assert tc.PPMIEmbedder(vector_size=2).fit(seqs).counts_.diagonal().any()
    assert not tc.PPMIEmbedder(vector_size=2, self_pairs=False).fit(seqs).counts_.diagonal().any()
