"""TraitModel: a few readable traits behind what customers do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._params import ParamsMixin
from .._progress import Progress, ProgressLike, as_progress
from .._rows import rows_to_shares, sorted_unique, unit_sparse_rows
from .._validate import Checks, RandomSource
from ..events.corpus import Corpus
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary, as_vocabulary
from ..factorization.fold_in import fold_in
from . import tuning
from .components import unit_components
from .counts import recency_counts, tie_tokens
from .counts_recipe import CountsRecipe
from .pooling import check_tokens_covered
from .recipes import Recipe, RecipeResult, TraitFitOptions
from .shift import ShiftRecipe
from .spectral import SpectralRecipe
from .trait_identity import TraitHistory, history_of, in_order, order_as_before

CHECK = Checks("TraitModel")
RECIPES: dict[str, Recipe] = {"spectral": SpectralRecipe(), "counts": CountsRecipe(), "shift": ShiftRecipe()}
_REMOVED = ("codes", "joint", "semi", "smoothed", "split")
_FORMAT = 3


class TraitModel(ParamsMixin):
    """Customers as mixtures of a few traits, each a non-negative pattern over tokens.

    Parameters
    ----------
    n_traits : traits to find.
    method : "spectral" (default): NMF of the customers' tokens, each weighing 1 / sqrt(df + mean df), or, where
        customers have few tokens, of which tokens customers have together; from singular vectors rotated by varimax, so
        that traits hardly change with the seed (which draws the sample that shapes them where there are more than
        100,000 customers) or with the customers. "counts": NMF of tf-idf weighted customers x tokens, the simple
        baseline. "shift": the recipe first proposed (C - min, NMF, cosines), which warns
        (ShiftWarning): its traits depend on the coordinate system. Or a recipe of your own: an object with the methods
        of `traitcore.customers.recipes.Recipe`.
    n_restarts : runs whose consensus is taken ("spectral", "counts").
    max_iter, tol : stopping of the factorization. random_state : seed. workers : threads, -1 for all cores.

    Attributes
    ----------
    components_ : (n_traits, n_tokens) float32 loadings of the tokens (cosines, of any sign, for "shift").
    raw_profiles_ : (n_customers, n_traits) float32 weights W of the customers fitted.
    profiles_ : the same with rows that add up to 1 (a customer without known tokens keeps a zero row).
    token_rates_ : (n_traits, n_tokens) float32, how readily each trait's customers take up each token: the non-negative
        least-squares fit of who has which token, recent ones counting most, on the weights (each customer's of length
        1). Recommend by these.
    tokens_ : (n_tokens,) external tokens, in the vocabulary's order.
    n_empty_ : customers without known tokens.
    history_ : TraitHistory of the last fit with `previous`: the traits kept, new and gone. None without.

    See Also
    --------
    describe_traits : the traits in words. choose_n_traits : how many. evaluate_traits : how good.
    LiveCustomers : weights updated with each event ("spectral" and "counts").

    Notes
    -----
    Method: Rohe & Zeng 2023, "Vintage factor analysis with varimax performs statistical inference"; weights after Qin &
    Rohe 2013; NMF (Lee & Seung 1999); PPMI after Levy & Goldberg 2014. Its constants, and what they were chosen on:
    `customers/tuning.py`. Shares (`profiles_`) compare customers; raw weights (`raw_profiles_`) also say how much of a
    customer the traits explain, and predict better.

    Examples
    --------
    >>> import traitcore as tc
    >>> log = tc.simulate_events(n_users=60, n_items=30, n_traits=2, seed=0).log
    >>> corpus = tc.tokenize(tc.split_sessions(log))
    >>> model = tc.TraitModel(2, method="counts").fit(corpus.sequences, corpus.vocabulary)
    >>> model.components_.shape == (2, len(corpus.vocabulary))
    True
    >>> model.transform(corpus.sequences).sum(axis=1)[:3].round(4).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        n_traits: int = 16,
        *,
        method: str | Recipe = "spectral",
        n_restarts: int = 1,
        max_iter: int = 200,
        tol: float = 1e-4,
        random_state: RandomSource = 0,
        workers: int = 1,
    ) -> None:
        self.n_traits = n_traits
        self.method = method
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.workers = workers

    def fit(
        self,
        sequences: Sequences | Corpus,
        vocabulary: Vocabulary | None = None,
        *,
        item_vectors: ArrayLike | None = None,
        previous: ArrayLike | None = None,
        progress: ProgressLike = None,
    ) -> Self:
        """Learn the traits of the customers (owners) of `sequences`; returns self.

        Parameters
        ----------
        sequences : token sequences with owners; a window never leaves its sequence. Or the corpus that `tokenize`
            returned, which has its vocabulary.
        vocabulary : of those tokens.
        item_vectors : (n_tokens, d) float32, for recipes that need them ("shift").
        previous : (k, n_tokens) float32 >= 0 or None, loadings of an earlier fit over these tokens (zero for tokens it
            didn't have). Traits that continue one of them get its row, and `history_` tells which do; with k = n_traits
            the fit also starts from them.
        progress : True draws a bar; or a callback progress(stage, done, total).

        Raises
        ------
        ValueError, TypeError : a parameter out of range, no tokens at all, vectors that are needed and missing.
        """
        recipe = resolve_recipe(self.method)
        options = self._options(as_progress(progress))
        if isinstance(sequences, Corpus):
            if vocabulary is not None:
                rule = "left out: sequences is a corpus, which has its vocabulary"
                raise Checks("TraitModel.fit").value_error("vocabulary", rule, vocabulary)
            vocabulary, sequences = sequences.vocabulary, sequences.sequences
        vocabulary = as_vocabulary(vocabulary, Checks("TraitModel.fit"))
        n_tokens = len(vocabulary)
        check_tokens_covered(sequences, n_tokens, Checks("TraitModel.fit"))
        if sequences.n_tokens == 0:
            rule = "Sequences with at least one known token"
            raise Checks("TraitModel.fit").value_error("sequences", rule, sequences)
        vectors = None
        if recipe.needs_vectors:
            if item_vectors is None:
                rule = f"an array (n_tokens, d), which method={recipe.name!r} needs"
                raise Checks("TraitModel.fit").value_error("item_vectors", rule, None)
            vectors = Checks("TraitModel.fit").array(
                "item_vectors", item_vectors, dtype=np.float32, shape=(n_tokens, None)
            )
        earlier = None
        if previous is not None:
            earlier = Checks("TraitModel.fit").array(
                "previous", previous, dtype=np.float32, shape=(None, n_tokens), nonnegative=True
            )
            if earlier.shape[0] == options.n_traits and earlier.any(axis=1).all():
                options = replace(options, previous=earlier)
        found = recipe.fit(sequences, vocabulary.token_item, vectors, options)
        self.history_: TraitHistory | None = None
        if earlier is not None:
            found = in_order(found, order_as_before(earlier, found.components))
            self.history_ = history_of(earlier, found.components)
        self._fitted, self._fitted_with = found, (recipe, replace(options, previous=None))
        self.components_ = found.components
        self.raw_profiles_ = found.raw_profiles
        self.profiles_ = rows_to_shares(self.raw_profiles_)
        self.n_empty_ = sequences.n_owners - len(sorted_unique(sequences.owners()[np.diff(sequences.offsets) > 0]))
        self.token_rates_ = token_rates(self.raw_profiles_, sequences, vocabulary.token_item, options.workers)
        self.tokens_ = vocabulary.tokens
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
            as_vocabulary(vocabulary, Checks("TraitModel.transform"))
            sequences = self._own_rows(sequences, vocabulary)
        check_tokens_covered(sequences, self.components_.shape[1], Checks("TraitModel.transform"))
        recipe, options = self._fitted_with
        return recipe.encode(sequences, self._fitted, options)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fitted model as plain arrays (no objects); with `get_params()`, all that `from_arrays` needs."""
        self._check_fitted("components_")
        tokens = self.tokens_ if self.tokens_.dtype.kind == "i" else np.array(self.tokens_.tolist(), dtype=np.str_)
        arrays: dict[str, NDArray[Any]] = {
            "format": np.array([_FORMAT]), "components": self.components_, "raw_profiles": self.raw_profiles_,
            "token_rates": self.token_rates_, "tokens": tokens, "n_empty": np.array([self.n_empty_]),
        }
        return arrays | {f"recipe_{name}": array for name, array in self._fitted.arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], params: dict[str, Any]) -> Self:
        """A fitted model from `to_arrays()` and `get_params()` of another; it transforms to the same numbers.

        Raises ValueError for arrays of another format or a method that is unknown or was removed.
        """
        made = int(np.asarray(arrays["format"])[0])
        if made != _FORMAT:
            raise Checks("TraitModel.from_arrays").value_error("arrays", f"of format {_FORMAT}", made)
        model = cls(**params)
        learned = {name.removeprefix("recipe_"): a for name, a in arrays.items() if name.startswith("recipe_")}
        model._fitted = RecipeResult(arrays["components"], arrays["raw_profiles"], learned)
        model._fitted_with = (resolve_recipe(model.method), model._options(None))
        model.components_, model.raw_profiles_ = arrays["components"], arrays["raw_profiles"]
        model.profiles_ = rows_to_shares(model.raw_profiles_)
        model.token_rates_, model.tokens_ = arrays["token_rates"], arrays["tokens"]
        model.history_ = None
        model.n_empty_ = int(np.asarray(arrays["n_empty"])[0])
        return model

    def _own_rows(self, sequences: Sequences, vocabulary: Vocabulary) -> Sequences:
        """`sequences` over the model's own tokens."""
        check_tokens_covered(sequences, len(vocabulary), Checks("TraitModel.transform"))
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

    def _options(self, progress: Progress | None) -> TraitFitOptions:
        return TraitFitOptions(
            n_traits=CHECK.integer("n_traits", self.n_traits, 1),
            n_restarts=CHECK.integer("n_restarts", self.n_restarts, 1),
            max_iter=CHECK.integer("max_iter", self.max_iter, 1),
            tol=CHECK.real("tol", self.tol, 0.0),
            seed=CHECK.random_state("random_state", self.random_state),
            workers=CHECK.workers(self.workers),
            progress=progress,
        )


def resolve_recipe(method: str | Recipe) -> Recipe:
    """The recipe of this name, or `method` itself where it is one; ValueError or TypeError otherwise."""
    rule = f"one of {', '.join(map(repr, RECIPES))}, or an object with the methods of Recipe"
    if not isinstance(method, str):
        if isinstance(method, Recipe):
            return method
        raise CHECK.type_error("method", rule, method)
    if method in _REMOVED:
        rule += f" ({method!r} was removed, it scored worse; refit models saved with it by another method)"
    if method not in RECIPES:
        raise CHECK.value_error("method", rule, method)
    return RECIPES[method]


def token_rates(
    raw: NDArray[np.float32], sequences: Sequences, token_item: NDArray[np.int32], workers: int
) -> NDArray[np.float32]:
    """Non-negative least squares of who has which token (spread over an item's tokens by RATE_TIE) on the weights.

    A token counts RATE_DECAY for each session since the customer last had it: recent purchases predict the next ones
    better, as ranges change. A customer's weights and tokens have length 1 here; otherwise the longest histories would
    dominate the rates.
    """
    have = unit_sparse_rows(recency_counts(sequences, n_tokens=len(token_item)))
    tied = tie_tokens(token_item, tuning.RATE_TIE)
    taken = (have if tied is None else sparse.csr_array(have @ tied)).T
    return np.ascontiguousarray(fold_in(taken, np.ascontiguousarray(unit_components(raw).T), workers=workers).T)
