"""The public names: the stub that editors read offers what the lazy table loads."""

from __future__ import annotations

import ast
from pathlib import Path

import traitcore

STUB = Path(traitcore.__file__).with_name("__init__.pyi")

def test_the_stub_offers_what_the_lazy_table_loads() -> None:
    offered: dict[str, tuple[str, ...]] = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            assert all(alias.asname == alias.name for alias in node.names), "a stub re-exports `X as X` only"
            offered[str(node.module)] = tuple(alias.name for alias in node.names)
    assert offered == traitcore._PUBLIC_NAMES
