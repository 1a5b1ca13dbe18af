"""Guardrails: every planted fault must be found, and honest refits (other seeds, other days) must pass.

Peer-free: the two sides are printed, as shares of tables that pass. A table counts as found only when it fails. Shops
of 100 to 5,000 items, by four methods, of seeds that no limit was chosen on. The judge is given as many refits as the
pipeline makes for a log of that size.
"""

from __future__ import annotations

from benchmarks.suite.planted_faults import Shop
from benchmarks.versus import Bench
from traitcore import build_index, judge
from traitcore.pipeline.refits import MOST_EVENTS, REFITS
from traitcore.quality.guardrails import Verdict

USERS = {100: 400, 300: 1200, 1000: 3000, 5000: 9000}
METHODS = ("item2vec", "ppmi", "walks", "fused")
SEEDS = (21, 22)


def run(bench: Bench) -> None:
    for n_items in list(USERS)[: 1 if bench.quick else None]:
        for method in METHODS:
            for seed in SEEDS[: 1 if bench.quick else None]:
                job = f"guardrails, {method}, {n_items} items, shop {seed}"
                if bench.wants(job):
                    judge_shop(bench, job, Shop(n_users=USERS[n_items], n_items=n_items, method=method, seed=seed))


def judge_shop(bench: Bench, job: str, shop: Shop) -> None:
    previous, n = shop.table(0), 3 if bench.quick else 20
    refits = shop.refits(REFITS if shop.corpus[0].n_tokens <= MOST_EVENTS else 1)
    honest = [judge(shop.table(seed), previous, refits=refits) for seed in range(1, n + 1)]
    days = [judge(shop.table(seed, shop.bootstrap(seed)), previous, refits=refits) for seed in range(1, 6)]
    for name, verdicts, bar in ((f"{n} honest refits", honest, "passed 1"), ("5 refits on 90% of the log", days, "")):
        passed, failed = (sum(v.status == status for v in verdicts) / len(verdicts) for status in ("pass", "fail"))
        bench.row(job, name, passed=passed, failed=failed, bar=bar)
    for verdict in honest + days:
        for reason in verdict.reasons:
            print(f"    honest, yet {reason}")
    for fault, make in shop.faults.items():
        verdicts = [judge(make(seed), previous, refits=refits) for seed in (1, 2)]
        found = sum(verdict.status == "fail" for verdict in verdicts) / len(verdicts)
        bench.row(job, fault, failed=found, reasons=len(verdicts[0].reasons), bar="failed 1")
    # Of another day: SVD vectors of the same log are the same bytes for any seed, and their old index is no fault.
    candidate = shop.table(1, shop.bootstrap(1))
    fresh = judge(candidate, previous, index=build_index(candidate), refits=refits)
    stale = judge(candidate, previous, index=build_index(previous), refits=refits)
    bench.row(job, "index of this version", failed=float(index_fails(fresh)), bar="failed 0")
    bench.row(job, "index of the previous version", failed=float(index_fails(stale)), bar="failed 1")


def index_fails(verdict: Verdict) -> bool:
    """Whether the index is among the reasons to fail."""
    return any(reason.check == "index" and reason.level == "fail" for reason in verdict.reasons)
