"""train_sgns and SgnsTrainer against the slow twin, gensim, and bad input."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import traitcore as tc
from benchmarks.suite.synthetic import Corpus, clustered_sessions
from tests.data.shops import random_lists
from tests.reference.sgns import ReferenceSgns
from traitcore import _core
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_options import SgnsOptions
from traitcore.items.sgns_report import SgnsResult, TrainingInterrupted
from traitcore.items.sgns_trainer import SgnsTrainer


def train(sequences: Any, **given: Any) -> SgnsResult:
    """`train_sgns`, its options as keywords."""
    run = {k: given.pop(k) for k in ("n_items", "held_out", "patience", "start", "progress") if k in given}
    return train_sgns(sequences, SgnsOptions(**given), **run)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return clustered_sessions(60_000, 600, 12, seed=1)


def precision(vectors: np.ndarray, cluster: np.ndarray, k: int = 10) -> float:
    v = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-(v @ v.T - 2 * np.eye(len(v), dtype=np.float32)), axis=1)[:, :k]
    return float((cluster[nearest] == cluster[:, None]).mean())


OPTIONS: list[dict[str, Any]] = [
    {},
    {"negative": 13},
    {"negative": 1, "vector_size": 1},
    {"negatives": "fresh"},
    {"negatives": "fresh", "negative": 9, "vector_size": 33},
    {"window": None},
    {"window": 20, "dynamic_window": False, "vector_size": 64},
    {"sample": 1e-2, "vector_size": 128},
    {"ns_exponent": -0.5, "window": 2},
    {"alpha": 0.1, "min_alpha": 0.1, "epochs": 1},
]


@pytest.mark.parametrize("level", _core.simd_levels())
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_the_reference(options: dict[str, Any], level: str) -> None:
    lists = random_lists()
    seqs = tc.Sequences.from_lists(lists)
    options = {"vector_size": 20, "epochs": 2, "sample": 0.0, "seed": 3} | options
    _core.set_simd_level(level)
    try:
        result = train(seqs, n_items=50, **options)
    finally:
        _core.set_simd_level(None)
    options["shared"] = options.pop("negatives", "shared") == "shared"
    twin = ReferenceSgns(seqs.token_counts(50).tolist(), **options).fit(lists)
    np.testing.assert_allclose(result.item_vectors, twin.items, atol=1e-5)
    np.testing.assert_allclose(result.context_vectors, twin.contexts, atol=1e-5)
    np.testing.assert_allclose(result.loss, twin.losses, atol=1e-4)
    assert result.report.simd_level == level


def test_a_long_sequence_equals_the_reference() -> None:
    lists = [np.random.default_rng(5).integers(0, 40, 2500).tolist(), [1, 2, 3]]
    seqs = tc.Sequences.from_lists(lists)
    result = train(seqs, vector_size=4, window=7, sample=0.05, seed=9, epochs=1)
    twin = ReferenceSgns(seqs.token_counts().tolist(), vector_size=4, window=7, sample=0.05, seed=9).fit(lists)
    np.testing.assert_allclose(result.item_vectors, twin.items, atol=2e-5)


def test_the_samples_have_the_right_distributions() -> None:
    """The twin draws what the core draws (see above), so its draws stand for both."""
    lists = random_lists(200, 30)
    counts = np.bincount(np.concatenate([np.array(s, int) for s in lists]), minlength=30)
    for exponent in (0.75, 0.0, -1.0):
        twin = ReferenceSgns(counts.tolist(), vector_size=2, ns_exponent=exponent).fit(lists)
        expected = counts.astype(float) ** exponent
        seen = np.bincount(twin.drawn, minlength=30)
        assert stats.chisquare(seen, expected / expected.sum() * seen.sum()).pvalue > 1e-4
        assert stats.chisquare(np.bincount(twin.windows, minlength=6)[1:]).pvalue > 1e-4


@given(st.floats(1e-3, 0.5), st.integers(0, 2**63))
def test_subsampling_keeps_the_expected_share(sample: float, seed: int) -> None:
    tokens = np.repeat([0, 1, 2], [6000, 3000, 1000]).astype(np.int32)
    seqs = tc.Sequences(tokens, np.arange(0, 10_001, 10))
    kept = train(seqs, vector_size=1, window=1, negative=1, epochs=1, sample=sample, seed=seed).report.kept_tokens
    f = np.array([0.6, 0.3, 0.1]) / sample
    p = np.minimum(1.0, (np.sqrt(f) + 1) / f)
    expected = 10_000 * (p * [0.6, 0.3, 0.1]).sum()
    deviation = np.sqrt(10_000 * (p * (1 - p) * [0.6, 0.3, 0.1]).sum())
    assert abs(kept - expected) < 6 * deviation + 1


def test_planted_clusters_are_found_as_by_gensim(corpus: Corpus) -> None:
    word2vec = pytest.importorskip("gensim.models").Word2Vec
    lists = [[str(t) for t in s] for s in corpus.sequences]
    theirs = word2vec(lists, vector_size=32, sg=1, min_count=1, epochs=3, workers=1, seed=1, sample=0)
    vectors = np.stack([theirs.wv[str(i)] if str(i) in theirs.wv else np.zeros(32) for i in range(600)])
    peer = precision(vectors.astype(np.float32), corpus.cluster)
    for negatives in ("shared", "fresh"):
        for workers in (1, 3):
            ours = train(
                corpus.sequences, vector_size=32, epochs=3, negatives=negatives, workers=workers, sample=0.0
            )
            assert precision(ours.item_vectors, corpus.cluster) > peer - 0.02


def test_one_worker_repeats_itself_and_seeds_differ(corpus: Corpus) -> None:
    a, b = (train(corpus.sequences, epochs=1, seed=5) for _ in range(2))
    assert a.item_vectors.tobytes() == b.item_vectors.tobytes()
    assert a.context_vectors.tobytes() == b.context_vectors.tobytes()
    assert a.loss == b.loss
    other = train(corpus.sequences, epochs=1, seed=6)
    assert not np.array_equal(a.item_vectors, other.item_vectors)


def test_workers_draw_the_same_pairs(corpus: Corpus) -> None:
    pairs = {train(corpus.sequences, epochs=1, vector_size=8, workers=w).report.pairs for w in (1, 2, 7)}
    assert len(pairs) == 1


def test_loss_starts_at_chance_and_falls(corpus: Corpus) -> None:
    result = train(corpus.sequences, epochs=3, negative=5, alpha=0.05)
    assert result.loss[0] < 6 * np.log(2) + 1e-3
    assert result.loss[2] < result.loss[1] < result.loss[0]
    report = result.report
    assert report.finished
    assert report.epochs == 3
    assert report.tokens == 3 * corpus.sequences.n_tokens
    assert report.alpha == pytest.approx((0.05, 1e-4))
    assert report.pairs_per_second > 0


def test_held_out_loss_and_early_stopping() -> None:
    data = clustered_sessions(8_000, 300, 6, seed=3).sequences
    cut = len(data) * 3 // 4
    at = data.offsets[cut]
    past = tc.Sequences(data.tokens[:at], data.offsets[: cut + 1])
    held = tc.Sequences(data.tokens[at:], data.offsets[cut:] - at)
    options: dict[str, Any] = {"vector_size": 32, "alpha": 0.1, "min_alpha": 0.1, "sample": 0.0}
    full = train(past, n_items=300, held_out=held, epochs=12, **options)
    losses = full.report.held_out_loss
    best = int(np.argmin(losses))
    assert len(losses) == 12
    assert best < 11  # a rate that never falls: later epochs are worse
    stopped = train(past, n_items=300, held_out=held, epochs=12, patience=2, **options)
    assert stopped.report.held_out_loss == losses[: stopped.report.epochs]
    assert stopped.report.epochs < 12
    assert stopped.report.finished
    kept = stopped.report.best_epoch
    assert kept == int(np.argmin(stopped.report.held_out_loss))
    again = SgnsTrainer(past.token_counts(300), SgnsOptions(epochs=12, **options))
    for _ in range(kept + 1):
        again.train_block(past)
        again.end_epoch()
    np.testing.assert_array_equal(stopped.item_vectors, again.vectors()[0])


def test_progress_is_called_from_the_calling_thread() -> None:
    seqs = clustered_sessions(400_000, 2000, 20).sequences
    calls: list[tuple[str, float, float]] = []
    threads = set()

    def progress(*args: Any) -> None:
        calls.append(args)
        threads.add(threading.get_ident())

    train(seqs, epochs=3, workers=2, progress=progress)
    done = [c[1] for c in calls]
    assert done == sorted(done)
    assert calls[-1] == ("sgns", 3 * seqs.n_tokens, 3 * seqs.n_tokens)
    assert threads == {threading.get_ident()}


def test_an_error_in_progress_stops_the_training() -> None:
    def progress(*_: Any) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        train(clustered_sessions(50_000, 500, 5).sequences, epochs=50, progress=progress)


def test_ctrl_c_returns_within_a_second() -> None:
    seqs = clustered_sessions(300_000, 2000, 20).sequences
    timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt) as caught:
        train(seqs, epochs=100_000, vector_size=32)
    timer.join()
    assert time.perf_counter() - start < 1.5
    assert isinstance(caught.value, TrainingInterrupted)
    result = caught.value.result
    assert not result.report.finished
    assert np.isfinite(result.item_vectors).all()
    assert result.context_vectors.any()


def test_ctrl_c_within_one_long_native_call() -> None:
    code = (
        "import sys, numpy as np, traitcore as tc\n"
        "from traitcore.items.sgns_report import TrainingInterrupted\n"
        "n = 400_000\n"
        "seqs = tc.Sequences(np.random.default_rng(0).integers(0, 1000, n).astype(np.int32), np.array([0, n]))\n"
        "options = tc.SgnsOptions(epochs=1, window=100_000, dynamic_window=False, workers=2)\n"
        "print('go', flush=True)\n"
        "try:\n    tc.train_sgns(seqs, options)\n"
        "except TrainingInterrupted as e:\n    print(e.result.report.finished, e.result.context_vectors.any())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    time.sleep(0.5)
    start = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=20)[0]
    assert time.perf_counter() - start < 1.5
    assert out == "False True\n"


def test_divergence_is_raised(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="diverged"):
        train(corpus.sequences, alpha=1e6, min_alpha=1e6, epochs=5)
    small = clustered_sessions(8_000, 300, 6, seed=3).sequences  # diverged while a window moved its target at once
    rough = train(small, vector_size=32, alpha=0.15, min_alpha=0.15, sample=0.0, epochs=40)
    assert rough.loss[-1] < 6 * np.log(2)


SEQS = tc.Sequences.from_lists([[0, 1, 2], [1, 2, 3, 0]])
BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"vector_size": 0}, ValueError, "'vector_size'.*Got 0"),
    ({"vector_size": 8.0}, TypeError, "'vector_size'"),
    ({"window": 0}, ValueError, "'window'"),
    ({"negative": 0}, ValueError, "'negative'"),
    ({"negatives": "some"}, ValueError, "'shared', 'fresh'"),
    ({"ns_exponent": np.nan}, ValueError, "'ns_exponent'"),
    ({"sample": -1.0}, ValueError, "'sample'"),
    ({"alpha": 0.0}, ValueError, "'alpha'"),
    ({"min_alpha": 1.0}, ValueError, "'min_alpha'"),
    ({"epochs": 0}, ValueError, "'epochs'"),
    ({"workers": 0}, ValueError, "'workers'"),
    ({"seed": -1}, ValueError, "'seed'"),
    ({"n_items": 3}, ValueError, r"tokens in \[0, 3\).*Got '3 at 5'"),
    ({"patience": 1}, ValueError, "'patience'"),
    ({"start": 3}, TypeError, "'start'"),
    ({"start": (np.zeros((5, 64)), np.zeros((5, 64)))}, ValueError, "'start'"),
    ({"start": (np.zeros((4, 8)), np.zeros((4, 8)))}, ValueError, r"'start\[0\]'"),
    ({"start": (np.full((4, 64), np.nan), np.zeros((4, 64)))}, ValueError, r"'start\[0\]'.*finite"),
]


@pytest.mark.parametrize(("kwargs", "error", "match"), BAD, ids=lambda x: str(x)[:40])
def test_bad_parameters(kwargs: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        train(SEQS, **kwargs)


def test_bad_sequences() -> None:
    with pytest.raises(TypeError, match="'sequences'"):
        train([[0, 1]])
    with pytest.raises(ValueError, match="empty corpus"):
        train(tc.Sequences.from_lists([]))
    with pytest.raises(ValueError, match="empty corpus"):
        train(tc.Sequences.from_lists([[], []]), n_items=3)


def test_small_corpora() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        train(tc.Sequences.from_lists([[0]]), epochs=2)
    single = train(tc.Sequences.from_lists([[0, 0, 0, 0]]), epochs=1, sample=0.0)  # a vocabulary of one
    assert np.isfinite(single.item_vectors).all()
    assert single.loss[0] == pytest.approx(np.log(2), abs=1e-3)  # only positives: each negative is the target
    sparse = train(SEQS, n_items=9, ns_exponent=-1.0, sample=0.0)  # five items that never occur
    assert not sparse.context_vectors[4:].any()


def test_results_are_plain_arrays() -> None:
    for size in (7, 32):
        result = train(SEQS, vector_size=size, epochs=1, sample=0.0)
        for array in (result.item_vectors, result.context_vectors):
            assert array.dtype == np.float32
            assert array.shape == (4, size)
            assert array.flags.c_contiguous
