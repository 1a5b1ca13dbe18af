"""PPMIEmbedder: item vectors from counts, PPMI and a truncated SVD."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import on_behalf_of
from .._params import ParamsMixin
from .._progress import Progress, ProgressLike, as_progress
from .._validate import Checks
from ..events.corpus import Corpus
from ..events.corpus_argument import sequences_of
from ..events.sequences import Sequences
from ..factorization.svd import svd_vectors
from .cooccurrence import count_cooccurrences
from .merge_counts import merge_counts
from .ppmi import positive_pmi

# Parameters that suit a kind of data. 'sessions', for the next item of short shop sessions: found on Diginetica's train
# split, trained on its first 94% and judged on 6,000 prefixes of the rest (k=400, cosine, Recall@20 / MRR@20): the
# defaults 37.3 / 14.1; discount 1 38.3 / 14.3, 3 38.4 / 14.4, 10 37.9 / 14.2; then without self-pairs 38.6 / 14.4, and
# with smoothing .5, shift .3 and power .25 38.6 / 14.5; windows 10, 20 and whole, harmonic weights: no better.
_PRESETS: dict[str, dict[str, Any]] = {
    # At k=64 the defaults are better: the size is part of the preset.
    "sessions": {
        "vector_size": 400, "discount": 3.0, "self_pairs": False, "context_smoothing": 0.5, "shift": 0.3, "power": 0.25,
    },
}


class PPMIEmbedder(ParamsMixin):
    """Counts, PPMI and SVD: the deterministic baseline, without epochs.

    Parameters
    ----------
    vector_size : components of the SVD; where there are fewer items, the rest of a vector is zero.
    window, weighting, self_pairs, min_pair_count : as of `count_cooccurrences` (pairs below `min_pair_count` are left
        out of the PPMI, not of `counts_`).
    shift, context_smoothing, discount : as of `positive_pmi`.
    power, tol : as of `svd_vectors`.
    decay : factor in (0, 1] on the counts so far at each `partial_fit`: 1 forgets nothing.
    workers : threads, -1 for all cores. seed : of the SVD's starting block.

    Attributes
    ----------
    item_vectors_, context_vectors_ : (n_items, vector_size) float32; item @ context approximates the PPMI. Items
        that met nothing have zero vectors.
    n_items_ : rows of both.
    counts_ : (n_items, n_items) CSR, the counts so far, to which `partial_fit` adds.
    singular_values_ : (vector_size,) float32.
    converged_ : the SVD reached `tol`; a `ConvergenceWarning` says so where it didn't.

    See Also
    --------
    count_cooccurrences, positive_pmi, svd_vectors : its three steps. Item2Vec : trained by sampling.

    References
    ----------
    Levy, Goldberg & Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings".

    Examples
    --------
    >>> import traitcore as tc
    >>> baskets = tc.Sequences.from_lists([[0, 1], [2, 3]] * 200)
    >>> model = tc.PPMIEmbedder(vector_size=4, self_pairs=False).fit(baskets)
    >>> (model.item_vectors_ @ model.context_vectors_.T).argmax(axis=1).tolist()  # what goes with each item
    [1, 0, 3, 2]
    """

    item_vectors_: NDArray[np.float32]
    context_vectors_: NDArray[np.float32]
    n_items_: int
    counts_: sparse.csr_array
    singular_values_: NDArray[np.float32]
    converged_: bool

    def __init__(
        self,
        *,
        vector_size: int = 64,
        window: int | None = 5,
        weighting: str = "flat",
        self_pairs: bool = True,
        min_pair_count: float | None = None,
        shift: float = 1.0,
        context_smoothing: float = 0.75,
        discount: float = 0.0,
        power: float = 0.5,
        tol: float = 1e-3,
        decay: float = 1.0,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.weighting = weighting
        self.self_pairs = self_pairs
        self.min_pair_count = min_pair_count
        self.shift = shift
        self.context_smoothing = context_smoothing
        self.discount = discount
        self.power = power
        self.tol = tol
        self.decay = decay
        self.workers = workers
        self.seed = seed

    @on_behalf_of("PPMIEmbedder")
    def fit(
        self, sequences: Sequences | Corpus, *, n_items: int | None = None, progress: ProgressLike = None
    ) -> Self:
        """Count the sequences (or those of a whole corpus) and factorize; what was learned before is forgotten.

        progress : True draws a bar; or a callback `progress(stage, done, total)`.

        Raises
        ------
        TypeError, ValueError : a parameter of the wrong type or value, a token >= n_items.
        """
        self._checked_decay()
        Checks(type(self).__name__).seed("seed", self.seed)
        sequences, n_items = sequences_of(sequences, n_items)
        tell = as_progress(progress)
        return self._refit(self._count(sequences, n_items, tell), tell)

    @on_behalf_of("PPMIEmbedder")
    def fit_counts(self, counts: Any, *, progress: Progress | None = None) -> Self:
        """Factorize counts that are there already: merged from days, or counted where the log lies.

        counts : (n_items, n_items) sparse matrix, as of `count_cooccurrences`; `window`, `weighting` and `self_pairs`
        had their say when it was made. `partial_fit` goes on from them.

        Raises
        ------
        TypeError, ValueError : counts that aren't square or have bad values; as `positive_pmi` and `svd_vectors`.
        """
        check = Checks(type(self).__name__)
        self._checked_decay()
        check.seed("seed", self.seed)
        kinds = (np.float32, np.float64, np.int32, np.int64)
        return self._refit(check.csr("counts", counts, dtype=kinds, square=True), progress)

    @on_behalf_of("PPMIEmbedder")
    def partial_fit(
        self, sequences: Sequences, *, n_items: int | None = None, progress: Progress | None = None
    ) -> Self:
        """Add the counts of more sequences, after `decay` of those so far, and factorize again.

        Without decay this is exactly the `fit` of all sequences so far. New items may come: rows are appended.
        Each call's vectors have their own basis, as those of any fit do.
        """
        if not hasattr(self, "counts_"):
            return self.fit(sequences, n_items=n_items, progress=progress)
        decay = self._checked_decay()
        if n_items is None and sequences.n_tokens == 0:
            n_items = self.n_items_
        new = self._count(sequences, n_items, progress)
        return self._refit(merge_counts([self.counts_, new], weights=None if decay == 1.0 else (decay, 1.0)), progress)

    def _checked_decay(self) -> float:
        return Checks(type(self).__name__).real("decay", self.decay, 0.0, 1.0, open_low=True)

    @classmethod
    def preset(cls, name: str, **params: Any) -> Self:
        """Parameters for a kind of data, others as given: 'sessions' relates the items of short shop
        sessions, with 400 components."""
        Checks("PPMIEmbedder.preset").choice("name", name, tuple(_PRESETS))
        return cls(**(_PRESETS[name] | params))

    def _count(self, sequences: Sequences, n_items: int | None, progress: Progress | None) -> sparse.csr_array:
        return count_cooccurrences(
            sequences, n_items=n_items, window=self.window, weighting=self.weighting, self_pairs=self.self_pairs,
            workers=self.workers, progress=progress,
        )

    def _refit(self, counts: sparse.csr_array, progress: Progress | None) -> Self:
        check = Checks(type(self).__name__)
        size = check.integer("vector_size", self.vector_size, 1)
        kept = counts
        if self.min_pair_count is not None:
            least = check.real("min_pair_count", self.min_pair_count, 0.0)
            kept = counts.copy()
            kept.data[kept.data < least] = 0
            kept.eliminate_zeros()
        association = positive_pmi(
            kept, shift=self.shift, context_smoothing=self.context_smoothing, discount=self.discount,
            workers=self.workers,
        )
        n = counts.shape[0]
        found = svd_vectors(
            association, min(size, n), power=self.power, tol=self.tol, random_state=self.seed, workers=self.workers,
            progress=progress,
        )
        # Items without any association keep zero rows, whatever null vectors the decomposition filled in.
        items = np.zeros((n, size), dtype=np.float32)
        contexts = np.zeros((n, size), dtype=np.float32)
        real = found.singular_values > 0
        items[:, : len(real)] = found.item_vectors * real
        contexts[:, : len(real)] = found.context_vectors * real
        items[np.diff(association.indptr) == 0] = 0.0  # exactly: rounding's 1e-15 has a direction too
        contexts[np.bincount(association.indices, minlength=n) == 0] = 0.0
        self.counts_, self.n_items_ = counts, n
        self.item_vectors_, self.context_vectors_ = items, contexts
        self.singular_values_ = np.zeros(size, dtype=np.float32)
        self.singular_values_[: len(real)] = found.singular_values
        self.converged_ = found.svd.converged
        return self
