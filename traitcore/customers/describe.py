"""Traits in words: what sets a trait's customers apart, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._rows import rows_to_shares
from .._validate import Checks
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary, as_vocabulary
from . import tuning
from .counts import count_tokens
from .trait_names import Phrasebook, distinct, is_charge, shortened

CHECK = Checks("describe_traits")


@dataclass(frozen=True, eq=False)
class TokenLift:
    """How much more often a trait's customers have a token than all customers do.

    Attributes
    ----------
    lift : (n_traits, n_tokens) float64, smoothed; 1 where token and trait are independent.
    low : the same at the lower end of a 95% interval.
    eligible : (n_tokens,) bool, tokens of at least `min_df` customers.
    document_frequencies : (n_tokens,) int64 customers with the token.
    """

    lift: NDArray[np.float64]
    low: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    document_frequencies: NDArray[np.int64]

    def top(self, k: int) -> list[NDArray[np.int64]]:
        """For each trait the rows of its `k` eligible tokens of highest lift above 1; ties by row."""
        tops = []
        for row in self.lift:
            order = np.argsort(np.where(self.eligible, -row, np.inf), kind="stable")[:k]
            tops.append(order[self.eligible[order] & (row[order] > 1.0)])
        return tops


def least_customers(n_customers: int) -> int:
    """Customers that a naming token must have, by default: half the square root of all, and at least LIFT_MIN_DF.

    Two tokens of df customers each, in a trait that makes them LIFT_OF_PAIRS times as likely to meet, meet in
    LIFT_OF_PAIRS df^2 / n of n customers. Below df = sqrt(n / LIFT_OF_PAIRS) that is less than one: whether they belong
    together can't be seen in the log.
    """
    return max(tuning.LIFT_MIN_DF, math.ceil(math.sqrt(n_customers / tuning.LIFT_OF_PAIRS)))


def token_lift(
    profiles: ArrayLike, counts: sparse.csr_array, *, smoothing: float = tuning.LIFT_SMOOTHING,
    min_df: float | None = None,
) -> TokenLift:
    """Smoothed lift of every token in every trait.

    With w_ct a customer's weight of the trait, raised to LIFT_POWER, p_t their mean and B_j the df_j customers with
    token j: lift = (sum over B_j of w_ct / p_t + c) / (df_j + c), that is, a mean over the token's customers shrunk
    towards 1 by c imaginary average customers, so that tokens of a few customers don't lead by chance.
    `min_df`: a number of customers, or below 1 a share of those with tokens; None: `least_customers` of these.
    """
    smoothing = CHECK.real("smoothing", smoothing, 0.0)
    active = int((np.diff(counts.indptr) > 0).sum())
    if min_df is None:
        min_df = least_customers(active)
    min_df = CHECK.real("min_df", min_df, 0.0)
    min_df = math.ceil(min_df * active) if min_df < 1 else min_df
    shape = (counts.shape[0], None)
    weights = CHECK.array("profiles", profiles, dtype=np.float64, shape=shape, nonnegative=True)
    weights = weights**tuning.LIFT_POWER
    present = sparse.csr_array((np.ones(counts.nnz), counts.indices, counts.indptr), shape=counts.shape)
    share = weights.mean(axis=0) if len(weights) else np.zeros(weights.shape[1])
    ratio = np.divide(weights, share, out=np.ones_like(weights), where=share > 0)
    df = np.bincount(counts.indices, minlength=counts.shape[1]).astype(np.int64)
    n = df + smoothing
    total = (present.T @ ratio).T
    mean = np.divide(total + smoothing, n, out=np.ones_like(total), where=n > 0)
    squares = (present.T @ (ratio * ratio)).T + smoothing
    variance = np.divide(squares, n, out=np.ones_like(total), where=n > 0) - mean * mean
    error = np.sqrt(np.maximum(variance, 0.0) / np.maximum(n, 1.0))
    return TokenLift(mean, np.maximum(mean - 1.96 * error, 0.0), df >= min_df, df)


@dataclass(frozen=True, eq=False)
class TopToken:
    """A token that names a trait: its row, external form, description, smoothed lift with the lower end of its 95%
    interval, and the customers who have it."""

    row: int
    token: Any
    text: str
    lift: float
    low: float
    customers: int


@dataclass(frozen=True, eq=False)
class TraitDescription:
    """One trait as a merchandiser reads it.

    Attributes
    ----------
    trait : row of the trait.
    name : its category, the phrases that its tokens' descriptions share and the catalogue seldom has, or its first
        tokens; then how its customers act. No two traits have the same, but for names that users gave.
    prevalence : mean share of the trait in the customers' profiles.
    customers : customers with a share above the threshold.
    tokens : the tokens of highest lift, best first.
    categories : (category, lift) of the categories most overrepresented among its customers' events, best first.
    action_shares : action -> share among the trait's events; action_lifts : the same against all customers.
    exemplars : rows of the customers in whom the trait is strongest.
    activity : correlation of the trait's share with log(1 + events); far from 0, the trait mostly measures activity.
    background : no token sets its customers apart (none has a lift of BACKGROUND_LIFT): what everybody does.
    charges : rows of tokens among its first whose descriptions look like charges (postage, fees), not goods; they don't
        name it.
    given_name : the name a user gave it, kept from version to version; `name` is then the same. "" without.
    """

    trait: int
    name: str
    prevalence: float
    customers: int
    tokens: tuple[TopToken, ...]
    categories: tuple[tuple[Any, float], ...] = ()
    action_shares: dict[str, float] = field(default_factory=dict)
    action_lifts: dict[str, float] = field(default_factory=dict)
    exemplars: tuple[int, ...] = ()
    activity: float = 0.0
    background: bool = False
    charges: tuple[int, ...] = ()
    given_name: str = ""


def describe_traits(
    profiles: ArrayLike,
    sequences: Sequences,
    vocabulary: Vocabulary,
    *,
    item_category: ArrayLike | None = None,
    k: int = 10,
    n_exemplars: int = 5,
    smoothing: float = tuning.LIFT_SMOOTHING,
    min_df: float | None = None,
    threshold: float = 0.3,
) -> list[TraitDescription]:
    """Describe each trait by what sets its customers apart.

    Parameters
    ----------
    profiles : (n_customers, n_traits) float32 >= 0, best the raw weights W: customers whose history the traits hardly
        explain then count little. Shares are the rows divided by their sums.
    sequences, vocabulary : what the customers did; its `item_texts` are shown beside tokens and used in names.
    item_category : (n_items,) category of each item (ints or texts), or None.
    k : tokens per trait. smoothing : average customers added to each token's, so that tokens of few don't lead.
    min_df : customers that a token needs to be shown: a number, or below 1 a share of the customers; None: half the
        square root of their number, at least 5.
    n_exemplars : customers shown. threshold : share from which on a customer counts for a trait.

    Returns
    -------
    list of TraitDescription, by row of trait.

    Raises
    ------
    ValueError, TypeError : shapes that don't fit, negative weights, a parameter out of range.

    See Also
    --------
    TraitModel : fits the traits. plot_traits : draws the descriptions.

    Examples
    --------
    >>> import traitcore as tc
    >>> corpus = tc.tokenize(tc.split_sessions(tc.simulate_events(n_users=60, n_items=30, n_traits=2, seed=0).log))
    >>> model = tc.TraitModel(2, method="counts").fit(corpus.sequences, corpus.vocabulary)
    >>> traits = tc.describe_traits(model.raw_profiles_, corpus.sequences, corpus.vocabulary, k=3)
    >>> [(trait.trait, len(trait.tokens), trait.tokens[0].lift > 1.1) for trait in traits]
    [(0, 3, True), (1, 3, True)]
    """
    k = CHECK.integer("k", k, 1)
    n_exemplars = CHECK.integer("n_exemplars", n_exemplars, 0)
    threshold = CHECK.real("threshold", threshold, 0.0, 1.0)
    CHECK.instance("sequences", sequences, Sequences)
    counts = count_tokens(sequences, n_tokens=len(as_vocabulary(vocabulary, CHECK)))
    shape = (sequences.n_owners, None)
    weights = CHECK.array("profiles", profiles, dtype=np.float32, shape=shape, nonnegative=True)
    category = None
    if item_category is not None:
        category = CHECK.plain("item_category", item_category)
        if category.shape != (len(vocabulary.item_ids),):
            rule = f"an array of shape ({len(vocabulary.item_ids)},), one category for each item"
            raise CHECK.value_error("item_category", rule, f"shape {category.shape}")
    shares = rows_to_shares(weights)
    lift = token_lift(weights, counts, smoothing=smoothing, min_df=min_df)
    events = np.log1p(counts.sum(axis=1))
    actions = _by_group(weights, counts, vocabulary.token_action, len(vocabulary.actions))
    categories: tuple[list[Any], NDArray[np.float64], NDArray[np.float64]] | None = None
    if category is not None:
        kinds, code = np.unique(category, return_inverse=True)
        categories = (kinds.tolist(), *_by_group(weights, counts, code[vocabulary.token_item], len(kinds)))
    tops = [
        tuple(_top_token(lift, trait, int(row), vocabulary) for row in rows) for trait, rows in enumerate(lift.top(k))
    ]
    kinds_of = [_top_categories(categories, trait) for trait in range(len(tops))]
    names = name_traits(tops, kinds_of, vocabulary)
    described = []
    for trait, tokens in enumerate(tops):
        share = shares[:, trait]
        acts = {name: float(actions[0][trait, a]) for a, name in enumerate(vocabulary.actions)}
        act_lifts = {name: float(actions[1][trait, a]) for a, name in enumerate(vocabulary.actions)}
        strongest = np.argsort(-share, kind="stable")[:n_exemplars]
        described.append(TraitDescription(
            trait=trait, name=names[trait] + _behaviour(act_lifts),
            prevalence=float(share.mean()) if len(share) else 0.0,
            customers=int((share > threshold).sum()), tokens=tokens, categories=kinds_of[trait], action_shares=acts,
            action_lifts=act_lifts, exemplars=tuple(int(c) for c in strongest if share[c] > 0),
            activity=correlation(share, events), background=is_background(tokens),
            charges=tuple(token.row for token in tokens if is_charge(token.text)),
        ))
    return described


def is_background(tokens: Sequence[TopToken]) -> bool:
    """Whether no token is BACKGROUND_LIFT times as common among the trait's customers."""
    return bool(tokens) and max(token.lift for token in tokens) < tuning.BACKGROUND_LIFT


def name_traits(
    tops: Sequence[tuple[TopToken, ...]], categories: Sequence[tuple[tuple[Any, float], ...]], vocabulary: Vocabulary
) -> list[str]:
    """Names without behaviour, no two alike: each trait's proposals grow longer until nobody else has the same."""
    goods = [[token for token in tokens if not is_charge(token.text)] or list(tokens) for tokens in tops]
    texts = [list(dict.fromkeys(token.text for token in tokens if token.text)) for tokens in goods]
    catalogue = [] if vocabulary.item_texts is None else [text for text in vocabulary.item_texts.tolist() if text]
    book = Phrasebook(catalogue, {text for some in texts for text in some})
    proposals = []
    for trait, tokens in enumerate(goods):
        parts = book.best(texts[trait])[:3] if texts[trait] else []
        plain = [shortened(token.text or str(token.token)) for token in tokens]
        lead = [str(categories[trait][0][0])] if categories[trait] else []
        if lead or parts:
            first = lead or parts[:1]
            rest = parts if lead else parts[1:]
            grown = [*first, *(f"{', '.join(first)}, {', '.join(rest[:n])}" for n in range(1, len(rest) + 1))]
        else:
            grown = [" / ".join(plain[:n]) for n in range(min(2, len(plain)), len(plain) + 1) if n]
        grown += [f"{grown[0]} ({token})" for token in plain] if grown else []
        prefix = "background: " if is_background(tops[trait]) else ""
        proposals.append([prefix + name for name in grown] or [f"trait {trait}"])
    return distinct(proposals)


def _top_token(lift: TokenLift, trait: int, row: int, vocabulary: Vocabulary) -> TopToken:
    return TopToken(
        row, vocabulary.tokens[row], vocabulary.text_of(row), float(lift.lift[trait, row]), float(lift.low[trait, row]),
        int(lift.document_frequencies[row]),
    )


def _by_group(
    weights: NDArray[np.float32], counts: sparse.csr_array, group: NDArray[Any], n_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_traits, n_groups) share of each group of tokens (action, category) among a trait's events, and its lift."""
    known = np.flatnonzero(np.asarray(group) >= 0)
    spread = sparse.csr_array(
        (np.ones(len(known)), (known, np.asarray(group)[known])), shape=(counts.shape[1], max(n_groups, 1))
    )
    mass = np.asarray((counts @ spread).todense())
    totals = mass.sum(axis=1, keepdims=True)
    # Each customer counts once: shares of their events, not events.
    shares_of_customers = np.divide(mass, totals, out=np.zeros_like(mass), where=totals > 0)
    by_trait = weights.T.astype(np.float64) @ shares_of_customers
    sums = by_trait.sum(axis=1, keepdims=True)
    share = np.divide(by_trait, sums, out=np.zeros_like(by_trait), where=sums > 0)
    everyone = shares_of_customers.sum(axis=0) / max(shares_of_customers.sum(), 1e-300)
    lift = np.divide(share, everyone[None, :], out=np.ones_like(share), where=everyone[None, :] > 0)
    return share, lift


def _top_categories(categories: Any, trait: int) -> tuple[tuple[Any, float], ...]:
    """The three categories of highest lift, of CATEGORY_MIN_LIFT or more, with a share of at least
    CATEGORY_MIN_SHARE."""
    if categories is None:
        return ()
    kinds, share, lift = categories
    order = np.argsort(-lift[trait], kind="stable")
    picked = [c for c in order if share[trait, c] >= tuning.CATEGORY_MIN_SHARE and kinds[c] != ""]
    return tuple((kinds[c], float(lift[trait, c])) for c in picked[:3] if lift[trait, c] >= tuning.CATEGORY_MIN_LIFT)


def _behaviour(act_lifts: dict[str, float]) -> str:
    """How a trait's customers act, where it sets them apart."""
    buys, views = act_lifts.get("buy", 1.0), act_lifts.get("view", 1.0)
    if buys < tuning.SELDOM_BUYS_BELOW and views >= 1.0:
        return ": browses, seldom buys"
    if buys > tuning.BUYS_READILY_ABOVE:
        return ": buys readily"
    if act_lifts.get("remove", 1.0) > tuning.PUTS_BACK_ABOVE:
        return ": often puts back"
    return ""


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Pearson correlation; 0 where one side doesn't vary."""
    if len(a) < 2:
        return 0.0
    x, y = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    norm = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / norm if norm > 0 else 0.0
