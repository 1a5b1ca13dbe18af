"""What shops call their actions: other systems' names of viewing, carting, removing, buying and saving for later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
