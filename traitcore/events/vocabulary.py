"""Vocabulary: the token of each row, how often it occurs, and for how many customers."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._files import whole_file
from .._validate import Checks
from .id_text import as_integer
from .ids import text_array
from .sequences import Sequences

_FORMAT = 1
_INTS = {"token_item": np.int32, "token_action": np.int32, "counts": np.int64, "document_frequencies": np.int64}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tokens in order of falling count; ties in order of the item's id, then of the action along the funnel.

    (Only `extended` makes another order: it keeps old rows in place.)

    Attributes
    ----------
    item_ids : (n_items,) array of external item ids (int64, or str objects).
    actions : names of actions, e.g. ("view", "cart", "remove", "buy"); empty where tokens are items alone.
    token_item : (n_tokens,) int32 row of `item_ids` for each token.
    token_action : (n_tokens,) int32 index into `actions`, or -1 where tokens are items alone.
    counts : (n_tokens,) int64 occurrences.
    document_frequencies : (n_tokens,) int64 customers (owners) with at least one occurrence.
    n_documents : number of customers in the corpus.
    item_texts : (n_items,) descriptions of items (str objects, "" where there is none), or None.

    A token is shown as its item's id, or as text "action_item": "view_prod_001". A backslash or underscore in the
    action's name is written with a backslash before it, so that the text can be read back: the first bare
    underscore ends the action.

    See Also
    --------
    tokenize, encode_tokens : make a vocabulary with its sequences.

    Examples
    --------
    >>> import traitcore as tc
    >>> vocabulary = tc.encode_tokens([["milk", "bread"], ["bread", "jam", "bread"]]).vocabulary
    >>> vocabulary.row_of("jam"), vocabulary.counts.tolist()
    (1, [3, 1, 1])
    >>> vocabulary.encode([["jam", "tea"]], unknown="drop")[0].tolist()
    [1]
    >>> vocabulary.decode([0, 2])
    ['bread', 'milk']
    """

    item_ids: NDArray[Any]
    actions: tuple[str, ...]
    token_item: NDArray[np.int32]
    token_action: NDArray[np.int32]
    counts: NDArray[np.int64]
    document_frequencies: NDArray[np.int64]
    n_documents: int
    item_texts: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        for name in ("item_ids", "token_item", "token_action", "counts", "document_frequencies", "item_texts"):
            array = getattr(self, name)
            if array is not None:
                view = array.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.token_item)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} tokens of {len(self.item_ids):,} items, {self.n_documents:,} customers)"

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """(n_tokens,) external names: texts such as "view_prod_001", or item ids where tokens are items."""
        if not self.actions:
            names = self.item_ids[self.token_item]
        else:
            starts = [f"{_escaped(action)}_" for action in self.actions]
            items = [str(i) for i in self.item_ids.tolist()]
            pairs = zip(self.token_action.tolist(), self.token_item.tolist())
            names = text_array([starts[a] + items[i] for a, i in pairs])
        names.flags.writeable = False
        return names

    @cached_property
    def _row_of(self) -> dict[Any, int]:
        return dict(zip(self.tokens.tolist(), range(len(self))))

    @cached_property
    def _item_of(self) -> dict[Any, int]:
        return dict(zip(self.item_ids.tolist(), range(len(self.item_ids))))

    def row_of(self, token: Any) -> int:
        """Row of a token: its text (or id), or a pair (action, item id). KeyError names an unknown one."""
        if isinstance(token, tuple) and len(token) == 2 and self.actions:
            token = f"{_escaped(str(token[0]))}_{token[1]}"
        if isinstance(token, np.integer):
            token = int(token)
        row = self._row_of.get(token)
        if row is None or isinstance(token, (bool, float)):
            raise KeyError(f"{token!r} is not in the vocabulary of {len(self):,} tokens, such as {self._example()}")
        return row

    def parse(self, text: str) -> int:
        """Row of a token given as text, as a user types it: like `row_of`, with "123" read as the id 123 of ints."""
        if not self.actions and self.item_ids.dtype.kind == "i":
            number = as_integer(text)
            if number is not None:
                return self.row_of(number)
        return self.row_of(text)

    def _example(self) -> str:
        return ", ".join(repr(t) for t in self.tokens[:3].tolist()) or "(none)"

    def __contains__(self, token: object) -> bool:
        try:
            self.row_of(token)
        except (KeyError, TypeError):
            return False
        return True

    def rows_of_item(self, item_id: Any) -> NDArray[np.int64]:
        """Rows of all tokens of an item, in order of falling count; none if the item is unknown."""
        code = None if isinstance(item_id, (bool, float)) else self._item_of.get(item_id)
        return np.flatnonzero(self.token_item == (-1 if code is None else code))

    def encode(self, sequences: Iterable[Iterable[Any]], *, unknown: str = "raise") -> Sequences:
        """Sequences of tokens (texts, ids or (action, item) pairs) as rows.

        unknown="raise": a token that is not in the vocabulary is a KeyError; "drop": it is left out.
        """
        Checks("Vocabulary.encode").choice("unknown", unknown, ("raise", "drop"))
        rows: list[int] = []
        offsets = [0]
        known = self._row_of
        if not isinstance(sequences, Iterable):
            raise Checks("Vocabulary.encode").type_error("sequences", "lists of tokens", sequences)
        for sequence in sequences:
            if isinstance(sequence, (str, bytes)) or not isinstance(sequence, Iterable):
                raise Checks("Vocabulary.encode").type_error("sequences", "lists of tokens", sequence)
            for token in sequence:
                row = known.get(token) if type(token) in (str, int) else None
                if row is None and (unknown == "raise" or token in self):
                    row = self.row_of(token)
                if row is not None:
                    rows.append(row)
            offsets.append(len(rows))
        return Sequences(tokens=np.array(rows, dtype=np.int32), offsets=np.array(offsets, dtype=np.int64))

    def decode(self, sequences: Sequences | Sequence[int] | NDArray[Any]) -> list[Any]:
        """Tokens of `Sequences` (a list of lists), or of rows (a list)."""
        if isinstance(sequences, Sequences):
            largest = sequences.largest_token()
            if largest >= len(self):
                rule = f"Sequences of tokens in [0, {len(self)})"
                raise Checks("Vocabulary.decode").value_error("sequences", rule, largest)
            flat = self.tokens[sequences.tokens].tolist()
            ends = sequences.offsets.tolist()
            return [flat[a:b] for a, b in pairwise(ends)]
        rows = Checks("Vocabulary.decode").array("sequences", sequences, dtype=np.int64, shape=(None,))
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            rule, got = f"rows in [0, {len(self) - 1}]", f"{rows.min()} ... {rows.max()}"
            raise Checks("Vocabulary.decode").value_error("sequences", rule, got)
        tokens: list[Any] = self.tokens[rows].tolist()
        return tokens

    def text_of(self, row: int) -> str:
        """Description of a row's item, "" where there is none."""
        return "" if self.item_texts is None else str(self.item_texts[self.token_item[row]])

    def rows_from(self, other: Vocabulary) -> NDArray[np.int32]:
        """(len(other),) int32: the row here of each row of `other`, -1 where the token is unknown here."""
        return np.array([self._row_of.get(t, -1) for t in other.tokens.tolist()], dtype=np.int32)

    def extended(self, other: Vocabulary) -> Vocabulary:
        """This vocabulary with the tokens of `other` added: old rows stay in place, new ones follow by count.

        Counts, document frequencies and n_documents are added up: exact where the two share no customer.
        """
        if bool(self.actions) != bool(other.actions) or self.item_ids.dtype != other.item_ids.dtype:
            raise Checks("Vocabulary.extended").value_error("other", "of the same kind of tokens and ids", repr(other))
        rows = self.rows_from(other)
        new = np.flatnonzero(rows < 0)
        items = [i for i in other.item_ids.tolist() if i not in self._item_of]
        item_ids = _concatenated(self.item_ids, items)
        place = dict(zip(item_ids.tolist(), range(len(item_ids))))
        actions = self.actions + tuple(a for a in other.actions if a not in self.actions)
        item_here = np.array([place[i] for i in other.item_ids.tolist()], dtype=np.int32)
        action_here = np.array([actions.index(a) for a in other.actions] + [-1], dtype=np.int32)
        counts = np.concatenate((self.counts, other.counts[new]))
        documents = np.concatenate((self.document_frequencies, other.document_frequencies[new]))
        old = rows[rows >= 0]
        counts[old] += other.counts[rows >= 0]
        documents[old] += other.document_frequencies[rows >= 0]
        return Vocabulary(
            item_ids, actions,
            np.concatenate((self.token_item, item_here[other.token_item[new]])),
            np.concatenate((self.token_action, action_here[other.token_action[new]])),
            counts, documents, self.n_documents + other.n_documents, _merged_texts(self, other, items, place),
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The whole vocabulary as plain arrays (no objects); `from_arrays` reads them back."""
        arrays: dict[str, NDArray[Any]] = {
            "format": np.array([_FORMAT], dtype=np.int64),
            "token_item": self.token_item, "token_action": self.token_action, "counts": self.counts,
            "document_frequencies": self.document_frequencies,
            "n_documents": np.array([self.n_documents], dtype=np.int64),
        }
        _pack(arrays, "actions", list(self.actions))
        if self.item_ids.dtype.kind == "i":
            arrays["item_ids"] = self.item_ids
        else:
            _pack(arrays, "item_ids", self.item_ids.tolist())
        if self.item_texts is not None:
            _pack(arrays, "item_texts", self.item_texts.tolist())
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Vocabulary:
        """Inverse of `to_arrays`; InputError where arrays are missing or don't fit together."""
        try:
            if int(arrays["format"][0]) != _FORMAT:
                raise InputError(f"The vocabulary has format {int(arrays['format'][0])}; this version reads {_FORMAT}.")
            ints = {
                name: Checks("Vocabulary").array(name, arrays[name], dtype=dtype, shape=(None,), copy=True)
                for name, dtype in _INTS.items()
            }
            item_ids: NDArray[Any] = text_array([])
            if "item_ids" in arrays:
                item_ids = Checks("Vocabulary").array("item_ids", arrays["item_ids"], dtype=np.int64, shape=(None,))
            else:
                item_ids = text_array(_unpack(arrays, "item_ids"))
            texts = text_array(_unpack(arrays, "item_texts")) if "item_texts_bytes" in arrays else None
            n_documents = int(arrays["n_documents"][0])
            vocabulary = cls(
                item_ids, tuple(_unpack(arrays, "actions")), **ints, n_documents=n_documents, item_texts=texts
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"The arrays of a vocabulary are damaged: {error}.") from error
        if not vocabulary.fits():
            raise InputError("The arrays of a vocabulary are damaged: they don't fit together.")
        return vocabulary

    def fits(self) -> bool:
        """Whether the arrays fit together: as many tokens in each, of items and actions that there are."""
        n = len(self)
        fits = all(len(a) == n for a in (self.token_action, self.counts, self.document_frequencies))
        fits = fits and (self.item_texts is None or len(self.item_texts) == len(self.item_ids))
        if fits and n:
            fits = self.token_item.min() >= 0 and self.token_item.max() < len(self.item_ids)
            fits = fits and self.token_action.min() >= -1 and self.token_action.max() < len(self.actions)
            fits = fits and bool(self.actions) == (self.token_action.min() >= 0)
        return bool(fits)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as .npz of plain arrays; the file appears whole or not at all."""
        with whole_file(path) as scratch, open(scratch, "wb") as file:
            np.savez(file, allow_pickle=False, **self.to_arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read what `save` wrote; InputError where the file is not one, or damaged."""
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls.from_arrays(dict(file))
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error}") from error
        except (ValueError, TypeError, AttributeError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{os.fspath(path)} is not a saved vocabulary: {error}") from error


def as_vocabulary(value: Any, check: Checks) -> Vocabulary:
    """The 'vocabulary' that a caller was given, its arrays looked at again: they may be shared, and changed since."""
    vocabulary = check.instance("vocabulary", value, Vocabulary)
    if not vocabulary.fits():
        rule = "a Vocabulary whose tokens are of its items and actions"
        reason = "An array was changed after it was made, or they never fitted together."
        raise ValueError(f"{check.message('vocabulary', rule, value)} {reason}")
    return vocabulary


def _escaped(action: str) -> str:
    return action.replace("\\", "\\\\").replace("_", "\\_")


def _concatenated(ids: NDArray[Any], more: list[Any]) -> NDArray[Any]:
    added = text_array(more) if ids.dtype.kind == "O" else np.array(more, dtype=ids.dtype)
    return np.concatenate((ids, added))


def _merged_texts(
    old: Vocabulary, new: Vocabulary, added: list[Any], place: dict[Any, int]
) -> NDArray[Any] | None:
    """Item texts of both; the newer text wins where there is one."""
    if old.item_texts is None and new.item_texts is None:
        return None
    texts = [""] * len(old.item_ids) if old.item_texts is None else old.item_texts.tolist()
    texts += [""] * len(added)
    if new.item_texts is not None:
        for item, text in zip(new.item_ids.tolist(), new.item_texts.tolist()):
            texts[place[item]] = text or texts[place[item]]
    return text_array(texts)


def _pack(arrays: dict[str, NDArray[Any]], name: str, texts: list[str]) -> None:
    """Texts as UTF-8 bytes end to end and (n + 1,) offsets."""
    encoded = [t.encode("utf-8") for t in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(e) for e in encoded], out=offsets[1:])
    arrays[f"{name}_bytes"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    arrays[f"{name}_offsets"] = offsets


def _unpack(arrays: Mapping[str, NDArray[Any]], name: str) -> list[str]:
    data = arrays[f"{name}_bytes"].tobytes()
    offsets = arrays[f"{name}_offsets"]
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name}_offsets don't span {name}_bytes")
    ends = offsets.tolist()
    return [data[a:b].decode("utf-8") for a, b in pairwise(ends)]
