"""compare_tables on tables whose differences are known; judge on planted faults and fault-free refits of shops."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.suite.planted_faults import Shop
from traitcore import EmbeddingTable, TableError, TableStore, build_index, compare_tables, judge
from traitcore.quality.comparison import TableComparison
from traitcore.quality.guardrails import SamplingNoise, Thresholds


def random_table(n: int = 300, d: int = 8, seed: int = 0, **extra: Any) -> EmbeddingTable:
    rng = np.random.default_rng(seed)
    return EmbeddingTable([f"i{i}" for i in range(n)], rng.normal(size=(n, d)), **extra)


def test_a_rotation_changes_nothing() -> None:
    old = random_table(arrays={"counts": np.arange(300)[::-1]})
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    new = EmbeddingTable(old.ids, 3.0 * old.vectors @ turn, arrays=dict(old.arrays))
    c = compare_tables(old, new)
    assert c.overlap is not None
    assert c.overlap > 0.999
    assert c.shift_p95 == pytest.approx(0.0, abs=1e-5)
    assert c.spectrum_distance == pytest.approx(0.0, abs=1e-5)
    assert (c.gained, c.lost, c.n_common) == (0, 0, 300)
    assert judge(new, old).status == "pass"


def test_unrelated_tables_overlap_by_chance() -> None:
    c = compare_tables(random_table(seed=0), random_table(seed=1), k=10)
    assert c.overlap_by_chance == pytest.approx(10 / 299)
    assert c.overlap == pytest.approx(c.overlap_by_chance, abs=0.02)
    assert c.old.popularity_correlation is None  # no counts, no popularity
    assert c.overlap_by_popularity == ()


def test_gained_lost_and_moved_ids() -> None:
    old = random_table(arrays={"counts": np.r_[np.full(299, 1), 701]})
    vectors = old.vectors[:290].copy()
    vectors[7] = -vectors[7]
    new = EmbeddingTable([*old.ids[:290], "fresh"], np.vstack([vectors, np.ones((1, 8))]))
    c = compare_tables(old, new, inspect=["i3", "fresh", "nobody"])
    assert (c.gained, c.lost) == (1, 10)
    assert c.gained_examples == ("fresh",)
    assert c.lost_examples[0] == "i290"
    assert c.lost_popularity == pytest.approx((9 + 701) / 1000)
    assert c.most_moved[0][0] == "i7"
    assert c.most_moved[0][1] == pytest.approx(2.0, abs=0.02)
    assert c.inspection["i3"]["old"][0] == old.most_similar("i3", 1)[0][0]
    assert c.inspection["fresh"]["old"] == []
    assert c.inspection["nobody"] == {"old": [], "new": []}
    kept = json.loads(json.dumps(c.as_dict(), allow_nan=False))
    again = TableComparison.of_dict(kept)
    assert again.as_dict() == {**c.as_dict(), "inspection": {}}
    with pytest.raises(ValueError, match="comparison"):
        TableComparison.of_dict({"k": 10})


def test_popularity_domination_is_seen() -> None:
    rng = np.random.default_rng(0)
    n = 500
    position = np.linspace(0, np.pi, n)  # items in order of popularity along an arc: neighbours are as popular
    arc = np.c_[np.cos(position), np.sin(position)] + rng.normal(size=(n, 2)) * 0.01
    ids, counts = [f"i{i}" for i in range(n)], np.arange(n)[::-1]
    ruled = EmbeddingTable(ids, arc, arrays={"counts": counts})
    free = EmbeddingTable(ids, rng.normal(size=(n, 2)), arrays={"counts": counts})
    c = compare_tables(free, ruled)
    assert c.new.popularity_correlation is not None
    assert c.old.popularity_correlation is not None
    assert c.new.popularity_correlation > 0.95
    assert abs(c.old.popularity_correlation) < 0.2
    found = {reason.check for reason in judge(ruled, free).reasons if reason.level == "fail"}
    assert "popularity_correlation" in found


def test_hubs_are_seen() -> None:
    rng = np.random.default_rng(0)
    even = EmbeddingTable(range(400), rng.normal(size=(400, 20)))
    # All items lie around one direction, and three exactly on it: those are nearer to any item than its like.
    few = EmbeddingTable(range(400), 2.0 + np.where(np.arange(400)[:, None] < 3, 0.0, even.vectors))
    c = compare_tables(even, few)
    assert c.new.largest_hub > 0.3
    assert c.new.largest_hub > 3 * c.old.largest_hub
    assert c.new.hubness > 3 * c.old.hubness
    assert "hubness" in {reason.check for reason in judge(few, even).reasons}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(n_users=1200, n_items=400, vector_size=24, epochs=8, seed=11)


@pytest.fixture(scope="module")
def previous(shop: Shop) -> EmbeddingTable:
    return shop.table(0)


@pytest.fixture(scope="module")
def refits(shop: Shop) -> list[TableComparison]:
    return shop.refits()


def test_twenty_fault_free_refits_pass(shop: Shop, previous: EmbeddingTable) -> None:
    for seed in range(1, 21):
        verdict = judge(shop.table(seed), previous)
        assert verdict.status == "pass", (seed, list(map(str, verdict.reasons)))


def small_shop(method: str) -> Shop:
    return Shop(n_users=300, n_items=60, vector_size=32 if method == "item2vec" else 16, seed=2, method=method)


@pytest.mark.parametrize("method", ["item2vec", "ppmi"])
def test_fault_free_refits_of_a_small_shop_pass(method: str) -> None:
    small = small_shop(method)
    previous = small.table(0)
    for seed in range(1, 21):
        verdict = judge(small.table(seed), previous)
        assert verdict.status == "pass", (seed, list(map(str, verdict.reasons)))


@pytest.mark.parametrize(
    "fault", ["holes: rows missing", "holes: zero vectors", "shuffled id map", "another method, not recorded"]
)
def test_faults_of_a_small_shop_fail(fault: str) -> None:
    small = small_shop("item2vec")
    verdict = judge(small.faults[fault](1), small.table(0))
    assert verdict.status == "fail", list(map(str, verdict.reasons))


def test_noise_shrinks_with_the_rows_and_with_correlation() -> None:
    one, four = SamplingNoise(100), SamplingNoise(400)
    assert one.percentile() == pytest.approx(2 * four.percentile())
    assert one.spectrum() == pytest.approx(2 * four.spectrum())
    assert one.skewness() == pytest.approx(2 * four.skewness())
    assert one.overlap(0.5, 10, 10) == pytest.approx(2 * one.overlap(0.5, 10, 40))
    assert SamplingNoise(103).correlation("norm_popularity", 0.0, 0.0) == pytest.approx(np.sqrt(2) / 10)
    assert SamplingNoise(103).correlation("norm_popularity", 1.0, -1.0) == 0.0


@pytest.mark.parametrize(
    "fault",
    ["window far too wide", "sessions leak across users", "holes: rows missing", "holes: zero vectors",
     "shuffled id map", "another method, not recorded", "context vectors for item vectors"],
)
def test_each_planted_fault_fails(
    shop: Shop, previous: EmbeddingTable, refits: list[TableComparison], fault: str
) -> None:
    candidate = shop.faults[fault](1)
    verdict = judge(candidate, previous)
    # Of sessions that leak the limits for all kinds are not sure; beside refits, as the pipeline judges, it is plain.
    allowed = ("warn", "fail") if fault == "sessions leak across users" else ("fail",)
    assert verdict.status in allowed, list(map(str, verdict.reasons))
    assert judge(candidate, previous, refits=refits).status == "fail"


def test_an_index_of_the_previous_version_fails(shop: Shop, previous: EmbeddingTable) -> None:
    candidate = shop.table(1)
    assert judge(candidate, previous, index=build_index(candidate)).status == "pass"
    verdict = judge(candidate, previous, index=build_index(previous))
    assert [r.check for r in verdict.reasons if r.level == "fail"] == ["index"]


@pytest.mark.parametrize("method", ["item2vec", "ppmi", "walks", "fused"])
def test_an_index_of_yesterday_fails_for_a_shop_of_a_hundred_items(method: str) -> None:
    shop = Shop(n_users=400, n_items=100, method=method, seed=12)
    previous, candidate = shop.table(0), shop.table(1, shop.bootstrap(1))  # of another log: other bytes by any method
    assert candidate.fingerprint != previous.fingerprint
    for index, expected in ((build_index(candidate), []), (build_index(previous), ["index"])):
        verdict = judge(candidate, previous, index=index, refits=shop.refits())
        assert [r.check for r in verdict.reasons if r.check == "index"] == expected
        assert verdict.status == ("fail" if expected else "pass")


def test_vectors_by_svd_are_independent_of_the_seed() -> None:
    shop = Shop(n_users=400, n_items=100, method="ppmi", seed=12)
    same, previous = shop.table(1), shop.table(0)
    assert same.fingerprint == previous.fingerprint  # so that the index of the one is the index of the other
    assert judge(same, previous, index=build_index(previous)).status == "pass"


@pytest.mark.parametrize("method", ["item2vec", "ppmi", "walks", "fused"])
def test_judged_against_refits_a_shop_of_a_hundred_items(method: str) -> None:
    shop = Shop(n_users=400, n_items=100, method=method, seed=12)
    previous, refits = shop.table(0), shop.refits()
    verdicts = [judge(shop.table(seed), previous, refits=refits) for seed in range(1, 21)]
    assert [v for v in verdicts if v.status == "fail"] == []
    # Three refits set the limits, so that one fault-free table in ten may lie beyond them.
    warned = [str(reason) for v in verdicts if v.status == "warn" for reason in v.reasons]
    assert sum(v.status == "warn" for v in verdicts) <= 2, warned
    for fault, make in shop.faults.items():
        assert judge(make(1), previous, refits=refits).status == "fail", fault


def test_reasons_name_the_refits(shop: Shop, previous: EmbeddingTable) -> None:
    refits = [compare_tables(previous, shop.table(1))]
    verdict = judge(shop.faults["sessions leak across users"](1), previous, refits=refits)
    found = {reason.check: str(reason) for reason in verdict.reasons}
    assert "usual among refits" in found["overlap_of_refit"]
    assert "among refits" in found["shift_of_refit"]
    assert "overlap" not in found  # the general limits are not used


def test_the_worst_refit_counts() -> None:
    old = random_table()
    rng = np.random.default_rng(5)

    def moved(size: float) -> EmbeddingTable:
        return EmbeddingTable(old.ids, old.vectors + size * rng.normal(size=old.vectors.shape))

    near, far = (compare_tables(old, moved(size)) for size in (0.05, 0.6))
    candidate = moved(0.6)
    assert judge(candidate, old, refits=[near]).status == "fail"
    for refits in ([far], [near, far, near]):
        assert judge(candidate, old, refits=refits).status == "pass"


def test_the_first_table_is_judged_alone() -> None:
    good = random_table()
    assert judge(good).status == "pass"
    assert judge(good, expected_ids=[f"i{i}" for i in range(300)]).status == "pass"
    verdict = judge(good, expected_ids=[f"i{i}" for i in range(400)])
    assert verdict.status == "fail"
    assert "100 of 400" in str(verdict.reasons[0])
    assert judge(EmbeddingTable([], np.zeros((0, 4)))).status == "fail"
    half = good.vectors.copy()
    half[::2] = 0.0
    assert judge(EmbeddingTable(good.ids, half)).status == "fail"
    assert judge(EmbeddingTable(good.ids, half), expected_ids=good.ids[::2]).reasons[-1].check == "missing_items"


def test_changed_parameters_are_reported() -> None:
    old = random_table(metadata={"method": "ppmi", "parameters": {"window": 5, "seed": 1}})
    new = EmbeddingTable(old.ids, old.vectors, metadata={"method": "ppmi", "parameters": {"window": 9, "seed": 2}})
    verdict = judge(new, old)
    assert verdict.status == "warn"
    assert "window from 5 to 9" in str(verdict.reasons[0])


def test_changed_settings_of_the_pipeline_are_said() -> None:
    old = random_table(metadata={"config": {"method": "ppmi", "window": 5, "seed": 1, "workers": 1, "gone": 3}})
    config = {"method": "ppmi", "window": 9, "seed": 2, "workers": 4, "came": 3}
    verdict = judge(EmbeddingTable(old.ids, old.vectors, metadata={"config": config}), old)
    assert verdict.status == "warn"
    assert [(reason.check, reason.message) for reason in verdict.reasons] == [
        ("changed_parameters", "changed: window from 5 to 9")
    ]
    config["window"] = 5
    assert judge(EmbeddingTable(old.ids, old.vectors, metadata={"config": config}), old).status == "pass"


def test_nothing_in_common_fails() -> None:
    old = random_table()
    new = EmbeddingTable([f"j{i}" for i in range(300)], old.vectors)
    verdict = judge(new, old)
    assert verdict.status == "fail"
    assert {"lost_rows", "overlap"} <= {reason.check for reason in verdict.reasons}


def test_thresholds() -> None:
    old = random_table()
    new = old.subset(old.ids[:285])  # 5% lost
    assert judge(new, old).status == "warn"
    assert judge(new, old, {"lost_rows": (0.1, 0.2)}).status == "pass"
    assert judge(new, old, replace(Thresholds(), lost_rows=(0.01, 0.02))).status == "fail"
    for bad in ({"lost": (0, 1)}, {"lost_rows": 0.1}, {"lost_rows": (0.1,)}, {"lost_rows": (-1.0, 0.1)}):
        with pytest.raises(ValueError, match="parameter of judge"):
            judge(new, old, bad)
    with pytest.raises(TypeError):
        judge(new, old, 0.1)  # type: ignore[arg-type]


def test_verdict_goes_into_the_manifest(tmp_path: Any) -> None:
    old = random_table()
    store = TableStore(tmp_path)
    store.publish(old, "items", report=judge(old))
    bad = EmbeddingTable(old.ids[::-1], old.vectors)
    verdict = judge(bad, store.open("items"))
    with pytest.raises(TableError, match="keeps"):
        store.publish(bad, "items", report=verdict)
    store.publish(bad, "items", report=verdict, forced_by="ada", force_reason="drill")
    kept = store.describe("items")
    assert kept["report"]["status"] == "fail"
    assert kept["report"]["comparison"]["n_common"] == 300
    assert kept["forced"] == {"by": "ada", "reason": "drill"}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_and_equal_tables(n: int) -> None:
    one = EmbeddingTable(range(n), np.ones((n, 2)), arrays={"counts": np.ones(n, int)})
    c = compare_tables(one, one)
    assert c.n_common == n
    json.dumps(c.as_dict(), allow_nan=False)
    judge(one, one)


def test_other_dimensions_can_be_compared() -> None:
    old, new = random_table(d=8), random_table(d=12)
    wide = EmbeddingTable(old.ids, np.hstack([old.vectors, np.zeros((300, 4), np.float32)]))
    assert compare_tables(old, wide).shift_p95 == pytest.approx(0.0, abs=1e-5)
    assert compare_tables(old, wide).overlap == pytest.approx(1.0, abs=1e-3)
    compare_tables(old, new)


def test_bad_pairs() -> None:
    ints = EmbeddingTable(range(3), np.eye(3))
    strings = EmbeddingTable(["0", "1", "2"], np.eye(3))
    for pair, error in (
        ((ints, strings), ValueError), ((ints, np.eye(3)), TypeError),
        ((EmbeddingTable([], np.zeros((0, 3))), ints), ValueError),
    ):
        with pytest.raises(error, match="parameter of compare_tables"):
            compare_tables(*pair)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="popularity"):
        compare_tables(ints, ints, popularity=[1, 2])
    with pytest.raises(TypeError, match="candidate"):
        judge(np.eye(3))  # type: ignore[arg-type]
