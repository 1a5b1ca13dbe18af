"""Kernels where numba's cache can't be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import resource, sys
from traitcore._kernels import kernel

@kernel()
def twice(x):
    return 2 * x

assert "numba" not in sys.modules
made = twice.resolve()
assert type(made).__name__ == "CPUDispatcher" and made._cache.cache_path
limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), limit))
assert twice(21) == 42
assert twice(0.5) == 1.0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("size", [0, 300, 1 << 24], ids=["nothing fits", "the index alone fits", "all fits"])
def test_a_cache_that_cannot_be_written_does_not_stop_a_kernel(tmp_path: Path, size: int) -> None:
    script = tmp_path / "twice.py"
    script.write_text(CODE, encoding="ascii")
    cache = tmp_path / "cache"
    environment = dict(os.environ, NUMBA_CACHE_DIR=str(cache), PYTHONDONTWRITEBYTECODE="1")
    for _ in range(2):  # the second run meets what the first could keep
        done = subprocess.run(
            [sys.executable, str(script), str(size)], env=environment, capture_output=True, text=True, check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    kept = list(cache.rglob("*.nbc"))
    assert bool(kept) is (size > 300)
