"""Next-item retrieval on the public splits of Diginetica and RetailRocket (`--data`), on the invoices of Online Retail,
which no setting was chosen by, and on a simulated shop.

Every prefix of a test session asks for the next click, all items are ranked, ties at their mean rank; intervals by
bootstrap over sessions. Published on Diginetica's split: SR-GNN 50.7 / 17.6, GCE-GNN 54.2 / 19.0, MSGIFSR 55.4 / 19.0.
The published test file of RetailRocket (15,132 rows, as in DHCN and COTREC) has the prefixes of two clicks or more,
which are fewer than all 19,867: both are printed, and only the file's compare with published figures. Diginetica's file
(60,858 rows) has every prefix. Settings are the defaults; whatever is chosen is chosen on training sessions.

Seconds are those of the process's CPU. VMIS-kNN is `benchmarks/neighbours_next_item.py`; SGNS and PPMI-SVD vectors are
scored by a session that is the sum of its items' vectors, 0.5 per step back.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import traitcore as tc
from benchmarks.neighbours_next_item import SessionNeighbours
from traitcore.items.next_item_queries import next_places, prefixes
from traitcore.items.next_item_ranking import dense_ranks
from traitcore.quality.retrieval import VectorScorer, oldest_first, split_sequences
from traitcore.quality.retrieval_report import RetrievalReport

BARS = {
    "diginetica": {"counts": (52.0, 18.3), "model": (54.7, 19.1)},
    "retailrocket": {"counts": (55.0, 29.3), "model": (57.0, 30.5)},
}
SHORTEST = {"retailrocket": 2}  # clicks of the shortest prefix in the published test file, where it hasn't all of them


def read_sessions(path: Path) -> tc.Sequences:
    """Sessions of a file with columns session_id, position, item_id, in file order."""
    with gzip.open(path, "rt", newline="") as lines:
        rows = np.array([(int(r["session_id"]), int(r["item_id"])) for r in csv.DictReader(lines)], dtype=np.int64)
    starts = np.flatnonzero(np.diff(rows[:, 0], prepend=-1))
    return tc.Sequences(tokens=rows[:, 1].astype(np.int32), offsets=np.append(starts, len(rows)))


def invoices(path: Path) -> tuple[tc.Sequences, tc.Sequences]:
    """Invoices of goods sold, in order of time, their lines in file order; the last tenth are the test, without items
    that came up later than the rest."""
    rows = pd.read_parquet(path, columns=["InvoiceNo", "StockCode", "Quantity", "InvoiceDate"])
    rows = rows[(rows["Quantity"] > 0) & ~rows["InvoiceNo"].str.startswith("C")]
    rows = rows.sort_values(["InvoiceDate", "InvoiceNo"], kind="stable")
    starts = np.flatnonzero((rows["InvoiceNo"] != rows["InvoiceNo"].shift()).to_numpy())
    cut = int(starts[len(starts) - len(starts) // 10])
    item, _ = pd.factorize(rows["StockCode"])
    test = np.arange(len(rows)) >= cut
    known = ~test | (item < 1 + item[:cut].max())  # numbered as they come up
    session = np.searchsorted(starts, np.arange(len(rows)), side="right")
    parts = []
    for part in (~test, test & known):
        first = np.flatnonzero(np.diff(session[part], prepend=-1))
        parts.append(tc.Sequences(item[part].astype(np.int32), np.append(first, part.sum())))
    return parts[0], parts[1]


def shuffled(sessions: tc.Sequences, rng: np.random.Generator) -> tc.Sequences:
    """Each session's items in random order."""
    row = np.repeat(np.arange(len(sessions)), np.diff(sessions.offsets))
    return tc.Sequences(sessions.tokens[np.lexsort((rng.random(len(row)), row))], sessions.offsets)


def report(ranks: NDArray[np.float64], sessions: NDArray[np.int64]) -> RetrievalReport:
    hit = ranks <= 20
    return RetrievalReport(
        k=20, n_queries=len(ranks), recall=float(hit.mean()), mrr=float(np.where(hit, 1 / ranks, 0.0).mean()), ndcg=0.0,
        coverage=0.0, popularity_bias=None, ranks=ranks, sessions=sessions,
    )


def figures(found: RetrievalReport) -> dict[str, float]:
    plain = {"recall_at_20": 100 * found.recall, "mrr_at_20": 100 * found.mrr}
    for name, figure in (("recall", "recall"), ("mrr", "mrr")):
        low, high = found.interval(figure, n_resamples=200)
        plain[f"{name}_low"], plain[f"{name}_high"] = 100 * low, 100 * high
    return plain


class ByVectors:
    """The sum of a session's vectors, 0.5 per step back, against the targets' vectors."""

    def __init__(self, vectors: NDArray[np.float32], targets: NDArray[np.float32] | None = None) -> None:
        self.scorer = VectorScorer(vectors, targets)

    def rank(self, asked: tc.Sequences, targets: NDArray[np.int32]) -> NDArray[np.float64]:
        return dense_ranks(self.scorer, asked, targets, 1)


class Popular:
    """The baseline that a model must not lose to: how often the session has an item, then how popular it is."""

    def __init__(self, train: tc.Sequences, n_items: int, own: bool) -> None:
        self.popular = train.token_counts(n_items) / (1.0 + train.n_tokens)
        self.own = own

    def rank(self, asked: tc.Sequences, targets: NDArray[np.int32]) -> NDArray[np.float64]:
        def score(sessions: tc.Sequences) -> NDArray[np.float64]:
            scores = np.tile(self.popular, (len(sessions), 1))
            if self.own:
                row = np.repeat(np.arange(len(sessions)), np.diff(sessions.offsets))
                np.add.at(scores, (row, sessions.tokens), 1.0)
            return scores

        return dense_ranks(score, asked, targets, 1)


class ByNeighbours:
    def __init__(self, train: tc.Sequences, n_items: int) -> None:
        self.model = SessionNeighbours().fit(train, n_items=n_items)

    def rank(self, asked: tc.Sequences, targets: NDArray[np.int32]) -> NDArray[np.float64]:
        return dense_ranks(self.model.score, asked, targets, 1)


def by_sgns(train: tc.Sequences, n_items: int) -> ByVectors:
    model = tc.Item2Vec.preset("sessions", vector_size=100).fit(train, n_items=n_items)
    return ByVectors(model.item_vectors_, model.context_vectors_)


def by_ppmi(train: tc.Sequences, n_items: int) -> ByVectors:
    return ByVectors(tc.PPMIEmbedder.preset("sessions").fit(train, n_items=n_items).item_vectors_)


SCORERS: dict[str, Any] = {
    "model": lambda train, n: tc.NextItemModel().fit(train, n_items=n),
    "counts": lambda train, n: tc.NextItemCounts().fit(train, n_items=n),
    "blend": lambda train, n: tc.NextItemBlend().fit(train, n_items=n),
    "VMIS-kNN": ByNeighbours,
    "SGNS, item . context": by_sgns,
    "PPMI-SVD k=400, cosine": by_ppmi,
    "own items, then popular": lambda train, n: Popular(train, n, True),
    "popular": lambda train, n: Popular(train, n, False),
}


def sets(bench: Any) -> Iterator[tuple[str, tc.Sequences, tc.Sequences]]:
    for name in BARS:
        paths = [bench.path(f"{name}/sessions_{part}.csv.gz") for part in ("train", "test")]
        if None not in paths:
            yield name, read_sessions(paths[0]), read_sessions(paths[1])
    if (path := bench.path("online_retail/online_retail.parquet")) is not None:
        train, test = invoices(path)
        yield "online retail", train, test
        rng = np.random.default_rng(0)
        yield "online retail, lines of an invoice shuffled", shuffled(train, rng), shuffled(test, rng)
    shop = tc.simulate_events(n_users=300 if bench.quick else 3000, n_items=2000, n_traits=20, seed=1)
    corpus = tc.tokenize(tc.split_sessions(shop.log), min_count=1)
    train, test = split_sequences(corpus.sequences, test_share=0.1)
    yield "simulated shop", oldest_first(train), test


def run(bench: Any) -> None:
    for name, train, test in sets(bench):
        if not bench.wants(name):
            continue
        n_items = 1 + max(train.largest_token(), test.largest_token())
        places = next_places(test)
        if bench.quick:
            places = places[:500]
        asked, targets = prefixes(test, places)
        sessions = np.searchsorted(test.offsets, places, side="right") - 1
        found: dict[str, RetrievalReport] = {}
        for title, fit in SCORERS.items():
            start = time.process_time()
            model = fit(train, n_items)
            built = time.process_time()
            ranks = model.rank(asked, targets)
            scored = time.process_time()
            found[title] = report(ranks, sessions)
            bar = BARS.get(name, {}).get(title)
            bench.row(
                name, title, **figures(found[title]), prefixes=len(targets), fit_seconds=built - start,
                rank_seconds=scored - built, bar="" if bar is None else f">= {bar[0]} / {bar[1]}",
            )
            if title in ("model", "blend", "counts") and name in SHORTEST:
                long = np.diff(asked.offsets) >= SHORTEST[name]
                bench.row(name, f"the published test file, {title}", **figures(report(ranks[long], sessions[long])))
            if title == "model":
                ask_one_by_one(bench, name, model, asked)
                ask_a_graph(bench, name, model, asked, targets)
        for other in ("model", "counts"):
            for figure in ("recall", "mrr"):
                low, high = found["blend"].difference(found[other], figure, n_resamples=200)
                bench.row(name, f"blend less {other}, {figure}", low=100 * low, high=100 * high, bar="> 0")


def ask_a_graph(
    bench: Any, name: str, model: tc.NextItemModel, asked: tc.Sequences, targets: NDArray[np.int32]
) -> None:
    """Recall@20 of the task where an HNSW index finds the candidates: 20, and one more for each place of a session that
    its own item might take. The session's items join with their scores. Beside it the same by exact search."""
    if importlib.util.find_spec("faiss") is None:
        print("  faiss is missing: the row of HNSW is left out")
        return
    vectors, queries = model.search_vectors(), model.queries(asked)
    table = tc.EmbeddingTable(np.arange(len(vectors)), vectors)
    row, item, bonus = model._encoder.repeats(asked)
    own = np.einsum("ij,ij->i", queries[row], vectors[item]) + bonus
    hits = {}
    for kind in ("hnsw", "exact"):
        index = tc.build_index(table, kind=kind, metric="dot", ef_search=64)
        found, scores = index.search(queries, 20 + model.window)
        place = np.flatnonzero((found == targets[:, None]).any(axis=1))
        wanted = np.full(len(targets), -np.inf, dtype=np.float32)
        wanted[place] = scores[place][found[place] == targets[place, None]]
        same = item == targets[row]
        wanted[row[same]] = own[same]
        above = (scores > wanted[:, None]).sum(axis=1)
        listed = (found[row] == item[:, None]) & (scores[row] > wanted[row, None])  # counted without their bonus
        np.subtract.at(above, row, listed.any(axis=1))
        np.add.at(above, row, own > wanted[row])
        hits[kind] = 100 * float(((above < 20) & (wanted > -np.inf)).mean())
    bench.row(name, "HNSW over the vectors, ef 64", recall_at_20=hits["hnsw"], exact=hits["exact"],
              bar="within .1 of exact")


def ask_one_by_one(bench: Any, name: str, model: tc.NextItemModel, asked: tc.Sequences) -> None:
    """Top-20 of all items for one session a call, from Python, exact."""
    seconds = []
    for i in range(min(len(asked), 2000)):
        session = asked[i]
        start = time.perf_counter()
        model.recommend(session, k=20)
        seconds.append(time.perf_counter() - start)
    p50, p90 = np.quantile(seconds[len(seconds) // 10 :], (0.5, 0.9))
    bench.row(name, "one query, top-20", p50_ms=1e3 * p50, p90_ms=1e3 * p90, bar="p90 <= 0.2 ms")
