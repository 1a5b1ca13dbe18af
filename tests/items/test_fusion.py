"""Fusion and backfill: norms, weights of 0 and 1, missing parts, the map against refits, where each row came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import traitcore as tc
from tests.reference import fusion as slow
from traitcore._rows import unit_rows
from traitcore.items.fusion import SOURCES


def vectors(n: int, d: int, seed: int, *, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)).astype(np.float32) * rng.uniform(0.1, 9, (n, 1)).astype(np.float32)
    rows[rng.random(n) < missing] = 0.0
    return rows


def norms_are_one_or_missing(fused: Any) -> None:
    norms = np.linalg.norm(fused.vectors, axis=1)
    missing = fused.source == "missing"
    np.testing.assert_allclose(norms[~missing], 1.0, atol=1e-6)
    assert not fused.vectors[missing].any()
    assert fused.vectors.dtype == np.float32
    assert fused.vectors.flags.c_contiguous
    assert set(fused.source.tolist()) <= set(SOURCES)
    assert sum(fused.source_counts().values()) == len(fused.source)


@given(
    n=st.integers(0, 30), d=st.integers(1, 9), seed=st.integers(0, 99), weight=st.floats(0, 1),
    missing=st.sampled_from([0.0, 0.4]), method=st.sampled_from(["sum", "concatenate"]),
)
def test_norms_and_sources(n: int, d: int, seed: int, weight: float, missing: float, method: str) -> None:
    behaviour, content = vectors(n, d, seed, missing=missing), vectors(n, d, seed + 1000, missing=missing)
    fused = tc.fuse_vectors(behaviour, content, behaviour_weight=weight, method=method)
    norms_are_one_or_missing(fused)
    for b, c, source, w in zip(behaviour.any(axis=1), content.any(axis=1), fused.source, fused.behaviour_weight):
        if b and c:
            assert source == ("behaviour" if weight == 1 else "content" if weight == 0 else "fused")
            assert w == np.float32(weight)
        else:
            assert source == ("behaviour" if b else "content" if c else "missing")
            assert w == float(b)


@given(n=st.integers(1, 30), d=st.integers(1, 9), seed=st.integers(0, 99))
def test_sum_equals_the_slow_reference(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    behaviour, content = vectors(n, d, seed, missing=0.2), vectors(n, d, seed + 1, missing=0.2)
    weight, counts = rng.random(n), rng.integers(0, 50, n)
    fused = tc.fuse_vectors(behaviour, content, behaviour_weight=weight)
    np.testing.assert_allclose(fused.vectors, slow.fuse_sum(behaviour, content, weight), atol=1e-6)
    shrunk = tc.fuse_vectors(behaviour, content, behaviour_weight=weight, item_counts=counts, half_count=7.0)
    np.testing.assert_allclose(
        shrunk.vectors, slow.fuse_sum(behaviour, content, weight * counts / (counts + 7.0)), atol=1e-6
    )


def test_weights_one_and_zero_return_the_inputs() -> None:
    behaviour = unit_rows(vectors(20, 5, 0)).astype(np.float32)
    content = unit_rows(vectors(20, 5, 1)).astype(np.float32)
    for method in ("sum", "concatenate"):
        one = tc.fuse_vectors(behaviour, content, behaviour_weight=1.0, method=method)
        zero = tc.fuse_vectors(behaviour, content, behaviour_weight=0.0, method=method)
        np.testing.assert_allclose(one.vectors[:, :5], behaviour, atol=1e-7)
        np.testing.assert_allclose(zero.vectors[:, -5:], content, atol=1e-7)
        assert set(one.source) == {"behaviour"}
        assert set(zero.source) == {"content"}
    mapped = tc.fuse_vectors(behaviour, vectors(20, 3, 2), behaviour_weight=1.0, method="map")
    np.testing.assert_allclose(mapped.vectors, behaviour, atol=1e-7)


@pytest.mark.parametrize("method", ["sum", "concatenate", "map"])
def test_permuting_items_permutes_the_result(method: str) -> None:
    behaviour, content = vectors(40, 6, 0, missing=0.2), vectors(40, 6, 1, missing=0.2)
    counts = np.random.default_rng(2).integers(0, 40, 40)
    order = np.random.default_rng(3).permutation(40)
    plain = tc.fuse_vectors(behaviour, content, method=method, item_counts=counts)
    moved = tc.fuse_vectors(behaviour[order], content[order], method=method, item_counts=counts[order])
    np.testing.assert_allclose(moved.vectors, plain.vectors[order], atol=1e-5)
    assert moved.source.tolist() == plain.source[order].tolist()


def test_a_rare_item_takes_more_of_its_content() -> None:
    behaviour, content = np.eye(2, dtype=np.float32)[[0, 0, 0]], np.eye(2, dtype=np.float32)[[1, 1, 1]]
    fused = tc.fuse_vectors(behaviour, content, item_counts=[0, 10, 10_000], half_count=10.0)
    assert (np.diff(fused.vectors[:, 0]) > 0).all()
    np.testing.assert_allclose(fused.behaviour_weight, [0.0, 0.35, 0.7 * 10_000 / 10_010], rtol=1e-6)
    assert fused.source.tolist() == ["content", "fused", "fused"]


def test_concatenation_has_the_weighted_mean_of_both_cosines() -> None:
    behaviour, content = vectors(25, 4, 0), vectors(25, 7, 1)
    b, c = unit_rows(behaviour), unit_rows(content)
    expected = 0.3 * b @ b.T + 0.7 * c @ c.T
    fused = tc.fuse_vectors(behaviour, content, behaviour_weight=0.3, method="concatenate").vectors
    assert fused.shape == (25, 11)
    np.testing.assert_allclose(fused @ fused.T, expected, atol=1e-5)
    # All components of the SVD keep them; fewer are the best of that rank (Eckart & Young 1936).
    whole = tc.fuse_vectors(behaviour, content, behaviour_weight=0.3, method="concatenate", n_components=11).vectors
    np.testing.assert_allclose(whole @ whole.T, expected, atol=1e-5)
    raw = np.concatenate([np.sqrt(0.3) * b, np.sqrt(0.7) * c], axis=1)
    u, s, _ = np.linalg.svd(raw, full_matrices=False)
    best = unit_rows(u[:, :5] * s[:5])
    five = tc.fuse_vectors(behaviour, content, behaviour_weight=0.3, method="concatenate", n_components=5).vectors
    np.testing.assert_allclose(five @ five.T, best @ best.T, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_map_equals_the_refits_without_each_item(weighted: bool) -> None:
    behaviour, content = vectors(30, 3, 0), vectors(30, 5, 1)
    counts = np.random.default_rng(2).integers(1, 30, 30) if weighted else None
    weight = np.ones(30) if counts is None else counts / (counts + 10.0)
    weight = weight / weight.sum()
    x, y = unit_rows(content), unit_rows(behaviour)
    centred = (x - weight @ x) * np.sqrt(weight)[:, None]
    unit = float(np.trace(centred.T @ centred)) / 5  # the mean eigenvalue
    for penalty in (0.01, 1.0, 30.0):
        fitted = tc.fit_content_map(content, behaviour, ridge=penalty, item_counts=counts)
        beta, intercept = slow.ridge(x, y, weight, penalty * unit)
        np.testing.assert_allclose(fitted.coefficients, beta, atol=1e-9)
        np.testing.assert_allclose(fitted.intercept, intercept, atol=1e-9)
        assert fitted.n_fitted == 30
    # Leaving an item out takes its weight away but leaves the penalty: the closed form is exact.
    assert fitted.error == pytest.approx(slow.leave_one_out(x, y, weight, 30.0 * unit), rel=1e-6)


def test_local_residuals_place_families_that_no_linear_map_separates() -> None:
    rng = np.random.default_rng(0)
    family = np.arange(600) % 60  # far more families than content has dimensions
    content = rng.normal(size=(60, 6))[family] + 0.1 * rng.normal(size=(600, 6))
    behaviour = rng.normal(size=(60, 30))[family] + 0.3 * rng.normal(size=(600, 30))
    hidden = np.arange(60)
    given = behaviour.copy()
    given[hidden] = 0.0
    truth = unit_rows(behaviour)[hidden]
    both = tc.fit_content_map(content, given)
    linear = tc.fit_content_map(content, given, n_neighbors=0)
    assert both.local_weight > 0.5
    assert linear.local_weight == 0.0
    near = np.einsum("ij,ij->i", both.transform(content)[hidden], truth).mean()
    far = np.einsum("ij,ij->i", linear.transform(content)[hidden], truth).mean()
    assert near > 0.85
    assert far < 0.5
    # And where content says nothing, the nearest say nothing either.
    noise = tc.fit_content_map(rng.normal(size=(600, 6)), rng.normal(size=(600, 30)))
    assert noise.local_weight < 0.1


def test_near_residuals_equal_the_loop() -> None:
    content, behaviour = vectors(80, 5, 0), vectors(80, 4, 1)
    fitted = tc.fit_content_map(content, behaviour, n_neighbors=7)
    new = unit_rows(vectors(9, 5, 2))
    known, target = unit_rows(content), unit_rows(behaviour)
    left = target - known @ fitted.coefficients - fitted.intercept
    for row, got in zip(new, fitted.transform(new)):
        cosine = known @ row
        nearest = np.argsort(-cosine)[:7]
        weight = np.maximum(cosine[nearest], 0) ** 2
        near = weight @ left[nearest] / weight.sum()
        expected = slow.unit(row @ fitted.coefficients + fitted.intercept + fitted.local_weight * near)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_penalty_has_the_least_leave_one_out_error() -> None:
    rng = np.random.default_rng(0)
    content = rng.normal(size=(300, 20))
    rotation = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    clear = tc.fit_content_map(content, content @ rotation)
    noise = tc.fit_content_map(content, rng.normal(size=(300, 20)))
    assert clear.error < 0.01
    assert clear.ridge < 1e-2
    assert noise.error > 0.9
    assert noise.ridge > 10
    errors = [tc.fit_content_map(content, content @ rotation, ridge=r).error for r in (1e-4, 1e-2, 1.0, 100.0)]
    assert clear.error <= min(errors) + 1e-12


def test_the_map_predicts_missing_behaviour() -> None:
    content = vectors(120, 8, 0)
    behaviour = unit_rows(content)[:, :4].astype(np.float32).copy()
    behaviour[:20] = 0.0
    content[100:] = 0.0
    content[:2] = 0.0
    fused = tc.fuse_vectors(behaviour, content, method="map")
    norms_are_one_or_missing(fused)
    assert fused.source.tolist() == ["missing"] * 2 + ["content"] * 18 + ["fused"] * 80 + ["behaviour"] * 20
    truth = unit_rows(unit_rows(vectors(120, 8, 0))[:, :4])
    assert (np.einsum("ij,ij->i", fused.vectors[2:20], truth[2:20]) > 0.95).all()


def test_backfill_names_the_source_of_each_row() -> None:
    rng = np.random.default_rng(0)
    content = rng.normal(size=(50, 6))
    behaviour = (content @ rng.normal(size=(6, 4))).astype(np.float32)
    behaviour[[3, 7, 9, 11]] = 0.0
    content[[7, 9, 11, 20]] = 0.0
    categories = np.arange(50) % 5
    categories[9] = -1
    categories[11] = 77  # nobody else is in it
    counts = rng.integers(1, 100, 50)
    filled = tc.backfill_vectors(behaviour, content=content, categories=categories, item_counts=counts)
    norms_are_one_or_missing(filled)
    assert filled.source[[3, 7, 9, 11]].tolist() == ["content", "category", "missing", "missing"]
    assert filled.missing.tolist() == [9, 11]
    assert filled.source_counts() == {"behaviour": 46, "fused": 0, "content": 1, "category": 1, "missing": 2}
    kept = np.setdiff1d(np.arange(50), [3, 7, 9, 11])
    np.testing.assert_allclose(filled.vectors[kept], unit_rows(behaviour)[kept], atol=1e-6)
    means = slow.category_means(behaviour, categories, counts)
    np.testing.assert_allclose(filled.vectors[7], means[2], atol=1e-6)
    fitted = tc.fit_content_map(content, behaviour, item_counts=counts)
    np.testing.assert_allclose(filled.vectors[3], fitted.transform(content)[3], atol=1e-6)
    again = tc.backfill_vectors(behaviour, content=content, content_map=fitted)
    np.testing.assert_allclose(again.vectors[3], filled.vectors[3])
    assert "1 content" in repr(filled)


def test_permuting_items_permutes_the_backfill() -> None:
    behaviour, content = vectors(60, 5, 0, missing=0.4), vectors(60, 7, 1, missing=0.3)
    categories, counts = np.arange(60) % 7, np.random.default_rng(2).integers(1, 30, 60)
    order = np.random.default_rng(3).permutation(60)
    plain = tc.backfill_vectors(behaviour, content=content, categories=categories, item_counts=counts)
    moved = tc.backfill_vectors(
        behaviour[order], content=content[order], categories=categories[order], item_counts=counts[order]
    )
    np.testing.assert_allclose(moved.vectors, plain.vectors[order], atol=1e-5)
    assert moved.source.tolist() == plain.source[order].tolist()
    assert {"behaviour", "content", "category"} <= set(plain.source.tolist())


def test_fusion_helps_rare_items_most_and_does_not_harm_frequent_ones() -> None:
    """Behaviour is the truth with noise that falls with the count; content says a part of the truth."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(900, 12))
    counts = np.repeat([1, 20, 2000], 300)
    behaviour = truth + rng.normal(size=truth.shape) * (4.0 / np.sqrt(counts))[:, None]
    content = truth @ rng.normal(size=(12, 40)) + 6.0 * rng.normal(size=(900, 40))
    fused = tc.fuse_vectors(behaviour, content, method="map", item_counts=counts).vectors
    unit = unit_rows(truth)
    before = np.einsum("ij,ij->i", unit_rows(behaviour), unit).reshape(3, 300).mean(axis=1)
    after = np.einsum("ij,ij->i", fused, unit).reshape(3, 300).mean(axis=1)
    assert after[0] > before[0] + 0.2
    assert after[1] > before[1]
    assert after[2] > before[2] - 0.03
    assert after[0] - before[0] > after[1] - before[1]


def test_backfill_takes_the_finest_category_with_known_items() -> None:
    behaviour = np.array([[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]], dtype=np.float32)
    levels = [[0, 0], [1, 0], [1, 0], [2, 0], [2, -1]]
    filled = tc.backfill_vectors(behaviour, categories=levels)
    np.testing.assert_allclose(filled.vectors[2], [0, 1])
    np.testing.assert_allclose(filled.vectors[3], [2**-0.5, 2**-0.5], rtol=1e-6)
    assert filled.source.tolist() == ["behaviour", "behaviour", "category", "category", "missing"]


def test_backfill_with_nothing_to_learn_from() -> None:
    zero = np.zeros((3, 4))
    assert set(tc.backfill_vectors(zero).source) == {"missing"}
    one = np.zeros((3, 4))
    one[0, 0] = 2.0
    filled = tc.backfill_vectors(one, content=np.eye(3), categories=[0, 0, 1])
    assert filled.source.tolist() == ["behaviour", "category", "missing"]
    assert tc.backfill_vectors(np.zeros((0, 4)), content=np.zeros((0, 2)), categories=[]).vectors.shape == (0, 4)


def test_items_of_weight_zero_do_not_shape_the_map() -> None:
    behaviour, content = vectors(6, 3, 0), vectors(6, 4, 1)
    behaviour[0] = 0.0
    filled = tc.backfill_vectors(behaviour, content=content, item_counts=np.zeros(6))
    assert filled.source.tolist() == ["missing"] + ["behaviour"] * 5
    filled = tc.backfill_vectors(behaviour, content=content, item_counts=[0, 1, 1, 0, 0, 0])
    assert filled.source[0] == "content"


@pytest.mark.parametrize("ridge", [1e-300, 1e-12, 1e300])
def test_any_penalty_gives_numbers(ridge: float) -> None:
    content = vectors(20, 3, 1)
    content = np.hstack([content, content])  # of rank 3: three directions that no item has
    fitted = tc.fit_content_map(content, vectors(20, 4, 2), ridge=ridge)
    assert np.isfinite(fitted.error)
    assert np.isfinite(fitted.coefficients).all()
    np.testing.assert_allclose(np.linalg.norm(fitted.transform(content), axis=1), 1.0, atol=1e-5)


def test_inputs_are_not_changed_and_any_layout_will_do() -> None:
    behaviour, content = vectors(30, 6, 0, missing=0.3), vectors(30, 6, 1, missing=0.3)
    plain = tc.fuse_vectors(behaviour, content)
    filled = tc.backfill_vectors(behaviour, content=content)
    before = behaviour.copy()
    for change in (np.asfortranarray, lambda a: a.astype(np.float64), lambda a: np.repeat(a, 2, axis=0)[::2]):
        left, right = change(behaviour), change(content)
        left.flags.writeable = right.flags.writeable = False
        np.testing.assert_allclose(tc.fuse_vectors(left, right).vectors, plain.vectors, atol=1e-6)
        np.testing.assert_allclose(tc.backfill_vectors(left, content=right).vectors, filled.vectors, atol=1e-6)
    assert np.array_equal(before, behaviour)


def test_tiny_and_huge_values_keep_their_direction() -> None:
    rows = np.array([[3e-38, 4e-38], [3e38, 2.9e38], [0.0, 0.0]], dtype=np.float32)
    norms = np.linalg.norm(tc.fuse_vectors(rows, rows).vectors, axis=1)
    np.testing.assert_allclose(norms, [1.0, 1.0, 0.0], atol=1e-6)


def test_opposites_that_cancel_are_missing() -> None:
    fused = tc.fuse_vectors([[1.0, 0.0]], [[-1.0, 0.0]], behaviour_weight=0.5)
    assert fused.source.tolist() == ["missing"]


A, B = np.ones((4, 3)), np.ones((4, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tc.fuse_vectors(A, B), ValueError, r"'content' parameter of fuse_vectors .* \(4, 3\).*\(4, 2\)"),
        (lambda: tc.fuse_vectors(A, A[:3]), ValueError, "'content' parameter of fuse_vectors"),
        (lambda: tc.fuse_vectors(A[0], A), ValueError, "'behaviour' parameter of fuse_vectors"),
        (lambda: tc.fuse_vectors(A * np.nan, A), ValueError, "'behaviour' .* finite"),
        (lambda: tc.fuse_vectors(A, A * np.inf), ValueError, "'content' .* finite"),
        (lambda: tc.fuse_vectors(A, sparse.csr_array(A)), TypeError, r"'content' .* \(dense\)"),
        (lambda: tc.fuse_vectors(A, A, behaviour_weight=1.1), ValueError, "'behaviour_weight'"),
        (lambda: tc.fuse_vectors(A, A, behaviour_weight=[0, 0, 0, 2.0]), ValueError, "Got '2.0 at 3'"),
        (lambda: tc.fuse_vectors(A, A, behaviour_weight=[0.5]), ValueError, r"shape \(4,\)"),
        (lambda: tc.fuse_vectors(A, A, behaviour_weight="half"), TypeError, "'behaviour_weight'"),
        (lambda: tc.fuse_vectors(A, A, method="mean"), ValueError, "'method' .* 'sum', 'concatenate', 'map'"),
        (lambda: tc.fuse_vectors(A, A, item_counts=[1, 2, 3, -1]), ValueError, "'item_counts' .* non-negative"),
        (lambda: tc.fuse_vectors(A, A, item_counts=[1] * 4, half_count=0.0), ValueError, "'half_count'"),
        (lambda: tc.fuse_vectors(A, A, n_components=2), ValueError, "'n_components' .* 'concatenate'"),
        (lambda: tc.fuse_vectors(A, A, ridge=1.0), ValueError, "'ridge' .* 'map'"),
        (lambda: tc.fuse_vectors(A, B, method="concatenate", n_components=6), ValueError, r"\[1, 5\]"),
        (lambda: tc.fuse_vectors(A * 0, A, method="map"), ValueError, "at least 2 items"),
        (lambda: tc.fit_content_map(A, A, n_neighbors=-1), ValueError, "'n_neighbors' parameter of fit_content_map"),
        (lambda: tc.fit_content_map(A, A, ridge=0.0), ValueError, "'ridge' parameter of fit_content_map"),
        (lambda: tc.fit_content_map(A, A[:2]), ValueError, "'content' parameter of fit_content_map"),
        (lambda: tc.fit_content_map(B, A).transform(A), ValueError, "'content' parameter of ContentMap.transform"),
        (lambda: tc.backfill_vectors(A, content=B[:2]), ValueError, "'content' parameter of backfill_vectors"),
        (lambda: tc.backfill_vectors(A, categories=[1, 2]), ValueError, "'categories'"),
        (lambda: tc.backfill_vectors(A, categories=["a"] * 4), TypeError, "'categories'"),
        (lambda: tc.backfill_vectors(A, categories=[0.5] * 4), TypeError, "'categories'"),
        (lambda: tc.backfill_vectors(A, item_counts=[1, 1, 1, np.nan]), ValueError, "'item_counts'"),
        (lambda: tc.backfill_vectors(A, content_map=tc.fit_content_map(B, A)), ValueError, "'content' .* given"),
        (lambda: tc.backfill_vectors(A, ridge=1.0), ValueError, "'ridge' .* None unless"),
        (
            lambda: tc.backfill_vectors(A, content=B, content_map=tc.fit_content_map(B, A), ridge=1.0),
            ValueError,
            "'ridge' .* None unless",
        ),
        (
            lambda: tc.backfill_vectors(A, content=B, content_map=tc.fit_content_map(B, B)),
            ValueError,
            "'content_map' .* 3 dimensions",
        ),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
