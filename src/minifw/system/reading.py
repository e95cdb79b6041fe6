"""How far the reading of a large file is, told on a terminal: an extra that may be lost."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from minifw.errors import short_word

Progress = Callable[[float], None]
"""Is called with the share that is done, 0 to 1."""

LARGE = 20_000_000
"""Bytes of a file whose reading takes long enough to be shown."""

_shows = False


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Within this block the reading of large files is shown on stderr, if that is a terminal."""
    global _shows
    before, _shows = _shows, sys.stderr is not None and sys.stderr.isatty()
    try:
        yield
    finally:
        _shows = before


def progress_of(path: Path, size: int) -> Progress | None:
    """Return what shows how far the reading of a file of so many bytes is, None if nothing does."""
    if not _shows or size < LARGE:
        return None
    last = -1

    def show(share: float) -> None:
        nonlocal last
        percent = int(100 * share)
        if percent == last:
            return
        last = percent
        text = f"minifw: reading {short_word(path.name)}: {percent} %"
        end = "\r" + " " * len(text) + "\r" if percent >= 100 else ""
        with contextlib.suppress(OSError, ValueError):
            print(f"\r{text}{end}", end="", file=sys.stderr, flush=True)

    return show
