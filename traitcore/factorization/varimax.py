"""Varimax: the rotation that makes the columns of a matrix as sparse as it can."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._rows import cross_product, row_parts

MAX_ITER, TOL = 200, 1e-7


def varimax_rotation(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """(k, k) orthogonal R for which the squares of `vectors` R vary most within columns.

    vectors : (n, k) with orthonormal columns, such as singular vectors. Singular vectors are known up to a rotation,
    and sums of squares don't tell one from another; this one makes each row load on few columns. Where the data have a
    few groups, sparse or overlapping, the rotated vectors tend to them as the data grow (Rohe & Zeng 2023, "Vintage
    factor analysis with varimax performs statistical inference"). Method: Kaiser 1958's criterion, by repeated polar
    decompositions of its gradient; the start is the identity, so that there is no chance in it.
    """
    k = vectors.shape[1]
    rotation, last = np.eye(k), 0.0
    for _ in range(MAX_ITER):
        mean_square = np.zeros(k)
        for part in row_parts(vectors):
            mean_square += ((vectors[part] @ rotation) ** 2).sum(axis=0, dtype=np.float64)
        mean_square /= max(1, len(vectors))
        gradient = np.zeros((k, k))
        for part in row_parts(vectors):
            turned = vectors[part].astype(np.float64) @ rotation
            gradient += cross_product(vectors[part].astype(np.float64), turned * (turned**2 - mean_square))
        left, values, right = np.linalg.svd(gradient)
        rotation = left @ right
        if values.sum() <= last * (1 + TOL):
            break
        last = float(values.sum())
    return rotation
