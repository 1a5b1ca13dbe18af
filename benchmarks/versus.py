"""Ours against the peers, in one process tree, in turn, medians and ratios.

    python benchmarks/versus.py events counts          # some jobs
    python benchmarks/versus.py all --repeat 3 --data ../data
    python benchmarks/versus.py sgns --json results.json
    python benchmarks/versus.py svd nmf --data ../data --save   # kept under benchmarks/results/, for docs/benchmarks.md

Jobs live in `benchmarks/compare/<job>.py`, each with `run(bench)`. A figure is the median of `--repeat` rounds, in
each of which every contender runs once (A B A B ...), so that a machine whose speed drifts does not favour one.
Each waits a moment first: a BLAS's or OpenMP's threads spin on after their work, into the time of the next one.
A peer that isn't installed is shown as missing, never skipped in silence.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchmarks import report  # noqa: E402 - needs the path above

SETTLE = 0.2  # seconds; OpenBLAS' threads spin for about 0.03 s after a call, libgomp's for less


class Bench:
    """What a job gets: timing in turn, rows for the report, where the real data lies."""

    def __init__(self, repeat: int, data: Path | None, quick: bool, only: str = "") -> None:
        self.repeat = repeat
        self.data = data
        self.quick = quick
        self.only = only
        self.rows: list[dict[str, Any]] = []

    def path(self, relative: str) -> Path | None:
        """A file under --data, or None (said aloud) where it isn't."""
        path = None if self.data is None else self.data / relative
        if path is None or not path.exists():
            print(f"  (no {relative} under --data: rows that need it are left out)")
            return None
        return path

    def wants(self, job: str) -> bool:
        """Whether rows of this title were asked for (--only): a job of many long rows asks before each."""
        return self.only in job

    def race(
        self, job: str, contenders: Mapping[str, Callable[[], Any]], *, ours: str, bar: str = "", repeat: int = 0
    ) -> dict[str, float]:
        """Time the contenders in turn; add a row each with seconds and the ratio to ours; medians by name.

        A callable that returns a float has timed itself (set-up left out); its number is taken instead.
        """
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(repeat or self.repeat):
            for name, call in contenders.items():
                time.sleep(SETTLE)
                start = time.perf_counter()
                own = call()
                seconds[name].append(own if isinstance(own, float) else time.perf_counter() - start)
        median = {name: statistics.median(values) for name, values in seconds.items()}
        for name, value in median.items():
            self.row(
                job, name, seconds=value, ratio=value / median[ours], low=min(seconds[name]),
                high=max(seconds[name]), bar=bar if name == ours else "",
            )
        return median

    def row(self, job: str, name: str, *, bar: str = "", **figures: float) -> None:
        """One line of the report: any named figures (seconds, ratio, recall, peak_mb, ...)."""
        self.rows.append({"job": job, "name": name, **figures, "bar": bar})
        shown = "  ".join(f"{key} {value:.4g}" for key, value in figures.items())
        print(f"  {job:34s} {name:28s} {shown}{'   bar: ' + bar if bar else ''}", flush=True)


def jobs() -> list[str]:
    return sorted(p.stem for p in (HERE / "compare").glob("*.py") if p.stem != "__init__")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", choices=[*jobs(), "all"], metavar="JOB", help=", ".join([*jobs(), "all"]))
    parser.add_argument("--repeat", type=int, default=3, help="rounds of each race (default 3)")
    parser.add_argument("--data", type=Path, help="folder with the real logs; rows that need it are left out without")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with TEXT in their title (long jobs)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs; figures mean nothing")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--save", action="store_true", help="keep the rows under benchmarks/results/")
    args = parser.parse_args()
    bench = Bench(args.repeat, args.data, args.quick, args.only)
    print(f"{report.processor()}, Python {platform.python_version()}, "
          f"repeat {args.repeat}{', QUICK' if args.quick else ''}")
    for job in jobs() if "all" in args.jobs else args.jobs:
        print(job, flush=True)
        first = len(bench.rows)
        importlib.import_module(f"benchmarks.compare.{job}").run(bench)
        if args.save:
            print(f"  kept in {report.save(job, bench.rows[first:], args.repeat, quick=args.quick, only=args.only)}")
    if args.json:
        args.json.write_text(json.dumps(bench.rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
