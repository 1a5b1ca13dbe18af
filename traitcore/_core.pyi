from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# sampling.cpp
def random_words(seed: int, stream: int, start: int, n: int) -> NDArray[np.uint64]: ...
def alias_draws(weights: NDArray[np.float64], seed: int, stream: int, n: int) -> NDArray[np.uint32]: ...
def simd_levels() -> list[str]: ...
def simd_level() -> str: ...
def set_simd_level(level: str | None) -> None: ...

# sgns.cpp
class SgnsModel:
    def __init__(
        self,
        *,
        counts: NDArray[np.int64],
        groups: NDArray[np.int32] | None,
        vector_size: int,
        window: int,
        dynamic_window: bool,
        negative: int,
        group_negative: int,
        shared: bool,
        sample: float,
        ns_exponent: float,
        alpha: float,
        min_alpha: float,
        seed: int,
        rounds: float,
    ) -> None: ...
    def train(
        self,
        *,
        tokens: NDArray[np.int32],
        offsets: NDArray[np.int64],
        global_context: NDArray[np.int32] | None,
        epoch: int,
        first_sequence: int,
        schedule_start: float,
        schedule_stop: float,
        workers: int,
        update: bool,
        progress: Callable[[int], None] | None,
    ) -> tuple[float, int, int, BaseException | None]: ...
    def item_vectors(self) -> NDArray[np.float32]: ...
    def context_vectors(self) -> NDArray[np.float32]: ...

# texts.cpp
def code_texts(texts: list[Any] | tuple[Any, ...]) -> tuple[NDArray[np.int32], list[str]]: ...

# pooling.cpp
def pool_owners(
    start: int,
    stop: int,
    first: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    tokens: NDArray[np.int32],
    vectors: NDArray[np.float32],
    token_weights: NDArray[np.float32] | None,
    event_weights: NDArray[np.float32] | None,
    pooled: NDArray[np.float32],
    mass: NDArray[np.float64],
    known: NDArray[np.int64],
) -> None: ...

# nmf.cpp
def nmf_row_pass(
    dense: NDArray[Any] | None,
    indptr: NDArray[np.int64] | None,
    indices: NDArray[np.int32] | None,
    data: NDArray[Any] | None,
    A: NDArray[Any],
    G: NDArray[Any],
    inverse: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    sweeps: int,
    start: NDArray[Any],
    out: NDArray[Any] | None,
    previous: NDArray[Any] | None,
    extrapolated: NDArray[Any] | None,
    beta: float,
    row_weights: NDArray[Any] | None,
    C: NDArray[Any] | None,
    edges: NDArray[np.int64],
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]: ...
def nmf_project_pass(
    n: int,
    dense: NDArray[Any] | None,
    indptr: NDArray[np.int64] | None,
    indices: NDArray[np.int32] | None,
    data: NDArray[Any] | None,
    A: NDArray[Any],
    out: NDArray[Any] | None,
    C: NDArray[Any] | None,
    edges: NDArray[np.int64],
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]: ...
def nmf_solve_pass(
    dense: NDArray[Any] | None,
    indptr: NDArray[np.int64] | None,
    indices: NDArray[np.int32] | None,
    data: NDArray[Any] | None,
    A: NDArray[Any],
    G: NDArray[Any],
    inverse: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    sweeps: int,
    tol: float,
    solution: NDArray[Any],
    out: NDArray[Any],
    edges: NDArray[np.int64],
    workers: int,
) -> None: ...
def nmf_column_pass(
    C: NDArray[Any],
    G: NDArray[Any],
    inverse: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    sweeps: int,
    start: NDArray[Any],
    out: NDArray[Any],
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]: ...

# topk.cpp
def search_top_k(
    queries: NDArray[np.float32],
    q_begin: int,
    q_end: int,
    vectors: NDArray[np.float32],
    begin: int,
    end: int,
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    first: NDArray[np.int64] | None,
    excluded: NDArray[np.int64] | None,
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    workers: int,
    euclidean: bool,
) -> None: ...
def squared_norms(vectors: NDArray[np.float32], out: NDArray[np.float64]) -> None: ...
def euclidean_biases(squared: NDArray[np.float64], width: int, out: NDArray[np.float32]) -> None: ...

# products.cpp
def sparse_times_dense(
    indptr: NDArray[Any],
    indices: NDArray[Any],
    values: NDArray[np.float32],
    B: NDArray[np.float32],
    C: NDArray[np.float32],
    alpha: float,
    beta: float,
    workers: int,
) -> None: ...
def panels_gram(panels: NDArray[np.float32], W: NDArray[np.float32], workers: int) -> NDArray[np.float64]: ...
def panels_combine(
    panels: NDArray[np.float32], S: NDArray[np.float32], Y: NDArray[np.float32], fresh: bool, workers: int
) -> None: ...
def symmetric_eigen(
    A: NDArray[np.float64], first: int, workers: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def nmf_entry_pass(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[Any],
    A: NDArray[Any],
    k: int,
    poisson: bool,
    measure: bool,
    column_sums: NDArray[Any] | None,
    column_weights: NDArray[Any] | None,
    row_weights: NDArray[Any] | None,
    l1: float,
    l2: float,
    floor: float,
    sweeps: int,
    start: NDArray[Any],
    out: NDArray[Any] | None,
    edges: NDArray[np.int64],
    workers: int,
) -> tuple[float, float]: ...
def nmf_residual(
    dense: NDArray[Any] | None,
    indptr: NDArray[np.int64] | None,
    indices: NDArray[np.int32] | None,
    data: NDArray[Any] | None,
    A: NDArray[Any],
    start: NDArray[Any],
    row_weights: NDArray[Any] | None,
    edges: NDArray[np.int64],
    workers: int,
) -> float: ...
