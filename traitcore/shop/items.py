"""Questions about items and tokens: which one is meant, what is near it, what comes next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._looks import Rows, show
from .._validate import Checks
from ..pipeline import recorded_choice
from ..serving.next_model import next_model_of
from ..serving.table import EmbeddingTable
from .answers import Neighbour
from .search import best_match, matching
from .tables import Tables, parse_id


def similar(tables: Tables, what: Any, k: int, following: bool, index: str | None) -> Rows[Neighbour]:
    """See `Shop.similar`."""
    check = Checks("Shop.similar")
    k = check.integer("k", k, 1)
    if index is not None and following:
        raise check.value_error("index", "None with following=True: an index finds what is similar", index)
    source, row, note = meant(tables, what)
    counts, text_of, own = source.arrays["counts"], texts_of(tables, source), source.ids[row]
    by = recorded_choice(source, "similar") if following else "cosine"
    if following and by == "model":
        found = _next_by_model(source, row, k)
    elif following:  # rows without events never came next
        how: dict[str, Any] = {"metric": "cosine"}
        if by != "cosine":
            how = {"against": "context_vectors", "metric": "dot"}
        found = source.most_similar(own, k, exclude=source.ids[counts == 0], **how)
    elif index is not None:
        found = tables.index(source, index).most_similar(own, k)
    else:
        found = source.most_similar(own, k)
    places = source.rows([token for token, _ in found]).tolist() if found else []
    title = f"{show(str(own))}  {show(text_of(row))}".rstrip() + f"  ({int(counts[row]):,} events{note})"
    return Rows(Neighbour, [
        Neighbour(token, text_of(place), score, int(counts[place]))
        for (token, score), place in zip(found, places) if score != 0  # 0: no vector
    ], title=title)


def _next_by_model(items: EmbeddingTable, own: int, k: int) -> list[tuple[Any, float]]:
    """What the table's model ranks after one item, the item itself left out."""
    model = next_model_of(items)
    assert model is not None
    rows, scores = model.recommend([own], k=k, exclude=[own])
    return [(items.ids[row], float(score)) for row, score in zip(rows.tolist(), scores.tolist()) if row >= 0]


def find(tables: Tables, text: str, k: int) -> Rows[Neighbour]:
    """See `Shop.find`."""
    k = Checks("Shop.find").integer("k", k, 1)
    items, counts = tables.items, tables.items.arrays["counts"]
    rows = sorted(matching(tables.item_texts, text), key=lambda row: (-int(counts[row]), row))[:k]
    return Rows(Neighbour, [
        Neighbour(items.ids[row], tables.text_of_item(row), 1.0, int(counts[row])) for row in rows
    ])


def meant(tables: Tables, what: Any) -> tuple[EmbeddingTable, int, str]:
    """(table, row, remark) of what was asked for: a token, else an item's id, else the item that a text describes."""
    vocabulary, items = tables.vocabulary, tables.items
    try:
        row = vocabulary.parse(what) if isinstance(what, str) else vocabulary.row_of(what)
        return tables.tokens, row, ""
    except KeyError as error:
        unknown = error
    try:
        return items, items.row(parse_id(items, what)), ""
    except KeyError:
        pass
    matched = best_match(tables.item_texts, what, items.arrays["counts"]) if isinstance(what, str) else None
    if matched is not None:
        row, n = matched
        others = "1 more item matches" if n == 2 else f"{n - 1:,} more items match"
        return items, row, f"; {others} {what!r}" if n > 1 else ""
    if isinstance(what, str) and any(tables.item_texts):
        raise KeyError(f"{unknown.args[0]}; nor does any description hold all the words of {what!r}.") from None
    raise unknown


def texts_of(tables: Tables, source: EmbeddingTable) -> Callable[[int], str]:
    """The description of a row of the tokens' or the items' table."""
    return tables.text_of_item if source is tables.items else tables.vocabulary.text_of
