"""The .npy files of a table. Their header is never parsed, only compared with the expected one.

Format 1.0 of numpy.lib.format: magic, version, header length, a dict literal padded to 64 bytes, then the numbers,
little-endian and C-contiguous. The manifest holds dtype and shape. The file's header must be byte for byte the one
that follows from them, so no file can cause an allocation, an object dtype or a pickle.
"""

from __future__ import annotations

import hashlib
import re
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
RESERVED = frozenset({"ids", "ids_offsets", "ids_data", "vectors", "context_vectors"})
# What a manifest may name, in numpy's spelling; one byte has no byte order.
DTYPES = frozenset(
    {"|b1", "|i1", "|u1", "<f2", "<f4", "<f8"} | {f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)}
)
CHUNK = 8 << 20


def dtype_name(array: NDArray[Any]) -> str:
    """The array's dtype as the file states it: little-endian."""
    return str(array.dtype.newbyteorder("<").str)


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The bytes before the numbers."""
    dims = "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {dims}, }}"
    padding = -(10 + len(text) + 1) % 64
    text += " " * padding + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")


def file_size(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of the whole file."""
    return len(header(dtype, shape)) + prod(shape) * np.dtype(dtype).itemsize


def payload(array: NDArray[Any]) -> memoryview:
    """The numbers as little-endian bytes in C order; copied only if they are in another form."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")


def digest(array: NDArray[Any]) -> str:
    """sha256 of the file that `array` would be."""
    sha = hashlib.sha256(header(dtype_name(array), array.shape))
    sha.update(payload(array))
    return sha.hexdigest()
