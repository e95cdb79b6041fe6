"""The fault of a user's own class, in one line: where, and what it should have been."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from minifw import nn
from minifw.config.code import told
from minifw.errors import MinifwError, ModuleError, ShapeError
from minifw.nn.module import described

OF_A_STACK = ("init", "stack", "generators", "dtype", "device")
"""Arguments that minifw gives to every layer that has them, or takes any (`**of_stack`)."""


@contextmanager
def blamed(word: str, stacked: bool = False) -> Iterator[None]:
    """Turn what a user's class raises into one line: where, and what.

    With `stacked` inputs are those of a stack, which a module in the class may not have heard of.
    """
    try:
        yield
    except (Exception, SystemExit) as fault:  # no file of a user's own ends the program
        where = told(fault)
        if where is None and isinstance(fault, MinifwError):
            raise
        what = where or f"{type(fault).__name__}: {fault}"
        hint = _what_it_takes(fault)
        if stacked and isinstance(fault, ShapeError):
            hint = (
                "; it is tried as two networks (2, …) of float64: hand the `stack` and `dtype` "
                "that the constructor is given on to each module that has them"
            )
        raise ModuleError(f"{word}: {what}{hint}") from None


def _what_it_takes(fault: BaseException) -> str:
    """Return what a module of minifw's takes that was handed another argument of layers."""
    handed = re.search(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(fault)
    )
    if not isinstance(fault, TypeError) or handed is None or handed[2] not in OF_A_STACK:
        return ""
    made = getattr(nn, handed[1], None)
    if not isinstance(made, type) or not issubclass(made, nn.Module):
        return ""
    arguments = inspect.signature(made).parameters
    takes = [key for key in OF_A_STACK if key in arguments]
    if not takes:
        return f"; {handed[1]} takes none of {', '.join(OF_A_STACK)}"
    given = ", ".join(f"{key}={key}" for key in takes[:2])
    return (
        f"; of {', '.join(OF_A_STACK)} {handed[1]} takes only {', '.join(takes)}: name these in "
        f"the constructor and hand them on, {handed[1]}(…, {given})"
    )


def check_shape(word: str, method: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise a ModuleError unless what a method gives is of this shape."""
    if tuple(getattr(value, "shape", ())) != shape:
        what = described(value) if isinstance(value, Tensor) else type(value).__name__
        raise ModuleError(f"{word}.{method}: must give a value of shape {shape}, got {what}")
