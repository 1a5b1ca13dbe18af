"""Ctrl-C sent to a process that is at work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).parents[2]
# Also where the shell that began all this ignores the signal.
_HANDLER = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


def interrupted(before: str, warm_up: str, work: str) -> str:
    """What a process prints as its error, interrupted half a second into `work`.

    `before` imports and makes what is needed; `warm_up` compiles, on a small case. subprocess.TimeoutExpired where the
    work goes on: the limit is far more than it takes to end, far less than the work.
    """
    script = "\n".join([_HANDLER, before, warm_up, "print('begun', flush=True)", work])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT
    ) as process:
        try:
            begun = process.stdout.readline() if process.stdout else ""
            if begun.strip() != "begun":
                raise AssertionError(f"the work never began: {process.communicate()[1]}")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            return process.communicate(timeout=20)[1]
        finally:
            process.kill()
