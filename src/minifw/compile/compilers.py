"""The C compiler: finds it, and says what to install if there is none."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass

from minifw.errors import UsageError


@dataclass(frozen=True)
class Compiler:
    """A C compiler."""

    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name as a person would type it."""
        return " ".join(self.command)


def find_compiler() -> Compiler | None:
    """Return the compiler in `CC` or `CXX`, else the first of gcc, clang, cc; None without one."""
    for variable in ("CC", "CXX"):
        named = os.environ.get(variable)
        if named:
            first, *arguments = shlex.split(named)
            found = shutil.which(first)
            return None if found is None else Compiler((found, *arguments))
    for name in ("gcc", "clang", "cc"):
        if (found := shutil.which(name)) is not None:
            return Compiler((found,))
    return None


def require_compiler(begun: str | None = None) -> Compiler:
    """Return the compiler; raise a UsageError that says what to install if there is none."""
    found = find_compiler()
    if found is None:
        raise UsageError("train.compile: true needs a C compiler; install gcc")
    return found
