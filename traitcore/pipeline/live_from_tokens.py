"""Live customers from a published table of tokens."""

from __future__ import annotations

from typing import Any

from .._errors import TableError
from ..serving.live_customers import LiveCustomers
from ..serving.live_traits import TraitBasis
from ..serving.table import EmbeddingTable
from .tables import vocabulary_of


def live_customers(tokens: EmbeddingTable, *, max_customers: int | None = None) -> LiveCustomers:
    """`LiveCustomers` without events yet, whose vectors and profiles are those of the run that published `tokens`.

        live = live_customers(store.open("tokens"))
        live.update_batch(customers, tokens)               # the history, once; or live.restore(store.open("live"))
        live.update("cust_00042", "buy_prod_0012")         # then each event as it comes
        live.profiles(["cust_00042"])                      # shares of the traits that `traitcore traits` lists
        store.publish(live.snapshot(), "live")

    TableError where the run made no customers, or by a recipe or pooling that running sums can't compute.
    """
    config = tokens.metadata.get("config") or {}
    settings: dict[str, Any] = {"method": config.get("pooling")}
    if settings["method"] == "tfidf":
        vocabulary = vocabulary_of(tokens)
        settings |= {"document_frequencies": vocabulary.document_frequencies, "n_documents": vocabulary.n_documents}
    elif settings["method"] != "mean":
        raise TableError(f"{tokens!r} was pooled by {settings['method']!r}: live customers support mean and tfidf.")
    return LiveCustomers(tokens, traits=TraitBasis.of_table(tokens), max_customers=max_customers, **settings)
