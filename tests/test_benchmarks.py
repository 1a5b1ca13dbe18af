"""The asv suite is importable the way asv imports it, from a folder that isn't the root; the losing recipes run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import traitcore as tc
from benchmarks.compare import next_item
from benchmarks.neighbours_next_item import SessionNeighbours

SUITE = Path(__file__).resolve().parents[1] / "benchmarks" / "suite"
SCRIPT = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    module = importlib.import_module("suite." + name)
    methods = [m for c in vars(module).values() if isinstance(c, type) for m in vars(c)]
    assert any(m.startswith("track_") for m in methods), f"{name}: no quality beside the speed"
    assert any(m.startswith("time_") for m in methods), f"{name}: nothing is timed"
"""


def test_asv_finds_every_benchmark(tmp_path: Path) -> None:
    names = sorted(path.stem for path in SUITE.glob("bench_*.py"))
    assert len(names) >= 8, names
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(SUITE.parent), *names], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


LOSING_RECIPES = """
import numpy as np
import traitcore as tc
from benchmarks.joint.recipe import JointRecipe
from benchmarks.traits_recipes import RECIPES
corpus = tc.tokenize(tc.split_sessions(tc.simulate_events(n_users=60, n_items=30, n_traits=2, seed=0).log))
vectors = np.random.default_rng(0).standard_normal((len(corpus.vocabulary), 5)).astype(np.float32)
assert set(RECIPES) == {"codes", "semi", "smoothed", "split"}
for name, recipe in {**RECIPES, "joint": JointRecipe()}.items():
    model = tc.TraitModel(3, method=recipe, max_iter=20).fit(corpus.sequences, corpus.vocabulary, item_vectors=vectors)
    again = model.transform_raw(corpus.sequences)
    assert np.allclose(again, model.raw_profiles_, rtol=1e-3, atol=1e-5) and again.any(), name
"""


def test_recipes_that_left_the_package_run() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOSING_RECIPES], cwd=SUITE.parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_session_neighbours_follow_their_paper() -> None:
    rng = np.random.default_rng(0)
    train = [rng.integers(0, 9, rng.integers(1, 6)).tolist() for _ in range(30)]
    asked = [rng.integers(0, 9, rng.integers(1, 5)).tolist() for _ in range(12)]
    found = SessionNeighbours(m=4, k=3).fit(tc.Sequences.from_lists(train), n_items=10).score(
        tc.Sequences.from_lists(asked)
    )
    for row, session in zip(found, asked):
        alike: dict[int, float] = {}
        shared: dict[int, int] = {}
        for back, item in enumerate(reversed(session), 1):
            if item in session[len(session) - back + 1 :]:
                continue
            for other in [s for s in reversed(range(30)) if item in train[s]][:4]:
                shared.setdefault(other, back)
                alike[other] = alike.get(other, 0.0) + (len(session) - back + 1) / len(session)
        expected = np.zeros(10)
        for other in sorted(alike, key=lambda s: (round(alike[s], 9), s), reverse=True)[:3]:
            for item in set(train[other]):
                idf = np.log(30 / sum(item in s for s in train))
                expected[item] += alike[other] * max(0.0, 1 - 0.1 * shared[other]) * idf
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def test_invoices_are_split_by_time_and_unknown_items_left_out(tmp_path: Path) -> None:
    lines = [(str(100 + i // 2), f"item {i % 5}", 1, i // 2) for i in range(40)]
    lines += [("119", "new", 1, 19), ("C7", "item 0", 1, 3), ("103", "item 9", -1, 3)]
    table = pd.DataFrame(lines, columns=["InvoiceNo", "StockCode", "Quantity", "InvoiceDate"])
    table.sample(frac=1, random_state=0).sort_values("InvoiceNo", kind="stable").to_parquet(tmp_path / "shop.parquet")
    train, test = next_item.invoices(tmp_path / "shop.parquet")
    assert (len(train), train.n_tokens, len(test), test.n_tokens) == (18, 36, 2, 4)
    assert train.largest_token() == 4


def test_task_recall_through_an_index_counts_each_item_once() -> None:
    """By exact search it is that of the ranks, with a bonus of either sign for what a session has."""
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    kept: list[dict[str, Any]] = []
    bench = SimpleNamespace(row=lambda name, row, **figures: kept.append({"of": (name, row), **figures}))
    for bonus in (-3.0, 0.0, 3.0):
        model = tc.NextItemModel.from_arrays(
            rng.normal(size=(300, 8)), rng.normal(size=300), [1.0, 0.5, 0.2], [bonus, bonus / 2, bonus / 3], scale=4.0
        )
        asked = tc.Sequences.from_lists([rng.integers(0, 40, rng.integers(1, 7)).tolist() for _ in range(200)])
        targets = rng.integers(0, 40, 200).astype(np.int32)
        next_item.ask_a_graph(bench, "some", model, asked, targets)
        assert kept[-1]["exact"] == pytest.approx(100 * np.mean(model.rank(asked, targets) <= 20))
        assert abs(kept[-1]["recall_at_20"] - kept[-1]["exact"]) < 3
