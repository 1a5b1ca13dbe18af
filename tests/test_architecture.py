"""The house as a test: rooms import only from rooms to their left, and the face imports nothing early."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import traitcore

PACKAGE = Path(traitcore.__file__).parent
ROOMS = ["events", "factorization", "items", "customers", "serving", "quality", "pipeline", "cli"]
GROUND = {
    "_errors", "_frames", "_validate", "_params", "_transformer", "_parallel", "_rows", "_kernels", "_core",
    "_progress", "_files", "_protocols",
}  # fmt: skip
# What the ground floor may import of ours: kernels and the native core nothing but themselves.
GROUND_MAY = {
    "_validate": {"_errors", "_frames", "_transformer"},
    "_frames": set(),
    "_transformer": {"_errors", "_frames", "_params", "_validate"},
    "_params": {"_errors"},
    "_parallel": {"_errors"},
    "_kernels": {"_kernels"},
    "_progress": {"_errors"},
    "_protocols": {"_progress"},
}


def imports_of(path: Path) -> set[str]:
    """Top-level names inside traitcore that a module imports, anywhere in it, lazily or not."""
    package = list(path.relative_to(PACKAGE).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                parts = base + (node.module.split(".") if node.module else [])
                found |= {parts[0]} if parts else {alias.name for alias in node.names}
            elif node.module and node.module.split(".")[0] == "traitcore":
                parts = node.module.split(".")[1:]
                found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "traitcore" and len(parts) > 1}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_left(path: Path) -> None:
    room = room_of(path)
    imported = imports_of(path) - {"__version__", "get_include"}
    if room == "__main__":
        assert imported <= {"cli"}
    elif room in GROUND:
        assert imported <= GROUND_MAY.get(room, set())
    else:
        allowed = set(ROOMS[: ROOMS.index(room) + 1]) | GROUND
        assert imported <= allowed, f"{room} reaches to its right: {sorted(imported - allowed)}"


# Each native kernel has one Python module that calls it.
CALLERS_OF_THE_CORE = {
    "events/ids.py", "factorization/eigen.py", "factorization/engine.py", "factorization/products.py", "items/sgns.py",
    "customers/pooling.py", "serving/neighbors.py",
}  # fmt: skip


def test_only_these_modules_import_the_native_core() -> None:
    assert {str(p.relative_to(PACKAGE)) for p in MODULES if "_core" in imports_of(p)} == CALLERS_OF_THE_CORE


def test_no_kernel_uses_parallel_numba() -> None:
    for path in (PACKAGE / "_kernels").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "parallel":
                raise AssertionError(f"{path.name}:{node.value.lineno} sets parallel=")


def test_import_is_cheap_and_quiet() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import traitcore; t = time.perf_counter() - start;"
        "heavy = {'numba', 'scipy', 'numpy', 'llvmlite'} & set(sys.modules); print(t, sorted(heavy))"
    )
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split(maxsplit=1)
    assert out[1].strip() == "[]"


def test_every_name_of_the_face_resolves() -> None:
    for name in traitcore.__all__:
        assert getattr(traitcore, name) is not None
    assert set(traitcore.__all__) <= set(dir(traitcore))
