"""SgnsTrainer: blocks, schedules in parts, noise by group, a global context, starts; bad input."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import traitcore as tc
from benchmarks.suite.synthetic import Corpus, clustered_sessions
from tests.data.shops import random_lists
from tests.reference.sgns import ReferenceSgns
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_options import SgnsOptions
from traitcore.items.sgns_report import SgnsResult
from traitcore.items.sgns_trainer import SgnsTrainer


def run_trainer(trainer: SgnsTrainer, sequences: tc.Sequences, epochs: int, global_context: Any = None) -> SgnsResult:
    for _ in range(epochs):
        trainer.train_block(sequences, global_context=global_context)
        trainer.end_epoch()
    return trainer.result()


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return clustered_sessions(60_000, 600, 12, seed=1)


def test_groups_and_global_context_equal_the_reference() -> None:
    lists = random_lists()
    seqs = tc.Sequences.from_lists(lists)
    groups = [i % 4 for i in range(50)]
    bought = [s[-1] if s and i % 3 else -1 for i, s in enumerate(lists)]
    counts = seqs.token_counts(50).tolist()
    for within, negative in ((5, 5), (2, 5), (3, 7)):
        options = SgnsOptions(vector_size=16, epochs=2, sample=0.0, negative=negative)
        trainer = SgnsTrainer(counts, options, noise_groups=groups, group_negative=within)
        result = run_trainer(trainer, seqs, 2, bought)
        twin = ReferenceSgns(
            counts, vector_size=16, epochs=2, groups=groups, group_negative=within, negative=negative
        ).fit(lists, bought)
        np.testing.assert_allclose(result.item_vectors, twin.items, atol=1e-5)
        np.testing.assert_allclose(result.loss, twin.losses, atol=1e-4)
    options = SgnsOptions(vector_size=16, epochs=1, sample=0.0)
    alone = run_trainer(SgnsTrainer(counts, options, noise_groups=np.arange(50)), seqs, 1)
    assert alone.loss[0] < 1.0  # a group of one has no negatives: only positive terms are left


def test_a_schedule_in_two_parts_equals_one(corpus: Corpus) -> None:
    seqs, options = corpus.sequences, SgnsOptions(epochs=4, vector_size=24, seed=2)
    whole = train_sgns(seqs, options)
    half = run_trainer(SgnsTrainer(seqs.token_counts(), options), seqs, 2)
    assert not half.report.finished
    rest = run_trainer(SgnsTrainer(seqs.token_counts(), options, start=half, first_epoch=2), seqs, 2)
    assert rest.report.finished
    np.testing.assert_array_equal(rest.item_vectors, whole.item_vectors)
    assert half.loss + rest.loss == whole.loss


def test_warm_start_with_a_grown_vocabulary(corpus: Corpus) -> None:
    small = train_sgns(corpus.sequences, SgnsOptions(epochs=1, vector_size=16))
    kept = small.item_vectors.copy()
    counts = corpus.sequences.token_counts(650)
    grown = SgnsTrainer(counts, SgnsOptions(epochs=1, vector_size=16), start=small).result()
    np.testing.assert_array_equal(grown.item_vectors[:600], kept)
    assert np.abs(grown.item_vectors[600:]).max() <= 0.0003 * np.sqrt(3)  # never seen: near zero
    assert np.ptp(grown.item_vectors[600:]) > 0
    assert not grown.context_vectors[600:].any()
    np.testing.assert_array_equal(small.item_vectors, kept)


def test_blocks_equal_the_whole(corpus: Corpus) -> None:
    seqs = corpus.sequences
    options = SgnsOptions(epochs=2, vector_size=16, alpha=0.02, min_alpha=0.02)
    whole = train_sgns(seqs, options)
    trainer = SgnsTrainer(seqs.token_counts(), options)
    cuts = [0, 1, 700, 701, 3000, len(seqs)]
    for _ in range(2):
        for a, b in pairwise(cuts):
            low, high = seqs.offsets[a], seqs.offsets[b]
            trainer.train_block(tc.Sequences(seqs.tokens[low:high], seqs.offsets[a : b + 1] - low))
        trainer.end_epoch()
    result = trainer.result()
    np.testing.assert_array_equal(result.item_vectors, whole.item_vectors)
    np.testing.assert_allclose(result.loss, whole.loss)
    assert result.report.finished
    with pytest.raises(ValueError, match="has run its 2 epochs"):
        trainer.train_block(seqs)


def test_starts_are_widest_for_items_met_300_times() -> None:
    counts = np.array([0, 1, 30, 300, 3000, 30_000])
    trainer = SgnsTrainer(counts, SgnsOptions(vector_size=4800, epochs=3))
    items, contexts = trainer.vectors()
    deviation = [0, 0.0007, 0.021, 0.07 / 3, 0.07 / 30, 0.07 / 300]  # met 0, 3, 90, 900, ... times
    np.testing.assert_allclose(contexts.std(axis=1), deviation, rtol=0.05)
    np.testing.assert_allclose(items.std(axis=1), 0.0003, rtol=0.05)


SEQS = tc.Sequences.from_lists([[0, 1, 2], [1, 2, 3, 0]])
BAD: list[tuple[dict[str, Any], str]] = [
    ({"counts": [1, 2, -3, 4]}, "'counts'.*non-negative"),
    ({"counts": [1, 2]}, r"'sequences'.*tokens in \[0, 2\)"),
    ({"first_epoch": 9}, "'first_epoch'"),
    ({"noise_groups": [0, 1]}, "'noise_groups'"),
    ({"group_negative": 2}, "'group_negative'"),
    ({"global_context": [0, 4]}, "'global_context'.*Got '4 at 1'"),
    ({"global_context": [0]}, "'global_context'"),
    ({"start": (np.zeros((5, 64)), np.zeros((5, 64)))}, "'start'"),
]


@pytest.mark.parametrize(("kwargs", "match"), BAD, ids=lambda x: str(x)[:40])
def test_bad_parameters_of_the_trainer(kwargs: dict[str, Any], match: str) -> None:
    given = {"counts": SEQS.token_counts()} | kwargs
    context = given.pop("global_context", None)
    with pytest.raises(ValueError, match=match):
        SgnsTrainer(**given).train_block(SEQS, global_context=context)
