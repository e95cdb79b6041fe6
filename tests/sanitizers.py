"""Runs a Python script with the sanitizers' libraries, which code built with `sanitize` needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from minifw.compile.compilers import find_compiler

LIBRARIES = ("libasan.so", "libubsan.so")


def available() -> bool:
    """Whether the compiler is a gcc with its sanitizers."""
    return len(_files()) == len(LIBRARIES)


def run_sanitized(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the text of a script; on a fault in the C code it ends with the sanitizer's message."""
    changed = {
        "LD_PRELOAD": " ".join(_files()),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python frees not all of its memory at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that the sanitizer sees each piece of Python's memory
    }
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | changed, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _files() -> list[str]:
    compiler = find_compiler()
    if compiler is None:
        return []
    found = []
    for name in LIBRARIES:
        asked = [*compiler.command, f"-print-file-name={name}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        path = Path(done.stdout.strip())
        if path.is_absolute():  # without such a file the answer is its name
            found.append(str(path))
    return found
