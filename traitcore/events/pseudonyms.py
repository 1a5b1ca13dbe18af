"""Pseudonyms of customers: keyed hashes, which only who has the key can make again from an id."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validate import Checks
from .ids import text_array

CHECK = Checks("pseudonyms")
MIN_KEY = 16


def pseudonyms(customers: Any, key: bytes) -> NDArray[Any]:
    """The pseudonyms of ids: 32 hexadecimal digits each, the same for the same id and key.

    BLAKE2b keyed with `key` (RFC 7693), 128 bits of it: two of a billion customers share one with a probability under
    2e-21. Whoever has the key and a guess at an id can confirm it; without the key nobody can, so keep the key outside
    of the store. 1 and "1" are different ids, as everywhere.

    Parameters
    ----------
    customers : (n,) ids, ints or strings. key : 16 to 64 bytes, e.g. `secrets.token_bytes(32)`.

    Returns
    -------
    (n,) object array of strings.

    See Also
    --------
    EventLog.with_pseudonyms : a log under pseudonyms. forget_customers : removes customers from a store.

    Examples
    --------
    >>> import traitcore as tc
    >>> key = bytes.fromhex("00112233445566778899aabbccddeeff")
    >>> tc.pseudonyms(["ann"], key).tolist()
    ['e15d315da080152764c47c670941e32e']
    """
    if not isinstance(key, bytes):
        raise CHECK.type_error("key", f"{MIN_KEY} to 64 bytes", type(key).__name__)
    if not MIN_KEY <= len(key) <= 64:
        raise CHECK.value_error("key", f"{MIN_KEY} to 64 bytes", f"{len(key)} of them")
    ids = customers.tolist() if hasattr(customers, "tolist") else list(customers)
    names = []
    for one in ids:
        if isinstance(one, bool) or not isinstance(one, (int, str, np.integer)):
            raise CHECK.type_error("customers", "ids that are ints or strings", one)
        kind = b"s" if isinstance(one, str) else b"i"
        text = str(one).encode("utf-8", "surrogatepass")
        names.append(hashlib.blake2b(kind + text, digest_size=16, key=key).hexdigest())
    return text_array(names)
