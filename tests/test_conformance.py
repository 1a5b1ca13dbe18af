"""One suite over the boundary: every public function, every array it takes, in every layout and dtype.

The right answer, or the library's own error; never a wrong number, never a write into the caller's array.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

import traitcore as tc
from tests.data.variants import array_variants, sparse_variants

RNG = np.random.default_rng(7)
SESSIONS = [[0, 1, 2, 3], [4, 5, 6], [1, 2, 0, 5, 6], [3, 4], [2, 6, 1, 1]] * 4
SEQS = tc.Sequences.from_lists(SESSIONS, owner=np.arange(20, dtype=np.int32) % 10)
VECTORS = np.round(RNG.normal(size=(7, 6)), 2).astype(np.float32)
OTHER = np.round(RNG.normal(size=(7, 6)), 2).astype(np.float32)
START = np.round(np.random.default_rng(1).normal(size=(7, 8)), 2).astype(np.float32)
DENSE = np.round(RNG.random((12, 7)) * (RNG.random((12, 7)) < 0.7), 2).astype(np.float32)
COUNTS = sparse.csr_array(np.array([[0, 4, 2, 0], [4, 0, 6, 2], [2, 6, 2, 0], [0, 2, 0, 4]], dtype=np.float32))
WHOLE_COUNTS = COUNTS.astype(np.int32)
FACTOR = np.round(RNG.random((3, 7)) + 0.1, 2).astype(np.float32)
SHORT: dict[str, Any] = {"n_components": 2, "max_iter": 30}
QUICK: dict[str, Any] = {"vector_size": 8, "epochs": 1, "seed": 1}


@dataclasses.dataclass(frozen=True)
class Case:
    """`call` with each of `arrays` (or sparse matrices) by keyword; loose where float32 against float64 may differ."""

    name: str
    call: Callable[..., Any]
    arrays: dict[str, Any]
    rtol: float = 0.0


def case(name: str, function: Callable[..., Any], rtol: float = 0.0, fixed: Any = None, **arrays: Any) -> Case:
    return Case(name, lambda **given: function(**given, **(fixed or {})), arrays, rtol)


def sgns(items: Any = None, contexts: Any = None, **options: Any) -> Any:
    start = None if items is None else (items, contexts)
    return tc.train_sgns(SEQS, tc.SgnsOptions(**options, **QUICK), n_items=7, start=start)


def trainer(counts: Any, noise_groups: Any, global_context: Any) -> Any:
    made = tc.SgnsTrainer(counts, tc.SgnsOptions(**QUICK), noise_groups=noise_groups)
    made.train_block(SEQS, global_context=global_context)
    return made.result()


CASES = [
    case("Sequences", tc.Sequences, tokens=SEQS.tokens, offsets=SEQS.offsets, owner=SEQS.owners()),
    case(
        "EventLog.from_columns",
        lambda **c: tc.EventLog.from_columns(c, timestamp_unit="s"),
        user_id=np.array([3, 3, 5, 5], dtype=np.int64),
        item_id=np.array([7, 8, 7, 9], dtype=np.int64),
        timestamp=np.array([10, 20, 30, 40], dtype=np.int64) + 1_400_000_000,
        fixed={"action": ["view"] * 4},
    ),
    case("train_sgns start", sgns, items=START, contexts=-START),
    case(
        "SgnsTrainer",
        trainer,
        counts=SEQS.token_counts(7),
        noise_groups=np.array([0, 1, 0, 1, 0, 1, 0], dtype=np.int32),
        global_context=np.arange(len(SEQS), dtype=np.int32) % 7,
    ),
    case(
        "train_sgns_from_counts",
        lambda **a: tc.train_sgns_from_counts(**a, options=tc.SgnsOptions(**QUICK)),
        counts=COUNTS,
        item_counts=np.array([6, 12, 10, 6], dtype=np.int64),
    ),
    case("positive_pmi", tc.positive_pmi, 1e-5, counts=COUNTS),
    case("merge_counts", lambda a, b: tc.merge_counts([a, b]), a=COUNTS, b=COUNTS),
    case("subtract_counts", tc.subtract_counts, counts=WHOLE_COUNTS + WHOLE_COUNTS, part=WHOLE_COUNTS),
    case("randomized_svd dense", tc.randomized_svd, 1e-3, {"n_components": 3}, A=DENSE),
    case("randomized_svd sparse", tc.randomized_svd, 1e-3, {"n_components": 2}, A=COUNTS),
    case("svd_vectors", tc.svd_vectors, 1e-3, {"n_components": 2}, M=COUNTS),
    case("build_item_graph", lambda counts: tc.build_item_graph(counts).adjacency, counts=COUNTS),
    case(
        "graph_from_edges",
        lambda **e: tc.graph_from_edges(e["sources"], e["targets"], e["weights"]).adjacency,
        sources=np.array([0, 1, 2, 3], dtype=np.int64),
        targets=np.array([1, 2, 3, 0], dtype=np.int64),
        weights=np.array([1, 2, 0.5, 4], dtype=np.float32),
    ),
    case("graph_from_matrix", lambda adjacency: tc.graph_from_matrix(adjacency).adjacency, adjacency=COUNTS),
    case("random_walks", lambda graph: tc.random_walks(graph, n_walks=2, walk_length=5), graph=COUNTS),
    case("fuse_vectors", tc.fuse_vectors, 1e-5, behaviour=VECTORS, content=OTHER),
    case("fit_content_map", tc.fit_content_map, 1e-3, content=OTHER, behaviour=VECTORS, fixed={"ridge": 1.0}),
    case(
        "customer_vectors",
        lambda **a: tc.customer_vectors(SEQS, method="tfidf", n_documents=10, **a),
        1e-5,
        item_vectors=VECTORS,
        document_frequencies=np.array([3, 4, 5, 2, 2, 4, 5], dtype=np.int64),
    ),
    case("factorize dense", tc.factorize_nonnegative, 2e-2, SHORT, X=DENSE),
    case("factorize sparse", tc.factorize_nonnegative, 2e-2, SHORT, X=sparse.csr_array(DENSE)),
    case("factorize semi", tc.factorize_semi_nonnegative, 2e-2, SHORT, X=DENSE - np.float32(0.3)),
    case("solve_weights", tc.solve_weights, 1e-3, X=DENSE, H=FACTOR),
    case("solve_weights sparse", tc.solve_weights, 1e-3, {"H": FACTOR}, X=sparse.csr_array(DENSE)),
    case(
        "encode_tokens",
        lambda tokens, offsets: tc.encode_tokens(tokens, offsets=offsets).sequences,
        tokens=np.array([5, 9, 5, 7], dtype=np.int64),
        offsets=np.array([0, 2, 4], dtype=np.int64),
    ),
    case("NMF.fit", lambda X: tc.NMF(2, max_iter=30).fit(X).components_, 2e-2, X=DENSE),
    case("EmbeddingTable", lambda **a: tc.EmbeddingTable(np.arange(7), **a).vectors, vectors=VECTORS),
    case("EmbeddingTable ids", lambda ids: tc.EmbeddingTable(ids, VECTORS).ids, ids=np.arange(7, dtype=np.int64)),
    case(
        "product_affinity",
        tc.product_affinity,
        1e-5,
        {"actions": ("view", "remove")},
        components=FACTOR,
        token_item=np.array([0, 0, 1, 2, 2, 3, 1], dtype=np.int64),
        token_action=np.array([0, 1, 0, 0, 1, 0, 1], dtype=np.int64),
    ),
    case("top_k", lambda **a: tc.top_k(**a, k=3), 1e-5, queries=OTHER, vectors=VECTORS),
    case("find_similar_customers", tc.find_similar_customers, 1e-5, {"customers": [0, 2], "k": 2}, profiles=DENSE),
    case("recommend_products", tc.recommend_products, 1e-5, {"k": 3}, profiles=DENSE[:, :3], affinity=FACTOR),
    case(
        "next_items",
        lambda **v: tc.next_items([0, 1, 3], **v, k=3),
        1e-5,
        item_vectors=VECTORS,
        context_vectors=OTHER,
    ),
]
# Called with the nouns alone (Sequences, tables, logs, files), or no data at all: nothing here to vary.
NO_ARRAYS = {
    "read_events", "split_sessions", "tokenize", "simulate_events", "count_cooccurrences", "read_graph",
    "fit_pipeline", "fit", "open_shop", "get_include", "read_word2vec", "write_word2vec", "from_gensim",
    "forget_customers", "pseudonyms", "get_cmake_dir", "verify_run", "next_model_of", "plan_log", "prepare_log",
    "describe_traits", "plot_traits", "plot_map", "choose_n_traits", "evaluate_retrieval", "evaluate_traits",
    "compare_tables", "judge", "build_index", "measure_recall", "open_index",
    # Their own modules test the mixture of arrays that they take.
    "content_features", "backfill_vectors",
}


def raw(value: Any) -> list[bytes]:
    """The bytes behind an array, a sparse matrix or nested lists, as they lie."""
    if not sparse.issparse(value):
        return [np.asarray(value).tobytes()]
    parts = ("data", "indices", "indptr", "row", "col")
    return [getattr(value, part).tobytes() for part in parts if hasattr(value, part)]


def flatten(result: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Every number of a result, as dense arrays."""
    if sparse.issparse(result):
        yield result.toarray()
    elif isinstance(result, np.ndarray):
        yield result
    elif isinstance(result, tc.Sequences):
        yield from (result.tokens, result.offsets, result.owners())
    elif isinstance(result, (tuple, list)):
        for part in result:
            yield from flatten(part)
    elif dataclasses.is_dataclass(result):
        for field in dataclasses.fields(result):
            if "report" not in field.name and "second" not in field.name:
                yield from flatten(getattr(result, field.name))
    elif isinstance(result, (float, int)):
        yield np.asarray(result)


def assert_same(got: Any, expected: Any, rtol: float) -> None:
    pairs = list(zip(flatten(got), flatten(expected), strict=True))
    assert pairs, "the case returns nothing that can be compared"
    for a, b in pairs:
        if a.dtype.kind in "OUS" or not rtol:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, float(np.abs(b).max(initial=0))))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_layout_and_dtype_gives_the_same_answer(case: Case) -> None:
    expected = case.call(**case.arrays)
    for name, array in case.arrays.items():
        variants = sparse_variants(array) if sparse.issparse(array) else array_variants(array)
        for variant, value in variants:
            before = raw(value)
            got = case.call(**case.arrays | {name: value})
            try:
                assert_same(got, expected, case.rtol)
            except AssertionError as error:
                raise AssertionError(f"{case.name}, {name} as {variant}: {error}") from error
            assert raw(value) == before, f"{case.name} wrote into {name} ({variant})"


# Columns and tokens may be strings, numbers or dates: its own module tests what they may not be.
NUMERIC = [c for c in CASES if c.name not in ("EventLog.from_columns", "encode_tokens")]


@pytest.mark.parametrize("case", NUMERIC, ids=lambda c: c.name)
def test_wrong_kinds_of_array_are_the_house_error(case: Case) -> None:
    for name, array in case.arrays.items():
        shape = array.shape
        wrong: list[Any] = [np.full(shape, "x"), np.full(shape, 1j), object(), np.zeros((1, 1, 1, 1), np.float32)]
        if array.dtype.kind == "f":
            nan = np.zeros(shape, dtype=np.float32)
            nan.flat[-1] = np.nan
            wrong.append(sparse.csr_array(nan) if sparse.issparse(array) else nan)
        for value in wrong:
            with pytest.raises((ValueError, TypeError)) as caught:
                case.call(**case.arrays | {name: value})
            assert len(str(caught.value)) > 20, f"{case.name}: {caught.value!r} says too little"


def masked(value: Any) -> Any:
    """The array, its last entry masked."""
    mask = np.zeros(value.shape, dtype=bool)
    mask.flat[-1] = True
    return np.ma.array(value, mask=mask)


# What a null means in an event log is clear: its own module tests that a masked id or time counts as one.
@pytest.mark.parametrize("case", [c for c in CASES if c.name != "EventLog.from_columns"], ids=lambda c: c.name)
def test_masks_are_never_lost(case: Case) -> None:
    expected = case.call(**case.arrays)
    for name, array in case.arrays.items():
        dense = array.toarray() if sparse.issparse(array) else array
        named = {"merge_counts": "counts", "train_sgns start": "start"}.get(case.name, name)
        with pytest.raises((ValueError, TypeError), match=f"'{named}.*' parameter .*masked|Tokens must not be null"):
            case.call(**case.arrays | {name: masked(dense)})
        if not sparse.issparse(array):
            assert_same(case.call(**case.arrays | {name: np.ma.array(array)}), expected, case.rtol)


@pytest.mark.parametrize("case", [c for c in CASES if c.name != "EventLog.from_columns"], ids=lambda c: c.name)
def test_frames_and_columns_are_taken_wherever_arrays_are(case: Case) -> None:
    expected = case.call(**case.arrays)
    for name, array in case.arrays.items():
        if sparse.issparse(array):
            continue
        kind = "Float64" if array.dtype.kind == "f" else "Int64"
        for frame in (
            (pd.Series if array.ndim == 1 else pd.DataFrame)(array).astype(kind),
            (pd.Series if array.ndim == 1 else pd.DataFrame)(array).astype(f"{kind.lower()}[pyarrow]"),
            pl.Series(array) if array.ndim == 1 else pl.DataFrame(array),
        ):
            got = case.call(**case.arrays | {name: frame})
            assert_same(got, expected, max(case.rtol, 1e-5 if kind == "Float64" else 0.0))


# `subtract_counts` takes whole counts only, so there are no floats to compare with.
@pytest.mark.parametrize("case", [c for c in CASES if c.name != "subtract_counts"], ids=lambda c: c.name)
def test_sparse_counts_of_small_types_are_not_cut(case: Case) -> None:
    for name, matrix in case.arrays.items():
        if not sparse.issparse(matrix):
            continue
        ones = sparse.coo_array(np.rint(100 * matrix.toarray()).astype(np.int64))
        places = tuple(np.repeat(axis, ones.data) for axis in (ones.row, ones.col))
        counted = sparse.coo_array((np.ones(len(places[0]), np.uint8), places), shape=ones.shape)
        expected = case.call(**case.arrays | {name: ones.astype(np.float32)})
        assert_same(case.call(**case.arrays | {name: counted}), expected, case.rtol)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_huge_integers_in_arrays_are_the_shared_error(case: Case) -> None:
    for name, array in case.arrays.items():
        if sparse.issparse(array) or array.dtype.kind != "i" or case.name in ("EventLog.from_columns", "encode_tokens"):
            continue
        for huge in (2**63, 2**70, -(2**70)):
            with pytest.raises((ValueError, TypeError), match=f"'{name}' parameter of "):
                case.call(**case.arrays | {name: [huge, *array.tolist()[1:]]})


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_empty_arrays_are_an_answer_or_the_house_error(case: Case) -> None:
    for name, array in case.arrays.items():
        empty = sparse.csr_array((0, array.shape[1])) if sparse.issparse(array) else array[:0]
        try:
            result: Any = case.call(**case.arrays | {name: empty})
        except (ValueError, TypeError) as error:
            result = str(error)
        if isinstance(result, str):
            assert "parameter of" in result or len(result) > 30, f"{case.name}, {name}: {result}"
        else:
            if case.name == "top_k":  # NaN exactly where there is no row, as its docstring says
                rows, scores = result
                np.testing.assert_array_equal(np.isnan(scores), rows == -1)
                assert (rows == -1).all() if name == "vectors" else rows.shape == (0, 3)
                result = rows, np.where(rows == -1, np.float32(0), scores)
            assert all(np.isfinite(part).all() for part in flatten(result) if part.dtype.kind == "f")


# What each public function needs, to be called with one parameter huge.
LOG = tc.EventLog.from_columns({"user_id": [1, 1], "item_id": [1, 2], "action": ["a"] * 2, "timestamp": [1, 2]},
                               timestamp_unit="s")
NEEDED: dict[str, dict[str, Any]] = {
    "split_sessions": {"log": LOG},
    "tokenize": {"sessions": tc.split_sessions(LOG, min_length=1)},
    "simulate_events": {},
    "randomized_svd": {"A": DENSE, "n_components": 2},
    "svd_vectors": {"M": COUNTS, "n_components": 2},
    "factorize_nonnegative": {"X": DENSE, "n_components": 2},
    "factorize_semi_nonnegative": {"X": DENSE, "n_components": 2},
    "solve_weights": {"X": DENSE, "H": FACTOR},
    "count_cooccurrences": {"sequences": SEQS},
    "SgnsOptions": {},
    "SgnsTrainer": {"counts": SEQS.token_counts(7)},
    "train_sgns": {"sequences": SEQS},
    "build_item_graph": {"counts": COUNTS},
    "random_walks": {"graph": COUNTS},
    "content_features": {"texts": ["red jug", "blue jug"]},
    "customer_vectors": {
        "sequences": SEQS, "item_vectors": VECTORS, "method": "tfidf", "document_frequencies": np.ones(7, np.int64),
    },
    "top_k": {"queries": OTHER, "vectors": VECTORS, "k": 3},
    "find_similar_customers": {"profiles": DENSE, "customers": [0]},
    "recommend_products": {"profiles": DENSE[:, :3], "affinity": FACTOR},
    "next_items": {"sessions": [0, 1], "item_vectors": VECTORS, "context_vectors": OTHER},
    "build_index": {"table": tc.EmbeddingTable(np.arange(7), VECTORS), "kind": "hnsw"},
    "evaluate_retrieval": {"scorer": lambda prefixes: np.zeros((len(prefixes), 7)), "sequences": SEQS, "n_items": 7},
}


def whole_numbers(name: str) -> list[str]:
    """Parameters that are annotated as an int, or an int and something else."""
    parameters = inspect.signature(getattr(tc, name)).parameters.values()
    return [p.name for p in parameters if "int" in re.split(r"\W+", str(p.annotation)) and "[" not in str(p.annotation)]


@pytest.mark.parametrize(("name", "parameter"), [(n, p) for n in NEEDED for p in whole_numbers(n)])
def test_no_huge_integer_reaches_the_native_core(name: str, parameter: str) -> None:
    for huge in (2**40, 2**64, 2**70, -(2**70)):
        if huge < 2**64 and parameter in ("random_state", "seed", "n_unknown", "n_documents", "epoch_tokens"):
            continue  # a good value
        named = "ContentEncoder" if name == "content_features" else name
        with pytest.raises((ValueError, TypeError), match=f"'{parameter}' parameter of {named} must be"):
            getattr(tc, name)(**NEEDED[name] | {parameter: huge})


@pytest.mark.parametrize("window", [2**31 - 1, 2**20])
def test_a_window_beyond_every_sequence_is_all_of_it(window: int) -> None:
    whole = tc.count_cooccurrences(SEQS, window=None)
    assert_same(tc.count_cooccurrences(SEQS, window=window), whole, 0.0)
    assert_same(sgns(window=window), sgns(window=2**20), 0.0)


def test_the_suite_covers_every_public_function() -> None:
    functions = {n for n in tc.__all__ if inspect.isfunction(getattr(tc, n))}
    tested = {c.name.split()[0] for c in CASES}
    known = {"factorize": {"factorize_nonnegative", "factorize_semi_nonnegative"}}
    covered = set().union(*(known.get(t, {t}) for t in tested))
    assert functions - covered - NO_ARRAYS == set()
