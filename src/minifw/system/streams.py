"""stdin, stdout and stderr that may be closed, full, or a pipe or terminal that has gone."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class Stream(io.TextIOBase):
    """A text file to which printing never fails: text that cannot be written is dropped.

    So work continues even if nobody reads the output. The first error is kept in `fault`.
    """

    fault: OSError | ValueError | None = None

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            self._file.write(text)
        except (OSError, ValueError) as fault:  # a closed file raises ValueError
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

    # Attributes in typeshed; libraries that write to a terminal need them.
    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._file, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return getattr(self._file, "errors", None)


@contextmanager
def that_never_fail() -> Iterator[Stream]:
    """Within this block all three streams are open, and printing never fails; gives stdout.

    A closed descriptor (`>&-`) is opened on /dev/null; otherwise the next file that is opened would
    get its number and everything that is printed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
    usual: Any = sys.stdin, sys.stdout, sys.stderr
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # the terminal's encoding may lack characters of a name
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
