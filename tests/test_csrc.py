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


def check_example(program: Path, folder: Path) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(1500):
        home = rng.integers(5)
        lines.append(" ".join(str(10 * home + i) for i in rng.integers(0, 10, rng.integers(2, 9))))
    (folder / "sequences.txt").write_text("\n".join(lines) + "\n")
    printed = run(program, folder / "sequences.txt", folder / "vectors.txt").splitlines()
    losses = [float(line.split()[3]) for line in printed]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    vectors = np.loadtxt(folder / "vectors.txt")[:, 1:]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = vectors @ vectors.T - 2 * np.eye(50)
    nearest = np.argsort(-scores, axis=1)[:, :9]
    assert (nearest // 10 == np.arange(50)[:, None] // 10).mean() > 0.95
    missing = subprocess.run([program, folder / "no.txt", folder / "v.txt"], capture_output=True, text=True)
    assert missing.returncode == 1
    assert "cannot read" in missing.stderr


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
