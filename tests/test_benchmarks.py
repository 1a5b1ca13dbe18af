"""The asv suite is importable the way asv imports it: as the package "suite", from a folder that isn't the root."""

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
