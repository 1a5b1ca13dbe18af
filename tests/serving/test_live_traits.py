"""Live traits of the recipes over token counts: any order of events gives what transforming all of them gives."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traitcore as tc
from tests.reference import serving as slow
from traitcore import EmbeddingTable, LiveCustomers, Sequences, TableError, TableStore, TraitModel
from traitcore.customers.shift import ShiftWarning
from traitcore.serving.live_traits import TokenPairs, TraitBasis

METHODS = ["spectral", "counts"]


@pytest.fixture(scope="module")
def corpus() -> Any:
    log = tc.simulate_events(n_users=150, n_items=40, n_traits=4, seed=3).log
    return tc.tokenize(tc.split_sessions(log), min_count=3)


@pytest.fixture(scope="module")
def models(corpus: Any) -> dict[str, TraitModel]:
    return {
        m: TraitModel(4, method=m, random_state=0).fit(corpus.sequences, corpus.vocabulary)
        for m in METHODS
    }


@pytest.fixture(scope="module")
def tokens(corpus: Any) -> EmbeddingTable:
    n = len(corpus.vocabulary)
    return EmbeddingTable(corpus.vocabulary.tokens, np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32))


def events(n: int, seed: int, n_tokens: int, customers: int = 9) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    skew = rng.random(n) ** 3  # some tokens come often
    return rng.integers(0, customers, n), (skew * n_tokens).astype(np.int64)


def transformed(model: TraitModel, who: Any, what: Any, customers: int = 9) -> Any:
    order = np.argsort(who, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(who, minlength=customers))))
    return model.transform_raw(Sequences(tokens=what[order], offsets=offsets, owner=np.arange(customers)))


@given(method=st.sampled_from(METHODS), n=st.integers(1, 400), seed=st.integers(0, 999), cuts=st.integers(1, 9))
def test_equals_the_model_from_scratch(models: Any, tokens: Any, method: str, n: int, seed: int, cuts: int) -> None:
    model = models[method]
    who, what = events(n, seed, len(tokens))
    live = LiveCustomers(tokens.vectors, traits=model)
    for part in np.array_split(np.random.default_rng(seed).permutation(n), cuts):
        live.update_batch(who[part], what[part])
    seen = np.unique(who)
    got, want = live.traits_batch(seen), transformed(model, who, what)[seen]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(live.profiles(seen).sum(axis=1), want.any(axis=1), atol=1e-6)
    arrays = model.to_arrays()
    exact = slow.live_traits(list(zip(who.tolist(), what.tolist())), model.components_, arrays["recipe_idf"],
                             np.arange(len(tokens)), 0.0, True)
    np.testing.assert_allclose(got, np.array([exact[c] for c in seen]), atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_one_by_one_is_the_batch(models: Any, tokens: Any, method: str) -> None:
    who, what = events(300, 1, len(tokens))
    one, many = (LiveCustomers(tokens, traits=models[method]) for _ in range(2))
    many.update_batch(who, tokens.ids[what])
    for c, t in zip(who.tolist(), tokens.ids[what].tolist()):
        one.update(c, t)
        one.traits(c)
    seen = np.unique(who)
    assert one.traits_batch(seen).tobytes() == many.traits_batch(seen).tobytes()
    np.testing.assert_array_equal(many.traits(int(seen[0])), many.traits_batch(seen)[0])
    np.testing.assert_array_equal(many.traits_batch(seen, workers=3), many.traits_batch(seen))


@pytest.mark.parametrize("method", METHODS)
def test_snapshot_goes_through_the_store(tmp_path: Path, models: Any, tokens: Any, method: str) -> None:
    who, what = events(500, 8, len(tokens), customers=30)
    live, again = (LiveCustomers(tokens.vectors, traits=models[method]) for _ in range(2))
    live.update_batch(who[:300], what[:300])
    store = TableStore(tmp_path)
    store.publish(live.snapshot(), "live")
    again.update(777, 1)
    again.restore(store.open("live", verify=True))
    assert 777 not in again
    for one in (live, again):
        one.update_batch(who[300:], what[300:])
        one.update_batch([999, 999], [3, 3])
    customers = [*np.unique(who).tolist(), 999]
    assert live.traits_batch(customers).tobytes() == again.traits_batch(customers).tobytes()
    assert store.publish(live.snapshot(), "live") == "v000002"
    a, b = live.snapshot(), again.snapshot().subset(live.snapshot().ids)
    np.testing.assert_array_equal(a.arrays["trait_sums"], b.arrays["trait_sums"])


def test_a_damaged_or_foreign_snapshot_is_refused(models: Any, tokens: Any) -> None:
    live = LiveCustomers(tokens, traits=models["spectral"])
    live.update_batch([1, 2, 1], tokens.ids[:3])
    good = live.snapshot()
    for other in (LiveCustomers(tokens), LiveCustomers(tokens, traits=models["counts"])):
        with pytest.raises(TableError, match="other traits"):
            other.restore(good)
    with pytest.raises(TableError, match="other traits"):
        live.restore(LiveCustomers(tokens).snapshot())
    for name, bad in (
        ("pair_row", np.array([0, 0, 2])), ("pair_token", np.array([0, 0, 1])), ("pair_token", np.array([0, 2, 10**6])),
        ("pair_count", np.array([1, 0, 1], np.int32)), ("pair_count", np.array([1, 1], np.int32)),
        ("pair_count", np.array([1, 1, 1])), ("trait_sums", np.zeros((2, 9))),
    ):
        arrays = {**good.arrays, name: bad}
        with pytest.raises(TableError, match="not a snapshot"):
            live.restore(EmbeddingTable(good.ids, good.vectors, arrays=arrays, metadata=good.metadata))
    arrays = {key: array for key, array in good.arrays.items() if key != "pair_row"}
    with pytest.raises(TableError, match="not a complete snapshot"):
        live.restore(EmbeddingTable(good.ids, good.vectors, arrays=arrays, metadata=good.metadata))
    live.restore(good)


def test_forgotten_customers_start_anew(models: Any, tokens: Any) -> None:
    model, rng = models["counts"], np.random.default_rng(0)
    live = LiveCustomers(tokens.vectors, traits=model, max_customers=32)
    for customer in range(400):
        live.update_batch([customer] * 5, rng.integers(0, len(tokens), 5))
    assert len(live) <= 32
    assert live._pairs.n <= 32 * 5
    assert len(live._state["trait_squares"]) <= 33
    live.update_batch([3, 3], [0, 0])  # long forgotten: its row was another's meanwhile
    want = transformed(model, np.array([0, 0]), np.array([0, 0]), customers=1)
    np.testing.assert_allclose(live.traits_batch([3]), want, atol=1e-5)


def test_pairs_are_a_dictionary() -> None:
    rng = np.random.default_rng(0)
    basis = TraitBasis(np.ones(2**20, np.float32), np.ones((2**20, 1), np.float32), np.ones((1, 1)))
    pairs, expected = TokenPairs(), {}
    sums, squares = np.zeros((700, 1)), np.zeros(700)
    for _ in range(40):
        rows, tokens = rng.integers(0, 700, 500), rng.integers(0, 30, 500) * 2**15  # keys that share their low bits
        pairs.add(rows, tokens, basis, sums, squares)
        for key in zip(rows.tolist(), tokens.tolist()):
            expected[key] = expected.get(key, 0) + 1
        gone = rng.integers(0, 700, 20).tolist()
        pairs.forget(gone)
        expected = {key: count for key, count in expected.items() if key[0] not in gone}
        keys, counts = pairs.items()
        assert {(k >> 32, k & 0xFFFFFFFF): c for k, c in zip(keys.tolist(), counts.tolist())} == expected
        assert pairs.n == len(expected)


def test_many_threads_lose_nothing(models: Any, tokens: Any) -> None:
    live = LiveCustomers(tokens.vectors, traits=models["spectral"])
    who, what = events(2000, 5, len(tokens))

    def feed(part: int) -> None:
        for i in range(part, 2000, 20):
            live.update_batch(who[i : i + 1], what[i : i + 1])
            live.traits(int(who[i]))

    threads = [threading.Thread(target=feed, args=(part,)) for part in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = np.unique(who)
    want = transformed(models["spectral"], who, what)[seen]
    np.testing.assert_allclose(live.traits_batch(seen), want, rtol=1e-5, atol=1e-5)


def test_components_that_repeat_or_are_zero(models: Any, tokens: Any) -> None:
    import copy

    model = copy.copy(models["counts"])
    H = model.components_.copy()
    H[1], H[2] = H[0], 0.0
    model.components_ = H
    live = LiveCustomers(tokens.vectors, traits=model)
    live.update_batch([1, 1, 2], [0, 1, 2])
    got = live.traits_batch([1, 2])
    assert np.isfinite(got).all()
    kept = copy.copy(model)
    kept.components_ = H[[0, 3]]
    other = LiveCustomers(tokens.vectors, traits=kept)
    other.update_batch([1, 1, 2], [0, 1, 2])
    np.testing.assert_allclose(got @ H, other.traits_batch([1, 2]) @ H[[0, 3]], atol=1e-5)


def test_what_traits_may_be(models: Any, tokens: Any, corpus: Any) -> None:
    with pytest.warns(ShiftWarning):
        shift = TraitModel(2, method="shift").fit(corpus.sequences, corpus.vocabulary, item_vectors=tokens.vectors)
    bad: list[tuple[Any, Any, type[Exception], str]] = [
        (tokens, "spectral", TypeError, "TraitModel"), (tokens.vectors[1:], models["spectral"], ValueError, "over the"),
        (tokens.subset(tokens.ids[::-1]), models["spectral"], ValueError, "in their order"),
        (tokens, shift, ValueError, "shift"), (tokens, TraitModel(), tc.NotFittedError, "fit"),
    ]
    for items, traits, error, match in bad:
        with pytest.raises(error, match=match):
            LiveCustomers(items, traits=traits)
    with pytest.raises(ValueError, match="components"):
        LiveCustomers(tokens, traits=models["spectral"], components=np.ones((2, 3)))


@pytest.mark.parametrize("method", METHODS)
def test_a_basis_goes_through_a_table(models: Any, tokens: Any, method: str) -> None:
    basis = TraitBasis.of(models[method])
    table = EmbeddingTable(tokens.ids, tokens.vectors, arrays=basis.to_arrays())
    one, two = LiveCustomers(tokens, traits=basis), LiveCustomers(table, traits=TraitBasis.of_table(table))
    for live in (one, two):
        live.update_batch([1, 2, 1], tokens.ids[:3])
    assert one.traits_batch([1, 2]).tobytes() == two.traits_batch([1, 2]).tobytes()
    with pytest.raises(TableError, match="no live traits"):
        TraitBasis.of_table(tokens)
    arrays = {**basis.to_arrays(), "live_basis": np.ones((3, 2), np.float32)}
    with pytest.raises(TableError, match="don't fit"):
        TraitBasis.of_table(EmbeddingTable(tokens.ids, tokens.vectors, arrays=arrays))
