from collections.abc import Callable

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
