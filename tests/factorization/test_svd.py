"""SVD against LAPACK on spectra that break others, against scikit-learn, and the products beneath it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.linalg import subspace_angles

import traitcore as tc
from tests.reference.svd import product, symmetric_with_spectrum, with_spectrum
from traitcore import _core
from traitcore.factorization import lanczos as lanczos_module
from traitcore.factorization import svd as svd_module
from traitcore.factorization.eigen import symmetric_eigen
from traitcore.factorization.products import panel_combine, panel_gram, sparse_dense, sparse_transposed_dense
from traitcore.factorization.svd import randomized_svd, svd_vectors

FALLING = 30 * 0.93 ** np.arange(300)
SPECTRA = {
    "falling": FALLING,
    "slow": 1 / np.sqrt(np.arange(1, 301)),
    "clustered": np.concatenate([np.full(8, 10.0) + np.arange(8) * 1e-3, np.linspace(5, 0.1, 292)]),
    "repeated": np.concatenate([np.full(50, 7.0), np.full(30, 3.0), np.linspace(1, 0.1, 220)]),
    "tiny": 10.0 ** -np.linspace(0, 8, 300),
    "rank deficient": np.array([5.0, 4, 3, 2, 1]),
    "huge": 1e12 * FALLING,
    "minute": 1e-15 * FALLING,
}


def check(result, A: np.ndarray, k: int, tol: float) -> np.ndarray:
    true = np.linalg.svd(A, compute_uv=False)[:k]
    assert result.U.shape == (A.shape[0], k)
    assert result.Vt.shape == (k, A.shape[1])
    assert result.U.dtype == result.singular_values.dtype == result.Vt.dtype == np.float32
    np.testing.assert_allclose(result.U.T @ result.U, np.eye(k), atol=1e-5)
    np.testing.assert_allclose(result.Vt @ result.Vt.T, np.eye(k), atol=1e-5)
    assert (np.diff(result.singular_values) <= 1e-6 * true[0]).all()
    assert (np.abs(result.singular_values - true) <= tol * true + 3e-6 * true[0]).all()
    U, s, V = result.U.astype(np.float64), result.singular_values.astype(np.float64), result.Vt.T.astype(np.float64)
    residual = np.maximum(np.linalg.norm(A @ V - U * s, axis=0), np.linalg.norm(A.T @ U - V * s, axis=0))
    np.testing.assert_allclose(result.residuals, residual, atol=2e-5 * true[0])
    largest = result.U[np.abs(result.U).argmax(axis=0), np.arange(k)]
    assert (largest > 0).all()
    return true


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("shape", [(600, 500), (500, 600)])
def test_general_matrices(name, shape) -> None:
    A = with_spectrum(*shape, SPECTRA[name], seed=1)
    check(randomized_svd(A, 40, tol=1e-3), A.astype(np.float32).astype(np.float64), 40, 1e-3)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("signs", [1, -1])
def test_symmetric_matrices(name, signs) -> None:
    values = SPECTRA[name] * signs ** np.arange(len(SPECTRA[name]))
    A = symmetric_with_spectrum(600, values, seed=2)
    result = randomized_svd(A, 40)
    assert result.symmetric
    check(result, A.astype(np.float32).astype(np.float64), 40, 1e-3)


@pytest.mark.parametrize("copies", [20, 40])
def test_more_copies_of_a_value_than_a_block_has_columns(copies) -> None:
    values = np.concatenate([np.full(copies, 5.0), np.linspace(4.5, 0.0, 560)])
    A = symmetric_with_spectrum(600, values, seed=3)
    result = randomized_svd(A, 45, block_size=16)
    check(result, A.astype(np.float32).astype(np.float64), 45, 1e-3)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6), k=st.integers(1, 40), symmetric=st.booleans(), tol=st.sampled_from([1e-2, 1e-3, 1e-4])
)
def test_the_bound_holds_on_random_sparse_matrices(seed, k, symmetric, tol) -> None:
    """Spectra without gaps: the hardest for a stopping test."""
    rng = np.random.default_rng(seed)
    A = sparse.random_array((560, 560 if symmetric else 640), density=0.03, rng=rng)
    A = A + A.T if symmetric else A
    result = randomized_svd(A, k, tol=tol, random_state=seed)
    assert result.converged
    check(result, A.toarray().astype(np.float32).astype(np.float64), k, tol)


def test_a_restarted_search_keeps_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    restarts = []
    original = lanczos_module.Lanczos._restart

    def spy(self, m, fresh):
        restarts.append(fresh)
        return original(self, m, fresh)

    monkeypatch.setattr(lanczos_module.Lanczos, "_restart", spy)
    A = sparse.random_array((2500, 2500), density=0.01, rng=np.random.default_rng(5))
    A = sparse.csr_array(A + A.T)
    result = randomized_svd(A, 24)
    true = np.sort(np.abs(np.linalg.eigvalsh(A.toarray())))[::-1][:24]
    assert restarts
    assert not any(restarts)
    assert (np.abs(result.singular_values - true) <= 1e-3 * true).all()


@pytest.mark.parametrize(("copies", "size", "k"), [(42, 100, 40), (11, 130, 40), (37, 41, 64), (500, 2, 64)])
def test_blocks_alike(copies, size, k, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svd_module, "_DENSE_AFTER_ALL", 0)
    A = sparse.kron(sparse.eye_array(copies), np.ones((size, size)), format="csr")
    result = randomized_svd(A, k)
    true = np.where(np.arange(k) < copies, float(size), 0.0)
    np.testing.assert_allclose(result.singular_values, true, rtol=1e-3, atol=1e-5 * size)
    np.testing.assert_allclose(result.U.T @ result.U, np.eye(k), atol=1e-5)
    np.testing.assert_allclose(result.Vt @ result.Vt.T, np.eye(k), atol=1e-5)
    assert result.converged


@st.composite
def spectra(draw) -> np.ndarray:
    """400 singular values: groups of copies, exact or nearly so, above a falling rest; graded ones."""
    kind = draw(st.sampled_from(["copies", "near copies", "graded", "rank deficient", "outlier", "stairs"]))
    if kind == "graded":
        return 10.0 ** -np.linspace(0, draw(st.floats(1, 12)), 400)
    if kind == "outlier":
        return np.concatenate([[10.0 ** draw(st.floats(0.5, 3))], np.linspace(1, draw(st.floats(0, 0.9)), 399)])
    if kind == "stairs":
        return np.repeat(draw(st.floats(0.6, 0.98)) ** np.arange(40), draw(st.integers(10, 50)))[:400]
    head = np.concatenate([
        np.full(draw(st.integers(1, 60)), float(level)) for level in range(draw(st.integers(2, 3)), 1, -1)
    ])
    if kind == "near copies":
        head = head * (1 + 10.0 ** -draw(st.integers(3, 7)) * np.random.default_rng(0).random(len(head)))
    rest = np.zeros(400) if kind == "rank deficient" else np.linspace(draw(st.floats(0.5, 1.9)), 0, 400)
    return np.sort(np.concatenate([head, rest])[:400])[::-1]


@settings(max_examples=40, deadline=None)
@given(
    spectra(), st.integers(1, 60), st.sampled_from(["square", "wide", "positive", "alternating", "mirrored"]),
    st.sampled_from([1e-25, 1.0, 1e20]), st.sampled_from([1e-1, 1e-2, 1e-3, 1e-3, 1e-4]),
)
def test_any_spectrum(values, k, form, size, tol) -> None:
    """Without LAPACK's help; the estimate is never below half of the error."""
    n = len(values)
    values = values * size
    if form == "mirrored":  # each beside its negative, exactly or nearly: their vectors mix in the square
        values = np.repeat(values[: n // 2], 2) * np.tile([1, -1 + 1e-3 * (k % 2)], n // 2)
    if form in ("positive", "alternating", "mirrored"):
        sign = (-1.0) ** np.arange(len(values)) if form == "alternating" else 1.0
        A = symmetric_with_spectrum(len(values), values * sign, seed=k).astype(np.float32)
    else:
        A = with_spectrum(400, 400 if form == "square" else 500, values, seed=k).astype(np.float32)
    exact = A.astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svd_module, "_DENSE_AFTER_ALL", 0)
        result = randomized_svd(A, k, tol=tol)
    true = check(result, exact, k, tol)
    assert result.converged
    error = np.maximum(np.abs(result.singular_values - true) - 3e-6 * true[0], 0) / true
    assert error.max() <= 2 * result.error_estimate


@pytest.mark.parametrize("size", [1e-300, 1e-42, 1e-25, 1e25, 1e100, 1e300])
def test_any_scale(size) -> None:
    """Sizes that float32 has no place for, too."""
    size = 2.0 ** np.round(np.log2(size))
    A = sparse.random_array((700, 600), density=0.05, rng=np.random.default_rng(0))
    base = randomized_svd(A.astype(np.float32).astype(np.float64), 12, tol=1e-5)
    for matrix in (A.astype(np.float32).astype(np.float64) * size, A.astype(np.float32).toarray() * np.float64(size)):
        result = randomized_svd(matrix, 12, tol=1e-5)
        np.testing.assert_allclose(result.singular_values / size, base.singular_values, rtol=2e-5)
        np.testing.assert_allclose(np.abs((result.U * base.U).sum(axis=0)), 1, atol=1e-3)


def test_bool_is_one_and_zero() -> None:
    A = np.random.default_rng(0).random((50, 40)) < 0.3
    expected = np.linalg.svd(A.astype(float), compute_uv=False)[:5]
    for matrix in (A, sparse.csr_array(A), A.astype(np.int8)):
        U, s, Vt = randomized_svd(matrix, 5)
        np.testing.assert_allclose(s, expected, rtol=1e-5)
        np.testing.assert_allclose(np.abs(np.diag(U.T @ A @ Vt.T)), expected, rtol=1e-5)


def test_against_scikit_learn() -> None:
    from sklearn.utils.extmath import randomized_svd as peer

    A = sparse.random_array((900, 700), density=0.02, rng=np.random.default_rng(0)) + sparse.csr_array(
        with_spectrum(900, 700, np.linspace(60, 30, 12), seed=4)
    )
    ours = randomized_svd(A, 12, tol=1e-5)
    U, s, Vt = peer(sparse.csr_matrix(A), 12, n_iter=12, random_state=0)
    np.testing.assert_allclose(ours.singular_values, s, rtol=1e-4)
    assert np.degrees(subspace_angles(ours.U, U)).max() < 0.1
    assert np.degrees(subspace_angles(ours.Vt.T, Vt.T)).max() < 0.1
    unpacked = tuple(ours)
    assert unpacked[1] is ours.singular_values


def test_dense_sparse_wide_indices_and_float64_agree() -> None:
    A = sparse.csr_array(sparse.random_array((560, 520), density=0.05, rng=np.random.default_rng(1)))
    base = randomized_svd(A, 10, tol=1e-5)
    wide = A.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for other in (A.toarray(), A.astype(np.float32), sparse.coo_array(A), wide):
        np.testing.assert_allclose(randomized_svd(other, 10, tol=1e-5).singular_values, base.singular_values, rtol=2e-5)


def test_same_result_for_any_workers_and_another_for_another_seed() -> None:
    A = sparse.random_array((3001, 2003), density=0.004, rng=np.random.default_rng(1))
    one = randomized_svd(A, 8, random_state=3)
    for workers in (2, 3, 7):
        other = randomized_svd(A, 8, random_state=3, workers=workers)
        assert other.U.tobytes() == one.U.tobytes()
        assert other.Vt.tobytes() == one.Vt.tobytes()
    assert randomized_svd(A, 8, random_state=4).U.tobytes() != one.U.tobytes()


def test_fixed_passes_and_what_is_reported() -> None:
    A = with_spectrum(600, 560, SPECTRA["slow"], seed=5)
    few, many = randomized_svd(A, 20, n_iter=3), randomized_svd(A, 20, n_iter=10)
    assert (few.n_iter, many.n_iter) == (3, 10)
    assert many.residuals.max() < few.residuals.max()
    calls: list[tuple[str, float, float]] = []
    result = randomized_svd(A, 20, progress=lambda *call: calls.append(call))
    assert result.converged
    assert result.error_estimate <= 1e-3


@pytest.mark.parametrize(("shape", "k", "n_iter"), [
    ((600, 560), 20, None), ((600, 560), 20, 6), ((100, 80), 5, None), ((400, 400), 120, None),
])
def test_progress_rises_to_its_total_for_any_workers(shape, k, n_iter) -> None:
    A = with_spectrum(*shape, 0.95 ** np.arange(min(shape)), seed=5)
    runs: list[list[tuple[str, float, float]]] = []
    for workers in (1, 2):
        runs.append([])
        randomized_svd(A, k, n_iter=n_iter, workers=workers, progress=lambda *call: runs[-1].append(call))
    assert runs[0] == runs[1]
    done = [call[1] for call in runs[0]]
    assert all(call[0] == "svd" and call[2] == 1.0 for call in runs[0])
    assert (np.diff([0.0, *done]) > 0).all()
    assert done[-1] == 1.0


@pytest.mark.parametrize("A", [np.zeros((600, 550)), np.zeros((5, 3)), np.zeros((600, 600))])
def test_all_zero(A) -> None:
    k = min(A.shape[1], 7)
    result = randomized_svd(A, k)
    assert (result.singular_values == 0).all()
    np.testing.assert_allclose(result.U.T @ result.U, np.eye(k), atol=1e-5)
    np.testing.assert_allclose(result.Vt @ result.Vt.T, np.eye(k), atol=1e-5)


def test_empty_rows_one_item_and_all_components() -> None:
    A = np.zeros((40, 30))
    A[3, 4], A[7, 1] = 2.0, -3.0
    np.testing.assert_allclose(randomized_svd(A, 2).singular_values, [3, 2])
    assert randomized_svd(np.array([[-4.0]]), 1).singular_values.tolist() == [4.0]
    B = np.random.default_rng(0).standard_normal((300, 20))
    check(randomized_svd(B, 20), B.astype(np.float32).astype(np.float64), 20, 1e-5)


def test_vectors_multiply_to_the_matrix_on_both_sides_of_zero() -> None:
    values = np.array([9.0, -7, 5, -4, 2])
    A = symmetric_with_spectrum(560, values, seed=6)
    for power in (0.0, 0.5, 0.8, 1.0):
        items, contexts = svd_vectors(A, 5, power=power, tol=1e-5)
        np.testing.assert_allclose(items @ contexts.T, A, atol=1e-4)
    found = svd_vectors(A, 5, tol=1e-5)
    np.testing.assert_allclose(found.singular_values, np.abs(values), rtol=1e-5)
    sign = np.sign(np.einsum("ij,ij->j", found.item_vectors, found.context_vectors))
    np.testing.assert_array_equal(sign, np.sign(values))


def test_a_limit_on_memory_is_checked_first() -> None:
    A = sparse.random_array((60_000, 60_000), density=1e-6, rng=np.random.default_rng(0))
    with pytest.raises(MemoryError, match=r"needs at least \d+ MiB, more than memory_limit_mb=5"):
        randomized_svd(A, 10, memory_limit_mb=5)
    # With hardly more than the least it stops where the basis is full, and says so.
    B = sparse.random_array((4100, 4100), density=0.002, rng=np.random.default_rng(0))
    with pytest.warns(tc.ConvergenceWarning, match=r"tol=1e-06"):
        stopped = randomized_svd(B, 10, memory_limit_mb=1.5, tol=1e-6)
    assert not stopped.converged
    assert stopped.error_estimate > 1e-6


def test_bad_input_is_named() -> None:
    A = np.random.default_rng(0).standard_normal((30, 20))
    with pytest.raises(ValueError, match=r"'n_components' parameter of randomized_svd must be an int in \[1, 20\]"):
        randomized_svd(A, 21)
    with pytest.raises(ValueError, match=r"finite. Got .nan at \(0, 1\)"):
        randomized_svd(np.array([[1.0, np.nan]]), 1)
    with pytest.raises(ValueError, match=r"finite\. Got .inf at row 0, column 1"):
        randomized_svd(sparse.csr_array(np.array([[1.0, np.inf]])), 1)
    with pytest.raises(ValueError, match="a multiple of 16"):
        randomized_svd(A, 2, block_size=20)
    with pytest.raises(ValueError, match="A differs from its transpose"):
        randomized_svd(A[:20], 2, symmetric=True)
    with pytest.raises(ValueError, match="'tol'"):
        randomized_svd(A, 2, tol=0)
    with pytest.raises(ValueError, match="with rows and columns"):
        randomized_svd(np.zeros((0, 3)), 1)
    with pytest.raises(ValueError, match="'power' parameter of svd_vectors"):
        svd_vectors(A, 2, power=1.5)


@pytest.fixture(params=_core.simd_levels())
def level(request):
    _core.set_simd_level(request.param)
    yield request.param
    _core.set_simd_level(None)


@pytest.mark.parametrize("k", [1, 15, 16, 17, 33, 64, 100])
def test_sparse_product(level, k) -> None:
    rng = np.random.default_rng(k)
    A = sparse.csr_array(sparse.random_array((67, 41), density=0.2, rng=rng, dtype=np.float32)) * np.float32(-1)
    B = rng.standard_normal((41, k)).astype(np.float32)
    expected = product(A.toarray(), B)
    for workers in (1, 3):
        np.testing.assert_allclose(sparse_dense(A, B, workers=workers), expected, atol=1e-5)
    out = np.full((67, k), np.nan, dtype=np.float32)
    assert sparse_dense(A, B, out=out) is out
    np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_allclose(sparse_transposed_dense(A.T, B), expected, atol=1e-5)
    np.testing.assert_allclose(sparse_dense(A, np.asfortranarray(B.astype(np.float64))), expected, atol=1e-5)


@pytest.mark.parametrize("beta", [0.0, -1.0])
@pytest.mark.parametrize("k", [16, 21])
def test_scaled_and_added_product(level, beta, k) -> None:
    rng = np.random.default_rng(0)
    A = sparse.csr_array(sparse.random_array((1100, 50), density=0.1, rng=rng, dtype=np.float32))
    B, C = rng.standard_normal((50, k)).astype(np.float32), rng.standard_normal((1100, k)).astype(np.float32)
    expected = 2.0 * (A.toarray().astype(np.float64) @ B) + beta * C
    _core.sparse_times_dense(A, B, C, 2.0, beta, 2)
    np.testing.assert_allclose(C, expected, atol=1e-4)


def test_product_bytes_do_not_depend_on_workers_and_empty_shapes_work() -> None:
    rng = np.random.default_rng(0)
    A = sparse.csr_array(sparse.random_array((5003, 700), density=0.02, rng=rng, dtype=np.float32))
    B = rng.standard_normal((700, 40)).astype(np.float32)
    one = sparse_dense(A, B)
    assert all(sparse_dense(A, B, workers=w).tobytes() == one.tobytes() for w in (2, 3, 7))
    assert sparse_dense(sparse.csr_array((4, 3)), np.ones((3, 2), np.float32)).tolist() == [[0, 0]] * 4
    assert sparse_dense(np.eye(3), np.ones((3, 0), np.float32)).shape == (3, 0)
    with pytest.raises(ValueError, match=r"'B' parameter of sparse_dense .* shape \(700, any\)"):
        sparse_dense(A, np.ones((3, 2)))
    with pytest.raises(ValueError, match="'out' parameter of sparse_dense"):
        sparse_dense(A, B, out=np.empty((5003, 41), np.float32))
    square = np.ones((3, 3), np.float32)
    with pytest.raises(ValueError, match="apart from B"):
        sparse_dense(np.eye(3), square, out=square)


@pytest.mark.parametrize("b", [16, 32, 48])
@pytest.mark.parametrize("n", [1, 7, 130, 4099])
def test_panel_products(level, b, n) -> None:
    rng = np.random.default_rng(n)
    panels = rng.standard_normal((3, n, b)).astype(np.float32)
    W = rng.standard_normal((n, 2 * b)).astype(np.float32)
    flat = np.concatenate(list(panels), axis=1).astype(np.float64)
    H = panel_gram(panels, W, workers=1)
    np.testing.assert_allclose(H, flat.T @ W, atol=2e-3)
    assert panel_gram(panels, W, workers=3).tobytes() == H.tobytes()
    S = rng.standard_normal((3 * b, 2 * b))
    Y = W.copy()
    panel_combine(panels, S, Y, fresh=False, workers=2)
    np.testing.assert_allclose(Y, W + flat @ S, atol=1e-3)
    panel_combine(panels, S, Y, fresh=True, workers=1)
    np.testing.assert_allclose(Y, flat @ S, atol=1e-3)


def test_the_face_has_them() -> None:
    assert tc.randomized_svd is randomized_svd
    assert tc.svd_vectors is svd_vectors


@given(st.integers(1, 6), st.integers(0, 10_000), st.booleans())
def test_symmetry_is_seen_without_a_transpose(n, seed, mirrored) -> None:
    rng = np.random.default_rng(seed)
    A = rng.integers(0, 2, (n, n)) * rng.integers(1, 3, (n, n)).astype(np.float32)
    if mirrored:
        A = np.triu(A) + np.triu(A, 1).T
    csr = sparse.csr_array(A.astype(np.float32))
    for edges in ([0, n], [0, n // 2, n], list(range(n + 1))):
        cursor = csr.indptr[:-1].astype(np.int64)
        found = [_core.is_symmetric(a, b, csr.indptr, csr.indices, csr.data, cursor) for a, b in pairwise(edges)]
        assert all(found) == bool((A == A.T).all())


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize(("array", "place", "value"), [
    ("indices", 400, 700), ("indices", 0, -1), ("indptr", 7, 10**6), ("indptr", 0, 1), ("indptr", 9, 0),
])
def test_product_refuses_pointers_and_indices_that_lead_outside(index, array, place, value) -> None:
    A = sparse.csr_array(sparse.random_array((2000, 700), density=0.02, rng=np.random.default_rng(0), dtype=np.float32))
    arrays = {"indptr": A.indptr.astype(index), "indices": A.indices.astype(index)}
    A = sparse.csr_array((A.data, arrays["indices"], arrays["indptr"]), shape=A.shape)
    getattr(A, array)[place] = value
    for workers in (1, 2):
        with pytest.raises(ValueError, match="'A' parameter of sparse_dense"):
            sparse_dense(A, np.ones((700, 16), np.float32), workers=workers)


@given(st.integers(1, 70), st.integers(0, 10_000), st.sampled_from(["plain", "low rank", "repeated", "graded", "zero"]))
def test_symmetric_eigen_is_lapacks(n, seed, kind) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    if kind == "low rank":
        A = A[:, : 1 + n // 3] @ A[:, : 1 + n // 3].T
    elif kind != "plain":
        repeated = np.where(np.arange(n) < n // 2, 3.0, -2.0)
        d = {"repeated": repeated, "graded": 10.0 ** -np.arange(n), "zero": np.zeros(n)}[kind]
        Q = np.linalg.qr(A)[0]
        A = (Q * d) @ Q.T
    A = (A + A.T) / 2
    values, V = symmetric_eigen(A)
    size = np.abs(A).max() * n + 1e-300
    np.testing.assert_allclose(values, np.linalg.eigvalsh(A), atol=1e-13 * size)
    np.testing.assert_allclose(A @ V, V * values, atol=1e-13 * size)
    np.testing.assert_allclose(V.T @ V, np.eye(n), atol=1e-12)
    first = int(rng.integers(0, n))
    again, rows = symmetric_eigen(A, first_row=first, workers=3)
    assert again.tobytes() == values.tobytes()
    assert rows.tobytes() == V[first:].tobytes()


def test_symmetric_eigen_at_every_level(level) -> None:
    A = np.random.default_rng(0).standard_normal((90, 90))
    values, V = symmetric_eigen(A + A.T)
    np.testing.assert_allclose((A + A.T) @ V, V * values, atol=1e-11)
    with pytest.raises(RuntimeError, match="not finite"):
        symmetric_eigen(np.full((4, 4), np.nan))
