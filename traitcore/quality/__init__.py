"""6. Is it good enough: evaluation, comparison, guardrails."""
