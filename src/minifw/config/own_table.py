"""A user's own function that returns a table, once; each seed divides it, as any table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from minifw.config.blame import blamed
from minifw.config.columned import Chosen, FilePath
from minifw.config.declared import Declared
from minifw.errors import DataError, MinifwError, UsageError, short_word
from minifw.nn.registry import DataDeclaration

DRAWING = ("rng", "samples")
"""The first arguments of a function that draws points anew for each seed."""


def returns_table(made: Callable[..., Any], dotted: str) -> bool:
    """Return whether a function returns a table, and does not draw: it has no `rng, samples`.

    Raises:
        UsageError: it has only one of them, or not as its first ones.

    """
    try:
        names = [*inspect.signature(made).parameters]
    except (TypeError, ValueError):  # of a function in C
        return False
    if tuple(names[:2]) == DRAWING:
        return False
    if {*names} & {*DRAWING}:
        raise UsageError(
            f"{short_word(dotted)}: must begin with the arguments rng, samples, to draw points for "
            f"each seed, or have neither, to return a table; got {', '.join(names)}"
        )
    return True


class OwnTable(Chosen, Declared):
    """What a user's own function returns: a table of columns, or inputs and targets."""

    family = DataDeclaration
    given: ClassVar[tuple[str, ...]] = ("folder",)
    shares = True

    folder: FilePath | None = Field(
        None,
        description="the folder that the function gets, if it has an argument `folder`; by default "
        "that of the config",
    )

    @property
    def word(self) -> str:
        return "python"

    @property
    def about(self) -> str:
        return self.called

    @property
    def where(self) -> str:
        """The function and its place, for messages."""
        made = self.declaration.make
        code = getattr(made, "__code__", None)
        place = f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else ""
        return f"{self.called}{place}"

    def load(self) -> object:
        """Return what the function returns.

        Raises:
            DataError: it raised an error.

        """
        made = self.declaration.make
        more: Mapping[str, Any] = {}
        if "folder" in inspect.signature(made).parameters:
            more = {"folder": Path(self.folder or ".")}
        try:
            with blamed(self.called):
                return made(**self.keys, **more)
        except MinifwError as fault:
            raise DataError(fault.lines[0]) from None
