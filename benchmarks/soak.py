"""Long runs of what the tests do in small: readers beside publishers, every crash mode, every damaged file.

    python benchmarks/soak.py                     # 60 s of 8 readers and 2 publishers, then the rest
    python benchmarks/soak.py --seconds 10 --flips 1000 --only concurrent corrupt
    python benchmarks/soak.py --folder /dev/shm --only crash headers

Readers and publishers are processes. Exit status 1 when anything but the stated lost race went wrong.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ["concurrent", "crash", "corrupt", "headers"]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from traitcore import EmbeddingTable, TableError, TableStore  # noqa: E402
from traitcore.serving.store import VersionExistsError  # noqa: E402


def make(fill: float) -> EmbeddingTable:
    ids = [f"i{i}" for i in range(2000)]
    return EmbeddingTable(ids, np.full((2000, 16), fill, np.float32), metadata={"fill": fill})


def read(root: str, until: float, results: Any) -> None:
    store, opened, errors = TableStore(root), 0, []
    held: list[EmbeddingTable] = []
    while time.time() < until:
        try:
            table = store.open("items", verify=opened % 3 == 0)
            held = [*held[-4:], table]
            for one in held:  # those kept open too, though they may be pruned by now
                if not (one.vectors == one.metadata["fill"]).all() or one.ids[7] != "i7":
                    errors.append(f"torn: {one}")
            opened += 1
        except Exception as error:
            errors.append(repr(error))
    results.put(("read", opened, 0, errors))


def write(root: str, until: float, seed: int, results: Any) -> None:
    store, rng = TableStore(root), np.random.default_rng(seed)
    published, lost, errors = 0, 0, []
    while time.time() < until:
        try:
            store.publish(make(float(rng.integers(1 << 20))), "items")
            published += 1
            if rng.random() < 0.3:
                store.prune("items", keep=3)
        except VersionExistsError:
            lost += 1
        except Exception as error:
            errors.append(repr(error))
    results.put(("published", published, lost, errors))


def concurrent(root: str, seconds: float) -> int:
    TableStore(root).publish(make(0.0), "items")
    context = multiprocessing.get_context("spawn")
    results, until = context.Queue(), time.time() + seconds + 3  # processes take a while to start
    workers = [context.Process(target=read, args=(root, until, results)) for _ in range(8)]
    workers += [context.Process(target=write, args=(root, until, seed, results)) for seed in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    errors = [error for *_, own in found for error in own]
    reads, writes = (sum(n for kind, n, _, _ in found if kind == k) for k in ("read", "published"))
    lost = sum(f[2] for f in found)
    print(f"concurrent: {reads:,} opened, {writes:,} published, {lost} races lost, {len(errors)} errors")
    for error in errors[:10]:
        print("  ", error)
    TableStore(root).verify("items")
    return len(errors)


def crash(root: str) -> int:
    problems, operations = [], 0
    modes = ("kill_before", "kill_after", "kill_half", "ENOSPC", "EIO", "EROFS", "EACCES")
    for action in ("publish_first", "publish_next", "publish_large", "rollback", "withdraw", "withdraw_first", "prune"):
        for mode in modes:
            done = subprocess.run(
                [sys.executable, "-m", "tests.data.store_faults", root, action, mode], cwd=HERE.parent,
                capture_output=True, text=True, check=True,
            )
            found = json.loads(done.stdout)
            operations += found["operations"]
            problems += [f"{action} {mode}: {problem}" for problem in found["problems"]]
    print(f"crash: {operations:,} operations struck, {len(problems)} problems")
    for problem in problems[:10]:
        print("  ", problem)
    return len(problems)


def corrupt(root: str, flips: int) -> int:
    store, rng, problems = TableStore(root), np.random.default_rng(0), []
    store.publish(make(1.5), "items")
    folder = Path(root) / "items" / "v000001"
    content = {file: bytearray(file.read_bytes()) for file in sorted(folder.iterdir()) if file.name != "manifest.json"}
    files = list(content)
    for _ in range(flips):
        file = files[rng.integers(len(files))]
        data = content[file]
        place, kept = int(rng.integers(len(data))), 0
        kept = data[place]
        data[place] ^= int(rng.integers(1, 256))
        with open(file, "r+b") as out:
            out.seek(place)
            out.write(data[place : place + 1])
        try:
            store.open("items", verify=True)
            problems.append(f"{file.name} at {place}: opened all the same")
        except TableError as error:
            if file.name not in str(error):
                problems.append(f"{file.name} at {place}: {error}")
        try:  # unverified: the numbers may be wrong, but reading them must be safe
            table = store.open("items")
            table.most_similar(table.ids[0], 3)
        except (TableError, KeyError):
            pass
        data[place] = kept
        with open(file, "r+b") as out:
            out.seek(place)
            out.write(data[place : place + 1])
    store.verify("items")
    print(f"corrupt: {flips:,} random flips, {len(problems)} problems")
    for problem in problems[:10]:
        print("  ", problem)
    return len(problems)


def headers(root: str) -> int:
    """Every truncation of every file, and each bit of each byte of manifest and headers turned, in tables small enough
    for that. Each must be refused by name, or open with the right content; in time, and without memory for it."""
    tried, slowest, problems, before = 0, 0.0, [], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, ids in (("strings", ["a", "ü", "", "prod_4", "5"]), ("ints", [5, -1, 2**62, 0, 7])):
        store, values = TableStore(root), np.arange(15, dtype=np.float32).reshape(5, 3)
        store.publish(EmbeddingTable(ids, values, context_vectors=-values, arrays={"counts": np.arange(5)}), name)
        for file in sorted((Path(root) / name / "v000001").iterdir()):
            content = file.read_bytes()
            damaged = [content[:length] for length in range(len(content))] + [content + b"\0"]
            exposed = len(content) if file.name == "manifest.json" else content.find(b"\n") + 1
            for place in range(exposed if file.name != "metadata.json" else 0):
                flips = [content[place] ^ (1 << bit) for bit in range(8)]
                damaged += [content[:place] + bytes([flip]) + content[place + 1 :] for flip in flips]
            for data in damaged:
                file.write_bytes(data)
                start = time.perf_counter()
                try:
                    table = store.open(name)
                    if table.ids.tolist() != ids or table.vectors.tobytes() != values.tobytes():
                        problems.append(f"{name}/{file.name}: {len(data)} bytes opened with other content")
                except TableError as error:
                    if file.name not in str(error):
                        problems.append(f"{name}/{file.name}: {error}")
                except Exception as error:
                    problems.append(f"{name}/{file.name}: {error!r}")
                slowest = max(slowest, time.perf_counter() - start)
                tried += 1
            file.write_bytes(content)
        store.verify(name)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if slowest > 1 or grown > 100:
        problems.append(f"an opening took {slowest:.1f} s, memory grew by {grown:.0f} MB")
    print(f"headers: {tried:,} truncations and flips, slowest {1e3 * slowest:.1f} ms, {grown:.0f} MB more, "
          f"{len(problems)} problems")
    for problem in problems[:10]:
        print("  ", problem)
    return len(problems)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--folder", help="where to work (default: the system's temporary folder)")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    args = parser.parse_args()
    chosen = args.only or PARTS
    wrong = 0
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        for what in chosen:
            (Path(name) / what).mkdir()
        if "concurrent" in chosen:
            wrong += concurrent(f"{name}/concurrent", args.seconds)
        if "crash" in chosen:
            wrong += crash(f"{name}/crash")
        if "corrupt" in chosen:
            wrong += corrupt(f"{name}/corrupt", args.flips)
        if "headers" in chosen:
            wrong += headers(f"{name}/headers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
