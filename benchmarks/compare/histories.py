"""What customers did in sessions of one event: with and without, do traits and lists find more of what comes next?

Each customer's last session is held out (of RetailRocket's buyers, one purchase); the histories before it are read
once without sessions of one event, as they would be were customers to see what item vectors learn from, and once whole.
Everybody with something new in what was held out is asked; a customer who isn't known then gets no list. The simulated
shops keep one event, drawn at random, of a share of their sessions. Figures are means over several numbers of traits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

import traitcore as tc
from traitcore.customers.counts import count_tokens
from traitcore.quality.trait_stability import matched_correlation
from traitcore.serving.blended import Blend
from traitcore.serving.ranking import ranked
from traitcore.serving.recommend import product_affinity

if TYPE_CHECKING:
    from benchmarks.versus import Bench

K, AT_ONCE = 10, 500
SHOPS = {  # share of sessions cut to one event, and the shop
    "simulated, 12 sessions, half of one event": (0.5, {"n_users": 2000, "n_traits": 16}),
    "simulated, 12 sessions, 80% of one event": (0.8, {"n_users": 2000, "n_traits": 16}),
    "simulated, 3 sessions, half of one event": (0.5, {"n_users": 2000, "n_traits": 12, "sessions_per_user": 3}),
}


class Log(NamedTuple):
    """A log of the past, what each customer had later, the planted shares by customer, and numbers of traits."""

    past: tc.EventLog
    later: dict[Any, set[Any]]
    truth: dict[Any, Any] | None
    n_traits: tuple[int, ...]


def run(bench: Bench) -> None:
    for name in ("RetailRocket buyers", "Online Retail", *SHOPS):
        if not bench.wants(name):
            continue
        log = read(name, bench)
        if log is None:
            continue
        for label, least in (("without sessions of one event", 2), ("whole histories", 1)):
            bench.row(f"{name}: histories", label, **judged(log, least, bench.quick), bar="" if least > 1 else "higher")


def read(name: str, bench: Bench) -> Log | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in SHOPS:
            return simulated(*SHOPS[name])
        if name == "Online Retail":
            path = bench.path("online_retail/online_retail.parquet")
            return None if path is None else online_retail(path)
        path = bench.path("retailrocket/buyers_events.csv")
        if path is None:
            return None
        held = pd.read_csv(path.with_name("buyers_heldout_buy.csv"))
        later = {user: {item} for user, item in zip(held.user_id.tolist(), held.item_id.tolist())}
        return Log(tc.read_events(path), later, None, (8, 16, 24, 32))


def online_retail(path: Path) -> Log:
    where = "CustomerID IS NOT NULL AND Quantity > 0"
    log = tc.read_events(
        path, user="CustomerID", timestamp="InvoiceDate", item="StockCode", action=None, where=where
    )
    return Log(*last_held_out(log), None, (8, 16))


def simulated(share: float, shop: dict[str, Any]) -> Log:
    made = tc.simulate_events(seed=0, **shop)
    sessions, rng = tc.split_sessions(made.log, min_length=1), np.random.default_rng(0)
    keep = np.ones(len(made.log), dtype=bool)
    for session in np.flatnonzero(rng.random(len(sessions)) < share):
        keep[rng.permutation(sessions[int(session)])[1:]] = False
    past, later = last_held_out(made.log.take(np.flatnonzero(keep)))
    truth = dict(zip(made.truth.customer_ids.tolist(), made.truth.customer_shares))
    return Log(past, later, truth, (12, 16))


def last_held_out(log: tc.EventLog) -> tuple[tc.EventLog, dict[Any, set[Any]]]:
    """(the log without the last session of each customer of several, the items of that session)."""
    sessions = tc.split_sessions(log, min_length=1)
    assert sessions.owner is not None
    assert log.user_ids is not None
    same = np.diff(sessions.owner) == 0  # a session as the one before it: the last of several
    last = np.flatnonzero(np.append(~same, True) & np.append(False, same))
    rows = [sessions[int(session)] for session in last]
    keep = np.ones(len(log), dtype=bool)
    keep[np.concatenate(rows)] = False
    users = log.user_ids[sessions.owner[last]].tolist()
    return log.take(np.flatnonzero(keep)), {u: set(log.item_ids[log.item[r]].tolist()) for u, r in zip(users, rows)}


def judged(log: Log, least: int, quick: bool) -> dict[str, float]:
    """Customers and events that traits see, and precision@10 of lists by traits, counts, both; planted correlation."""
    assert log.past.user is not None
    assert log.past.user_ids is not None
    had: dict[Any, set[Any]] = {}
    for user, item in zip(log.past.user_ids[log.past.user].tolist(), log.past.item_ids[log.past.item].tolist()):
        had.setdefault(user, set()).add(item)
    new = {user: items - had[user] for user, items in log.later.items() if user in had and items - had[user]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sessions = tc.split_sessions(
            log.past, min_length=least, max_events_per_session=1000, max_events_per_day=3000
        )
        found = tc.tokenize(sessions, min_count=5)
    vocabulary, sequences = found.vocabulary, found.sequences
    present, owner = np.unique(sequences.owners(), return_inverse=True)
    ids = np.asarray(sequences.owner_ids)[present].tolist()
    sequences = tc.Sequences(sequences.tokens, sequences.offsets, owner.astype(np.int32), sequences.timestamps_us)
    figures = [
        lists(tc.TraitModel(n).fit(sequences, vocabulary), sequences, vocabulary, ids, new, log.truth)
        for n in log.n_traits[: 1 if quick else None]
    ]
    means = {key: float(np.mean([one[key] for one in figures])) for key in figures[0]}
    return {"customers": len(ids), "events": sequences.n_tokens, "asked": len(new)} | means


def lists(
    model: tc.TraitModel, sequences: tc.Sequences, vocabulary: tc.Vocabulary, ids: list[Any],
    new: dict[Any, set[Any]], truth: dict[Any, Any] | None,
) -> dict[str, float]:
    counts = count_tokens(sequences, n_tokens=len(vocabulary))
    row = np.repeat(np.arange(len(ids)), np.diff(counts.indptr))
    own = np.zeros((len(ids), len(vocabulary.item_ids)), dtype=np.float32)
    own[row, vocabulary.token_item[counts.indices]] = 1.0
    histories = sparse.csr_array(own)
    affinity = product_affinity(
        model.token_rates_, vocabulary.token_item, vocabulary.token_action if vocabulary.actions else None,
        actions=vocabulary.actions, n_items=own.shape[1],
    )
    blend, hits = Blend(histories, affinity), {"traits": 0.0, "counts": 0.0, "both": 0.0}
    for part in parts([place for place, user in enumerate(ids) if user in new]):
        mine, profiles = histories[part], model.profiles_[part]
        for name, scores in (
            ("traits", profiles @ affinity), ("counts", blend.neighbours.scores(mine)),
            ("both", blend.scores(mine, profiles)),
        ):
            for place, listed in zip(part, ranked(scores, None, K, None, mine, None).rows):
                hits[name] += len(new[ids[place]] & set(vocabulary.item_ids[listed[listed >= 0]].tolist()))
    figures = {name: n / K / max(1, len(new)) for name, n in hits.items()}
    if truth is not None:  # customers that aren't known are taken for the mean of those who are
        everyone = np.tile(model.profiles_.mean(axis=0), (len(truth), 1))
        places = {user: place for place, user in enumerate(truth)}
        everyone[[places[user] for user in ids]] = model.profiles_
        figures["planted"] = matched_correlation(np.array(list(truth.values())), everyone)
    return figures


def parts(rows: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]
