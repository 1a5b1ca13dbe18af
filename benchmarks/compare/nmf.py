"""Non-negative factorization against scikit-learn: same data, same start, errors measured alike on the factors."""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _beta_divergence, _initialize_nmf
from sklearn.exceptions import ConvergenceWarning

import traitcore as tc
from benchmarks.versus import SETTLE, Bench
from traitcore.factorization.starts import initial_factors

warnings.simplefilter("ignore", ConvergenceWarning)  # sweeps are counted here, not convergence
KL = "kullback-leibler"


def peer(X: Any, W: Any, H: Any, sweeps: int, loss: str = "frobenius", **options: Any) -> tuple[Any, Any]:
    """scikit-learn's factors after `sweeps` iterations, never stopped early."""
    solver = "cd" if loss == "frobenius" else "mu"
    W, H, _ = non_negative_factorization(
        X, W.copy(), H.copy(), n_components=len(H), init="custom", solver=solver, beta_loss=loss, max_iter=sweeps,
        tol=0 if solver == "mu" else 1e-300, **options,
    )
    return W, H


def ours(X: Any, W: Any, H: Any, sweeps: int, workers: int, schedule: str, **options: Any) -> Any:
    return tc.factorize_nonnegative(
        X, len(H), init="custom", W=W, H=H, max_iter=sweeps, tol=0, schedule=schedule, workers=workers, **options
    )


def squared_error(X: Any, W: Any, H: Any) -> float:
    """|X - W H|^2 in float64."""
    W, H = W.astype(np.float64), H.astype(np.float64)
    if not sparse.issparse(X):
        return float(sum(((X[i : i + 4096] - W[i : i + 4096] @ H) ** 2).sum() for i in range(0, len(W), 4096)))
    X = X.astype(np.float64)
    cross = float(((X @ H.T) * W).sum())
    return float(X.data @ X.data) - 2 * cross + float(((W.T @ W) * (H @ H.T)).sum())


def random_sparse(n: int, m: int, entries: int) -> sparse.csr_array:
    return sparse.random_array((n, m), density=entries / (n * m), format="csr", dtype=np.float32,
                               rng=np.random.default_rng(0))


def simulated_counts(quick: bool) -> sparse.csr_array:
    """Customer x token counts of a simulated shop log."""
    events = tc.simulate_events(n_users=300 if quick else 6000, n_items=1500, n_traits=16, seed=0).columns
    rows = np.unique(events["user_id"], return_inverse=True)[1]
    actions, action = np.unique(events["action"], return_inverse=True)
    columns = np.unique(events["item_id"], return_inverse=True)[1] * len(actions) + action
    X = sparse.coo_array((np.ones(len(rows), np.float32), (rows, np.unique(columns, return_inverse=True)[1]))).tocsr()
    X.sum_duplicates()
    return X


def retail_counts(bench: Bench) -> sparse.csr_array | None:
    path = bench.path("online_retail/online_retail.parquet")
    if path is None:
        return None
    import duckdb

    rows = duckdb.connect().sql(
        f"select CustomerID::varchar u, StockCode::varchar i from '{path}' where CustomerID is not null "
        "and InvoiceNo::varchar not like 'C%'"
    ).fetchnumpy()
    users, items = (np.unique(np.asarray(rows[c]).astype(str), return_inverse=True)[1] for c in "ui")
    X = sparse.coo_array((np.ones(len(users), np.float32), (users, items))).tocsr()
    X.sum_duplicates()
    return X


def _slope(run: Any, few: int, more: int) -> float:
    """Seconds of an iteration, from runs of two lengths: what is done once drops out."""
    times = []
    for count in (few, few + more):
        start = time.perf_counter()
        run(count)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / more


def per_sweep(bench: Bench, job: str, X: Any, k: int, sweeps: int) -> None:
    """Time of one plain sweep."""
    W, H = initial_factors(X, k, "random", 0, 1)

    def long_less_short(run: Any) -> float:
        return _slope(run, 2, sweeps)

    bench.race(
        job,
        {
            "traitcore, 1 thread": lambda: long_less_short(lambda s: ours(X, W, H, s, 1, "plain")),
            "traitcore, 2 threads": lambda: long_less_short(lambda s: ours(X, W, H, s, 2, "plain")),
            "scikit-learn cd": lambda: long_less_short(lambda s: peer(X, W, H, s)),
        },
        ours="traitcore, 1 thread",
        bar="3x (1 thread), 5x (2 threads)",
    )
    a, b = ours(X, W, H, 5, 2, "plain"), peer(X, W, H, 5)
    bench.row(job, "error / scikit-learn's, 5 sweeps", ratio=squared_error(X, a.W, a.H) / squared_error(X, *b))


def time_to_error(bench: Bench, job: str, X: Any, k: int) -> None:
    """Our time on 2 threads to the error that scikit-learn has after 200 sweeps: factors measured, not history."""
    W, H = initial_factors(X, k, "nndsvda", 0, 1)
    sweeps = 20 if bench.quick else 200
    target = squared_error(X, *peer(X, W, H, sweeps))
    needed = next((n for n in range(1, sweeps) if _reaches(X, W, H, n, target)), sweeps)
    bench.race(
        job,
        {
            "traitcore, 2 threads": lambda: ours(X, W, H, needed, 2, "accelerated"),
            "scikit-learn, 200 sweeps": lambda: peer(X, W, H, sweeps),
        },
        ours="traitcore, 2 threads", bar="8x",
    )
    found = ours(X, W, H, needed, 2, "accelerated")
    reached = squared_error(X, found.W, found.H) / target
    bench.row(job, "error / scikit-learn's", ratio=reached, iterations=needed, bar="<= 1")


def _reaches(X: Any, W: Any, H: Any, n: int, target: float) -> bool:
    found = ours(X, W, H, n, 2, "accelerated")
    return found.history[-1] * 2 <= target * 1.01 and squared_error(X, found.W, found.H) <= target


def parity(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    X = rng.random((300, 80))
    W, H = rng.random((300, 8)), rng.random((8, 80))
    for name, data in (("dense", X), ("sparse", sparse.csr_array(np.where(X > 0.8, X, 0)))):
        penalties: tuple[dict[str, Any], ...] = {}, {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.5}
        for penalty in penalties:
            mine, theirs = ours(data, W, H, 50, 1, "plain", **penalty), peer(data, W, H, 50, **penalty)
            off = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip((mine.W, mine.H), theirs))
            which = "penalised" if penalty else "plain"
            bench.row(f"plain cd, 50 sweeps, {name}", which, worst_relative=off, bar="1e-4")


def starts(bench: Bench, job: str, X: Any, k: int) -> None:
    for workers in (1, 2):
        bench.race(
            f"{job}, {workers} threads",
            {
                "traitcore": partial(initial_factors, X, k, "nndsvda", 0, workers),
                "scikit-learn": partial(_initialize_nmf, X, k, init="nndsvda", random_state=0),
            },
            ours="traitcore", bar="4x",
        )
    mine, theirs = initial_factors(X, k, "nndsvda", 0, 1), _initialize_nmf(X, k, init="nndsvda", random_state=0)
    bench.row(job, "error / scikit-learn's", ratio=squared_error(X, *mine) / squared_error(X, *theirs))


def fold_in(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    H = rng.gamma(0.5, 1, (16, 64)).astype(np.float32)
    W = rng.gamma(0.5, 1, (20_000 if bench.quick else 200_000, 16)).astype(np.float32)
    X = W @ H + 0.1 * rng.random((len(W), 64), dtype=np.float32)
    solver = tc.WeightSolver(H)
    solver(X[:100])
    time.sleep(SETTLE)
    times = []
    for row in X[:2000]:
        start = time.perf_counter()
        solver(row)
        times.append(time.perf_counter() - start)
    bench.row("fold in one row, d=64, k=16", "traitcore", microseconds=float(np.median(times)) * 1e6, bar="50 us")
    job = "fold in a batch, d=64, k=16"
    contenders = {f"traitcore, {w} threads": partial(solver, X, workers=w) for w in (1, 2)}
    for name, seconds in bench.race(job, contenders, ours="traitcore, 1 threads").items():
        bench.row(job, name, rows_per_s=len(X) / seconds, bar="1M rows/s")
    error = squared_error(X, solver(X, workers=2), H) / squared_error(X, np.zeros_like(W), H)
    bench.row(job, "error / that of zeros", ratio=float(np.sqrt(error)))


def divergence(bench: Bench, job: str, X: Any, k: int, sweeps: int) -> None:
    W, H = initial_factors(X, k, "random", 0, 1)
    found: dict[str, tuple[Any, Any]] = {}

    def mine(schedule: str, workers: int, count: int) -> None:
        r = ours(X, W, H, count, workers, schedule, beta_loss=KL)
        found[schedule] = r.W, r.H

    def theirs(count: int) -> None:
        found["peer"] = peer(X, W, H, count, KL)

    def an_iteration(run: Any) -> float:
        return _slope(run, 1, sweeps - 1)

    bench.race(
        f"{job}, an iteration",
        {
            "traitcore plain, 1 thread": lambda: an_iteration(lambda s: mine("plain", 1, s)),
            "traitcore plain, 2 threads": lambda: an_iteration(lambda s: mine("plain", 2, s)),
            "traitcore accelerated, 1 thread": lambda: an_iteration(lambda s: mine("accelerated", 1, s)),
            "scikit-learn mu": lambda: an_iteration(theirs),
        },
        ours="traitcore plain, 1 thread", bar="5x", repeat=2,
    )
    reference = _beta_divergence(X, *found["peer"], KL)
    for schedule in ("plain", "accelerated"):
        ratio = _beta_divergence(X, *found[schedule], KL) / reference
        bench.row(job, f"divergence / scikit-learn's, {schedule}", ratio=ratio, bar="<= 1")


def run(bench: Bench) -> None:
    quick, wanted = bench.quick, bench.wants
    if wanted("plain cd"):
        parity(bench)
    rng = np.random.default_rng(0)
    dense = rng.random((2_000 if quick else 100_000, 64), dtype=np.float32)
    wide = random_sparse(2_000, 500, 50_000) if quick else random_sparse(200_000, 20_000, 5_200_000)
    counts = simulated_counts(quick)
    for job, X, k, sweeps in (
        ("dense 100k x 64, k=16, a sweep", dense, 16, 50), ("sparse 200k x 20k, k=32, a sweep", wide, 32, 12),
    ):
        if wanted(job):
            per_sweep(bench, job, X, k, sweeps)
    retail = retail_counts(bench)
    starting = [("nndsvd dense", dense, 16), ("nndsvd sparse", wide, 32)]
    planted = (rng.gamma(0.5, 1, (len(dense), 16)) @ rng.gamma(0.5, 1, (16, 64))).astype(np.float32)
    reaching = [("dense", planted + 0.3 * dense), ("simulated", counts)]
    if retail is not None:
        starting.append(("nndsvd retail", retail, 16))
        reaching.append(("retail", retail))
    for job, X, k in starting:
        if wanted(job):
            starts(bench, job, X, k)
    for name, X in reaching:
        if wanted(f"to the 200-sweep error, {name}"):
            time_to_error(bench, f"to the 200-sweep error, {name}", X, 16)
    if wanted("fold in"):
        fold_in(bench)
    for job, X, k, sweeps in (("KL, simulated counts", counts, 16, 10), ("KL, sparse 200k x 20k, k=32", wide, 32, 3)):
        if wanted(job):
            divergence(bench, job, X, k, sweeps)
