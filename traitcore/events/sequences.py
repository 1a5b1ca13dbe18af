"""Sequences: the input of all sequence models, whether sessions, baskets or random walks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _disk as disk
from .._errors import TableError
from .._validate import Checks
from .array_files import map_array, map_ids, new_folder, read_manifest, write_array, write_ids, write_manifest
from .occurrences import add_counts

# Tokens that need a vocabulary larger than this, and mostly unused, are taken for raw ids.
_LARGE_VOCABULARY, _SPARSE_VOCABULARY = 1 << 22, 64
_ARRAYS = ("tokens", "offsets", "owner", "timestamps_us")
_KIND = "traitcore sequences"
_PIECE = 1 << 22  # tokens counted at once: numpy makes an int64 of each


@dataclass(frozen=True, eq=False)
class Sequences:
    """Token sequences in one flat array, each with one owner.

    Parameters
    ----------
    tokens : (n_tokens,) int32, rows of a vocabulary, all >= 0.
    offsets : (n_sequences + 1,) int64, rising from 0 to n_tokens; sequence i is tokens[offsets[i]:offsets[i + 1]].
    owner : (n_sequences,) int32 or None, whose sequence it is (a customer); None: each sequence owns itself.
    timestamps_us : (n_tokens,) int64 or None, microseconds since 1970 UTC of each token's event, in
        (-2**62, 2**62): NaT is refused.
    owner_ids : (n_owners,) array of external ids or None; `owner` indexes it.

    A window never crosses the end of a sequence. Arrays are checked once here, kept read-only, and not copied where
    they already have the right dtype.

    Raises
    ------
    ValueError, TypeError : a wrong dtype or shape, a negative token, offsets that fall or don't span the tokens.

    See Also
    --------
    encode_tokens : sequences of any ints or strs, with their vocabulary.
    tokenize : the sequences of an event log's sessions.

    Examples
    --------
    >>> import traitcore as tc
    >>> sequences = tc.Sequences.from_lists([[0, 1, 2], [2, 0]], owner=[7, 7])
    >>> len(sequences), sequences.n_tokens
    (2, 5)
    >>> sequences[1].tolist()
    [2, 0]
    >>> sequences.token_counts().tolist()
    [2, 1, 2]
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    owner: NDArray[np.int32] | None = None
    timestamps_us: NDArray[np.int64] | None = None
    owner_ids: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        tokens = Checks("Sequences").array("tokens", self.tokens, dtype=np.int32, shape=(None,))
        offsets = Checks("Sequences").array("offsets", self.offsets, dtype=np.int64, shape=(None,))
        rule = f"rising from 0 to the number of tokens ({len(tokens)})"
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tokens):
            ends = "no values" if len(offsets) == 0 else f"{offsets[0]} ... {offsets[-1]}"
            raise Checks("Sequences").value_error("offsets", rule, ends)
        falls = np.flatnonzero(offsets[1:] < offsets[:-1])
        if len(falls):
            raise Checks("Sequences").value_error("offsets", rule, f"a fall after place {falls[0]}")
        if len(tokens) and tokens.min() < 0:
            place = int(np.argmax(tokens < 0))
            got = f"{tokens[place]} at {place}"
            raise Checks("Sequences").value_error("tokens", "rows of a vocabulary, all >= 0", got)
        self._keep("tokens", tokens)
        self._keep("offsets", offsets)
        if self.owner is not None:
            n = len(offsets) - 1
            owner = Checks("Sequences").array("owner", self.owner, dtype=np.int32, shape=(n,))
            high = np.iinfo(np.int32).max if self.owner_ids is None else len(self.owner_ids) - 1
            if n and (owner.min() < 0 or owner.max() > high):
                got = f"values from {owner.min()} to {owner.max()}"
                raise Checks("Sequences").value_error("owner", f"ints in [0, {high}]", got)
            self._keep("owner", owner)
        if self.timestamps_us is not None:
            self._keep(
                "timestamps_us", Checks("Sequences").times("timestamps_us", self.timestamps_us, shape=(len(tokens),))
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the arrays to a new folder, with a manifest of their hashes; it appears whole or not at all.

        Raises
        ------
        FileExistsError : there is something of this name. OSError : the disk is full or can't be written.
        """
        with new_folder(Path(path)) as folder:
            files = {
                f"{name}.npy": write_array(folder / f"{name}.npy", values)
                for name in _ARRAYS if (values := getattr(self, name)) is not None
            }
            if self.owner_ids is not None:
                files |= write_ids(folder, "owner_ids", self.owner_ids)
            write_manifest(folder, _KIND, files)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = False) -> Sequences:
        """What `save` wrote (or `prepare_log`), its arrays mapped: they are read as they are used, and may be larger
        than memory. Owners' ids that are strings are read at once.

        verify : compare every file with its hash first. Sizes, headers and values are always checked.

        Raises
        ------
        TableError : the folder holds no sequences, or they are damaged.
        """
        with disk.Folder(Path(path)) as folder:
            files = read_manifest(folder, _KIND)["files"]
            try:
                arrays: dict[str, Any] = {
                    name: map_array(folder, f"{name}.npy", files[f"{name}.npy"], verify=verify)
                    for name in _ARRAYS if f"{name}.npy" in files
                }
                arrays["owner_ids"] = map_ids(folder, "owner_ids", files, verify=verify)
                return cls(**arrays)
            except (ValueError, TypeError, KeyError, FileNotFoundError) as error:
                if isinstance(error, TableError):
                    raise
                raise TableError(f"{folder.path} is damaged: {error}") from error

    def largest_token(self) -> int:
        """The largest token, -1 where there is none. The arrays are checked again first.

        The caller may have written to arrays that it shares with this object. Code that indexes by tokens needs their
        maximum, and takes it from here.

        Raises
        ------
        ValueError : a negative token, an owner out of range, offsets that fall or don't span the tokens: an array
            was changed after it was checked.
        """
        offsets = self.offsets
        if offsets[0] != 0 or offsets[-1] != len(self.tokens) or (offsets[1:] < offsets[:-1]).any():
            self._refuse_change("offsets", f"rising from 0 to the number of tokens ({len(self.tokens)})", "others")
        if self.owner is not None and len(self.owner):
            high = np.iinfo(np.int32).max if self.owner_ids is None else len(self.owner_ids) - 1
            if self.owner.view(np.uint32).max() > high:
                got = f"values from {self.owner.min()} to {self.owner.max()}"
                self._refuse_change("owner", f"ints in [0, {high}]", got)
        if not len(self.tokens):
            return -1
        largest = int(self.tokens.view(np.uint32).max())  # a negative token is huge as uint32
        if largest > np.iinfo(np.int32).max:
            place = int(np.argmax(self.tokens < 0))
            self._refuse_change("tokens", "rows of a vocabulary, all >= 0", f"{self.tokens[place]} at {place}")
        return largest

    def _refuse_change(self, name: str, rule: str, got: str) -> NoReturn:
        reason = "The array was changed after Sequences was made of it: pass a copy of an array that changes."
        raise ValueError(f"{Checks('Sequences').message(name, rule, got)} {reason}")

    def _keep(self, name: str, array: NDArray[Any]) -> None:
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(self, name, view)

    @classmethod
    def from_lists(
        cls, sequences: Iterable[Sequence[int]], *, owner: ArrayLike | None = None, owner_ids: ArrayLike | None = None
    ) -> Sequences:
        """From an iterable of sequences of token rows, for small inputs."""
        if not isinstance(sequences, Iterable):
            raise Checks("Sequences.from_lists").type_error("sequences", "sequences of token rows", sequences)
        rows = [
            Checks("Sequences.from_lists").array(f"sequences[{i}]", s, dtype=np.int64, shape=(None,))
            for i, s in enumerate(sequences)
        ]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(r) for r in rows], out=offsets[1:])
        tokens = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        return cls(tokens=tokens, offsets=offsets, owner=owner, owner_ids=owner_ids)  # type: ignore[arg-type]

    @property
    def n_tokens(self) -> int:
        """Number of tokens over all sequences."""
        return len(self.tokens)

    @property
    def n_owners(self) -> int:
        """Number of owners: of `owner_ids` where given, else one past the largest owner seen."""
        if self.owner_ids is not None:
            return len(self.owner_ids)
        if self.owner is None:
            return len(self)
        return int(self.owner.max()) + 1 if len(self.owner) else 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        """Tokens of sequence `index` (a read-only view)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        i = index % len(self)
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[i] for i in range(len(self)))

    def owners(self) -> NDArray[np.int32]:
        """(n_sequences,) int32 owner of each sequence; each its own where no owner was given."""
        return np.arange(len(self), dtype=np.int32) if self.owner is None else self.owner

    def take(self, rows: ArrayLike) -> Sequences:
        """The sequences of these rows, in this order, with their owners (same numbers), times and the owners' ids.

        rows : (n,) ints in [0, len(self)); else a ValueError.
        """
        rows = Checks("Sequences.take").array("rows", rows, dtype=np.int64, shape=(None,))
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            got = f"values from {rows.min()} to {rows.max()}"
            raise Checks("Sequences.take").value_error("rows", f"ints in [0, {len(self)})", got)
        self.largest_token()
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        times = self.timestamps_us
        return Sequences(
            self.tokens[places], offsets, self.owners()[rows], None if times is None else times[places], self.owner_ids
        )

    def keep(self, events: ArrayLike) -> Sequences:
        """The events where `events`, (n_tokens,) bool, is true; sequences left empty are kept.

        Raises ValueError or TypeError for another shape or dtype.
        """
        events = Checks("Sequences.keep").plain("events", events)
        if events.dtype != np.bool_ or events.shape != (self.n_tokens,):
            rule, got = f"an array of bool of shape ({self.n_tokens},)", f"dtype {events.dtype}, shape {events.shape}"
            error = TypeError if events.dtype != np.bool_ else ValueError
            raise error(Checks("Sequences.keep").message("events", rule, got))
        self.largest_token()
        offsets = np.concatenate(([0], np.cumsum(events)))[self.offsets]
        times = self.timestamps_us
        return Sequences(
            self.tokens[events], offsets, self.owner, None if times is None else times[events], self.owner_ids
        )

    def vocabulary_size(self, check: Checks) -> int:
        """One past the largest token, for a caller that was given no size.

        Raises ValueError where the tokens look like raw ids rather than rows of a vocabulary: arrays of one entry per
        possible token would dwarf the corpus.
        """
        size = self.largest_token() + 1
        if size > max(_LARGE_VOCABULARY, _SPARSE_VOCABULARY * self.n_tokens):
            rule = (
                "Sequences of tokens 0, 1, 2, ... that number a vocabulary (encode_tokens makes them of any ids; give "
                "the size of the vocabulary to keep these)"
            )
            got = f"token {size - 1} among {self.n_tokens} tokens"
            raise check.value_error("sequences", rule, got)
        return size

    def token_counts(self, n_tokens: int | None = None) -> NDArray[np.int64]:
        """(n_tokens,) int64: how often each token occurs; as long as the largest token needs, or as asked."""
        if n_tokens is None:
            n_tokens = self.vocabulary_size(Checks("Sequences.token_counts"))
        self.largest_token()  # the arrays may have been changed
        counts = np.zeros(n_tokens, dtype=np.int64)
        for start in range(0, self.n_tokens, _PIECE):
            counts = add_counts(counts, np.bincount(self.tokens[start : start + _PIECE], minlength=n_tokens))
        return counts

    def __repr__(self) -> str:
        return f"Sequences({len(self):,} sequences, {self.n_tokens:,} tokens, {self.n_owners:,} owners)"
