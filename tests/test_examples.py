"""Every public name has an example in its docstring, and the examples are right."""

from __future__ import annotations

import doctest
import inspect
import sys

import pytest

import traitcore as tc

# Exceptions and warnings, results that functions return, and what is an example by itself.
WITHOUT = {"__version__", "get_cmake_dir", "get_include"}
NAMES = [
    name
    for name in tc.__all__
    if name not in WITHOUT
    and not (inspect.isclass(getattr(tc, name)) and issubclass(getattr(tc, name), BaseException))
]


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_public_name_runs(name: str) -> None:
    value = getattr(tc, name)
    module = sys.modules[value.__module__]
    tests = [t for t in doctest.DocTestFinder(recurse=True).find(value, name, module=module) if t.examples]
    assert tests, f"{name} has no example"
    for test in tests:
        failures: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        runner.run(test, out=failures.append, clear_globs=False)
        assert not runner.failures, "".join(failures)
