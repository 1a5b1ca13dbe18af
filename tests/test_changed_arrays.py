"""Arrays that a caller changes after an object was made of them: an error or a harmless answer, never a crash.

In a process of its own, which a read out of bounds may kill.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import pickle, warnings
import numpy as np
from hypothesis import HealthCheck, given, settings, strategies as st
from scipy import sparse
import traitcore as tc

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
n = 120
again = lambda made: pickle.loads(pickle.dumps(made))  # its arrays can be written to
lists = [[0, 1, 2, 3, 4], [4, 2], [1, 1, 3]] * 6
sequences = tc.Sequences.from_lists(lists, owner=np.arange(18) // 2)
vectors = np.ones((5, 3), np.float32)
next_item = tc.NextItemCounts().fit(sequences)
corpus = tc.encode_tokens([[str(i) for i in one] for one in lists])

def log():
    code = lambda k, dtype: rng.integers(0, k, n).astype(dtype)
    arrays = {"item": code(9, np.int32), "user": code(5, np.int32), "action": code(2, np.int16),
              "session": code(4, np.int32), "timestamp_us": np.arange(n) * 10**6, "position": np.arange(n)}
    given = with_sessions[0]
    made = tc.EventLog(arrays["item"], np.arange(9), arrays["user"], np.arange(5), arrays["action"],
                       ("view", "buy"), arrays["timestamp_us"], arrays["session"] if given else None,
                       np.arange(4) if given else None, arrays["position"])
    return made, arrays

with_sessions = [False]

def split(change):
    made, arrays = log()
    change(arrays)
    tc.tokenize(tc.split_sessions(made))

def tokens(change):
    made, arrays = log()
    sessions = tc.split_sessions(made)
    change(arrays)
    tc.tokenize(sessions)

def sessions(change):
    made = again(tc.split_sessions(log()[0]))
    change({name: getattr(made, name) for name in ("order", "offsets", "owner", "timestamps_us")})
    tc.tokenize(made)

def matrix_of(matrix):
    return {"indptr": matrix.indptr, "indices": matrix.indices, "data": matrix.data}

def next_items(change):
    model = again(next_item)
    change(matrix_of(model.scores_))
    model.recommend(sequences), model.score(sequences), model.rank(sequences, np.zeros(18, int)), model.explain([0], 1)

def walks(change):
    graph = again(tc.graph_from_edges(rng.integers(0, 9, 30), rng.integers(0, 9, 30)))
    change(matrix_of(graph.adjacency))
    tc.random_walks(graph, p=2.0)
    tc.random_walks(graph)

def held_walks(change):
    matrix = sparse.csr_array(rng.integers(0, 2, (9, 9)).astype(float))
    corpora = [tc.WalkCorpus(matrix, p=p, n_walks=2) for p in (1.0, 2.0)]
    by_hand = tc.ItemGraph(matrix, None)
    corpora.append(tc.WalkCorpus(by_hand))
    change(matrix_of(matrix))
    [corpus.count() for corpus in corpora]

def matrices(change):
    for form in ("csr", "csc", "coo"):
        matrix = sparse.csr_array(rng.integers(0, 2, (9, 7)).astype(float)).asformat(form)
        arrays = {"row": matrix.row, "col": matrix.col, "data": matrix.data} if form == "coo" else matrix_of(matrix)
        change(arrays)
        for use in (tc.NMF(2, max_iter=3).fit, lambda X: tc.randomized_svd(X, 2), tc.positive_pmi,
                    lambda X: tc.merge_counts([X]), lambda X: tc.solve_weights(X, np.ones((2, 7))),
                    tc.NMF(2, beta_loss="kullback-leibler", max_iter=3).fit, tc.build_item_graph):
            survive(lambda: use(matrix))

def attention(change):
    action = np.zeros(5, np.int32)
    model = tc.AttentionPooling(epochs=1, horizon="event").fit(sequences, vectors, vectors, token_action=action)
    change({"token_action": action, "theta": model.theta_, "vectors": vectors.copy()})
    model.event_weights(sequences, vectors)

def vocabulary(change):
    v = corpus.vocabulary
    arrays = {name: np.array(getattr(v, name))
              for name in ("token_item", "token_action", "counts", "document_frequencies")}
    made = tc.Vocabulary(v.item_ids, (), n_documents=v.n_documents, **arrays)
    change(arrays)
    for method in ("counts", "spectral"):
        survive(lambda: tc.TraitModel(2, method=method, n_restarts=1, max_iter=2).fit(corpus.sequences, made))
    for call in (lambda: made.tokens, lambda: made.decode(corpus.sequences), lambda: made.rows_of_item("1")):
        survive(call)

def tables(change):
    rows, ids = rng.random((30, 4), dtype=np.float32), np.arange(30)
    table = tc.EmbeddingTable(ids, rows)
    live, index = tc.LiveCustomers(table), tc.build_index(table)
    live.update_batch([1, 2], [3, 4])
    change({"ids": ids, "rows": rows.view(np.int32)})
    live.update_batch([1, 2], [3, 4])
    for call in (lambda: table.most_similar(3), lambda: index.most_similar(3), lambda: table.most_similar_batch([1, 2]),
                 lambda: live.vector(1), lambda: table[[1, 2]], live.snapshot):
        survive(call)

def survive(call):
    try:
        call()
    except (ValueError, IndexError, TypeError, KeyError, tc.InputError, np.linalg.LinAlgError, AttributeError) as e:
        assert "traitcore" not in str(type(e)) or isinstance(e, (ValueError, KeyError))

jobs = [split, tokens, sessions, next_items, walks, held_walks, matrices, attention, vocabulary, tables]
wild = st.sampled_from([0, -1, -(2**31), 2**31 - 1, 10**6, -(10**6), 2**62, -(2**63), 5, 9])

@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(job=st.sampled_from(jobs), which=st.integers(0, 7), places=st.lists(st.integers(0, 200), min_size=1, max_size=4),
       value=wild, given_sessions=st.booleans())
def corrupt(job, which, places, value, given_sessions):
    with_sessions[0] = given_sessions

    def change(arrays):
        array = list(arrays.values())[which % len(arrays)]
        if array.size and array.flags.writeable:
            flat = array.reshape(-1)
            fits = flat.dtype.kind == "f" or np.iinfo(flat.dtype).min <= value <= np.iinfo(flat.dtype).max
            flat[[place % len(flat) for place in places]] = value if fits else np.iinfo(flat.dtype).max

    survive(lambda: job(change))

corrupt()
print("survived")
"""


def test_nothing_that_is_written_into_a_shared_array_crashes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.stdout.strip().endswith("survived"), (done.returncode, done.stdout[-300:], done.stderr[-1500:])
