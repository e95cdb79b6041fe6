"""The C compiler: finds it, and says what to install if there is none.

`CC`, or else `CXX`, names the one to use; otherwise it is gcc, clang, cc, or the compiler in the
package `ziglang`, which needs nothing else. All of them take the same flags.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from minifw.compile.processor import is_arm, is_x86, vector_bytes
from minifw.errors import UsageError

VARIABLES = ("CC", "CXX")
NAMES = ("gcc", "clang", "cc")
INSTALL = (
    'install gcc (`apt install gcc`, `dnf install gcc`) or `pip install "minifw[compiler]"`, '
    "or name one in CC"
)

FLAGS = (
    "-O2",  # -O3 takes a tenth longer for code whose loops are written out already
    "-w", "-g0", "-fPIC",
    # a * b + c rounds once, as in torch's own kernels. What -ffast-math would do more changes the
    # meaning of NaN and infinity, or the processor's mode for the whole process; it may be in CC.
    "-fno-fast-math", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
    "-fno-sanitize=undefined",  # zig's default
)  # fmt: skip
SANITIZERS = ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
"""These come after FLAGS. Optimized code takes six times as long to compile with them."""


@dataclass(frozen=True)
class Compiler:
    """A program that compiles C, with the arguments that it is always given."""

    command: tuple[str, ...]
    """The first word is a full path."""

    @property
    def name(self) -> str:
        """The command as a person would type it, as `gcc` or `ccache gcc`."""
        return " ".join((Path(self.command[0]).name, *self.command[1:]))

    @cached_property
    def version(self) -> str:
        """The first line of `--version`; empty if there is none. This starts the compiler."""
        try:
            done = subprocess.run(
                [*self.command, "--version"],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return ""
        return (done.stdout.decode(errors="replace").splitlines() or [""])[0]

    def identity(self) -> str:
        """Return what changes if the compiler is replaced by another: its files, not its version.

        For `ccache gcc` both programs count.
        """
        programs = (shutil.which(word) for word in self.command if not word.startswith("-"))
        parts = [*self.command]
        for program in (*filter(None, programs), *self._zig()):
            file = Path(program).resolve()
            found = file.stat()
            parts.append(f"{file} {found.st_size} {found.st_mtime_ns}")
        return "\0".join(parts)

    def flags(self, sanitize: bool = False) -> tuple[str, ...]:
        """Return the flags for a library of this processor.

        With `sanitize`, code that reads or writes beyond its memory, or whose result C leaves
        undefined, ends the process with a message.
        """
        flags = [*FLAGS, *_of_processor(), *_of_library()]
        if sanitize:
            return (*flags, *SANITIZERS)
        if sys.platform == "linux":
            # What else the code calls, as memcpy, this process has. Linking needs no file of the C
            # library, then, and zig need not build one, which takes it 10 s.
            flags.append("-nostdlib")
        return tuple(flags)

    def _zig(self) -> tuple[str, ...]:
        """Return the file that `python -m ziglang` stands for."""
        return tuple(filter(None, (_ziglang(),))) if "ziglang" in self.command else ()


def _of_processor() -> tuple[str, ...]:
    if is_arm():  # where not all compilers know -march=native
        return ("-mcpu=native",)
    if not is_x86():
        return ()
    # clang halves the vectors otherwise.
    wide = vector_bytes() == 64
    return ("-march=native", *(["-mprefer-vector-width=512"] if wide else []))


def _of_library() -> tuple[str, ...]:
    # Only Linux is tested.
    return ("-dynamiclib",) if sys.platform == "darwin" else ("-shared",)


def find_compiler() -> Compiler | None:
    """Return the compiler that is named or installed; None if there is none, see `why_none`.

    If `CC` or `CXX` names a program that does not exist, no other is taken in its place.
    """
    for variable in VARIABLES:
        if named := os.environ.get(variable, "").strip():
            return _named(named)
    for name in NAMES:
        if (found := shutil.which(name)) is not None:
            return Compiler((str(Path(found).absolute()),))
    if _ziglang() is not None:
        return Compiler((sys.executable, "-m", "ziglang", "cc"))
    return None


def _named(text: str) -> Compiler | None:
    """Return the compiler of a command line, or of a path that may hold spaces."""
    try:
        words = [text] if shutil.which(text) else shlex.split(text)
    except ValueError:  # a quote without its end
        return None
    if not words or (found := shutil.which(words[0])) is None:
        return None
    return Compiler((str(Path(found).absolute()), *words[1:]))


def _ziglang() -> str | None:
    """Return a file of the package `ziglang`, None if it is not installed."""
    found = find_spec("ziglang")
    return None if found is None else found.origin


def why_none() -> str:
    """Return why there is no compiler, and what to do, in one line."""
    for variable in VARIABLES:
        if named := os.environ.get(variable, "").strip():
            return f"{variable} names '{named}', which is no program; {INSTALL}"
    return f"there is none; {INSTALL}"


def require_compiler(begun: str | None = None) -> Compiler:
    """Return the compiler.

    `begun` is a run to be resumed that began with compiled steps, if there is one.

    Raises:
        UsageError: there is none; it says what to install.

    """
    found = find_compiler()
    if found is not None:
        return found
    if begun is not None:
        what = f"{begun}: this run began with compiled steps; resuming it needs a C compiler"
        raise UsageError(f"{what}, and {why_none()}")
    raise UsageError(f"train.compile: true needs a C compiler, and {why_none()}, or use auto")
