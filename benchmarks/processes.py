"""A function of a benchmark in a process of its own: its memory, caches and processor time are then its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def in_fresh_process(function: str, *arguments: Any, **environment: str) -> Any:
    """What "module:function" returns there, as JSON takes it; RuntimeError with the end of what it said on failing.

    arguments : whatever repr() writes as Python; environment : variables beside those of this process.
    """
    module, _, name = function.partition(":")
    code = f"import json; from {module} import {name}; print(json.dumps({name}(*{arguments!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:].strip() or f"killed by signal {-done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])
