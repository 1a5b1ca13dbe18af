"""Random walks: the slow twin, exact probabilities, paths of the graph, any workers, bad input."""

from __future__ import annotations

import time
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

import traitcore as tc
from tests.reference import walks as slow
from traitcore._kernels.alias import build_alias_rows
from traitcore._kernels.walks import LANES
from traitcore.events.sequences import Sequences
from traitcore.items.walks import BLOCK_TOKENS, Walks, _shrinking_blocks


def weighted_graph(n: int, density: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < density, rng.exponential(size=(n, n)) + 0.01, 0.0)


def with_loops(matrix: np.ndarray) -> tc.ItemGraph:
    """The matrix as a graph that keeps its diagonal, which a raw matrix's walks leave out."""
    return tc.graph_from_matrix(matrix, keep_self_loops=True)


def followers(walks: Sequences, *path: int) -> np.ndarray:
    """What came right after `path`, wherever it stands in a walk; walks of equal length."""
    rows = walks.tokens.reshape(len(walks), -1)
    width = rows.shape[1] - len(path)
    match = np.ones((len(rows), width), dtype=bool)
    for k, node in enumerate(path):
        match &= rows[:, k : k + width] == node
    return rows[:, len(path) :][match]


def assert_frequencies(drawn: np.ndarray, chances: dict[int, float]) -> None:
    """Chi-square at a level that a right sampler fails once in 10,000 tests; seeds are fixed, so it never flickers."""
    assert len(drawn) > 1000
    nodes = sorted(chances)
    observed = np.bincount(drawn, minlength=max(nodes) + 1)
    assert observed.sum() == observed[nodes].sum(), "a step along no edge"
    expected = np.asarray([chances[x] for x in nodes]) * len(drawn)
    if len(nodes) > 1:
        assert stats.chisquare(observed[nodes], expected).pvalue > 1e-4


@given(
    n=st.integers(1, 12), density=st.floats(0, 1), seed=st.integers(0, 2**64 - 1), length=st.integers(1, 9),
    p=st.sampled_from([1.0, 0.3, 4.0, 1e6]), q=st.sampled_from([1.0, 0.4, 3.0, 1e-3]),
    restart=st.sampled_from([0.0, 0.3]),
)
def test_walks_equal_the_slow_reference(
    n: int, density: float, seed: int, length: int, p: float, q: float, restart: float
) -> None:
    matrix = weighted_graph(n, density, seed % 1000)
    walks = tc.random_walks(
        with_loops(matrix), n_walks=2, walk_length=length, p=p, q=q, restart_probability=restart, seed=seed
    )
    assert len(walks) == 2 * n
    for i, walk in enumerate(walks):
        expected = slow.walk(matrix, i % n, i // n, length, p=p, q=q, restart=restart, seed=seed)
        assert walk.tolist() == expected


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.coo_array, networkx.from_numpy_array])
@pytest.mark.parametrize("q", [1.0, 2.0])
def test_a_raw_matrix_is_walked_as_its_graph_is(form: Any, q: float) -> None:
    """Without the diagonal and without stored zeros, whatever the form it comes in."""
    matrix = weighted_graph(30, 0.2, 1)
    assert np.diag(matrix).any()
    walks = tc.random_walks(form(matrix) if form is not networkx.from_numpy_array else form(
        matrix, create_using=networkx.DiGraph), n_walks=5, q=q, seed=3)
    graph = tc.graph_from_matrix(matrix)
    assert walks.tokens.tobytes() == tc.random_walks(graph, n_walks=5, q=q, seed=3).tokens.tobytes()
    for walk in walks:
        assert (walk[1:] != walk[:-1]).all()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("p", "q", "restart"), [(1.0, 1.0, 0.0), (1.0, 1.0, 0.2), (0.3, 1.0, 0.0), (2.0, 0.5, 0.2)])
def test_more_walks_than_lanes_with_dead_ends(p: float, q: float, restart: float, workers: int) -> None:
    matrix = weighted_graph(97, 0.04, 3)
    matrix[[5, 40, 96]] = 0.0  # the last node's row is empty too: no entry of the table follows it
    walks = tc.random_walks(
        with_loops(matrix), n_walks=4, walk_length=12, p=p, q=q, restart_probability=restart, seed=8, workers=workers
    )
    assert walks.report is not None
    assert 0 < walks.report.n_short < 388
    for i, walk in enumerate(walks):
        assert walk.tolist() == slow.walk(matrix, i % 97, i // 97, 12, p=p, q=q, restart=restart, seed=8)
    again = Sequences(walks.tokens, walks.offsets)  # made without the checks of a Sequences, and passes them
    assert len(again) == 388
    assert not walks.tokens.flags.writeable


@given(n=st.integers(0, 300_000), length=st.integers(1, 5000), workers=st.integers(1, 9))
def test_blocks_cover_all_walks_in_whole_lanes(n: int, length: int, workers: int) -> None:
    blocks = _shrinking_blocks(n, length, workers)
    edges = [0] + [stop for _, stop in blocks]
    assert [begin for begin, _ in blocks] == edges[:-1]
    assert edges[-1] == n
    sizes = np.diff(edges)
    assert all(size % LANES == 0 for size in sizes[:-1])
    assert (np.diff(sizes) <= 0).all()
    assert len(sizes) == 0 or sizes.max() * length <= max(BLOCK_TOKENS[1], LANES * length)


def test_alias_tables_give_each_neighbour_its_weight() -> None:
    matrix = sparse.csr_array(weighted_graph(40, 0.5, 2))
    matrix.data[:3] = [1e-12, 1e12, 1.0]
    table = np.empty((matrix.nnz, 4), dtype=np.int32)
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    build_alias_rows(0, 40, indptr, indices, matrix.data, table)
    for row in range(40):
        part = slice(indptr[row], indptr[row + 1])
        weights, neighbours = matrix.data[part], indices[part]
        expected = slow.alias_row(weights.tolist())
        threshold = table[part, 0].astype(np.uint32)
        assert [(int(t), int(other)) for t, other in zip(threshold, table[part, 3])] == expected
        assert np.array_equal(table[part, 1], neighbours)
        assert np.array_equal(table[part, 2], neighbours[table[part, 3]])
        share = threshold / 2.0**32
        mass = share + np.bincount(table[part, 3], 1.0 - share, minlength=len(share))
        np.testing.assert_allclose(mass / len(mass), weights / weights.sum(), atol=1e-9)


def test_first_order_frequencies_are_the_weights() -> None:
    matrix = weighted_graph(9, 0.7, 1)
    matrix[:, 0] += 0.1  # every node has a way out
    matrix[2, 2] = 3.0  # a self-loop is an edge like another
    walks = tc.random_walks(with_loops(matrix), n_walks=2000, walk_length=20, seed=3)
    for node in range(9):
        row = matrix[node]
        assert_frequencies(followers(walks, node), {j: row[j] / row.sum() for j in np.flatnonzero(row).tolist()})


# A triangle with a tail and a square on it, weighted: every kind of second-order step occurs.
EDGES = [(0, 1, 1.0), (1, 2, 2.0), (2, 0, 0.5), (2, 3, 1.5), (3, 4, 1.0), (4, 5, 3.0), (5, 3, 0.2), (5, 6, 1.0)]
EDGES += [(6, 2, 1.0)]


def two_way() -> np.ndarray:
    matrix = np.zeros((7, 7))
    for i, j, w in EDGES:
        matrix[i, j], matrix[j, i] = w, 1.7 * w  # the way back has a weight of its own
    return matrix


@pytest.mark.parametrize(
    ("p", "q"), [(0.5, 2.0), (0.25, 0.25), (4.0, 0.5), (1.0, 3.0), (0.1, 1.0), (20.0, 30.0), (1e4, 1e4), (0.01, 1e-3)]
)
def test_second_order_frequencies_are_node2vec(p: float, q: float) -> None:
    matrix = two_way()
    walks = tc.random_walks(matrix, n_walks=4000, walk_length=12, p=p, q=q, seed=5)
    tested = 0
    for previous in range(7):
        for node in np.flatnonzero(matrix[previous]).tolist():
            drawn = followers(walks, previous, node)
            if len(drawn) > 1000:
                assert_frequencies(drawn, slow.second_order_probabilities(matrix, previous, node, p, q))
                tested += 1
    assert tested >= 8


def test_second_order_on_a_directed_graph_with_self_loops() -> None:
    matrix = weighted_graph(8, 0.5, 11)
    matrix[np.arange(8), (np.arange(8) + 1) % 8] += 0.5
    walks = tc.random_walks(with_loops(matrix), n_walks=6000, walk_length=10, p=0.2, q=3.0, seed=1)
    tested = 0
    for previous in range(8):
        for node in np.flatnonzero(matrix[previous]).tolist():
            drawn = followers(walks, previous, node)
            if len(drawn) > 1000:
                assert_frequencies(drawn, slow.second_order_probabilities(matrix, previous, node, 0.2, 3.0))
                tested += 1
    assert tested > 20


def test_leaves_and_cliques_that_reject_nearly_all_are_exact_and_quick() -> None:
    star = np.zeros((4, 4))
    star[0, 1:] = star[1:, 0] = 1.0
    walks = tc.random_walks(star, n_walks=500, walk_length=40, p=1e12, seed=0)
    assert walks.n_tokens == 4 * 500 * 40
    # From a leaf only the way back exists, whatever p; at the centre the way back is all but closed.
    rows = walks.tokens.reshape(len(walks), -1)
    assert not np.any((rows[:, 2:] == rows[:, :-2]) & (rows[:, 1:-1] == 0))
    clique = 1.0 - np.eye(6)
    walks = tc.random_walks(clique, n_walks=3000, walk_length=10, q=1e-9, seed=0)
    assert_frequencies(followers(walks, 0, 1), slow.second_order_probabilities(clique, 0, 1, 1.0, 1e-9))


def hub(n_leaves: int, *, ring: bool = False) -> sparse.csr_array:
    """Node 0 and its leaves, of unlike weights; with `ring`, every third leaf points to the next one, too."""
    leaf = np.arange(1, n_leaves + 1)
    weight = 1.0 + leaf % 5
    edges = [(np.zeros_like(leaf), leaf, weight), (leaf, np.zeros_like(leaf), weight)]
    if ring:
        edges.append((leaf[:-1:3], leaf[1::3][: len(leaf[:-1:3])], weight[:-1:3]))
    sources, targets, weights = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    return sparse.csr_array((weights, (sources, targets)), shape=(n_leaves + 1, n_leaves + 1))


@pytest.mark.parametrize("p", [1e6, 30.0, 1.0, 1e-6])
@pytest.mark.parametrize("q", [1e6, 50.0])
def test_hubs_that_reject_nearly_all_equal_the_slow_reference(p: float, q: float) -> None:
    matrix = hub(40, ring=True)
    walks = tc.random_walks(matrix, n_walks=2, walk_length=12, p=p, q=q, seed=5)
    for i, walk in enumerate(walks):
        assert walk.tolist() == slow.walk(matrix, i % 41, i // 41, 12, p=p, q=q, seed=5)


@pytest.mark.parametrize(("p", "q"), [(1.0, 1e3), (1e3, 1e3), (1e2, 1e4)])
def test_hubs_keep_the_frequencies(p: float, q: float) -> None:
    matrix = hub(30, ring=True)
    walks = tc.random_walks(matrix, n_walks=30_000, walk_length=4, starts=[1], p=p, q=q, seed=6)
    expected = slow.second_order_probabilities(matrix, 1, 0, p, q)
    likely = {x: chance for x, chance in expected.items() if chance > 2e-3}
    drawn = followers(walks, 1, 0)
    assert abs(np.isin(drawn, list(likely)).mean() - sum(likely.values())) < 0.02
    kept = {x: chance / sum(likely.values()) for x, chance in likely.items()}
    assert_frequencies(drawn[np.isin(drawn, list(likely))], kept)


def test_a_star_of_many_leaves_is_quick_whatever_p_and_q() -> None:
    n_leaves = 20_000
    matrix = hub(n_leaves)
    tc.random_walks(hub(3), p=2.0)  # compiles
    for p in (1e-6, 1.0, 1e6):
        for q in (1e-6, 1.0, 1e6):
            began = time.process_time()
            walks = tc.random_walks(matrix, n_walks=1, walk_length=6, p=p, q=q)
            assert walks.n_tokens == 6 * (n_leaves + 1)
            # A scan of the centre's row at each of 50,000 steps over it would take 6 s; this takes 0.05 s.
            assert time.process_time() - began < 2.0, (p, q)


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.5, 2.0)])
def test_restart_share_and_what_follows(p: float, q: float) -> None:
    matrix = two_way()
    walks = tc.random_walks(
        matrix, n_walks=60_000, walk_length=3, starts=[4], restart_probability=0.3, p=p, q=q, seed=2
    )
    rows = walks.tokens.reshape(-1, 3)
    back = rows[:, 1] == 4  # node 4 has no self-loop: only a restart stays
    assert stats.binomtest(int(back.sum()), len(rows), 0.3).pvalue > 1e-4
    # After a restart the step is of first order, 3 and 5 by weight, or a restart again.
    row = matrix[4] / matrix[4].sum() * 0.7
    assert_frequencies(rows[back, 2], {3: row[3], 5: row[5], 4: 0.3})


@given(
    n=st.integers(1, 40), density=st.floats(0, 0.4), seed=st.integers(0, 999), p=st.sampled_from([1.0, 0.5]),
    length=st.integers(1, 12),
)
def test_every_walk_is_a_path_and_ends_only_at_dead_ends(
    n: int, density: float, seed: int, p: float, length: int
) -> None:
    matrix = weighted_graph(n, density, seed)
    walks = tc.random_walks(with_loops(matrix), n_walks=3, walk_length=length, p=p, seed=seed)
    short, dead_ends = 0, set()
    for i, walk in enumerate(walks):
        assert walk[0] == i % n
        assert (matrix[walk[:-1], walk[1:]] > 0).all()
        if len(walk) < length:
            assert not matrix[walk[-1]].any()
            short += 1
            dead_ends.add(int(walk[-1]))
    assert walks.report is not None
    assert (walks.report.n_short, set(walks.report.dead_ends.tolist())) == (short, dead_ends)
    assert (walks.report.n_walks, walks.report.n_tokens) == (3 * n, walks.n_tokens)


@pytest.mark.parametrize("workers", [2, 3, 7])
@pytest.mark.parametrize(("p", "q", "restart"), [(1.0, 1.0, 0.0), (0.5, 2.0, 0.1)])
def test_workers_change_no_byte(workers: int, p: float, q: float, restart: float) -> None:
    matrix = sparse.csr_array(weighted_graph(1009, 0.01, 0))
    arguments: dict[str, Any] = {
        "n_walks": 11, "walk_length": 37, "p": p, "q": q, "restart_probability": restart, "seed": 9,
    }  # several blocks, the last one not full
    one = tc.random_walks(matrix, **arguments)
    many = tc.random_walks(matrix, workers=workers, **arguments)
    assert one.tokens.tobytes() == many.tokens.tobytes()
    assert one.offsets.tobytes() == many.offsets.tobytes()


@pytest.mark.parametrize("p", [1.0, 0.5])
def test_a_walk_is_decided_by_seed_start_and_number_alone(p: float) -> None:
    matrix = weighted_graph(50, 0.2, 4)
    whole = tc.random_walks(matrix, n_walks=4, walk_length=9, p=p, seed=1)
    few = tc.random_walks(matrix, n_walks=2, walk_length=9, p=p, seed=1, starts=[7, 3, 7])
    for i in range(6):
        start, number = [7, 3, 7][i % 3], i // 3
        assert few[i].tolist() == whole[number * 50 + start].tolist()
    shorter = tc.random_walks(matrix, n_walks=4, walk_length=5, p=p, seed=1)
    assert all(shorter[i].tolist() == whole[i][:5].tolist() for i in range(len(whole)))
    other = tc.random_walks(matrix, n_walks=4, walk_length=9, p=p, seed=2)
    assert other.tokens.tolist() != whole.tokens.tolist()


def test_blocks_of_a_corpus_are_the_walks() -> None:
    matrix = weighted_graph(60, 0.05, 6)  # some dead ends
    whole = tc.random_walks(matrix, n_walks=5, walk_length=8, seed=3)
    for block_tokens in (1, 100, 10**9):
        corpus = tc.WalkCorpus(matrix, n_walks=5, walk_length=8, seed=3, block_tokens=block_tokens)
        blocks = list(corpus)
        assert np.array_equal(np.concatenate([b.tokens for b in blocks]), whole.tokens)
        assert len(blocks) == (300 if block_tokens == 1 else 25 if block_tokens == 100 else 1)
        counts, report = corpus.count()
        assert np.array_equal(counts, whole.token_counts(60))
        assert whole.report is not None
        assert (report.n_short, report.n_tokens) == (whole.report.n_short, whole.report.n_tokens)
        assert np.array_equal(report.dead_ends, whole.report.dead_ends)


def test_shuffled_blocks_hold_the_same_walks_in_another_order() -> None:
    matrix = weighted_graph(60, 0.2, 6)
    plain = tc.WalkCorpus(matrix, n_walks=3, walk_length=6, seed=3)
    mixed = tc.WalkCorpus(matrix, n_walks=3, walk_length=6, seed=3, shuffle=True, block_tokens=200)
    in_order = [w.tolist() for block in plain for w in block]
    shuffled = [w.tolist() for block in mixed for w in block]
    assert in_order != shuffled
    for number in range(3):  # each round has its own order of the same starts
        part = slice(60 * number, 60 * number + 60)
        assert sorted(in_order[part]) == sorted(shuffled[part])
    assert [w[0] for w in shuffled[:60]] != [w[0] for w in shuffled[60:120]]
    assert shuffled == [w.tolist() for block in mixed for w in block]


def test_result_is_sequences_and_progress_is_reported() -> None:
    seen: list[tuple[str, float, float]] = []
    graph = tc.graph_from_matrix(weighted_graph(30, 0.3, 0))
    walks = tc.random_walks(graph, n_walks=4, progress=lambda *step: seen.append(step))
    assert isinstance(walks, Sequences)
    assert isinstance(walks, Walks)
    assert seen[-1] == ("walks", 120, 120)
    assert "120 walks" in str(walks.report)


@pytest.mark.parametrize("q", [1.0, 2.0])
def test_progress_is_the_same_for_any_workers(q: float) -> None:
    graph = tc.graph_from_matrix(weighted_graph(300, 0.05, 0))
    seen: list[list[tuple[str, float, float]]] = []
    for workers in (1, 2, 3):
        calls: list[tuple[str, float, float]] = []
        tc.random_walks(graph, n_walks=20, walk_length=40, q=q, workers=workers,
                        progress=lambda *step, calls=calls: calls.append(step))
        seen.append(calls)
    assert seen[0] == seen[1] == seen[2] == [("walks", 60 * step, 6000) for step in range(1, 101)]


def test_empty_graph_one_node_and_parts() -> None:
    assert len(tc.random_walks(np.zeros((0, 0)))) == 0
    assert len(tc.random_walks(np.zeros((3, 3)), starts=[])) == 0
    for p in (1.0, 0.5):
        lonely = tc.random_walks(np.zeros((1, 1)), n_walks=3, p=p)
        assert lonely.tokens.tolist() == [0, 0, 0]
        assert lonely.report is not None
        assert lonely.report.n_short == 3
        loop = tc.random_walks(with_loops(np.ones((1, 1))), n_walks=2, walk_length=4, p=p)
        assert loop.tokens.tolist() == [0] * 8
        parts = np.zeros((6, 6))
        parts[:3, :3] = parts[3:, 3:] = 1.0
        walks = tc.random_walks(parts, n_walks=20, p=p)
        assert all((walk < 3).all() == (walk[0] < 3) for walk in walks)


def test_duplicates_zeros_and_extreme_weights() -> None:
    coo = sparse.coo_array((np.array([1.0, 2.0, 1.0, 0.0]), ([0, 0, 0, 0], [1, 1, 2, 3])), shape=(4, 4))
    walks = tc.random_walks(coo, n_walks=20_000, walk_length=2, starts=[0], seed=0)
    assert_frequencies(walks.tokens[1::2], {1: 0.75, 2: 0.25})
    for scale in (1e-300, 1e300):  # neither sums that overflow nor shares that vanish
        matrix = np.array([[0, 1.5, 1.0, 1.5], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]) * scale
        for p in (1.0, 0.5):
            walks = tc.random_walks(matrix, n_walks=20_000, walk_length=2, starts=[0], p=p, seed=0)
            assert_frequencies(walks.tokens[1::2], {1: 0.375, 2: 0.25, 3: 0.375})


def test_graph_of_the_caller_is_not_changed() -> None:
    matrix = sparse.csr_array(weighted_graph(10, 0.5, 0)).astype(np.float32)
    matrix.data[3] = 0.0
    before = (matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy())
    tc.random_walks(matrix, p=0.5)
    for array, old in zip((matrix.data, matrix.indices, matrix.indptr), before):
        assert np.array_equal(array, old)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_walks": 0}, ValueError, "'n_walks' parameter of random_walks must be an int in"),
        ({"n_walks": 2.0}, TypeError, "'n_walks'"),
        ({"walk_length": 0}, ValueError, "'walk_length'"),
        ({"p": 0.0}, ValueError, "'p' parameter of random_walks"),
        ({"p": float("nan")}, ValueError, "'p'"),
        ({"q": -1.0}, ValueError, "'q'"),
        ({"q": 1e-320}, ValueError, "'q' parameter .* finite"),
        ({"restart_probability": 1.0}, ValueError, "'restart_probability'"),
        ({"restart_probability": -0.1}, ValueError, "'restart_probability'"),
        ({"seed": -1}, ValueError, "'seed'"),
        ({"workers": 0}, ValueError, "'workers'"),
        ({"starts": [0, 3]}, ValueError, r"'starts' parameter .* \[0, 2\]. Got '3 at 1'"),
        ({"starts": [[0]]}, ValueError, "'starts'"),
        ({"starts": [0.5]}, TypeError, "'starts'"),
    ],
)
def test_bad_parameters(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tc.random_walks(np.ones((3, 3)), **arguments)


@pytest.mark.parametrize("n_walks", [2**20, 2**31 - 1])
def test_walks_that_fit_in_no_memory(n_walks: int) -> None:
    with pytest.raises(MemoryError):
        tc.random_walks(np.ones((2, 2)), n_walks=n_walks, walk_length=2**31 - 1)


def test_bad_graphs() -> None:
    with pytest.raises(ValueError, match=r"'graph' parameter of random_walks must be a sparse matrix \(square\)"):
        tc.random_walks(np.ones((2, 3)))
    with pytest.raises(ValueError, match="non-negative"):
        tc.random_walks(np.array([[0.0, -1.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="finite"):
        tc.random_walks(sparse.csr_array(np.array([[0.0, np.nan], [1.0, 0.0]])))
    with pytest.raises(TypeError, match="'graph' parameter"):
        tc.random_walks("graph")
