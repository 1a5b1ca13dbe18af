"""Exceptions and warnings, and the shared form of error message."""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any


class NotFittedError(ValueError, AttributeError):
    """A method that needs learned state was called before `fit`."""


class TableError(ValueError):
    """A published table, index or store is damaged, missing, or not what the caller asked for."""


class GuardrailError(TableError):
    """The guardrails failed what was to be published, and nobody forced it; nothing was changed.

    `report` is the verdict as a mapping: "status", "reasons", figures.
    """

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = dict(report or {})


@contextlib.contextmanager
def as_table_error(what: str) -> Iterator[None]:
    """Turn an OSError into a TableError naming the operation that failed."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise TableError(f"{what}: {error.strerror or error}{place}.") from error


class InputError(ValueError):
    """An event log can't be read: the message names the file, the column and the line."""


class MissingColumnError(InputError):
    """A log has no column for a role. `problem` says which; the message adds what a caller in Python may do."""

    def __init__(self, role: str, problem: str) -> None:
        super().__init__(role, problem)
        self.role, self.problem = role, problem

    def __str__(self) -> str:
        advice = f"{self.role}='NAME' names another one"
        if self.role != "item":
            advice += f"; {self.role}=None says that there is none"
        if self.role == "action":
            advice += "; action=None, action_value='buy' that every event is a buy"
        return f"{self.problem} {advice}."


class ConvergenceWarning(UserWarning):
    """An estimator stopped at its limit of iterations; what it learned is usable, but not to the tolerance."""


# Who is named in messages, and its names for the parameters of the functions that it calls.
_CALLER: ContextVar[tuple[str, dict[str, str]] | None] = ContextVar("caller", default=None)


@contextlib.contextmanager
def on_behalf_of(caller: str, **names: str) -> Iterator[None]:
    """Messages made inside name `caller`, not the function that found the fault: a user of NMF never called
    `factorize_nonnegative`. `names` gives the caller's name of a parameter that is called otherwise inside. Of nested
    callers the outermost is named. Also a decorator.
    """
    before = _CALLER.get()
    if before is not None:
        caller = before[0]
        names = {inside: before[1].get(name, name) for inside, name in names.items()} | before[1]
    token = _CALLER.set((caller, names))
    try:
        yield
    finally:
        _CALLER.reset(token)


def parameter_message(name: str, caller: str, rule: str, got: object) -> str:
    """The shared message, e.g. "The 'window' parameter of Item2Vec must be an int in [1, inf). Got 0 instead."."""
    shown = repr(got)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    if (known := _CALLER.get()) is not None:
        caller, name = known[0], known[1].get(name, name)
    return f"The '{name}' parameter of {caller} must be {rule}. Got {shown} instead."


def not_fitted(message: str) -> NotFittedError:
    """The error to raise: scikit-learn's NotFittedError too, where scikit-learn is loaded."""
    error: NotFittedError = _also_theirs(NotFittedError)(message)
    return error


def warn_not_converged(message: str, *, stacklevel: int) -> None:
    """A ConvergenceWarning: scikit-learn's too, where it is loaded, so that its users' filters work."""
    warnings.warn(message, _also_theirs(ConvergenceWarning), stacklevel=stacklevel + 1)


def _also_theirs(ours: type[Any]) -> type[Any]:
    # Who catches or filters scikit-learn's class has loaded it, so there is never a reason to import it here.
    theirs = getattr(sys.modules.get("sklearn.exceptions"), ours.__name__, None)
    return ours if theirs is None else _both(ours, theirs)  # type: ignore[arg-type]


@functools.cache
def _both(ours: Any, theirs: Any) -> type[Any]:
    """A class of both; its instances are pickled as ours, which needs no scikit-learn to be read."""
    members = {"__module__": ours.__module__, "__doc__": ours.__doc__, "__reduce__": lambda self: (ours, self.args)}
    return type(ours.__name__, (ours, theirs), members)
