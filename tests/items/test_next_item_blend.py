"""Vectors and counts together: chosen on sessions that neither saw, about as good as the better of the two."""

from __future__ import annotations

import numpy as np
import pytest

import traitcore as tc
from traitcore.items import next_item_blend
from traitcore.items.next_item_queries import held_out_queries, latest_held_out

N = 120
MODEL = {"vector_size": 16, "epochs": 3, "negative": 60}


def shop(n: int, seed: int, *, loyal: float = 0.3) -> tc.Sequences:
    """Sessions that go on to a neighbour on a circle, or back to something the session has."""
    rng = np.random.default_rng(seed)
    found = []
    for start in rng.integers(0, N, n):
        session = [int(start)]
        for _ in range(rng.integers(1, 8)):
            own = rng.random() < loyal
            session.append(int(rng.choice(session)) if own else int(session[-1] + rng.integers(1, 9)) % N)
        found.append(session)
    return tc.Sequences.from_lists(found)


TRAIN, TEST = shop(3000, 0), shop(600, 1)


def worth(model, sessions) -> float:
    ranks = model.rank(*held_out_queries(sessions))
    return float(np.where(ranks <= 20, 1 + 1 / ranks, 0.0).mean())


@pytest.fixture(scope="module")
def blend() -> tc.NextItemBlend:
    return tc.NextItemBlend(model=tc.NextItemModel(**MODEL)).fit(TRAIN, n_items=N + 3)


def test_it_is_as_good_as_the_better_of_the_two(blend: tc.NextItemBlend) -> None:
    alone = [
        worth(one.fit(TRAIN, n_items=N + 3), TEST) for one in (tc.NextItemModel(**MODEL), tc.NextItemCounts())
    ]
    assert worth(blend, TEST) > max(alone) - 0.01
    queries, recall, mrr = blend.chosen_by_
    assert queries > 300
    assert 0 < mrr < recall < 1


def test_scores_are_what_is_said(blend: tc.NextItemBlend) -> None:
    some = TEST.take(np.arange(30))
    scores = blend.score(some)
    shares = blend.counts_.score(some).toarray()
    shares /= shares.sum(axis=1, keepdims=True)
    expected = blend.model_.score(some) + blend.weight_ * np.log1p(shares / blend.floor_)
    for row, session in enumerate(some):
        expected[row, np.unique(session[-20:])] += blend.repeat_
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    items, values = blend.recommend(some, k=N + 5)
    assert (items[:, N + 3 :] == -1).all()
    np.testing.assert_allclose(values[:, : N + 3], -np.sort(-scores, axis=1), rtol=1e-5)
    for row in (0, 7):
        alone = blend.recommend(some[row], k=4, exclude_seen=True, allowed=np.arange(50), exclude=[3])[0]
        row_scores = scores[row].copy()
        row_scores[[*some[row].tolist(), 3, *range(50, N + 3)]] = -np.inf
        assert alone.tolist() == np.argsort(-row_scores, kind="stable")[:4].tolist()
    targets = np.arange(30, dtype=np.int32)
    above = (scores > scores[np.arange(30), targets][:, None]).sum(axis=1)
    np.testing.assert_array_equal(np.floor(blend.rank(some, targets)), above + 1)
    assert blend.explain(some[0], 5)[0].item in some[0]


def test_any_number_of_workers_chooses_alike(blend: tc.NextItemBlend) -> None:
    many = tc.NextItemBlend(model=tc.NextItemModel(**MODEL), workers=3).fit(TRAIN, n_items=N + 3)
    assert (many.weight_, many.floor_, many.repeat_) == (blend.weight_, blend.floor_, blend.repeat_)
    np.testing.assert_array_equal(many.recommend(TEST)[0], blend.recommend(TEST)[0])


def test_the_latest_sessions_decide_and_are_learned_too() -> None:
    older, latest = latest_held_out(TRAIN)
    assert latest is not None
    assert len(older) + len(latest) == len(TRAIN)
    assert len(latest) == round(0.05 * len(TRAIN))
    many = tc.Sequences(np.zeros(400_000, np.int32), np.arange(0, 400_001, 4))
    assert 3990 <= len(held_out_queries(latest_held_out(many)[1])[1]) <= 4000
    few, none = latest_held_out(TRAIN.take(np.arange(50)))
    assert none is None
    assert len(few) == 50
    assert latest_held_out(tc.Sequences.from_lists([]))[1] is None
    # An item that only the latest sessions have is known in the end.
    newest = tc.Sequences.from_lists([*map(list, TRAIN.take(np.arange(2000))), *[[N, N + 1]] * 100])
    for model in (tc.NextItemModel(**MODEL), tc.NextItemBlend(model=tc.NextItemModel(**MODEL))):
        assert model.fit(newest).recommend([N], k=2)[0].tolist().count(N + 1) == 1


def test_repeats_are_lifted_where_shoppers_come_back() -> None:
    loyal, fickle = shop(2000, 2, loyal=0.9), shop(2000, 3, loyal=0.0)
    for scorer in (tc.NextItemCounts(), tc.NextItemModel(**MODEL)):
        again = scorer.fit(loyal, n_items=N).recommend(TEST, k=1)[0][:, 0]
        own = np.mean([item in session for item, session in zip(again, TEST)])
        new = scorer.fit(fickle, n_items=N).recommend(TEST, k=1)[0][:, 0]
        assert own > 0.9
        assert np.mean([item in session for item, session in zip(new, TEST)]) < 0.3


def test_few_sessions_are_fitted_without_a_choice() -> None:
    blend = tc.NextItemBlend(model=tc.NextItemModel(**MODEL)).fit(TRAIN.take(np.arange(60)))
    assert blend.chosen_by_[0] == 0
    assert blend.recommend([1, 2], k=3)[0].shape == (3,)


@pytest.mark.parametrize("where", ["_choose", "NextItemModel.fit", "NextItemModel._finish", "NextItemCounts.fit"])
def test_an_interrupted_fit_leaves_what_was_learned_before(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    blend = tc.NextItemBlend(model=tc.NextItemModel(**MODEL)).fit(TRAIN.take(np.arange(60)), n_items=N)
    kept = {name: value for name, value in vars(blend).items() if name.endswith("_")}
    with monkeypatch.context() as patch:
        patch.setattr(f"{next_item_blend.__name__}.{where}", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            blend.fit(TRAIN, n_items=N)
    assert all(getattr(blend, name) is value for name, value in kept.items())


def test_a_model_interrupted_in_its_last_pass_has_its_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tc.NextItemModel(**MODEL).fit(shop(2000, 2, loyal=0.9), n_items=N)
    cut = tc.NextItemModel(**MODEL)
    with monkeypatch.context() as patch:
        patch.setattr(tc.NextItemModel, "_finish", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            cut.fit(shop(2000, 2, loyal=0.9), n_items=N)
    assert cut._shift == whole._shift != 0
    np.testing.assert_allclose(cut.repeat_bonus_, whole.repeat_bonus_, atol=0.5)


def _interrupted(*args: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_errors_are_named() -> None:
    with pytest.raises(TypeError, match="'model' parameter of NextItemBlend must be a NextItemModel"):
        tc.NextItemBlend(model=tc.NextItemCounts()).fit(TRAIN)  # type: ignore[arg-type]
    with pytest.raises(tc.NotFittedError):
        tc.NextItemBlend().recommend([1])
    with pytest.raises(ValueError, match="of items in"):
        tc.NextItemBlend(model=tc.NextItemModel(vector_size=4, epochs=1)).fit(TRAIN).recommend([N + 7])
