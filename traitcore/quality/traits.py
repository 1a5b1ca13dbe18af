"""evaluate_traits: traits are judged on held-out data, every figure beside controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._frames import frame_of
from .._looks import html_facts
from .._progress import Progress
from .._validate import Checks
from ..customers.counts import count_tokens
from ..customers.customer_subsets import split_halves, take_owners
from ..customers.describe import correlation
from ..customers.traits import TraitModel, resolve_recipe
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary, as_vocabulary
from .name_coherence import npmi_coherence
from .trait_coherence import Embed, NamingRules, fit_and_name, interval, judge_coherence
from .trait_prediction import judge_prediction
from .trait_stability import judge_stability, matched_correlation, matched_cosine

__all__ = ["CHECKS", "TraitEvaluation", "evaluate_traits", "matched_correlation", "matched_cosine"]

CHECKS = ("coherence", "stability", "support", "prediction", "invariance", "nulls")
CHECK = Checks("evaluate_traits")


@dataclass(frozen=True, eq=False)
class TraitEvaluation:
    """Figures of one trait method on one corpus, and the protocol by which they were measured.

    Attributes
    ----------
    figures : name -> number; see `evaluate_traits`.
    protocol : the fixed parameters: min_df, min_count, smoothing, k, splits, refits, customers, random_state.
    """

    figures: dict[str, float]
    protocol: dict[str, Any]

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    @property
    def statement(self) -> str:
        """What the coherence says in a sentence; "" where it wasn't checked."""
        return support_statement(self.figures)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {"figures": dict(self.figures), "protocol": dict(self.protocol), "statement": self.statement}

    def to_frame(self, library: str | None = None) -> Any:
        """figure, value: a data frame of "pandas" or "polars" (None: by what is there)."""
        return frame_of({"figure": list(self.figures), "value": list(self.figures.values())}, library)

    def _repr_html_(self) -> str:
        return html_facts("TraitEvaluation", self.figures)

    def __str__(self) -> str:
        fixed = ", ".join(f"{name} {value}" for name, value in self.protocol.items())
        width = max((len(name) for name in self.figures), default=0)
        lines = [f"  {name:{width}s}  {value:10.4f}" for name, value in self.figures.items()]
        return "\n".join([f"Traits judged with {fixed}:", *lines, *filter(None, [self.statement])])


def support_statement(figures: Mapping[str, float]) -> str:
    """Whether the log supports traits: their names must cohere better than popular tokens do, on customers who took no
    part, also without those of the longest histories. "" without these figures."""
    if "npmi" not in figures:
        return ""
    light, popular = figures["npmi_without_heavy"], figures["npmi_popular_without_heavy"]
    if light > popular and figures["npmi"] > figures["npmi_popular"]:
        return (
            f"The log supports traits: without the longest 5% of histories their names cohere at {light:.3f}, "
            f"popular tokens at {popular:.3f}."
        )
    if figures["npmi"] > figures["npmi_popular"]:
        return (
            f"The log can't support traits for most customers: without the longest 5% of histories their names cohere "
            f"at {light:.3f}, no better than popular tokens ({popular:.3f}). Fewer traits, items grouped into "
            "categories, or a longer log may."
        )
    return (
        f"The log can't support traits: their names cohere at {figures['npmi']:.3f}, no better than popular tokens "
        f"({figures['npmi_popular']:.3f}). Fewer traits, items grouped into categories, or a longer log may."
    )


def evaluate_traits(
    sequences: Sequences,
    vocabulary: Vocabulary,
    *,
    model: TraitModel | None = None,
    embed: Embed | None = None,
    truth: ArrayLike | None = None,
    item_category: ArrayLike | None = None,
    checks: Sequence[str] = ("coherence", "stability", "support", "prediction"),
    n_splits: int = 5,
    n_refits: int = 4,
    k: int = 10,
    min_df: int = 5,
    smoothing: float = 20.0,
    min_count: int | None = None,
    max_customers: int | None = 10_000,
    random_state: int = 0,
    progress: Progress | None = None,
) -> TraitEvaluation:
    """Judge a trait method on data that were used neither to fit nor to name the traits.

    Parameters
    ----------
    sequences, vocabulary : the corpus; owners are customers.
    model : TraitModel whose parameters are judged (it is refitted many times; default TraitModel()).
    embed : callable, Sequences -> (n_tokens, d) float32 vectors, called on each part that is fitted, so that the
        embedding doesn't see the held-out customers either. Required by methods over vectors; else adds recall_vectors.
    truth : (n_customers, n_traits) planted shares; adds recovery, the matched correlation with the fitted profiles.
    item_category : (n_items,) int; adds category_hit.
    checks : which of CHECKS to make.
        coherence: npmi (of each name's tokens, over the other half of the customers) with npmi_low, npmi_high;
        npmi_without_heavy (without the longest 5% of histories); diversity; the controls npmi_random and npmi_popular
        (random and popular tokens without a model).
        stability: bootstrap_cosine, _low, _ari (+ _chance), _jaccard over refits on 80% of customers; seed_cosine;
        reliability, the agreement of shares from two halves of an unseen customer's history.
        support: support, customers at weight > .3 of the least supported trait; activity, the largest correlation of
        a trait's weight with the length of the history.
        prediction: recall (@20 of new tokens of the last sequence) with recall_popular, recall_pca, recall_counts,
        recall_vectors, and price = recall / recall_pca.
        invariance: order_change (customers permuted) and rotation_change (embedding rotated; methods over vectors):
        1 - matched cosine of the weights.
        nulls: npmi_shuffled_tokens (all tokens permuted), npmi_shuffled_order (each customer's tokens permuted over
        their sessions), and sequence_gain = npmi - npmi_shuffled_order with its interval: what sessions and order add.
    n_splits : random halvings. n_refits : refits for the stability; all pairs are compared.
    k, min_df, smoothing : tokens per name, and parameters of naming. Coherence depends on them: compare methods by the
        same values.
    min_count : drop tokens seen less often in the fitted half; None: the least count in `vocabulary`.
    max_customers : judge a larger corpus on a random sample of this many; None: on all.
    random_state : int, the seed of all random choices.
    progress : callback `progress(stage, done, total)`.

    Returns
    -------
    TraitEvaluation : `figures` by name, and the `protocol`.

    Raises
    ------
    ValueError, TypeError : unknown checks, fewer than 4 customers, a missing `embed`, shapes that don't fit.

    See Also
    --------
    TraitModel : the model. choose_n_traits : chooses their number. evaluate_retrieval : judges next items.

    References
    ----------
    Bouma 2009, "Normalized (pointwise) mutual information in collocation extraction" (NPMI); Hubert & Arabie 1985,
    "Comparing partitions" (adjusted Rand index).

    Examples
    --------
    >>> import traitcore as tc
    >>> shop = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0)
    >>> corpus = tc.tokenize(tc.split_sessions(shop.log), min_count=3)
    >>> model = tc.TraitModel(3, method="counts", max_iter=20)
    >>> found = tc.evaluate_traits(
    ...     corpus.sequences, corpus.vocabulary, model=model, checks=["coherence"], n_splits=1
    ... )
    >>> found["npmi"] > found["npmi_random"]
    True
    """
    CHECK.instance("sequences", sequences, Sequences)
    as_vocabulary(vocabulary, CHECK)
    seed = CHECK.seed("random_state", random_state)
    naming = NamingRules(
        k=CHECK.integer("k", k, 2), min_df=CHECK.integer("min_df", min_df, 0),
        smoothing=CHECK.real("smoothing", smoothing, 0.0),
        min_count=_least_count(vocabulary) if min_count is None else CHECK.integer("min_count", min_count, 1),
    )
    n_splits = CHECK.integer("n_splits", n_splits, 1)
    n_refits = CHECK.integer("n_refits", n_refits, 2)
    model = TraitModel() if model is None else model
    wrong = [check for check in checks if check not in CHECKS]
    if wrong:
        raise CHECK.value_error("checks", f"a sequence of {', '.join(CHECKS)}", wrong[0])
    recipe = resolve_recipe(model.method)
    if recipe.needs_vectors and embed is None:
        rule = f"a callable that embeds a corpus, which method={recipe.name!r} needs"
        raise CHECK.value_error("embed", rule, None)
    if truth is not None:
        truth = CHECK.array("truth", truth, dtype=np.float64, shape=(sequences.n_owners, None))
    if item_category is not None:
        shape = (len(vocabulary.item_ids),)
        item_category = CHECK.array("item_category", item_category, dtype=np.int64, shape=shape)
    sequences, truth = _sampled(sequences, truth, max_customers, seed)
    common = (model, sequences, vocabulary, naming, embed)

    def of_stage(stage: str, total: int) -> Callable[[int], None]:
        return lambda done: None if progress is None else progress(stage, done, total)

    figures: dict[str, float] = {}
    seeds = [seed, seed + 1, seed + 2]
    makes: dict[str, Callable[[], dict[str, float]]] = {
        "coherence": lambda: judge_coherence(*common, n_splits, seed, of_stage("coherence", n_splits)),
        "stability": lambda: judge_stability(*common, n_refits, seed, of_stage("stability", n_refits)),
        "support": lambda: _judge_whole(*common, truth, seed),
        "prediction": lambda: judge_prediction(
            model, sequences, vocabulary, embed, item_category, seeds, of_stage("prediction", len(seeds))
        ),
        "invariance": lambda: _judge_invariance(*common, seed),
        "nulls": lambda: _judge_nulls(*common, n_splits, seed, of_stage("nulls", n_splits)),
    }
    for check, make in makes.items():
        if check in checks or (check == "support" and truth is not None):
            figures |= make()
            if check in ("support", "invariance"):  # the others tell of their parts
                of_stage(check, 1)(1)
    protocol = asdict(naming) | {
        "method": recipe.name, "n_traits": model.n_traits, "n_splits": n_splits, "n_refits": n_refits,
        "customers": sequences.n_owners, "tokens": len(vocabulary), "random_state": seed,
    }
    return TraitEvaluation(figures, protocol)


def _least_count(vocabulary: Vocabulary) -> int:
    return max(1, int(vocabulary.counts.min())) if len(vocabulary) else 1


def _sampled(
    sequences: Sequences, truth: Any, max_customers: int | None, seed: int
) -> tuple[Sequences, NDArray[np.float64] | None]:
    """Customers with tokens, at most `max_customers` of them drawn at random."""
    if max_customers is not None:
        max_customers = CHECK.integer("max_customers", max_customers, 4)
    active = np.unique(sequences.owners()[np.diff(sequences.offsets) > 0])
    if len(active) < 4:
        raise CHECK.value_error("sequences", "of at least 4 customers with tokens", sequences)
    if max_customers is not None and len(active) > max_customers:
        active = np.sort(np.random.default_rng([seed, 0]).permutation(active)[:max_customers])
    return take_owners(sequences, active), None if truth is None else truth[active]


def _judge_whole(
    model: TraitModel, sequences: Sequences, vocabulary: Vocabulary, naming: NamingRules, embed: Embed | None,
    truth: NDArray[np.float64] | None, seed: int,
) -> dict[str, float]:
    """Support, dependence on activity and recovery of planted shares, by one fit on all customers."""
    fitted = fit_and_name(model, sequences, vocabulary, naming, embed, seed)
    profiles = fitted.model.profiles_
    events = np.log1p(fitted.counts.sum(axis=1))
    activity = [abs(correlation(profiles[:, t], events)) for t in range(profiles.shape[1])]
    figures = {
        "support": float((profiles > naming.support_weight).sum(axis=0).min()),
        "activity": float(max(activity)),
    }
    if truth is not None:
        figures["recovery"] = matched_correlation(truth, profiles)
    return figures


def _judge_invariance(
    model: TraitModel, sequences: Sequences, vocabulary: Vocabulary, naming: NamingRules, embed: Embed | None, seed: int
) -> dict[str, float]:
    rng = np.random.default_rng([seed, 3])
    first = fit_and_name(model, sequences, vocabulary, naming, embed, seed).model.raw_profiles_
    order = rng.permutation(sequences.n_owners)
    moved = fit_and_name(model, take_owners(sequences, order), vocabulary, naming, embed, seed).model.raw_profiles_
    figures = {"order_change": 1.0 - matched_cosine(first[order], moved)}
    if embed is not None and resolve_recipe(model.method).needs_vectors:
        vectors = embed(sequences)
        rotation = np.linalg.qr(rng.standard_normal((vectors.shape[1], vectors.shape[1])))[0]

        def rotated(_: Sequences) -> NDArray[np.float32]:
            return np.ascontiguousarray(vectors @ rotation, dtype=np.float32)

        plain = fit_and_name(model, sequences, vocabulary, naming, lambda _: vectors, seed).model.raw_profiles_
        other = fit_and_name(model, sequences, vocabulary, naming, rotated, seed).model.raw_profiles_
        figures["rotation_change"] = 1.0 - matched_cosine(plain, other)
    return figures


def _judge_nulls(
    model: TraitModel, sequences: Sequences, vocabulary: Vocabulary, naming: NamingRules, embed: Embed | None,
    n_splits: int, seed: int, progress: Callable[[int], None],
) -> dict[str, float]:
    """The same protocol and splits with the fitted half permuted and the held-out half as it is."""
    rng, shuffle = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 4])
    scores = np.zeros((n_splits, 3))
    for split in range(n_splits):
        fit_on, judge_on = split_halves(sequences, np.arange(sequences.n_owners), rng)
        half = take_owners(sequences, fit_on)
        judges = count_tokens(take_owners(sequences, judge_on), n_tokens=len(vocabulary))
        shuffled = (
            half,
            replace(half, tokens=shuffle.permutation(half.tokens)),
            replace(half, tokens=half.tokens[_shuffled_within_owners(half, shuffle)]),
        )
        for column, corpus in enumerate(shuffled):
            fit = fit_and_name(model, corpus, vocabulary, naming, embed, seed + split)
            scores[split, column] = npmi_coherence(fit.tops, judges).mean()
        progress(split + 1)
    gain = (scores[:, 0] - scores[:, 2]).tolist()
    figures = {"npmi_shuffled_tokens": float(scores[:, 1].mean()), "npmi_shuffled_order": float(scores[:, 2].mean())}
    return figures | {"sequence_gain": float(np.mean(gain))} | interval("sequence_gain", gain)


def _shuffled_within_owners(sequences: Sequences, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation of the events within each owner: sessions keep their lengths, not their content."""
    owner = np.repeat(sequences.owners(), np.diff(sequences.offsets))
    places = np.argsort(owner, kind="stable")
    mixed = np.lexsort((rng.random(len(owner)), owner))
    order = np.empty(len(owner), dtype=np.int64)
    order[places] = mixed
    return order
