"""TraitModel: a few readable traits behind what customers do."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._errors import parameter_message
from .._parallel import resolve_workers
from .._params import ParamsMixin
from .._progress import Progress
from .._validate import check_choice, check_int, check_real, check_seed
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from .counts import tie_tokens
from .folding import fold_in, normalise_rows
from .recipes import Settings, customer_rows, fit_counts, fit_joint

METHODS = ("joint", "counts")


class TraitModel(ParamsMixin):
    """Customers as mixtures of a few traits, each a non-negative pattern over tokens.

    Parameters
    ----------
    n_traits : traits to find.
    method : "joint" factors customers x tokens, session windows and PPMI rows together for one set of token
        loadings; "counts" factors the tf-idf weighted customers x tokens alone.
    tie : in [0, 1], how far a token's count also speaks for the other tokens of its item ("joint").
    window : events in a session window, and the reach of the PPMI counts ("joint").
    windows_weight, ppmi_weight : weight of the windows and of the PPMI rows against the customers' ("joint").
    max_iter, tol : stopping of the factorization.
    random_state : seed.
    workers : threads, -1 for all cores.

    Attributes
    ----------
    components_ : (n_traits, n_tokens) float32 loadings of the tokens.
    raw_profiles_ : (n_customers, n_traits) float32 weights W of the customers fitted.
    profiles_ : the same with rows that add up to 1 (a customer without known tokens keeps a zero row).
    tokens_ : (n_tokens,) external tokens, in the vocabulary's order.
    n_empty_ : customers without known tokens.
    """

    def __init__(
        self,
        n_traits: int = 16,
        *,
        method: str = "joint",
        tie: float = 0.5,
        window: int = 10,
        windows_weight: float = 3.0,
        ppmi_weight: float = 0.1,
        max_iter: int = 200,
        tol: float = 1e-4,
        random_state: int = 0,
        workers: int = 1,
    ) -> None:
        self.n_traits = n_traits
        self.method = method
        self.tie = tie
        self.window = window
        self.windows_weight = windows_weight
        self.ppmi_weight = ppmi_weight
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.workers = workers

    def fit(
        self,
        sequences: Sequences,
        vocabulary: Vocabulary,
        *,
        item_vectors: Any = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn traits from the customers' sequences; returns self."""
        method = check_choice("method", "TraitModel", self.method, METHODS)
        settings = self._settings()
        if sequences.n_tokens == 0:
            raise ValueError(parameter_message("sequences", "TraitModel.fit", "not empty", sequences))
        recipe = fit_joint if method == "joint" else fit_counts
        fitted = recipe(sequences, vocabulary.token_item, settings)
        self.components_ = fitted.components
        self.raw_profiles_ = fitted.raw
        self.profiles_ = normalise_rows(fitted.raw)
        self.n_empty_ = int((fitted.raw.sum(axis=1) == 0).sum())
        self._arrays = fitted.arrays | {"token_item": vocabulary.token_item}
        return self

    def transform(self, sequences: Sequences) -> NDArray[np.float32]:
        """(n_customers, n_traits) float32 profiles of new or changed customers, rows adding up to 1."""
        return normalise_rows(self.transform_raw(sequences))

    def transform_raw(self, sequences: Sequences) -> NDArray[np.float32]:
        """(n_customers, n_traits) float32 raw weights W of new or changed customers; traits stay as fitted."""
        self._check_fitted("components_")
        tied = tie_tokens(self._arrays["token_item"], self.tie) if self.method == "joint" else None
        rows = customer_rows(sequences, self._arrays["idf"], tied)
        return fold_in(rows, self.components_)

    def _settings(self) -> Settings:
        name = "TraitModel"
        return Settings(
            n_traits=check_int("n_traits", name, self.n_traits, 1),
            tie=check_real("tie", name, self.tie, 0.0, 1.0),
            window=check_int("window", name, self.window, 1),
            windows_weight=check_real("windows_weight", name, self.windows_weight, 0.0),
            ppmi_weight=check_real("ppmi_weight", name, self.ppmi_weight, 0.0),
            max_iter=check_int("max_iter", name, self.max_iter, 1),
            tol=check_real("tol", name, self.tol, 0.0),
            seed=check_seed("random_state", name, self.random_state),
            workers=resolve_workers(self.workers, name),
        )
