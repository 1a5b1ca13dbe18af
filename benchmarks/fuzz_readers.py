"""Mutated logs of every format: each must be read with counts that add up, or refused in one sentence.

    python benchmarks/fuzz_readers.py --files 2000

`tests/events/test_fuzz.py` runs a small share of it.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import io
import json
import lzma
import random
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import traitcore as tc

FIRST = 1_500_000_000
N_ROWS = 40
ACTIONS = ("view", "cart", "buy")
KNOWN = (ValueError, OSError, ImportError)  # what a caller can expect; InputError is a ValueError


def rows() -> list[list[str]]:
    """A log as texts."""
    return [[f"u{i % 7}", str(FIRST + 60 * i), ACTIONS[i % 3], f'item "{i % 5}", large' if i % 4 else f"caf\u00e9\n{i}"]
            for i in range(N_ROWS)]


HEADER = ["user_id", "timestamp", "action", "item_id"]


def as_csv(line_end: str = "\n", quoting: int = csv.QUOTE_MINIMAL, delimiter: str = ",") -> bytes:
    """The log as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=line_end, quoting=quoting, delimiter=delimiter)  # type: ignore[arg-type]
    writer.writerows([HEADER, *rows()])
    return out.getvalue().encode()


def plain_csv() -> bytes:
    """The log without quotes."""
    lines = [",".join(HEADER), *(",".join([*row[:3], f"i{k % 5}"]) for k, row in enumerate(rows()))]
    return "".join(line + "\n" for line in lines).encode()


def as_json() -> bytes:
    """The log as JSON lines."""
    return "".join(json.dumps(dict(zip(HEADER, row))) + "\n" for row in rows()).encode()


def as_json_lists() -> bytes:
    """The log as JSON lines with a list of events in each."""
    records = [{"user_id": f"u{u}", "events": [{"t": int(r[1]), "a": r[2], "i": r[3]} for r in rows()[u::7]]}
               for u in range(7)]
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def as_parquet() -> bytes:
    """The log as Parquet."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        values = ", ".join(f"('{r[0]}', {r[1]}, '{r[2]}', 'i{k % 5}')" for k, r in enumerate(rows()))
        with duckdb.connect(":memory:") as connection:
            query = f"SELECT * FROM (VALUES {values}) t({', '.join(HEADER)})"
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return path.read_bytes()


def as_excel() -> bytes:
    """The log as an Excel file."""
    import openpyxl

    book = openpyxl.Workbook()
    for row in [HEADER, *rows()]:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_zip() -> bytes:
    """The log as CSV in a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.csv", as_csv())
    return out.getvalue()


def as_zst() -> bytes:
    """The log as CSV, packed by zstandard."""
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).compress(as_csv())


LISTS: dict[str, object] = {"timestamp": "events[].t", "action": "events[].a", "item": "events[].i"}
# Name of the file, its bytes, and the options that read it.
FORMATS: dict[str, tuple[str, Callable[[], bytes], dict[str, object]]] = {
    "csv": ("log.csv", as_csv, {}),
    "csv without quotes": ("log.csv", plain_csv, {}),
    "csv, CRLF, all quoted": ("log.csv", lambda: as_csv("\r\n", csv.QUOTE_ALL), {}),
    "csv, CR": ("log.csv", lambda: as_csv("\r", csv.QUOTE_ALL), {}),
    "csv, quotes off": ("log.csv", plain_csv, {"quote": None}),
    "csv, ::": ("log.csv", lambda: plain_csv().replace(b",", b"::"), {"delimiter": "::"}),
    "csv, UTF-16": ("log.csv", lambda: as_csv().decode().encode("utf-16"), {}),
    "csv, Latin-1": ("log.csv", lambda: as_csv().decode().encode("latin-1"), {"encoding": "latin-1"}),
    "tsv": ("log.tsv", lambda: as_csv(delimiter="\t"), {"where": "action <> 'cart'"}),
    "json lines": ("log.jsonl", as_json, {}),
    "json lists": ("log.jsonl", as_json_lists, LISTS),
    "json array": ("log.json", lambda: b"[" + as_json().strip().replace(b"\n", b",") + b"]", {}),
    "parquet": ("log.parquet", as_parquet, {}),
    "excel": ("log.xlsx", as_excel, {}),
    "gz": ("log.csv.gz", lambda: gzip.compress(as_csv(), mtime=0), {}),
    "bz2": ("log.csv.bz2", lambda: bz2.compress(as_csv()), {}),
    "xz": ("log.csv.xz", lambda: lzma.compress(as_csv()), {}),
    "zip": ("log.zip", as_zip, {}),
    "zst": ("log.csv.zst", as_zst, {}),
}
_BYTES = b'",\n\r\x00\xff\xe9\'\\;:{}[] 0a\t'


def mutated(data: bytes, rng: random.Random) -> bytes:
    """1 to 5 changes: bytes replaced, put in, cut out, copied; or the end cut off."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(out) + 1)
        kind = rng.random()
        if kind < 0.3 and at < len(out):
            out[at] = rng.choice(_BYTES)
        elif kind < 0.55:
            out.insert(at, rng.choice(_BYTES))
        elif kind < 0.75:
            del out[at : at + rng.randint(1, 30)]
        elif kind < 0.95:
            start = rng.randrange(len(out) + 1)
            out[at:at] = out[start : start + rng.randint(1, 60)]
        else:
            del out[at:]
    return bytes(out)


def expected_records(data: bytes, form: str) -> int | None:
    """Records of a CSV as Python's csv module counts them, where it is a fair judge: no quotes at all."""
    if form != "csv without quotes" or b'"' in data or not data.strip(b"\r\n"):
        return None
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return sum(1 for line in text.split(b"\n") if line) - 1


def check(path: Path, data: bytes, form: str, options: dict[str, object]) -> str:
    """Read one file both ways; what came of it. AssertionError where counts don't add up."""
    outcomes = []
    rejects = path.with_name("rejects.csv")
    for how in ({"on_bad_rows": "set_aside", "rejects": rejects}, {"on_bad_rows": "raise"}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                log = tc.read_events(path, **options, **how)  # type: ignore[arg-type]
        except KNOWN:
            outcomes.append("refused")
            continue
        report = log.report
        assert report is not None
        assert report.rows_kept == len(log)
        assert report.rows_read == report.rows_kept + report.rows_set_aside
        wanted = expected_records(data, form)
        assert wanted is None or report.rows_read == wanted, f"{report.rows_read} rows read, {wanted} are there"
        if "rejects" in how:
            with open(rejects, encoding="utf-8", newline="") as file:
                written = sum(1 for _ in csv.reader(file)) - 1
            assert written == report.rows_set_aside, f"{written} rows written, {report.rows_set_aside} set aside"
            outcomes.append("set aside" if report.rows_set_aside else "kept")
        else:
            assert not [r for r in report.set_aside if "list of events" not in r]
            outcomes.append("kept")
    return "/".join(outcomes)


def run(form: str, n_files: int, seed: int, folder: Path) -> tuple[Counter[str], float]:
    """Outcomes of `n_files` mutated files of a format, and the longest time that one took."""
    name, make, options = FORMATS[form]
    rng, base, found, longest = random.Random(f"{seed} {form}"), make(), Counter[str](), 0.0
    path = folder / name
    for number in range(n_files):
        data = base if number == 0 else mutated(base, rng)
        path.write_bytes(data)
        start = time.perf_counter()
        try:
            found[check(path, data, form, options)] += 1
        except BaseException:
            kept = Path(tempfile.gettempdir()) / f"fuzz-{form.replace(' ', '-')}-{number}-{name}"
            kept.write_bytes(data)
            print(f"{form}, file {number}: kept as {kept}")
            raise
        longest = max(longest, time.perf_counter() - start)
    return found, longest


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="of each format (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=tuple(FORMATS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for form in [args.only] if args.only else FORMATS:
            found, longest = run(form, args.files, args.seed, Path(folder))
            shown = ", ".join(f"{what} {n}" for what, n in found.most_common())
            print(f"{form:24s} {args.files} files, longest {longest:.2f} s: {shown}", flush=True)


if __name__ == "__main__":
    main()
