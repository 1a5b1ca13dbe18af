"""LiveCustomers: any order of events gives what pooling all of them gives."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import serving as slow
from traitcore import Sequences, TableError, TableStore, customer_vectors
from traitcore.factorization.fold_in import fold_in
from traitcore.serving.live_customers import LiveCustomers
from traitcore.serving.table import EmbeddingTable

N_TOKENS, D, DAY = 40, 6, 86_400_000_000
VECTORS = np.random.default_rng(0).normal(size=(N_TOKENS, D)).astype(np.float32)
DF = np.arange(N_TOKENS)


def settings_of(method: str) -> dict[str, Any]:
    return {
        "mean": {}, "tfidf": {"document_frequencies": DF, "n_documents": 50}, "recency": {"half_life_days": 3.0},
    }[method]


def draw(n: int, seed: int, customers: int = 9) -> tuple[Any, Any, Any]:
    """Events in the order of the corpus: by customer, then by time."""
    rng = np.random.default_rng(seed)
    who = np.sort(rng.integers(0, customers, n))
    when = 1_750_000_000_000_000 + rng.integers(0, 90 * DAY, n)
    return who, rng.integers(0, N_TOKENS, n), when[np.lexsort((when, who))]


def pooled(who: Any, tokens: Any, times: Any, method: str, **extra: Any) -> Any:
    offsets = np.concatenate(([0], np.cumsum(np.bincount(who, minlength=9))))
    sequences = Sequences(tokens=tokens, offsets=offsets, owner=np.arange(9), timestamps_us=times)
    return customer_vectors(sequences, VECTORS, method=method, **settings_of(method), **extra).vectors


@given(
    method=st.sampled_from(["mean", "tfidf", "recency"]), n=st.integers(1, 300), seed=st.integers(0, 999),
    cuts=st.integers(1, 9), shuffled=st.booleans(), weighted=st.booleans(),
)
def test_equals_pooling_from_scratch(
    method: str, n: int, seed: int, cuts: int, shuffled: bool, weighted: bool
) -> None:
    who, tokens, times = draw(n, seed)
    extra: dict[str, Any] = {}
    if weighted:
        extra = {"token_action": np.arange(N_TOKENS) % 4 - 1, "action_weights": [0.0, 1.5, 3.0]}
    live = LiveCustomers(VECTORS, method=method, **settings_of(method), **extra)
    order = np.random.default_rng(seed).permutation(n) if shuffled else np.arange(n)
    for part in np.array_split(order, cuts):
        live.update_batch(who[part], tokens[part], timestamps_us=times[part])
    customers = np.unique(who)
    got = live.vectors(customers)
    want = pooled(who, tokens, times, method, **extra)[customers]
    if method == "recency" or shuffled:
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)
    else:  # the same float64 sums in the same order
        np.testing.assert_array_equal(got, want)
    # The float64 twin rounded to float32 is what is read, to the last bit but one.
    events = list(zip(who.tolist(), tokens.tolist(), times.tolist()))
    exact = slow.live_vectors(events, VECTORS, live._weights, 3.0 * DAY if method == "recency" else None)
    want = np.array([exact[c] for c in customers]).astype(np.float32)
    assert np.abs(got - want).max() <= np.spacing(np.abs(want).max())


def test_one_by_one_is_the_batch() -> None:
    who, tokens, times = draw(200, 3)
    for method in ("mean", "tfidf", "recency"):
        one, many = (LiveCustomers(VECTORS, method=method, **settings_of(method)) for _ in range(2))
        many.update_batch(who, tokens, timestamps_us=times)
        for c, t, s in zip(who.tolist(), tokens.tolist(), times.tolist()):
            one.update(c, t, timestamp_us=s)
        customers = np.unique(who)
        assert one.vectors(customers).tobytes() == many.vectors(customers).tobytes()


def test_old_events_fade_without_overflow() -> None:
    live = LiveCustomers(VECTORS, method="recency", half_life_days=1e-6)  # 86 milliseconds
    live.update("a", 0, timestamp_us=-(2**60))
    live.update("a", 1, timestamp_us=2**60)
    np.testing.assert_array_equal(live.vector("a"), VECTORS[1])
    live.update("a", 2, timestamp_us=0)  # far too late to matter
    np.testing.assert_array_equal(live.vector("a"), VECTORS[1])
    live.update("a", 2, timestamp_us=2**60)
    np.testing.assert_allclose(live.vector("a"), (VECTORS[1] + VECTORS[2]) / 2, rtol=1e-6)


@pytest.mark.parametrize("split", [False, True])
def test_traits_are_the_fold_in_of_the_vector(split: bool) -> None:
    rng = np.random.default_rng(1)
    components = np.abs(rng.normal(size=(4, 2 * D if split else D))).astype(np.float32)
    offset = VECTORS.mean(axis=0)
    live = LiveCustomers(VECTORS, components=components, offset=offset, split=split)
    who, tokens, _ = draw(100, 1)
    live.update_batch(who, tokens)
    customers = np.unique(who)
    moved = live.vectors(customers) - offset
    rows = np.concatenate([np.maximum(moved, 0), np.maximum(-moved, 0)], axis=1) if split else moved
    got = live.traits_batch(customers)
    np.testing.assert_allclose(got, fold_in(rows, components), atol=1e-6)
    assert (got >= 0).all()
    for row, customer in enumerate(customers.tolist()):
        np.testing.assert_allclose(live.traits(customer), got[row], atol=1e-5)


def test_events_that_weigh_nothing() -> None:
    weights = {"token_action": np.zeros(N_TOKENS, int), "action_weights": [0.0]}
    live = LiveCustomers(VECTORS, components=np.ones((2, D), np.float32), **weights)
    live.update("a", 3)
    assert live.vector("a").tolist() == [0.0] * D
    assert live.traits("a").tolist() == [0.0, 0.0]


def test_tokens_by_their_ids() -> None:
    table = EmbeddingTable([f"view_{i}" for i in range(N_TOKENS)], VECTORS)
    live = LiveCustomers(table)
    live.update("ada", "view_3")
    live.update_batch(["ada", "bob", "ada"], ["view_5", "gone", "view_5"])
    np.testing.assert_allclose(live.vector("ada"), (VECTORS[3] + 2 * VECTORS[5]) / 3, rtol=1e-6)
    assert live.n_unknown == 1
    assert "bob" not in live
    with pytest.raises(KeyError, match="'bob'"):
        live.vector("bob")


@pytest.mark.parametrize("method", ["mean", "recency"])
def test_snapshot_goes_through_the_store(tmp_path: Path, method: str) -> None:
    who, tokens, times = draw(300, 8)
    live = LiveCustomers(VECTORS, method=method, **settings_of(method))
    live.update_batch(who[:200], tokens[:200], timestamps_us=times[:200])
    store = TableStore(tmp_path)
    store.publish(live.snapshot(), "live")
    again = LiveCustomers(VECTORS, method=method, **settings_of(method))
    again.update("someone else", 1, timestamp_us=0)
    again.restore(store.open("live", verify=True))
    assert "someone else" not in again
    for one in (live, again):
        one.update_batch(who[200:], tokens[200:], timestamps_us=times[200:])
        one.update("new", 3, timestamp_us=int(times[0]))
    customers = [*np.unique(who).tolist(), "new"]
    assert live.vectors(customers).tobytes() == again.vectors(customers).tobytes()


def test_snapshots_of_other_settings_are_refused() -> None:
    live = LiveCustomers(VECTORS)
    live.update(1, 1)
    snapshot = live.snapshot()
    moved = VECTORS.copy()
    moved[0, 0] += 1
    for other in (
        LiveCustomers(moved), LiveCustomers(VECTORS, method="tfidf", **settings_of("tfidf")),
        LiveCustomers(VECTORS, method="recency", half_life_days=1.0),
        LiveCustomers(VECTORS, token_action=np.zeros(N_TOKENS, int), action_weights=[2.0]),
    ):
        with pytest.raises(TableError, match="taken with other"):
            other.restore(snapshot)
    with pytest.raises(TableError, match="not a snapshot"):
        live.restore(EmbeddingTable(["a"], VECTORS[:1]))


def test_a_snapshot_names_the_version_it_was_made_with(tmp_path: Path) -> None:
    store = TableStore(tmp_path)
    for fill in range(3):
        store.publish(EmbeddingTable([f"t{i}" for i in range(N_TOKENS)], VECTORS + fill), "tokens")
    live = LiveCustomers(store.open("tokens", "v000001"))
    live.update(1, "t1")
    store.publish(live.snapshot(), "live")
    assert store.prune("tokens", keep=1) == ["v000002"]
    with pytest.raises(TableError, match=r"other items: \{'tokens': 'v000001'\}, here \{'tokens': 'v000003'\}"):
        LiveCustomers(store.open("tokens")).restore(store.open("live"))
    LiveCustomers(store.open("tokens", "v000001")).restore(store.open("live"))


def test_memory_is_bounded() -> None:
    live = LiveCustomers(VECTORS, max_customers=64)
    for customer in range(1000):
        live.update(customer, customer % N_TOKENS)
        live.update(0, 1)  # a regular: never the one that slept longest
    assert len(live) <= 64
    assert len(live._state["mass"]) <= 65
    assert live.n_evicted == 1000 - len(live)
    assert 0 in live
    assert 999 in live
    live.update_batch(np.arange(5000), np.zeros(5000, int))  # more new customers at once than fit
    assert len(live) <= 64
    np.testing.assert_array_equal(live.vector(4999), VECTORS[0])
    one = LiveCustomers(VECTORS, max_customers=1)
    one.update_batch([1, 2, 1], [0, 1, 2])
    np.testing.assert_array_equal(one.vector(1), VECTORS[2])


def test_many_threads_lose_nothing() -> None:
    live = LiveCustomers(VECTORS)
    who, tokens, times = draw(4000, 5, customers=9)

    def feed(part: int) -> None:
        for i in range(part, 4000, 40):
            live.update_batch(who[i : i + 1], tokens[i : i + 1])
            live.vector(int(who[i]))

    threads = [threading.Thread(target=feed, args=(part,)) for part in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert live._state["known"].sum() == 4000
    customers = np.unique(who)
    want = pooled(who, tokens, times, "mean")[customers]
    np.testing.assert_allclose(live.vectors(customers), want, rtol=2e-5, atol=1e-6)


def test_a_bad_batch_changes_nothing() -> None:
    live = LiveCustomers(VECTORS, method="recency", half_life_days=1.0)
    live.update("a", 0, timestamp_us=0)
    before = live.vector("a").tobytes()
    bad: list[tuple[Any, Any, Any, type[Exception]]] = [
        (["a", "b"], [0, N_TOKENS], [1, 2], ValueError), (["a", "b"], [0, -1], [1, 2], ValueError),
        (["a", None], [0, 1], [1, 2], TypeError), (["a", 1.5], [0, 1], [1, 2], TypeError),
        (["a", True], [0, 1], [1, 2], TypeError), (["a"], [0, 1], [1], ValueError), (["a"], [0], None, ValueError),
        (["a"], [0], [1, 2], ValueError), (["a"], [0.5], [1], TypeError),
    ]
    for customers, tokens, times, error in bad:
        with pytest.raises(error, match="parameter of LiveCustomers"):
            live.update_batch(customers, tokens, timestamps_us=times)
    assert (len(live), live.vector("a").tobytes()) == (1, before)
    live.update_batch([], [], timestamps_us=[])


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"method": "attention"}, ValueError), ({"method": "tfidf"}, ValueError), ({"method": "recency"}, TypeError),
        ({"half_life_days": 1.0}, ValueError), ({"method": "recency", "half_life_days": 0.0}, ValueError),
        ({"components": np.ones((2, D + 1))}, ValueError), ({"components": np.ones((2, D)), "split": True}, ValueError),
        ({"offset": np.ones(D + 1)}, ValueError), ({"max_customers": 0}, ValueError), ({"split": 1}, TypeError),
        ({"action_weights": [1.0], "token_action": np.full(N_TOKENS, 3)}, ValueError),
    ],
)
def test_bad_settings(kwargs: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="parameter of LiveCustomers"):
        LiveCustomers(VECTORS, **kwargs)


def test_no_traits_without_components() -> None:
    live = LiveCustomers(VECTORS)
    live.update(1, 1)
    with pytest.raises(ValueError, match="components"):
        live.traits(1)


def test_a_forgotten_customer_leaves_nothing() -> None:
    table = EmbeddingTable(["cup", "mug", "tie"], np.eye(3))
    live, never = LiveCustomers(table), LiveCustomers(table)
    events = [("ann", "cup"), ("bob", "mug"), ("ann", "tie"), ("cid", "tie")]
    live.update_batch([who for who, _ in events], [what for _, what in events])
    never.update_batch([who for who, _ in events if who != "ann"], [what for who, what in events if who != "ann"])
    assert live.forget("ann") == 1
    assert live.forget(["ann", "dan"]) == 0
    assert "ann" not in live
    assert live.n_evicted == 0
    with pytest.raises(KeyError, match="ann"):
        live.vector("ann")
    np.testing.assert_array_equal(live.vectors(["bob", "cid"]), never.vectors(["bob", "cid"]))
    live.update("dan", "mug")  # takes the place of ann, and nothing of hers
    assert live.vector("dan").tolist() == [0, 1, 0]
    live.update("ann", "cup")
    assert live.vector("ann").tolist() == [1, 0, 0]
