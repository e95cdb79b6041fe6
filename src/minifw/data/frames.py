"""A file of columns, read by what it is."""

from __future__ import annotations

from pathlib import Path

from minifw.data.delimited import Progress, read_delimited
from minifw.data.dialect import Dialect
from minifw.data.frame import Frame


def read_frame(
    path: Path,
    dialect: Dialect | None = None,
    expected: str | None = None,
    progress: Progress | None = None,
) -> Frame:
    """Return the columns of a file."""
    return read_delimited(path, dialect, expected, progress)
