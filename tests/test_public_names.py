"""The public names: the stub that editors read offers what the lazy table loads."""

from __future__ import annotations

import ast
import contextlib
import inspect
from collections.abc import Iterator
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


# One word for one thing in all public signatures. A word on the left is never a parameter: the one on the right is.
INSTEAD = {
    "seqs": "sequences", "corpus": "sequences", "documents": "sequences", "topn": "k", "top_k": "k", "n_top": "k",
    "n_neighbours": "n_neighbors", "n_epochs": "epochs", "iter": "epochs", "iterations": "max_iter",
    "n_iterations": "max_iter", "vocab": "vocabulary", "n_jobs": "workers", "n_workers": "workers",
    "threads": "workers", "num_threads": "workers", "rng": "seed", "callback": "progress", "verbose": "progress",
    "dim": "vector_size", "dimensions": "vector_size", "size": "vector_size", "eps": "tol",
    "allow": "allowed", "deny": "exclude", "excluded": "exclude",
    "timestamps": "timestamps_us", "timestamp_column": "timestamp", "user_column": "user", "item_column": "item",
    "n_factors": "n_components", "rank": "n_components", "num_walks": "n_walks", "catalog": "catalogue",
    "random_seed": "seed",
}
# Words that have one default wherever they have any.
DEFAULTS = {
    "progress": {None}, "workers": {1}, "random_state": {0}, "seed": {0, None}, "vector_size": {64},
    "ns_exponent": {0.75}, "context_smoothing": {0.75}, "max_iter": {200}, "init": {"nndsvda", "svd"},
    "metric": {"cosine"}, "gap_seconds": {1800}, "min_length": {1, 2}, "p": {1.0}, "q": {1.0}, "n_walks": {10},
}


def signatures() -> Iterator[tuple[str, inspect.Signature]]:
    """Every public function, class and method of ours, with its signature."""
    for name in traitcore.__all__:
        thing = getattr(traitcore, name)
        if not callable(thing) or (isinstance(thing, type) and issubclass(thing, (Exception, Warning))):
            continue
        members = [(name, thing)]
        if isinstance(thing, type):
            ours = [m for m in dir(thing) if not m.startswith("_") and callable(getattr(thing, m))]
            ours = [m for m in ours if getattr(getattr(thing, m), "__module__", "").startswith("traitcore")]
            members += [(f"{name}.{member}", getattr(thing, member)) for member in ours]
        for title, function in members:
            with contextlib.suppress(ValueError, TypeError):
                yield title, inspect.signature(function)


def test_parameters_are_called_by_one_word() -> None:
    found = list(signatures())
    assert len(found) > 150
    wrong = [
        f"{title}({parameter}=): {INSTEAD[parameter]}"
        for title, signature in found for parameter in signature.parameters if parameter in INSTEAD
    ]
    assert wrong == []
    # Models of sequences and simulators take a seed, models of matrices and measurements a random_state.
    both = [title for title, signature in found if {"seed", "random_state"} <= set(signature.parameters)]
    assert both == []


def test_a_word_has_one_default() -> None:
    given: dict[str, set[object]] = {word: set() for word in DEFAULTS}
    for _, signature in signatures():
        for word, parameter in signature.parameters.items():
            if word in DEFAULTS and parameter.default is not inspect.Parameter.empty:
                given[word].add(parameter.default)
    assert given == DEFAULTS
