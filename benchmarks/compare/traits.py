"""Trait methods on two shops, by one strict protocol: the table of the README.

Online Retail: rows with a customer and a positive quantity, items bought at least 5 times, customers with at least 2
invoices (2,843 customers, 3,193 items); a session is an invoice. RetailRocket buyers: action-item tokens seen at least
3 times, sessions split at 30 minutes, customers with at least 2 sessions (1,127 customers).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import traitcore as tc
from benchmarks.traits_recipes import RECIPES as LOSING_RECIPES
from traitcore.customers.traits import RECIPES
from traitcore.customers.views import BLEND
from traitcore.events.session_report import TiedEventsWarning
from traitcore.quality.traits import TraitEvaluation

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.versus import Bench
    from traitcore.customers.recipes import Recipe

SHOWN = (
    "npmi", "npmi_low", "npmi_high", "npmi_without_heavy", "diversity", "support", "bootstrap_cosine", "bootstrap_ari",
    "bootstrap_jaccard", "reliability", "recall", "price",
)
CONTROLS = (
    "npmi_random", "npmi_popular", "npmi_popular_without_heavy", "recall_popular", "recall_pca", "recall_counts",
)


def online_retail(path: Path) -> tuple[tc.Sequences, tc.Vocabulary]:
    rows = pd.read_parquet(path)
    rows = rows[rows.CustomerID.notna() & (rows.Quantity > 0)]
    rows = rows[rows.groupby("StockCode").StockCode.transform("size") >= 5]
    rows = rows[rows.groupby("CustomerID").InvoiceNo.transform("nunique") >= 2]
    log = tc.EventLog.from_columns(
        rows.astype({"CustomerID": int, "InvoiceNo": str, "StockCode": str}), user="CustomerID", item="StockCode",
        timestamp="InvoiceDate", session="InvoiceNo", action=None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)
        made = tc.tokenize(tc.split_sessions(log, min_length=1))
    return made.sequences, made.vocabulary


def retailrocket(path: Path) -> tuple[tc.Sequences, tc.Vocabulary]:
    rows = pd.read_csv(path).sort_values(["user_id", "timestamp"], kind="stable")
    session = ((rows.user_id != rows.user_id.shift()) | (rows.timestamp.diff() > 1800)).cumsum()
    rows = rows.assign(session=session)
    rows = rows[rows.groupby(["action", "item_id"]).user_id.transform("size") >= 3]
    rows = rows[rows.groupby("user_id").session.transform("nunique") >= 2]
    actions = ("view", "cart", "buy")
    return corpus(rows.user_id, rows.session, rows.action.map(actions.index), actions, rows.item_id.astype(str))


def corpus(user: Any, session: Any, action: Any, actions: tuple[str, ...], item: Any) -> tuple[Any, Any]:
    """Sequences and Vocabulary of rows sorted by user, session and time; tokens in order of falling count."""
    owner, item_row = pd.factorize(user)[0], pd.factorize(item, sort=True)
    pair = np.asarray(action) + 1 + (len(actions) + 1) * item_row[0].astype(np.int64)
    kinds, token = np.unique(pair, return_inverse=True)
    order = np.argsort(-np.bincount(token), kind="stable")
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    tokens = rank[token]
    edges = np.flatnonzero(np.append(np.append(True, np.diff(np.asarray(session)) != 0), True))
    n = int(owner.max()) + 1
    seen = np.unique(owner.astype(np.int64) * len(kinds) + tokens) % len(kinds)
    sequences = tc.Sequences(tokens, edges, owner[edges[:-1]].astype(np.int32), None, np.arange(n))
    vocabulary = tc.Vocabulary(
        np.asarray(item_row[1], dtype=object), actions, (kinds[order] // (len(actions) + 1)).astype(np.int32),
        (kinds[order] % (len(actions) + 1) - 1).astype(np.int32), np.bincount(token), np.bincount(seen), n,
    )
    return sequences, vocabulary


def run(bench: Bench) -> None:
    shops = (
        ("Online Retail", "online_retail/online_retail.parquet", online_retail, 5),
        ("RetailRocket buyers", "retailrocket/buyers_events.csv", retailrocket, 3),
    )
    for shop, file, read, min_count in shops:
        path = bench.path(file)
        if path is None:
            continue
        sequences, vocabulary = read(path)
        print(f"  {shop}: {sequences.n_owners:,} customers, {len(vocabulary):,} tokens, {sequences.n_tokens:,} events")
        recipes = [*RECIPES.values(), *LOSING_RECIPES.values()]
        for recipe in recipes[:2] if bench.quick else recipes:
            if bench.wants(f"{shop}: {recipe.name}"):
                judge(bench, shop, sequences, vocabulary, recipe, min_count)


def figures_of(found: TraitEvaluation, names: Iterable[str]) -> dict[str, Any]:
    return {name: found[name] for name in names}


def judge(bench: Bench, shop: str, sequences: Any, vocabulary: Any, recipe: Recipe, min_count: int) -> None:
    method = recipe.name

    def embed(corpus: tc.Sequences) -> np.ndarray:
        made = tc.Item2Vec(vector_size=64, window=5, negative=5, epochs=15, seed=0)
        return made.fit(corpus, n_items=len(vocabulary)).item_vectors_

    checks = ["coherence", "stability", "support", "prediction"]
    if method in ("joint", "semi", "shift"):
        checks.append("invariance")
    if method == "joint":
        checks.append("nulls")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "shift" says what it costs; so does this table
        found = tc.evaluate_traits(
            sequences, vocabulary, model=tc.TraitModel(method=method if method in RECIPES else recipe), checks=checks,
            embed=embed if recipe.needs_vectors else None, n_splits=2 if bench.quick else 5,
            n_refits=2 if bench.quick else 4, min_count=min_count, random_state=0,
        )
    bar = ""
    if method == "joint":
        bar = "npmi .47, diversity .98, bootstrap .91, recall .086, support 40"
        if shop.startswith("RetailRocket"):
            bar = "npmi .18, diversity .94, bootstrap .78, recall .063"
        nulls = [name for name in found.figures if "shuffled" in name or "gain" in name]
        bench.row(f"{shop}: nulls", method, **figures_of(found, nulls))
        bench.row(f"{shop}: controls", "no model", **figures_of(found, CONTROLS))
    shown = [*SHOWN, *(name for name in ("order_change", "rotation_change") if name in found.figures)]
    shown += BLEND if method == "joint" else ()
    bench.row(f"{shop}: traits", method, bar=bar, **figures_of(found, shown))
