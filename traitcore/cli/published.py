"""The published tables, as the commands read them."""

from __future__ import annotations

import shlex
from functools import cached_property
from typing import Any

from .._errors import TableError
from ..customers.describe import TopToken, TraitDescription
from ..events.id_text import parse_id as parse
from ..events.vocabulary import Vocabulary
from ..pipeline import vocabulary_of
from ..serving.index import KINDS, Index, open_index
from ..serving.store import TableStore
from ..serving.table import EmbeddingTable


class Published:
    """The tables of a store, all of one run: tokens and items are the versions that the customers' table names. Without
    `customers`, the tokens are those that the items' table names.
    """

    def __init__(self, store: str, version: str = "latest", *, customers: bool = True) -> None:
        self._with_customers = customers
        self.store = TableStore(store)
        self.version = version
        if not self.store.root.is_dir():
            quoted = shlex.quote(store)
            raise TableError(f"There is no store at {store!r}: `traitcore fit LOG --store {quoted}` makes one.")

    @cached_property
    def customers(self) -> EmbeddingTable:
        return self._open("customers", self.version, "customers and traits")

    @cached_property
    def tokens(self) -> EmbeddingTable:
        of = self.customers if self._with_customers else self.items
        return self._open("tokens", self._named_by(of, "tokens"), "tokens")

    @cached_property
    def items(self) -> EmbeddingTable:
        version = self._named_by(self.customers, "items") if self._with_customers else self.version
        return self._open("items", version, "items")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return vocabulary_of(self.tokens)

    def index(self, table: EmbeddingTable, name: str) -> Index:
        """An index that `traitcore index` has built beside this table."""
        assert table.name is not None
        assert table.version is not None
        path = self.store.index_path(table.name, table.version, name)
        if not path.is_dir():
            option = f" --as {name}" if name not in KINDS else f" --kind {name}"
            hint = f"`traitcore index {table.name} --version {table.version}{option}` builds it."
            raise TableError(f"There is no index {name!r} of {table.name} {table.version}: {hint}")
        return open_index(path, table)

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


def parse_id(table: EmbeddingTable, text: str) -> int | str:
    """An id as typed: a number where the table's ids are numbers."""
    found = parse(text, table.id_kind == "int64")
    if found is None:
        kind = "integers" if table.id_kind == "int64" else "texts"
        raise KeyError(f"{text!r} is not in {table!r}: its ids are {kind}.")
    return found
