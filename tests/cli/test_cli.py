"""The command line as a whole: usage, exit codes, JSON whatever happens, interrupts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.command_line import FAST, refused
from traitcore.cli import main


def test_usage_errors_are_2_and_help_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["nonsense"]) == 2
    assert main(["fit"]) == 2
    assert main(["fit", "x.csv", "--epochs", "many"]) == 2
    assert main(["--version"]) == 0
    capsys.readouterr()
    for command in ("demo", "simulate", "fit", "prepare", "verify-run", "similar", "traits", "customer", "recommend",
                    "report", "follow", "evaluate", "store", "index", "export", "forget"):
        assert main([command, "--help"]) == 0
        assert command in capsys.readouterr().out


def test_exit_codes_and_json_whatever_happens(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, store = str(folder / "events.csv"), str(tmp_path / "store")

    def run(*argv: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = main([*argv, "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    code, found, _ = run("fit", log, "--store", store, *FAST)
    assert (code, found["release"]) == (0, "r000001")
    code, found, err = run("similar", "no such token", "--store", store)
    assert (code, found["exit_code"]) == (1, 1)
    assert "no such token" in found["error"]["message"]
    assert found["error"]["message"] in err
    for words in (
        ["fit"], ["nonsense"], ["similar", "x", "--index", "a", "--next"], ["store", "rollback", "--version", "v1"],
        ["store", "rollback", "items", "--release", "r000001"],
    ):
        code, found, _ = run(*words)
        assert (code, found["exit_code"], found["error"]["type"]) == (2, 2, "UsageError"), words
    few = (*FAST, "--min-count", "120")
    code, found, _ = run("fit", log, "--store", store, *few)
    assert (code, found["exit_code"], found["error"]["type"]) == (3, 3, "GuardrailError")
    assert found["error"]["report"]["status"] == "fail"
    assert run("store", "list", "--store", store)[1]["releases"][-1]["name"] == "r000001"  # nothing was published
    code, found, _ = run("fit", log, "--store", store, *few, "--force", "only what sells")
    assert (code, found["release"]) == (4, "r000002")
    shown = run("store", "show", "--store", store)[1]
    assert (shown["name"], shown["parent"], shown["forced"]["reason"]) == ("r000002", "r000001", "only what sells")
    assert shown["parameters"]["min_count"] == 120
    assert [stage["name"] for stage in shown["run"]["stages"]][:1] == ["sessions"]
    assert run("store", "show", "--release", "r000001", "--store", store)[1]["tables"]["items"]["version"] == "v000001"
    capsys.readouterr()
    for words in (["fit", log, "--store", store, *few], ["store", "rollback", "--store", store],
                  ["store", "prune", "--keep", "2", "--store", store]):
        assert main([*words, "--quiet"]) in (0, 4)
        assert capsys.readouterr() == ("", "")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ask = ["traits", "--store", str(tmp_path / "x")]
    for argv in (["--debug", *ask], [*ask, "--debug"]):
        with pytest.raises(ValueError, match="There is no store"):
            main(argv)


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("traitcore.pipeline.fit_pipeline", stop)
    log, store = str(folder / "events.csv"), str(folder / "never")
    assert "interrupted" in refused(capsys, "fit", log, "--store", store, code=130)
    assert not (folder / "never").exists()


def test_a_closed_pipe_and_a_full_disk(folder: Path) -> None:
    command = f"{sys.executable} -m traitcore traits --store {folder / 'store'}"
    head = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} -k 10 | head -1"], capture_output=True, text=True, check=False
    )
    assert head.stderr == ""
    assert head.stdout.startswith("3 traits of")
    if os.path.exists("/dev/full"):
        full = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True, check=False)
        assert full.returncode == 1
        assert full.stderr == "traitcore: error: No space left on device\n"


def test_help_does_not_load_the_library() -> None:
    code = (
        "import sys; from traitcore.cli import main; main(['fit', '--help']); "
        "print(sorted({'numba', 'scipy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().splitlines()[-1] == "[]"
