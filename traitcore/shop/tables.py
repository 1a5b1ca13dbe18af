"""The tables of one run, as questions are asked of them: just fitted, or published in a store."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._errors import TableError
from ..customers.describe import TopToken, TraitDescription
from ..events.id_text import parse_id as parse
from ..events.vocabulary import Vocabulary
from ..pipeline import LeftOut, vocabulary_of
from ..serving.blended import Blend
from ..serving.index import KINDS, Index, open_index
from ..serving.recommend import product_affinity
from ..serving.store import TableStore, existing_store
from ..serving.table import EmbeddingTable


class Tables:
    """Tokens, items and customers of one run. `customers` is a TableError where the run made none."""

    store: TableStore | None = None

    def __init__(self, tokens: EmbeddingTable, items: EmbeddingTable, customers: EmbeddingTable | None = None) -> None:
        self._tokens, self._items, self._customers = tokens, items, customers

    @cached_property
    def tokens(self) -> EmbeddingTable:
        return self._tokens

    @cached_property
    def items(self) -> EmbeddingTable:
        return self._items

    @cached_property
    def customers(self) -> EmbeddingTable:
        if self._customers is None:
            raise TableError("This run made no customers and traits: the log has no users. customers='sessions' makes "
                             "each session a customer.")
        return self._customers

    @property
    def has_customers(self) -> bool:
        """Whether the run made customers."""
        return self._customers is not None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return vocabulary_of(self.tokens)

    @property
    def traits(self) -> list[dict[str, Any]]:
        """Descriptions of the traits."""
        found: list[dict[str, Any]] = self.customers.metadata["traits"]
        return found

    @property
    def described(self) -> list[TraitDescription]:
        """The same as `describe_traits` returned them."""
        return [
            TraitDescription(**trait | {"tokens": tuple(TopToken(**token) for token in trait["tokens"])})
            for trait in self.traits
        ]

    def text_of_item(self, row: int) -> str:
        """Description of a row of `items`, "" where there is none."""
        texts = self.items.metadata.get("texts")
        return "" if not texts else str(texts[row])

    @cached_property
    def item_texts(self) -> list[str]:
        """Description of each row of `items`."""
        return [str(text) for text in self.items.metadata.get("texts") or [""] * len(self.items)]

    @cached_property
    def left_out(self) -> LeftOut | None:
        """The log's customers that have no row."""
        return LeftOut.of_arrays(self.customers.arrays)

    @cached_property
    def affinity(self) -> NDArray[np.float32]:
        """(n_traits, n_items) how readily a trait's customers take each product."""
        vocabulary = self.vocabulary
        return product_affinity(
            np.ascontiguousarray(self.tokens.arrays["loadings"].T), vocabulary.token_item,
            vocabulary.token_action if vocabulary.actions else None, actions=vocabulary.actions,
            n_items=len(self.items),
        )

    @cached_property
    def everyone(self) -> NDArray[np.float32]:
        """(n_items,) the same for the mean of all customers."""
        return np.asarray(self.customers.vectors.mean(axis=0) @ self.affinity, dtype=np.float32)

    def items_of(self, what: str, rows: NDArray[np.int64]) -> sparse.csr_array:
        """(len(rows), n_items) ones: the items in the "history" of these customers, or those "bought"."""
        offsets, items = (self.customers.arrays[f"{what}_{part}"] for part in ("offsets", "items"))
        lengths = offsets[rows + 1] - offsets[rows]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        found = items[np.arange(ends[-1]) + np.repeat(offsets[rows] - ends[:-1], lengths)]
        ones = np.ones(len(found), dtype=np.float32)
        return sparse.csr_array((ones, found, ends), shape=(len(rows), len(self.items)))

    @cached_property
    def blend(self) -> Blend | None:
        """Scores of products by counts and traits; None for tables published before these held histories."""
        if "history_offsets" not in self.customers.arrays:
            return None
        return Blend(self.items_of("history", np.arange(len(self.customers))), self.affinity)

    def exemplars(self, trait: int, n: int = 3) -> list[int]:
        """Rows of the customers in whom a trait is strongest, of those with a median history or more: the shares of
        customers of two events say little."""
        events, share = self.customers.arrays["events"], self.customers.vectors[:, trait]
        typical = events >= np.median(events)
        order = np.argsort(np.where(typical, -share, 1.0), kind="stable")[:n]
        return [int(row) for row in order if typical[row] and share[row] > 0]

    def index(self, table: EmbeddingTable, name: str) -> Index:
        """An index that `traitcore index` has built beside this table."""
        if self.store is None or table.name is None or table.version is None:
            raise TableError("An index lies beside a published table: publish first, then open_shop.")
        path = self.store.index_path(table.name, table.version, name)
        if not path.is_dir():
            option = f" --as {name}" if name not in KINDS else f" --kind {name}"
            hint = f"`traitcore index {table.name} --version {table.version}{option}` builds it."
            raise TableError(f"There is no index {name!r} of {table.name} {table.version}: {hint}")
        return open_index(path, table)


class Published(Tables):
    """The tables of a store, all of one run: tokens and items are the versions that the customers' table names. Where
    `version` is of the items (`customers` False), the tokens are those that the items' table names. `customers` None:
    with customers if the store has any now.
    """

    store: TableStore

    def __init__(
        self, store: str | os.PathLike[str], version: str = "latest", *, customers: bool | None = True
    ) -> None:
        self.store = existing_store(store)
        self.version = version
        # Said once: what another run publishes meanwhile is not of these tables.
        there = (self.store.root / "customers" / "LATEST").exists()
        self._with_customers = there if customers is None else customers

    @property
    def has_customers(self) -> bool:
        return self._with_customers

    @property
    def versions(self) -> tuple[str | None, str | None]:
        """The versions of items and customers; None for customers where these tables have none."""
        return self.items.version, self.customers.version if self.has_customers else None

    @cached_property
    def customers(self) -> EmbeddingTable:
        return self._open("customers", self.version, "customers and traits")

    @cached_property
    def tokens(self) -> EmbeddingTable:
        of = self.customers if self.has_customers else self.items
        return self._open("tokens", self._named_by(of, "tokens"), "tokens")

    @cached_property
    def items(self) -> EmbeddingTable:
        version = self._named_by(self.customers, "items") if self.has_customers else self.version
        return self._open("items", version, "items")

    def _named_by(self, table: EmbeddingTable, name: str) -> str:
        """The version of `name` that a table was made with."""
        found = (table.metadata.get("versions") or {}).get(name)
        if found is None:
            raise TableError(f"{table!r} doesn't say which {name} it was made with: `traitcore fit` publishes both.")
        return str(found)

    def _open(self, name: str, version: str, what: str) -> EmbeddingTable:
        if not (self.store.root / name / "LATEST").exists():
            hint = " of a log with users, or with --customers sessions," if name == "customers" else ""
            raise TableError(f"{str(self.store.root)!r} has no {what}: `traitcore fit`{hint} publishes them.")
        return self.store.open(name, version)


def parse_id(table: EmbeddingTable, text: Any) -> int | str:
    """An id as typed: a number where the table's ids are numbers. KeyError for a text that can't be one."""
    if not isinstance(text, str):
        return text  # type: ignore[no-any-return]
    found = parse(text, table.id_kind == "int64")
    if found is None:
        kind = "integers" if table.id_kind == "int64" else "texts"
        raise KeyError(f"{text!r} is not in {table!r}: its ids are {kind}.")
    return found
