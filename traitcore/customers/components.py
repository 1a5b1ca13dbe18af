"""Components of a factorization: the start, the fit, matching one to one, consensus over runs, merging."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._assignment import best_assignment
from .._errors import ConvergenceWarning
from .._rows import cosines, unit_rows
from ..factorization.nmf import factorize_nonnegative
from ..factorization.starts import nndsvd_start
from ..factorization.svd import randomized_svd
from ..factorization.svd_result import SVDResult
from . import tuning
from .recipes import TraitFitOptions

Start = tuple[NDArray[np.float32], NDArray[np.float32]]


def factorize(
    matrix: NDArray[np.float32] | sparse.csr_array, options: TraitFitOptions, *, start: Start | None = None
) -> NDArray[np.float32]:
    """(n_traits, n_columns) unit components of a non-negative matrix; with restarts, those that the runs agree on.

    The first run starts from `start` (W, H), or else the SVD, each restart from a rougher one with random fill-ins
    ("nndsvdar").
    """
    runs = []
    for restart in range(options.n_restarts):
        W, H = (start or converged_start(matrix, options)) if restart == 0 else (None, None)
        found = factorize_nonnegative(
            matrix, options.n_traits, init="nndsvdar" if W is None else "custom", W=W, H=H,
            max_iter=options.max_iter, tol=options.tol, random_state=options.seed + restart,
            workers=options.workers, progress=options.progress,
        )
        runs.append(unit_components(found.H))
    return runs[0] if len(runs) == 1 else consensus_components(runs)[0]


def converged_start(matrix: NDArray[np.float32] | sparse.csr_array, options: TraitFitOptions) -> Start:
    """(W, H) by nndsvda (Boutsidis & Gallopoulos 2008) from an SVD iterated until it has converged or proved noise.

    `factorize_nonnegative` takes a few steps for its start, enough for a good fit. But the start decides in which
    minimum a fit ends, and traits should not change with the seed.
    """
    n, m = matrix.shape
    found = converged_svd(matrix, options)
    U, V = (_without_rounding(vectors) for vectors in (found.U, found.Vt.T))
    return nndsvd_start(
        U, found.singular_values, V, options.n_traits, fill=float(matrix.sum(dtype=np.float64)) / max(1, n * m),
        smallest=float(np.finfo(np.float32).tiny), workers=options.workers,
    )


def converged_svd(matrix: NDArray[np.float32] | sparse.csr_array, options: TraitFitOptions) -> SVDResult:
    """The first n_traits singular values and vectors (fewer of a smaller matrix), to START_TOL."""
    n, m = matrix.shape
    rank = min(options.n_traits, n, m)
    columns = tuning.START_COLUMNS + tuning.START_COLUMNS_PER_COMPONENT * rank
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # noise: any start will do
        return randomized_svd(
            matrix, rank, tol=tuning.START_TOL, random_state=options.seed, workers=options.workers,
            memory_limit_mb=4 * columns * min(n, m) / 2**20 if min(n, m) > 2 * columns else None,
        )


def _without_rounding(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Singular vectors, in columns, with zeros for what may be a zero's rounding error of either sign."""
    size = np.abs(vectors)
    return np.where(size > tuning.START_ROUNDING * size.max(axis=0), vectors, np.float32(0)).astype(
        np.float32, order="C"
    )


def unit_components(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of Euclidean length 1, in single precision; zero rows stay zero.

    Of components, so that the customers' weights are on one scale; of customers' weights, because with sums of 1 a
    customer of many traits would count for less than a customer of one.
    """
    return np.ascontiguousarray(unit_rows(rows, np.float32))


def match_rows(A: ArrayLike, B: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row of A its own row of B, so that the sum of cosines is largest, and those cosines.

    (n,) int64 rows of B (-1 where B has fewer rows), (n,) float64. The Hungarian method, as in Greene, O'Callaghan
    & Cunningham 2014 ("How Many Topics? Stability Analysis for Topic Models").
    """
    close = cosines(A, B)
    rows, columns = best_assignment(close)
    found = np.full(len(close), -1, dtype=np.int64)
    found[rows] = columns
    matched = np.zeros(len(close))
    matched[rows] = close[rows, columns]
    return found, matched


def consensus_components(
    runs: Sequence[NDArray[np.float32]], *, rounds: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Unit rows (k, m) on which runs (each (k, m)) agree, and (k,) the mean cosine of each with its members.

    Clusters hold one component of each run (Kotliar et al. 2019 cluster them freely and take medians; matched one to
    one, no trait is lost to a larger cluster). The run that agrees best with the others is the first centre; centres
    are then means of their members, `rounds` times.
    """
    agreement = [np.mean([match_rows(run, other)[1].mean() for other in runs]) for run in runs]
    centre = np.asarray(runs[int(np.argmax(agreement))], dtype=np.float64)
    matched = np.ones(len(centre))
    for _ in range(rounds):
        pairs = [match_rows(centre, run) for run in runs]
        matched = np.mean([cosine for _, cosine in pairs], axis=0)
        members = np.mean([np.asarray(run, dtype=np.float64)[rows] for run, (rows, _) in zip(runs, pairs)], axis=0)
        centre = unit_rows(members)
    return centre.astype(np.float32), matched
