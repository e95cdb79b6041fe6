"""What a result may depend on beside its config: versions, processor, the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Return versions, processor and command line: what another machine may do differently."""
    names = ("minifw", "torch", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "git": _git(),
        "command_line": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _processor() -> str:
    """Return the processor's name and, since clouds shorten it, its family and model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
        return f"{known['model name']} (family {known['cpu family']}, model {known['model']})"
    except (OSError, KeyError):  # not Linux, or not an x86
        return platform.processor()


def _git() -> dict[str, Any] | None:
    """Return commit and state of the repository that the command ran in, None without one."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=5, check=True
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
