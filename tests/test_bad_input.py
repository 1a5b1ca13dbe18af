"""Bad logs through the command line: one line that names the place, exit code 1, and nothing published changes."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from traitcore.cli import main
from traitcore.serving.store import TableStore

FAST = ("--n-traits", "2", "--trait-method", "counts", "--vector-size", "8", "--epochs", "2", "--min-count", "1")
HEAD = "user_id,timestamp,action,item_id\n"
TIMES = [f"2025-01-{d:02d}T10:{m:02d}:00" for d in range(1, 9) for m in range(0, 40, 10)]
GOOD = HEAD + "".join(f"u{i % 3},{t},view,i{i % 7}\n" for i, t in enumerate(TIMES * 3))


def row(timestamp: str = "2025-01-01T10:00:00", user: str = "u1", item: str = "i1") -> str:
    return f"{user},{timestamp},view,{item}\n"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a version in it, that no bad input may touch."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "good.csv").write_text(GOOD, encoding="utf-8")
    assert main(["fit", str(folder / "good.csv"), "--store", str(folder / "store"), *FAST]) == 0
    return folder / "store"


def content(store: Path) -> dict[str, bytes]:
    """Every file of a store but its locks."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def refused(capsys: pytest.CaptureFixture[str], store: Path, log: Path, *options: str) -> str:
    """The one line of the refusal; the store is byte for byte as it was."""
    before = content(store)
    capsys.readouterr()
    assert main(["fit", str(log), "--store", str(store), *FAST, *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("traitcore: error: ")
    assert err.count("\n") == 1
    assert len(err) < 700
    assert content(store) == before
    return err


CASES: dict[str, tuple[str | bytes, str]] = {
    "missing column": ("user,timestamp,action,item_id\n" + row(), "column 'user_id', wanted as user, is missing"),
    "empty file": ("", "log.csv is empty"),
    "header only": (HEAD, "log.csv has no rows"),
    "non-numeric timestamp": (HEAD + row("1735725600") * 2 + row("yesterday"), "line 4: column 'timestamp'"),
    "mixed formats": (HEAD + row("1735725600") * 2 + row("2025-01-01T10:00:00"), "line 4: column 'timestamp'"),
    "negative timestamp": (HEAD + row("-5") + row("5"), "line 2: column 'timestamp'"),
    "year 50000": (HEAD + row("1735725600") * 3 + row("1515690000000"), "line 5: column 'timestamp'"),
    "null user": (HEAD + row() + row(user=""), "line 3: column 'user_id' is null"),
    "null item": (HEAD + row() + row(item=""), "line 3: column 'item_id' is null"),
    "invalid UTF-8": (HEAD.encode() + row().encode() + b"u\xff\xfe,2025-01-01T10:00:00,view,i1\n", "UTF-8"),
    "too few fields": (HEAD + row() + "u1,2025-01-01T10:00:00\n", "line 3"),
    "one event": (HEAD + row(), "min_length"),
    "every session too short": (HEAD + row() + row("2025-01-02T10:00:00"), "min_length"),
    "all rare": (GOOD, "min_count"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_csv(name: str, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, message = CASES[name]
    log = tmp_path / "log.csv"
    log.write_bytes(text if isinstance(text, bytes) else text.encode())
    options = ("--min-count", "1000") if name == "all rare" else ()
    assert message in refused(capsys, published, log, *options)


def test_no_such_file_a_folder_and_no_right_to_read(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "none.csv" in refused(capsys, published, tmp_path / "none.csv")
    assert str(tmp_path) in refused(capsys, published, tmp_path)


def test_a_line_without_end(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.csv"
    with open(log, "w", encoding="utf-8") as file:
        file.write(HEAD + row())
        for _ in range(100):
            file.write("x" * 1_000_000)
    refused(capsys, published, log)


def test_a_packed_file_cut_short(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.csv.gz"
    packed = gzip.compress(GOOD.encode())
    log.write_bytes(packed[: len(packed) // 2])
    assert "log.csv.gz is damaged or cut short" in refused(capsys, published, log)


# -- Parquet -----------------------------------------------------------------------------------------------------------


def write_parquet(path: Path, users: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    n = len(users)
    columns = {"user_id": users, "timestamp": pa.array(range(n)), "action": ["view"] * n, "item_id": ["i"] * n}
    parquet.write_table(pa.table(columns), path)


def test_nested_parquet(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path / "log.parquet", [[1, 2], [3]])
    assert "user" in refused(capsys, published, tmp_path / "log.parquet")


def test_parquet_cut_short(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    write_parquet(whole, ["a", "b"] * 500)
    cut.write_bytes(whole.read_bytes()[:-40])
    assert "cut.parquet" in refused(capsys, published, cut)


def test_sql_that_is_none(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path / "log.parquet", ["a", "b"])
    assert "log.parquet" in refused(capsys, published, tmp_path / "log.parquet", "--action", "CASE WHEN")


# -- what is odd but fine ----------------------------------------------------------------------------------------------


def fit(log: Path, store: Path, text: str, *options: str) -> TableStore:
    log.write_text(text, encoding="utf-8", newline="")
    assert main(["fit", str(log), "--store", str(store), *FAST, *options]) == 0
    return TableStore(store)


@pytest.mark.filterwarnings("ignore:.* keeps no pair of so few items")
def test_ids_with_commas_quotes_newlines_emoji_case_and_zeros(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = ['a,b', 'say "x"', "two\nlines", "🛒", "Shoe", "shoe", "1", "01"]
    lines = ['"' + item.replace('"', '""') + '"' for item in odd]
    text = HEAD + "".join(f"u{u},2025-01-01T10:0{k}:00,view,{item}\n" for u in range(5) for k, item in enumerate(lines))
    store = fit(tmp_path / "log.csv", tmp_path / "store", text, "--customers", "none")
    assert sorted(store.open("items").ids.tolist()) == sorted(odd)
    capsys.readouterr()
    assert main(["similar", "view_two\nlines", "--store", str(tmp_path / "store")]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("view_two\\nlines")
    assert len(out.splitlines()) == 1 + 1 + 7


@pytest.mark.filterwarnings("ignore:.* keeps no pair of so few items")
def test_duplicates_are_counted_and_one_user_or_item_is_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEAD + "".join(row(t) * 2 for t in TIMES)
    fit(tmp_path / "log.csv", tmp_path / "store", text, "--n-traits", "1")
    out = capsys.readouterr().out
    assert f"{len(TIMES):,} exact duplicates are kept" in out
    assert main(["traits", "--store", str(tmp_path / "store")]) == 0
    assert "1 traits of 1 customers" in capsys.readouterr().out


def test_bad_rows_set_aside_are_reported_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejects = tmp_path / "rejects.csv"
    text = GOOD + row(user="") + row("soon") + row(user="")
    fit(tmp_path / "log.csv", tmp_path / "store", text, "--rejects", str(rejects))
    out = capsys.readouterr().out
    first = len(GOOD.splitlines()) + 1
    assert f"set aside 2: column 'user_id' is null (line {first}, {first + 2})" in out
    assert f"(line {first + 1})" in out
    assert len(rejects.read_text(encoding="utf-8").splitlines()) == 4


# -- the disk ----------------------------------------------------------------------------------------------------------


def test_disk_full_while_publishing(published: Path, tmp_path: Path) -> None:
    """A real process that may not write files past 2 kB: every write beyond fails as on a full disk."""
    log = tmp_path / "log.csv"
    log.write_text(GOOD, encoding="utf-8")
    before = content(published)

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    run = subprocess.run(
        [sys.executable, "-B", "-m", "traitcore", "fit", str(log), "--store", str(published), *FAST],
        capture_output=True, text=True, check=False, preexec_fn=limit,  # the JIT's cache is warm: `published` used it
    )
    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith("traitcore: error: ")
    assert run.stderr.count("\n") == 1
    assert "was not published" in run.stderr
    assert content(published) == before


@pytest.mark.parametrize("write", [lambda p: ["simulate", p], lambda p: ["simulate", "/dev/null", "--catalogue", p]])
def test_simulate_where_it_cannot_write(
    write: Callable[[str], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*write(str(tmp_path / "none" / "out.csv")), "--users", "5", "--items", "8", "--traits", "2"]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "No such file or directory" in err
