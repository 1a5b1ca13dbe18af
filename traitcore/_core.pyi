from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# The factorization's passes take float32 or float64, the same in all arrays of a call.
_Reals: TypeAlias = NDArray[np.float32] | NDArray[np.float64]

_Index: TypeAlias = NDArray[np.int32] | NDArray[np.int64]
_Counts: TypeAlias = _Reals | _Index

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
        reproducible: bool,
        lanes: int = 0,
        chunk: int = 0,
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
        schedule_first: int,
        schedule_stop: int,
        schedule_total: int,
        last: bool,
        workers: int,
        update: bool,
        progress: Callable[[int], None] | None,
    ) -> tuple[float, int, int, BaseException | None]: ...
    def item_vectors(self) -> NDArray[np.float32]: ...
    def context_vectors(self) -> NDArray[np.float32]: ...

# sessions.cpp
def order_events(
    group: NDArray[np.int32],
    n_groups: int,
    time: NDArray[np.int64] | None,
    position: NDArray[np.int64] | None,
    action: NDArray[np.int16] | None,
    item: NDArray[np.int32],
    ties: int,
    seed: int,
    group_hash: NDArray[np.uint64] | None,
    item_hash: NDArray[np.uint64] | None,
    workers: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]: ...
def cut_sessions(
    rows: NDArray[np.int64],
    bounds: NDArray[np.int64],
    times: NDArray[np.int64] | None,
    group_owner: NDArray[np.int32] | None,
    position: NDArray[np.int64] | None,
    action: NDArray[np.int16] | None,
    item: NDArray[np.int32],
    gap_us: int,
    min_length: int,
    max_events: int,
    per_minute: int,
    per_day: int,
    merge: bool,
    drop: bool,
    workers: int,
) -> tuple[
    NDArray[np.int64], NDArray[np.int32] | None, NDArray[np.int64], NDArray[np.int64], int, int, int
]: ...

# tokens.cpp
def pair_codes(
    start: int,
    stop: int,
    order: NDArray[np.int64],
    item: NDArray[np.int32],
    action: NDArray[np.int16] | None,
    new_action: NDArray[np.int16],
    n_actions: int,
    pairs: NDArray[np.int32],
) -> None: ...
def count_tokens(
    start: int,
    stop: int,
    order: NDArray[np.int64] | None,
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    owner: NDArray[np.int32] | None,
    counts: NDArray[np.int64],
    documents: NDArray[np.int32],
    last_seen: NDArray[np.int32],
) -> None: ...
def keep_tokens(
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    owner: NDArray[np.int32] | None,
    time: NDArray[np.int64] | None,
    row: NDArray[np.int32],
    min_length: int,
) -> tuple[int, int, int, int, int, int]: ...

def count_values(start: int, stop: int, tokens: NDArray[np.int32], counts: NDArray[np.int64]) -> None: ...
def invert_sequences(
    start: int,
    stop: int,
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    cursor: NDArray[np.int64],
    padded: NDArray[np.int32],
    places: _Index,
) -> None: ...
def label_places(start: int, stop: int, offsets: NDArray[np.int64], sequence: NDArray[np.int32]) -> None: ...
def keep_largest(
    row: int,
    stop: int,
    k: int,
    lengths: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: _Counts,
    begin: int,
) -> int: ...

# codes.cpp
def code_by_value(values: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...

class IntegerCodes(metaclass=_PybindType):
    def __init__(self) -> None: ...
    def code(self, values: NDArray[np.int64]) -> NDArray[np.int32]: ...
    def distinct(self) -> NDArray[np.int64]: ...

def remap_codes(start: int, stop: int, codes: NDArray[np.int32], rank: NDArray[np.int32]) -> None: ...
def hash_texts(buffer: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.uint64]: ...
def chain_hashes(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]: ...
# next_item.cpp
class NextItemModel(metaclass=_PybindType):
    def __init__(
        self,
        *,
        counts: NDArray[np.int64],
        vector_size: int,
        window: int,
        negative: int,
        ns_exponent: float,
        scale: float,
        batch: int,
        alpha: float,
        min_alpha: float,
        decay: float,
        seed: int,
    ) -> None: ...
    def train(
        self,
        *,
        tokens: NDArray[np.int32],
        offsets: NDArray[np.int64],
        weights: NDArray[np.float32] | None,
        epoch: int,
        schedule_start: float,
        schedule_stop: float,
        workers: int,
        update: bool,
        progress: Callable[[float], None] | None,
    ) -> tuple[float, float, int, BaseException | None]: ...
    def item_vectors(self) -> NDArray[np.float32]: ...
    def biases(self) -> NDArray[np.float32]: ...
    def squares(self) -> NDArray[np.float32]: ...
    def bias_squares(self) -> NDArray[np.float32]: ...
    def steps(self) -> NDArray[np.float32]: ...
    def step_squares(self) -> NDArray[np.float32]: ...
    def repeats(self) -> NDArray[np.float32]: ...
    def repeat_squares(self) -> NDArray[np.float32]: ...

# texts.cpp
def encode_strings(texts: list[Any] | tuple[Any, ...]) -> tuple[NDArray[np.int32], list[str]]: ...
def spans_of_strings(texts: list[Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...

class TextCodes(metaclass=_PybindType):
    def __init__(self) -> None: ...
    def code(
        self, buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
    ) -> NDArray[np.int32]: ...
    def texts(self, first: int) -> tuple[bytes, NDArray[np.int64]]: ...

# arrow_views.cpp
def gather_views(
    views: NDArray[np.uint8],
    data: list[NDArray[np.uint8]],
    offsets: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None: ...

# time_texts.cpp
def parse_numbers(
    buffer: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    point: str,
    reads: str,
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

# csr_passes.cpp
def sum_rows(
    start: int, stop: int, indptr: _Index, indices: _Index, data: _Counts, sums: NDArray[np.float64]
) -> None: ...
def sum_columns(start: int, stop: int, indices: _Index, data: _Counts, sums: NDArray[np.float64]) -> None: ...
def count_pmi(
    start: int,
    stop: int,
    indptr: _Index,
    indices: _Index,
    data: _Counts,
    row_scale: NDArray[np.float64],
    column_scale: NDArray[np.float64],
    lengths: NDArray[np.int64],
) -> None: ...
def write_pmi(
    start: int,
    stop: int,
    indptr: _Index,
    indices: _Index,
    data: _Counts,
    row_scale: NDArray[np.float64],
    column_scale: NDArray[np.float64],
    discount: float,
    out_indptr: NDArray[np.int64],
    out_indices: _Index,
    out_data: NDArray[np.float32],
) -> None: ...
def is_symmetric(
    start: int, stop: int, indptr: _Index, indices: _Index, data: _Reals, cursor: NDArray[np.int64]
) -> bool: ...
def next_places(rows: NDArray[np.int64], next: NDArray[np.int64]) -> NDArray[np.int64]: ...
def count_marked(
    start: int, stop: int, indptr: _Index, marked: NDArray[np.bool_], lengths: NDArray[np.int64]
) -> None: ...
def find_loops(
    start: int,
    stop: int,
    indptr: _Index,
    indices: _Index,
    data: NDArray[np.float64],
    clear: NDArray[np.float64] | None,
) -> int: ...
def scale_by_roots(
    start: int,
    stop: int,
    indptr: _Index,
    indices: _Index,
    data: NDArray[np.float64],
    row_sums: NDArray[np.float64],
    column_sums: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
def keep_heaviest(
    start: int,
    stop: int,
    indptr: NDArray[np.int64],
    weights: NDArray[np.float64],
    k: int,
    kept: NDArray[np.bool_],
) -> None: ...
def join_parts(start: int, stop: int, indptr: _Index, indices: _Index, parent: NDArray[np.int64]) -> None: ...
def settle_parts(parent: NDArray[np.int64]) -> None: ...

# starts.cpp
def part_squares(start: int, stop: int, U: _Reals, k: int) -> NDArray[np.float64]: ...
def write_parts(
    start: int, stop: int, U: _Reals, scale: _Reals, small: float, fill: float, out: _Reals
) -> None: ...

# running_sums.cpp
def add_live_events(
    rows: NDArray[np.int64],
    tokens: NDArray[np.int64],
    times_us: NDArray[np.int64],
    vectors: NDArray[np.float32],
    weights: NDArray[np.float32],
    half_life_us: int,
    sums: NDArray[np.float64],
    mass: NDArray[np.float64],
    known: NDArray[np.int64],
    newest_us: NDArray[np.int64],
    exponent: NDArray[np.int64],
) -> None: ...
def add_token_events(
    rows: NDArray[np.int64],
    tokens: NDArray[np.int64],
    weights: NDArray[np.float32],
    basis: NDArray[np.float32],
    keys: NDArray[np.int64],
    counts: NDArray[np.int32],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> int: ...
def move_pairs(
    keys: NDArray[np.int64],
    counts: NDArray[np.int32],
    to_keys: NDArray[np.int64],
    to_counts: NDArray[np.int32],
) -> None: ...

# pooling.cpp
def position_weights(
    start: int,
    stop: int,
    first: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    decay: float,
    out: NDArray[np.float32],
) -> None: ...
def age_weights(
    start: int,
    stop: int,
    first: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    tokens: NDArray[np.int32],
    token_weights: NDArray[np.float32],
    times_us: NDArray[np.int64],
    half_life_us: float,
    out: NDArray[np.float32],
) -> None: ...
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
class RowCodes(metaclass=_PybindType):
    def __init__(self, vectors: NDArray[np.float32]) -> None: ...
    def search(
        self,
        *,
        query: NDArray[np.float32],
        vectors: NDArray[np.float32],
        scale: NDArray[np.float32],
        bias: NDArray[np.float32],
        other: NDArray[np.int64],
        other_bias: NDArray[np.float32] | None,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
    ) -> None: ...
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
