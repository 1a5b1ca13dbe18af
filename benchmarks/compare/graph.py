"""Cold start: how well backfill places items that nobody has touched yet, against their category's mean.

A tenth of the items is hidden: their events are taken out before anything is learned. What is left gives item vectors;
backfill gives the hidden items vectors from their content (`ContentMap`), the baseline gives each the mean of its
category. Each hidden item asks for its 20 nearest known items, and Recall@20 is the share of its true neighbours
among them: the 20 known items that it co-occurs with most, in the whole log, by PPMI and by cosine (which are not
just the popular ones), and by plain counts.

Fusion: does content help items that people do buy, and whom? Vectors are learned on half of the sessions; each item
asks for its 20 nearest, and Recall@20 is the share of its true neighbours among them: the 20 it co-occurs with most
in the other half, by cosine. Figures are by tenth of the items, the rarest in the first.
"""

from __future__ import annotations

import sys
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import traitcore as tc
from traitcore._rows import unit_rows
from traitcore.events.sequences import Sequences

TOP = 20
HIDDEN_SHARE = 0.1
LEAST_EVENTS = 10  # a hidden item needs a truth worth the name


class Shop(NamedTuple):
    """Sessions or baskets of items, and of each item its content vector and its category (-1: none)."""

    sequences: Sequences
    content: NDArray[np.float32]
    category: NDArray[np.int64]


def run(bench: Any) -> None:
    job = "cold start, simulated shop"
    seeds = (0,) if bench.quick else (0, 1, 2)
    cold_start(bench, job, [(simulated(seed, bench.quick), seed) for seed in seeds], "at least 5x the category mean")
    fusion(bench, "fusion, simulated shop", [(simulated(seed, bench.quick), seed) for seed in seeds])
    path = bench.path("online_retail/online_retail.parquet")
    if path is not None:
        shop = online_retail(path)
        cold_start(bench, "cold start, Online Retail", [(shop, seed) for seed in seeds], "above the category mean")
        fusion(bench, "fusion, Online Retail", [(shop, seed) for seed in seeds])
    graphs(bench)


def simulated(seed: int, quick: bool) -> Shop:
    """A simulated shop: content from its texts, categories and prices, as a shop would have them."""
    n_users, n_items = (600, 400) if quick else (6000, 4000)
    simulation = tc.simulate_events(n_users=n_users, n_items=n_items, n_traits=16, seed=seed, bot_share=0.0)
    columns, truth = simulation.columns, simulation.truth
    order = np.lexsort((columns["timestamp"], columns["user_id"]))
    viewed = order[columns["action"][order] == "view"]
    _, user = np.unique(columns["user_id"][viewed], return_inverse=True)
    _, item = np.unique(np.concatenate([truth.item_ids, columns["item_id"][viewed]]), return_inverse=True)
    tokens = item.ravel()[len(truth.item_ids) :]
    time_of = columns["timestamp"][viewed]
    new = np.concatenate(([True], (np.diff(user) != 0) | (np.diff(time_of) > 1800)))
    category = np.unique(truth.item_category, return_inverse=True)[1].ravel().astype(np.int64)
    content = tc.content_features(
        texts=truth.item_text, categories=truth.item_category, prices=truth.item_price, n_components=128
    )
    return Shop(Sequences(tokens.astype(np.int32), np.append(np.flatnonzero(new), len(tokens))), content, category)


def online_retail(path: Any) -> Shop:
    """UCI Online Retail: invoices as baskets, content from descriptions and prices; a description's last word, where
    at least five items share it, stands for the category that the data lack ("mug", "bag", "holder")."""
    import duckdb

    query = (
        "select InvoiceNo, StockCode, any_value(mode_text), median(UnitPrice) from (select *, mode(Description) over "
        f"(partition by StockCode) as mode_text from '{path}') where InvoiceNo not like 'C%' and Quantity > 0 "
        "and regexp_matches(StockCode, '^[0-9]{5}') group by InvoiceNo, StockCode order by InvoiceNo, StockCode"
    )
    found = duckdb.sql(query)
    assert found is not None
    invoice, code, text, price = (np.asarray(c) for c in zip(*found.fetchall(), strict=True))
    codes, first, item = np.unique(code, return_index=True, return_inverse=True)
    _, basket = np.unique(invoice, return_inverse=True)
    texts = [str(text[i] or "") for i in first]
    last = np.array([(t.split() or [""])[-1].strip(".,").lower() for t in texts])
    names, category, count = np.unique(last, return_inverse=True, return_counts=True)
    category = np.where((count[category] >= 5) & (names[category] != ""), category, -1).astype(np.int64)
    median = np.array([np.median(price[item == i].astype(float)) for i in range(len(codes))])
    content = tc.content_features(texts=texts, prices=median, n_components=256)
    offsets = np.append(np.flatnonzero(np.concatenate(([True], np.diff(basket) > 0))), len(item))
    return Shop(Sequences(item.ravel().astype(np.int32), offsets), content, category)


def cold_start(bench: Any, job: str, shops: list[tuple[Shop, int]], bar: str) -> None:
    figures: dict[str, list[list[float]]] = {}
    for shop, seed in shops:
        for name, recalls in one_split(shop, seed).items():
            figures.setdefault(name, []).append(recalls)
    mean = {name: np.mean(values, axis=0) for name, values in figures.items()}
    base = mean["category mean"]
    for name, (ppmi, cosine, counts) in mean.items():
        over = np.asarray([ppmi, cosine, counts]) / base
        bench.row(job, name, ppmi=ppmi, x=over[0], cosine=cosine, x_cosine=over[1], counts=counts, x_counts=over[2],
                  bar=bar if name.startswith("backfill") else "")


def one_split(shop: Shop, seed: int) -> dict[str, list[float]]:
    """Recall@20 (of PPMI's, cosine's and counts' neighbours) by method."""
    n = len(shop.content)
    whole = co_occurrence(shop.sequences, n)
    events = shop.sequences.token_counts(n)
    rng = np.random.default_rng(seed)
    candidates = np.flatnonzero((events >= LEAST_EVENTS) & shop.content.any(axis=1) & (shop.category >= 0))
    hidden = np.sort(rng.permutation(candidates)[: int(HIDDEN_SHARE * len(candidates))])
    visible = np.ones(n, dtype=bool)
    visible[hidden] = False
    seen = without(shop.sequences, hidden)
    behaviour = learn(seen, n, seed)
    known = np.flatnonzero(visible & (seen.token_counts(n) > 0))
    counts = np.where(visible, events, 0)
    filled = tc.backfill_vectors(behaviour, content=shop.content, categories=shop.category, item_counts=counts)
    category = tc.backfill_vectors(behaviour, categories=shop.category, item_counts=counts)
    found = set(filled.source[hidden].tolist())
    assert found <= {"content", "category"}, found
    cosine = tc.build_item_graph(whole, k=None, weighting="cosine").adjacency
    truths = [top(weights[hidden][:, known]) for weights in (tc.positive_pmi(whole), cosine, whole)]
    unit = unit_rows(behaviour)[known]

    def recalls(query: NDArray[np.float32]) -> list[float]:
        nearest = top(query @ unit.T)
        return [float(np.mean([len(set(a) & set(b)) / TOP for a, b in zip(nearest, t, strict=True)])) for t in truths]

    full = unit_rows(learn(shop.sequences, n, seed))
    popular = np.argsort(-counts[known], kind="stable")[:TOP]
    return {
        "backfill (content map)": recalls(filled.vectors[hidden]),
        "category mean": recalls(category.vectors[hidden]),
        "most popular": [float(np.mean([len(set(popular) & set(t)) / TOP for t in truth])) for truth in truths],
        "not hidden (ceiling)": ceiling(full, hidden, known, truths),
    }


def learn(seqs: Sequences, n: int, seed: int) -> NDArray[np.float32]:
    """Item vectors from baskets, whole sessions being one window; an item without events is a zero row."""
    model = tc.PPMIEmbedder(vector_size=128, window=None, seed=seed)
    return np.asarray(model.fit(seqs, n_items=n).item_vectors_)


def ceiling(
    full: NDArray[np.float64], hidden: NDArray[np.int64], known: NDArray[np.int64], truths: list[NDArray[np.int64]]
) -> list[float]:
    """What the item's own vector reaches, had it not been hidden."""
    nearest = top(full[hidden] @ full[known].T)
    return [float(np.mean([len(set(a) & set(b)) / TOP for a, b in zip(nearest, t, strict=True)])) for t in truths]


def fusion(bench: Any, job: str, shops: list[tuple[Shop, int]]) -> None:
    """Recall@20 by tenth of popularity: behaviour alone, content alone, and both by each method at its defaults."""
    figures: dict[str, list[NDArray[np.float64]]] = {}
    events = []
    for shop, seed in shops:
        counts, recalls = fused_recalls(shop, seed)
        order = np.array_split(np.argsort(counts, kind="stable"), 10)
        events.append([float(np.median(counts[tenth])) for tenth in order])
        for name, recall in recalls.items():
            figures.setdefault(name, []).append(np.array([recall[tenth].mean() for tenth in order]))
    rarest, *_, most = np.mean(events, axis=0)
    bar = f"the rarest (median {rarest:.0f} events) gain, the most frequent ({most:.0f}) don't lose"
    for name, values in figures.items():
        mean = np.mean(values, axis=0)
        shown = {f"d{i + 1}": float(mean[i]) for i in (0, 1, 2, 4, 6, 8, 9)}
        bench.row(job, name, **shown, all=float(mean.mean()), bar=bar if name.startswith("map, by count") else "")


def fused_recalls(shop: Shop, seed: int) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Events in the training half of the items that ask, and Recall@20 of each by method."""
    n = len(shop.content)
    trained = np.random.default_rng(seed).random(len(shop.sequences)) < 0.5
    seen, unseen = part_of(shop.sequences, trained), part_of(shop.sequences, ~trained)
    counts, behaviour = seen.token_counts(n), learn(seen, n, seed)
    known = np.flatnonzero(behaviour.any(axis=1))
    asks = known[shop.content[known].any(axis=1) & (unseen.token_counts(n)[known] >= LEAST_EVENTS)]
    cosine = tc.build_item_graph(co_occurrence(unseen, n), k=None, weighting="cosine").adjacency
    truth = top(cosine[asks][:, known])
    fuse = tc.fuse_vectors
    contenders = {
        "behaviour alone": behaviour,
        "content alone": shop.content,
        "concatenate": fuse(behaviour, shop.content, method="concatenate").vectors,
        "map": fuse(behaviour, shop.content, method="map").vectors,
        "map, by count": fuse(behaviour, shop.content, method="map", item_counts=counts).vectors,
    }
    recalls = {}
    for name, vectors in contenders.items():
        unit = unit_rows(vectors).astype(np.float32)
        scores = unit[asks] @ unit[known].T
        scores[np.arange(len(asks)), np.searchsorted(known, asks)] = -np.inf  # not its own neighbour
        nearest = top(scores)
        recalls[name] = np.array([len(set(a) & set(b)) / TOP for a, b in zip(nearest, truth, strict=True)])
    return counts[asks], recalls


def part_of(seqs: Sequences, chosen: NDArray[np.bool_]) -> Sequences:
    """The chosen sequences."""
    length = np.diff(seqs.offsets)
    return Sequences(seqs.tokens[np.repeat(chosen, length)], np.concatenate(([0], np.cumsum(length[chosen]))))


def co_occurrence(seqs: Sequences, n: int) -> sparse.csr_array:
    return tc.count_cooccurrences(seqs, n_items=n, window=None, self_pairs=False).astype(np.float64)


def without(seqs: Sequences, hidden: NDArray[np.int64]) -> Sequences:
    """The sequences with the events of some items taken out."""
    kept = ~np.isin(seqs.tokens, hidden)
    before = np.concatenate(([0], np.cumsum(kept)))
    return Sequences(seqs.tokens[kept], before[seqs.offsets])


def top(scores: Any) -> NDArray[np.int64]:
    dense = scores.toarray() if sparse.issparse(scores) else scores
    return np.asarray(np.argsort(-dense, axis=1, kind="stable")[:, :TOP])


def graphs(bench: Any) -> None:
    """Time of making a graph: a sort of each row (scipy, NumPy) against ours, on the counts of a large shop."""
    n, per_row = (2_000, 40) if bench.quick else (50_000, 120)
    rng = np.random.default_rng(0)
    pairs = (rng.poisson(1.0, n * per_row) + 1.0, (np.repeat(np.arange(n), per_row), rng.integers(0, n, n * per_row)))
    counts = sparse.csr_array(pairs, shape=(n, n))
    counts.sum_duplicates()

    def sorted_rows() -> float:
        began = time.perf_counter()
        row = np.repeat(np.arange(n), np.diff(counts.indptr))
        order = np.lexsort((counts.indices, -counts.data, row))
        rank = np.arange(len(order)) - counts.indptr[row[order]]
        kept = np.sort(order[rank < 50])
        sparse.csr_array((counts.data[kept], (row[kept], counts.indices[kept])), shape=counts.shape)
        return time.perf_counter() - began

    tc.build_item_graph(counts[:50, :50], k=5)  # compiles
    contenders = {"traitcore": lambda: tc.build_item_graph(counts, k=50, keep_self_loops=True),
                  "numpy lexsort": sorted_rows}
    bench.race("top-50 graph of counts", contenders, ours="traitcore")


if __name__ == "__main__":
    sys.exit("Run it as: python benchmarks/versus.py graph")
