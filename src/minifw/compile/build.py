"""From C to machine code in this process: compiles a text, and opens the library."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path

from minifw.compile.compilers import find_compiler
from minifw.compile.values import CannotCompileError
from minifw.system.environment import cpu_info

FLAGS = (
    "-O2", "-march=native", "-shared", "-fPIC",
    "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
)  # fmt: skip


def vector_bytes() -> int:
    """Return how many bytes a vector of this processor has: 64, 32 or 16."""
    flags = cpu_info().get("flags", "").split()
    return 64 if "avx512f" in flags else 32 if "avx2" in flags else 16


def library(text: str) -> ctypes.CDLL:
    """Return the library that a text of C compiles to."""
    compiler = find_compiler()
    if compiler is None:
        raise CannotCompileError("there is no C compiler")
    with tempfile.TemporaryDirectory(prefix="minifw-") as folder:
        source, made = Path(folder) / "step.c", Path(folder) / "step.so"
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [*compiler.command, *FLAGS, "-o", str(made), "-x", "c", str(source), "-lm"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line]
            raise CannotCompileError(f"{compiler.name}: {(lines or [''])[0]}")
        return ctypes.CDLL(str(made))
