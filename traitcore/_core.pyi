from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# The factorization's passes take float32 or float64, the same in all arrays of a call.
_Reals: TypeAlias = NDArray[np.float32] | NDArray[np.float64]

class _Csr(Protocol):
    """The three arrays of a CSR; where they may be None, `dense` is the matrix."""

    @property
    def indptr(self) -> NDArray[Any] | None: ...
    @property
    def indices(self) -> NDArray[Any] | None: ...
    @property
    def data(self) -> NDArray[Any] | None: ...

_Matrix: TypeAlias = _Reals | _Csr

# sampling.cpp
def random_words(seed: int, stream: int, start: int, n: int) -> NDArray[np.uint64]: ...
def alias_draws(weights: NDArray[np.float64], seed: int, stream: int, n: int) -> NDArray[np.uint32]: ...
def simd_levels() -> list[str]: ...
def simd_level() -> str: ...
def set_simd_level(level: str | None) -> None: ...

# sgns.cpp
class _PybindType(type): ...

class SgnsModel(metaclass=_PybindType):
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
        targets: NDArray[np.int32] | None,
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
def encode_strings(texts: list[Any] | tuple[Any, ...]) -> tuple[NDArray[np.int32], list[str]]: ...

# arrow_views.cpp
def gather_views(
    views: NDArray[np.uint8],
    which: int,
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None: ...

# time_texts.cpp
def parse_decimals(
    buffer: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    point: str,
    whole: NDArray[np.int64],
    billionths: NDArray[np.int64],
    status: NDArray[np.uint8],
) -> None: ...
def parse_times(
    buffer: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    format: str,
    us: NDArray[np.int64],
    status: NDArray[np.uint8],
) -> None: ...

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
    stopped: NDArray[np.uint8] | None,
) -> None: ...

# nmf.cpp
def nmf_row_pass(
    X: _Matrix,
    A: _Reals,
    G: _Reals,
    inverse: _Reals,
    order: NDArray[np.int32],
    l1: float,
    sweeps: int,
    start: _Reals,
    out: _Reals | None,
    previous: _Reals | None,
    extrapolated: _Reals | None,
    beta: float,
    row_weights: _Reals | None,
    C: _Reals | None,
    edges: NDArray[np.int64],
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]: ...
def nmf_project_pass(
    X: _Matrix,
    A: _Reals,
    out: _Reals | None,
    C: _Reals | None,
    edges: NDArray[np.int64],
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]: ...
def nmf_solve_pass(
    X: _Matrix,
    A: _Reals,
    G: _Reals,
    inverse: _Reals,
    order: NDArray[np.int32],
    l1: float,
    sweeps: int,
    tol: float,
    solution: _Reals,
    out: _Reals,
    edges: NDArray[np.int64],
    workers: int,
) -> None: ...
def nmf_column_pass(
    C: _Reals,
    G: _Reals,
    inverse: _Reals,
    order: NDArray[np.int32],
    l1: float,
    sweeps: int,
    start: _Reals,
    out: _Reals,
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]: ...
def nmf_entry_pass(
    X: _Matrix,
    A: _Reals,
    k: int,
    poisson: bool,
    measure: bool,
    column_sums: _Reals | None,
    column_weights: _Reals | None,
    row_weights: _Reals | None,
    l1: float,
    l2: float,
    floor: float,
    sweeps: int,
    start: _Reals,
    out: _Reals | None,
    edges: NDArray[np.int64],
    workers: int,
) -> tuple[float, float]: ...
def nmf_residual(
    X: _Matrix,
    A: _Reals,
    start: _Reals,
    row_weights: _Reals | None,
    edges: NDArray[np.int64],
    workers: int,
) -> float: ...

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
    A: _Csr,
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

# eigen.cpp
def symmetric_eigen(
    A: NDArray[np.float64], first: int, workers: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
