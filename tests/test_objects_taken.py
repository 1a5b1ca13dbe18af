"""Functions that take objects of ours say so where they get something else."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import traitcore as tc


@functools.cache
def takers() -> dict[str, Any]:
    """Calls by the parameter that must be of a class of ours; all else is right."""
    corpus = tc.encode_tokens([[1, 2, 3, 4], [4, 3, 1]] * 8)
    seqs, words = corpus.sequences, corpus.vocabulary
    vectors = np.eye(4, 3, dtype=np.float32)
    table = tc.EmbeddingTable(["a", "b", "c", "d"], vectors)
    attention = tc.AttentionPooling(epochs=0, horizon="event").fit(seqs, vectors, vectors)
    traits = tc.TraitModel(2, method="counts").fit(seqs, words)
    live = tc.LiveCustomers(table)

    def scores(prefixes: tc.Sequences) -> Any:
        return np.zeros((len(prefixes), 4))

    return {
        "sequences of customer_vectors": lambda x: tc.customer_vectors(x, vectors),
        "sequences of AttentionPooling": lambda x: attention.event_weights(x, vectors),
        "sequences of AttentionPooling ": lambda x: tc.AttentionPooling().fit(x, vectors, vectors),
        "sequences of TraitModel.fit": lambda x: tc.TraitModel(2).fit(x, words),
        "sequences of TraitModel.transform": traits.transform,
        "sequences of describe_traits": lambda x: tc.describe_traits(traits.raw_profiles_, x, words),
        "sequences of evaluate_traits": lambda x: tc.evaluate_traits(x, words),
        "sequences of choose_n_traits": lambda x: tc.choose_n_traits(x, words),
        "sequences of evaluate_retrieval": lambda x: tc.evaluate_retrieval(x, scores, n_items=4),
        "sequences of count_cooccurrences": tc.count_cooccurrences,
        "sequences of NextItemCounts": lambda x: tc.NextItemCounts().fit(x),
        "sequences of train_sgns": tc.train_sgns,
        "vocabulary of TraitModel.fit": lambda x: tc.TraitModel(2).fit(seqs, x),
        "vocabulary of TraitModel.transform": lambda x: traits.transform(seqs, vocabulary=x),
        "vocabulary of describe_traits": lambda x: tc.describe_traits(traits.raw_profiles_, seqs, x),
        "vocabulary of evaluate_traits": lambda x: tc.evaluate_traits(seqs, x),
        "vocabulary of choose_n_traits": lambda x: tc.choose_n_traits(seqs, x),
        "table of build_index": tc.build_index,
        "table of open_index": lambda x: tc.open_index("nowhere", x),
        "table of LiveCustomers": live.restore,
        "old of compare_tables": lambda x: tc.compare_tables(x, table),
        "log of split_sessions": tc.split_sessions,
        "sessions of tokenize": tc.tokenize,
    }


@pytest.mark.parametrize("which", takers())
def test_what_is_of_another_class_is_a_type_error_that_names_the_parameter(which: str) -> None:
    name, caller = which.split(" of ")
    optional = which == "vocabulary of TraitModel.transform"
    for wrong in (object(), [[0, 1], [2]], "text", np.zeros(3), 7, *(() if optional else (None,))):
        with pytest.raises(TypeError, match=rf"^The '{name}' parameter of {caller.strip()}\b.* must be "):
            takers()[which](wrong)
