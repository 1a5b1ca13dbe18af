"""How skip-gram with negative sampling trains: one set of options for trainer, function and estimators."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from .._params import ParamsMixin
from .._validate import Checks
from .sgns_report import SgnsReport, SgnsResult

PARALLEL = ("reproducible", "hogwild")


@dataclass(frozen=True, kw_only=True)
class SgnsOptions:
    """Options of skip-gram with negative sampling, checked when they are made.

    Parameters
    ----------
    vector_size : components of a vector; multiples of 16 are fastest.
    window : context items to each side; None: the whole sequence (item2vec's baskets; cost is quadratic in length).
    dynamic_window : True: each target's reach is uniform in 1 ... window (word2vec); False: always `window`.
    negative : noise items for each positive.
    negatives : 'shared': drawn once for a target's window (at most 16 contexts); 'fresh': for each pair (word2vec).
        A noise item that equals the target is skipped.
    ns_exponent : noise is drawn in proportion to counts ** ns_exponent; any real number, 0 is uniform over the items
        that occur, negative favours the rare (Caselles-Dupre et al. 2018, "Word2vec applied to recommendation").
    sample : subsampling of frequent items, as a frequency; 0 keeps every token. Items of more than 2.6 times this share
        of the tokens are thinned out, but not as noise, so that item @ context ranks them lower. In a shop of about a
        hundred items these are most items: item @ context then finds next items far better with 0. Cosines may not.
    alpha, min_alpha : learning rate, linear from `alpha` to `min_alpha` over `epochs`.
    epochs : passes over the sequences.
    workers : threads; -1 for all cores.
    parallel : 'reproducible': the same bytes for the same seed and instruction set, on any number of threads and
        however a stream is cut into blocks. 'hogwild': threads move shared rows without waiting for each other (Niu et
        al. 2011, "Hogwild!"): the same quality and, with more than one, never the same bytes twice, in less time.
    seed : sampling is keyed by (seed, epoch, sequence, place), the initial vectors by (seed, row). Context vectors
        start at random, with a standard deviation of 0.07 in each component for items that the training will meet 300
        times and in proportion less for rarer and for more frequent ones; item vectors with one of 0.0003, so that no
        chance stays in them (word2vec starts items at random and contexts at zero).

    Raises
    ------
    TypeError, ValueError : an option of the wrong type or value.

    See Also
    --------
    train_sgns, SgnsTrainer : take them. Item2Vec, WalkEmbedder : have each as a parameter of its own.

    Examples
    --------
    >>> import traitcore as tc
    >>> tc.SgnsOptions(vector_size=32, epochs=2).window
    5
    """

    vector_size: int = 64
    window: int | None = 5
    dynamic_window: bool = True
    negative: int = 5
    negatives: str = "shared"
    ns_exponent: float = 0.75
    sample: float = 1e-3
    alpha: float = 0.025
    min_alpha: float = 1e-4
    epochs: int = 5
    workers: int = 1
    parallel: str = "hogwild"
    seed: int = 0

    def __post_init__(self) -> None:
        check = Checks("SgnsOptions")
        alpha = check.real("alpha", self.alpha, 0.0, open_low=True)
        checked = {
            "vector_size": check.integer("vector_size", self.vector_size, 1, 2**20),
            "window": None if self.window is None else check.integer("window", self.window, 1),
            "dynamic_window": check.boolean("dynamic_window", self.dynamic_window),
            "negative": check.integer("negative", self.negative, 1, 1000),
            "negatives": check.choice("negatives", self.negatives, ("shared", "fresh")),
            "ns_exponent": check.real("ns_exponent", self.ns_exponent, -np.inf),
            "sample": check.real("sample", self.sample, 0.0),
            "alpha": alpha,
            "min_alpha": check.real("min_alpha", self.min_alpha, 0.0, alpha),
            "epochs": check.integer("epochs", self.epochs, 1),
            "parallel": check.choice("parallel", self.parallel, PARALLEL),
            "seed": check.seed("seed", self.seed),
        }
        check.workers(self.workers)  # -1 stays: it stands for the cores of the machine that trains
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def check_options(options: SgnsOptions | None, check: Checks) -> SgnsOptions:
    """The options as given, or the defaults for None."""
    if options is not None and not isinstance(options, SgnsOptions):
        raise check.type_error("options", "an SgnsOptions or None", options)
    return SgnsOptions() if options is None else options


@dataclass(kw_only=True, eq=False, repr=False)
class SgnsEmbedder(ParamsMixin):
    """The parameters of `SgnsOptions` as an estimator keeps them, mutable and not yet checked, and what it learns."""

    vector_size: int = 64
    window: int | None = 5
    dynamic_window: bool = True
    negative: int = 5
    negatives: str = "shared"
    ns_exponent: float = 0.75
    sample: float = 1e-3
    alpha: float = 0.025
    min_alpha: float = 1e-4
    epochs: int = 5
    workers: int = 1
    parallel: str = "hogwild"
    seed: int = 0

    item_vectors_: NDArray[np.float32] = field(init=False)
    context_vectors_: NDArray[np.float32] = field(init=False)
    n_items_: int = field(init=False)
    loss_: tuple[float, ...] = field(init=False)
    report_: SgnsReport = field(init=False)

    def _options(self) -> SgnsOptions:
        """The parameters, checked."""
        return SgnsOptions(**{option.name: getattr(self, option.name) for option in fields(SgnsOptions)})

    def _keep(self, result: SgnsResult) -> None:
        self.item_vectors_ = result.item_vectors
        self.context_vectors_ = result.context_vectors
        self.n_items_ = len(result.item_vectors)
        self.loss_ = result.loss
        self.report_ = result.report
