"""`prepare_log` ended at random moments: killed, interrupted (Ctrl-C), on a disk that fills up.

    python benchmarks/kill_prepare.py --times 200

After each end nothing may be published, scratch may be left by a kill only, and the next run must name and clear it and
make the corpus of an undisturbed run. Ends that come after the work is done are counted apart. A full disk is a small
tmpfs, for which the script must be root. The exit status is the number of faults.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.compare.scale import write_parts  # noqa: E402 - needs the path above

FILLER = "filler"


def prepare(parts: Path, folder: Path) -> int:
    """Run it in this process; 0 done, 1 a full disk said in one sentence, 2 interrupted, 3 anything else."""
    import traitcore as tc

    try:
        tc.prepare_log(parts, folder / "corpus", scratch=folder, memory="1GB", min_count=2)
    except tc.InputError as error:  # full before it began
        return 1 if "GiB free; this log needs" in str(error) else 3
    except OSError as error:
        return 1 if "the disk is full" in str(error) else 3
    except KeyboardInterrupt:
        return 2
    except BaseException:
        return 3
    return 0


def forked(parts: Path, folder: Path) -> int:
    """The process id of a child that prepares."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(2)  # warnings of what a killed run left
        os._exit(prepare(parts, folder))
    return child


def fingerprint(folder: Path) -> str:
    import traitcore as tc

    return tc.PreparedCorpus.open(folder / "corpus").fingerprint


@contextlib.contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    """Take what room there is."""
    with contextlib.suppress(OSError), open(folder / FILLER, "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def fault_of(way: str, status: int, folder: Path) -> str | None:
    """What is wrong after an end; None where nothing is. A corpus that stands is whole, or its run was done."""
    left = [one for one in os.listdir(folder) if one != FILLER]
    if way != "kill" and [one for one in left if one != "corpus"]:
        return f"{way} left {left}"
    ended = {"kill": -signal.SIGKILL, "interrupt": 2, "full disk": 1}[way]
    if status not in (0, ended):
        return f"{way} ended with {status}"
    if way != "kill" and status != 0 and "corpus" in left:
        return f"{way} published a corpus"
    return None


def next_run(parts: Path, folder: Path, wanted: str) -> str | None:
    """What is wrong with the run after it; None where it makes the corpus and leaves nothing else."""
    if not (folder / "corpus").exists():
        status = os.waitstatus_to_exitcode(os.waitpid(forked(parts, folder), 0)[1])  # our threads don't survive a fork
        if status != 0 or os.listdir(folder) != ["corpus"]:
            return f"the next run ended with {status} and left {os.listdir(folder)}"
    return None if fingerprint(folder) == wanted else "the corpus is another"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import duckdb  # noqa: F401 - before the forks, so that an end hits the work

    import traitcore.events.prepared  # noqa: F401

    rng, ends, faults = random.Random(args.seed), Counter[str](), 0
    ways = ["kill", "interrupt"] + (["full disk"] if os.geteuid() == 0 else [])
    with tempfile.TemporaryDirectory() as place:
        parts, whole = Path(place, "parts"), Path(place, "whole")
        for one in (parts, whole):
            one.mkdir()
        write_parts(parts, args.events)
        start = time.perf_counter()
        os.waitpid(forked(parts, whole), 0)
        seconds, wanted = time.perf_counter() - start, fingerprint(whole)
        used = sum(file.stat().st_size for file in (whole / "corpus").rglob("*")) >> 20
        for number in range(args.times):
            way = ways[number % len(ways)]
            disk = small_disk(8 * used + 64) if way == "full disk" else tempfile.TemporaryDirectory()
            with disk as folder:
                child = forked(parts, Path(folder))
                time.sleep(rng.uniform(0, seconds))
                if way == "full disk":
                    fill(Path(folder))
                else:
                    os.kill(child, signal.SIGKILL if way == "kill" else signal.SIGINT)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                fault = fault_of(way, status, Path(folder))
                if fault is None and way != "full disk":
                    fault = next_run(parts, Path(folder), wanted)
                ends[f"{way}{', after the work' if status == 0 else ''}"] += 1
                if fault is not None:
                    faults += 1
                    print(f"  {number}: {fault}", flush=True)
    print(f"  {args.times} ends, {faults} faults: " + ", ".join(f"{n} {way}" for way, n in sorted(ends.items())))
    return faults


if __name__ == "__main__":
    sys.exit(main())
