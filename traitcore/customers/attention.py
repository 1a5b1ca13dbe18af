# mypy: allow-untyped-calls
"""Attention pooling, learned: which of a customer's events predict what comes next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._kernels import attention as kernels
from .._parallel import even_blocks, priced_blocks, run_blocks, run_tasks
from .._params import ParamsMixin
from .._progress import Progress
from .._validate import Checks
from ..events.sequences import Sequences
from .pooling import (
    PRICE,
    OwnerRuns,
    check_tokens_covered,
    customer_vectors,
    inverse_document_frequencies,
    owner_document_frequencies,
)

_DAY_US = 86_400_000_000.0
_PART = PRICE  # multiplications for one customer between two chances to hear Ctrl-C
_GRAIN = 64  # examples in a block: cut by the work, never by the workers, so that sums have one order


class Examples(NamedTuple):
    """Each example's history, events [begin, end), and `targets` (n, n_targets), its next tokens, -1 for none."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[np.int64]

    def rows(self, which: NDArray[Any] | slice) -> Examples:
        return Examples(self.begins[which], self.ends[which], self.targets[which])


@dataclass(frozen=True, eq=False)
class _Histories:
    """Events in the order of owners: those of owner o are [edges[o], edges[o + 1]).

    begins : where sequences begin that don't begin a history. place : where each event lies in the corpus; None where
    the order is the same.
    """

    tokens: NDArray[np.int32]
    days: NDArray[np.float64]
    edges: NDArray[np.int64]
    begins: NDArray[np.int64]
    place: NDArray[np.int64] | None

    @classmethod
    def of(cls, sequences: Sequences) -> _Histories:
        runs = OwnerRuns.of(sequences)
        order = np.argsort(sequences.owners(), kind="stable")
        lengths = np.diff(sequences.offsets)[order]
        filled, owner = lengths > 0, sequences.owners()[order][lengths > 0]
        begins = (np.cumsum(lengths) - lengths)[filled][1:][owner[1:] == owner[:-1]]
        days = np.zeros(sequences.n_tokens)
        if sequences.timestamps_us is not None and sequences.n_tokens:
            days = (sequences.timestamps_us - sequences.timestamps_us.min()) / _DAY_US
        place = runs.places(sequences.n_owners)
        if place is None:
            return cls(sequences.tokens, days, runs.events, begins, None)
        return cls(sequences.tokens[place], days[place], runs.events, begins, place)


class AttentionPooling(ParamsMixin):
    """Weights of a customer's events by a linear scorer, trained to separate the customer's next tokens from noise.

    weight(e) = softmax over the customer's events of theta . (the token's vector, its action, log idf, age). Mean,
    tf-idf and recency pooling are special cases. Training starts from the one that does best on held-out customers and
    ends with the best found there, so that it does not lose where there is nothing to learn.

    Parameters
    ----------
    epochs, batch_size, learning_rate : of Adam (Kingma & Ba 2015). l2 : pull towards the start.
    horizon : "sequence": histories end where a sequence (session) ends, and the tokens to predict are the first of the
        next one; "event": they end anywhere.
    n_targets : next tokens to predict, looked for among the next 4 x n_targets events.
    negative : noise tokens per example, drawn from counts ** 0.75.
    max_examples : moments (a customer's history and what came next) to learn from. max_history : events looked back.
    validation_share : of customers, to choose start and end by Recall@20 of the next token.
    seed : of everything random. workers : threads; identical bytes for any number.

    Attributes
    ----------
    theta_ : (d + n_actions + 7,) float64: the scorer; `coefficients_` names its last entries but two, which scale
        and shift the products that it is trained by.
    weights_ : (n_tokens,) float64, how much an event of each token counts against the average event, age aside.
    coefficients_ : name -> number: action_0, ..., log_idf, events_since (x 0.05), log_events_since, months_since,
        log_days_since.
    start_ : the start chosen. validation_recall_ : Recall@20 of the result on the held-out customers, and
    start_recalls_ : of each start. history_ : mean loss per epoch.

    See Also
    --------
    customer_vectors : pools with these weights (`method="attention"`) or with fixed ones.

    Notes
    -----
    Yang et al. 2016 ("Hierarchical Attention Networks") weigh words likewise; negative sampling after Mikolov et al.
    2013. The vectors stay fixed.

    Examples
    --------
    >>> import numpy as np
    >>> import traitcore as tc
    >>> sequences = tc.Sequences.from_lists([[0, 3], [1], [2, 3], [3]] * 25, owner=np.repeat(np.arange(50), 2))
    >>> vectors = np.eye(4, dtype=np.float32)
    >>> model = tc.AttentionPooling(epochs=2).fit(sequences, vectors, vectors)
    >>> model.transform(sequences, vectors).shape
    (50, 4)
    >>> model.weights_.shape
    (4,)
    """

    def __init__(
        self,
        *,
        horizon: str = "sequence",
        epochs: int = 5,
        batch_size: int = 512,
        learning_rate: float = 0.05,
        l2: float = 1e-4,
        n_targets: int = 5,
        negative: int = 10,
        max_examples: int = 20_000,
        max_history: int = 200,
        validation_share: float = 0.2,
        seed: int = 0,
        workers: int = 1,
    ) -> None:
        self.horizon = horizon
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.l2 = l2
        self.n_targets = n_targets
        self.negative = negative
        self.max_examples = max_examples
        self.max_history = max_history
        self.validation_share = validation_share
        self.seed = seed
        self.workers = workers

    def fit(
        self,
        sequences: Sequences,
        item_vectors: ArrayLike,
        context_vectors: ArrayLike,
        *,
        token_action: ArrayLike | None = None,
        target_tokens: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn the scorer; returns self.

        Parameters
        ----------
        sequences : customers' tokens, in order; with `timestamps_us`, elapsed time is a feature too.
        item_vectors, context_vectors : (n_tokens, d) float32; a pooled item vector is matched with context vectors.
        token_action : (n_tokens,) int action of each token, -1 for none; None where tokens are items alone.
        target_tokens : (n_tokens,) bool, the tokens worth predicting, e.g. purchases; None: all. Noise is drawn from
            the same tokens.

        Raises
        ------
        ValueError, TypeError : a parameter out of range; no customer with two sequences (or events).
        """
        check = Checks("AttentionPooling")
        self._check_params(check)
        threads = check.workers(self.workers)
        vectors = check.array("item_vectors", item_vectors, dtype=np.float32, shape=(None, None))
        contexts = check.array("context_vectors", context_vectors, dtype=np.float32, shape=vectors.shape)
        check_tokens_covered(sequences, len(vectors), check)
        action = np.full(len(vectors), -1, dtype=np.int32)
        if token_action is not None:
            action = check.array("token_action", token_action, dtype=np.int32, shape=(len(vectors),), copy=True)
            if len(action) and action.min() < -1:
                raise check.value_error("token_action", "ints >= -1", action.min())
        df = owner_document_frequencies(sequences, len(vectors))
        self._width = vectors.shape[1]
        self._action, self._n_actions = action, int(action.max(initial=-1)) + 1
        self._log_idf = np.log(inverse_document_frequencies(df, sequences.n_owners).astype(np.float64))
        histories = _Histories.of(sequences)
        rng = np.random.default_rng(self.seed)
        wanted = _check_targets(target_tokens, len(vectors))
        learn, judge = self._examples(histories, wanted, rng)
        if not len(learn.begins):
            rule = f"of customers with two {self.horizon}s or more, and tokens to predict in the later ones"
            raise check.value_error("sequences", rule, sequences)
        noise = np.where(wanted, np.bincount(sequences.tokens, minlength=len(vectors)) ** 0.75, 0.0)
        self._train(histories, vectors, contexts, learn, judge, np.cumsum(noise), rng, threads, progress)
        self._explain(sequences, vectors)
        return self

    def event_weights(self, sequences: Sequences, item_vectors: ArrayLike, *, workers: int = 1) -> NDArray[np.float32]:
        """(n_events,) float32 weight of each event, those of a customer with mean 1, as of their newest event."""
        self._check_fitted("theta_")
        vectors = Checks("AttentionPooling").array("item_vectors", item_vectors, dtype=np.float32,
                              shape=(len(self._action), None))
        check_tokens_covered(sequences, len(vectors), Checks("AttentionPooling"))
        if vectors.shape[1] != self._width:
            rule = f"an array of {self._width} columns, as the scorer was fitted to"
            raise Checks("AttentionPooling").value_error("item_vectors", rule, f"{vectors.shape[1]} columns")
        if len(self.theta_) < self._width + self._n_actions + 5:
            raise Checks("AttentionPooling").value_error("theta_", "as `fit` made it", f"{len(self.theta_)} numbers")
        threads = Checks("AttentionPooling").workers(workers)
        histories = _Histories.of(sequences)
        weights = np.empty(sequences.n_tokens, dtype=np.float32)
        blocks = priced_blocks(histories.edges, threads, PRICE / (32 + vectors.shape[1]))
        features = (
            histories.tokens, histories.days, vectors, self._action, self._log_idf, self._n_actions, self.theta_
        )
        ended = threading.Event()
        run_tasks([partial(_weigh, a, b, histories.edges, features, weights, ended) for a, b in blocks], threads,
                  stop=ended)
        if histories.place is None:
            return weights
        out = np.empty_like(weights)
        out[histories.place] = weights
        return out

    def transform(self, sequences: Sequences, item_vectors: ArrayLike) -> NDArray[np.float32]:
        """(n_customers, d) float32: `customer_vectors(method="attention")` of these sequences."""
        return customer_vectors(
            sequences, item_vectors, method="attention", attention=self, workers=self.workers
        ).vectors

    def _check_params(self, check: Checks) -> None:
        check.choice("horizon", self.horizon, ("sequence", "event"))
        for name, low in (("epochs", 0), ("batch_size", 1), ("n_targets", 1), ("negative", 1),
                          ("max_examples", 2), ("max_history", 1)):
            check.integer(name, getattr(self, name), low)
        check.real("learning_rate", self.learning_rate, 0.0, open_low=True)
        check.real("l2", self.l2, 0.0)
        check.real("validation_share", self.validation_share, 0.0, 0.9, open_low=True)
        check.seed("seed", self.seed)

    def _examples(
        self, histories: _Histories, wanted: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Examples, Examples]:
        """Examples to train on and to validate on, of different customers."""
        lengths = np.diff(histories.edges)
        ends = histories.begins
        if self.horizon == "event":
            inside = np.ones(len(histories.tokens) + 1, dtype=bool)
            inside[histories.edges] = False
            ends = np.flatnonzero(inside)
        if len(ends) > self.max_examples:
            ends = np.sort(rng.permutation(ends)[: self.max_examples])
        whose = np.searchsorted(histories.edges, ends, side="right") - 1
        begins = np.maximum(histories.edges[whose], ends - self.max_history)
        after = ends[:, None] + np.arange(4 * self.n_targets)
        tokens = histories.tokens[np.minimum(after, len(histories.tokens) - 1)].astype(np.int64)
        fits = (after < histories.edges[whose + 1][:, None]) & wanted[tokens]
        # The first n_targets that fit, moved to the front.
        order = np.argsort(~fits, axis=1, kind="stable")[:, : self.n_targets]
        targets = np.where(np.take_along_axis(fits, order, 1), np.take_along_axis(tokens, order, 1), -1)
        useful = targets[:, 0] >= 0
        begins, ends, targets, whose = begins[useful], ends[useful], targets[useful], whose[useful]
        able = np.unique(whose)
        held = np.zeros(len(lengths), dtype=bool)
        drawn = rng.permutation(able)
        held[drawn[: int(np.ceil(self.validation_share * len(able)))]] = len(able) > 1
        judge = held[whose]
        examples = Examples(begins, ends, targets)
        return examples.rows(~judge), examples.rows(judge)

    def _starts(self, width: int) -> dict[str, NDArray[np.float64]]:
        """theta of the pooling methods that are special cases; a = 1 and b = 0 at the end."""
        starts = {}
        tail = width + self._n_actions
        for name, place, value in (
            ("mean", 0, 0.0), ("tfidf", tail, 1.0), ("recency 0.95", tail + 1, -1.03), ("recency 0.8", tail + 1, -4.46),
            ("recency 0.5", tail + 1, -13.86),
        ):
            theta = np.zeros(tail + 7)
            theta[place] = value
            theta[-2] = 1.0
            starts[name] = theta
        return starts

    def _train(
        self, histories: _Histories, vectors: NDArray[np.float32], contexts: NDArray[np.float32], learn: Examples,
        judge: Examples, noise: NDArray[np.float64], rng: np.random.Generator, threads: int, progress: Progress | None,
    ) -> None:
        args = (histories.tokens, histories.days, vectors, contexts, self._action, self._log_idf, self._n_actions)
        starts = self._starts(vectors.shape[1])
        judge = (judge if len(judge.begins) else learn).rows(slice(2000))
        self.start_recalls_ = {name: _recall(theta, judge, args) for name, theta in starts.items()}
        self.start_ = max(self.start_recalls_, key=lambda name: self.start_recalls_[name])
        start = starts[self.start_]
        theta, best, best_recall = start.copy(), start.copy(), self.start_recalls_[self.start_]
        first, second, step = np.zeros_like(theta), np.zeros_like(theta), 0
        self.history_ = []
        for epoch in range(self.epochs):
            order, losses = rng.permutation(len(learn.begins)), 0.0
            for begin in range(0, len(order), self.batch_size):
                rows = order[begin : begin + self.batch_size]
                draws = rng.random((len(rows), self.negative)) * noise[-1]
                negatives = np.minimum(np.searchsorted(noise, draws, side="right"), len(noise) - 1)
                loss, gradient = batch_gradient(theta, learn.rows(rows), negatives, args, threads)
                losses += loss
                gradient = gradient / len(rows) + self.l2 * (theta - start)
                step += 1
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient * gradient - second)
                move = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
                theta -= self.learning_rate * move
            self.history_.append(losses / len(order))
            recall = _recall(theta, judge, args)
            if recall > best_recall:
                best, best_recall = theta.copy(), recall
            if progress is not None:
                progress("attention", epoch + 1, self.epochs)
        self.theta_, self.validation_recall_ = best, best_recall

    def _explain(self, sequences: Sequences, vectors: NDArray[np.float32]) -> None:
        width, tail = vectors.shape[1], vectors.shape[1] + self._n_actions
        score = vectors.astype(np.float64) @ self.theta_[:width] + self.theta_[tail] * self._log_idf
        known = self._action >= 0
        score[known] += self.theta_[width + self._action[known]]
        counts = np.bincount(sequences.tokens, minlength=len(vectors))
        shifted = np.exp(score - score[counts > 0].max())
        self.weights_ = shifted / np.average(shifted, weights=counts)
        names = [f"action_{a}" for a in range(self._n_actions)]
        names += ["log_idf", "events_since", "log_events_since", "months_since", "log_days_since"]
        self.coefficients_ = dict(zip(names, self.theta_[width : tail + 5].tolist()))


def _weigh(
    start: int, stop: int, edges: NDArray[np.int64], features: tuple[Any, ...], out: NDArray[np.float32],
    ended: threading.Event,
) -> None:
    """`owner_weights`; a customer of very many events in parts, until `ended` is set: the same bytes."""
    owner_weights: Any = kernels.owner_weights
    score_events: Any = kernels.score_events
    begin, end = int(edges[start]), int(edges[stop])
    size = max(1, _PART // (32 + features[2].shape[1]))
    if stop - start > 1 or end - begin <= size:
        owner_weights(start, stop, edges, *features, out)
        return
    scores = np.empty(end - begin)
    parts = [slice(a, min(a + size, end - begin)) for a in range(0, end - begin, size)]

    def going_on() -> Iterator[slice]:
        return takewhile(lambda _: not ended.is_set(), parts)

    for part in going_on():
        score_events(begin + part.start, begin + part.stop, end - 1, *features, scores[part])
    highest = max((float(scores[part].max()) for part in going_on()), default=0.0)
    total = 0.0
    for part in going_on():
        total = kernels.exponentials(scores[part], highest, total)
    for part in going_on():
        out[begin + part.start : begin + part.stop] = scores[part] / total * (end - begin)


def _check_targets(target_tokens: ArrayLike | None, n_tokens: int) -> NDArray[np.bool_]:
    """(n_tokens,) bool; all of them for None."""
    if target_tokens is None:
        return np.ones(n_tokens, dtype=bool)
    wanted = Checks("AttentionPooling").plain("target_tokens", target_tokens)
    if wanted.dtype != np.bool_ or wanted.shape != (n_tokens,):
        rule = f"an array of shape ({n_tokens},) and dtype bool"
        raise Checks("AttentionPooling").type_error("target_tokens", rule, f"{wanted.dtype} {wanted.shape}")
    return wanted


def batch_gradient(
    theta: NDArray[np.float64], examples: Examples, negatives: NDArray[np.int64], args: Any, threads: int = 1
) -> tuple[float, NDArray[np.float64]]:
    """Summed loss of the examples and its gradient; blocks are added up in order, whatever the threads."""
    begins, ends, targets = examples
    blocks = even_blocks(len(begins), max(1, -(-len(begins) // _GRAIN)))
    gradients = np.zeros((len(blocks), len(theta)))

    place = {start: i for i, (start, _) in enumerate(blocks)}

    def block(start: int, stop: int) -> float:
        row = gradients[place[start]]
        kernel: Any = kernels.attention_gradient
        return float(kernel(start, stop, begins, ends, targets, negatives, *args, theta, row))

    losses = run_blocks(block, blocks, threads)
    return float(np.sum(losses)), gradients.sum(axis=0)


def _recall(theta: NDArray[np.float64], examples: Examples, args: Any, k: int = 20) -> float:
    """Recall@k of the next tokens, ranked by pooled . context over all tokens; a tie takes its mean rank."""
    tokens, days, vectors, contexts, action, log_idf, n_actions = args
    scorer: Any = kernels.owner_weights
    begins, ends, targets = examples
    hits, n_asked = 0.0, 0
    for block in range(0, len(begins), 256):
        pooled = np.zeros((len(begins[block : block + 256]), vectors.shape[1]))
        for row, (begin, end) in enumerate(zip(begins[block : block + 256], ends[block : block + 256])):
            weights = np.empty(end - begin, dtype=np.float32)
            edges = np.array([0, end - begin])
            scorer(
                0, 1, edges, tokens[begin:end], days[begin:end], vectors, action, log_idf, n_actions, theta, weights
            )
            pooled[row] = weights @ vectors[tokens[begin:end]]
        scores = pooled.astype(np.float32) @ contexts.T
        wanted = targets[block : block + 256]
        for column in range(wanted.shape[1]):
            asked = np.flatnonzero(wanted[:, column] >= 0)
            own = scores[asked, wanted[asked, column]][:, None]
            rank = (scores[asked] > own).sum(axis=1) + 0.5 * ((scores[asked] == own).sum(axis=1) - 1)
            hits += float((rank < k).sum())
            n_asked += len(asked)
    return hits / max(n_asked, 1)
