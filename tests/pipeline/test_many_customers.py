"""Customers by the block: the numbers are those of all at once, and a sample's traits are read for everybody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import traitcore as tc
from traitcore.pipeline import PipelineConfig, many_customers
from traitcore.pipeline.many_customers import (
    count_events,
    empty_rows,
    latest_tokens,
    owner_blocks,
    pool_customers,
    take_sequences,
)
from traitcore.quality.traits import matched_correlation


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_customers, "_AT_ONCE", 70)
    monkeypatch.setattr(many_customers, "_LARGE", 1000)


def some_sequences(*, owned: bool, ordered: bool = True) -> tc.Sequences:
    rng = np.random.default_rng(0)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 9, 200))))
    owner = rng.integers(0, 40, 200)
    return tc.Sequences(
        rng.integers(0, 30, offsets[-1]), offsets, (np.sort(owner) if ordered else owner) if owned else None,
        timestamps_us=np.arange(offsets[-1]), owner_ids=np.arange(45 if owned else 200) + 7,
    )


@pytest.mark.parametrize(("owned", "ordered"), [(True, True), (False, True), (True, False)])
def test_blocks_are_the_whole(owned: bool, ordered: bool) -> None:
    sequences = some_sequences(owned=owned, ordered=ordered)
    blocks = list(owner_blocks(sequences))
    assert len(blocks) > 5 or not ordered
    assert [low for low, _, _ in blocks] == [0, *[high for _, high, _ in blocks]][:-1]
    assert blocks[-1][1] == sequences.n_owners
    if ordered:
        assert np.concatenate([part.tokens for *_, part in blocks]).tolist() == sequences.tokens.tolist()
    assert all(part.n_owners == high - low for low, high, part in blocks)
    events = np.zeros(sequences.n_owners, dtype=int)
    last: list[list[int]] = [[] for _ in events]
    for who, one in zip(sequences.owners(), sequences):
        events[who] += len(one)
        last[who] += one.tolist()
    assert count_events(sequences).tolist() == events.tolist()
    assert latest_tokens(sequences, 3).tolist() == [([*one[::-1][:3], -1, -1, -1])[:3] for one in last]


@pytest.mark.parametrize("pooling", ["mean", "tfidf", "recency"])
def test_pooled_by_the_block(pooling: str) -> None:
    corpus = tc.tokenize(tc.split_sessions(tc.simulate_events(n_users=60, n_items=30, n_traits=2, seed=0).log))
    vectors = np.random.default_rng(0).normal(size=(len(corpus.vocabulary), 6)).astype(np.float32)
    got, n_empty = pool_customers(corpus.sequences, vectors, corpus.vocabulary, PipelineConfig(pooling=pooling), None)
    wanted = tc.customer_vectors(corpus.sequences, vectors, method=pooling)
    assert got.tobytes() == wanted.vectors.tobytes()
    assert n_empty == wanted.n_empty


def test_sequences_are_taken_by_the_block() -> None:
    sequences = some_sequences(owned=True)
    rows = np.sort(np.random.default_rng(1).permutation(200)[:150])
    got, wanted = take_sequences(sequences, rows), sequences.take(rows)
    for name in ("tokens", "offsets", "owner", "timestamps_us"):
        assert getattr(got, name).tolist() == getattr(wanted, name).tolist()
    assert len(take_sequences(sequences, rows[:0])) == 0


def test_a_large_array_is_a_file_and_a_full_disk_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    array = empty_rows((100, 16), np.float32)
    array[:] = 3
    assert array.base is not None
    assert array.sum() == 4800

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        empty_rows((100, 16), np.float32)


@pytest.mark.parametrize("method", ["counts"])
def test_traits_of_a_sample_are_read_for_all(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sim = tc.simulate_events(n_users=400, n_items=60, n_traits=3, seed=0)
    options: dict[str, Any] = {"method": "ppmi", "vector_size": 8, "n_traits": 3, "trait_method": method}
    whole = tc.fit_pipeline(sim.log, **options)
    monkeypatch.setattr(many_customers, "SAMPLE", 150)
    found = tc.fit_pipeline(sim.log, **options)
    assert found.customers is not None
    assert found.model is not None
    assert found.model.transform(found.sequences).tobytes() == np.ascontiguousarray(found.profiles).tobytes()
    assert len(found.profiles) == found.sequences.n_owners
    assert "shaped by 150 customers" in str([stage.report for stage in found.stages])
    rows = np.searchsorted(sim.truth.customer_ids, found.customers.ids.astype(sim.truth.customer_ids.dtype))
    planted = sim.truth.customer_traits[rows]
    recovered, best = matched_correlation(planted, found.profiles), matched_correlation(planted, whole.profiles)
    assert recovered > best - 0.05
    for trait in found.traits:
        share = found.profiles[:, trait.trait]
        assert trait.customers == int((share > 0.3).sum())
        assert trait.prevalence == pytest.approx(share.mean())
        assert share[list(trait.exemplars)].min() > np.median(share)
