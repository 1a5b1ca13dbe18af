"""Item2Vec: skip-gram with negative sampling as an estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from .._errors import on_behalf_of
from .._progress import ProgressLike, as_progress
from .._validate import Checks
from ..events.corpus import Corpus
from ..events.corpus_argument import sequences_of
from ..events.sequences import Sequences
from .sgns import train
from .sgns_counts import train_sgns_from_counts
from .sgns_options import SgnsEmbedder
from .sgns_plan import SgnsPlan, plan_sgns
from .sgns_report import SgnsResult, TrainingInterrupted

# Parameters that suit a kind of data. 'sessions', for the next item of short shop sessions: found on Diginetica's train
# split, trained on its first 94% and judged on 5,000 prefixes of the rest (item -> context, Recall@20, d=100). From
# window 10, 10 negatives, exponent .5, alpha .025 (42.8): alpha .05 45.8, .1 46.2; exponent .25 46.3, .75 44.4, 0 44.5;
# 20 negatives 47.3, 5 43.4; window 5 48.3; 10 epochs 45.1. On the test split 48.5 / MRR@20 16.3, where the start of the
# search has 42.7 / 14.6 (benchmarks/compare/sgns_quality.py, 2 seeds).
_PRESETS: dict[str, dict[str, Any]] = {
    "sessions": {
        "window": 5, "negative": 20, "ns_exponent": 0.25, "sample": 1e-4, "alpha": 0.1, "epochs": 20,
    },
}


@dataclass(kw_only=True, eq=False, repr=False)
class Item2Vec(SgnsEmbedder):
    """Item2vec: skip-gram with negative sampling over item sequences.

    Parameters
    ----------
    vector_size, window, dynamic_window, negative, negatives, ns_exponent, sample, alpha, min_alpha, epochs, workers,
        parallel, seed : as of `SgnsOptions`.
    patience : early stopping, as of `train_sgns`; needs `held_out` in `fit`.

    Attributes
    ----------
    item_vectors_, context_vectors_ : (n_items, vector_size) float32. item @ context predicts what comes with an item,
        item @ item finds what is similar to it.
    n_items_ : rows of both.
    loss_ : mean log-loss per positive pair, by epoch.
    report_ : SgnsReport.

    See Also
    --------
    train_sgns : the function. WalkEmbedder : the same over walks of an item graph. PPMIEmbedder : from counts.

    References
    ----------
    Barkan & Koenigstein 2016, "Item2vec: neural item embedding for collaborative filtering".

    Examples
    --------
    >>> import traitcore as tc
    >>> baskets = tc.Sequences.from_lists([[0, 1], [2, 3]] * 200)
    >>> model = tc.Item2Vec(vector_size=8, epochs=20, sample=0.0).fit(baskets)
    >>> (model.item_vectors_ @ model.context_vectors_.T).argmax(axis=1).tolist()  # what goes with each item
    [1, 0, 3, 2]
    """

    patience: int | None = None

    def fit(
        self,
        sequences: Sequences | Corpus,
        *,
        n_items: int | None = None,
        held_out: Sequences | None = None,
        start: SgnsResult | tuple[Any, Any] | None = None,
        progress: ProgressLike = None,
    ) -> Self:
        """Train on `sequences` (or a whole corpus); arguments and errors as of `train_sgns`. progress=True draws a bar.

        After Ctrl-C the KeyboardInterrupt is raised on, and the attributes hold the vectors as of then, with
        `report_.finished` False.
        """
        sequences, n_items = sequences_of(sequences, n_items)
        tell = as_progress(progress)
        try:
            with on_behalf_of("Item2Vec"):
                result = train(sequences, self._options(), n_items, held_out, self.patience, start, tell)
        except TrainingInterrupted as interrupted:
            self._keep(interrupted.result)
            raise
        self._keep(result)
        return self

    def fit_counts(
        self,
        counts: Any,
        *,
        item_counts: Any = None,
        start: SgnsResult | tuple[Any, Any] | None = None,
        progress: ProgressLike = None,
    ) -> Self:
        """Train on co-occurrence counts alone; arguments and errors as of `train_sgns_from_counts`.

        `window` and `dynamic_window` are those of the counts, and not asked again; `patience` needs sequences.
        """
        if self.patience is not None:
            rule = "None in fit_counts: no sequences are held out"
            raise Checks("Item2Vec").value_error("patience", rule, self.patience)
        try:
            with on_behalf_of("Item2Vec"):
                result = train_sgns_from_counts(
                    counts, self._options(), item_counts=item_counts, start=start, progress=as_progress(progress)
                )
        except TrainingInterrupted as interrupted:
            self._keep(interrupted.result)
            raise
        self._keep(result)
        return self

    @classmethod
    def preset(cls, name: str, **params: Any) -> Self:
        """Parameters for a kind of data, others as given: 'sessions' predicts the next item of short shop sessions."""
        Checks("Item2Vec.preset").choice("name", name, tuple(_PRESETS))
        return cls(**(_PRESETS[name] | params))

    def plan(self, sequences: Sequences, *, n_items: int | None = None) -> SgnsPlan:
        """Memory and time that `fit(sequences, n_items=n_items)` would take, from a short trial."""
        with on_behalf_of("Item2Vec"):
            return plan_sgns(sequences, self._options(), n_items=n_items, patience=self.patience)
