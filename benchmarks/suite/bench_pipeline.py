"""The whole way, and the simulator that feeds it."""

from __future__ import annotations

from typing import Any

from scipy.optimize import linear_sum_assignment

from traitcore.events.simulate import simulate_events
from traitcore.pipeline import fit_pipeline


class Pipeline:
    """A shop of 2,000 customers, from its log to traits: seconds, memory, and the planted traits recovered."""

    timeout = 300.0
    params = ("counts", "spectral")
    param_names = ("trait_method",)

    def setup(self, trait_method: str) -> None:
        self.sim = simulate_events(n_users=2000, n_items=600, n_traits=8)
        self.options: dict[str, Any] = {"n_traits": 8, "trait_method": trait_method, "max_events_per_minute": 30}
        small = simulate_events(n_users=100, n_items=50, n_traits=3)
        fit_pipeline(small.log, **self.options | {"n_traits": 3})  # JIT

    def time_fit(self, trait_method: str) -> None:
        fit_pipeline(self.sim.log, **self.options)

    def peakmem_fit(self, trait_method: str) -> None:
        fit_pipeline(self.sim.log, **self.options)

    def track_planted_correlation(self, trait_method: str) -> float:
        import numpy as np

        result = fit_pipeline(self.sim.log, **self.options)
        truth = self.sim.truth
        assert result.customers is not None
        rows = np.searchsorted(truth.customer_ids, result.customers.ids.astype(str))
        table = np.corrcoef(truth.customer_shares[rows].T, result.profiles.T)[:8, 8:]
        return float(table[linear_sum_assignment(-table)].mean())


class Simulator:
    """2.7M events."""

    def time_simulate(self) -> None:
        simulate_events(
            n_users=400_000, n_items=60_000, n_traits=16, sessions_per_user=1.1, bot_share=0.0001, integer_ids=True
        )
