# mypy: allow-untyped-calls
"""Next items by vectors and counts together, weighed by what the latest sessions did."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .._parallel import even_blocks, run_blocks
from .._params import ParamsMixin
from .._progress import Progress
from .._validate import Checks
from ..events.sequences import Sequences
from .next_item import Contribution, NextItemCounts
from .next_item_model import BONUSES, NextItemModel
from .next_item_queries import held_out_queries, latest_held_out
from .next_item_ranking import BLOCK, check_targets, dense_ranks, list_best, may_list

# Weights of the counts, and the shares of a session's counts below which they hardly matter, that are tried.
_WEIGHTS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0, 1.4, 2.0)
_FLOORS = (1e-4, 1e-3, 1e-2)
_BEST = 100  # of each scorer, among which a query's target is ranked while weights are tried


class _Choice(NamedTuple):
    """What `NextItemBlend.fit` chooses, and by what."""

    weight: float
    floor: float
    repeat: float
    by: tuple[int, float, float]


# Where the latest sessions are too few to choose by: from the middle of what is tried. No data spoke for it.
_NO_CHOICE = _Choice(0.3, 1e-3, 0.0, (0, float("nan"), float("nan")))


class NextItemBlend(ParamsMixin):
    """Next items by `NextItemModel` and `NextItemCounts` together.

    The score of an item is the model's, plus `weight_` * log(1 + c / floor_), c the item's share of the session's
    scores by counts, plus `repeat_` where the session has the item (beside the model's own bonus). The three are chosen
    to rank the next items of the latest sessions best (Recall@20 + MRR@20), while both scorers learn from the others;
    then both learn from all.
    Counts know pairs that were seen often, vectors also items that never met. A session's own items, then the most
    popular ones, are the baseline that is contained: by `repeat_` and by the model's biases.

    Parameters
    ----------
    model : NextItemModel or None for its defaults. counts : NextItemCounts or None. Their parameters are taken; they
        are not fitted themselves. workers : threads of both, -1 for all cores; results are the same for any number.

    Attributes
    ----------
    model_, counts_ : the fitted scorers. weight_, floor_, repeat_ : as chosen.
    n_items_ : number of items.
    chosen_by_ : (queries, Recall@20, MRR@20) of the choice; (0, nan, nan) where the sessions were too few to choose by.

    See Also
    --------
    evaluate_retrieval : measures them beside each other.

    Examples
    --------
    >>> import traitcore as tc
    >>> sessions = tc.Sequences.from_lists([[0, 1, 2], [3, 4, 5]] * 200)
    >>> blend = tc.NextItemBlend(model=tc.NextItemModel(vector_size=8)).fit(sessions)
    >>> blend.recommend([3, 4], k=1)[0].tolist()
    [5]
    """

    model_: NextItemModel
    counts_: NextItemCounts
    weight_: float
    floor_: float
    repeat_: float
    n_items_: int
    chosen_by_: tuple[int, float, float]

    def __init__(
        self, *, model: NextItemModel | None = None, counts: NextItemCounts | None = None, workers: int = 1
    ) -> None:
        self.model = model
        self.counts = counts
        self.workers = workers

    def fit(self, sequences: Sequences, *, n_items: int | None = None, progress: Progress | None = None) -> Self:
        """Learn from sessions in order of time, the oldest first.

        Raises
        ------
        TypeError, ValueError : as `NextItemModel.fit` and `NextItemCounts.fit`.
        """
        check = Checks(type(self).__name__)
        for name, kind in (("model", NextItemModel), ("counts", NextItemCounts)):
            if getattr(self, name) is not None:
                check.instance(name, getattr(self, name), kind)
        workers = check.workers(self.workers)
        model = NextItemModel(**({} if self.model is None else self.model.get_params()) | {"workers": workers})
        counts = NextItemCounts(**({} if self.counts is None else self.counts.get_params()) | {"workers": workers})
        size = NextItemModel._size(sequences, n_items, check)
        older, latest = latest_held_out(sequences)
        if latest is None:
            model.fit(sequences, n_items=size, progress=progress)
            chosen = _NO_CHOICE
        else:
            free = model.repeat is None
            model.set_params(repeat=0.0 if free else model.repeat).fit(older, n_items=size, progress=progress)
            counts.fit(older, n_items=size)
            chosen, alone = _choose(model, counts, latest, BONUSES if free else (0.0,))
            model._finish(latest)
            if free:  # the model by itself is then what its own `fit` makes
                model.set_params(repeat=None)
                model._lift_repeats(alone)
                chosen = chosen._replace(repeat=chosen.repeat - alone)
        counts.fit(sequences, n_items=size)
        self.weight_, self.floor_, self.repeat_, self.chosen_by_ = chosen  # all at once: Ctrl-C leaves nothing half new
        self.model_, self.counts_, self.n_items_ = model, counts, size
        return self

    def score(self, sessions: Any) -> NDArray[np.float32]:
        """(n_sessions, n_items) float32 scores."""
        sequences, _ = self._sessions(sessions)
        scores = self.model_.score(sequences)
        shares = self.counts_.score(sequences)
        row = np.repeat(np.arange(len(sequences)), np.diff(shares.indptr))
        scores[row, shares.indices] += self._bonus(shares.data, row, len(sequences))
        if self.repeat_:
            row, item, _ = self.model_._encoder.repeats(sequences)
            scores[row, item] += np.float32(self.repeat_)
        return scores

    def rank(self, sessions: Any, targets: Any) -> NDArray[np.float64]:
        """Rank of each session's target among all n_items_ items, from 1; tied items share the mean of their ranks."""
        check = Checks(f"{type(self).__name__}.rank")
        sequences, _ = self._sessions(sessions)
        wanted = check_targets(check, targets, len(sequences), self.n_items_)
        return dense_ranks(self.score, sequences, wanted, check.workers(self.workers))

    def recommend(
        self, sessions: Any, *, k: int = 20, exclude_seen: bool = False, allowed: Any = None, exclude: Any = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k best next items and their scores, as `NextItemModel.recommend`."""
        check = Checks(f"{type(self).__name__}.recommend")
        sequences, single = self._sessions(sessions)
        count = check.integer("k", k, 1)
        skip = check.boolean("exclude_seen", exclude_seen)
        may = may_list(check, self.n_items_, allowed, exclude)
        items = np.full((len(sequences), count), -1, dtype=np.int32)
        scores = np.full((len(sequences), count), np.nan, dtype=np.float32)

        def part(start: int, stop: int) -> None:
            some = sequences.take(np.arange(start, stop))
            found = self.score(some)
            found[:, ~may] = -np.inf
            if skip:
                found[np.repeat(np.arange(len(some)), np.diff(some.offsets)), some.tokens] = -np.inf
            list_best(found, items[start:stop], scores[start:stop])

        blocks = even_blocks(len(sequences), -(-len(sequences) // BLOCK))
        run_blocks(part, blocks, check.workers(self.workers))
        return (items[0], scores[0]) if single else (items, scores)

    def explain(self, session: Any, item: int) -> list[Contribution]:
        """What each event of one session adds to `item`'s score by the model, the largest first."""
        self._check_fitted("model_")
        return self.model_.explain(session, item)

    def _bonus(self, values: NDArray[np.float32], row: NDArray[np.int64], n: int) -> NDArray[np.float32]:
        total = np.bincount(row, weights=values, minlength=n)
        return np.asarray(self.weight_ * np.log1p(values / (self.floor_ * total[row])), dtype=np.float32)

    def _sessions(self, sessions: Any) -> tuple[Sequences, bool]:
        self._check_fitted("model_")
        return self.model_._sessions(sessions)


def _choose(
    model: NextItemModel, counts: NextItemCounts, latest: Sequences, repeats: tuple[float, ...]
) -> tuple[_Choice, float]:
    """The choice by the next items of sessions that neither scorer has seen, and the repeat that is best for the model
    alone."""
    asked, targets = held_out_queries(latest)
    parts = [
        _candidates(model, counts, asked.take(np.arange(a, b)), targets[a:b])
        for a, b in even_blocks(len(targets), -(-len(targets) // BLOCK))
    ]
    logit, share, own, valid = (np.concatenate([part[i] for part in parts]) for i in range(4))
    best = alone = -1.0
    chosen, own_repeat = _NO_CHOICE, 0.0
    for floor in _FLOORS:
        by_counts = np.log1p(share / floor)
        for weight in _WEIGHTS:
            together = np.where(valid, logit + weight * by_counts, -np.inf)
            for repeat in repeats:
                scores = together + repeat * own
                wanted = scores[:, :1]  # the target comes first
                ranks = (scores > wanted).sum(axis=1) + ((scores == wanted).sum(axis=1) + 1) / 2
                recall = float((ranks <= 20).mean())
                mrr = float(np.where(ranks <= 20, 1 / ranks, 0.0).mean())
                if recall + mrr > best:
                    best, chosen = recall + mrr, _Choice(weight, floor, repeat, (len(targets), recall, mrr))
                if weight == 0 and recall + mrr > alone:
                    alone, own_repeat = recall + mrr, repeat
    return chosen, own_repeat


def _candidates(
    model: NextItemModel, counts: NextItemCounts, asked: Sequences, targets: NDArray[np.int32]
) -> tuple[NDArray[np.float32], ...]:
    """(logit, share of the counts, in the session, valid), (n, width) each: of each query's target first, of its own
    items, and of the best of either scorer."""
    n = len(asked)
    logits, shares = model.score(asked), counts.score(asked).toarray()
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.float32(1e-30))
    own = np.zeros(logits.shape, dtype=bool)
    row, item, _ = model._encoder.repeats(asked)
    own[row, item] = True
    width = min(_BEST, logits.shape[1])
    chosen = own.copy()
    for scores in (logits, shares):
        np.put_along_axis(chosen, np.argpartition(scores, logits.shape[1] - width, axis=1)[:, -width:], True, axis=1)
    chosen[np.arange(n), targets] = False
    row, column = np.nonzero(chosen)
    place = 1 + np.arange(len(row)) - np.searchsorted(row, row)
    found = np.zeros((3, n, 1 + 2 * width + len(model.step_weights_)), dtype=np.float32)
    valid = np.zeros(found.shape[1:], dtype=bool)
    valid[row, place] = valid[:, 0] = True
    for target, scores in zip(found, (logits, shares, own)):
        target[row, place] = scores[row, column]
        target[:, 0] = scores[np.arange(n), targets]
    return (*found, valid)
