"""A file of columns, read by what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minifw.data.frame import Frame


def read_frame(path: Path, dialect: Any = None, expected: str | None = None) -> Frame:
    """Return the columns of a file."""
    from minifw.data.delimited import read_delimited

    return read_delimited(path, dialect, expected)
