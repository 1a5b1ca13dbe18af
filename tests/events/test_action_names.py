"""Other systems' names of actions."""

from __future__ import annotations

import pytest

from traitcore import EventLog, split_sessions, tokenize
from traitcore.events.action_names import DEFAULT_ACTION_MAP, buying


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("view", "pv", "clicks", "Product Viewed", "view_item", "viewItem"), "view"),
        (("addtocart", "add_to_cart", "addToCart", "Product Added", "carts", "add_cart", "ADD_TO_CART"), "cart"),
        (("remove_from_cart", "Product Removed", "remove_cart"), "remove"),
        (("transaction", "order_completed", "Order Completed", "orders", "purchase", "Purchase", "buy"), "buy"),
        (("fav", "Add To Wishlist"), "fav"),
    ],
)
def test_common_names_have_one_short_name(names: tuple[str, ...], short: str) -> None:
    assert {DEFAULT_ACTION_MAP[name] for name in names} == {short}


def test_names_that_say_something_else_stay() -> None:
    for name in ("page_view", "search", "session_start", "add", "begin_checkout", "refund", "order_cancelled"):
        assert name not in DEFAULT_ACTION_MAP


def test_what_means_buying() -> None:
    assert buying(("view", "transaction", "sold_online"), {"sold_online": "buy"}) == ["transaction", "sold_online"]
    assert buying(("purchase", "buy", "view"), None) == ["purchase", "buy"]
    assert buying(("purchase",), {"purchase": None}) == ["purchase"]  # not learned from, but bought all the same
    assert buying(("view",), {}) == []


def test_tokens_of_another_shop() -> None:
    log = EventLog.from_columns(
        {"user_id": [1, 1, 1], "timestamp": [1_500_000_000, 1_500_000_001, 1_500_000_002],
         "action": ["pv", "addtocart", "transaction"], "item_id": [5, 5, 5]}
    )
    tokens = tokenize(split_sessions(log)).vocabulary.tokens.tolist()
    assert sorted(tokens) == ["buy_5", "cart_5", "view_5"]
