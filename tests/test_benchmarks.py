"""The asv suite is importable the way asv imports it, from a folder that isn't the root; the losing recipes run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
