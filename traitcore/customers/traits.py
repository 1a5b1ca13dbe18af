"""TraitModel: a few readable traits behind what customers do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._errors import parameter_message
from .._parallel import resolve_workers
from .._params import ParamsMixin
from .._progress import Progress
from .._rows import rows_to_shares
from .._validate import RandomSource, check_array, check_choice, check_int, check_random_state, check_real
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from .blend_selection import choose_blend
from .joint import BLEND, fit_joint
from .pooling import check_tokens_covered
from .recipes import Fitted, Settings, encode_counts, fit_counts, token_rates
from .vector_recipes import encode_codes, encode_smoothed, encode_vectors, fit_codes, fit_smoothed, fit_vectors

METHODS = ("joint", "counts", "codes", "smoothed", "semi", "split", "shift")
NEED_VECTORS = ("smoothed", "semi", "split", "shift")
_FORMAT = 2


class TraitModel(ParamsMixin):
    """Customers as mixtures of a few traits, each a non-negative pattern over tokens.

    Parameters
    ----------
    n_traits : traits to find.
    method : "joint" (default): customers x tokens, session windows and PPMI rows factored together for one set of
        token loadings. "counts": NMF of tf-idf weighted customers x tokens, the simple baseline. "codes":
        non-negative codes of tokens from PPMI, pooled. "smoothed": counts spread over tokens that are similar by
        `item_vectors`. "semi", "split": from the customers' pooled `item_vectors`, by semi-NMF or by [C+, C-].
        "shift": the recipe first proposed (C - min, NMF, cosines), which warns (ShiftWarning): its traits depend on
        the coordinate system.
    tie : in [0, 1], how far a token's count also speaks for the other tokens of its item while traits are learned
        ("joint"); a customer's weights are read from the tokens they have.
    window : events in a session window ("joint"). ppmi_window : how far apart in a session two tokens may lie to count
        as a pair for PPMI ("joint", "codes").
    windows_weight, ppmi_weight : weight of the windows and of the PPMI rows against the customers' rows ("joint").
    loading_power : in (0, 1], to which the loadings are raised before weights are read: 1 trusts a trait's few largest
        tokens most ("joint"). These three are "auto" by default: 3.5, the density's (10 V / N df) and 0.85, unless on
        inner splits another blend reads unseen customers clearly more reliably from halves of their histories, as with
        very short or noisy ones (`chosen_` tells). The choice costs 18 small fits; fix all three to do without.
    n_restarts : runs whose consensus is taken ("joint", "counts", "smoothed", "split").
    max_iter, tol : stopping of the factorization. random_state : seed. workers : threads, -1 for all cores.

    Attributes
    ----------
    components_ : (n_traits, n_tokens) float32 loadings of the tokens (cosines, of any sign, for "shift").
    raw_profiles_ : (n_customers, n_traits) float32 weights W of the customers fitted.
    profiles_ : the same with rows that add up to 1 (a customer without known tokens keeps a zero row).
    token_rates_ : (n_traits, n_tokens) float32, for each trait how readily its customers take up each token: the
        non-negative least-squares fit of who has which token, those had lately most, on the weights (each customer's
        of length 1). Recommend by these.
    tokens_ : (n_tokens,) external tokens, in the vocabulary's order.
    n_empty_ : customers without known tokens.
    chosen_ : windows_weight, ppmi_weight and loading_power as used ("joint"; otherwise empty). A model with
        `set_params(**chosen_)` fits by the same blend.

    Notes
    -----
    Method: NMF (Lee & Seung 1999) of stacked views that share H, as in collective matrix factorization (Singh & Gordon
    2008); PPMI after Levy & Goldberg 2014.
    """

    def __init__(
        self,
        n_traits: int = 16,
        *,
        method: str = "joint",
        tie: float = 0.5,
        window: int = 10,
        ppmi_window: int = 5,
        windows_weight: float | str = "auto",
        ppmi_weight: float | str = "auto",
        loading_power: float | str = "auto",
        n_restarts: int = 1,
        max_iter: int = 200,
        tol: float = 1e-4,
        random_state: RandomSource = 0,
        workers: int = 1,
    ) -> None:
        self.n_traits = n_traits
        self.method = method
        self.tie = tie
        self.window = window
        self.ppmi_window = ppmi_window
        self.windows_weight = windows_weight
        self.ppmi_weight = ppmi_weight
        self.loading_power = loading_power
        self.n_restarts = n_restarts
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
        """Learn the traits of the customers (owners) of `sequences`; returns self.

        Parameters
        ----------
        sequences : token sequences with owners; a window never leaves its sequence.
        vocabulary : of those tokens.
        item_vectors : (n_tokens, d) float32, needed by "smoothed", "semi", "split" and "shift".
        progress : callback progress(stage, done, total).

        Raises
        ------
        ValueError, TypeError : a parameter out of range, no tokens at all, vectors that are needed and missing.
        """
        method = check_choice("method", "TraitModel", self.method, METHODS)
        settings = self._settings(progress)
        n_tokens = len(vocabulary)
        check_tokens_covered(sequences, n_tokens, "TraitModel.fit")
        if sequences.n_tokens == 0:
            rule = "Sequences with at least one known token"
            raise ValueError(parameter_message("sequences", "TraitModel.fit", rule, sequences))
        vectors = None
        if method in NEED_VECTORS:
            if item_vectors is None:
                rule = f"an array (n_tokens, d), which method={method!r} needs"
                raise ValueError(parameter_message("item_vectors", "TraitModel.fit", rule, None))
            vectors = check_array(
                "item_vectors", "TraitModel.fit", item_vectors, dtype=np.float32, shape=(n_tokens, None)
            )
        self._fitted = _fit(method, sequences, vocabulary.token_item, vectors, settings)
        self._fitted_with = (method, settings)
        self.components_ = self._fitted.components
        self.raw_profiles_ = self._fitted.raw
        self.profiles_ = rows_to_shares(self.raw_profiles_)
        self.n_empty_ = sequences.n_owners - len(np.unique(sequences.owners()[np.diff(sequences.offsets) > 0]))
        tie = settings.tie if method == "joint" else 0.0
        self.token_rates_ = token_rates(
            self.raw_profiles_, sequences, vocabulary.token_item, tie, settings.workers
        )
        self.tokens_ = vocabulary.tokens
        self.chosen_ = self._fitted.chosen
        return self

    def transform(self, sequences: Sequences, *, vocabulary: Vocabulary | None = None) -> NDArray[np.float32]:
        """(n_customers, n_traits) float32 profiles of new or changed customers, rows that add up to 1; see
        `transform_raw`."""
        return rows_to_shares(self.transform_raw(sequences, vocabulary=vocabulary))

    def transform_raw(self, sequences: Sequences, *, vocabulary: Vocabulary | None = None) -> NDArray[np.float32]:
        """(n_customers, n_traits) float32 raw weights W of new or changed customers; the traits stay as fitted.

        Parameters
        ----------
        sequences : the customers' whole histories.
        vocabulary : what the tokens of `sequences` are rows of; None: the one the model was fitted with. Tokens are
            then matched by what they are, not by row; those the model doesn't know are left out.

        Raises
        ------
        ValueError : the model was fitted on tokens that `vocabulary` no longer has (the first is named), or a token
            lies beyond the model's.
        """
        self._check_fitted("components_")
        if vocabulary is not None:
            sequences = self._own_rows(sequences, vocabulary)
        check_tokens_covered(sequences, self.components_.shape[1], "TraitModel.transform")
        method, settings = self._fitted_with
        return _encode(method, sequences, self._fitted, settings)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fitted model as plain arrays (no objects); with `get_params()`, all that `from_arrays` needs."""
        self._check_fitted("components_")
        tokens = self.tokens_ if self.tokens_.dtype.kind == "i" else np.array(self.tokens_.tolist(), dtype=np.str_)
        arrays = {
            "format": np.array([_FORMAT]), "components": self.components_, "raw_profiles": self.raw_profiles_,
            "token_rates": self.token_rates_, "tokens": tokens, "n_empty": np.array([self.n_empty_]),
            "chosen": np.array(list(self.chosen_.values()), dtype=np.float64),
        }  # fmt: skip
        return arrays | {f"recipe_{name}": array for name, array in self._fitted.arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], params: dict[str, Any]) -> Self:
        """A fitted model from `to_arrays()` and `get_params()` of another; it transforms to the same numbers."""
        made = int(np.asarray(arrays["format"])[0])
        if made != _FORMAT:
            raise ValueError(parameter_message("arrays", "TraitModel.from_arrays", f"of format {_FORMAT}", made))
        model = cls(**params)
        recipe = {name.removeprefix("recipe_"): a for name, a in arrays.items() if name.startswith("recipe_")}
        chosen = dict(zip(BLEND, np.asarray(arrays["chosen"], dtype=np.float64).tolist()))
        model._fitted = Fitted(arrays["components"], arrays["raw_profiles"], recipe, chosen)
        model._fitted_with = (check_choice("method", "TraitModel", model.method, METHODS), model._settings(None))
        model.components_, model.raw_profiles_ = arrays["components"], arrays["raw_profiles"]
        model.profiles_ = rows_to_shares(model.raw_profiles_)
        model.token_rates_, model.tokens_ = arrays["token_rates"], arrays["tokens"]
        model.n_empty_, model.chosen_ = int(np.asarray(arrays["n_empty"])[0]), chosen
        return model

    def _own_rows(self, sequences: Sequences, vocabulary: Vocabulary) -> Sequences:
        """`sequences` over the model's own tokens."""
        check_tokens_covered(sequences, len(vocabulary), "TraitModel.transform")
        own = {token: row for row, token in enumerate(self.tokens_.tolist())}
        theirs = vocabulary.tokens.tolist()
        known = set(theirs)
        gone = [token for token in own if token not in known]
        if gone:
            raise ValueError(
                f"This TraitModel was fitted on {len(gone)} tokens that the vocabulary no longer has, the first "
                f"{gone[0]!r}. Refit it on the new vocabulary, or pass the vocabulary it was fitted with."
            )
        row = np.array([own.get(token, -1) for token in theirs], dtype=np.int32)
        known_here = sequences.keep(row[sequences.tokens] >= 0)
        return replace(known_here, tokens=row[known_here.tokens])

    def _settings(self, progress: Progress | None) -> Settings:
        name = "TraitModel"
        return Settings(
            n_traits=check_int("n_traits", name, self.n_traits, 1),
            tie=check_real("tie", name, self.tie, 0.0, 1.0),
            window=check_int("window", name, self.window, 1),
            ppmi_window=check_int("ppmi_window", name, self.ppmi_window, 1),
            windows_weight=_real_or_auto("windows_weight", self.windows_weight),
            ppmi_weight=_real_or_auto("ppmi_weight", self.ppmi_weight),
            loading_power=_real_or_auto("loading_power", self.loading_power, 1.0, open_low=True),
            n_restarts=check_int("n_restarts", name, self.n_restarts, 1),
            max_iter=check_int("max_iter", name, self.max_iter, 1),
            tol=check_real("tol", name, self.tol, 0.0),
            seed=check_random_state("random_state", name, self.random_state),
            workers=resolve_workers(self.workers, name),
            progress=progress,
        )


def _real_or_auto(name: str, value: Any, high: float = math.inf, *, open_low: bool = False) -> float | None:
    """None for "auto"."""
    if isinstance(value, str):
        check_choice(name, "TraitModel", value, ("auto",))
        return None
    return check_real(name, "TraitModel", value, 0.0, high, open_low=open_low)


def _fit(
    method: str, sequences: Sequences, token_item: NDArray[np.int32], vectors: Any, settings: Settings
) -> Fitted:
    if method == "joint":
        return fit_joint(sequences, token_item, choose_blend(sequences, token_item, settings), settings)
    if method == "counts":
        return fit_counts(sequences, token_item, settings)
    if method == "codes":
        return fit_codes(sequences, token_item, settings)
    if method == "smoothed":
        return fit_smoothed(sequences, token_item, vectors, settings)
    return fit_vectors(sequences, token_item, vectors, settings, method)


def _encode(method: str, sequences: Sequences, fitted: Fitted, settings: Settings) -> NDArray[np.float32]:
    if method in ("semi", "split", "shift"):
        return encode_vectors(sequences, fitted, settings, method)
    encode = {
        "joint": encode_counts, "counts": encode_counts, "codes": encode_codes, "smoothed": encode_smoothed
    }[method]  # fmt: skip
    return encode(sequences, fitted, settings)
