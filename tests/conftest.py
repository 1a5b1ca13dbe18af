"""Settings for every test."""

from hypothesis import HealthCheck, settings

# JIT compilation makes the first example slow; deadlines would time the compiler.
settings.register_profile(
    "house", deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")
