"""Skip-gram from counts: draws against the slow twin, exact in the long run, and as good as training on sequences."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from benchmarks.suite.synthetic import clustered_sessions
from tests.reference import pair_draws as reference
from tests.reference.sgns import ReferenceSgns
from traitcore.items import sgns_counts
from traitcore.items.sgns_counts import PairDraws, subsampled

BASKETS = tc.Sequences.from_lists([[0, 1, 1], [2, 3], [0, 1], [4, 2, 3, 2]] * 60)
COUNTS = tc.count_cooccurrences(BASKETS, weighting="linear")
OPTIONS = tc.SgnsOptions(vector_size=8, epochs=4, sample=0.0)


def whole(counts: Any) -> sparse.csr_array:
    """Numbers that float32 sums exactly, so that the kernel and its twin can't differ by rounding."""
    return sparse.csr_array(np.asarray(counts, dtype=np.float32))


@given(st.integers(1, 9), st.integers(0, 100), st.integers(1, 20), st.integers(1, 3))
def test_draws_and_stars_equal_the_slow_ones(n: int, seed: int, largest: int, workers: int) -> None:
    rng = np.random.default_rng(seed)
    counts = whole(rng.integers(0, 9, (n, n)) * rng.integers(0, 2, (n, n)) / 4 + np.eye(n))
    draws = PairDraws(counts, seed, workers)
    shift, step = 0.3, 0.7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sgns_counts, "_STAR", largest)
        made, targets = draws._stars(shift, step, np.random.default_rng(1))
    got = sorted((int(target), star.tolist()) for target, star in zip(targets, made))
    assert got == sorted(reference.stars(reference.drawn_pairs(counts, shift, step), largest))


@pytest.mark.parametrize("blocks", [1, 5])
def test_an_epoch_has_each_pair_as_often_as_its_count_says(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sgns_counts, "_BLOCK_PAIRS", 1)
    counts = whole([[3.5, 40, 0.25], [40, 0, 2], [0.25, 2, 9]])
    draws = PairDraws(counts, 0, 1)
    draws._n_blocks = blocks
    total: Counter[tuple[int, int]] = Counter()
    for epoch in range(40):
        seen: Counter[tuple[int, int]] = Counter()
        for made, targets in draws.blocks(epoch):
            for target, star in zip(targets.tolist(), made):
                seen.update((target, item) for item in star.tolist())
        assert seen.total() == draws.n_pairs == 97
        for pair, n in seen.items():
            assert abs(n - counts[pair]) < 1.01, (pair, n)
        total += seen
    assert abs(total[(0, 2)] - 10) <= 1  # 40 epochs of .25
    orders = {tuple(targets.tolist()) for epoch in range(5) for _, targets in draws.blocks(epoch)}
    assert len(orders) > 4  # each epoch has its own order


@pytest.mark.parametrize("shared", [True, False])
def test_stars_train_as_the_reference_does(shared: bool) -> None:
    rng = np.random.default_rng(4)
    stars = [rng.integers(0, 12, rng.integers(1, 20)).tolist() for _ in range(80)]
    targets = rng.integers(0, 12, 80)
    counts = np.bincount(np.concatenate(stars), minlength=12)
    options = tc.SgnsOptions(vector_size=16, epochs=2, sample=0.0, negatives="shared" if shared else "fresh", seed=5)
    trainer = sgns_counts._PairTrainer(counts, options, start=None, epoch_tokens=int(counts.sum()))
    for _ in range(2):
        trainer.train_stars(tc.Sequences.from_lists(stars), targets.astype(np.int32), None)
        trainer.end_epoch()
    twin = ReferenceSgns(counts.tolist(), vector_size=16, epochs=2, shared=shared, seed=5)
    twin.fit_stars(stars, targets.tolist())
    result = trainer.result()
    np.testing.assert_allclose(result.item_vectors, twin.items, atol=1e-5)
    np.testing.assert_allclose(result.context_vectors, twin.contexts, atol=1e-5)
    np.testing.assert_allclose(result.loss, twin.losses, atol=1e-4)


def test_the_same_seed_gives_the_same_bytes_for_any_block_owner() -> None:
    runs = [
        tc.train_sgns_from_counts(COUNTS, tc.SgnsOptions(vector_size=8, epochs=2, seed=seed)).item_vectors.copy()
        for seed in (1, 1, 2)
    ]
    assert runs[0].tobytes() == runs[1].tobytes() != runs[2].tobytes()
    made = [list(PairDraws(COUNTS.astype(np.float32), 0, workers).blocks(3)) for workers in (1, 4)]
    for (one, targets), (other, same) in zip(*made):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_array_equal(targets, same)


def test_counts_train_as_well_as_sequences() -> None:
    corpus = clustered_sessions(60_000, 1_000, n_clusters=20, seed=3)
    counts = tc.count_cooccurrences(corpus.sequences, n_items=1_000, weighting="linear")
    options = tc.SgnsOptions(vector_size=16, epochs=5, sample=1e-2)

    def share(vectors: Any) -> float:
        table = tc.EmbeddingTable(np.arange(1_000), vectors)
        nearest, _ = tc.top_k(table.vectors[50:600], table.vectors, k=6)
        return float((corpus.cluster[nearest[:, 1:]] == corpus.cluster[50:600, None]).mean())

    by_sequences = tc.train_sgns(corpus.sequences, options, n_items=1_000)
    item_counts = corpus.sequences.token_counts(1_000)
    by_counts = tc.train_sgns_from_counts(counts, options, item_counts=item_counts)
    assert abs(by_counts.report.pairs / by_sequences.report.pairs - 1) < 0.08  # subsampling widens windows a little
    assert share(by_counts.item_vectors) > share(by_sequences.item_vectors) - 0.03 > 0.3
    assert by_counts.loss[-1] == pytest.approx(by_sequences.loss[-1], rel=0.05)


def test_subsampling_keeps_pairs_by_both_items() -> None:
    occurrences = np.array([900, 90, 10])
    kept = subsampled(whole(np.full((3, 3), 6.0)), occurrences, 0.01).toarray() / 6
    f = occurrences / (0.01 * 1000)
    keep = np.minimum(1, (np.sqrt(f) + 1) / f)
    np.testing.assert_allclose(kept, keep[:, None] * keep, rtol=1e-6)


def test_estimators_take_counts() -> None:
    model = tc.Item2Vec(vector_size=8, epochs=4, sample=0.0).fit_counts(COUNTS)
    np.testing.assert_array_equal(model.item_vectors_, tc.train_sgns_from_counts(COUNTS, OPTIONS).item_vectors)
    with pytest.raises(ValueError, match="'patience' parameter of Item2Vec must be None in fit_counts"):
        tc.Item2Vec(patience=2).fit_counts(COUNTS)
    ppmi = tc.PPMIEmbedder(vector_size=4)
    flat = tc.count_cooccurrences(BASKETS)
    np.testing.assert_array_equal(ppmi.fit_counts(flat).item_vectors_, ppmi.fit(BASKETS).item_vectors_)
    with pytest.raises(ValueError, match="'counts' parameter of PPMIEmbedder must be"):
        ppmi.fit_counts(flat[:2])


@pytest.mark.parametrize(("counts", "more", "said"), [
    ([[0, 1], [2, 0]], {}, r"'counts' parameter of train_sgns_from_counts must be symmetric, as counts \+ counts"),
    ([[0, -1], [-1, 0]], {}, "must be non-negative"),
    ([[0, 0], [0, 0]], {}, "must be of at least one pair"),
    ([[0, 1, 1]], {}, "must be a sparse matrix"),
    ([[0, 1], [1, 0]], {"item_counts": [0, 3]}, "'item_counts' .* positive where 'counts' has pairs. Got '0 at 0'"),
    ([[0, 1], [1, 0]], {"item_counts": [3]}, "'item_counts'"),
    ([[0, 1], [1, 0]], {"start": (np.zeros((2, 3)), np.zeros((2, 3)))}, r"'start\[0\]'"),
])
def test_what_is_wrong_is_said(counts: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tc.train_sgns_from_counts(whole(counts), OPTIONS, **more)
    with pytest.raises(TypeError, match="'options' parameter of train_sgns_from_counts"):
        tc.train_sgns_from_counts(whole([[0, 1], [1, 0]]), 5)  # type: ignore[arg-type]
