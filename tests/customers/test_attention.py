"""Attention pooling: its gradient, its special cases, and that it learns what a planted signal tells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import traitcore as tc
from tests.reference import attention as slow
from traitcore.customers import attention
from traitcore.customers.attention import AttentionPooling, batch_gradient
from traitcore.customers.counts import count_tokens
from traitcore.quality.trait_prediction import Periods


def problem(seed: int):
    rng = np.random.default_rng(seed)
    n_tokens, width, n_actions, n_events = 9, 5, 3, 60
    tokens = rng.integers(0, n_tokens, n_events).astype(np.int32)
    days = np.sort(rng.random(n_events) * 50)
    vectors = rng.standard_normal((n_tokens, width)).astype(np.float32)
    contexts = rng.standard_normal((n_tokens, width)).astype(np.float32)
    action = rng.integers(-1, n_actions, n_tokens).astype(np.int32)
    log_idf = rng.random(n_tokens)
    begins = rng.integers(0, 25, 7)
    ends = begins + rng.integers(1, 30, 7)
    targets = rng.integers(-1, n_tokens, (7, 3))
    negatives = rng.integers(0, n_tokens, (7, 4))
    theta = rng.standard_normal(width + n_actions + 7) * 0.5
    return theta, (begins, ends, targets), negatives, (tokens, days, vectors, contexts, action, log_idf, n_actions)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_loss_equals_the_slow_one_and_the_gradient_its_differences(seed):
    theta, examples, negatives, args = problem(seed)
    loss, gradient = batch_gradient(theta, examples, negatives, args)

    def at(theta):
        return slow.loss(theta, *examples, negatives, *args)

    assert loss == pytest.approx(at(theta), rel=1e-6)
    step = 1e-5
    for place in range(len(theta)):
        moved = np.zeros_like(theta)
        moved[place] = step
        difference = (at(theta + moved) - at(theta - moved)) / (2 * step)
        assert gradient[place] == pytest.approx(difference, rel=2e-4, abs=2e-4)


def test_the_gradient_has_the_same_bytes_for_any_number_of_threads():
    theta, (begins, ends, targets), negatives, args = problem(3)
    many = tuple(np.tile(a, (100,) + (1,) * (a.ndim - 1)) for a in (begins, ends, targets))
    noise = np.tile(negatives, (100, 1))
    one = batch_gradient(theta, many, noise, args, 1)
    for threads in (2, 3, 7):
        other = batch_gradient(theta, many, noise, args, threads)
        assert one[0] == other[0]
        assert one[1].tobytes() == other[1].tobytes()


def shop(signal, seed=0, n_users=700):
    made = tc.simulate_events(
        n_users=n_users, n_items=150, n_traits=5, seed=seed, noise=0.6, signal_actions=signal, bot_share=0.0
    )
    corpus = tc.tokenize(tc.split_sessions(made.log), min_count=3)
    return corpus.sequences, corpus.vocabulary


@pytest.fixture(scope="module")
def trained():
    """A shop in which only cart, remove and buy tell what comes next; vectors; and a scorer for what is bought."""
    sequences, vocabulary = shop(("cart", "remove", "buy"))
    periods = Periods.of(sequences, len(vocabulary))
    model = tc.Item2Vec(vector_size=24, epochs=12, seed=0, sample=0.0).fit(periods.past, n_items=len(vocabulary))
    wanted = vocabulary.token_action > 0
    scorer = AttentionPooling(seed=0).fit(
        periods.past, model.item_vectors_, model.context_vectors_, token_action=vocabulary.token_action,
        target_tokens=wanted,
    )
    return periods, vocabulary, model, wanted, scorer


def held_out_recall(vectors, periods, model, wanted, k=20):
    """Recall@k of what is put in the cart, removed or bought in the customer's last session."""
    scores = vectors @ model.context_vectors_.T
    past = count_tokens(periods.past, n_tokens=len(wanted))
    recalls = []
    for row in range(len(scores)):
        new = periods.future.indices[periods.future.indptr[row] : periods.future.indptr[row + 1]]
        new = new[wanted[new]]
        if len(new) and past.indptr[row + 1] > past.indptr[row]:
            recalls.append(np.isin(new, np.argsort(-scores[row], kind="stable")[:k]).mean())
    return float(np.mean(recalls))


def test_it_beats_every_fixed_pooling_where_actions_carry_the_signal(trained):
    periods, _vocabulary, model, wanted, scorer = trained
    fixed = [
        held_out_recall(tc.customer_vectors(periods.past, model.item_vectors_, **way).vectors, periods, model, wanted)
        for way in ({}, {"method": "tfidf"}, {"method": "recency"}, {"method": "recency", "half_life_days": 20.0})
    ]
    learned = held_out_recall(scorer.transform(periods.past, model.item_vectors_), periods, model, wanted)
    assert learned > 1.2 * max(fixed), (learned, fixed)
    # Views are the noise: the scorer says so, by action and by token.
    acts = [scorer.coefficients_[f"action_{a}"] for a in range(4)]
    assert acts[0] == min(acts)
    view = trained[1].token_action == 0
    counted = trained[1].counts > 0
    assert scorer.weights_[~view & counted].mean() > 2 * scorer.weights_[view & counted].mean()


def test_it_does_not_lose_where_there_is_no_signal():
    sequences, vocabulary = shop((), seed=4)
    periods = Periods.of(sequences, len(vocabulary))
    model = tc.Item2Vec(vector_size=24, epochs=12, seed=0, sample=0.0).fit(periods.past, n_items=len(vocabulary))
    scorer = AttentionPooling(seed=0).fit(
        periods.past, model.item_vectors_, model.context_vectors_, token_action=vocabulary.token_action
    )
    everything = np.ones(len(vocabulary), dtype=bool)
    fixed = [
        held_out_recall(tc.customer_vectors(periods.past, model.item_vectors_, method=m).vectors, periods, model,
                        everything)
        for m in ("mean", "tfidf", "recency")
    ]
    learned = held_out_recall(scorer.transform(periods.past, model.item_vectors_), periods, model, everything)
    assert learned > 0.95 * max(fixed), (learned, fixed)
    assert scorer.validation_recall_ >= max(scorer.start_recalls_.values())


def test_pooling_by_attention_is_the_weighted_mean_of_its_weights(trained):
    periods, _vocabulary, model, _wanted, scorer = trained
    weights = scorer.event_weights(periods.past, model.item_vectors_, workers=3)
    pooled = tc.customer_vectors(periods.past, model.item_vectors_, method="attention", attention=scorer)
    owner = np.repeat(periods.past.owners(), np.diff(periods.past.offsets))
    mass = np.bincount(owner, weights=weights, minlength=periods.past.n_owners)
    events = np.bincount(owner, minlength=periods.past.n_owners)
    np.testing.assert_allclose(mass, events, rtol=1e-4)
    want = np.zeros_like(pooled.vectors, dtype=np.float64)
    np.add.at(want, owner, weights[:, None] * model.item_vectors_[periods.past.tokens].astype(np.float64))
    np.testing.assert_allclose(pooled.vectors[events > 0], want[events > 0] / mass[events > 0, None], atol=1e-5)


def test_the_special_cases_are_mean_tfidf_and_recency():
    sequences, vocabulary = shop((), n_users=80)
    vectors = np.random.default_rng(0).standard_normal((len(vocabulary), 6)).astype(np.float32)
    scorer = AttentionPooling(epochs=0).fit(sequences, vectors, vectors, token_action=vocabulary.token_action)
    ways = {"mean": {}, "tfidf": {"method": "tfidf"}, "recency 0.8": {"method": "recency", "decay": 0.8}}
    for name, way in ways.items():
        scorer.theta_ = scorer._starts(6)[name][:-2]
        got = scorer.transform(sequences, vectors)
        want = tc.customer_vectors(sequences, vectors, **way).vectors
        np.testing.assert_allclose(got, want, atol=2e-3)


def test_scattered_owners_and_seeds():
    sequences, vocabulary = shop((), n_users=60)
    order = np.random.default_rng(2).permutation(len(sequences))
    mixed = tc.Sequences.from_lists([sequences[i] for i in order], owner=sequences.owners()[order])
    vectors = np.random.default_rng(0).standard_normal((len(vocabulary), 6)).astype(np.float32)
    scorer = AttentionPooling(epochs=1, horizon="event", seed=5).fit(mixed, vectors, vectors)
    again = AttentionPooling(epochs=1, horizon="event", seed=5, workers=3).fit(mixed, vectors, vectors)
    assert scorer.theta_.tobytes() == again.theta_.tobytes()
    # An owner's weights don't depend on how the corpus is laid out.
    place = np.argsort(mixed.owners(), kind="stable")
    grouped = tc.Sequences.from_lists([mixed[i] for i in place], owner=mixed.owners()[place])
    np.testing.assert_allclose(scorer.transform(mixed, vectors), scorer.transform(grouped, vectors), atol=1e-5)


def test_refusals():
    vectors = np.eye(3, dtype=np.float32)
    lonely = tc.Sequences.from_lists([[0], [1]])
    with pytest.raises(ValueError, match="two sequences or more"):
        AttentionPooling().fit(lonely, vectors, vectors)
    with pytest.raises(tc.NotFittedError):
        AttentionPooling().transform(lonely, vectors)
    with pytest.raises(ValueError, match="'horizon'"):
        AttentionPooling(horizon="week").fit(lonely, vectors, vectors)
    with pytest.raises(TypeError, match="'target_tokens'"):
        AttentionPooling().fit(lonely, vectors, vectors, target_tokens=[0, 1, 2])
    with pytest.raises(ValueError, match="'learning_rate'"):
        AttentionPooling(learning_rate=0.0).fit(lonely, vectors, vectors)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_long_history_in_parts_weighs_the_same_to_the_last_byte(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    lengths = np.array([300, 0, 7, 500])
    sequences = tc.Sequences(
        rng.integers(0, 9, 807).astype(np.int32), np.concatenate(([0], np.cumsum(lengths))), np.array([2, 1, 0, 3]),
        np.cumsum(rng.integers(0, 10**10, 807)),
    )
    model = AttentionPooling(epochs=1, horizon="event").fit(sequences, vectors, vectors)
    model.theta_ = model.theta_ + rng.normal(size=len(model.theta_))
    whole = model.event_weights(sequences, vectors)
    monkeypatch.setattr(attention, "PRICE", 1)
    for size in (1, 64, 299):
        monkeypatch.setattr(attention, "_PART", size * (32 + 4))
        assert model.event_weights(sequences, vectors, workers=workers).tobytes() == whole.tobytes()


def test_vectors_of_another_width_than_the_fits_are_refused() -> None:
    sequences = tc.Sequences.from_lists([[0, 1, 2], [2, 1]])
    vectors = np.ones((3, 4), dtype=np.float32)
    model = AttentionPooling(epochs=0, horizon="event").fit(sequences, vectors, vectors)
    for width in (0, 3, 6, 100_000):
        with pytest.raises(ValueError, match=f"'item_vectors' parameter.*of 4 columns.*Got '{width} columns'"):
            model.event_weights(sequences, np.ones((3, width), dtype=np.float32))
    model.theta_ = model.theta_[:3]
    with pytest.raises(ValueError, match="'theta_' parameter of AttentionPooling"):
        model.event_weights(sequences, vectors)
