"""Counts against the spec's triple loop, for every option; sums of counts; bytes for any number of workers."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from tests.reference.cooccurrence import cooccurrences, pruned
from traitcore.items import cooccurrence, count_parts
from traitcore.items.cooccurrence import count_cooccurrences
from traitcore.items.count_parts import csr_of
from traitcore.items.merge_counts import merge_counts, subtract_counts

N = 9
SESSIONS = st.lists(st.lists(st.integers(0, N - 1), max_size=14), max_size=8)
WINDOWS = st.sampled_from([1, 2, 5, 40, None])


def check_form(matrix: sparse.csr_array) -> None:
    assert isinstance(matrix, sparse.csr_array)
    for i in range(matrix.shape[0]):
        assert (np.diff(matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]]) > 0).all()
    assert (matrix.data != 0).all()
    assert len(matrix.indices) == len(matrix.data) == matrix.indptr[-1]


def same_bytes(a: sparse.csr_array, b: sparse.csr_array) -> bool:
    return all(
        x.dtype == y.dtype and x.tobytes() == y.tobytes()
        for x, y in ((a.data, b.data), (a.indices, b.indices), (a.indptr, b.indptr))
    )


@given(sessions=SESSIONS, window=WINDOWS, symmetric=st.booleans(), self_pairs=st.booleans())
def test_flat_counts_are_the_triple_loop(sessions, window, symmetric, self_pairs) -> None:
    counts = count_cooccurrences(
        tc.Sequences.from_lists(sessions), n_items=N, window=window, symmetric=symmetric, self_pairs=self_pairs
    )
    check_form(counts)
    assert counts.dtype == np.int32
    expected = cooccurrences(sessions, N, window, symmetric=symmetric, self_pairs=self_pairs)
    np.testing.assert_array_equal(counts.toarray(), expected)


@given(sessions=SESSIONS, window=st.sampled_from([1, 3, 6]), symmetric=st.booleans(), name=st.integers(0, 3))
def test_weights_by_distance(sessions, window, symmetric, name) -> None:
    table = np.linspace(2.0, 0.5, window)
    weighting, weight = [
        ("harmonic", lambda d: 1 / d),
        ("linear", lambda d: (window - d + 1) / window),
        (table, lambda d: table[d - 1]),
        ("flat", lambda d: 1.0),
    ][name]
    counts = count_cooccurrences(
        tc.Sequences.from_lists(sessions), n_items=N, window=window, symmetric=symmetric, weighting=weighting,
        dtype=np.float64,
    )
    check_form(counts)
    expected = cooccurrences(sessions, N, window, symmetric=symmetric, weight=weight)
    np.testing.assert_allclose(counts.toarray(), expected, rtol=1e-12)


@given(
    sessions=SESSIONS, window=WINDOWS, symmetric=st.booleans(), cap=st.sampled_from([None, 1, 2.5]),
    seed=st.integers(0, 99),
)
def test_weights_by_sequence_and_action_and_the_cap(sessions, window, symmetric, cap, seed) -> None:
    rng = np.random.default_rng(seed)
    scale = rng.integers(0, 3, len(sessions)) / 2
    actions = [rng.integers(0, 3, len(s)) for s in sessions]
    table = rng.integers(0, 3, (3, 3)).astype(float)
    counts = count_cooccurrences(
        tc.Sequences.from_lists(sessions), n_items=N, window=window, symmetric=symmetric, sequence_weights=scale,
        actions=np.concatenate([*actions, np.zeros(0, int)]).astype(int), action_weights=table, cap_per_sequence=cap,
        dtype=np.float64,
    )
    check_form(counts)
    expected = cooccurrences(
        sessions, N, window, symmetric=symmetric, sequence_weights=scale, actions=actions, action_weights=table,
        cap=np.inf if cap is None else cap,
    )
    np.testing.assert_allclose(counts.toarray(), expected, rtol=1e-12, atol=1e-12)


@given(sessions=SESSIONS, least=st.sampled_from([None, 2, 3.5]), k=st.sampled_from([None, 1, 2, 4]))
def test_pruning_keeps_the_largest_entries(sessions, least, k) -> None:
    counts = count_cooccurrences(tc.Sequences.from_lists(sessions), n_items=N, min_pair_count=least, k=k)
    check_form(counts)
    np.testing.assert_array_equal(counts.toarray(), pruned(cooccurrences(sessions, N, 5), least or 0, k or N))


def test_an_int_cap_counts_sequences() -> None:
    counts = count_cooccurrences(tc.Sequences.from_lists([[0, 1, 0, 1], [1, 0]]), cap_per_sequence=1)
    assert counts.dtype == np.int32
    np.testing.assert_array_equal(counts.toarray(), [[1, 2], [2, 1]])


@given(sessions=SESSIONS, cut=st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_any_partition_merges_to_the_whole(sessions, cut) -> None:
    parts = [tc.Sequences.from_lists([s for s, c in zip(sessions, cut) if c == k]) for k in range(4)]
    merged = merge_counts([count_cooccurrences(p, n_items=N) for p in parts])
    assert same_bytes(merged, count_cooccurrences(tc.Sequences.from_lists(sessions), n_items=N))


def test_merging_decays_and_takes_new_items() -> None:
    old = sparse.csr_array(np.array([[0, 4], [2, 0]], dtype=np.int32))
    new = sparse.csr_array(np.array([[0, 1, 0], [0, 0, 3], [5, 0, 0]], dtype=np.int32))
    merged = merge_counts([old, new], weights=(0.5, 1.0))
    assert merged.dtype == np.float32
    np.testing.assert_array_equal(merged.toarray(), [[0, 3, 0], [1, 0, 3], [5, 0, 0]])
    assert merge_counts([old], n_items=5).shape == (5, 5)
    huge = sparse.csr_array(np.array([[2**31 - 1]], dtype=np.int32))
    assert merge_counts([huge, huge]).toarray().tolist() == [[2**32 - 2]]


@pytest.mark.parametrize("weighted", [False, True])
def test_any_number_of_workers_gives_the_same_bytes(weighted: bool) -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 30, 1009)
    tokens = (rng.pareto(1.0, lengths.sum()) * 7).astype(np.int64) % 211
    seqs = tc.Sequences(tokens=tokens, offsets=np.append(0, np.cumsum(lengths)))
    options = {"weighting": "harmonic", "sequence_weights": rng.random(1009)} if weighted else {}
    one = count_cooccurrences(seqs, window=7, **options)
    check_form(one)
    for workers in (2, 3, 7, -1):
        assert same_bytes(one, count_cooccurrences(seqs, window=7, workers=workers, **options))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_buffers_grow_without_a_change(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    seqs = tc.Sequences(tokens=rng.integers(0, 150, 3000), offsets=np.arange(0, 3001, 10))
    whole = count_cooccurrences(seqs)
    monkeypatch.setattr(cooccurrence, "FIRST_ENTRIES", 1)
    monkeypatch.setattr(count_parts, "_SLICE", 40)
    assert same_bytes(whole, count_cooccurrences(seqs, workers=workers))


def test_more_workers_than_rows() -> None:
    seqs = tc.Sequences.from_lists([[0, 1, 0, 2]])
    assert same_bytes(count_cooccurrences(seqs), count_cooccurrences(seqs, workers=50))


def test_wide_rows_are_sorted() -> None:
    """More columns than the bitmap's first level has bits in a word of its second: 64 * 64."""
    tokens = np.random.default_rng(0).permutation(9001)
    counts = count_cooccurrences(tc.Sequences(tokens=np.append(tokens, 0), offsets=np.array([0, 9002])), window=None)
    check_form(counts)
    assert counts.nnz == 9001**2 - 9000 + 0  # every pair meets; of the diagonal only item 0, which comes twice


def test_small_and_empty_input() -> None:
    assert count_cooccurrences(tc.Sequences.from_lists([])).shape == (1, 1)
    assert count_cooccurrences(tc.Sequences.from_lists([[], []]), n_items=4).nnz == 0
    assert count_cooccurrences(tc.Sequences.from_lists([[0]])).nnz == 0
    np.testing.assert_array_equal(count_cooccurrences(tc.Sequences.from_lists([[0, 0, 0]])).toarray(), [[6]])


def test_many_entries_get_wide_indices() -> None:
    """Above 2**31 entries both index arrays are int64: by construction, with the limit at 3."""
    whole = count_cooccurrences(tc.Sequences.from_lists([[0, 1, 2]]))
    wide = csr_of(whole.data, whole.indices, whole.indptr.astype(np.int64), whole.shape, limit=3)
    assert wide.indices.dtype == wide.indptr.dtype == np.int64
    narrow = csr_of(whole.data, whole.indices, whole.indptr.astype(np.int64), whole.shape)
    assert narrow.indices.dtype == narrow.indptr.dtype == np.int32
    np.testing.assert_array_equal(wide.toarray(), whole.toarray())
    np.testing.assert_allclose(tc.positive_pmi(wide).toarray(), tc.positive_pmi(whole).toarray())
    assert same_bytes(merge_counts([whole]), whole)


def test_counts_that_could_overflow_are_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "INT32_MAX", 5)
    counts = count_cooccurrences(tc.Sequences.from_lists([[0, 1, 0]]))
    assert counts.dtype == np.int64
    with pytest.raises(ValueError, match="int64: a count may reach"):
        count_cooccurrences(tc.Sequences.from_lists([[0, 1, 0]]), dtype=np.int32)


def test_memory_is_predicted_before_the_work() -> None:
    rng = np.random.default_rng(0)
    seqs = tc.Sequences(tokens=rng.integers(0, 800, 40_000), offsets=np.arange(0, 40_001, 20))
    with pytest.raises(MemoryError, match=r"needs about \d+ MiB, more than memory_limit_mb=1\."):
        count_cooccurrences(seqs, memory_limit_mb=1)
    whole = count_cooccurrences(seqs)
    roomy = count_cooccurrences(seqs, memory_limit_mb=100)
    assert same_bytes(whole, roomy)
    # Between what is possible and what there is: the sample tells.
    needed = 8 * whole.nnz / 2**20
    assert same_bytes(whole, count_cooccurrences(seqs, memory_limit_mb=needed * 1.4 + 1))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("weights", [None, np.full(10_000, 0.5)])
def test_memory_above_the_limit_is_refused_before_it_is_taken(workers: int, weights: Any) -> None:
    """A megabyte is not enough for the inverted corpus, 40 are for it but not for the result."""
    rng = np.random.default_rng(0)
    seqs = tc.Sequences(tokens=rng.integers(0, 20_000, 1_000_000), offsets=np.arange(0, 1_000_001, 100))
    options = {"window": 20, "workers": workers, "sequence_weights": weights}
    count_cooccurrences(tc.Sequences.from_lists([[0, 1]]), workers=workers)  # compiled, and modules imported
    for limit in (1, 40):
        tracemalloc.start()
        try:
            with pytest.raises(MemoryError, match=f"more than memory_limit_mb={limit}"):
                count_cooccurrences(seqs, memory_limit_mb=limit, **options)
            assert tracemalloc.get_traced_memory()[1] <= limit * 2**20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("dtype", [None, np.float32])
@pytest.mark.parametrize("cut", [1.0, 0.5, 0.25])
def test_a_corpus_that_does_not_fit_is_counted_in_parts(cut: float, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    seqs = tc.Sequences(tokens=rng.integers(0, 60, 500_000), offsets=np.arange(0, 500_001, 20))
    whole = count_cooccurrences(seqs, n_items=70, dtype=dtype)
    least = seqs.n_tokens * 8 / 2**20
    count_cooccurrences(seqs, n_items=70, dtype=dtype, memory_limit_mb=least / 4)  # compiled
    tracemalloc.start()
    try:
        parts = count_cooccurrences(seqs, n_items=70, dtype=dtype, memory_limit_mb=least * cut)
        assert tracemalloc.get_traced_memory()[1] <= 1.1 * least * cut * 2**20
    finally:
        tracemalloc.stop()
    assert same_bytes(whole, parts)


def test_a_limit_that_leaves_hardly_any_room_for_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    seqs = tc.Sequences(tokens=np.arange(400_000) % 7 % 4, offsets=np.arange(0, 400_001, 2000))
    asked, fixed_bytes = [], cooccurrence._fixed_bytes
    monkeypatch.setattr(cooccurrence, "_fixed_bytes", lambda task: asked.append(fixed_bytes(task)) or asked[-1])
    count_cooccurrences(seqs, n_items=5000, memory_limit_mb=2)
    least = min(asked)  # what no tokens at all need: room for two of it there must be
    with pytest.raises(MemoryError):
        count_cooccurrences(seqs, n_items=5000, memory_limit_mb=(2 * least - 1) / 2**20)
    whole = count_cooccurrences(seqs, n_items=5000)
    for more in (0, 1e-6, 1):
        assert same_bytes(whole, count_cooccurrences(seqs, n_items=5000, memory_limit_mb=(2 * least + more) / 2**20))


def only_first(n: int, first: bool) -> int:
    """How many of `n` ranges the worker takes."""
    return n if first else 0


def only_others(n: int, first: bool) -> int:
    return 0 if first else n


def one_falls_behind(n: int, first: bool) -> int:
    return n if first else 2


HALVES = np.full(4_000, 0.5)


@pytest.mark.parametrize(("workers", "division", "weights"), [
    (1, None, None), (2, None, None), (4, None, HALVES), (2, only_first, None), (2, only_others, None),
    (3, only_others, HALVES), (2, one_falls_behind, None), (2, one_falls_behind, HALVES),
])
def test_memory_stays_below_a_limit_that_is_accepted(
    workers: int, division: Callable[[int, bool], int] | None, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However unevenly the workers share the rows: a busy machine may leave nearly all to one."""
    rng = np.random.default_rng(0)
    seqs = tc.Sequences(tokens=rng.integers(0, 2_000, 400_000), offsets=np.arange(0, 400_001, 100))
    whole = count_cooccurrences(seqs, window=20, sequence_weights=weights)
    if division is not None:
        take = count_parts.RangeQueue.take

        def uneven(self: count_parts.RangeQueue, *, first: bool) -> Iterator[tuple[int, int]]:
            return islice(take(self, first=first), division(len(self), first))

        monkeypatch.setattr(count_parts.RangeQueue, "take", uneven)
    for limit in range(20, 200, 4):  # the first that is accepted
        tracemalloc.start()
        try:
            counts = count_cooccurrences(
                seqs, window=20, sequence_weights=weights, memory_limit_mb=limit, workers=workers
            )
        except MemoryError:
            continue
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak <= 1.05 * limit * 2**20
        assert same_bytes(counts, whole)
        return
    raise AssertionError("no limit was accepted")


@pytest.mark.parametrize("use", [
    lambda seqs: count_cooccurrences(seqs), lambda seqs: seqs.token_counts(), lambda seqs: tc.train_sgns(seqs),
    lambda seqs: tc.PPMIEmbedder().fit(seqs), lambda seqs: tc.NextItemCounts().fit(seqs),
    lambda seqs: tc.WalkEmbedder().fit(seqs), lambda seqs: tc.Item2Vec().fit(seqs),
])
@pytest.mark.parametrize("largest", [2_000_000_000, 50_000_000])
def test_raw_ids_are_refused_not_allocated(use: Any, largest: int) -> None:
    with pytest.raises(ValueError, match="that number a vocabulary"):
        use(tc.Sequences.from_lists([[largest, 1, 2], [3, largest]]))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("lists", [[[0, 1, 2, 1]] * 50, [[0, 1]], [[]], [list(range(900)) * 2] * 20])
def test_progress_is_the_same_for_any_workers(lists: list[list[int]], workers: int) -> None:
    seqs = tc.Sequences.from_lists(lists)
    calls: list[tuple[str, float, float]] = []
    thread = threading.get_ident()

    def progress(*call: Any) -> None:
        assert threading.get_ident() == thread
        calls.append(call)

    count_cooccurrences(seqs, workers=workers, progress=progress)
    total, steps = seqs.n_tokens, min(100, max(1, seqs.n_tokens))
    assert calls == [("counts", total * step // steps, total) for step in range(1, steps + 1)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_progress_stops_the_count(workers: int) -> None:
    seqs = tc.Sequences(np.random.default_rng(0).integers(0, 500, 3_000_000), np.arange(0, 3_000_001, 30))
    calls: list[float] = []

    def progress(_: str, done: float, total: float) -> None:
        calls.append(done / total)
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        count_cooccurrences(seqs, workers=workers, progress=progress)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"window": 0}, "'window' parameter of count_cooccurrences must be an int in"),
        ({"n_items": 2}, "'n_items' parameter .* at least 3, one past the largest token"),
        ({"weighting": "cubic"}, "one of 'flat', 'harmonic', 'linear'"),
        ({"weighting": [1.0, 2.0]}, r"shape \(5,\)"),
        ({"weighting": [1.0, 1, 1, 1, 0]}, "'weighting' .* positive"),
        ({"weighting": "linear", "window": None}, "with window=None"),
        ({"weighting": [1.0], "window": None}, "one weight for each distance"),
        ({"sequence_weights": [-1.0]}, "'sequence_weights' .* non-negative"),
        ({"actions": [0, 0, 0]}, "together with 'action_weights'"),
        ({"actions": [0, 0, 2], "action_weights": np.ones((2, 2))}, r"ints in \[0, 1\]"),
        ({"actions": [0, 0, 1], "action_weights": np.ones((2, 3))}, "a square array"),
        ({"cap_per_sequence": 0}, "cap_per_sequence"),
        ({"dtype": np.int16}, "int32, int64, float32 or float64"),
        ({"dtype": np.int32, "weighting": "harmonic"}, "a float dtype: the weights are not whole"),
        ({"k": 0}, "k"),
        ({"memory_limit_mb": -1}, "memory_limit_mb"),
        ({"workers": 0}, "workers"),
    ],
)
def test_bad_parameters_are_named(options, match) -> None:
    with pytest.raises(ValueError, match=match):
        count_cooccurrences(tc.Sequences.from_lists([[0, 1, 2]]), **options)


def test_bad_types_are_named() -> None:
    with pytest.raises(TypeError, match="'sequences' parameter of count_cooccurrences must be a Sequences"):
        count_cooccurrences([[0, 1]])
    with pytest.raises(TypeError, match="'symmetric'"):
        count_cooccurrences(tc.Sequences.from_lists([[0, 1]]), symmetric=1)
    with pytest.raises(TypeError, match="a non-empty list of sparse matrices"):
        merge_counts(sparse.csr_array(np.eye(2)))
    with pytest.raises(ValueError, match="at least 3, the rows of the largest"):
        merge_counts([sparse.csr_array(np.eye(3))], n_items=2)


def test_merged_counts_store_no_zeros() -> None:
    zeros = sparse.csr_array((np.array([1, 0, 2]), ([0, 0, 1], [1, 2, 0])), shape=(3, 3))
    assert merge_counts([zeros]).nnz == merge_counts([zeros, zeros]).nnz == 2
    assert merge_counts([zeros, zeros], weights=(0.0, 0.0)).nnz == 0
    assert zeros.nnz == 3  # the caller's matrix is as it was


@given(
    lists=st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=8), gone=st.sets(st.integers(0, 7)),
    window=st.integers(1, 4), symmetric=st.booleans(), dtype=st.sampled_from([np.int32, np.int64]),
)
def test_counts_without_a_customer(
    lists: list[list[int]], gone: set[int], window: int, symmetric: bool, dtype: Any
) -> None:
    """All, less the part, is what counting the others gives, to the byte."""

    def count(chosen: list[list[int]], n: int = 7) -> sparse.csr_array:
        sequences = tc.Sequences.from_lists(chosen) if chosen else tc.Sequences([], [0])
        return count_cooccurrences(sequences, n_items=n, window=window, symmetric=symmetric, dtype=dtype)

    theirs = [one for i, one in enumerate(lists) if i in gone]
    n = 1 + max((max(one) for one in theirs if one), default=0)
    left = subtract_counts(count(lists), count(theirs, n))  # a part may lack the later tokens
    expected = count([one for i, one in enumerate(lists) if i not in gone])
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(left, name), getattr(expected, name), strict=True)


def test_subtract_counts_in_ranges_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traitcore.items.merge_counts._ENTRIES", 50)
    rng = np.random.default_rng(0)
    part, rest = (sparse.csr_array(rng.poisson(0.4, (40, 40))) for _ in range(2))
    assert (subtract_counts(part + rest, part) != rest).nnz == 0


def test_what_cannot_be_subtracted() -> None:
    ones = sparse.csr_array(np.ones((3, 3), dtype=np.int32))
    with pytest.raises(ValueError, match="'part' parameter of subtract_counts must be a part of counts"):
        subtract_counts(ones, 2 * ones)
    with pytest.raises(ValueError, match="at most 2 rows"):
        subtract_counts(ones[:2, :2], ones)
    with pytest.raises((ValueError, TypeError), match="'counts' parameter of subtract_counts"):
        subtract_counts(ones.astype(np.float32) / 3, ones)
