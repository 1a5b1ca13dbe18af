"""Embedders: from sequences to item vectors, one protocol.

`fit(seqs, *, n_items=None, progress=None)` returns self; then `item_vectors_` and `context_vectors_` are float32
(n_items, vector_size) and `n_items_` their number of rows.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._params import ParamsMixin
from .._progress import Progress
from ..events.sequences import Sequences
from .sgns import SgnsReport, SgnsResult, TrainingInterrupted, train_sgns


class Item2Vec(ParamsMixin):
    """Item2vec: skip-gram with negative sampling over item sequences (see `train_sgns` for every parameter).

    Barkan & Koenigstein 2016, "Item2vec: neural item embedding for collaborative filtering".

    Attributes
    ----------
    item_vectors_, context_vectors_ : (n_items, vector_size) float32. item @ context predicts what comes with an item,
        item @ item finds what is like it.
    n_items_ : rows of both.
    loss_ : mean log-loss per positive pair, by epoch.
    report_ : SgnsReport.
    """

    item_vectors_: NDArray[np.float32]
    context_vectors_: NDArray[np.float32]
    n_items_: int
    loss_: tuple[float, ...]
    report_: SgnsReport

    def __init__(
        self,
        *,
        vector_size: int = 64,
        window: int | None = 5,
        dynamic_window: bool = True,
        negative: int = 5,
        negatives: str = "shared",
        ns_exponent: float = 0.75,
        sample: float = 1e-3,
        alpha: float = 0.025,
        min_alpha: float = 1e-4,
        epochs: int = 5,
        patience: int | None = None,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.dynamic_window = dynamic_window
        self.negative = negative
        self.negatives = negatives
        self.ns_exponent = ns_exponent
        self.sample = sample
        self.alpha = alpha
        self.min_alpha = min_alpha
        self.epochs = epochs
        self.patience = patience
        self.workers = workers
        self.seed = seed

    def fit(
        self,
        seqs: Sequences,
        *,
        n_items: int | None = None,
        noise_groups: Any = None,
        group_negative: int | None = None,
        global_context: Any = None,
        held_out: Sequences | None = None,
        start: SgnsResult | tuple[Any, Any] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train on `seqs`; arguments as of `train_sgns`.

        After Ctrl-C the KeyboardInterrupt is raised on, and the attributes hold the vectors as of then, with
        `report_.finished` False.
        """
        try:
            result = train_sgns(
                seqs,
                n_items=n_items,
                noise_groups=noise_groups,
                group_negative=group_negative,
                global_context=global_context,
                held_out=held_out,
                start=start,
                progress=progress,
                **self.get_params(),
            )
        except TrainingInterrupted as interrupted:
            self._keep(interrupted.result)
            raise
        self._keep(result)
        return self

    def _keep(self, result: SgnsResult) -> None:
        self.item_vectors_ = result.item_vectors
        self.context_vectors_ = result.context_vectors
        self.n_items_ = len(result.item_vectors)
        self.loss_ = result.loss
        self.report_ = result.report
