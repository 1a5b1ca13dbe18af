"""Prediction of customers' next tokens by traits, beside models without the bottleneck of traits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._rows import unit_float32_rows
from ..customers.counts import count_tokens, token_idf, weigh_counts
from ..customers.pooling import customer_vectors
from ..customers.traits import TraitModel
from ..events.sequences import Sequences
from ..events.vocabulary import Vocabulary
from ..factorization.svd import randomized_svd
from .name_coherence import presence
from .trait_coherence import Embed


@dataclass(frozen=True, eq=False)
class Periods:
    """Each customer's last sequence held out: `past` (same owners) and `future` (n_customers, n_tokens) counts."""

    past: Sequences
    future: sparse.csr_array

    @classmethod
    def of(cls, sequences: Sequences, n_tokens: int) -> Periods:
        """Customers with fewer than two sequences keep their past and have no future."""
        owners = sequences.owners()
        filled = np.flatnonzero(np.diff(sequences.offsets) > 0)
        last = np.full(sequences.n_owners, -1)
        last[owners[filled]] = filled  # the last assignment of an owner wins
        several = np.bincount(owners[filled], minlength=sequences.n_owners) > 1
        held = np.zeros(len(sequences), dtype=bool)
        held[last[several]] = True
        return cls(take_sequences(sequences, ~held), count_tokens(take_sequences(sequences, held), n_tokens=n_tokens))


def take_sequences(sequences: Sequences, kept: NDArray[np.bool_]) -> Sequences:
    """The kept sequences, the others emptied; all owners stay."""
    return sequences.keep(np.repeat(kept, np.diff(sequences.offsets)))


Scores = Callable[[slice], NDArray[Any]]
"""A range of customers -> (n, n_tokens) scores. By ranges, for all customers' scores at once would dwarf the fit."""

_BLOCK = 256


def recall_at(scores: Scores, past: sparse.csr_array, future: sparse.csr_array, k: int = 20) -> tuple[float, int]:
    """Mean share of a customer's new tokens (future, not past) among the k best-scored tokens not in their past.

    Ties at the cut count by the share of the tied places inside it. Returns the mean and the number of customers with
    new tokens.
    """
    found: list[float] = []
    for start in range(0, past.shape[0], _BLOCK):
        block = slice(start, min(start + _BLOCK, past.shape[0]))
        lines = scores(block)
        for row in range(block.start, block.stop):
            old = past.indices[past.indptr[row] : past.indptr[row + 1]]
            new = np.setdiff1d(future.indices[future.indptr[row] : future.indptr[row + 1]], old)
            if len(new) and len(old):
                found.append(_recall_of(lines[row - start], old, new, k))
    return (float(np.mean(found)) if found else float("nan")), len(found)


def _recall_of(scores: NDArray[Any], old: NDArray[Any], new: NDArray[Any], k: int) -> float:
    line = np.array(scores, dtype=np.float64)
    line[old] = -np.inf
    cut = np.partition(line, len(line) - k)[len(line) - k] if k < len(line) else -np.inf
    above = line > cut
    tied = line == cut
    free = (k - above.sum()) / max(int(tied.sum()), 1)
    return float((above[new] + tied[new] * min(free, 1.0)).mean())


def judge_prediction(
    model: TraitModel,
    sequences: Sequences,
    vocabulary: Vocabulary,
    embed: Embed | None,
    item_category: NDArray[np.integer] | None,
    seeds: list[int],
    progress: Callable[[int], None] = lambda done: None,
    k: int = 20,
) -> dict[str, float]:
    """Recall@k of the unseen tokens of each customer's last sequence, from the ones before.

    recall: through the traits (profiles x token rates), mean over seeds; recall_popular: the most popular tokens;
    recall_pca: a truncated SVD of the same tf-idf counts with as many components; recall_counts: the counts
    themselves, through token-token cosines, without a bottleneck; recall_vectors: pooled vectors against token vectors,
    where an embedding is given; price = recall / recall_pca. With `item_category`, category_hit: the
    share of customers whose strongest category by traits occurs in their last sequence (among purchases, if known).
    """
    n_tokens = len(vocabulary)
    periods = Periods.of(sequences, n_tokens)
    past = count_tokens(periods.past, n_tokens=n_tokens)
    item_past, item_future = (_by_item(c, vocabulary) for c in (past, periods.future))
    vectors = None if embed is None else embed(periods.past)
    item_map = _item_map(vocabulary) if len(vocabulary.actions) else None
    recalls, item_recalls, hits = [], [], []
    for place, seed in enumerate(seeds):
        fresh = type(model)(**model.get_params()).set_params(random_state=seed)
        fresh.fit(periods.past, vocabulary, item_vectors=vectors)
        scores = _product(fresh.profiles_, fresh.token_rates_)
        recalls.append(recall_at(scores, past, periods.future, k)[0])
        if item_map is not None:
            by_item = _product(fresh.profiles_, np.asarray(fresh.token_rates_ @ item_map))
            item_recalls.append(recall_at(by_item, item_past, item_future, k)[0])
        if item_category is not None:
            hits.append(_category_hit(scores, periods.future, vocabulary, item_category))
        progress(place + 1)
    figures = {"recall": float(np.mean(recalls))} | _baselines(past, periods, vectors, model.n_traits, k, seeds[0])
    figures["price"] = figures["recall"] / figures["recall_pca"] if figures["recall_pca"] > 0 else float("nan")
    if item_recalls:
        figures["recall_items"] = float(np.mean(item_recalls))
    if hits and item_category is not None:
        figures["category_hit"] = float(np.mean(hits))
        popular = _same_for_all(presence(past).sum(axis=0))
        figures["category_hit_popular"] = _category_hit(popular, periods.future, vocabulary, item_category)
    return figures


def _baselines(
    past: sparse.csr_array, periods: Periods, vectors: Any, n_traits: int, k: int, seed: int
) -> dict[str, float]:
    rows = weigh_counts(past, token_idf(past))
    have = presence(past)
    popularity = np.asarray(have.sum(axis=0), dtype=np.float32)
    rank = max(1, min(n_traits, min(rows.shape) - 1))
    svd = randomized_svd(rows, rank, random_state=seed)
    columns = sparse.csc_array(rows)
    norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0).astype(np.float32)
    unit = sparse.csr_array(rows @ sparse.csr_array(sparse.diags(scale)))
    figures: dict[str, float] = {}
    figures["recall_popular"], evaluated = recall_at(_same_for_all(popularity), past, periods.future, k)
    pca = _product(svd.U * svd.singular_values, svd.Vt)
    figures["recall_pca"] = recall_at(pca, past, periods.future, k)[0]
    columns_of = sparse.csr_array(unit.T)

    def through_customers(block: slice) -> NDArray[Any]:
        return np.asarray(((unit[block] @ columns_of) @ unit).todense())

    figures["recall_counts"] = recall_at(through_customers, past, periods.future, k)[0]
    if vectors is not None:
        pooled = customer_vectors(periods.past, vectors, method="tfidf").vectors
        direct = _product(pooled, unit_float32_rows(vectors).T)
        figures["recall_vectors"] = recall_at(direct, past, periods.future, k)[0]
    figures["customers_asked"] = float(evaluated)
    return figures


def _product(left: NDArray[Any], right: NDArray[Any]) -> Scores:
    return lambda block: np.asarray(left[block] @ right)


def _same_for_all(scores: NDArray[Any]) -> Scores:
    return lambda block: np.broadcast_to(scores, (block.stop - block.start, len(scores)))


def _item_map(vocabulary: Vocabulary) -> sparse.csr_array:
    n = len(vocabulary)
    shape = (n, len(vocabulary.item_ids))
    return sparse.csr_array((np.ones(n, np.float32), (np.arange(n), vocabulary.token_item)), shape=shape)


def _by_item(counts: sparse.csr_array, vocabulary: Vocabulary) -> sparse.csr_array:
    merged = sparse.csr_array(counts @ _item_map(vocabulary))
    merged.sort_indices()
    return merged


def _category_hit(
    scores: Scores, future: sparse.csr_array, vocabulary: Vocabulary, item_category: NDArray[np.integer]
) -> float:
    """Share of customers whose best-scored category occurs in their future (among purchases, where known)."""
    category = np.asarray(item_category)[vocabulary.token_item]
    n = int(category.max(initial=0)) + 1
    bought = np.ones(len(category), dtype=bool)
    if "buy" in vocabulary.actions:
        bought = vocabulary.token_action == vocabulary.actions.index("buy")
    tokens = np.flatnonzero(bought)
    shape = (len(category), n)
    spread = sparse.csr_array((np.ones(len(tokens), np.float32), (tokens, category[tokens])), shape=shape)
    wanted = np.asarray((future @ spread).todense()) > 0
    asked = wanted.any(axis=1)
    blocks = (slice(a, min(a + _BLOCK, len(wanted))) for a in range(0, len(wanted), _BLOCK))
    best = np.concatenate([np.asarray(scores(block) @ spread).argmax(axis=1) for block in blocks])
    return float(wanted[np.arange(len(best)), best][asked].mean()) if asked.any() else float("nan")
