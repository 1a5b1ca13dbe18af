"""Small files in the layout of each public log of docs/your_log.md: their form, not their content."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

START = datetime(2019, 10, 1, tzinfo=UTC)


class Event:
    """One event; users come back on several days, with a few events each time."""

    def __init__(self, user: int, item: int, action: int, time: datetime, session: int, place: int) -> None:
        self.user, self.item, self.action, self.time = user, item, action, time
        self.session, self.place = session, place


def events() -> Iterator[Event]:
    """12 customers with 8 visits of 4 events, on 8 items."""
    rng = np.random.default_rng(0)
    for visit in range(96):
        user, start = visit % 12, START + timedelta(days=visit // 12, minutes=7 * visit)
        for place, item in enumerate(rng.integers(0, 8, 4).tolist()):
            yield Event(user, item, place, start + timedelta(seconds=40 * place), visit, place)


def table(header: list[str] | None, row: Callable[[Event], list[Any]], delimiter: str = ",") -> bytes:
    """Rows as a CSV."""
    out = io.StringIO()
    if len(delimiter) == 1:
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
        writer.writerows([*([header] if header else []), *map(row, events())])
        return out.getvalue().encode()
    return "".join(delimiter.join(map(str, row(e))) + "\n" for e in events()).encode()


def lines(record: Callable[[Event], Any]) -> bytes:
    """Records as JSON lines."""
    return "".join(json.dumps(record(e)) + "\n" for e in events()).encode()


def visits() -> list[list[Event]]:
    """The events, visit by visit."""
    found: dict[int, list[Event]] = {}
    for e in events():
        found.setdefault(e.session, []).append(e)
    return list(found.values())


def pick(e: Event, *names: str) -> str:
    """The name of an event's action."""
    return names[e.action % len(names)]


def seconds(e: Event) -> int:
    """Since 1970."""
    return int(e.time.timestamp())


def iso(e: Event) -> str:
    """2019-10-01 00:00:00."""
    return e.time.strftime("%Y-%m-%d %H:%M:%S")


def us_date(e: Event, form: str = "{}/{}/{} {}:{:02d}") -> str:
    """12/1/2010 8:26."""
    return form.format(e.time.month, e.time.day, e.time.year, e.time.hour, e.time.minute)


RETAIL = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
RETAIL_2 = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"]


def invoice(e: Event, time: Any, customer: Any) -> list[Any]:
    """A line of an invoice; some are cancelled, and one visit has no customer."""
    number = f"{'C' if e.session % 9 == 8 else ''}{536000 + e.session}"
    known = "" if e.session == 0 else customer
    return [number, f"8512{e.item}A", f"CAF\u00c9 SIGN {e.item}, 5\"", 6, time, 2.55, known, "United Kingdom"]


def workbook(path: Path, header: list[str], sheets: int, customer: Callable[[Event], Any]) -> None:
    """An Excel file."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    rows = list(events())
    for number in range(sheets):
        sheet = book.create_sheet(f"Year {2009 + number}")
        sheet.append(header)
        for e in rows[number::sheets]:
            sheet.append([None if v == "" else v for v in invoice(e, e.time.replace(tzinfo=None), customer(e))])
    book.save(path)


def ga4(e: Event) -> dict[str, Any]:
    """A row of the BigQuery export."""
    name = pick(e, "page_view", "view_item", "add_to_cart", "purchase")
    items = [] if name == "page_view" else [{"item_id": f"SKU{e.item}", "item_name": f"Item {e.item}"}]
    return {"event_date": "20191001", "event_timestamp": str(int(e.time.timestamp() * 1e6)), "event_name": name,
            "user_pseudo_id": f"{e.user}.17", "items": items}


def segment(e: Event) -> dict[str, Any]:
    """A message of Segment's track call; pages have no product."""
    name = pick(e, "Page Viewed", "Product Viewed", "Product Added", "Product Removed")
    product = {} if name == "Page Viewed" else {"product_id": f"p{e.item}", "name": f"Item {e.item}"}
    return {"type": "track", "event": name, "userId": None if e.user % 2 else f"u{e.user}", "anonymousId": f"a{e.user}",
            "timestamp": e.time.isoformat().replace("+00:00", ".123Z"), "properties": product}


def write_all(folder: Path) -> None:
    """Write every file that the commands of the page name."""
    files: dict[str, bytes] = {
        "2019-Oct.csv.gz": gzip.compress(table(
            ["event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price", "user_id",
             "user_session"],
            lambda e: [f"{iso(e)} UTC", pick(e, "view", "view", "cart", "purchase"), 44600000 + e.item,
                       2103807459595387724, "", "shiseido", 35.79, 541312140 + e.user,
                       f"72d76fde-8bb3-4e00-8c23-{e.session:012d}"],
        )),
        "yoochoose-clicks.dat": table(None, lambda e: [e.session, e.time.strftime("%Y-%m-%dT%H:%M:%S.123Z"),
                                                       214536500 + e.item, 0]),
        "train-item-views.csv": table(
            ["sessionId", "userId", "itemId", "timeframe", "eventdate"],
            lambda e: [e.session, "NA", 81766 + e.item, 526309 + 1000 * e.place, iso(e)[:10]], ";",
        ),
        "events.csv": table(
            ["timestamp", "visitorid", "event", "itemid", "transactionid"],
            lambda e: [seconds(e) * 1000, 257597 + e.user, pick(e, "view", "view", "addtocart", "transaction"),
                       355908 + e.item, 4000 + e.session if e.place == 3 else ""],
        ),
        "Online Retail.csv": table(RETAIL, lambda e: invoice(e, us_date(e), 17850 + e.user)).decode().encode("latin-1"),
        "online_retail_II.csv": table(RETAIL_2, lambda e: invoice(e, iso(e), f"{13085 + e.user}.0")),
        "ratings.dat": table(None, lambda e: [e.user + 1, 1193 + e.item, 5, seconds(e)], "::"),
        "ml-25m/ratings.csv": table(["userId", "movieId", "rating", "timestamp"],
                                    lambda e: [e.user + 1, 296 + e.item, 5.0, seconds(e)]),
        "UserBehavior.csv": table(None, lambda e: [e.user + 1, 2268318 + e.item, 2520377,
                                                   pick(e, "pv", "pv", "fav", "buy"), seconds(e)]),
        "ta_feng_all_months_merged.csv": table(
            ["TRANSACTION_DT", "CUSTOMER_ID", "AGE_GROUP", "PIN_CODE", "PRODUCT_SUBCLASS", "PRODUCT_ID", "AMOUNT",
             "ASSET", "SALES_PRICE"],
            lambda e: [us_date(e, "{}/{}/{}"), f"0{1104905 + e.user}", "45-49", "115", 110411,
                       4710199010372 + e.item, 2, 24, 30],
        ),
        "order_products__prior.csv": table(
            ["order_id", "product_id", "add_to_cart_order", "reordered"],
            lambda e: [e.session + 1, 33120 + e.item, e.place + 1, 0],
        ),
        "transactions_train.csv": table(
            ["t_dat", "customer_id", "article_id", "price", "sales_channel_id"],
            lambda e: [iso(e)[:10], f"000058a12d5b43e67d225668fa1f8d618c13dc232df0cad8ffe7ad4a1091{e.user:04d}",
                       f"066371300{e.item}", 0.0508, 2],
        ),
        "otto.jsonl": "".join(
            json.dumps({"session": visit[0].session, "events": [
                {"aid": 1517085 + e.item, "ts": seconds(e) * 1000 + 278,
                 "type": pick(e, "clicks", "clicks", "carts", "orders")}
                for e in visit]}) + "\n" for visit in visits()
        ).encode(),
        "ga4.jsonl": lines(ga4),
        "ga4_items.csv": table(
            ["event_date", "event_timestamp", "event_name", "user_pseudo_id", "item_id"],
            lambda e: ["20191001", seconds(e) * 10**6, pick(e, "view_item", "add_to_cart", "purchase"), f"{e.user}.17",
                       f"SKU{e.item}"],
        ),
        "snowplow.jsonl": lines(lambda e: {
            "app_id": "shop", "derived_tstamp": e.time.strftime("%Y-%m-%dT%H:%M:%S.123Z"), "event_name": "unstruct",
            "domain_userid": f"d-{e.user}", "domain_sessionid": f"s-{e.session}",
            "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1":
                {"type": pick(e, "product_view", "add_to_cart", "remove_from_cart", "transaction")},
            "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1":
                [{"id": f"sku-{e.item}", "name": f"Item {e.item}"}],
        }),
        "segment.json.gz": gzip.compress(lines(segment)),
        "orders_export.csv": table(
            ["Name", "Email", "Financial Status", "Created at", "Lineitem quantity", "Lineitem name", "Lineitem price",
             "Lineitem sku"],
            lambda e: [f"#{1000 + e.session}", f"c{e.user}@example.com", "paid" if e.place == 0 else "",
                       e.time.strftime("%Y-%m-%d %H:%M:%S -0500"), 1, f"Item {e.item}", "9.50", f"SKU-{e.item}"],
        ),
        "matomo.json": json.dumps([
            {"visitorId": f"{v[0].user:016x}", "idVisit": str(v[0].session), "actionDetails": [
                {"type": "action", "timestamp": seconds(e), "productViewSku": f"sku{e.item}"} if e.place < 3 else
                {"type": "event", "timestamp": seconds(e), "eventCategory": "menu"} for e in v]}
            for v in visits()
        ]).encode(),
        "ratings_Electronics.csv": table(
            None, lambda e: [f"AKM1MP6P0OYP{e.user:02d}", f"013279371{e.item}", 5.0, seconds(e)],
        ),
        "userid-timestamp-artid-artname-traid-traname.tsv": "".join(
            f"user_{e.user:06d}\t{iso(e).replace(' ', 'T')}Z\t\tThe \"{e.item}\"\t\tSong\n" for e in events()
        ).encode(),
        "transaction_data.csv": table(
            ["household_key", "BASKET_ID", "DAY", "PRODUCT_ID", "QUANTITY", "SALES_VALUE", "STORE_ID", "RETAIL_DISC",
             "TRANS_TIME", "WEEK_NO", "COUPON_DISC", "COUPON_MATCH_DISC"],
            lambda e: [2375 + e.user, 26984851472 + e.session, 1 + e.session // 12, 1004900 + e.item, 1, 1.39, 364,
                       -0.6, f"{e.time.hour:02d}{e.time.minute:02d}", 1, 0, 0],
        ),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", files["ratings.dat"])
    workbook(folder / "Online Retail.xlsx", RETAIL, 1, lambda e: 17850 + e.user)
    workbook(folder / "online_retail_II.xlsx", RETAIL_2, 2, lambda e: 13085.0 + e.user)
