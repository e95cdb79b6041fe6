"""stdin, stdout and stderr as they may be: closed, full, or a pipe or terminal that went away."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class Stream(io.TextIOBase):
    """A text file to which printing never fails: what cannot be written is dropped.

    The first fault is kept. Work goes on whether anybody reads what it says or not, and who
    cares for the output asks for `fault` at the end.
    """

    fault: OSError | ValueError | None = None

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            self._file.write(text)
        except (OSError, ValueError) as fault:  # a file that is closed is a ValueError
            self.fault = self.fault or fault
        return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except (OSError, ValueError) as fault:
            self.fault = self.fault or fault

    def isatty(self) -> bool:
        try:
            return self._file.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        return self._file.fileno()

    def writable(self) -> bool:
        return True

    # Typeshed has these as attributes; what writes to a terminal asks for them.
    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._file, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return getattr(self._file, "errors", None)


@contextmanager
def that_never_fail() -> Iterator[Stream]:
    """Within this block all three streams are open, and no print fails; gives stdout.

    A descriptor that was closed (`>&-`) becomes that of /dev/null: the next file that is opened
    would get its number, and all that is printed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
    usual: Any = sys.stdin, sys.stdout, sys.stderr
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may hold what the terminal's code lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    with _nowhere("r") as nothing, _nowhere("w") as nobody:
        out, err = Stream(usual[1] or nobody), Stream(usual[2] or nobody)
        sys.stdin, sys.stdout, sys.stderr = usual[0] or nothing, out, err
        try:
            yield out
        finally:
            out.flush()
            err.flush()
            sys.stdin, sys.stdout, sys.stderr = usual


def _nowhere(mode: str) -> Any:
    return Path(os.devnull).open(mode, encoding="utf-8")
