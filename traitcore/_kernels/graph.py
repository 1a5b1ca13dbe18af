"""The heaviest entries of each row of a CSR matrix, without a sort."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernel


@kernel()
def keep_heaviest(start: int, stop: int, indptr: Any, weights: Any, top_k: int, kept: Any) -> None:
    """kept (nnz,) bool: marks each row's `top_k` largest positive weights; ties go to the lower column.

    A heap of top_k values finds the row's threshold; one more pass marks in column order.
    """
    heap = np.empty(top_k, dtype=np.float64)  # smallest at the root
    for row in range(start, stop):
        size = 0
        for k in range(indptr[row], indptr[row + 1]):
            value = weights[k]
            if value <= 0.0 or (size == top_k and value <= heap[0]):
                continue
            if size < top_k:
                child = size
                size += 1
                while child > 0 and heap[(child - 1) // 2] > value:
                    heap[child] = heap[(child - 1) // 2]
                    child = (child - 1) // 2
                heap[child] = value
                continue
            hole = 0
            while 2 * hole + 1 < size:
                child = 2 * hole + 1
                if child + 1 < size and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= value:
                    break
                heap[hole] = heap[child]
                hole = child
            heap[hole] = value
        if size == 0:
            continue
        at_threshold = 0
        for i in range(size):
            at_threshold += heap[i] == heap[0]
        for k in range(indptr[row], indptr[row + 1]):
            if weights[k] > heap[0]:
                kept[k] = True
            elif weights[k] == heap[0] and at_threshold > 0:
                kept[k] = True
                at_threshold -= 1
