"""Validation: what callers pass becomes the canonical form that kernels expect, or an error in one form.

Canonical: C-contiguous, aligned, native byte order, the stated dtype; CSR with sorted indices and no duplicates.
Nothing is ever written back into a caller's array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from ._csr import PART, canonical, csr_in_stored_order
from ._errors import parameter_message
from ._frames import NotNumbers, NullValue, plain_array
from ._parallel import MOST_WORKERS, available_cpus

T = TypeVar("T")
# Sizes, numbers of rounds and of neighbours are C ints in the kernels; numbers of events may be larger.
INT_MAX, COUNT_MAX = 2**31 - 1, 2**63 - 1

# Microseconds since 1970 UTC, some 146,000 years: so that the difference of any two times fits int64.
TIME_LIMIT_US = 2**62

# What a matrix model takes as its random_state, as scikit-learn's do.
RandomSource: TypeAlias = int | np.random.RandomState | np.random.Generator | None


class Checks:
    """Checks of what a caller was given; `caller` is who is named in the errors, such as "Item2Vec".

    Each method takes a parameter's name and its value, and returns the value in canonical form or raises a TypeError
    or ValueError: "The 'window' parameter of Item2Vec must be an int in [1, inf). Got 0 instead."
    """

    __slots__ = ("caller",)

    def __init__(self, caller: str) -> None:
        self.caller = caller

    def __str__(self) -> str:
        return self.caller

    def message(self, name: str, rule: str, got: object) -> str:
        """The shared message of errors about parameters."""
        return parameter_message(name, self.caller, rule, got)

    def value_error(self, name: str, rule: str, got: object) -> ValueError:
        """The error to raise for a wrong value."""
        return ValueError(self.message(name, rule, got))

    def type_error(self, name: str, rule: str, got: object) -> TypeError:
        """The error to raise for a wrong type."""
        return TypeError(self.message(name, rule, got))

    def workers(self, value: Any) -> int:
        """Number of threads: an int in [1, 4096] as given, -1 for all cores."""
        rule = f"an int in [1, {MOST_WORKERS}], or -1 for all cores"
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise self.type_error("workers", rule, value)
        if value == -1:
            return min(available_cpus(), MOST_WORKERS)
        if not 1 <= value <= MOST_WORKERS:
            raise self.value_error("workers", rule, value)
        return int(value)

    def integer(self, name: str, value: Any, low: int, high: int | None = None) -> int:
        """An int in [low, high], INT_MAX where no `high` is given; numpy ints are fine, bools and floats are not."""
        rule = f"an int in [{low}, {'inf)' if high is None else f'{high}]'}"
        if high is None and isinstance(value, (int, np.integer)) and value > INT_MAX:
            high, rule = INT_MAX, f"an int in [{low}, {INT_MAX}]"
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise self.type_error(name, rule, value)
        if value < low or (high is not None and value > high):
            raise self.value_error(name, rule, value)
        return int(value)

    def real(self, name: str, value: Any, low: float, high: float = math.inf, *, open_low: bool = False
    ) -> float:
        """A finite real in [low, high], or in (low, high] with `open_low`."""
        closing = "inf)" if math.isinf(high) else f"{high:g}]"
        opening = "(-inf" if math.isinf(low) else f"{'(' if open_low else '['}{low:g}"
        rule = f"a number in {opening}, {closing}"
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise self.type_error(name, rule, value)
        try:
            number = float(value)
        except OverflowError:  # an int beyond float64
            number = math.inf
        if not math.isfinite(number) or number < low or number > high or (open_low and number == low):
            raise self.value_error(name, rule, value)
        return number

    def boolean(self, name: str, value: Any) -> bool:
        """True or False (numpy's too); 0, 1 and strings are TypeErrors."""
        if not isinstance(value, (bool, np.bool_)):
            raise self.type_error(name, "True or False", value)
        return bool(value)

    def instance(self, name: str, value: Any, kind: type[T]) -> T:
        """An object of this class."""
        if not isinstance(value, kind):
            article = "an" if kind.__name__[0] in "AEIOU" else "a"
            raise self.type_error(name, f"{article} {kind.__name__}", value)
        return value

    def choice(self, name: str, value: Any, choices: Sequence[str]) -> str:
        """One of `choices`."""
        rule = "one of " + ", ".join(repr(choice) for choice in choices)
        if not isinstance(value, str):
            raise self.type_error(name, rule, value)
        if value not in choices:
            raise self.value_error(name, rule, value)
        return value

    def seed(self, name: str, value: Any) -> int:
        """A seed in [0, 2**64)."""
        return self.integer(name, value, 0, 2**64 - 1)

    def random_state(self, name: str, value: Any) -> int:
        """A seed in [0, 2**64): the int given, or one drawn from a RandomState, from a Generator, or, for None, from
        numpy's global state (so that `numpy.random.seed` governs it). Each call draws anew."""
        if value is None or value is np.random:
            value = np.random.mtrand._rand
        if isinstance(value, np.random.RandomState):
            return int(value.randint(0, 2**63 - 1, dtype=np.int64))
        if isinstance(value, np.random.Generator):
            return int(value.integers(0, 2**63 - 1))
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            rule = "an int in [0, 2**64), None, or numpy's RandomState or Generator"
            raise self.type_error(name, rule, value)
        return self.seed(name, value)

    def plain(self, name: str, value: Any, rule: str = "an array without masked or missing values"
    ) -> NDArray[Any]:
        """np.asarray, for every value that a caller gives as an array: a masked entry or a null of a frame is an error,
        where numpy would hand on whatever lies below it. Frames of numbers come out in a numeric dtype."""
        if type(value) is np.ndarray:  # the usual case, and the live one
            return value
        masked = _masked_place(value)
        if masked is not None:
            raise self.value_error(name, rule, f"a masked value at {masked}")
        try:
            array = plain_array(value)
            return np.asarray(value) if array is None else array
        except NullValue as null:
            row, label = null.args
            at = f"row {row}" if label is None else f"row {row}, column {label!r}"
            raise self.value_error(name, rule, f"a null at {at}") from None
        except NotNumbers as column:
            label, dtype = column.args
            raise self.type_error(name, rule, f"column {label!r} of dtype {dtype}") from None
        except ValueError as error:
            raise self.value_error(name, rule, value) from error

    def array(self, name: str, value: Any,
        *,
        dtype: DTypeLike | Sequence[DTypeLike],
        shape: tuple[int | None, ...],
        finite: bool = True,
        nonnegative: bool = False,
        copy: bool = False,
    ) -> NDArray[Any]:
        """A numeric array in canonical form: `shape` gives each axis' length, None for any.

        `dtype` is the dtype wanted, or several: the value keeps its own when listed, else gets the first (float16,
        ints, and bools where floats are wanted, become the first; complex and strings are TypeErrors). Integers are
        cast only where every value fits. Frames and object arrays are taken where all they hold is numbers; a masked
        array, where nothing is masked. The result may share memory with the value unless `copy`.
        """
        wanted = _dtypes(dtype)
        if type(value) is np.ndarray and value.size and not copy and _as_wanted(value, wanted, shape):
            if (value.dtype.kind == "f" and finite) or nonnegative:
                self.values(name, value, nonnegative=nonnegative)
            return value
        axes = ", ".join("any" if n is None else str(n) for n in shape)
        rule = f"an array of shape ({axes}{',' if len(shape) == 1 else ''}) and dtype {' or '.join(map(str, wanted))}"
        if sparse.issparse(value):
            raise self.type_error(name, rule + " (dense)", f"a sparse {type(value).__name__}")
        array = self.plain(name, value, rule)
        if array.size == 0 and array.dtype == np.float64:
            array = array.astype(wanted[0])  # np.asarray([]) is float64 whatever was meant
        floats = wanted[0].kind == "f"
        if array.dtype.kind not in ("iufbO" if floats else "iufO") or (array.dtype.kind == "O" and array.ndim == 0):
            raise self.type_error(name, rule, f"dtype {array.dtype}")
        if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape)):
            raise self.value_error(name, rule, f"shape {array.shape}")
        if array.dtype.kind == "O":
            array = self._numbers_of(name, array, floats)
        target = array.dtype.newbyteorder("=") if array.dtype.newbyteorder("=") in wanted else wanted[0]
        if target.kind in "iu":
            if array.dtype.kind == "f":
                raise self.type_error(name, rule, f"dtype {array.dtype}")
            if target != array.dtype and not _fits(array, target):
                raise self.value_error(name, f"{rule}, with values that fit", "larger values")
        source = array
        with np.errstate(over="ignore"):  # what overflows is found below
            array = np.require(array.astype(target, copy=False), requirements=["C", "A"])
        if copy and np.shares_memory(array, source):
            array = array.copy()
        if (target.kind == "f" and finite) or nonnegative:
            self.values(name, array, nonnegative=nonnegative, source=source)
        return array

    def _numbers_of(self, name: str, array: NDArray[Any], floats: bool) -> NDArray[Any]:
        """An object array of Python numbers as float64, or as int64 where ints are wanted."""
        real = (int, float, np.integer, np.floating, np.bool_) if floats else (int, np.integer)
        for place, one in zip(np.ndindex(array.shape), array.flat):
            if not isinstance(one, real) or (not floats and isinstance(one, bool)):
                message = self.message(name, f"an array of {'numbers' if floats else 'ints'}", one)[:-1]
                try:
                    float(one)
                    reason = ""
                except (TypeError, ValueError) as error:  # "float() argument must be a string or a real number, ..."
                    reason = f": {error}"
                raise TypeError(f"{message}, at {place}{reason}.")
        try:
            numbers: NDArray[Any] = array.astype(np.float64 if floats else np.int64)
            return numbers
        except OverflowError:
            rule = f"an array of numbers that fit {'float64' if floats else 'int64'}"
            raise self.value_error(name, rule, "larger ones") from None

    def times(self, name: str, value: Any, *, shape: tuple[int | None, ...]) -> NDArray[np.int64]:
        """int64 microseconds since 1970 UTC in (-2**62, 2**62).

        numpy's NaT is the smallest int64 once it is an int, and arithmetic takes it for a time: it is refused by name.
        """
        times = self.array(name, value, dtype=np.int64, shape=shape)
        if times.size and (times.min() <= -TIME_LIMIT_US or times.max() >= TIME_LIMIT_US):
            flat = times.reshape(-1)
            place = int(np.argmax((flat <= -TIME_LIMIT_US) | (flat >= TIME_LIMIT_US)))
            got = "NaT (the smallest int64)" if flat[place] == np.iinfo(np.int64).min else str(flat[place])
            rule = "microseconds since 1970 in (-2**62, 2**62)"
            raise self.value_error(name, rule, f"{got} at {place}")
        return times

    def values(self, name: str, array: NDArray[Any], *, nonnegative: bool = False, source: NDArray[Any] | None = None
    ) -> None:
        """Refuse NaN, infinity and, where asked, negative values; the error names the first place.

        `source` is the array before a cast, from which the error quotes a number that is too large for the new type.
        """
        # The sum is finite exactly when every value is, up to overflow: one fast pass for the usual, good input.
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(array.sum(dtype=np.float64))
        if suspicious:
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                place = tuple(int(i) for i in bad[0])
                if source is not None and np.isfinite(source[place]):
                    rule, got = f"of numbers that fit {array.dtype}", f"{source[place]} at {place}"
                    raise self.value_error(name, rule, got)
                raise self.value_error(name, "finite", f"{array[place]} at {place}")
        if nonnegative and array.size and array.min() < 0:
            place = tuple(int(i) for i in np.argwhere(array < 0)[0])
            raise self.value_error(name, "non-negative", f"{array[place]} at {place}")

    def csr(self, name: str, value: Any,
        *,
        dtype: DTypeLike | Sequence[DTypeLike] = (np.float32, np.float64),
        shape: tuple[int | None, int | None] = (None, None),
        square: bool = False,
        finite: bool = True,
        nonnegative: bool = False,
    ) -> sparse.csr_array:
        """Any scipy sparse matrix (or dense 2-D array) as a canonical CSR: sorted indices, duplicates summed.

        Raises TypeError for other types and ValueError for a wrong shape or bad values; the first bad value is named
        by row and column. The caller's matrix is never changed.
        """
        rule = "a sparse matrix" + (" (square)" if square else "")
        wanted = _dtypes(dtype)
        if not sparse.issparse(value):
            array = self.plain(name, value, rule)
            if array.dtype.kind == "b":  # as a sparse one
                array = array.astype(wanted[0])
            value = sparse.csr_array(self.array(name, array, dtype=dtype, shape=(None, None), finite=False))
        if value.ndim != 2:
            raise self.value_error(name, rule, f"{value.ndim} dimensions")
        if value.dtype.kind not in "iufb":
            raise self.type_error(name, rule + " of numbers", f"dtype {value.dtype}")
        if value.format in ("csr", "csc"):
            self.csr_structure(name, value)
        elif value.format == "coo":
            self._coo_structure(name, value)
        if _masked_place(getattr(value, "data", None)) is not None:
            raise self.value_error(name, rule + " without masked values", "masked data")
        own = value.dtype.newbyteorder("=")
        target = own if own in wanted else wanted[0]
        matrix = _merged_csr(value, target)
        if square and matrix.shape[0] != matrix.shape[1]:
            raise self.value_error(name, rule, f"shape {matrix.shape}")
        if any(n is not None and n != m for n, m in zip(shape, matrix.shape)):
            raise self.value_error(name, f"a sparse matrix of shape {shape}", f"shape {matrix.shape}")
        index_dtype = np.int64 if max(matrix.nnz, *matrix.shape) > np.iinfo(np.int32).max else np.int32
        if matrix.dtype.kind == "b":
            matrix = matrix.astype(target)
        if matrix.dtype.kind in "iu" and not _fits(matrix.data, target) and np.dtype(np.int64) in wanted:
            target = np.dtype(np.int64)  # a sum that has outgrown the caller's type
        data = self.array(name, matrix.data, dtype=target, shape=(None,), finite=False)
        clean: sparse.csr_array = sparse.csr_array(
            (
                data,
                np.require(matrix.indices, dtype=index_dtype, requirements=["C", "A"]),
                np.require(matrix.indptr, dtype=index_dtype, requirements=["C", "A"]),
            ),
            shape=matrix.shape,
        )
        clean.has_canonical_format = True
        if (data.dtype.kind == "f" and finite) or nonnegative:
            self._csr_values(name, clean, finite, nonnegative)
        return clean

    def csr_structure(self, name: str, matrix: Any) -> None:
        """Refuse a CSR or CSC whose pointers or indices lead outside it: native passes and scipy's own conversions
        would read there. scipy looks only when a matrix is built, and only in part."""
        axis, other = ("row", "column") if matrix.format == "csr" else ("column", "row")
        lines, places = matrix.shape if matrix.format == "csr" else matrix.shape[::-1]
        indptr, indices, stored = matrix.indptr, matrix.indices, min(len(matrix.indices), len(matrix.data))
        if len(indptr) != lines + 1 or indptr[0] != 0 or indptr[-1] > stored:
            rule = f"a sparse matrix with {lines + 1} indptr from 0 to at most {stored}"
            ends = f" from {indptr[0]} to {indptr[-1]}" if len(indptr) else ""
            raise self.value_error(name, rule, f"{len(indptr)}{ends}")
        falls = indptr[1:] < indptr[:-1]
        if falls.any():
            line = int(np.argmax(falls))
            found = f"{indptr[line]} followed by {indptr[line + 1]} at {axis} {line}"
            raise self.value_error(name, "a sparse matrix whose indptr never falls", found)
        used = indices[: indptr[-1]]
        if used.size and (used.min() < 0 or used.max() >= places):
            first = int(np.argmax((used < 0) | (used >= places)))
            line = int(np.searchsorted(indptr, first, side="right")) - 1
            rule = f"a sparse matrix with {other} indices in [0, {places})"
            raise self.value_error(name, rule, f"{used[first]} at {axis} {line}")

    def _coo_structure(self, name: str, matrix: Any) -> None:
        """The same for a COO, which scipy too looks at only when it is built."""
        for axis, places, n in zip(("row", "column"), (matrix.row, matrix.col), matrix.shape):
            if len(places) != len(matrix.data):
                raise self.value_error(name, f"a sparse matrix with a {axis} for each entry", f"{len(places)} {axis}s")
            if len(places) and (places.min() < 0 or places.max() >= n):
                first = int(np.argmax((places < 0) | (places >= n)))
                rule = f"a sparse matrix with {axis} indices in [0, {n})"
                raise self.value_error(name, rule, f"{places[first]} at entry {first}")

    def _csr_values(self, name: str, matrix: sparse.csr_array, finite: bool, nonnegative: bool) -> None:
        bad = np.zeros(0, dtype=np.int64)
        if finite and matrix.data.dtype.kind == "f" and not np.isfinite(matrix.data).all():
            bad, rule = np.flatnonzero(~np.isfinite(matrix.data)), "finite"
        elif nonnegative and matrix.nnz and matrix.data.min() < 0:
            bad, rule = np.flatnonzero(matrix.data < 0), "non-negative"
        if len(bad):
            row = int(np.searchsorted(matrix.indptr, bad[0], side="right")) - 1
            place = f"{matrix.data[bad[0]]} at row {row}, column {int(matrix.indices[bad[0]])}"
            raise self.value_error(name, rule, place)


def _as_wanted(array: NDArray[Any], wanted: list[np.dtype[Any]], shape: tuple[int | None, ...]) -> bool:
    """Whether it has one of the dtypes and the shape, and lies as kernels expect it: the usual, and the live case."""
    if array.dtype not in wanted or array.ndim != len(shape):
        return False
    fits = all(n is None or n == m for n, m in zip(shape, array.shape))
    return fits and array.flags.c_contiguous and array.flags.aligned


def _dtypes(dtype: Any) -> list[np.dtype[Any]]:
    return [np.dtype(d) for d in (dtype if isinstance(dtype, (list, tuple)) else [dtype])]


def _masked_place(value: Any) -> tuple[int, ...] | None:
    """Where the first masked entry is, in a masked array or in a list of such."""
    if isinstance(value, (list, tuple)):
        for i, one in enumerate(value):
            inner = _masked_place(one) if isinstance(one, (np.ma.MaskedArray, list, tuple)) else None
            if inner is not None:
                return (i, *inner)
    elif isinstance(value, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(value)
        if mask.dtype == np.bool_ and mask.any():
            return tuple(int(i) for i in np.argwhere(mask)[0])
    return None


def _fits(integers: NDArray[Any], target: np.dtype[Any]) -> bool:
    """Whether all are within an integer type's range (any other type takes them)."""
    if target.kind not in "iu" or not integers.size:
        return True
    limits = np.iinfo(target)
    return limits.min <= int(integers.min()) and int(integers.max()) <= limits.max


def _merged_csr(value: Any, target: np.dtype[Any]) -> sparse.csr_array:
    """Any matrix as a CSR with sorted indices. Duplicates are summed in a type that holds the sum: scipy sums in the
    matrix' own, where 300 ones of uint8 make 44."""
    floats = "f" in (target.kind, value.dtype.kind)
    wide = np.dtype(np.float64 if floats else np.uint64 if value.dtype.kind == "u" else np.int64)
    if value.format in ("coo", "csc") and value.nnz > PART:
        half = value.dtype == np.float16  # scipy's routines don't know it
        return canonical(csr_in_stored_order(value, wide if half or value.format == "coo" else value.dtype), wide)
    # Conversion of these merges duplicates.
    if value.dtype != wide and (value.format in ("coo", "bsr") or value.dtype == np.float16):
        value = value.astype(wide)
    return canonical(sparse.csr_array(value), wide)
