"""The C++ core without Python: the example through CMake's target, and with the headers of an installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import traitcore as tc

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
COMPILER = os.environ.get("CXX", "c++").split()

HEADERS = sorted(str(p.relative_to(CSRC / "include")) for p in (CSRC / "include").rglob("*.hpp"))
HEADERS.remove("traitcore/simd/foreach_level.hpp")  # includes a kernel, which its includer names

pytestmark = pytest.mark.skipif(shutil.which(COMPILER[-1]) is None, reason="no C++ compiler")


def run(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(program: Path, log: Path, vectors: Path) -> str:
    done = subprocess.run([program, log, vectors], capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def check_example(program: Path, folder: Path) -> None:
    rng = np.random.default_rng(0)
    events = []
    for session in range(1500):
        home, start = rng.integers(5), 86_400 * (session // 300)
        items = rng.integers(0, 10, rng.integers(2, 9)).tolist()
        events += [f"user{session % 300} {start + 60 * i} item{10 * home + item}" for i, item in enumerate(items)]
    log, vectors = folder / "log.txt", folder / "vectors.txt"
    log.write_text("\n".join(rng.permutation(events).tolist()) + "\n")
    first, *printed = run(program, log, vectors).splitlines()
    assert first == f"{len(events)} events, 1500 sessions, 50 items"
    losses = [float(line.split()[3]) for line in printed]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    rows = [line.split() for line in vectors.read_text().splitlines()]
    homes = np.array([int(row[0].removeprefix("item")) // 10 for row in rows])
    found = np.array([row[1:] for row in rows], dtype=float)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    nearest = np.argsort(2 * np.eye(50) - found @ found.T, axis=1)[:, :9]
    assert (homes[nearest] == homes[:, None]).mean() > 0.95
    assert "cannot read" in refused(program, folder / "no.txt", vectors)
    for text, words in (
        ("", "no event in"), ("1 99999999999\n", "line 1: no item: 1 99999999999"),
        ("u 5 i\nu 6.5 i\n", "line 2: not a time in whole seconds"),
        ("u 5 i 7\n", "line 1: more than user, time and item"), ("u 99999999999999 i\n", "within 30,000 years"),
        ("u 5 i\nv 6 i\n", "no session of two events or more"),
    ):
        (folder / "bad.txt").write_text(text)
        assert words in refused(program, folder / "bad.txt", vectors)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="no CMake")
def test_example_through_cmake(tmp_path: Path) -> None:
    run("cmake", "-S", CSRC, "-B", tmp_path, "-DTRAITCORE_EXAMPLES=ON", "-DCMAKE_CXX_FLAGS=-O1")
    run("cmake", "--build", tmp_path)
    check_example(tmp_path / "embed", tmp_path)


def test_example_with_the_headers_of_an_installed_package(tmp_path: Path) -> None:
    # What an install puts beside the package, made by the package's own build step; the package is used from there.
    code = (
        "import sys; from setuptools.dist import Distribution; sys.argv = ['setup.py', '-q', 'build_py', '-d', r'%s'];"
        "import runpy; runpy.run_path('setup.py', run_name='__main__')"
    )
    copy = tmp_path / "checkout"
    shutil.copytree(
        ROOT,
        copy,
        ignore=lambda _, names: [n for n in names if n.startswith(".") or n in ("build", "tests", "benchmarks")],
    )
    installed = tmp_path / "installed"
    subprocess.run([sys.executable, "-c", code % installed], cwd=copy, check=True, capture_output=True)
    include = run(sys.executable, "-c", f"import sys; sys.path.insert(0, r'{installed}'); import traitcore;"
                  "print(traitcore.get_include())").strip()
    assert Path(include) == installed / "traitcore" / "include"
    program = tmp_path / "embed"
    run(*COMPILER, "-std=c++17", "-O1", "-pthread", f"-I{include}", CSRC / "examples" / "embed.cpp", "-o", program)
    check_example(program, tmp_path)


@pytest.mark.parametrize("header", HEADERS)
def test_header_stands_alone(header: str, tmp_path: Path) -> None:
    (tmp_path / "empty.cpp").touch()
    run(*COMPILER, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{tc.get_include()}",
        "-include", header, tmp_path / "empty.cpp")


def test_headers_stand_together(tmp_path: Path) -> None:
    """No two headers give one name to two things."""
    (tmp_path / "all.cpp").write_text("".join(f"#include <{header}>\n" for header in HEADERS))
    run(*COMPILER, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{tc.get_include()}",
        tmp_path / "all.cpp")
