"""Settings for every test."""

import signal

from hypothesis import HealthCheck, settings

# A shell's background jobs ignore Ctrl-C, and so would the tests that send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# JIT compilation makes the first example slow; deadlines would time the compiler.
settings.register_profile(
    "house", deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")
