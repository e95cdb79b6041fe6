"""From C to machine code in this process: a text is compiled once, kept for later runs, and opened.

What is opened is always a copy in memory of bytes that were checked. A file could change after the
check, and if a file in use is cut short, the process ends with SIGBUS; so a copy is worth its
tenth of a millisecond.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from minifw.compile import cache
from minifw.compile.beside import ending_with_thread, kill
from minifw.compile.compilers import Compiler, find_compiler, why_none
from minifw.compile.processor import features, vector_bytes
from minifw.compile.values import CannotCompileError

__all__ = ["Libraries", "Library", "library", "vector_bytes"]


FILE = "step.so"


class Library(ctypes.CDLL):
    """An open library. Its functions and numbers are used as those of any `ctypes.CDLL`."""

    reused = False
    """Whether it was kept by an earlier run, so that nothing was compiled."""
    not_kept = ""
    """Why it is not kept for later runs; empty if it is."""


class Libraries:
    """The open libraries of a process. All methods may be called by several threads."""

    def __init__(self) -> None:
        self._open: dict[str, Library] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, text: str, *, sanitize: bool = False) -> Library:
        """Return the library of a text, see `library`."""
        compiler = find_compiler()
        if compiler is None:
            raise CannotCompileError(f"compiling needs a C compiler, and {why_none()}")
        try:
            flags = compiler.flags(sanitize)
            name = _name(text, flags, compiler.identity(), features())
            with self._guard:
                lock = self._locks.setdefault(name, threading.Lock())
            with lock:
                if name not in self._open:
                    self._open[name] = _built(name, text, compiler, sanitize)
                return self._open[name]
        except OSError as fault:  # no memory for a process, a full disk, …
            raise CannotCompileError(f"{compiler.name}: {fault.strerror or fault}") from None


_of_this_process = Libraries()


def library(text: str, *, sanitize: bool = False) -> Library:
    """Return the library that a text of C compiles to.

    It is kept for later runs if possible. Threads that ask for the same text share one library;
    different texts are compiled at the same time. `sanitize`: see `Compiler.flags`; the process
    must have been started with the sanitizers' own libraries.

    The text includes no header, and calls nothing but what a compiler itself inserts, as memcpy.

    Raises:
        CannotCompileError: there is no compiler, it failed, or the library cannot be opened.

    """
    return _of_this_process.get(text, sanitize=sanitize)


def _name(*parts: object) -> str:
    """Return a name that depends on all that the machine code depends on."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _built(name: str, text: str, compiler: Compiler, sanitize: bool) -> Library:
    kept = cache.find(name)
    if kept is not None:
        with suppress(OSError):
            found = _open(kept, sanitize)
            found.reused = True
            return found
    made = _compile(text, compiler, compiler.flags(sanitize))
    try:
        fresh = _open(made, sanitize)
    except OSError as fault:
        why = str(fault).rpartition(f"{FILE}: ")[2]
        raise CannotCompileError(f"{compiler.name}: its library cannot be opened: {why}") from None
    fresh.not_kept = cache.keep(name, made)
    return fresh


def _open(content: bytes, stays: bool) -> Library:
    """Open a library from a copy in memory, or in a private file where there is no such memory.

    With `stays` the memory can be read under the library's path, as the sanitizers' reports need.
    """
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            return _open_memory(content, stays)
    with tempfile.TemporaryDirectory(prefix="minifw-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / FILE
        file.write_bytes(content)
        return Library(str(file))


_numbers = itertools.count(1)


def _open_memory(content: bytes, stays: bool) -> Library:
    handle = os.memfd_create("minifw")
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
        # The loader takes two libraries of one path for the same, and handles are used again.
        return Library(f"/proc/self/fd/{'/' * next(_numbers)}{handle}")
    finally:
        if not stays:
            os.close(handle)


def _compile(text: str, compiler: Compiler, flags: tuple[str, ...]) -> bytes:
    """Return the library of a text.

    All files of the compiler are in one folder, which is deleted in any case.
    """
    with tempfile.TemporaryDirectory(prefix="minifw-", ignore_cleanup_errors=True) as folder:
        source, made, said = (Path(folder) / name for name in ("step.c", FILE, "said"))
        source.write_text(text, encoding="utf-8")
        status = _run([*compiler.command, *flags, "-x", "c", str(source), "-o", str(made)], said)
        if status == 0 and made.exists():
            return made.read_bytes()
        lines = said.read_text("utf-8", "replace").replace(f"{folder}/", "").splitlines()
    raise CannotCompileError(_why(compiler, status, lines))


def _run(command: list[str], said: Path) -> int:
    """Run a compiler in its folder; return its status. An interrupt ends all of its processes.

    What it says goes to a file, since a process that it leaves behind could hold a pipe open.
    """
    # Messages in English, temporary files in the folder; zig's own cache, without any bound, too.
    folder = str(said.parent)
    changed = {
        "LC_ALL": "C", "TMPDIR": folder,
        "ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder,
    }  # fmt: skip
    with (
        said.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=os.environ | changed, process_group=0,
        ) as process,
    ):  # fmt: skip
        try:
            with ending_with_thread(process):
                return process.wait()
        except BaseException:
            kill(process)
            process.wait()
            raise


def _why(compiler: Compiler, status: int, lines: list[str]) -> str:
    """Return why a compiler failed, in one line: its own first line that speaks of an error."""
    if status < 0:
        return f"{compiler.name}: ended by signal {-status}"
    errors = [line for line in lines if "error" in line.lower()]
    line = next(
        iter([*errors, *filter(str.strip, lines)]), f"ended with code {status} and made no library"
    )
    program = f"{Path(compiler.command[0]).name}: "
    return f"{compiler.name}: {line.strip().removeprefix(program)}"
