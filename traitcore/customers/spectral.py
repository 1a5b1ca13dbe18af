"""The default trait recipe: non-negative factors that start from rotated singular vectors.

Every token weighs 1 / sqrt(df + mean df), the regularised Laplacian's scale (Qin & Rohe 2013, "Regularized spectral
clustering under the degree-corrected stochastic blockmodel"): what is popular says little of a taste, and what is rare
is mostly chance. What is factored are the customers' rows or, where histories are short, which tokens customers have
together.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._rows import unit_sparse_rows
from ..factorization.fold_in import fold_in
from ..factorization.varimax import varimax_rotation
from . import tuning
from .components import Start, converged_svd, factorize, unit_components
from .counts import scale_rows, with_tokens
from .counts_recipe import CountsRecipe
from .recipes import TraitFitOptions

_PAIRS_AT_ONCE = 4e6  # some 200 MB


class SpectralRecipe(CountsRecipe):
    """NMF of customers' rows, or of pairs of tokens, from a varimax start; its loadings flattened a little."""

    name = "spectral"

    def token_weights(self, counts: sparse.csr_array) -> NDArray[np.float32]:
        return laplacian_weights(counts)

    def components(
        self, counts: sparse.csr_array, rows: sparse.csr_array, options: TraitFitOptions
    ) -> NDArray[np.float32]:
        counts = with_tokens(counts, 2)  # one token has no other beside it
        if mean_history(counts) < tuning.SHORT_HISTORY:
            matrix = token_pairs(counts, options.seed)
        else:
            matrix = sampled_rows(with_tokens(rows, tuning.SHAPING_TOKENS), tuning.MAX_FIT_ROWS, options.seed)
        if options.previous is None:
            start = varimax_start(matrix, options)
        else:
            H = unit_components(options.previous ** (1.0 / tuning.LOADING_POWER))
            start = fold_in(matrix, H, workers=options.workers), H
        return unit_components(factorize(matrix, options, start=start) ** tuning.LOADING_POWER)


def laplacian_weights(counts: sparse.csr_array) -> NDArray[np.float32]:
    """(n_tokens,) float32 1 / sqrt(df + mean df), df a token's customers; the mean over tokens that any has."""
    df = np.bincount(counts.indices, minlength=counts.shape[1]).astype(np.float64)
    mean = df[df > 0].mean() if counts.nnz else 1.0
    return np.asarray(1.0 / np.sqrt(df + mean), dtype=np.float32)


def mean_history(counts: sparse.csr_array) -> float:
    """Mean number of different tokens of the customers that have any."""
    return int(counts.nnz) / max(1, int((np.diff(counts.indptr) > 0).sum()))


def token_pairs(counts: sparse.csr_array, seed: int) -> sparse.csr_array:
    """(n_tokens, n_tokens) CSR: positive pointwise mutual information of tokens over customers, by rows.

    A customer of n tokens gives each pair of them 1 / n, so that each of the tokens is seen once. PMI is multiplied by
    m / (m + PAIR_DISCOUNT) for a pair that m customers have; rows have length sqrt(df). The logarithm makes much of
    many loose ties and less of few tight ones (a view and a cart of one item), which in short histories outweigh all
    else.

    Histories of more than LONGEST_HISTORY times the mean are left out: bots, mostly, whose pairs would take all the
    time. A random part of the customers stands for those with more than MAX_PAIRS pairs.
    """
    lengths = np.diff(counts.indptr).astype(np.float64)
    used = np.flatnonzero((lengths > 0) & (lengths <= tuning.LONGEST_HISTORY * mean_history(counts)))
    pairs = (lengths[used] ** 2).sum()
    if pairs > tuning.MAX_PAIRS:
        drawn = np.random.default_rng([seed, 11]).permutation(used)
        used = np.sort(drawn[: max(1, int(len(used) * tuning.MAX_PAIRS / pairs))])
    have = sparse.csr_array(counts[used])
    have.data = np.ones(have.nnz, dtype=np.float32)
    shared = have.copy()
    shared.data = np.repeat(1.0 / lengths[used], np.diff(have.indptr)).astype(np.float32)
    by_token = sparse.csr_array(have.T)
    alone = by_token @ (1.0 - 1.0 / lengths[used])
    made = np.concatenate(([0.0], np.cumsum(by_token @ lengths[used])))  # pairs of the tokens before each
    edges = np.unique([0, *np.searchsorted(made, np.arange(0.0, made[-1], _PAIRS_AT_ONCE)).tolist(), len(alone)])
    blocks = [_pmi_rows(by_token[a:z], have, shared, alone, a) for a, z in pairwise(edges.tolist())]
    matrix = sparse.csr_array(sparse.vstack(blocks, format="csr"))
    del blocks
    return scale_rows(matrix, np.sqrt(np.bincount(counts.indices, minlength=counts.shape[1])))


def _pmi_rows(
    by_token: sparse.csr_array, have: sparse.csr_array, shared: sparse.csr_array, alone: NDArray[np.float64], first: int
) -> sparse.csr_array:
    """Unit rows of `token_pairs` from token `first` on; `by_token` has these tokens' customers."""
    weight, times = sparse.csr_array(by_token @ shared), sparse.csr_array(by_token @ have)
    weight.sort_indices()
    times.sort_indices()
    row = np.repeat(np.arange(first, first + weight.shape[0]), np.diff(weight.indptr))
    seen = np.where(row != weight.indices, weight.data, 0.0).astype(np.float64)
    chance = alone[row] * alone[weight.indices]
    ratio = np.divide(seen * alone.sum(), chance, out=np.zeros_like(seen), where=chance > 0)
    ppmi = np.log(np.maximum(ratio, 1.0)) * times.data / (times.data + tuning.PAIR_DISCOUNT)
    rows = sparse.csr_array((ppmi.astype(np.float32), weight.indices, weight.indptr), shape=weight.shape)
    rows.eliminate_zeros()
    return unit_sparse_rows(rows)


def sampled_rows(rows: sparse.csr_array, most: int, seed: int) -> sparse.csr_array:
    """At most so many of the rows, drawn at random."""
    if rows.shape[0] <= most:
        return rows
    drawn = np.random.default_rng([seed, 11]).permutation(rows.shape[0])[:most]
    return sparse.csr_array(rows[np.sort(drawn)])


def varimax_start(matrix: sparse.csr_array, options: TraitFitOptions) -> Start:
    """(W, H) from the singular vectors U, V of a matrix, U rotated so that each row loads on few columns.

    V turns with it, and each column's sign is that of its long tail; what is then negative is noise around zero and
    left out. The rotation has no chance in it, and singular vectors change little with a sample: so do the factors.
    """
    found = converged_svd(matrix, options)
    rotation = varimax_rotation(found.U)
    turned = found.U.astype(np.float64) @ rotation
    sign = np.where((turned**3).sum(axis=0) < 0, -1.0, 1.0)
    loadings = (found.Vt.T * found.singular_values) @ rotation * sign
    H = np.zeros((options.n_traits, matrix.shape[1]), dtype=np.float32)
    H[: loadings.shape[1]] = np.maximum(loadings, 0.0).T
    # Fewer singular vectors than traits: the others start from the mean row.
    H[loadings.shape[1] :] = np.asarray(matrix.mean(axis=0)).ravel()
    H = unit_components(H)
    return fold_in(matrix, H, workers=options.workers), H
