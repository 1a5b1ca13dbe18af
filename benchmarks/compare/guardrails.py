"""Guardrails: every planted fault must be found, and honest refits (other seeds, other days) must pass.

Peer-free: the two sides are printed, as shares of tables that pass. A table counts as found only when it fails.
"""

from __future__ import annotations

from benchmarks.suite.planted_faults import Shop
from benchmarks.versus import Bench
from traitcore import build_index, judge

SHOPS = {
    "item2vec, 800 items": {},
    "ppmi, 800 items": {"method": "ppmi"},
    "item2vec, 300 items": {"n_users": 1500, "n_items": 300, "seed": 3},
    "item2vec, 3000 items": {"n_users": 6000, "n_items": 3000, "seed": 5},
}


def run(bench: Bench) -> None:
    for name, settings in list(SHOPS.items())[: 1 if bench.quick else None]:
        shop = Shop(**settings)  # type: ignore[arg-type]
        previous = shop.table(0)
        refits = 3 if bench.quick else 20
        honest = [judge(shop.table(seed), previous) for seed in range(1, refits + 1)]
        passed = sum(verdict.status == "pass" for verdict in honest)
        bench.row(f"guardrails, {name}", f"{refits} honest refits", passed=passed / refits, bar="passed 1")
        days = [judge(shop.table(seed, shop.bootstrap(seed)), previous) for seed in range(1, 6)]
        bench.row(f"guardrails, {name}", "5 refits on 90% of the log",
                  passed=sum(verdict.status == "pass" for verdict in days) / 5)  # fmt: skip
        for verdict in honest + days:
            for reason in verdict.reasons:
                print(f"    honest, yet {reason}")
        for fault, make in shop.faults.items():
            verdicts = [judge(make(seed), previous) for seed in (1, 2)]
            found = sum(verdict.status == "fail" for verdict in verdicts) / len(verdicts)
            bench.row(f"guardrails, {name}", fault, failed=found, reasons=len(verdicts[0].reasons), bar="failed 1")
        stale = judge(shop.table(1), previous, index=build_index(previous))
        bench.row(f"guardrails, {name}", "index of the previous version", failed=float(stale.status == "fail"),
                  bar="failed 1")  # fmt: skip
