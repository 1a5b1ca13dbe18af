"""Next items by vectors: the kernel against its slow twin, the gradient against differences, and edge cases."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import traitcore as tc
from tests.reference import next_item as slow
from traitcore import _core
from traitcore.items.next_item_model import NextItemModel

N = 23
LEVELS = [level for level in ("baseline", "avx2", "avx512") if level in _core.simd_levels()]


def sessions(n: int = 40, n_items: int = N, seed: int = 0) -> list[list[int]]:
    """Sessions around a few themes, with repeats, each item at least once."""
    rng = np.random.default_rng(seed)
    themes = rng.integers(0, n_items, n)
    found = [((theme + rng.integers(0, 5, rng.integers(1, 9))) % n_items).tolist() for theme in themes]
    return [*found, rng.permutation(n_items).tolist()]


def native(counts, **options):
    given = {
        "vector_size": 8, "window": 4, "negative": 9, "ns_exponent": 0.5, "scale": 6.0, "batch": 13, "alpha": 0.1,
        "min_alpha": 0.01, "decay": 0.6, "seed": 3,
    }
    return _core.NextItemModel(counts=counts, **(given | options))


def trained(model, given, *, epochs=1, workers=1, update=True, weights=None):
    sequences = tc.Sequences.from_lists(given)
    return [
        model.train(
            tokens=sequences.tokens, offsets=sequences.offsets, weights=weights, epoch=e, schedule_start=e / epochs,
            schedule_stop=(e + 1) / epochs, workers=workers, update=update, progress=None,
        )
        for e in range(epochs)
    ]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("vector_size", "negative", "batch"), [(8, 9, 13), (5, 40, 1), (33, 200, 96)])
def test_the_kernel_does_what_its_slow_twin_does(level: str, vector_size: int, negative: int, batch: int) -> None:
    given = sessions(14)
    counts = tc.Sequences.from_lists(given).token_counts(N)
    weights = np.linspace(0.5, 1.5, len(given)).astype(np.float32)
    _core.set_simd_level(level)
    try:
        model = native(counts, vector_size=vector_size, negative=negative, batch=batch)
        found = trained(model, given, epochs=2, weights=weights)
    finally:
        _core.set_simd_level(None)
    twin = slow.start(N, vector_size, 4, 0.6, 3)
    losses = slow.train(
        twin, given, counts, negative=negative, exponent=0.5, scale=6.0, batch=batch, alpha=0.1, min_alpha=0.01,
        epochs=2, seed=3, weights=weights,
    )
    np.testing.assert_allclose([loss / mass for loss, mass, _, _ in found], losses, rtol=1e-4)
    np.testing.assert_allclose(model.item_vectors(), twin.vectors, atol=5e-3)
    np.testing.assert_allclose(model.biases(), twin.biases, atol=5e-3)
    np.testing.assert_allclose(model.steps(), twin.steps, atol=5e-3)
    np.testing.assert_allclose(model.repeats(), twin.repeats, atol=5e-3)


def test_the_gradient_is_that_of_the_loss_on_the_sphere() -> None:
    rng = np.random.default_rng(1)
    p = slow.start(7, 5, 4, 0.6, 0)
    p.biases[:], p.repeats[:] = rng.normal(size=7), rng.normal(size=4)
    offsets, scale, eps = {1: 0.3, 4: -0.2, 6: 0.0}, 5.0, 1e-6
    for before, target in (([2, 4, 2, 0, 3], 2), ([1], 5), ([3, 3, 3], 3)):
        g = slow.gradient(p, before, target, offsets, scale)
        for name in ("biases", "steps", "repeats"):
            for i in range(len(getattr(p, name))):
                both = []
                for sign in (1, -1):
                    getattr(p, name)[i] += sign * eps
                    both.append(slow.loss(p, before, target, offsets, scale))
                    getattr(p, name)[i] -= sign * eps
                assert g[name][i] == pytest.approx((both[0] - both[1]) / (2 * eps), abs=1e-6)
        for i in range(7):  # along great circles: the move and the projection onto the sphere together
            direction = rng.normal(size=5)
            direction -= direction @ p.vectors[i] * p.vectors[i]
            kept, both = p.vectors[i].copy(), []
            for sign in (1, -1):
                p.vectors[i] = (kept + sign * eps * direction) / np.linalg.norm(kept + sign * eps * direction)
                both.append(slow.loss(p, before, target, offsets, scale))
            p.vectors[i] = kept
            assert g["vectors"][i] @ direction == pytest.approx((both[0] - both[1]) / (2 * eps), abs=1e-6)
            assert g["vectors"][i] @ kept == pytest.approx(0, abs=1e-12)


def test_all_items_as_negatives_is_the_full_softmax() -> None:
    given = sessions(12)
    counts = tc.Sequences.from_lists(given).token_counts(N)
    for negative in (N, 10 * N):
        model = native(counts, negative=negative)
        [(loss, mass, n, _)] = trained(model, given, update=False)
        p = slow.start(N, 8, 4, 0.6, 3)
        expected = 0.0
        for session in given:
            for t in range(1, len(session)):
                logits = slow.scores(p, session[:t], 6.0)
                expected += np.log(np.exp(logits).sum()) - logits[session[t]]
        assert loss == pytest.approx(expected, rel=1e-5)
        assert mass == n == sum(len(session) - 1 for session in given)


def test_few_negatives_estimate_the_full_softmax() -> None:
    given = sessions(60)
    counts = tc.Sequences.from_lists(given).token_counts(N)
    [(full, _, _, _)] = trained(native(counts, negative=N), given, update=False)
    for exponent in (0.0, 0.5, 1.0):
        few, more = (
            np.mean([loss for loss, _, _, _ in trained(
                native(counts, negative=negative, ns_exponent=exponent, batch=4, seed=0), given, epochs=6, update=False
            )])
            for negative in (12, 22)
        )
        # The sum under the log is estimated without bias, so the log of it is a little low, less so with more draws.
        assert 0.85 * full < few < more < 1.01 * full


def test_any_number_of_workers_gives_the_same_bytes() -> None:
    sequences = tc.Sequences.from_lists(sessions(300, seed=4))
    fits = [
        NextItemModel(vector_size=20, negative=15, epochs=2, workers=workers).fit(sequences) for workers in (1, 2, 3, 7)
    ]
    for other in fits[1:]:
        assert other.loss_ == fits[0].loss_
        for name, array in fits[0]._state().items():
            assert other._state()[name].tobytes() == array.tobytes(), name
        assert other.rank(sequences, np.zeros(len(sequences), dtype=np.int32)).tolist() == fits[0].rank(
            sequences, np.zeros(len(sequences), dtype=np.int32)
        ).tolist()
        for mine, theirs in zip(other.recommend(sequences), fits[0].recommend(sequences)):
            assert mine.tobytes() == theirs.tobytes()


def test_renumbered_items_have_the_same_vectors_in_other_rows() -> None:
    given = sessions(80)
    names = np.random.default_rng(2).permutation(N)
    renamed = [names[session].tolist() for session in given]
    options = {"vector_size": 12, "negative": 10, "epochs": 3}
    one, other = (NextItemModel(**options).fit(tc.Sequences.from_lists(s), n_items=N) for s in (given, renamed))
    np.testing.assert_array_equal(other.vectors_[names], one.vectors_)
    np.testing.assert_array_equal(other.biases_[names], one.biases_)
    assert other.loss_ == one.loss_


def test_what_follows_is_found_beside_what_repeats() -> None:
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 30, 600)
    around = tc.Sequences.from_lists([[int(s + step) % 30 for step in range(6)] for s in starts])
    model = NextItemModel(vector_size=16, epochs=12, negative=30).fit(around, held_out=around)
    assert (model.recommend([3, 4, 5], k=1)[0] == [6]).all()
    assert model.loss_[-1] < model.loss_[0]
    assert model.held_out_recall_[-1] > 0.99
    assert np.allclose(np.linalg.norm(model.vectors_, axis=1), 1, atol=1e-5)
    again = tc.Sequences.from_lists([[int(s), int(s), int(s)] for s in starts])
    loyal = NextItemModel(vector_size=16, epochs=8).fit(again, n_items=30)
    assert [loyal.recommend([i], k=1)[0][0] for i in range(30)] == list(range(30))
    assert loyal.recommend([4], k=3, exclude_seen=True)[0].tolist().count(4) == 0
    # Never the same twice: learned as well.
    assert model.repeat_bonus_[0] < loyal.repeat_bonus_[0]


def test_scores_ranks_lists_and_reasons_agree() -> None:
    given = sessions(60)
    sequences = tc.Sequences.from_lists([*given, [], [5], [2] * 30])
    model = NextItemModel(vector_size=12, window=3, negative=15, epochs=3).fit(sequences)
    scores = model.score(sequences)
    np.testing.assert_allclose(
        scores,
        [slow.scores(slow.Parameters(*map(np.float64, (model.vectors_, model.biases_, model.step_weights_,
                                                       model.repeat_bonus_))), s.tolist(), 12.0) for s in sequences],
        atol=2e-4,
    )
    targets = np.arange(len(sequences)) % N
    ranks = model.rank(sequences, targets)
    items, values = model.recommend(sequences, k=N + 2)
    assert items[:, N:].tolist() == [[-1, -1]] * len(sequences)
    assert np.isnan(values[:, N:]).all()
    for i, target in enumerate(targets):
        assert items[i, int(ranks[i]) - 1] == target
        np.testing.assert_allclose(values[i, :N], np.sort(scores[i])[::-1], atol=1e-4)
        alone, scored = model.recommend(sequences[i], k=5)
        np.testing.assert_array_equal(alone, items[i, :5])
        np.testing.assert_allclose(scored, values[i, :5], atol=1e-5)
        new = model.recommend(sequences[i], k=N, exclude_seen=True)[0]
        assert not set(new.tolist()) & set(sequences[i].tolist())
        assert len(set(new.tolist()) - {-1}) == N - len(set(sequences[i].tolist()))
        reasons = model.explain(sequences[i], int(target))
        latest = sequences[i][::-1][:3].tolist()
        bonus = model.repeat_bonus_[latest.index(target)] if target in latest else 0.0
        total = sum(reason.score for reason in reasons) + model.biases_[target] + bonus
        assert total == pytest.approx(scores[i, target], abs=1e-4)
        assert all(sequences[i][reason.position] == reason.item for reason in reasons)
    found = model.queries(sequences) @ model.search_vectors().T
    row, item, bonus = model._encoder.repeats(sequences)
    found[row, item] += bonus
    np.testing.assert_allclose(found, scores, atol=1e-4)


def test_masks_and_exclusions() -> None:
    model = NextItemModel(vector_size=8, epochs=1).fit(tc.Sequences.from_lists(sessions()))
    only = model.recommend([1, 2], k=10, allowed=[2, 4, 9], exclude=[4])[0]
    assert sorted(only.tolist()) == [-1] * 8 + [2, 9]
    mask = np.zeros(N, dtype=bool)
    mask[[2, 9]] = True
    assert model.recommend([1, 2], k=10, allowed=mask)[0].tolist() == only.tolist()
    with pytest.raises(ValueError, match=r"'allowed' parameter of NextItemModel.recommend"):
        model.recommend([1], allowed=[N])
    with pytest.raises(ValueError, match=r"'exclude' parameter of NextItemModel.recommend"):
        model.recommend([1], exclude=np.zeros(3, dtype=bool))


def test_small_and_odd_corpora() -> None:
    one = NextItemModel(vector_size=4).fit(tc.Sequences.from_lists([[0, 0, 0]]))
    assert one.recommend([0], k=2)[0].tolist() == [0, -1]
    assert np.isfinite(one.vectors_).all()
    assert one.loss_[-1] == pytest.approx(0, abs=1e-5)
    lonely = tc.Sequences.from_lists([[0], [1], []])
    with pytest.raises(ValueError, match="'sequences' parameter of NextItemModel must be with at least one session"):
        NextItemModel().fit(lonely)
    some = NextItemModel(vector_size=4, epochs=2).fit(tc.Sequences.from_lists([[0], [1, 2], [], [2, 1]]), n_items=6)
    assert (some.vectors_[3:] == 0).all()  # never met
    assert some.biases_[3] == some.biases_[0]  # as low as what was met least
    assert np.isfinite(some.score([4])).all()  # an unseen item says nothing ...
    np.testing.assert_array_equal(some.score([4, 1])[:, [0, 1, 2]].argmax(), some.score([4, 1]).argmax())
    np.testing.assert_allclose(some.score([])[0], some.biases_)  # ... and nothing is known of an empty session
    long = tc.Sequences.from_lists([(np.arange(3000) % 7).tolist()])
    assert NextItemModel(vector_size=8, epochs=4).fit(long).recommend(np.arange(30) % 7, k=1)[0].tolist() == [2]


def test_training_goes_on_with_new_sessions_and_new_items() -> None:
    rng = np.random.default_rng(0)

    def ring(low: int, high: int, n: int) -> list[list[int]]:
        return [[low + int(s + k) % (high - low) for k in range(5)] for s in rng.integers(0, high - low, n)]

    old = tc.Sequences.from_lists(ring(0, 20, 300))
    model = NextItemModel(vector_size=16, epochs=8, negative=40).fit(old)
    before = model.vectors_.copy()
    model.partial_fit(tc.Sequences.from_lists(ring(20, 32, 300)), epochs=4)
    assert model.n_items_ == 32
    assert model.recommend([22, 23, 24], k=1)[0].tolist() == [25]
    assert model.recommend([3, 4, 5], k=1)[0].tolist() == [6]
    assert (before * model.vectors_[:20]).sum(axis=1).min() > 0.5  # no restart: what was known stays near
    assert model.counts_.sum() == 3000
    first = NextItemModel(vector_size=8).partial_fit(old)
    np.testing.assert_array_equal(first.vectors_, NextItemModel(vector_size=8).fit(old).vectors_)


def test_recent_sessions_can_weigh_more() -> None:
    given = tc.Sequences.from_lists([[0, 1]] * 300 + [[0, 2]] * 100)
    plain = NextItemModel(vector_size=8, epochs=4, negative=5).fit(given)
    recent = NextItemModel(vector_size=8, epochs=4, negative=5, age_scale=0.1).fit(given)
    assert plain.recommend([0], k=1)[0].tolist() == [1]
    assert recent.recommend([0], k=1)[0].tolist() == [2]


def test_divergence_is_named() -> None:
    given = tc.Sequences.from_lists(sessions(200))
    with pytest.raises(ValueError, match=r"diverged.* A smaller 'alpha' than 1e\+06"):
        NextItemModel(vector_size=8, alpha=1e6, epochs=3).fit(given)
    with pytest.raises(ValueError, match="diverged"):
        NextItemModel(vector_size=8, alpha=3e38, epochs=3).fit(given)


def test_progress_and_ctrl_c_reach_the_caller() -> None:
    given = tc.Sequences.from_lists(sessions(2000))
    calls: list[float] = []
    model = NextItemModel(vector_size=8, epochs=3).fit(given, progress=lambda stage, done, total: calls.append(done))
    assert calls == sorted(calls)
    assert calls[-1] == 3.0
    kept = model.vectors_.copy()

    def interrupt(stage: str, done: float, total: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(given, progress=interrupt)
    np.testing.assert_array_equal(model.vectors_, kept)


def test_errors_are_named() -> None:
    given = tc.Sequences.from_lists([[0, 1], [1, 0]])
    model = NextItemModel(vector_size=4, epochs=1)
    with pytest.raises(tc.NotFittedError):
        model.recommend([0])
    model.fit(given)
    with pytest.raises(ValueError, match=r"of items in \[0, 1\], those of the fit"):
        model.recommend([5])
    with pytest.raises(ValueError, match="'targets'"):
        model.rank([0], [2])
    with pytest.raises(TypeError, match="a Sequences"):
        NextItemModel().fit([[0, 1]])
    with pytest.raises(ValueError, match=r"'n_items' parameter of NextItemModel must be an int in \[1, 2147483647\]"):
        NextItemModel().fit(given, n_items=2**31)
    with pytest.raises(ValueError, match="'held_out' parameter of NextItemModel"):
        NextItemModel().fit(given, held_out=tc.Sequences.from_lists([[7, 8]]))
    with pytest.raises(ValueError, match="'scale'"):
        NextItemModel(scale=0).fit(given)
    with pytest.raises(ValueError, match=r"'vector_size' parameter of NextItemModel.partial_fit must be .* \[4, 4\]"):
        model.set_params(vector_size=8).partial_fit(given)
    with pytest.raises(ValueError, match=r"'step_weights' .* must be of one weight or more"):
        NextItemModel.from_arrays(np.ones((2, 4)), np.zeros(2), [], [], scale=12.0)


def test_models_travel_and_go_on() -> None:
    given = tc.Sequences.from_lists(sessions())
    model = NextItemModel(vector_size=8, epochs=1).fit(given)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.partial_fit(given).vectors_, model.partial_fit(given).vectors_)
