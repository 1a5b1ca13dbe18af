"""numba kernels: serial, GIL-free, arrays in, arrays out. No checks, no classes, no globals.

Never `parallel=True`: numba's parallel layers abort or deadlock in a host process that threads or forks;
`traitcore._parallel` drives these kernels over blocks of rows instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(**options: Any) -> Callable[[F], F]:
    """`numba.njit(nogil=True, cache=True, ...)`; where the cache can't be written, compiled without being kept."""

    def decorate(function: F) -> F:
        try:
            made: Any = numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba raises at decoration when it finds no place for its cache
            return numba.njit(nogil=True, **options)(function)  # type: ignore[no-any-return]
        made._cache.save_overload = _forgiving(made._cache.save_overload)
        return made  # type: ignore[no-any-return]

    return decorate


def _forgiving(save: Callable[..., None]) -> Callable[..., None]:
    """A full disk or a quota stops the keeping of what was compiled, not its use; numba would raise from the call."""

    def save_overload(*args: Any) -> None:
        with contextlib.suppress(OSError):
            save(*args)

    return save_overload
