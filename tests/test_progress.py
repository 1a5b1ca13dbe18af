"""Whatever takes `progress` calls it alike: from the caller's thread, rising within each stage, the total at last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import traitcore as tc

# Stages of the SVD and of the NMF stop at their tolerance, before the total; how they end is being settled by the
# colleague `svd`, who adds them here.
ITERATIVE = ("svd", "nmf", "semi")


@cache
def log() -> tc.EventLog:
    return tc.simulate_events(n_users=50, n_items=40, n_traits=3, days=30, seed=1).log


@cache
def corpus() -> Any:
    return tc.tokenize(tc.split_sessions(log()))


def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((len(corpus().vocabulary), 6)).astype(np.float32)


@cache
def ring() -> sparse.csr_array:
    n = 50
    return sparse.csr_array((np.ones(n), (np.arange(n) + 1) % n, np.arange(n + 1)), shape=(n, n))


def csv(folder: Path) -> str:
    path = folder / "events.csv"
    log().to_csv(path)
    return str(path)


def seqs() -> tc.Sequences:
    return corpus().sequences


def retrieval(workers: int, progress: Any) -> None:
    scores = np.random.default_rng(0).random(len(corpus().vocabulary))
    tc.evaluate_retrieval(
        seqs(), lambda prefixes: np.tile(scores, (len(prefixes), 1)), n_items=len(scores), workers=workers,
        progress=progress,
    )


CALLS: dict[str, Callable[[int, Any, Path], Any]] = {
    "read_events": lambda w, p, f: tc.read_events(csv(f), progress=p),
    "split_sessions": lambda w, p, f: tc.split_sessions(log(), workers=w, progress=p),
    "count_cooccurrences": lambda w, p, f: tc.count_cooccurrences(seqs(), workers=w, progress=p),
    "train_sgns": lambda w, p, f: tc.train_sgns(
        seqs(), tc.SgnsOptions(vector_size=4, epochs=2, workers=w), progress=p
    ),
    "train_block": lambda w, p, f: tc.SgnsTrainer(
        seqs().token_counts(), tc.SgnsOptions(vector_size=4, epochs=1, workers=w), epoch_tokens=seqs().n_tokens
    ).train_block(seqs(), progress=p),
    "Item2Vec": lambda w, p, f: tc.Item2Vec(vector_size=4, epochs=2, workers=w).fit(seqs(), progress=p),
    "PPMIEmbedder": lambda w, p, f: tc.PPMIEmbedder(vector_size=4, workers=w).fit(seqs(), progress=p),
    "PPMIEmbedder.partial_fit": lambda w, p, f: tc.PPMIEmbedder(vector_size=4, workers=w).partial_fit(
        seqs(), progress=p
    ),
    "WalkEmbedder": lambda w, p, f: tc.WalkEmbedder(vector_size=4, workers=w).fit(seqs(), progress=p),
    "WalkEmbedder.fit_graph": lambda w, p, f: tc.WalkEmbedder(vector_size=4, workers=w).fit_graph(ring(), progress=p),
    "random_walks": lambda w, p, f: tc.random_walks(ring(), n_walks=7, workers=w, progress=p),
    "random_walks, second order": lambda w, p, f: tc.random_walks(ring(), p=2.0, workers=w, progress=p),
    "WalkCorpus.walks": lambda w, p, f: tc.WalkCorpus(ring(), workers=w).walks(3, 400, progress=p),
    "WalkCorpus.count": lambda w, p, f: tc.WalkCorpus(ring(), block_tokens=999, workers=w).count(progress=p),
    "NextItemCounts": lambda w, p, f: tc.NextItemCounts(workers=w).fit(seqs(), progress=p),
    "AttentionPooling": lambda w, p, f: tc.AttentionPooling(epochs=2, workers=w).fit(
        seqs(), vectors(), vectors(), progress=p
    ),
    "TraitModel": lambda w, p, f: tc.TraitModel(3, method="counts", n_restarts=2, max_iter=5, workers=w).fit(
        seqs(), corpus().vocabulary, item_vectors=vectors(), progress=p
    ),
    "evaluate_retrieval": lambda w, p, f: retrieval(w, p),
    "fit_pipeline with a store": lambda w, p, f: tc.fit_pipeline(
        log(), store=f, vector_size=4, method="ppmi", customers="none", workers=w, progress=p
    ),
}


@pytest.mark.filterwarnings("ignore:.*(share a time|did not converge|subsampl).*")
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("call", CALLS)
def test_calls_come_from_the_caller_and_rise_to_the_total(call: str, workers: int, tmp_path: Path) -> None:
    calls: list[tuple[str, float, float]] = []
    threads = set()

    def progress(stage: str, done: float, total: float) -> None:
        threads.add(threading.get_ident())
        calls.append((stage, done, total))

    CALLS[call](workers, progress, tmp_path)
    assert threads == {threading.get_ident()}
    last: dict[str, tuple[float, float]] = {}
    for stage, done, total in calls:
        assert 0 <= done <= total, stage
        before = last.get(stage)
        if before is not None and total == before[1] and done < before[0]:
            # A stage that runs again (a second fit inside) begins anew where the run before it had ended.
            assert before[0] == before[1] or iterative(call, stage), (stage, before, done)
        last[stage] = (done, total)
    for stage, (done, total) in last.items():
        assert done == total or iterative(call, stage), stage


def iterative(call: str, stage: str) -> bool:
    """The pipeline gives the SVD's steps its own stage's name, and ends it itself."""
    return stage.split()[0].lower().startswith(ITERATIVE) or (call.startswith("fit_pipeline") and stage == "ppmi")


def test_the_judges_of_traits_end_at_the_total() -> None:
    calls: list[tuple[str, float, float]] = []
    small = {"n_restarts": 1, "max_iter": 5, "method": "counts"}
    tc.choose_n_traits(
        seqs(), corpus().vocabulary, candidates=(2, 3), model=tc.TraitModel(2, **small), n_refits=2,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [("number of traits", 1, 2), ("number of traits", 2, 2)]
    calls.clear()
    tc.evaluate_traits(
        seqs(), corpus().vocabulary, model=tc.TraitModel(3, **small), checks=("coherence", "stability"), n_splits=2,
        n_refits=2, progress=lambda *call: calls.append(call),
    )
    assert calls == [(stage, done, 2) for stage in ("coherence", "stability") for done in (1, 2)]
