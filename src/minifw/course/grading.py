"""Grades one learner's file, in the process that calls it; `apart` does so in one of its own.

Whatever is wrong with the file becomes one line with the learner's file and line.
"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from minifw.course.exercise import Exercise, functions, is_blank, reason, run
from minifw.errors import CheckError, MinifwError, UsageError, one_line

State = Literal["done", "wrong", "begun", "not begun"]


LINES = 2
"""So many faults of one check are told; the others follow from them, as a rule."""


class TimeUp(BaseException):
    """The time for a file is over; `apart` raises it in the file."""


@dataclass(frozen=True)
class Grade:
    """What came out for one exercise: its state, and a line for each fault."""

    name: str
    state: State
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Lines about what is no fault, such as what the file printed."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "faults": [*self.faults], "notes": [*self.notes]}


@dataclass
class _File:
    """A learner's file while it is graded."""

    path: Path
    faults: list[str] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def say(self, line: int | None, what: str) -> None:
        if what not in self.said:
            self.said.add(what)
            at = f":{line}" if line else ""
            self.faults.append(one_line(f"{self.path.name}{at}: {what}"))


def grade(exercise: Exercise, path: Path) -> Grade:
    """Grade the file at `path`. It is run in this process, without a limit of time.

    Raises:
        UsageError: the exercise itself, a teacher's, cannot be run.

    """
    name, file = exercise.name, _File(path)
    if not path.exists():
        there_is_none = f"{path.name}: there is no such file; `minifw course init` writes it"
        return Grade(name, "not begun", (), (there_is_none,))
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        file.say(getattr(fault, "lineno", None), reason(fault))
        return Grade(name, "wrong", tuple(file.faults))
    there = functions(tree)
    missing = [blank for blank in exercise.blanks if blank not in there]
    blank = [wanted for wanted in exercise.blanks if wanted in there and is_blank(there[wanted])]
    if missing:
        for wanted in missing:
            file.say(None, f"{wanted} is missing; `minifw course solve` shows what the file needs")
        return Grade(name, "wrong", tuple(file.faults))
    if len(blank) == len(exercise.blanks):
        given = functions(ast.parse(exercise.blank))
        for wanted in blank:
            if wanted in given and ast.dump(there[wanted]) != ast.dump(given[wanted]):
                file.say(there[wanted].lineno, f"{wanted} still has its '...': take it out")
        return Grade(name, "begun" if file.faults else "not begun", tuple(file.faults))
    if blank:
        for wanted in blank:
            file.say(there[wanted].lineno, f"{wanted} is still to be written")
        return Grade(name, "begun", tuple(file.faults))
    with _random_numbers_as_before():
        _try(exercise, source, {wanted: there[wanted].lineno for wanted in exercise.blanks}, file)
    return Grade(name, "wrong" if file.faults else "done", tuple(file.faults))


def _try(exercise: Exercise, source: str, lines: dict[str, int], file: _File) -> None:
    """Run the file and all checks; note what is wrong."""
    try:
        checks = exercise.checks()
    except (Exception, SystemExit) as fault:
        line = _last_line(fault, exercise.path)
        where = f"{exercise.path}{f':{line}' if line else ''}"
        raise UsageError(f"{where}: {type(fault).__name__}: {reason(fault)}") from None
    try:
        mine = run(file.path, source)
    except (Exception, SystemExit, TimeUp) as fault:
        file.say(*_told(fault, file.path, None))
        return
    for name, check in checks:
        line = _line_for(name, lines)
        try:
            check(mine)
        except (CheckError, AssertionError) as fault:
            at = _last_line(fault, file.path)  # the learner's own assert is at its line
            words = fault.lines if isinstance(fault, MinifwError) else (reason(fault),)
            for said in words[:LINES]:
                file.say(at or line, said)
        except (Exception, SystemExit) as fault:
            file.say(*_told(fault, file.path, line))
        except TimeUp as fault:
            file.say(*_told(fault, file.path, line))
            return


def _line_for(check: str, lines: dict[str, int]) -> int:
    """Return the line of the function that a check is about: check_grad is about MSE.grad."""
    about = check.removeprefix("check_")
    for name, line in lines.items():
        if about.startswith(name.split(".")[-1]) or about.startswith(name.split(".")[0].lower()):
            return line
    return next(iter(lines.values()))


def _last_line(fault: BaseException, path: Path) -> int | None:
    """Return the innermost line of the learner's file that an exception came through."""
    if isinstance(fault, SyntaxError) and fault.filename == str(path):
        return fault.lineno
    line = None
    for frame, number in traceback.walk_tb(fault.__traceback__):
        if frame.f_code.co_filename == str(path):
            line = number
    return line


def _told(fault: BaseException, path: Path, line: int | None) -> tuple[int | None, str]:
    """Return the line of the learner's file, and what an exception says, in the learner's words."""
    at = _last_line(fault, path)
    if isinstance(fault, MinifwError):
        return at or line, fault.lines[0]
    if isinstance(fault, TimeUp):
        return at or line, str(fault)
    if isinstance(fault, MemoryError):
        traceback.clear_frames(fault.__traceback__)  # what took the memory is needed no more
        return at or line, "MemoryError: it asked for more memory than an exercise may have"
    if isinstance(fault, RecursionError):
        return at or line, "RecursionError: a function calls itself again and again"
    if isinstance(fault, SyntaxError):
        return at or line, reason(fault)
    what = f"{type(fault).__name__}: {reason(fault)}" if str(fault) else type(fault).__name__
    return at or line, what + _hint(str(fault))


_HINTS = (
    (
        r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)",
        "the shapes do not fit, {0} against {1}: a sum over the wrong axis, or one too many or too "
        "few?",
    ),
    (r"shapes cannot be multiplied \((.+?) and (.+?)\)", "is one of them to be transposed, .mT?"),
    (r"Expected size for first two dimensions", "is one of them to be transposed, .mT?"),
    (r"output with shape (.+) doesn't match the broadcast shape (.+)",
     "the shapes do not fit: is a sum over samples missing, or over the wrong axis?"),
    (r"for \+=: 'NoneType'", "is it PyTorch's .grad? Here it is weight_grad, or bias_grad"),
    (r"unsupported operand type.*NoneType", "does a function return nothing?"),
    (r"object has no attribute 'dtype'|NoneType", "does a function return nothing?"),
)  # fmt: skip
"""What an error of torch most often means here, by its words."""


def _hint(message: str) -> str:
    for pattern, words in _HINTS:
        if found := re.search(pattern, message):
            return f"; {words.format(*found.groups())}"
    return ""


@contextmanager
def _random_numbers_as_before() -> Iterator[None]:
    """Checks draw the same numbers each time, and leave the global generators as they were."""
    import numpy as np
    import torch

    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            np.random.set_state(state)
