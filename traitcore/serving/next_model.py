"""A `NextItemModel` kept in a table of items: its vectors as arrays, its session encoder in the metadata."""

from __future__ import annotations

import numpy as np

from .._errors import TableError
from ..items.next_item_model import NextItemModel
from .table import EmbeddingTable

_VECTORS, _BIASES, _ENCODER = "next_vectors", "next_biases", "next_encoder"


def keep_next_model(items: EmbeddingTable, model: NextItemModel) -> EmbeddingTable:
    """A table like `items` that also holds `model`, whose rows are its rows.

    arrays["next_vectors"] (n, d) and arrays["next_biases"] (n,); metadata["next_encoder"]: the query of a session is
    scale * u / |u|, u the sum of step_weights[k] * (vector of the item k steps back); an item's score is query . vector
    + bias, and repeat_bonus[k] more where the session has it, k steps back at its latest.
    """
    encoder = {
        "scale": float(model.scale),
        "step_weights": [float(w) for w in model.step_weights_],
        "repeat_bonus": [float(b) for b in model.repeat_bonus_],
        "formula": "scale * unit(sum of step_weights[k] * next_vectors[item k steps back]) . next_vectors[item] + "
        "next_biases[item] + repeat_bonus[steps back of item, where the session has it]",
    }
    return EmbeddingTable(
        items.ids, items.vectors, context_vectors=items.context_vectors,
        arrays={**items.arrays, _VECTORS: model.vectors_, _BIASES: model.biases_},
        metadata={**items.metadata, _ENCODER: encoder},
    )


def next_model_of(items: EmbeddingTable) -> NextItemModel | None:
    """The model that a table of items was published with, its items the table's rows; None where it has none.

    Examples
    --------
    >>> import traitcore as tc
    >>> shop = tc.simulate_events(n_users=80, n_items=40, n_traits=3, seed=0)
    >>> tc.next_model_of(tc.fit_pipeline(shop.log, vector_size=8, customers="none").items) is None  # not published
    True
    """
    encoder = items.metadata.get(_ENCODER)
    if encoder is None or _VECTORS not in items.arrays:
        return None
    try:
        return NextItemModel.from_arrays(
            items.arrays[_VECTORS], items.arrays[_BIASES], np.asarray(encoder["step_weights"], dtype=np.float32),
            np.asarray(encoder["repeat_bonus"], dtype=np.float32), scale=encoder["scale"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TableError(f"The next-item model of {items!r} can't be read: {error}") from error
