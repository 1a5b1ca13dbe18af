"""A small shop, fitted in a second, in memory and published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import traitcore as tc

FAST: dict[str, Any] = {"method": "ppmi", "vector_size": 8, "n_traits": 3, "trait_method": "counts"}


def simulated() -> Any:
    return tc.simulate_events(n_users=120, n_items=60, n_traits=3, seed=0)


def fitted_shop() -> tc.Fitted:
    """A shop with texts, prices, and customers who have no profile."""
    shop = simulated()
    columns = shop.log.to_columns()
    busy = 1001  # events in one session: a bot
    days = (0, 5, 9, 0, 0, *[0] * busy)
    rare = {
        "user_id": ["once"] * 3 + ["rare"] * 2 + ["busy"] * busy,
        "timestamp": [np.datetime64("2024-01-05T10:00", "us") + np.timedelta64(day, "D") for day in days],
        "action": ["view"] * len(days),
        "item_id": ["prod_0001", "prod_0002", "prod_0003", "odd_1", "odd_2", *["prod_0004"] * busy],
        "item_text": [""] * len(days),
    }
    frame = {name: np.concatenate([column.astype(object), np.array(rare[name], dtype=object)])
             for name, column in columns.items()}
    frame["timestamp"] = frame["timestamp"].astype("datetime64[us]")
    truth = shop.truth
    catalogue = {"item_id": truth.item_ids, "price": truth.item_price, "category": truth.item_category}
    return tc.fit(frame, item_text="item_text", catalogue=catalogue, **FAST)


def published(fitted: tc.Fitted, folder: Path) -> str:
    store = str(folder / "store")
    fitted.publish(store)
    return store
