"""choose_n_traits: the number of traits, by stability of refits and held-out error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._progress import Progress
from .._rows import unit_sparse_rows
from .._validate import Checks
from ..customers.components import match_rows
from ..customers.counts import count_tokens
from ..customers.customer_subsets import split_halves, take_owners
from ..customers.describe import token_lift
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary, as_vocabulary
from .name_coherence import npmi_coherence, presence
from .trait_coherence import Embed
from .trait_prediction import take_sequences

CHECK = Checks("choose_n_traits")


@dataclass(frozen=True, eq=False)
class TraitChoice:
    """What `choose_n_traits` found: one entry of each array per candidate.

    Attributes
    ----------
    n_traits : the choice.
    candidates : (n,) int64 numbers of traits tried.
    stability : (n,) mean matched cosine of the token loadings of refits on half of the customers; weakest : the least
        cosine of any trait, averaged over pairs of refits.
    coherence : (n,) NPMI of the names over the customers held out from each refit.
    error : (n,) share of half a held-out customer's history that the other half doesn't predict.
    """

    n_traits: int
    candidates: NDArray[np.int64]
    stability: NDArray[np.float64]
    weakest: NDArray[np.float64]
    coherence: NDArray[np.float64]
    error: NDArray[np.float64]

    def __str__(self) -> str:
        head = f"{self.n_traits} traits chosen\n  traits  stability  weakest  coherence  held-out error"
        rows = zip(self.candidates, self.stability, self.weakest, self.coherence, self.error)
        return "\n".join([head, *(f"  {k:6d}  {s:9.3f}  {w:7.3f}  {c:9.3f}  {e:14.4f}" for k, s, w, c, e in rows)])

    def plot(self, path: str | Path) -> None:
        """Draw the figures to a PNG, SVG or PDF file; needs matplotlib (the extra `report`)."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("TraitChoice.plot needs matplotlib: pip install 'traitcore[report]'.") from error
        figure = Figure(figsize=(7.0, 6.5), layout="constrained")
        panels = figure.subplots(3, 1, sharex=True)
        shown = (
            ("stability", ((self.stability, "mean"), (self.weakest, "weakest trait"))),
            ("coherence (NPMI)", ((self.coherence, ""),)),
            ("held-out error", ((self.error, ""),)),
        )
        for panel, (label, lines) in zip(panels, shown):
            for values, name in lines:
                panel.plot(self.candidates, values, marker="o", label=name)
            panel.axvline(self.n_traits, color="0.6", linestyle="--")
            panel.set_ylabel(label)
        panels[0].legend()
        panels[-1].set_xlabel("number of traits (dashed: chosen)")
        figure.savefig(path)


def choose_n_traits(
    sequences: Sequences,
    vocabulary: Vocabulary,
    *,
    candidates: Sequence[int] = (4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32),
    model: TraitModel | None = None,
    embed: Embed | None = None,
    n_refits: int = 4,
    tolerance: float = 0.1,
    max_customers: int | None = 10_000,
    random_state: int = 0,
    progress: Progress | None = None,
) -> TraitChoice:
    """Choose the number of traits by stability and held-out error.

    Refits on halves of the customers, with different seeds, are compared pair by pair. The choice is the candidate of
    least held-out error among those whose stability is within `tolerance` of the best. With too few traits real ones
    are merged, with too many they are split at random; both lower the stability and raise the error.

    Parameters
    ----------
    sequences, vocabulary, embed, max_customers, random_state : as in `evaluate_traits`.
    candidates : numbers of traits to try, rising. model : TraitModel whose other parameters are used.
    n_refits : refits per candidate. tolerance : of the stability, see above.
    progress : callback `progress(stage, done, total)`.

    Returns
    -------
    TraitChoice : the choice and the figures of all candidates; `plot(path)` draws them.

    Raises
    ------
    ValueError, TypeError : no candidates or not rising ones, too few customers, parameters out of range.

    See Also
    --------
    evaluate_traits : judges one model in detail.

    Examples
    --------
    >>> import traitcore as tc
    >>> shop = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0)
    >>> corpus = tc.tokenize(tc.split_sessions(shop.log), min_count=3)
    >>> model = tc.TraitModel(method="counts", max_iter=20)
    >>> choice = tc.choose_n_traits(
    ...     corpus.sequences, corpus.vocabulary, candidates=(2, 3), model=model, n_refits=2
    ... )
    >>> choice.n_traits in choice.candidates
    True
    """
    CHECK.instance("sequences", sequences, Sequences)
    as_vocabulary(vocabulary, CHECK)
    tried = [CHECK.integer("candidates", k, 1) for k in candidates]
    if not tried or any(b <= a for a, b in pairwise(tried)):
        raise CHECK.value_error("candidates", "a rising sequence of ints", candidates)
    n_refits = CHECK.integer("n_refits", n_refits, 2)
    tolerance = CHECK.real("tolerance", tolerance, 0.0)
    seed = CHECK.seed("random_state", random_state)
    template = TraitModel() if model is None else model
    rng = np.random.default_rng([seed, 5])
    active = np.unique(sequences.owners()[np.diff(sequences.offsets) > 0])
    if len(active) < 4:
        raise CHECK.value_error("sequences", "of at least 4 customers with tokens", sequences)
    if max_customers is not None:
        active = np.sort(rng.permutation(active)[: CHECK.integer("max_customers", max_customers, 4)])
    pairs = [split_halves(sequences, active, rng) for _ in range((n_refits + 1) // 2)]
    sides = [side for a, b in pairs for side in ((a, b), (b, a))][:n_refits]
    figures = np.zeros((len(tried), 4))
    for row, k in enumerate(tried):
        figures[row] = _judged(template, k, sequences, vocabulary, embed, sides, seed)
        if progress is not None:
            progress("number of traits", row + 1, len(tried))
    stability, weakest, coherence, error = figures.T
    return TraitChoice(
        tried[_choose(stability, error, tolerance)], np.array(tried), stability, weakest, coherence, error
    )


def _judged(
    template: TraitModel, k: int, sequences: Sequences, vocabulary: Vocabulary, embed: Embed | None, sides: Any,
    seed: int,
) -> NDArray[np.float64]:
    loadings, coherence, error = [], [], []
    for refit, (fit_on, judge_on) in enumerate(sides):
        known, unseen = take_owners(sequences, fit_on), take_owners(sequences, judge_on)
        fresh = type(template)(**template.get_params()).set_params(n_traits=k, random_state=seed + refit)
        fresh.fit(known, vocabulary, item_vectors=None if embed is None else embed(known))
        loadings.append(fresh.token_rates_)
        tops = token_lift(fresh.raw_profiles_, count_tokens(known, n_tokens=len(vocabulary))).top(10)
        coherence.append(npmi_coherence(tops, count_tokens(unseen, n_tokens=len(vocabulary))).mean())
        error.append(_completion_error(fresh, unseen, len(vocabulary)))
    cosines = [match_rows(loadings[a], loadings[b])[1] for a, b in combinations(range(len(loadings)), 2)]
    stability, weakest = np.mean([c.mean() for c in cosines]), np.mean([c.min() for c in cosines])
    return np.array([stability, weakest, np.mean(coherence), np.mean(error)])


def _completion_error(model: TraitModel, unseen: Sequences, n_tokens: int) -> float:
    """Share of squares of the odd sequences' tokens not explained by the even sequences' profiles, best scaled."""
    nth = _nth_of_owner(unseen)
    even, odd = (take_sequences(unseen, nth % 2 == parity) for parity in (0, 1))
    predicted = model.transform_raw(even) @ model.token_rates_
    wanted = unit_sparse_rows(presence(count_tokens(odd, n_tokens=n_tokens)))
    norms = np.linalg.norm(predicted, axis=1)
    used = (np.diff(wanted.indptr) > 0) & (norms > 0)
    if not used.any():
        return 1.0
    rows = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
    along = np.bincount(rows, weights=wanted.data * predicted[rows, wanted.indices], minlength=wanted.shape[0])
    cosine = np.divide(along, norms, out=np.zeros_like(along), where=norms > 0)
    return float(1.0 - (cosine[used] ** 2).mean())


def _nth_of_owner(sequences: Sequences) -> NDArray[np.int64]:
    owners = sequences.owners()
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=sequences.n_owners)
    nth = np.empty(len(owners), dtype=np.int64)
    nth[order] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return nth


def _choose(stability: NDArray[np.float64], error: NDArray[np.float64], tolerance: float) -> int:
    steady = stability >= stability.max() - tolerance
    return int(np.argmin(np.where(steady, error, np.inf)))
