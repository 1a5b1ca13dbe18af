# mypy: allow-untyped-calls
"""The next item of a session from weighted co-occurrence counts alone: no vectors, and every score can be explained."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._kernels import next_item as kernels
from .._parallel import even_blocks, priced_blocks, run_blocks
from .._params import ParamsMixin
from .._progress import Progress
from .._validate import Checks
from ..events.sequences import Sequences
from .cooccurrence import check_n_items, weighted_counts
from .count_parts import csr_of
from .next_item_queries import asked_sessions, held_out_queries, latest_held_out
from .next_item_ranking import check_targets

PRESETS: dict[str, dict[str, Any]] = {
    # Found by a search on the last 6% of Diginetica's training sessions; RetailRocket agrees with it.
    "next_click": {
        "window": 50, "length_power": 0.25, "distance_power": 0.85, "age_scale": 0.7, "backward": 0.6,
        "count_power": 0.6, "column_power": 0.2, "row_power": 0.4, "decay": None, "repeat": None,
    },
    # What "bought together" systems count: every pair of a session alike.
    "plain": {
        "window": 50, "length_power": 0.0, "distance_power": 0.0, "age_scale": 1e9, "backward": 1.0,
        "count_power": 1.0, "column_power": 0.0, "row_power": 0.0, "decay": 1.0, "repeat": 1.0,
    },
}


# How a session's items weigh and repeat differs most between shops: both are chosen on the latest sessions, from these.
# Where those have too few next items to tell, the values that suit Diginetica and RetailRocket are taken.
DECAYS, DECAY = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), 0.6
REPEATS, REPEAT = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0, 40.0, 100.0, 300.0), 6.0

# Entries of the matrix that a block of sessions or rows reads: some tenths of a second.
_PRICE = 1 << 24


class Contribution(NamedTuple):
    """What one event of a session adds to an item's score."""

    position: int
    item: int
    score: float


class NextItemCounts(ParamsMixin):
    """Next items by the sum of the session's rows of a weighted, normalised count matrix.

    A pair of items o places apart in a training session of L items counts L**-length_power * o**-distance_power *
    exp(-age / age_scale), times `backward` for what came before; age is the share of the training sessions that are
    newer. The sums, to the power `count_power`, are divided by their column's sum to the power `column_power`, then
    by their row's to the power `row_power`. A session's score of an item is the sum over the session of decay**k
    times the entry of the item k steps back; an item that the session has already gets it times `repeat`.

    Parameters
    ----------
    window : largest distance in places.
    length_power, distance_power, count_power, column_power, row_power : powers >= 0 (count_power > 0).
    age_scale : > 0, in shares of the training sessions.
    backward : weight >= 0 of what came before.
    decay : in (0, 1], per step back. repeat : >= 0; 0 leaves out what the session has. None: chosen by `fit`, the one
        with the best Recall@20 + MRR@20 on the latest sessions (at most a twentieth) when the others are counted.
    workers : threads, -1 for all cores; results are the same for any number.

    The defaults are the preset "next_click" (see `preset`).

    Attributes
    ----------
    scores_ : (n_items, n_items) CSR float32, row: item in the session, column: next item. Read-only.
    n_items_ : rows of it. decay_, repeat_ : as given or chosen.

    See Also
    --------
    NextItemModel : by vectors. NextItemBlend : both. next_items : next items from vectors or from any count matrix.
    evaluate_retrieval : measures such rankings.

    References
    ----------
    Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms", section 4.1 (normalised counts).
    Ludewig & Jannach 2018, "Evaluation of session-based recommendation algorithms" (decay and recency).

    Examples
    --------
    >>> import traitcore as tc
    >>> sessions = tc.Sequences.from_lists([[0, 1, 2], [0, 1, 3], [3, 0, 1]])
    >>> model = tc.NextItemCounts().fit(sessions)
    >>> items, scores = model.recommend([3, 0], k=1, exclude_seen=True)
    >>> items.tolist()
    [1]
    >>> [(reason.item, round(reason.score, 1)) for reason in model.explain([3, 0], item=1)]
    [(0, 0.8), (3, 0.3)]
    """

    scores_: sparse.csr_array
    n_items_: int
    decay_: float
    repeat_: float

    def __init__(
        self,
        *,
        window: int = 50,
        length_power: float = 0.25,
        distance_power: float = 0.85,
        age_scale: float = 0.7,
        backward: float = 0.6,
        count_power: float = 0.6,
        column_power: float = 0.2,
        row_power: float = 0.4,
        decay: float | None = None,
        repeat: float | None = None,
        workers: int = 1,
    ) -> None:
        self.window = window
        self.length_power = length_power
        self.distance_power = distance_power
        self.age_scale = age_scale
        self.backward = backward
        self.count_power = count_power
        self.column_power = column_power
        self.row_power = row_power
        self.decay = decay
        self.repeat = repeat
        self.workers = workers

    @classmethod
    def preset(cls, name: str, **params: Any) -> Self:
        """Parameters for a purpose, others as given: 'next_click' ranks what comes next in a shop session; 'plain'
        counts all pairs of a session alike, for comparison."""
        Checks("NextItemCounts.preset").choice("name", name, tuple(PRESETS))
        return cls(**(PRESETS[name] | params))

    def fit(self, sequences: Sequences, *, n_items: int | None = None, progress: Progress | None = None) -> Self:
        """Count the training sessions, which are in order of time, the oldest first (their age is by that order).

        Raises
        ------
        TypeError, ValueError : a parameter of the wrong type or value, a token >= n_items.
        """
        check = Checks(type(self).__name__)
        if not isinstance(sequences, Sequences):
            raise check.type_error("sequences", "a Sequences", sequences)
        size = check_n_items(sequences, n_items, check)
        self._given(check)
        if self.decay is None or self.repeat is None:
            decay, repeat = self._choose(sequences, size)
        self.scores_, self.n_items_ = self._count(sequences, size, progress), size
        self.decay_ = decay if self.decay is None else self.decay
        self.repeat_ = repeat if self.repeat is None else self.repeat
        self._trust()
        return self

    def _count(self, sequences: Sequences, size: int, progress: Progress | None) -> sparse.csr_array:
        """The weighted, normalised counts."""
        check = Checks(type(self).__name__)
        window = check.integer("window", self.window, 1)
        powers = {
            name: check.real(name, getattr(self, name), 0.0, open_low=name == "count_power")
            for name in ("length_power", "distance_power", "count_power", "column_power", "row_power")
        }
        age_scale = check.real("age_scale", self.age_scale, 0.0, open_low=True)
        backward = check.real("backward", self.backward, 0.0)
        workers = check.workers(self.workers)
        lengths = np.diff(sequences.offsets)
        reach = min(window, max(1, int(lengths.max(initial=1)) - 1))
        ahead = np.arange(1, reach + 1, dtype=np.float64) ** -powers["distance_power"]
        n = len(sequences)
        age = np.arange(n - 1, -1, -1) / max(1, n)
        weights = np.maximum(lengths, 1) ** -powers["length_power"] * np.exp(-age / age_scale)
        back = backward * ahead if backward > 0 else np.zeros(0)
        counts = weighted_counts(
            sequences, n_items=size, back=back, ahead=ahead, sequence_weights=weights, workers=workers,
            progress=progress,
        )
        matrix, sums = (counts.indptr, counts.indices, counts.data), np.zeros(size)
        blocks = priced_blocks(counts.indptr, workers, _PRICE)
        run_blocks(kernels.raise_counts, blocks, 1, *matrix, powers["count_power"], sums)
        run_blocks(
            kernels.scale_counts, blocks, workers, *matrix, powers["column_power"], powers["row_power"], sums
        )
        if not np.isfinite(counts.data).all():
            worst = max(powers, key=lambda name: powers[name])
            raise check.value_error(worst, "small enough to leave finite scores", powers[worst])
        return counts

    def _choose(self, sequences: Sequences, size: int) -> tuple[float, float]:
        """(decay, repeat) that rank the next items of the last sessions best, by the counts of the others."""
        decays = DECAYS if self.decay is None else (float(self.decay),)
        repeats = REPEATS if self.repeat is None else (float(self.repeat),)
        older, latest = latest_held_out(sequences)
        if latest is None:
            return DECAY, REPEAT
        asked, targets = held_out_queries(latest)
        counts = self._count(older, size, None)
        best, found = -1.0, (DECAY, REPEAT)
        for decay in decays:
            ranks = np.empty((len(targets), len(repeats)))

            def part(start: int, stop: int, decay: float = decay, ranks: NDArray[np.float64] = ranks) -> None:
                kernels.rank_targets_by_repeat(
                    start, stop, asked.tokens, asked.offsets, targets, counts.indptr, counts.indices, counts.data,
                    decay, np.array(repeats), np.zeros(size), np.empty(size + 1, dtype=np.int32), np.empty(size), ranks,
                )

            run_blocks(part, even_blocks(len(targets), 16), Checks(type(self).__name__).workers(self.workers))
            worth = np.where(ranks <= 20, 1 + 1 / ranks, 0.0).mean(axis=0)
            if worth.max() > best:
                best, found = float(worth.max()), (decay, repeats[int(worth.argmax())])
        return found

    def score(self, sessions: Any) -> sparse.csr_array:
        """Scores of every item for each session: (n_sessions, n_items) CSR float32; what isn't there scores 0."""
        sequences, _ = self._sessions(sessions)
        n = self.n_items_
        lengths = np.zeros(len(sequences), dtype=np.int64)

        def part(start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
            indices, data = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.float32)]
            words = (n + 63) // 64
            low, high = np.zeros(words, np.uint64), np.zeros((words + 63) // 64, np.uint64)
            out, values = np.empty(max(n, 1 << 20), np.int32), np.empty(max(n, 1 << 20), np.float32)
            while start < stop:
                start, used = kernels.write_scores(
                    start, stop, sequences.tokens, sequences.offsets, *self._matrix(), *self._scoring(),
                    *self._buffers(), low, high, lengths, out, values,
                )
                indices.append(out[:used].copy())
                data.append(values[:used].copy())
            return np.concatenate(indices), np.concatenate(data)

        parts = self._over(part, sequences)
        indptr = np.zeros(len(sequences) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        columns = np.concatenate([p[0] for p in parts]) if parts else np.zeros(0, np.int32)
        values = np.concatenate([p[1] for p in parts]) if parts else np.zeros(0, np.float32)
        return csr_of(values, columns, indptr, (len(sequences), n))

    def recommend(
        self, sessions: Any, *, k: int = 20, exclude_seen: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k best next items and their scores, best first (of equals the smaller item).

        Parameters
        ----------
        sessions : a Sequences, or one session as a 1-D array or list of items, oldest first.
        exclude_seen : leave out what the session has already.

        Returns
        -------
        items int32 and scores float32: (n_sessions, k), or (k,) for one session. Where fewer items score above 0, the
        rest is -1 with score NaN.
        """
        check = Checks(f"{type(self).__name__}.recommend")
        sequences, single = self._sessions(sessions)
        count = check.integer("k", k, 1)
        skip = check.boolean("exclude_seen", exclude_seen)
        items = np.full((len(sequences), count), -1, dtype=np.int32)
        scores = np.zeros((len(sequences), count), dtype=np.float32)

        def part(start: int, stop: int) -> None:
            kernels.best_items(
                start, stop, sequences.tokens, sequences.offsets, *self._matrix(), *self._scoring(), skip,
                *self._buffers(), items, scores,
            )

        self._over(part, sequences, count)
        scores[items < 0] = np.nan
        return (items[0], scores[0]) if single else (items, scores)

    def rank(self, sessions: Any, targets: Any) -> NDArray[np.float64]:
        """Rank of each session's target among all n_items_ items, from 1; tied items share the mean of their ranks.

        `targets` (n_sessions,) int. Most items score 0 in a session: the mean rank keeps them from winning ties.
        """
        check = Checks(f"{type(self).__name__}.rank")
        sequences, _ = self._sessions(sessions)
        wanted = check_targets(check, targets, len(sequences), self.n_items_)
        ranks = np.empty(len(sequences))

        def part(start: int, stop: int) -> None:
            kernels.rank_targets(
                start, stop, sequences.tokens, sequences.offsets, wanted, *self._matrix(), *self._scoring(),
                *self._buffers(), ranks,
            )

        self._over(part, sequences)
        return ranks

    def explain(self, session: Any, item: int) -> list[Contribution]:
        """What each event of one session adds to `item`'s score, the largest first; they sum to the score."""
        check = Checks(f"{type(self).__name__}.explain")
        sequences, _ = self._sessions(session)
        if len(sequences) != 1:
            raise check.value_error("session", "one session", f"{len(sequences)} of them")
        wanted = check.integer("item", item, 0, self.n_items_ - 1)
        decay, repeat = self._scoring()
        tokens = sequences[0]
        lift = repeat if wanted in tokens else 1.0
        row = self.scores_[tokens][:, [wanted]].toarray().ravel().astype(np.float64)
        parts = lift * decay ** np.arange(len(tokens) - 1, -1, -1) * row
        order = np.argsort(-parts, kind="stable")
        return [Contribution(int(p), int(tokens[p]), float(parts[p])) for p in order if parts[p] > 0]

    def _given(self, check: Checks) -> None:
        if self.decay is not None:
            check.real("decay", self.decay, 0.0, 1.0, open_low=True)
        if self.repeat is not None:
            check.real("repeat", self.repeat, 0.0)

    def _scoring(self) -> tuple[float, float]:
        """Decay and repeat as set now, else as chosen."""
        self._given(Checks(type(self).__name__))
        decay = self.decay_ if self.decay is None else self.decay
        return float(decay), float(self.repeat_ if self.repeat is None else self.repeat)

    def _trust(self) -> None:
        """Kernels read the scores where they lie: look at arrays that were changed, or can be, and close them."""
        arrays, known = self._matrix(), getattr(self, "_trusted", ())
        if len(known) and all(a is b and not a.flags.writeable for a, b in zip(arrays, known)):
            return
        shape = (self.n_items_, self.n_items_)
        scores = Checks(type(self).__name__).csr(
            "scores_", self.scores_, dtype=np.float32, shape=shape, nonnegative=True
        )
        if not scores.data.all():  # kernels list an item at its first score, which they know by a sum of 0 before
            scores = scores.copy()
            scores.eliminate_zeros()
        for array in (scores.indptr, scores.indices, scores.data):
            array.flags.writeable = False
        self.scores_ = scores
        self._trusted = self._matrix()

    def _matrix(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
        return self.scores_.indptr, self.scores_.indices, self.scores_.data

    def _buffers(self) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """A dense row of scores and the list of those in use, for one thread."""
        return np.zeros(self.n_items_), np.empty(self.n_items_ + 1, dtype=np.int32)

    def _over(self, part: Any, seqs: Sequences, n_listed: int = 0) -> list[Any]:
        """`part(start, stop)` over blocks of sessions, cut by the entries they read and the places they sort."""
        workers = Checks(type(self).__name__).workers(self.workers)
        entries = np.concatenate(([0], np.cumsum(np.diff(self.scores_.indptr)[seqs.tokens], dtype=np.int64)))
        cost = entries[seqs.offsets] + np.arange(len(seqs) + 1) * (1 + min(n_listed, self.n_items_) ** 2 // 4)
        return run_blocks(part, priced_blocks(cost, workers, _PRICE), workers)

    def _sessions(self, sessions: Any) -> tuple[Sequences, bool]:
        """The sessions, and whether it was a single one."""
        self._check_fitted("scores_")
        self._trust()
        return asked_sessions(Checks(type(self).__name__), sessions, self.n_items_)
