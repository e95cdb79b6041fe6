"""A user's data file: its bytes, read once, and the words for what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from minifw.errors import ArtefactError, DataError, did_you_mean, short_word
from minifw.system import machine
from minifw.system.files import checksum, open_input


def read_bytes(path: Path, expected: str | None) -> tuple[bytes, str]:
    """Return the bytes of a file and their checksum."""
    try:
        with open_input(path) as file:
            check_memory(f"{path}: reading this file", os.fstat(file.fileno()).st_size)
            content = file.read()
    except (OSError, ValueError) as fault:  # a NUL byte in the name raises ValueError
        raise unreadable(path, fault) from None
    found = checksum(content)
    if expected not in (None, found):
        raise ArtefactError(f"{path}: this data file has changed since the run began")
    return content, found


def check_memory(what: str, needed: int) -> None:
    """Raise a DataError, which begins with `what`, if so many bytes are not free."""
    if needed > (free := machine.available()):
        raise DataError(
            f"{what} needs about {machine.gigabytes(needed)} of memory, "
            f"{machine.gigabytes(free)} are free; fewer samples in it would help"
        )


def unreadable(path: Path, fault: Exception) -> DataError:
    """Return the error for what a reader of the file has raised."""
    reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    lines = reason.splitlines() or [type(fault).__name__]
    return DataError(f"{path}: cannot be read as data: {lines[0][:200]}")


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return the near or known names, shortened, since a file's names may be long."""
    return did_you_mean(name, [known if len(known) <= 100 else f"{known[:99]}…" for known in names])


def no_column(absent: Sequence[str], names: Sequence[str]) -> str:
    """Return that a file has no such columns, and which are near or known.

    Of one the name may be misspelt; several are of another file.
    """
    near = suggestion(absent[0], names)
    if len(absent) > 1:
        some = ", ".join(map(short_word, names[:20]))
        near = f"; known here: {some}{', …' if len(names) > 20 else ''}"
    return f"there is no column {in_words(absent)}{near}"


def in_words(names: Sequence[str]) -> str:
    """Return names of columns for a message, the first of many."""
    more = len(names) - 20
    shown = ", ".join(f"'{short_word(name)}'" for name in names[:20])
    return shown + (f" and {more} more" if more > 0 else "")


def twice(names: Sequence[str]) -> str | None:
    """Return a name that occurs more than once, None if there is none."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
