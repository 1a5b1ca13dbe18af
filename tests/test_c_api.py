"""The C++ core installed: found by CMake from a prefix and from the package, and called as plain C through ctypes."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tomllib
from ctypes import c_double, c_int32, c_int64, c_uint64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traitcore as tc

CSRC = Path(__file__).resolve().parent.parent / "csrc"
COMPILER = os.environ.get("CXX", "c++").split()[-1]
pytestmark = pytest.mark.skipif(not shutil.which("cmake") or not shutil.which(COMPILER), reason="no CMake or compiler")
RNG = np.random.default_rng(0)
OK, BAD = 0, 1


def run(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cmake")
    run("cmake", "-S", CSRC, "-B", folder / "build", "-DTRAITCORE_C_API=ON", "-DCMAKE_CXX_FLAGS=-O1 -Wall -Wextra",
        f"-DCMAKE_INSTALL_PREFIX={folder / 'prefix'}", "-DCMAKE_BUILD_TYPE=None")
    run("cmake", "--build", folder / "build")
    run("cmake", "--install", folder / "build")
    return folder / "prefix"


@pytest.fixture(scope="module")
def library(prefix: Path) -> Any:
    loaded = ctypes.CDLL(str(next((prefix / "lib").glob("libtraitcore_c.*"))))
    loaded.traitcore_version.restype = loaded.traitcore_last_error.restype = ctypes.c_char_p
    return loaded


def pointer(array: Any) -> Any:
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


def test_versions_agree(library: Any) -> None:
    header = (CSRC / "include" / "traitcore" / "version.hpp").read_text()
    numbers = re.findall(r"VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    assert ".".join(numbers) == tc.__version__
    assert library.traitcore_version().decode() == tc.__version__
    assert library.traitcore_abi() == 1
    project = tomllib.loads((CSRC.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == tc.__version__


@pytest.mark.parametrize("installed", [True, False], ids=["from a prefix", "from the package"])
def test_find_package(prefix: Path, tmp_path: Path, installed: bool) -> None:
    where = f"-DCMAKE_PREFIX_PATH={prefix}" if installed else f"-Dtraitcore_DIR={tc.get_cmake_dir()}"
    run("cmake", "-S", CSRC / "examples" / "find_package", "-B", tmp_path, where, "-DCMAKE_CXX_FLAGS=-O0")
    run("cmake", "--build", tmp_path)
    assert run(tmp_path / "neighbours") == f"traitcore {tc.__version__}: 1 3 2\n"


def test_another_version_is_not_found(prefix: Path, tmp_path: Path) -> None:
    for wanted in ("0.2", "9", "0.1.99"):
        (tmp_path / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.14)\nproject(x NONE)\nfind_package(traitcore {wanted} REQUIRED)\n"
        )
        done = subprocess.run(
            ["cmake", "-S", tmp_path, "-B", tmp_path / wanted, f"-DCMAKE_PREFIX_PATH={prefix}"], capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        assert "compatible with requested version" in " ".join(done.stderr.split())


def test_the_header_is_plain_c(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        '#include <traitcore/c_api.h>\n#include <string.h>\n'
        "int main(void) { return strcmp(traitcore_version(), \"" + tc.__version__ + '") != 0; }\n'
    )
    lists = ("cmake_minimum_required(VERSION 3.14)\nproject(x C CXX)\nset(CMAKE_C_STANDARD 99)\n"
             "find_package(traitcore REQUIRED)\nadd_executable(x main.c)\ntarget_link_libraries(x traitcore::c)\n")
    (tmp_path / "CMakeLists.txt").write_text(lists)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror")
    run("cmake", "--build", tmp_path / "b")
    run(tmp_path / "b" / "x")


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_top_k(library: Any, metric: str) -> None:
    queries, vectors = (RNG.normal(size=(n, 13)).astype(np.float32) for n in (7, 230))
    vectors[5] = 0
    rows, scores = np.empty((7, 9), np.int64), np.empty((7, 9), np.float32)
    code = library.traitcore_top_k(
        pointer(queries), c_int64(7), pointer(vectors), c_int64(230), c_int64(13), c_int64(9),
        ["cosine", "dot", "euclidean"].index(metric), 2, pointer(rows), pointer(scores),
    )
    assert code == OK, library.traitcore_last_error()
    expected, wanted = tc.top_k(queries, vectors, 9, metric=metric)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, wanted, rtol=1e-6, atol=1e-6)


def test_fold_in(library: Any) -> None:
    X = RNG.normal(size=(50, 21)).astype(np.float32)
    for scale, H in ((1, RNG.normal(size=(5, 21))), (1e12, RNG.random((17, 21))), (1e-20, np.ones((3, 21)))):
        H = (H * scale).astype(np.float32)
        W = np.empty((50, len(H)), np.float32)
        code = library.traitcore_fold_in(
            pointer(X), c_int64(50), c_int64(21), pointer(H), c_int64(len(H)), c_double(1e-6), 400, 3, pointer(W)
        )
        assert code == OK, library.traitcore_last_error()
        expected = tc.solve_weights(X, H, tol=1e-6, max_iter=400)
        assert (W >= 0).all()
        # Equal components share their weight in any way: what can be compared are the rows that they make.
        np.testing.assert_allclose(W @ H, expected @ H, rtol=1e-3, atol=1e-4)
    W = np.empty((50, 2), np.float32)
    nothing = np.zeros((2, 21), np.float32)
    assert library.traitcore_fold_in(
        pointer(X), c_int64(50), c_int64(21), pointer(nothing), c_int64(2), c_double(1e-6), 9, 1, pointer(W)
    ) == OK
    assert not W.any()


def test_pool(library: Any) -> None:
    sequences = tc.Sequences.from_lists([RNG.integers(0, 30, RNG.integers(0, 9)).tolist() for _ in range(20)])
    vectors = RNG.normal(size=(30, 6)).astype(np.float32)
    weights = RNG.random(30).astype(np.float32)
    pooled = np.empty((20, 6), np.float32)
    for given in (None, weights):
        code = library.traitcore_pool(
            pointer(sequences.tokens), pointer(sequences.offsets), c_int64(20), pointer(vectors), c_int64(30),
            c_int64(6), pointer(given), pointer(pooled),
        )
        assert code == OK, library.traitcore_last_error()
        for row, one in enumerate(sequences):
            mass = np.ones(len(one)) if given is None else given[one].astype(np.float64)
            mean = mass @ vectors[one] / mass.sum() if len(one) else np.zeros(6)
            np.testing.assert_allclose(pooled[row], mean, rtol=1e-5, atol=1e-6)


def sgns(library: Any, sequences: tc.Sequences, **changes: Any) -> tuple[int, Any, Any]:
    given = {"n_items": 40, "size": 12, "window": 3, "negative": 5, "epochs": 6, "alpha": 0.05} | changes
    items, loss = np.empty((40, 12), np.float32), np.empty(6)
    tokens = changes.get("tokens", sequences.tokens)
    code = library.traitcore_train_sgns(
        pointer(tokens), pointer(changes.get("offsets", sequences.offsets)), c_int64(len(sequences)),
        c_int64(given["n_items"]), c_int64(given["size"]), c_int64(given["window"]), given["negative"], given["epochs"],
        c_double(given["alpha"]), c_double(0), c_double(0.75), c_uint64(3), changes.get("workers", 1),
        pointer(items), None,
        pointer(loss),
    )
    return code, items, loss


def test_train_sgns(library: Any) -> None:
    groups = [RNG.integers(0, 4) for _ in range(1500)]
    sequences = tc.Sequences.from_lists([(10 * g + RNG.integers(0, 10, 6)).tolist() for g in groups])
    code, items, loss = sgns(library, sequences)
    assert code == OK, library.traitcore_last_error()
    assert loss[-1] < loss[0]
    rows, _ = tc.top_k(items, items, 9, exclude=np.arange(40)[:, None])
    assert (rows // 10 == np.arange(40)[:, None] // 10).mean() > 0.95
    np.testing.assert_array_equal(sgns(library, sequences, workers=3)[1], items)


def test_bad_arguments_are_refused(library: Any) -> None:
    sequences = tc.Sequences.from_lists([[0, 1, 2], [3, 4]])
    for changes, said in (
        ({"n_items": 4}, "tokens must be in [0, n)"), ({"n_items": 0}, "n_items"), ({"size": 0}, "vector_size"),
        ({"size": 2**62}, "vector_size"), ({"window": -1}, "window"), ({"negative": 0}, "negative"),
        ({"epochs": 0}, "epochs"), ({"alpha": float("nan")}, "alpha"), ({"tokens": None}, "tokens must not be NULL"),
        ({"offsets": None}, "offsets"),
        ({"offsets": np.array([0, 4, 2], dtype=np.int64)}, "offsets must not fall"),
        ({"offsets": np.array([1, 3, 5], dtype=np.int64)}, "begin at 0"),
        ({"offsets": np.array([0, 0, 0], dtype=np.int64)}, "tokens to train on"),
        ({"tokens": np.array([0, 1, -2, 3, 4], dtype=np.int32)}, "tokens must be in"),
    ):
        assert sgns(library, sequences, **changes)[0] == BAD, changes
        message = library.traitcore_last_error().decode()
        assert message.startswith("traitcore_train_sgns: ")
        assert said in message, message
    nan = np.full((1, 2), np.nan, np.float32)
    rows, scores = np.empty((1, 1), np.int64), np.empty((1, 1), np.float32)
    for queries, vectors, metric in ((nan, nan + 1, 0), (np.ones((1, 2), np.float32), nan, 1), (None, nan, 0)):
        assert library.traitcore_top_k(
            pointer(queries), c_int64(1), pointer(vectors), c_int64(1), c_int64(2), c_int64(1), metric, 1,
            pointer(rows), pointer(scores),
        ) == BAD
    wild = np.full((1, 2), 1e30, np.float32)
    assert library.traitcore_top_k(
        pointer(wild), c_int64(1), pointer(wild), c_int64(1), c_int64(2), c_int64(1), 0, c_int32(1), pointer(rows),
        pointer(scores),
    ) == BAD
    assert "norms" in library.traitcore_last_error().decode()
