"""numba kernels: serial, GIL-free, arrays in, arrays out. No checks, no classes, no globals.

Never `parallel=True`: numba's parallel layers abort or deadlock in a host process that threads or forks;
`traitcore._parallel` drives these kernels over blocks of rows instead.

numba is imported when the first kernel is called: that takes half a second, and most callers of the modules that use
kernels here and there never call one.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_LOCK = threading.RLock()


class Deferred:
    """A function that `make` turns into what numba calls, when it is first called itself."""

    def __init__(self, function: Callable[..., Any], make: Callable[[Callable[..., Any]], Any]) -> None:
        self.function, self.make, self.made = function, make, None
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return (self.made or self.resolve())(*args)

    def resolve(self) -> Any:
        """Made, after the functions that it calls by their global names, which numba must find made."""
        with _LOCK:
            if self.made is None:
                names = self.function.__globals__
                for name in self.function.__code__.co_names:
                    if isinstance(names.get(name), Deferred):
                        names[name] = names[name].resolve()
                self.made = self.make(self.function)
            return self.made


def kernel(**options: Any) -> Callable[[F], F]:
    """`numba.njit(nogil=True, cache=True, ...)`; where the cache can't be written, compiled without being kept."""
    return lambda function: Deferred(function, functools.partial(_compiled, options))  # type: ignore[return-value]


def _compiled(options: dict[str, Any], function: Callable[..., Any]) -> Any:
    import numba

    try:
        made = numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # numba raises at decoration when it finds no place for its cache
        return numba.njit(nogil=True, **options)(function)
    made._cache.save_overload = _forgiving(made._cache.save_overload)
    return made


def _forgiving(save: Callable[..., None]) -> Callable[..., None]:
    """A full disk or a quota stops the keeping of what was compiled, not its use; numba would raise from the call."""

    def save_overload(*args: Any) -> None:
        with contextlib.suppress(OSError):
            save(*args)

    return save_overload
