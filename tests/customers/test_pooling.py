"""Customer vectors: every method against its slow twin and against scipy, and the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.shops import random_sequences
from tests.reference.pooling import document_frequencies, pooled
from traitcore import Sequences, _core, customer_vectors
from traitcore.customers.counts import count_tokens
from traitcore.customers.pooling import OwnerRuns, inverse_document_frequencies, owner_document_frequencies, pool

DAY_US = 86_400_000_000


def table(n_tokens: int = 17, width: int = 13) -> np.ndarray:
    return np.random.default_rng(99).standard_normal((n_tokens, width)).astype(np.float32)


WAYS = [
    {"method": "mean"},
    {"method": "tfidf"},
    {"method": "recency", "decay": 0.8},
    {"method": "recency", "decay": 1.0},
    {"method": "recency", "half_life_days": 3.0},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@given(seed=st.integers(0, 2**32), workers=st.sampled_from([1, 2, 3, 7]))
def test_fast_equals_slow(way, seed, workers):
    sequences = random_sequences(seed)
    got = customer_vectors(sequences, table(), workers=workers, **way)
    want = pooled(sequences, table(), **way)
    np.testing.assert_allclose(got.vectors, want, atol=2e-6)
    assert got.n_empty == int((want == 0).all(axis=1).sum())


@pytest.fixture
def level(request):
    _core.set_simd_level(request.param)
    yield request.param
    _core.set_simd_level(None)


@pytest.mark.parametrize("level", _core.simd_levels(), indirect=True)
@pytest.mark.parametrize("width", [0, 1, 3, 7, 8, 15, 16, 17, 31, 64, 65, 100, 136])
@pytest.mark.parametrize("weighted", ["", "token", "event", "token event"])
def test_sums_are_float64_in_the_order_of_events_at_every_simd_level(level, width, weighted):
    sequences, vectors = random_sequences(width), table(width=width)
    rng = np.random.default_rng(1)
    # Eighths: their products are exact in float32, as the twin's are in float64.
    by_token = (rng.integers(0, 9, 17) / 8).astype(np.float32) if "token" in weighted else None
    by_event = (rng.integers(0, 9, sequences.n_tokens) / 8).astype(np.float32) if "event" in weighted else None
    got = pool(sequences, OwnerRuns.of(sequences), vectors, by_token, by_event, 2)
    way = {"method": "attention", "event_weights": np.ones(sequences.n_tokens) if by_event is None else by_event}
    want = pooled(sequences, vectors, token_factor=by_token, **way)
    np.testing.assert_array_equal(got.vectors, want.astype(np.float32))
    weights = (1 if by_token is None else by_token[sequences.tokens]) * way["event_weights"]
    owners = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    np.testing.assert_array_equal(got.weights, np.bincount(owners, weights, minlength=13))
    np.testing.assert_array_equal(got.n_events, np.bincount(owners[weights > 0], minlength=13))


def test_the_core_refuses_arrays_that_do_not_fit():
    ints, floats = np.zeros(2, np.int64), np.zeros((1, 4), np.float32)
    good = [0, 1, ints, ints[:1], ints[:1], np.zeros(3, np.int32), floats, None, None, floats, np.zeros(1)]
    good += [ints[:1], None]
    _core.pool_owners(*good)
    for place, wrong in [
        (1, 2), (2, ints[:1]), (4, ints), (6, np.zeros((1, 3), np.float32)), (7, np.zeros(2, np.float32)),
        (8, np.zeros(2, np.float32)), (10, np.zeros(2)), (11, ints), (12, np.zeros(2, np.uint8)),
    ]:
        with pytest.raises(ValueError, match=r"must|out of range"):
            _core.pool_owners(*good[:place], wrong, *good[place + 1 :])
    with pytest.raises(TypeError):
        _core.pool_owners(*good[:5], np.zeros(3, np.int64), *good[6:])


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_actions_weigh(way):
    sequences, action = random_sequences(3), np.arange(17) % 4 - 1
    weights = np.array([0.5, 0.0, 3.0], dtype=np.float32)
    factor = np.where(action >= 0, weights[action], 1.0)
    got = customer_vectors(sequences, table(), token_action=action, action_weights=weights, **way)
    np.testing.assert_allclose(got.vectors, pooled(sequences, table(), token_factor=factor, **way), atol=2e-6)


def test_a_late_event_without_weight_does_not_wipe_out_the_rest():
    times = np.array([0, 9000 * DAY_US])
    sequences = Sequences(np.array([0, 1], np.int32), np.array([0, 2]), timestamps_us=times)
    got = customer_vectors(
        sequences, table(), method="recency", half_life_days=1.0,
        token_action=np.arange(17) % 2, action_weights=[1.0, 0.0],
    )
    np.testing.assert_array_equal(got.vectors[0], table()[0])


@pytest.mark.parametrize("seed", range(3))
def test_mean_is_scipys_product(seed):
    sequences = random_sequences(seed, n_sequences=300, n_owners=50)
    counts = count_tokens(sequences, n_tokens=17)
    mass = np.maximum(counts.sum(axis=1), 1)
    got = customer_vectors(sequences, table())
    np.testing.assert_allclose(got.vectors, (counts @ table()) / mass[:, None], atol=2e-6)
    np.testing.assert_array_equal(got.n_events, counts.sum(axis=1))
    idf = inverse_document_frequencies(document_frequencies(sequences, 17), sequences.n_owners)
    weighed = counts * idf[None, :]
    scale = np.maximum(weighed.sum(axis=1), 1e-9)
    got = customer_vectors(sequences, table(), method="tfidf")
    np.testing.assert_allclose(got.vectors, (weighed @ table()) / scale[:, None], atol=2e-6)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_workers_give_identical_bytes(way):
    sequences = random_sequences(8, n_sequences=10_003, n_owners=997, longest=30)
    one = customer_vectors(sequences, table(), **way)
    for workers in (2, 3, 7):
        many = customer_vectors(sequences, table(), workers=workers, **way)
        assert one.vectors.tobytes() == many.vectors.tobytes()
        assert one.weights.tobytes() == many.weights.tobytes()


def test_permuting_customers_permutes_rows_and_grouping_does_not_matter():
    sequences = random_sequences(5)
    order = np.argsort(sequences.owners(), kind="stable")
    grouped = Sequences.from_lists([sequences[i] for i in order], owner=sequences.owner[order],
                                   owner_ids=sequences.owner_ids)
    swap = np.random.default_rng(0).permutation(13).astype(np.int32)
    renamed = Sequences(sequences.tokens, sequences.offsets, swap[sequences.owner], None, sequences.owner_ids)
    for way in WAYS[:4]:
        plain = customer_vectors(sequences, table(), **way).vectors
        np.testing.assert_array_equal(plain, customer_vectors(grouped, table(), **way).vectors)
        np.testing.assert_array_equal(plain, customer_vectors(renamed, table(), **way).vectors[swap])


def test_customers_with_0_1_and_100_000_events():
    tokens = np.random.default_rng(1).integers(0, 17, 100_001).astype(np.int32)
    sequences = Sequences(tokens, np.array([0, 0, 1, 100_001]), timestamps_us=np.arange(100_001) * 60_000_000)
    for way in WAYS:
        got = customer_vectors(sequences, table(), **way)
        assert got.n_empty == 1
        assert not got.vectors[0].any()
        np.testing.assert_allclose(got.vectors[1], table()[tokens[0]], atol=1e-6)
        assert np.isfinite(got.vectors[2]).all()
    mean = table()[tokens[1:]].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(customer_vectors(sequences, table()).vectors[2], mean, atol=2e-6)


def test_document_frequencies_are_over_customers():
    sequences = Sequences.from_lists([[0, 0, 0], [0, 1], [2]], owner=[0, 0, 1])
    np.testing.assert_array_equal(owner_document_frequencies(sequences, 4), [1, 1, 1, 0])
    idf = inverse_document_frequencies([0, 1, 2], 2)
    np.testing.assert_allclose(idf, np.log([3.0, 1.5, 1.0]) + 1, rtol=1e-6)
    given_df = customer_vectors(sequences, table(4), method="tfidf", document_frequencies=[1, 1, 1, 0], n_documents=2)
    np.testing.assert_array_equal(given_df.vectors, customer_vectors(sequences, table(4), method="tfidf").vectors)


def test_vectors_may_begin_anywhere_in_memory():
    sequences, room = random_sequences(5), np.empty(17 * 16 + 16, dtype=np.float32)
    want = customer_vectors(sequences, table(width=16)).vectors
    for skip in range(16):
        moved = room[skip : skip + 17 * 16].reshape(17, 16)
        moved[:] = table(width=16)
        got = customer_vectors(sequences, moved).vectors
        assert got.tobytes() == want.tobytes()
        assert got.ctypes.data % 64 == 0
        assert got.flags.c_contiguous


def test_a_matrix_without_rows_or_columns():
    got = customer_vectors(Sequences.from_lists([], owner_ids=np.arange(3)), table())
    assert got.vectors.shape == (3, 13)
    assert got.n_empty == 3
    assert customer_vectors(Sequences.from_lists([]), table()).vectors.shape == (0, 13)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"method": "median"}, ValueError, "'method' parameter of customer_vectors"),
        ({"method": "recency", "decay": 0.0}, ValueError, "'decay'"),
        ({"method": "recency", "half_life_days": -1}, ValueError, "'half_life_days'"),
        ({"method": "tfidf", "n_documents": 3}, ValueError, "'document_frequencies'"),
        ({"method": "tfidf", "document_frequencies": np.full(17, 99), "n_documents": 3}, ValueError, "at most"),
        ({"action_weights": [1.0]}, ValueError, "'token_action'"),
        ({"action_weights": [-1.0], "token_action": np.zeros(17, int)}, ValueError, "non-negative"),
        ({"action_weights": [1.0], "token_action": np.ones(17, int)}, ValueError, r"ints in \[-1, 0\]"),
        ({"method": "attention"}, ValueError, "'attention'"),
        ({"workers": 0}, ValueError, "'workers'"),
        ({"item_vectors": np.zeros((3, 2), np.float32)}, ValueError, "token .* at"),
        ({"item_vectors": np.full((17, 2), np.nan)}, ValueError, "finite"),
    ],
)
def test_refusals(bad, error, message):
    arguments = {"item_vectors": table(), **bad}
    with pytest.raises(error, match=message):
        customer_vectors(random_sequences(0), **arguments)


def test_half_life_needs_times():
    with pytest.raises(ValueError, match="no timestamps_us"):
        customer_vectors(Sequences.from_lists([[0]]), table(), method="recency", half_life_days=2)
