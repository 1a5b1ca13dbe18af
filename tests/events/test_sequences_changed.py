"""Arrays that the caller changes after `Sequences` was made of them: a ValueError from every consumer, no crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import sys
import numpy as np
import traitcore as tc
from traitcore import Sequences
from traitcore.customers.attention import AttentionPooling
from traitcore.customers.counts import count_tokens
from traitcore.customers.pooling import customer_vectors
from traitcore.items.cooccurrence import count_cooccurrences
from traitcore.items.item2vec import Item2Vec
from traitcore.items.next_item import NextItemCounts
from traitcore.items.ppmi_embedder import PPMIEmbedder
from traitcore.items.sgns import train_sgns
from traitcore.items.sgns_plan import plan_sgns
from traitcore.items.sgns_trainer import SgnsTrainer
from traitcore.items.walk_embedder import WalkEmbedder

rng = np.random.default_rng(3)
n, length = 40, 10
good = rng.integers(0, 7, n * length).astype(np.int32)
clean = Sequences(good.copy(), np.arange(n + 1) * length, owner=np.arange(n, dtype=np.int32) // 2)
vectors = np.ones((7, 4), dtype=np.float32)
fitted = NextItemCounts().fit(clean)
vocabulary = tc.encode_tokens(good, np.arange(n + 1) * length).vocabulary
attention = AttentionPooling(epochs=1, max_examples=20).fit(clean, vectors, vectors)
traits = tc.TraitModel(2, method="counts", n_restarts=1, max_iter=2).fit(clean, vocabulary)
consumers = {
    "train_sgns": lambda s: train_sgns(s),
    "held_out": lambda s: train_sgns(clean, n_items=7, held_out=s),
    "trainer": lambda s: SgnsTrainer(np.ones(7, dtype=np.int64)).train_block(s),
    "plan_sgns": lambda s: plan_sgns(s),
    "Item2Vec": lambda s: Item2Vec(negatives="fresh").fit(s),
    "counts": lambda s: count_cooccurrences(s),
    "weighted counts": lambda s: count_cooccurrences(s, sequence_weights=np.ones(n)),
    "PPMIEmbedder": lambda s: PPMIEmbedder(vector_size=2).fit(s),
    "WalkEmbedder": lambda s: WalkEmbedder().fit(s),
    "next fit": lambda s: NextItemCounts().fit(s),
    "next score": lambda s: fitted.score(s),
    "next recommend": lambda s: fitted.recommend(s),
    "next rank": lambda s: fitted.rank(s, np.zeros(n, dtype=np.int32)),
    "count_tokens": lambda s: count_tokens(s, n_tokens=7),
    "customer_vectors": lambda s: customer_vectors(s, vectors),
    "attention fit": lambda s: AttentionPooling(epochs=1).fit(s, vectors, vectors),
    "attention weights": lambda s: attention.event_weights(s, vectors),
    "evaluate_retrieval": lambda s: tc.evaluate_retrieval(s, lambda p: np.zeros((len(p), 7)), n_items=7),
    "traits fit": lambda s: tc.TraitModel(2, method="counts").fit(s, vocabulary),
    "traits transform": lambda s: traits.transform(s),
    "take": lambda s: s.take([0, 1]),
    "keep": lambda s: s.keep(np.ones(s.n_tokens, dtype=bool)),
    "token_counts": lambda s: s.token_counts(),
}

def changed(what):
    tokens, offsets, owner = good.copy(), np.arange(n + 1) * length, np.arange(n, dtype=np.int32) // 2
    made = Sequences(tokens, offsets, owner=owner)
    if what == "token":
        tokens[rng.integers(len(tokens))] = rng.choice([-1, -(2**31), -rng.integers(1, 2**31)])
    elif what == "fall":
        offsets[1 + rng.integers(n - 1)] = 10**12
    elif what == "negative offset":
        offsets[1 + rng.integers(n - 1)] = -(10**12)
    elif what == "last":
        offsets[-1] = 10**9
    elif what == "first":
        offsets[0] = -5
    else:
        owner[rng.integers(n)] = -(10**9)
    return made

for what in ("token", "fall", "negative offset", "last", "first", "owner"):
    for name, consume in consumers.items():
        for _ in range(3):
            try:
                consume(changed(what))
            except ValueError as error:
                assert "was changed after Sequences was made of it" in str(error), (what, name, error)
            else:
                raise SystemExit(f"{what}: {name} says nothing")
# A token that is too large isn't known to be a change, but never reaches a kernel as a row either.
sized = [name for name in consumers if name in (
    "next score", "next recommend", "next rank", "count_tokens", "customer_vectors", "attention fit",
    "attention weights", "evaluate_retrieval", "traits fit", "traits transform")]
for value in (7, 2**31 - 1):
    for name in sized:
        tokens = good.copy()
        made = Sequences(tokens, np.arange(n + 1) * length, owner=np.arange(n, dtype=np.int32) // 2)
        tokens[rng.integers(len(tokens))] = value
        try:
            consumers[name](made)
        except ValueError:
            continue
        raise SystemExit(f"{value}: {name} says nothing")
try:
    fitted.scores_.indices[0] = 10**8
except ValueError:
    print("all refused")
"""

_GRAPH = """
import numpy as np
from scipy import sparse
from traitcore.items.graph import graph_from_edges, graph_from_matrix
from traitcore.items.walks import WalkCorpus, random_walks

def ring():
    return sparse.csr_array((np.ones(9), (np.arange(9) + 1) % 9, np.arange(10)), shape=(9, 9))

for p in (1.0, 2.0):
    right = random_walks(ring(), p=p, seed=1).tokens
    for name, value in (("indices", 10**8), ("indices", -3), ("indptr", 10**8), ("indptr", -7), ("data", np.nan)):
        matrix = ring()
        graph, corpus = graph_from_matrix(matrix), WalkCorpus(matrix, p=p, seed=1)
        getattr(matrix, name)[4] = value
        assert np.array_equal(random_walks(graph, p=p, seed=1).tokens, right), (name, value)
        assert np.array_equal(np.concatenate([block.tokens for block in corpus]), right), (name, value)
        try:
            random_walks(matrix, p=p)
        except ValueError:
            pass
        else:
            raise SystemExit(f"{name} = {value}: nothing said")
        try:
            getattr(graph.adjacency, name)[4] = value
        except ValueError:
            continue
        raise SystemExit("the arrays of a graph can be written to")
print("all refused")
"""


@pytest.mark.parametrize("script", [_SCRIPT, _GRAPH], ids=["sequences", "graph"])
def test_what_was_changed_afterwards_is_refused(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:]
    assert done.stdout.strip() == "all refused"
