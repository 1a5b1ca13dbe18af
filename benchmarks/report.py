"""Benchmark rows kept by date and processor, and the page of the docs that shows the newest of each.

    python benchmarks/report.py           # writes docs/benchmarks.md anew
    python benchmarks/report.py --check   # exit code 1 where it differs from what the kept rows say

`versus.py --save` writes benchmarks/results/<processor>/<date>/<job>.json.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmarks.md"
PEERS = ("numpy", "scipy", "scikit-learn", "gensim", "faiss-cpu", "polars", "duckdb")


def processor() -> str:
    """The processor and the number of cores this process may use.

    Virtual machines hide the model's name ("AMD EPYC" is Zen 1 to 5), so family and model stand beside it, and AVX-512
    where there is one: figures of two generations must not replace each other.
    """
    name = platform.processor() or platform.machine()
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        cpuinfo = ""
    fields = dict(re.findall(r"^([a-z ]+?)\s*: (.+)$", cpuinfo, flags=re.MULTILINE))
    name = fields.get("model name", name)
    facts = [f"{part} {fields[key]}" for part, key in (("family", "cpu family"), ("model", "model")) if key in fields]
    facts += ["AVX-512"] if "avx512f" in fields.get("flags", "").split() else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name.strip()}{' (' + ', '.join(facts) + ')' if facts else ''}, {cores} cores"


def versions() -> dict[str, str]:
    """Versions of the peers that are installed."""
    found = {}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def save(job: str, rows: list[dict[str, Any]], repeat: int, *, quick: bool, only: str) -> Path:
    """Keep a job's rows; refuses runs that are no measurement (--quick) or not whole (--only)."""
    if quick or only:
        raise SystemExit("--save keeps whole jobs at full size: leave out --quick and --only")
    today, name = datetime.date.today().isoformat(), processor()
    path = FOLDER / re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") / today / f"{job}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "job": job, "date": today, "processor": name, "python": platform.python_version(), "repeat": repeat,
        "versions": versions(), "rows": rows,
    }
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return path.relative_to(ROOT)


def page() -> str:
    """docs/benchmarks.md: for each processor the newest rows of each job."""
    lines = [
        "# Benchmarks", "",
        "Written by `python benchmarks/report.py` from `benchmarks/results/`; don't edit by hand. A figure is the "
        "median of several rounds in which the contenders took turns; trust ratios within one table more than seconds.",
    ]
    for machine in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        newest: dict[str, Path] = {}
        for path in sorted(machine.glob("*/*.json")):
            newest[path.stem] = path
        kept = {job: json.loads(path.read_text(encoding="utf-8")) for job, path in sorted(newest.items())}
        for number, (job, run) in enumerate(kept.items()):
            if number == 0:
                lines += ["", f"## {run['processor']}"]
            lines += ["", *_table(job, run)]
    return "\n".join(lines) + "\n"


def _table(job: str, run: dict[str, Any]) -> list[str]:
    peers = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    lines = [
        f"### `versus.py {job}`", "",
        f"{run['date']}, Python {run['python']}, {run['repeat']} rounds; {peers}.", "",
        "| row | who | figures | bar |", "|---|---|---|---|",
    ]
    for row in run["rows"]:
        figures = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
            if key not in ("job", "name", "bar")
        )
        lines.append(f"| {row['job']} | {row['name']} | {figures} | {row['bar']} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare")
    args = parser.parse_args()
    text = page()
    if args.check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
