"""On the driver: the vocabulary of counted tokens, as `tokenize` makes it, and what the workers need of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events.action_names import map_actions, place_in_funnel
from ..events.array_likes import read_column
from ..events.columns import code_column
from ..events.ids import text_array
from ..events.vocabulary import Vocabulary


def action_names(logged: Sequence[str], action_map: Mapping[str, str | None] | None) -> tuple[str, ...]:
    """The actions' names after `action_map`, in the order of a whole log's: along the funnel, then by name."""
    return map_actions(tuple(sorted(logged, key=lambda name: (place_in_funnel(name), name))), action_map)[0]


def ids_of(column: Any) -> NDArray[Any]:
    """An Arrow column of ids as int64 or str objects."""
    if str(column.type) == "string":
        return text_array(column.to_pylist())
    return np.asarray(column.to_numpy(), dtype=np.int64)


def ranked_vocabulary(
    items: NDArray[Any], actions: Sequence[str | None], names: tuple[str, ...], counts: NDArray[np.int64],
    documents: NDArray[np.int64], n_documents: int,
) -> Vocabulary:
    """The vocabulary of these tokens by falling count, ties by the item's id, then by the action along the funnel."""
    item, item_ids = code_column("item", read_column("item", items))
    place = {name: i for i, name in enumerate(names)}
    action = np.array([place[one] if one is not None else -1 for one in actions], dtype=np.int32)
    order = np.lexsort((action, item, -counts))
    return Vocabulary(
        item_ids, names, item[order], action[order], counts[order], documents[order], n_documents
    )


def vocabulary_options(vocabulary: Vocabulary) -> dict[str, Any]:
    """What a worker needs to turn items and actions into rows: ids, names, and the row of each pair or -1."""
    n_actions = max(1, len(vocabulary.actions))
    token_of = np.full(len(vocabulary.item_ids) * n_actions, -1, dtype=np.int32)
    action = np.maximum(vocabulary.token_action, 0)
    token_of[vocabulary.token_item.astype(np.int64) * n_actions + action] = np.arange(len(vocabulary), dtype=np.int32)
    return {"item_ids": vocabulary.item_ids, "actions": vocabulary.actions, "token_of": token_of}
