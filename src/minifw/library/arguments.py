"""Checks of the arguments that the public functions share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import torch

from minifw.errors import UsageError
from minifw.system import machine


def path_of(name: str, value: object) -> Path:
    """Return a path of a user's program."""
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and "\0" not in path:
            return Path(path)
    raise UsageError(f"{name}: must be a path, got {value!r}")


def whole(name: str, value: object) -> int:
    """Return an argument that must be a whole number of at least 1."""
    try:
        number = value.__index__()  # type: ignore[attr-defined]
    except (AttributeError, TypeError):  # an array has the method, and is no number
        number = 0
    if number < 1 or isinstance(value, bool):
        raise UsageError(f"{name}: must be a whole number of at least 1, got {value!r}")
    return int(number)


@contextmanager
def on_threads(threads: int | None) -> Iterator[int]:
    """Set torch's number of threads within this block, as a command does; it is yielded."""
    before = torch.get_num_threads()
    if threads is not None:
        machine.check_threads("threads", whole("threads", threads))
    torch.set_num_threads(threads or min(before, machine.processors()))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def one_of(what: str, asked: Any, known: list[Any]) -> Any:
    """Return the requested seed or mode, or the only one if none was requested.

    Raises:
        UsageError: it does not exist, or none was requested and there are several.

    """
    if asked is None and len(known) == 1:
        return known[0]
    if isinstance(asked, str | Integral) and not isinstance(asked, bool) and asked in known:
        return asked
    many = len(known) > 8
    shown = f"{known[0]} to {known[-1]}" if many else ", ".join(map(str, known))
    if asked is None:
        raise UsageError(f"{what}: this run has several, choose one of {shown}")
    raise UsageError(f"{what}: must be one of {shown}, as in this run, got {asked!r}")
