"""Samples of a file, as commands read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from minifw.data import archived, files, frames
from minifw.data.asked import Asked, asked_of
from minifw.data.encoding import Coded, Encoding
from minifw.data.roles import Choice
from minifw.data.table import Table


def table_at(
    path: Path,
    features: Sequence[str | int] | None = None,
    target: str | int | Sequence[str | int] | None = None,
    *,
    expected: str | None = None,
    **more: Any,
) -> Table:
    """The samples of a file of columns; `more` are those of a `Choice`."""
    frame = frames.read_frame(path, None, expected)
    return files.table_of(frame, Choice(features, target, **more))


def arrays_at(path: Path, features: str = "x", target: str = "y", **more: Any) -> Table:
    """The samples of an archive of arrays."""
    frame = archived.read_npz(path, features, target, regression=more.get("regression", False))
    names = [name for name in frame.names if name.startswith(f"{features}[")]
    targets = [name for name in frame.names if name not in names]
    return replace(files.table_of(frame, Choice(names, targets, **more)), target=target)


def asked_at(path: Path, features: Sequence[str], target: str | None = None) -> Asked:
    """The samples of a file for a network that knows these features, all of them numbers."""
    encoding = Encoding(tuple(Coded(name, "number") for name in features))
    if archived.is_archive(path):
        return asked_of(archived.ask_npz(path, features, target), encoding, target)
    return asked_of(frames.read_frame(path), encoding, target)
