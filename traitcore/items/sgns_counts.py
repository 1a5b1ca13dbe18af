"""Skip-gram with negative sampling from co-occurrence counts alone: the corpus may be of any size, or gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of
from .._kernels.pair_draws import count_draws, draw_stars
from .._parallel import balanced_blocks, run_blocks
from .._progress import Progress
from .._validate import Checks
from ..events.sequences import Sequences
from .sgns_options import SgnsOptions, check_options
from .sgns_report import SgnsResult, TrainingInterrupted
from .sgns_trainer import SgnsTrainer

CHECK = Checks("train_sgns_from_counts")
# Pairs of a block at least, and items that one target meets at a time, sharing its negatives. On the planted corpus
# (1.5M tokens, 3 epochs; share of neighbours in the same cluster, mid / tail) stars of 1, 4, 8, 16 find .911/.426,
# .917/.429, .923/.433, .934/.441 in 16, 10, 7.5, 7.6 s, sequences .928/.428 in 7.1 s; independent draws .88/.37. On
# Diginetica, which had no say, stars of 8 reach Recall@20 44.8, sequences 44.3.
_BLOCK_PAIRS, _STAR = 1 << 20, 8


def train_sgns_from_counts(
    counts: Any,
    options: SgnsOptions | None = None,
    *,
    item_counts: Any = None,
    start: SgnsResult | tuple[Any, Any] | None = None,
    progress: Progress | None = None,
) -> SgnsResult:
    """Item and context vectors by skip-gram with negative sampling, from how often items stand together.

    The loss that `train_sgns` descends depends on the sequences only through the number of times each item meets each
    other one. So pairs drawn in proportion to counts train as well as those met on the way through the sequences
    (benchmarks/compare/sgns_quality.py has both): for counts merged from days, partitions or other owners of data.

    Parameters
    ----------
    counts : (n_items, n_items) sparse matrix, symmetric and >= 0, as of `count_cooccurrences` or `merge_counts`.
        weighting="linear" counts what a `dynamic_window` meets on average, "flat" what a fixed one does.
    options : SgnsOptions, or None for the defaults. An epoch draws as many pairs as the counts add up to. `window` and
        `dynamic_window` had their say when the pairs were counted, and are not asked again.
    item_counts : (n_items,) int, occurrences of each item, which shape noise and subsampling; None: the rows' sums.
        Subsampling multiplies a pair's count by the chances that its items stay.
    start : as of `train_sgns`.
    progress : called as progress("sgns", tokens done, tokens in all), about every 50 ms, from this thread.

    Returns
    -------
    SgnsResult : item_vectors and context_vectors (n_items, vector_size) float32, the loss by epoch, and a report. The
    same bytes for the same seed and instruction set with workers=1, or with parallel='reproducible', which draws pairs
    on all `workers` and trains on one. Memory beyond the counts: about 12 bytes an entry.

    Raises
    ------
    TypeError, ValueError : counts that aren't symmetric (counts + counts.T are), negative or all zero; a parameter of
        the wrong type or value; a training that diverged (alpha too large).
    TrainingInterrupted : Ctrl-C; its `.result` has the vectors as of then.

    See Also
    --------
    train_sgns : from the sequences. PPMIEmbedder : from counts too, without chance.

    References
    ----------
    Levy & Goldberg 2014, "Neural word embedding as implicit matrix factorization", section 3.1: the loss by counts.

    Examples
    --------
    >>> import traitcore as tc
    >>> baskets = tc.Sequences.from_lists([[0, 1], [2, 3]] * 200)
    >>> counts = tc.merge_counts([tc.count_cooccurrences(part, n_items=4) for part in (baskets, baskets)])
    >>> result = tc.train_sgns_from_counts(counts, tc.SgnsOptions(vector_size=8, epochs=10, sample=0.0))
    >>> (result.item_vectors @ result.context_vectors.T).argmax(axis=1).tolist()  # what goes with each item
    [1, 0, 3, 2]
    """
    with on_behalf_of(CHECK.caller):
        options = check_options(options, CHECK)
        matrix = _checked_counts(counts)
        sums = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
        if item_counts is None:
            occurrences = np.ceil(sums).astype(np.int64)
        else:
            occurrences = CHECK.array(
                "item_counts", item_counts, dtype=np.int64, shape=(len(sums),), nonnegative=True
            )
            if (occurrences[sums > 0] == 0).any():
                place = int(np.argmax((sums > 0) & (occurrences == 0)))
                raise CHECK.value_error("item_counts", "positive where 'counts' has pairs", f"0 at {place}")
        workers = CHECK.workers(options.workers)
        draws = PairDraws(subsampled(matrix, occurrences, options.sample), options.seed, workers)
        trainer = _PairTrainer(occurrences, replace(options, sample=0.0), start=start, epoch_tokens=draws.n_pairs)
        try:
            for epoch in range(options.epochs):
                for stars, targets in draws.blocks(epoch):
                    trainer.train_stars(stars, targets, progress)
                trainer.end_epoch()
        except KeyboardInterrupt as error:
            raise TrainingInterrupted(trainer.result()) from error
        return trainer.result()


def _checked_counts(counts: Any) -> sparse.csr_array:
    matrix = CHECK.csr("counts", counts, dtype=(np.float32, np.float64, np.int32, np.int64), square=True)
    if matrix.nnz == 0 or not matrix.data.any():
        raise CHECK.value_error("counts", "of at least one pair", "zeros")
    if matrix.data.min() < 0:
        raise CHECK.value_error("counts", "non-negative", matrix.data.min())
    mirror = matrix.T.tocsr()
    mirror.sort_indices()
    same = np.array_equal(mirror.indptr, matrix.indptr) and np.array_equal(mirror.indices, matrix.indices)
    if not same or not np.allclose(mirror.data, matrix.data, rtol=1e-5):
        raise CHECK.value_error("counts", "symmetric, as counts + counts.T are", "a matrix that isn't")
    return matrix


def subsampled(counts: sparse.csr_array, occurrences: NDArray[np.int64], sample: float) -> sparse.csr_array:
    """Counts as float32, each times the chance that word2vec's subsampling keeps both of its items."""
    keep = np.ones(len(occurrences))
    if sample > 0:
        with np.errstate(divide="ignore", invalid="ignore"):
            f = occurrences / (sample * occurrences.sum())
            keep = np.where(occurrences > 0, np.minimum(1.0, (np.sqrt(f) + 1) / f), 1.0)
    row = np.repeat(keep, np.diff(counts.indptr))
    data = (counts.data * row * keep[counts.indices]).astype(np.float32)
    return sparse.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)


class _PairTrainer(SgnsTrainer):
    """A trainer of stars: sequences whose items are met by one target each. Its epochs are as long as the draws; where
    vectors start is decided by how often items stand in the sequences that were counted."""

    def __init__(self, counts: NDArray[np.int64], options: SgnsOptions, *, start: Any, epoch_tokens: int) -> None:
        super().__init__(counts, options, start=start)
        self._epoch_tokens = epoch_tokens

    def train_stars(self, stars: Sequences, targets: NDArray[np.int32], progress: Progress | None) -> None:
        self._train_block(stars, None, targets, progress)


class PairDraws:
    """Epochs of pairs drawn from counts, block by block, as stars: a target and up to _STAR items that it meets.

    Each block goes over all counts, and takes every n-th of the epoch's draws; stars are shuffled within a block. So an
    epoch has every pair as often as its count says, to within one, and epochs differ in which of the rare ones.
    Decided by (seed, epoch, block) alone. Internal: arguments are not checked.
    """

    def __init__(self, counts: sparse.csr_array, seed: int, workers: int) -> None:
        self._counts, self._seed, self._workers = counts, seed, workers
        sums = counts.sum(axis=1, dtype=np.float64)
        self._begins = np.concatenate(([0.0], np.cumsum(np.asarray(sums).ravel())))
        self.n_pairs = max(1, round(self._begins[-1]))
        self._n_blocks = max(1, round(self.n_pairs / max(_BLOCK_PAIRS, counts.nnz // 4)))
        self._rows = balanced_blocks(counts.indptr, 4 * workers)

    def blocks(self, epoch: int) -> Iterator[tuple[Sequences, NDArray[np.int32]]]:
        """(items by star, target of each star), block after block."""
        rng = np.random.default_rng([self._seed, epoch])
        gap = self._begins[-1] / self.n_pairs
        # From epoch to epoch by the golden section: a pair of count 1/3 is met once in three epochs, not 0 or 3 times.
        shift = (np.random.default_rng(self._seed).random() + epoch * 0.6180339887498949) % 1.0
        for block in rng.permutation(self._n_blocks):
            yield self._stars((block + shift) * gap, self._n_blocks * gap, rng)

    def _stars(
        self, shift: float, step: float, rng: np.random.Generator
    ) -> tuple[Sequences, NDArray[np.int32]]:
        counts, workers = self._counts, self._workers
        draws = np.zeros(counts.shape[0], dtype=np.int64)
        run_blocks(count_draws, self._rows, workers, self._begins, shift, step, draws)
        first_star = np.concatenate(([0], np.cumsum(-(-draws // _STAR))))
        n_stars = int(first_star[-1])
        row_of = np.repeat(np.arange(len(draws)), np.diff(first_star))
        nth = np.arange(n_stars) - first_star[row_of]
        size = (draws[row_of] - nth - 1) // np.diff(first_star)[row_of] + 1
        place = rng.permutation(n_stars)
        offsets = np.zeros(n_stars + 1, dtype=np.int64)
        offsets[place + 1] = size
        np.cumsum(offsets, out=offsets)
        tokens, targets = np.empty(offsets[-1], dtype=np.int32), np.empty(n_stars, dtype=np.int32)
        run_blocks(
            draw_stars, self._rows, workers, self._begins, shift, step, counts.indptr.astype(np.int64, copy=False),
            counts.indices.astype(np.int32, copy=False), counts.data, first_star, place, offsets, tokens, targets,
        )
        return Sequences(tokens, offsets), targets
