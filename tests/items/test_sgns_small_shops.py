"""Small vocabularies, many negatives, wide windows: the training stays bounded and learns; what can't is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from traitcore import Sequences
from traitcore.items.graph import graph_from_edges
from traitcore.items.item2vec import Item2Vec
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_options import SgnsOptions
from traitcore.items.sgns_plan import plan_sgns
from traitcore.items.sgns_trainer import SgnsTrainer
from traitcore.items.walk_embedder import WalkEmbedder


def shop(n_items: int, kind: str, n_sequences: int = 40, length: int = 20) -> Sequences:
    rng = np.random.default_rng(n_items)
    chances = 1.0 / np.arange(1, n_items + 1) if kind == "zipf" else np.ones(n_items)
    if kind == "repeats":
        tokens = np.repeat(rng.integers(0, n_items, n_sequences), length)
    else:
        tokens = rng.choice(n_items, n_sequences * length, p=chances / chances.sum())
    return Sequences(tokens.astype(np.int32), np.arange(n_sequences + 1) * length)


def chance(negative: int) -> float:
    return float((1 + negative) * np.log(2.0))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("negatives", ["shared", "fresh"])
@pytest.mark.parametrize("kind", ["zipf", "even", "repeats"])
@pytest.mark.parametrize("n_items", [1, 3, 10, 100])
def test_small_shops_stay_below_chance(n_items: int, kind: str, negatives: str, workers: int) -> None:
    seqs = shop(n_items, kind)
    for negative, alpha, vector_size, window in [(50, 0.1, 64, None), (5, 0.1, 64, None), (20, 0.05, 2, 5)]:
        options = SgnsOptions(
            vector_size=vector_size, window=window, negative=negative, negatives=negatives, alpha=alpha, epochs=2,
            sample=0.0, workers=workers,
        )
        result = train_sgns(seqs, options, n_items=n_items)
        assert max(result.loss) < 1.001 * chance(negative)
        assert np.isfinite(result.item_vectors).all()
        assert np.isfinite(result.context_vectors).all()


def planted(n_groups: int = 4, size: int = 5) -> tuple[Sequences, NDArray[np.int64]]:
    rng = np.random.default_rng(7)
    groups = rng.integers(0, n_groups, 300)
    tokens = groups[:, None] * size + rng.integers(0, size, (300, 12))
    return Sequences(tokens.ravel().astype(np.int32), np.arange(301) * 12), np.arange(n_groups * size) // size


@pytest.mark.parametrize("negatives", ["shared", "fresh"])
@pytest.mark.parametrize("negative", [5, 50])
def test_a_small_shop_finds_its_planted_groups(negative: int, negatives: str) -> None:
    seqs, group = planted()
    options = SgnsOptions(
        window=None, negative=negative, negatives=negatives, vector_size=32, alpha=0.05, sample=0.0
    )
    vectors = train_sgns(seqs, options).item_vectors
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    nearest = np.argsort(-cosine, axis=1)[:, :4]
    assert (group[nearest] == group[:, None]).mean() == 1.0


def test_next_items_of_a_small_shop_by_contexts_need_every_token() -> None:
    rng = np.random.default_rng(1)
    chances = 1.0 / np.arange(1, 16)
    first = 15 * rng.integers(0, 4, 400)[:, None]  # of a session's group
    tokens = first + rng.choice(15, (400, 9), p=chances / chances.sum())
    train = Sequences(tokens[:300].ravel().astype(np.int32), np.arange(301) * 9)

    def recall(scores: NDArray[np.floating]) -> float:  # of the last item, among the 10 best of 60 by the one before
        best = np.argsort(-scores[tokens[300:, -2]], axis=1)[:, :10]
        return float((best == tokens[300:, -1:]).any(axis=1).mean())

    by_sample = {}
    for sample in (1e-3, 0.0):
        found = train_sgns(train, SgnsOptions(epochs=15, sample=sample))
        by_sample[sample] = recall(found.item_vectors @ found.context_vectors.T)
    popularity = recall(np.broadcast_to(train.token_counts(60), (60, 60)))
    assert by_sample[1e-3] < popularity + 0.1 < by_sample[0.0] - 0.1


def test_one_epoch_above_chance_is_a_divergence() -> None:
    far = np.full((10, 8), 6.0, dtype=np.float32)  # starts that say the contrary of what any corpus can
    options = SgnsOptions(epochs=1, vector_size=8, negative=5, alpha=1e-6, min_alpha=0.0)
    trainer = SgnsTrainer(np.full(10, 20), options, start=(far, far))
    trainer.train_block(shop(10, "even", 10))
    with pytest.raises(ValueError, match=r"diverged: the loss is .* where chance is 4.16"):
        trainer.end_epoch()


def singles(n: int) -> Sequences:
    return Sequences(np.arange(n, dtype=np.int32), np.arange(n + 1))


def test_a_training_without_a_pair_is_refused() -> None:
    message = "at least one pair of items"
    with pytest.raises(ValueError, match=message):
        train_sgns(singles(9))
    with pytest.raises(ValueError, match=message):
        Item2Vec().fit(singles(9))
    with pytest.raises(ValueError, match=message):
        train_sgns(singles(9), start=(np.ones((9, 64)), np.ones((9, 64))))
    with pytest.raises(ValueError, match=message):
        plan_sgns(singles(9))
    trainer = SgnsTrainer(np.ones(9, dtype=np.int64), SgnsOptions(epochs=1))
    for _ in range(2):
        trainer.train_block(singles(9))
    with pytest.raises(ValueError, match=message):
        trainer.end_epoch()


def test_subsampling_that_would_drop_every_pair_is_skipped() -> None:
    seqs = shop(3, "even", 2, 3)
    message = "Training runs with sample=0: sample=1e-12 keeps no pair"
    with pytest.warns(UserWarning, match=message) as by_function:
        found = train_sgns(seqs, SgnsOptions(sample=1e-12))
    with pytest.warns(UserWarning, match=message) as by_estimator:
        estimated = Item2Vec(sample=1e-12).fit(seqs)
    assert by_function[0].filename == by_estimator[0].filename == __file__
    plain = train_sgns(seqs, SgnsOptions(sample=0.0)).item_vectors
    assert found.item_vectors.tobytes() == estimated.item_vectors_.tobytes() == plain.tobytes()
    trainer = SgnsTrainer(np.ones(3, dtype=np.int64), SgnsOptions(epochs=1, sample=1e-12))
    trainer.train_block(seqs)
    with pytest.raises(ValueError, match="none, after subsampling"):  # its blocks are gone by then
        trainer.end_epoch()


def test_a_global_context_is_a_pair() -> None:
    trainer = SgnsTrainer(np.ones(9, dtype=np.int64), SgnsOptions(epochs=1, sample=0.0))
    trainer.train_block(singles(9), global_context=np.roll(np.arange(9), 1).astype(np.int32))
    trainer.end_epoch()
    assert trainer.result().report.pairs > 0


@pytest.mark.parametrize("patience", [None, 2])
def test_held_out_sequences_without_a_pair_are_refused(patience: int | None) -> None:
    for held_out in (singles(5), Sequences(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64))):
        with pytest.raises(ValueError, match=r"'held_out' parameter of Item2Vec must be .*at least one pair"):
            Item2Vec(patience=patience).fit(shop(10, "even"), held_out=held_out)


def test_walks_without_a_pair_are_refused() -> None:
    graph = graph_from_edges(np.array([0, 1]), np.array([1, 0]), n_nodes=2)
    with pytest.raises(ValueError, match="at least one pair"):
        WalkEmbedder(sample=1e-12, n_walks=1, walk_length=2).fit_graph(graph)
