"""Vectors and traits of all customers of a corpus, made where their sequences are."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._errors import on_behalf_of
from .._validate import Checks
from ..customers.traits import TraitModel
from ..events.vocabulary import Vocabulary
from ..serving.table import EmbeddingTable
from . import engine
from .corpus import SparkCorpus
from .customer_task import profile_schema, vector_schema

POOLING = ("mean", "tfidf", "recency")


def customer_vectors(
    corpus: SparkCorpus,
    item_vectors: Any,
    *,
    method: str = "mean",
    decay: float = 0.95,
    half_life_days: float | None = None,
) -> Any:
    """`traitcore.customer_vectors` of a corpus on Spark: the same bytes, for any partitions.

    Parameters
    ----------
    corpus : of `sessions`.
    item_vectors : EmbeddingTable of the vocabulary's tokens, or an array (n_tokens, d). A table that was opened from a
        store travels as its path and version, and is mapped by each worker; an array travels with the function.
    method : "mean", "tfidf" (by the vocabulary's customers) or "recency". decay, half_life_days : as there.

    Returns
    -------
    DataFrame : user, vector (d floats), weight, n_events.
    """
    check = Checks("traitcore.spark.customer_vectors")
    check.instance("corpus", corpus, SparkCorpus)
    vocabulary = corpus.vocabulary
    with on_behalf_of(str(check)):
        pooling = pooling_options(vocabulary, check.choice("method", method, POOLING))
        if method == "recency":
            pooling |= {"decay": check.real("decay", decay, 0.0, 1.0, open_low=True)}
            if half_life_days is not None:
                pooling["half_life_days"] = check.real("half_life_days", half_life_days, 0.0, open_low=True)
        table = _table_of_tokens(item_vectors, vocabulary, check)
    schema = vector_schema(engine.user_type(corpus.frame))
    return engine.run(corpus.frame, "pool", schema, {"table": table, "pooling": pooling})


def customer_traits(corpus: SparkCorpus, model: TraitModel) -> Any:
    """The traits of all customers by a fitted model, which may have seen some of them only.

    corpus : tokenized by the vocabulary that the model was fitted with.

    Returns a DataFrame: user, profile (n_traits floats that add up to 1) and raw_profile, as `TraitModel.transform` and
    `transform_raw` give them (to 1e-6: a row's last bits may depend on the rows beside it).
    """
    check = Checks("traitcore.spark.customer_traits")
    check.instance("corpus", corpus, SparkCorpus)
    check.instance("model", model, TraitModel)
    options = model_options(model)
    if options["tokens"] != corpus.vocabulary.tokens.tolist():
        rule = "a TraitModel fitted on the corpus' own vocabulary (sessions(vocabulary=...) tokenizes by an older one)"
        raise check.value_error("model", rule, f"one of {len(options['tokens'])} tokens")
    return engine.run(corpus.frame, "fold_in", profile_schema(engine.user_type(corpus.frame)), options)


def model_options(model: TraitModel) -> dict[str, Any]:
    """A fitted model as a worker needs it: without the customers that it was fitted on."""
    arrays = model.to_arrays()
    arrays["raw_profiles"] = arrays["raw_profiles"][:0]
    return {"arrays": arrays, "params": model.get_params(), "tokens": model.tokens_.tolist()}


def pooling_options(vocabulary: Vocabulary, method: str) -> dict[str, Any]:
    """Arguments of `customer_vectors` for customers that come a batch at a time."""
    if method != "tfidf":
        return {"method": method}
    df, n = vocabulary.document_frequencies, vocabulary.n_documents
    return {"method": method, "document_frequencies": df, "n_documents": n}


def _table_of_tokens(given: Any, vocabulary: Vocabulary, check: Checks) -> EmbeddingTable:
    if isinstance(given, EmbeddingTable):
        if given.ids.tolist() != vocabulary.tokens.tolist():
            rule = "a table of the corpus' own tokens (sessions(vocabulary=...) tokenizes by an older vocabulary)"
            raise check.value_error("item_vectors", rule, given)
        return given
    vectors = check.array("item_vectors", given, dtype=np.float32, shape=(len(vocabulary), None))
    return EmbeddingTable(vocabulary.tokens, vectors)
