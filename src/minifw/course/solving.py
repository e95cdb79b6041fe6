"""Our solution of an exercise, and the same pass in the framework itself."""

from __future__ import annotations

import inspect
import textwrap
from itertools import count
from pathlib import Path
from typing import Any

from minifw.course.exercise import Exercise
from minifw.errors import StorageError
from minifw.system.files import open_input, publish

IN_MINIFW = "IN_MINIFW"
"""The name under which an exercise may list functions and classes of minifw that do the same."""


def in_minifw(exercise: Exercise) -> list[tuple[str, str]]:
    """Return name and source of what the framework itself has for this exercise.

    It is read from the framework's files, so that it is always what minifw runs.
    """
    listed: Any = getattr(exercise.run(), IN_MINIFW, ())
    listed = listed if isinstance(listed, tuple) else (listed,)
    return [
        (f"{one.__module__}.{one.__qualname__}", textwrap.dedent(inspect.getsource(one)).rstrip())
        for one in listed
    ]


def write(exercise: Exercise, path: Path) -> Path | None:
    """Write the solution to the learner's file; return where its old content is kept, if any.

    Raises:
        StorageError: a file cannot be read or written; the learner's is as it was then.

    """
    kept = None
    if path.exists():
        try:
            with open_input(path) as opened:  # a pipe would be waited for
                old = opened.read()
        except OSError as fault:
            raise StorageError(f"{path}: cannot be read: {fault.strerror}") from None
        if old == exercise.solution.encode():
            return None
        names = (path.with_name(f"{path.stem}.{number}.bak") for number in count(1))
        kept = next(name for name in names if not name.exists())
        publish(kept, old, replace=False)
    publish(path, exercise.solution.encode())
    return kept
