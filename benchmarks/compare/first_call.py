"""The first second: what a fresh process with empty caches pays before any result.

    python benchmarks/versus.py first_call --data ../data
    python benchmarks/compare/first_call.py --check 4     # exit code 1 where a limit times 4 is exceeded (CI); only
                                                          # names that compile: a test holds that others don't

For each public name the example of its docstring runs twice in a process of its own, with an empty NUMBA_CACHE_DIR.
Only statements that use the name are timed: what the example makes before is not counted, what they import is.
`traitcore demo` and `traitcore fit` are timed as commands, with an empty cache and then with the one this filled. Of
several rounds the best counts, first calls and second calls apart: other work only adds.
"""

from __future__ import annotations

import ast
import doctest
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Seconds that the first call of a name may take beyond the second, on a quiet machine.
COUNTS, OTHERS = 2.5, 0.5
DEMO, FIT_BEYOND_WARM, IMPORT = 8.0, 3.0, 0.05
# What a first call may wait for: kernels that stay in numba, for people to read and change in Python.
COMPILED = {
    "count_cooccurrences", "merge_counts", "subtract_counts", "train_sgns_from_counts", "random_walks", "WalkCorpus",
    "WalkEmbedder", "PPMIEmbedder", "NextItemCounts", "NextItemModel", "NextItemBlend", "next_model_of",
    "AttentionPooling", "TraitModel", "choose_n_traits", "describe_traits", "evaluate_traits", "plot_traits",
    "plot_map", "fit_pipeline", "verify_run", "Fitted", "fit", "Shop", "open_shop",
}


def statements_of(name: str) -> list[tuple[str, bool]]:
    """Statements of the example of a public name, each with whether it is timed."""
    import traitcore as tc

    value = getattr(tc, name)
    tests = doctest.DocTestFinder(recurse=False).find(value, name, module=sys.modules[value.__module__])
    statements, made = [], False
    for example in (one for test in tests for one in test.examples):
        used = {node.attr for node in ast.walk(ast.parse(example.source)) if isinstance(node, ast.Attribute)}
        made = made or (name in used and isinstance(value, type))
        statements.append((example.source, made or name in used))
    # A doctest sees its module's own imports.
    needed = [line for word, line in IMPORTS.items() if any(word in source for source, _ in statements)]
    return [(line, False) for line in needed] + statements


def names() -> list[str]:
    """Public names with an example: all but exceptions and warnings."""
    import traitcore as tc

    return [name for name, module in vars(tc)["_MODULE_OF"].items() if module != "_errors"]


IMPORTS = {
    "np.": "import numpy as np", "sparse.": "from scipy import sparse", "Path(": "from pathlib import Path",
}
# What statements print is thrown away.
CALLS = """
import contextlib, io, json, sys, time, warnings
warnings.simplefilter("ignore")
seconds = []
for _ in range(2):
    names, spent = {}, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        for source, timed in STATEMENTS:
            start = time.perf_counter()
            exec(compile(source, "example", "single"), names)
            spent += timed * (time.perf_counter() - start)
    seconds.append(spent)
print(json.dumps([*seconds, "numba" in sys.modules]))
"""


def environment(cache: str) -> dict[str, str]:
    return dict(os.environ, NUMBA_CACHE_DIR=cache, PYTHONPATH=str(ROOT))


def calls_of(name: str, cache: str) -> tuple[float, float, bool]:
    """(first call, second call, was numba imported) of a name, in a fresh process."""
    code = CALLS.replace("STATEMENTS", repr(statements_of(name)))
    done = subprocess.run([sys.executable, "-c", code], env=environment(cache), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the example of {name} failed: {done.stderr}")
    first, second, compiled = json.loads(done.stdout)
    return first, second, compiled


def command(cache: str, *words: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "traitcore", *words], env=environment(cache), capture_output=True, check=True)
    return time.perf_counter() - start


def imported(cache: str) -> float:
    code = "import time; t = time.perf_counter(); import traitcore; print(time.perf_counter() - t)"
    return float(subprocess.check_output([sys.executable, "-c", code], env=environment(cache)))


class Table:
    """Rows with their limits; `slack` multiplies the limits for machines with other work."""

    def __init__(self, bench: Any, slack: float = 1.0) -> None:
        self.bench, self.slack = bench, slack
        self.over: list[str] = []

    def row(self, job: str, name: str, first: float, second: float, limit: float) -> None:
        if first - second > limit * self.slack:
            most = f"at most {limit:g} x {self.slack:g}"
            self.over.append(f"{job} {name}: {first - second:.2f} s over its second call, {most}")
        self.bench.row(job, name, first=first, second=second, over=first - second, bar=f"{limit:g} s over")


def run(bench: Any, slack: float = 1.0, *, compiled_only: bool = False) -> list[str]:
    """All rows; returns what is over its limit."""
    table = Table(bench, slack)
    rounds = range(1 if bench.quick else bench.repeat)
    with tempfile.TemporaryDirectory(prefix="first_call_") as folder:
        empty = (str(Path(folder, str(number))) for number in range(1_000_000))
        table.row("first call", "import traitcore", min(imported(next(empty)) for _ in rounds), 0.0, IMPORT)
        for name in (one for one in names() if one in COMPILED or not compiled_only):
            found = [calls_of(name, next(empty)) for _ in rounds]
            if any(compiled for *_, compiled in found) and name not in COMPILED:
                table.over.append(f"{name} imports numba")
            first, second = min(f for f, *_ in found), min(s for _, s, _ in found)
            table.row("first call", name, first, second, COUNTS if name in COMPILED else OTHERS)
        caches = [next(empty) for _ in rounds]
        cold, warm = ([command(cache, "demo", "--quiet") for cache in caches] for _ in range(2))
        # The bar is the whole command with empty caches.
        table.row("traitcore demo", "empty caches", min(cold), 0.0, DEMO)
        table.row("traitcore demo", "second run", min(warm), 0.0, DEMO)
        log = None if bench.data is None else bench.path("retailrocket/buyers_events.csv")
        if log is not None:
            caches = [next(empty) for _ in rounds]
            cold, warm = (
                [command(cache, "fit", str(log), "--store", f"{cache}-{n}", "--quiet") for cache in caches]
                for n in range(2)
            )
            table.row("traitcore fit, RetailRocket buyers", "empty caches", min(cold), min(warm), FIT_BEYOND_WARM)
    return table.over


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from benchmarks.versus import Bench

    if len(sys.argv) != 3 or sys.argv[1] != "--check":
        sys.exit("usage: python benchmarks/compare/first_call.py --check SLACK")
    over = run(Bench(repeat=1, data=None, quick=True), float(sys.argv[2]), compiled_only=True)
    print("\n".join(over))
    return bool(over)


if __name__ == "__main__":
    sys.exit(main())
