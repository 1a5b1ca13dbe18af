"""numba kernels: serial, GIL-free, arrays in, arrays out. No checks, no classes, no globals.

Never `parallel=True`: numba's parallel layers abort or deadlock in a host process that threads or forks;
`traitcore._parallel` drives these kernels over blocks of rows instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(**options: Any) -> Callable[[F], F]:
    """`numba.njit(nogil=True, cache=True, ...)`, without the cache where no cache directory is writable."""

    def decorate(function: F) -> F:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # numba raises at decoration when it finds no place for its cache
            return numba.njit(nogil=True, **options)(function)  # type: ignore[no-any-return]

    return decorate
