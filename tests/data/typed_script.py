"""What a user's script looks like to mypy: .ci/run checks that no expression in it is Any."""

from __future__ import annotations

import traitcore as tc


def learn(sessions: tc.Sequences, vocabulary: tc.Vocabulary, table: tc.EmbeddingTable) -> str:
    """Train, describe and publish."""
    model = tc.Item2Vec(vector_size=8, epochs=1, seed=0).fit(sessions)
    traits = tc.TraitModel(n_traits=2).fit(sessions, vocabulary)
    store = tc.TableStore("store")
    print(model.item_vectors_.shape, model.loss_, traits.profiles_.shape)
    return store.publish(table, "tokens")
