"""What is known of items besides their events: descriptions, categories, brands, prices, content vectors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._validate import Checks
from ..events.id_text import parse_id
from ..events.reading import Reading
from ..events.text_table import TextTable, read_table
from ..events.timestamps import is_number
from ..events.vocabulary import Vocabulary
from ..items.content import content_features
from ..items.fusion import SourcedVectors, backfill_vectors, fuse_vectors

CHECK = Checks("Catalogue")
FIELDS = ("text", "category", "brand", "price")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items with descriptions, also items that are in no log yet.

    Attributes
    ----------
    item_ids : (n,) distinct ids, all ints or all str, as in the log.
    texts, categories, brands : (n,) str, "" or None where unknown; or None. prices : (n,) numbers, NaN where unknown.
    vectors : (n, c) float32 content vectors, or None: made from the fields above by `content_features`.
    """

    item_ids: Any
    texts: Any = None
    categories: Any = None
    brands: Any = None
    prices: Any = None
    vectors: Any = None

    def __post_init__(self) -> None:
        ids = np.asarray(self.item_ids)
        if ids.ndim != 1 or ids.dtype.kind not in "iuUO":
            raise CHECK.type_error("item_ids", "ids, all ints or all str", f"dtype {ids.dtype}")
        if len(set(ids.tolist())) != len(ids):
            raise CHECK.value_error("item_ids", "distinct", "an id that repeats")
        for name in ("texts", "categories", "brands", "prices", "vectors"):
            value = getattr(self, name)
            if value is not None and len(value) != len(ids):
                raise CHECK.value_error(name, f"of {len(ids)} items", f"{len(value)}")
        object.__setattr__(self, "item_ids", ids)

    def fields(self) -> dict[str, Any]:
        """The known fields, as keyword arguments of `content_features`."""
        given = {"categories": self.categories, "brands": self.brands}
        fields = {name: [v or None for v in value] for name, value in given.items() if value is not None}
        if self.texts is not None:
            fields["texts"] = [text or "" for text in self.texts]
        if self.prices is not None:
            fields["prices"] = np.asarray(self.prices, dtype=np.float64)  # type: ignore[assignment]
        return fields

    def content(self, *, seed: int = 0) -> NDArray[np.float32]:
        """(n, c) float32 content vectors; a zero row where nothing is known."""
        if self.vectors is not None:
            return CHECK.array("vectors", self.vectors, dtype=np.float32, shape=(len(self.item_ids), None))
        return content_features(**self.fields(), random_state=seed)

    def of(self, item_ids: NDArray[Any], name: str) -> list[Any]:
        """The field `name` of these items, None where unknown. A price of 0 is known."""
        known = dict(zip(self.item_ids.tolist(), getattr(self, name)))
        values = map(known.get, item_ids.tolist())
        return [None if isinstance(value, str) and not value else value for value in values]

    def category_codes(self) -> NDArray[np.int64] | None:
        """(n,) code of each item's category, -1 where unknown; None without categories."""
        if self.categories is None:
            return None
        names = np.asarray([str(c) if c else "" for c in self.categories])
        distinct, codes = np.unique(names, return_inverse=True)
        return np.where(distinct[codes] == "", -1, codes).astype(np.int64)


def read_catalogue(
    path: str | os.PathLike[str], *, item: str = "item_id", text: str | None = None, category: str | None = None,
    brand: str | None = None, price: str | None = None, integer_ids: bool = False, where: str | None = None,
    null: Sequence[str] = (), reading: Reading | None = None,
) -> Catalogue:
    """A catalogue from a file that `read_events` could read: a column of item ids, and any of texts, categories, brands
    and prices.

    item, text, category, brand, price : columns or SQL expressions. Those not given are the columns "text",
        "category", "brand" and "price" where the file has them.
    integer_ids : the log's ids are integers, so must be these. null : texts that mean "no value". reading : how the
        file is written. where : an SQL condition on the file's columns, that rows must meet.

    Raises InputError (with file, line, column) for a missing column, an id that repeats or isn't an integer like the
    log's, a price that isn't a number; FileNotFoundError.
    """
    reading = Reading() if reading is None else reading
    reading.check(Checks("read_catalogue"))
    given = {"text": text, "category": category, "brand": brand, "price": price}
    columns: dict[str, str] = {}

    def chosen(there: list[str]) -> dict[str, str]:
        names = {role: name or role for role, name in given.items() if name is not None or role in there}
        columns.update({"item": item, **names})
        return {"item": item, **names}

    def made(table: TextTable) -> Catalogue:
        return _catalogue_of(table, columns, integer_ids, frozenset(null), reading.decimal)

    found: Catalogue = read_table([path], chosen, where, reading, made)
    return found


def _catalogue_of(
    table: TextTable, columns: Mapping[str, str], integers: bool, nulls: frozenset[str], decimal: str
) -> Catalogue:
    source = table.sources[0].name if len(table.sources) == 1 else f"{len(table.sources)} files"
    if len(table) == 0:
        raise InputError(f"{source} has no items.")
    if len(columns) == 1:
        raise InputError(f"{source} has none of the columns {', '.join(map(repr, FIELDS))}.")
    seen: dict[Any, int] = {}
    for row, written in enumerate(table.columns["item"]):
        key = parse_id("" if written in nulls else written, integers)
        name = columns["item"]
        if key is None:
            what = "is empty" if written in nulls or not written else (
                f"is not an integer, as the log's items are. Got {written!r}")
            raise InputError(f"{table.place(row)}: column {name!r} {what}.")
        if key in seen:
            raise InputError(f"{table.place(row)}: {name} {key!r} is in {table.place(seen[key])} too.")
        seen[key] = row
    values: dict[str, list[Any]] = {
        role: ["" if text in nulls else text for text in column] for role, column in table.columns.items()
    }
    if "price" in values:
        values["price"] = [_price(text, decimal, table, row, columns) for row, text in enumerate(values["price"])]
    return Catalogue(
        np.asarray(list(seen), dtype=np.int64 if integers else object),
        texts=values.get("text"), categories=values.get("category"), brands=values.get("brand"),
        prices=values.get("price"),
    )


def _price(text: str, decimal: str, table: TextTable, row: int, columns: Mapping[str, str]) -> float:
    if not text.strip():
        return float("nan")
    plain = text if decimal == "." else text.replace(".", "?").replace(decimal, ".")
    if not is_number(plain):
        raise InputError(f"{table.place(row)}: column {columns['price']!r} is not a number. Got {text!r}.")
    return float(plain)


def with_content(catalogue: Catalogue, *, seed: int) -> Catalogue:
    """The catalogue with its content vectors computed, once for all tables."""
    return replace(catalogue, vectors=catalogue.content(seed=seed))


def with_texts(vocabulary: Vocabulary, catalogue: Catalogue | None) -> Vocabulary:
    """The vocabulary with the catalogue's descriptions, or the log's where it has none."""
    if catalogue is None or catalogue.texts is None:
        return vocabulary
    logged = [""] * len(vocabulary.item_ids) if vocabulary.item_texts is None else vocabulary.item_texts.tolist()
    texts = np.empty(len(logged), dtype=object)
    texts[:] = [new or old for new, old in zip(catalogue.of(vocabulary.item_ids, "texts"), logged)]
    return replace(vocabulary, item_texts=texts)


def complete_vectors(
    item_ids: NDArray[Any], vectors: NDArray[np.float32], counts: NDArray[np.int64], catalogue: Catalogue, *,
    content: str, behaviour_weight: float, seed: int,
) -> tuple[NDArray[Any], NDArray[np.int64], SourcedVectors]:
    """(ids, (n,) row of each in `vectors` or -1, vectors): all items of the log's vocabulary and of the catalogue.

    content="backfill": items without events get vectors from their content or category; "fuse" also mixes content into
    the others, more into rarer ones.
    """
    if (catalogue.item_ids.dtype.kind in "iu") != (item_ids.dtype.kind in "iu"):
        kind = "integers" if item_ids.dtype.kind in "iu" else "strings"
        raise InputError(f"The catalogue's item ids must be {kind}, as the log's are.")
    known = {key: row for row, key in enumerate(item_ids.tolist())}
    new = [key for key in catalogue.item_ids.tolist() if key not in known]
    ids = np.concatenate([item_ids, np.asarray(new, dtype=item_ids.dtype)])
    place = {key: row for row, key in enumerate(ids.tolist())}
    rows = np.asarray([place[key] for key in catalogue.item_ids.tolist()], dtype=np.int64)
    source_row = np.concatenate([np.arange(len(item_ids)), np.full(len(new), -1)]).astype(np.int64)
    behaviour = np.zeros((len(ids), vectors.shape[1]), dtype=np.float32)
    behaviour[: len(item_ids)] = vectors
    events = np.zeros(len(ids), dtype=np.int64)
    events[: len(item_ids)] = counts
    described = catalogue.content(seed=seed)
    features = np.zeros((len(ids), described.shape[1]), dtype=np.float32)
    features[rows] = described
    codes = catalogue.category_codes()
    categories = None
    if codes is not None:
        categories = np.full(len(ids), -1, dtype=np.int64)
        categories[rows] = codes
    if content == "fuse":
        fused = fuse_vectors(
            behaviour, features, behaviour_weight=behaviour_weight, method="map", item_counts=events
        )
        filled = backfill_vectors(fused.vectors, categories=categories, item_counts=events)
        source = np.where(fused.source == "missing", filled.source, fused.source)
        return ids, source_row, SourcedVectors(filled.vectors, source, fused.behaviour_weight)
    return ids, source_row, backfill_vectors(behaviour, content=features, categories=categories, item_counts=events)
