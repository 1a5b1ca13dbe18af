"""Actions: what shops call them, the names they are given, and their order along the funnel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import InputError
from .._validate import Checks

# Order of actions within one instant, and of tokens' actions everywhere; others follow by name.
FUNNEL = ("view", "add_cart", "cart", "remove_cart", "remove", "purchase", "buy")
MAX_ACTIONS = 32_767
# In lower case with underscores; known in the usual spellings of these: "Product Viewed", "addToCart", "PURCHASE".
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "view": (
        "view", "views", "viewed", "pv", "click", "clicks", "clicked", "detail", "product_view", "product_viewed",
        "item_view", "view_item", "view_product", "view_content", "product_detail", "product_detail_view",
        "product_click", "product_clicked", "detail_view", "product_page_view",
    ),
    "cart": (
        "cart", "carts", "carted", "add_cart", "addtocart", "add_to_cart", "added_to_cart", "cart_add", "product_added",
        "add_to_basket", "addtobasket", "basket", "add_to_bag",
    ),
    "remove": (
        "remove", "removed", "remove_cart", "removefromcart", "remove_from_cart", "removed_from_cart", "cart_remove",
        "product_removed", "remove_from_basket",
    ),
    "buy": (
        "buy", "buys", "bought", "purchase", "purchases", "purchased", "transaction", "transactions", "order", "orders",
        "ordered", "order_completed", "order_placed", "product_purchased", "ecommerce_purchase", "sale", "sales",
        "checkout_completed", "placed_order",
    ),
    "fav": (
        "fav", "favs", "favorite", "favourite", "favorited", "wishlist", "add_to_wishlist", "addtowishlist",
        "product_added_to_wishlist", "wish",
    ),
}


def _spellings(name: str) -> set[str]:
    words = name.split("_")
    title = [word.title() for word in words]
    return {
        name, name.upper(), " ".join(words), " ".join(title), " ".join([title[0], *words[1:]]), "-".join(words),
        words[0] + "".join(title[1:]), "".join(title), "_".join(title),
    }


# Short names of common actions; other names stay as they are.
DEFAULT_ACTION_MAP: Mapping[str, str | None] = {
    spelling: short for short, names in _KNOWN.items() for name in names for spelling in sorted(_spellings(name))
}


def buying(actions: Iterable[str], action_map: Mapping[str, str | None] | None) -> list[str]:
    """The actions that mean buying, by their own name or by the one that they are given."""
    renamed = action_map or {}
    return [
        name for name in actions
        if any(DEFAULT_ACTION_MAP.get(one, one) == "buy" for one in (name, renamed.get(name)) if one is not None)
    ]


def map_actions(
    actions: tuple[str, ...], action_map: Mapping[str, str | None] | None
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """(new names in order of first use, (n_actions,) int16 new code or -1)."""
    if action_map is not None and not isinstance(action_map, Mapping):
        raise Checks("tokenize").type_error("action_map", "a mapping of names, or None", action_map)
    given = dict(action_map or {})
    for old, new in given.items():
        if not isinstance(old, str) or not (new is None or (isinstance(new, str) and new)):
            raise Checks("tokenize").type_error("action_map", "a mapping of str to non-empty str", {old: new})
    mapped = [given.get(action, action) for action in actions]
    names = tuple(dict.fromkeys(name for name in mapped if name is not None))
    return names, np.array([-1 if name is None else names.index(name) for name in mapped], dtype=np.int16)


def place_in_funnel(name: str) -> int:
    """By which actions are ordered; those that are not in the funnel share the last place."""
    return FUNNEL.index(name) if name in FUNNEL else len(FUNNEL)


def in_funnel_order(
    codes: NDArray[np.int32], ids: NDArray[Any], column: str
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """(codes, names) of actions along the funnel, others behind it in the order of `ids`.

    column : whose codes and distinct values these are, for the InputError where there are too many.
    """
    if len(ids) > MAX_ACTIONS:
        raise InputError(f"{column} has {len(ids):,} distinct values, too many for actions. Is it the right column?")
    names = [str(i) for i in ids]
    order = sorted(range(len(names)), key=lambda i: (place_in_funnel(names[i]), i))
    rank = np.empty(len(names), dtype=np.int16)
    rank[order] = np.arange(len(names), dtype=np.int16)
    return rank[codes], tuple(names[i] for i in order)
