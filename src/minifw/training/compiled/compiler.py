"""The C++ compiler: finds it, and says what to install if there is none."""

from __future__ import annotations

import os
import shutil
import sys

from minifw.errors import UsageError


def compiler() -> str | None:
    """Return the path of the C++ compiler that Inductor uses, None if there is none."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))


def require_compiler(begun: str | None = None) -> None:
    """Raise a UsageError that says what to install, unless there is a C++ compiler.

    `begun` is a run to be resumed that began with compiled steps, if there is one.
    """
    if compiler() is not None:
        return
    install = "and there is none; install g++ (`apt install g++`, `dnf install gcc-c++`)"
    if begun is not None:
        what = f"{begun}: this run began with compiled steps; resuming it needs a C++ compiler"
        raise UsageError(f"{what}, {install} or name one in CXX")
    raise UsageError(
        f"train.compile: true needs a C++ compiler, {install}, name one in CXX, or use auto"
    )
