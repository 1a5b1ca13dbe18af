"""Next-item retrieval on the public splits of Diginetica and RetailRocket (`--data`).

Every prefix of a test session asks for the next click, all items are ranked, ties at their mean rank. Published on
Diginetica's split: SR-GNN 50.7 / 17.6. The published test file of RetailRocket (15,132 rows, as in DHCN and COTREC) has
the prefixes of two clicks or more, which are fewer than all 19,867: both are printed, and only the file's compare with
published figures. Diginetica's file (60,858 rows) has every prefix.

PPMI-SVD vectors (k=400, cosine) are scored the same way: a session is the sum of its items' unit vectors, 0.5 per step
back.
"""

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import traitcore as tc

BARS = {"diginetica": (52.0, 18.3), "retailrocket": (55.0, 29.3)}
SHORTEST = {"retailrocket": 2}  # clicks of the shortest prefix in the published test file, where it hasn't all of them


def read_sessions(path: Path) -> tc.Sequences:
    """Sessions of a file with columns session_id, position, item_id, in file order."""
    with gzip.open(path, "rt", newline="") as lines:
        rows = np.array([(int(r["session_id"]), int(r["item_id"])) for r in csv.DictReader(lines)], dtype=np.int64)
    starts = np.flatnonzero(np.diff(rows[:, 0], prepend=-1))
    return tc.Sequences(tokens=rows[:, 1].astype(np.int32), offsets=np.append(starts, len(rows)))


def prefixes(sessions: tc.Sequences) -> tuple[tc.Sequences, NDArray[np.int32]]:
    """Every proper prefix of every session, and the item that follows it."""
    parts = [(session[:t], session[t]) for session in sessions for t in range(1, len(session))]
    return tc.Sequences.from_lists([p.tolist() for p, _ in parts]), np.array([t for _, t in parts], dtype=np.int32)


def figures(ranks: NDArray[np.float64]) -> dict[str, float]:
    hit = ranks <= 20
    return {"recall_at_20": 100 * hit.mean(), "mrr_at_20": 100 * np.where(hit, 1 / ranks, 0.0).mean()}


def mean_ranks(scores: NDArray[Any], targets: NDArray[np.int32]) -> NDArray[np.float64]:
    wanted = scores[np.arange(len(targets)), targets][:, None]
    ranks: NDArray[np.float64] = (scores > wanted).sum(axis=1) + ((scores == wanted).sum(axis=1) + 1) / 2
    return ranks


def vector_ranks(vectors: NDArray[np.float32], asked: tc.Sequences, targets: NDArray[np.int32]) -> NDArray[np.float64]:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    sums = np.stack([(0.5 ** np.arange(len(s) - 1, -1, -1)) @ unit[s] for s in asked]).astype(np.float32)
    blocks = range(0, len(targets), 512)
    return np.concatenate([mean_ranks(sums[i : i + 512] @ unit.T, targets[i : i + 512]) for i in blocks])


def run(bench: Any) -> None:
    for name, (recall, mrr) in BARS.items():
        train_path, test_path = (bench.path(f"{name}/sessions_{part}.csv.gz") for part in ("train", "test"))
        if train_path is None or test_path is None:
            continue
        train, test = read_sessions(train_path), read_sessions(test_path)
        n_items = 1 + int(max(train.tokens.max(), test.tokens.max()))
        asked, targets = prefixes(test)
        if bench.quick:
            asked, targets = tc.Sequences.from_lists([asked[i].tolist() for i in range(500)]), targets[:500]
        for preset in ("next_click", "plain"):
            start = time.perf_counter()
            model = tc.NextItemCounts.preset(preset).fit(train, n_items=n_items)
            built = time.perf_counter()
            ranks = model.rank(asked, targets)
            scored = time.perf_counter()
            bench.row(
                name, f"counts, preset {preset}", **figures(ranks), prefixes=len(targets), fit_seconds=built - start,
                rank_seconds=scored - built, bar=f">= {recall} / {mrr}" if preset == "next_click" else "",
            )
            if name in SHORTEST:
                filed = ranks[np.diff(asked.offsets) >= SHORTEST[name]]
                bench.row(name, f"the published test file, {preset}", **figures(filed), prefixes=len(filed))
        if name == "diginetica":
            ours = tc.PPMIEmbedder.preset("sessions", vector_size=400).fit(train, n_items=n_items)
            step = 10 if bench.quick else 1
            some = tc.Sequences.from_lists([asked[i].tolist() for i in range(0, len(targets), step)])
            bench.row(
                name, "PPMI-SVD k=400, cosine", **figures(vector_ranks(ours.item_vectors_, some, targets[::step])),
                prefixes=len(some), bar=">= 37.5 / 13.5",
            )
