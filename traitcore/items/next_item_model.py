# mypy: allow-untyped-calls
"""Item vectors learned for retrieval: the next item of a session is found by one inner product with its query."""

from __future__ import annotations

import logging
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._kernels import ranks as kernels
from .._parallel import even_blocks, run_blocks
from .._params import ParamsMixin
from .._progress import Progress
from .._validate import Checks
from ..events.sequences import Sequences
from .cooccurrence import check_n_items
from .next_item import Contribution
from .next_item_encoder import SessionEncoder
from .next_item_live import LiveSearch, read_only
from .next_item_queries import asked_sessions, held_out_queries, latest_held_out
from .next_item_ranking import BLOCK, check_targets, dense_ranks, may_list, merge_lists
from .next_item_training import age_weights, batch_size, falling_order, restore, watched_queries

# The defaults were chosen on the last 4,000 next items of the training sessions of Diginetica and RetailRocket, by
# Recall@20 / MRR@20 with the best bonus of repeats. Epochs 3 and 5: 55.6 / 20.1 and 56.4 / 20.2; 60.3 / 34.1 and
# 60.5 / 34.1. With 3 epochs: scale 16 54.6 / 19.9; scale 10 and alpha .2 55.6 / 20.0 and 59.9 / 34.1; alpha .05 54.9 /
# 20.0; 128 components 55.9 / 20.1 in 1.7 times the time. Other sets were not looked at.
_LOWEST_ALPHA = 0.02  # share of alpha to which the learning rate falls
_DECAY = 0.6  # the weights of a session's items start at this power of the steps back; they are learned
_FINISH = 0.25  # of alpha, for one pass over sessions that were held out to choose by
# What may be added to the learned bonus of a session's own items. Training meets its sessions several times and grows
# too sure of their targets, so that repeats seem rarer than they are in new sessions.
BONUSES = (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 9.0)
_LOG = logging.getLogger("traitcore")


class NextItemModel(ParamsMixin):
    """Next items by vectors: a session's query is a weighted sum of its items' vectors.

    The query of a session is `scale` times the unit vector along the sum of step_weights_[k] * (vector of the item k
    steps back). The score of an item is query . vector + bias, and repeat_bonus_[k] more where the session has it, k
    steps back at its latest. All of them are learned, by a sampled softmax over the next item: `queries` and
    `search_vectors` are for any index that searches by inner product.

    Parameters
    ----------
    vector_size : d. window : latest items of a session that count.
    negative : items drawn as negatives, shared by a batch (96 next items; as few as 12 where there are few sessions);
        n_items or more: all of them, the full softmax.
    ns_exponent : negatives are drawn by count**ns_exponent; what this changes in the loss is corrected.
    scale : length of a query, the inverse temperature of the softmax.
    repeat : added to the learned bonus of what the session has already. None: chosen to rank the next items of the
        latest sessions best (Recall@20 + MRR@20; at most a twentieth of the sessions), which are learned last.
    alpha : learning rate, which falls to a fiftieth. epochs : passes over the sessions.
    age_scale : > 0 or None; a session weighs exp(-age / age_scale), age the share of the sessions that are newer, so
        the sessions must be in order of time, the oldest first (as they must for `repeat` None). None: all alike.
    workers : threads, -1 for all cores; results are the same to the byte for any number. seed : of the start, the order
        of the examples and the negatives.

    Attributes
    ----------
    vectors_ : (n_items, d) float32 of length 1; zero for items that the training never met.
    biases_ : (n_items,) float32. step_weights_, repeat_bonus_ : (window,) float32, by steps back; the bonus holds
        `repeat`.
    n_items_ : rows. counts_ : (n_items,) int64, occurrences so far.
    loss_ : mean loss of each epoch. held_out_recall_ : Recall@20 after each, where `fit` got `held_out`.

    See Also
    --------
    NextItemCounts : by counts, without vectors. NextItemBlend : both. Item2Vec : vectors of what goes together.

    References
    ----------
    Gupta et al. 2019, "NISER: Normalized item and session representations to handle popularity bias" (unit vectors and
    scale); Bengio & Senecal 2008, "Adaptive importance sampling to accelerate training of a neural probabilistic
    language model" (corrected negatives); Duchi et al. 2011, "Adaptive subgradient methods".

    Examples
    --------
    >>> import traitcore as tc
    >>> sessions = tc.Sequences.from_lists([[0, 1, 2], [3, 4, 5]] * 50)
    >>> model = tc.NextItemModel(vector_size=8, epochs=20).fit(sessions)
    >>> items, scores = model.recommend([0, 1], k=1)
    >>> items.tolist()
    [2]
    >>> rows, _ = tc.top_k(model.queries([3, 4])[None], model.search_vectors(), 3, metric="dot")  # or any index
    >>> sorted(rows[0].tolist())
    [3, 4, 5]
    """

    vectors_: NDArray[np.float32]
    biases_: NDArray[np.float32]
    step_weights_: NDArray[np.float32]
    repeat_bonus_: NDArray[np.float32]
    counts_: NDArray[np.int64]
    n_items_: int
    loss_: tuple[float, ...]
    held_out_recall_: tuple[float, ...]
    _live: LiveSearch | None = None

    def __init__(
        self,
        *,
        vector_size: int = 64,
        window: int = 20,
        negative: int = 512,
        ns_exponent: float = 0.75,
        scale: float = 12.0,
        repeat: float | None = None,
        alpha: float = 0.1,
        epochs: int = 5,
        age_scale: float | None = None,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.scale = scale
        self.repeat = repeat
        self.alpha = alpha
        self.epochs = epochs
        self.age_scale = age_scale
        self.workers = workers
        self.seed = seed

    def fit(
        self,
        sequences: Sequences,
        *,
        n_items: int | None = None,
        held_out: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from sessions; what was learned before is forgotten.

        n_items : rows of the vectors; by default one past the largest token.
        held_out : sessions whose next items are ranked after each epoch (2,000 prefixes of them); they teach nothing.

        Ctrl-C raises KeyboardInterrupt within a second and leaves the vectors as they were (with `held_out`, as they
        were after the last whole epoch; once `repeat` is being chosen, as the older sessions taught them).

        Raises
        ------
        TypeError, ValueError : a parameter of the wrong type or value, a token >= n_items, no session of two items or
            more, a training that diverged.
        """
        check = Checks(type(self).__name__)
        self._settings()
        size = self._size(sequences, n_items, check)
        older, latest = (sequences, None) if self.repeat is not None else latest_held_out(sequences)
        self._shift = 0.0 if self.repeat is None else float(self.repeat)
        self._train(older, np.zeros(size, dtype=np.int64), {}, self.epochs, self.alpha, held_out, progress)
        if latest is not None:
            self._lift_repeats(self._choose_repeat(latest))
            self._finish(latest)
        return self

    def _lift_repeats(self, shift: float) -> None:
        self._shift += shift
        self.repeat_bonus_ = self.repeat_bonus_ + np.float32(shift)

    @classmethod
    def from_arrays(
        cls, vectors: Any, biases: Any, step_weights: Any, repeat_bonus: Any, *, scale: float
    ) -> Self:
        """A model that ranks by what another one learned, e.g. of a published table; it can't be trained on.

        vectors : (n_items, d). biases : (n_items,). step_weights, repeat_bonus : (window,), all numbers; window >= 1.
        scale : > 0, the length of a query.

        Raises
        ------
        TypeError, ValueError : an array of the wrong shape or kind, or one that isn't finite.
        """
        check = Checks(f"{cls.__name__}.from_arrays")
        rows = check.array("vectors", vectors, dtype=np.float32, shape=(None, None))
        weights = check.array("step_weights", step_weights, dtype=np.float32, shape=(None,))
        if not len(weights):
            raise check.value_error("step_weights", "of one weight or more", "none")
        model = cls(vector_size=rows.shape[1], window=len(weights), scale=scale)
        model.vectors_, model.n_items_, model.step_weights_ = rows, len(rows), weights
        model.biases_ = check.array("biases", biases, dtype=np.float32, shape=(len(rows),))
        model.repeat_bonus_ = check.array("repeat_bonus", repeat_bonus, dtype=np.float32, shape=weights.shape)
        check.real("scale", scale, 0.0, open_low=True)
        return model

    def _choose_repeat(self, latest: Sequences) -> float:
        """What to add to the bonus of a session's own items, by the next items of sessions not learned yet."""
        asked, targets = held_out_queries(latest)
        ranks = np.empty((len(targets), len(BONUSES)), dtype=np.float64)

        def part(start: int, stop: int) -> None:
            some = asked.take(np.arange(start, stop))
            scores = self.score(some)
            row, item, _ = self._encoder.repeats(some)
            for b, bonus in enumerate(BONUSES):
                scores[row, item] += np.float32(bonus - (BONUSES[b - 1] if b else 0.0))
                above, equal = (np.empty(stop - start, dtype=np.int64) for _ in range(2))
                kernels.count_above(0, stop - start, scores, targets[start:stop], above, equal)
                ranks[start:stop, b] = above + (equal + 1) / 2

        workers = Checks(type(self).__name__).workers(self.workers)
        run_blocks(part, even_blocks(len(targets), -(-len(targets) // BLOCK)), workers)
        return BONUSES[int(np.where(ranks <= 20, 1 + 1 / ranks, 0.0).mean(axis=0).argmax())]

    def _finish(self, latest: Sequences) -> None:
        """One pass over sessions that were held out, with all else as it is."""
        kept = self.loss_, self.held_out_recall_
        if (np.diff(latest.offsets) > 1).any():
            self._train(latest, self.counts_, self._state(), 1, _FINISH * self.alpha, None, None)
        self.loss_, self.held_out_recall_ = kept

    def partial_fit(
        self,
        sequences: Sequences,
        *,
        n_items: int | None = None,
        epochs: int = 1,
        progress: Progress | None = None,
    ) -> Self:
        """Go on from what was learned, with more sessions, at half the learning rate; new items may come.

        The first call is a `fit`. `epochs` : passes over the new sessions.

        Raises
        ------
        TypeError, ValueError : as `fit`; a model made by `from_arrays`; a `vector_size` other than the fit's.
        """
        if not hasattr(self, "vectors_"):
            return self.fit(sequences, n_items=n_items, progress=progress)
        check = Checks(f"{type(self).__name__}.partial_fit")
        if not hasattr(self, "_squares"):
            raise ValueError("A NextItemModel made by from_arrays can't be trained on: fit one.")
        self._settings()
        epochs = check.integer("epochs", epochs, 1)
        check.integer("vector_size", self.vector_size, self.vectors_.shape[1], self.vectors_.shape[1])
        size = max(self.n_items_, self._size(sequences, n_items, check))
        counts = np.zeros(size, dtype=np.int64)
        counts[: self.n_items_] = self.counts_
        self._train(sequences, counts, self._state(), epochs, 0.5 * self.alpha, None, progress)
        return self

    def queries(self, sessions: Any) -> NDArray[np.float32]:
        """(n_sessions, d + 1) float32 queries for `search_vectors`, or (d + 1,) for one session; the last entry is 1.
        """
        sequences, single = self._sessions(sessions)
        found = np.ones((len(sequences), self.vectors_.shape[1] + 1), dtype=np.float32)
        found[:, :-1] = self._encoder.queries(sequences)
        return found[0] if single else found

    def search_vectors(self) -> NDArray[np.float32]:
        """(n_items, d + 1) float32: the vectors, and the bias as one more column."""
        self._check_fitted("vectors_")
        return np.column_stack((self.vectors_, self.biases_))

    def score(self, sessions: Any) -> NDArray[np.float32]:
        """Scores of every item: (n_sessions, n_items) float32. They are logits: their softmax is a probability."""
        sequences, _ = self._sessions(sessions)
        scores = self._encoder.queries(sequences) @ self.vectors_.T
        scores += self.biases_
        row, item, bonus = self._encoder.repeats(sequences)
        scores[row, item] += bonus
        return np.asarray(scores)

    def rank(self, sessions: Any, targets: Any) -> NDArray[np.float64]:
        """Rank of each session's target among all n_items_ items, from 1; tied items share the mean of their ranks."""
        check = Checks(f"{type(self).__name__}.rank")
        sequences, _ = self._sessions(sessions)
        wanted = check_targets(check, targets, len(sequences), self.n_items_)
        return dense_ranks(self.score, sequences, wanted, check.workers(self.workers))

    def recommend(
        self, sessions: Any, *, k: int = 20, exclude_seen: bool = False, allowed: Any = None, exclude: Any = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k best next items and their scores, best first (of equals the smaller item), found exactly.

        Parameters
        ----------
        sessions : a Sequences, or one session as a 1-D array or list of items, oldest first. An empty one gets what
            comes next most often.
        exclude_seen : leave out what the session has already.
        allowed, exclude : rows of items, or (n_items,) bool masks: only allowed ones are listed, excluded ones never.

        Returns
        -------
        items int32 and scores float32: (n_sessions, k), or (k,) for one session; -1 and NaN where fewer may be listed.
        """
        self._check_fitted("vectors_")
        check = Checks(f"{type(self).__name__}.recommend")
        alone = None if isinstance(sessions, Sequences) else self._session(sessions)
        count = check.integer("k", k, 1)
        skip = check.boolean("exclude_seen", exclude_seen)
        bias = self.biases_
        if allowed is not None or exclude is not None:
            bias = np.where(may_list(check, self.n_items_, allowed, exclude), bias, np.float32(-np.inf))
        if alone is not None:
            return self._live_search().best(self._encoder, alone, count, bias, skip)
        return self._search(self._sessions(sessions)[0], count, bias, skip, check.workers(self.workers))

    def explain(self, session: Any, item: int) -> list[Contribution]:
        """What each event of one session adds to query . vector of `item`, the largest first.

        They sum to the score less the item's bias and repeat bonus; an event that speaks against it is negative.
        """
        check = Checks(f"{type(self).__name__}.explain")
        sequences, _ = self._sessions(session)
        if len(sequences) != 1:
            raise check.value_error("session", "one session", f"{len(sequences)} of them")
        wanted = check.integer("item", item, 0, self.n_items_ - 1)
        return self._encoder.contributions(sequences[0], wanted)

    # -- training ------------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        """The parameters, checked, as the native model takes them."""
        check = Checks(type(self).__name__)
        check.integer("epochs", self.epochs, 1)
        check.workers(self.workers)
        if self.repeat is not None:
            check.real("repeat", self.repeat, -100.0, 100.0)
        if self.age_scale is not None:
            check.real("age_scale", self.age_scale, 0.0, open_low=True)
        return {
            "vector_size": check.integer("vector_size", self.vector_size, 1),
            "window": check.integer("window", self.window, 1, 1000),
            "negative": check.integer("negative", self.negative, 1),
            "ns_exponent": check.real("ns_exponent", self.ns_exponent, 0.0, 2.0),
            "scale": check.real("scale", self.scale, 0.0, 30.0, open_low=True),
            "alpha": check.real("alpha", self.alpha, 0.0, open_low=True),
            "seed": check.seed("seed", self.seed),
        }

    @staticmethod
    def _size(sequences: Any, n_items: Any, check: Checks) -> int:
        if not isinstance(sequences, Sequences):
            raise check.type_error("sequences", "a Sequences", sequences)
        size = check_n_items(sequences, n_items, check)
        if not (np.diff(sequences.offsets) > 1).any():
            raise check.value_error("sequences", "with at least one session of two items or more", repr(sequences))
        return size

    def _train(
        self, sequences: Sequences, before: NDArray[np.int64], state: dict[str, NDArray[np.float32]], epochs: int,
        alpha: float, held_out: Sequences | None, progress: Progress | None,
    ) -> None:
        size, workers = len(before), Checks(type(self).__name__).workers(self.workers)
        counts = before + sequences.token_counts(size)
        order = falling_order(sequences, counts)
        place = np.empty(size, dtype=np.int32)
        place[order] = np.arange(size, dtype=np.int32)
        settings = self._settings() | {"alpha": alpha, "min_alpha": alpha * _LOWEST_ALPHA}
        model = _core.NextItemModel(counts=counts[order], batch=batch_size(sequences), decay=_DECAY, **settings)
        restore(model, state, order, before)
        tokens, weights = place[sequences.tokens], age_weights(len(sequences), self.age_scale)
        losses, recalls = [], []
        watched = None if held_out is None else watched_queries(held_out, size)
        for epoch in range(epochs):
            def tell(share: float, epoch: int = epoch) -> None:
                if progress is not None:
                    progress("next-item model", epoch + share, epochs)

            loss, mass, _, error = model.train(
                tokens=tokens, offsets=sequences.offsets, weights=weights, epoch=epoch, schedule_start=epoch / epochs,
                schedule_stop=(epoch + 1) / epochs, workers=workers, update=True,
                progress=None if progress is None else tell,
            )
            if error is not None:
                raise error
            tell(1.0)
            losses.append(loss / mass if mass else float("nan"))
            if mass and not -0.01 <= losses[-1] <= 4 * self.scale + np.log(size):
                raise ValueError(
                    f"Next-item training diverged: the loss is {losses[-1]:.3g} in epoch {epoch + 1}, where chance is "
                    f"{np.log(size):.3g}. A smaller 'alpha' than {self.alpha:g} is needed."
                )
            if watched is not None:
                self._keep(model, order, counts)
                recalls.append(float((dense_ranks(self.score, *watched, workers) <= 20).mean()))
            _LOG.info("next-item model: epoch %d, loss %.4f, held-out Recall@20 %s", epoch + 1, losses[-1], recalls)
        self._keep(model, order, counts)
        self.loss_, self.held_out_recall_ = tuple(losses), tuple(recalls)

    def _keep(self, model: Any, order: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Copies of what the native model has learned, rows as the caller numbers them."""
        size = len(order)
        self.vectors_ = np.empty((size, self.vector_size), dtype=np.float32)
        self.vectors_[order] = model.item_vectors()
        self._squares, self._bias_squares, self.biases_ = (np.empty(size, dtype=np.float32) for _ in range(3))
        self.biases_[order] = model.biases()
        self._squares[order], self._bias_squares[order] = model.squares(), model.bias_squares()
        self.step_weights_, self._repeats_learned = model.steps().copy(), model.repeats().copy()
        self.repeat_bonus_ = self._repeats_learned + np.float32(self._shift)
        self._step_squares, self._repeat_squares = model.step_squares().copy(), model.repeat_squares().copy()
        unmet = counts == 0
        self.vectors_[unmet] = 0.0
        if unmet.any():
            self.biases_[unmet] = self.biases_[counts == counts[~unmet].min()].mean()
        self.counts_, self.n_items_ = counts, size

    def _state(self) -> dict[str, NDArray[np.float32]]:
        return {
            "item_vectors": self.vectors_, "biases": self.biases_, "squares": self._squares,
            "bias_squares": self._bias_squares, "steps": self.step_weights_, "repeats": self._repeats_learned,
            "step_squares": self._step_squares, "repeat_squares": self._repeat_squares,
        }

    # -- ranking -------------------------------------------------------------------------------------------------------

    @property
    def _encoder(self) -> SessionEncoder:
        return SessionEncoder(self.vectors_, self.step_weights_, self.repeat_bonus_, self.scale)

    def _search(
        self, sequences: Sequences, k: int, bias: NDArray[np.float32], skip: bool, workers: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best of the other items by the native search, merged with the session's own."""
        m, queries = len(sequences), self._encoder.queries(sequences)
        row, item, bonus = self._encoder.repeats(sequences)
        if skip:  # also what lies before the window
            row, item = np.repeat(np.arange(m), np.diff(sequences.offsets)), sequences.tokens
            order = np.lexsort((item, row))
            row, item = row[order], item[order]
        first = np.searchsorted(row, np.arange(m + 1)).astype(np.int64)
        rows, scores = np.empty((m, k), dtype=np.int64), np.empty((m, k), dtype=np.float32)
        few = m < 16 * workers
        ones = np.ones(self.n_items_, dtype=np.float32)

        def search(start: int, stop: int) -> None:
            _core.search_top_k(
                queries, start, stop, self.vectors_, 0, self.n_items_, ones, bias, first, item.astype(np.int64), rows,
                scores, workers if few else 1, False,
            )

        run_blocks(search, [(0, m)] if few else even_blocks(m, -(-m // BLOCK)), workers)
        if not skip:
            own = np.einsum("ij,ij->i", queries[row], self.vectors_[item]) + bias[item] + bonus
            merge_lists(rows, scores, row, item, own)
        return rows.astype(np.int32), scores

    def _live_search(self) -> LiveSearch:
        live = self._live
        if live is None or not live.still_of(self.vectors_):
            self.vectors_ = read_only(self.vectors_)
            live = self._live = LiveSearch(self.vectors_)
        return live

    def _session(self, session: Any) -> NDArray[np.int32]:
        """Items of a single session; `_sessions` says what is wrong."""
        tokens = Checks(type(self).__name__).array("sessions", session, dtype=np.int32, shape=(None,))
        if len(tokens) and int(tokens.view(np.uint32).max()) >= self.n_items_:
            self._sessions(tokens)
        return tokens

    def _sessions(self, sessions: Any) -> tuple[Sequences, bool]:
        """The sessions, and whether it was a single one."""
        self._check_fitted("vectors_")
        return asked_sessions(Checks(type(self).__name__), sessions, self.n_items_)
