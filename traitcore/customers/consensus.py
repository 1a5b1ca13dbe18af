"""Traits that many runs agree on: match the components of runs one to one, and average what belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def cosines(A: Any, B: Any) -> NDArray[np.float64]:
    """(len(A), len(B)) cosines between rows; 0 against a zero row."""

    def unit(M: Any) -> NDArray[np.float64]:
        rows = np.asarray(M, dtype=np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))

    product: NDArray[np.float64] = unit(A) @ unit(B).T
    return product


def match_rows(A: Any, B: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row of A its own row of B, so that the sum of cosines is largest, and those cosines.

    (n,) int64 rows of B (-1 where B has fewer rows), (n,) float64. The Hungarian method, as in Greene, O'Callaghan
    & Cunningham 2014 ("How Many Topics? Stability Analysis for Topic Models").
    """
    close = cosines(A, B)
    rows, columns = linear_sum_assignment(-close)
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
        norms = np.linalg.norm(members, axis=1, keepdims=True)
        centre = members / np.where(norms > 0, norms, 1.0)
    return centre.astype(np.float32), matched
