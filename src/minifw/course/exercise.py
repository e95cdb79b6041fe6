"""One exercise: a Python file that holds the text, the solution, what is blanked out, and checks.

    \"\"\"A title

    The text, about two screens.
    \"\"\"
    import torch

    def double(x):
        # --- your code
        return 2 * x
        # --- end

    # --- checks: nothing from here on is in the learner's file

    def check_double(mine):
        \"\"\"It doubles.\"\"\"
        assert mine.double(3) == 6, "double(3) must be 6"

The learner gets what stands above the checks, with `...  # your code` for each marked part. Each
function `check_…` takes the learner's file as a module and raises a CheckError, as all of
`minifw.nn.checks` does, or an AssertionError with a message. The file itself can be run, so the
checks may compare with its solution. Ours and a teacher's are files of the same form.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from minifw.errors import UsageError
from minifw.system.files import open_input

BEGIN, END, CHECKS = "# --- your code", "# --- end", "# --- checks"
BLANK = "...  # your code"

EXERCISES = Path(__file__).parent / "exercises"
"""The folder of minifw's own."""


@dataclass(frozen=True)
class Exercise:
    """An exercise, not yet run: `path` is its file and `source` what stands in it."""

    name: str
    path: Path
    source: str

    @classmethod
    def read(cls, path: Path) -> Exercise:
        """Read an exercise.

        Raises:
            UsageError: the file cannot be read, or has not the form of an exercise.

        """
        try:
            with open_input(path) as opened:
                source = opened.read().decode()
        except (OSError, UnicodeDecodeError) as fault:
            raise UsageError(f"{path}: cannot be read: {reason(fault)}") from None
        made = cls(path.stem, path, source)
        if not path.stem.isidentifier():
            raise UsageError(f"{path}: the name of an exercise must be a word of Python")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError) as fault:
            line = f":{fault.lineno}" if isinstance(fault, SyntaxError) else ""
            raise UsageError(f"{path}{line}: {reason(fault)}") from None
        must = "an exercise must"
        if not ast.get_docstring(tree):
            raise UsageError(f"{path}: {must} begin with a docstring: its title and its text")
        if not made._divided[1]:
            raise UsageError(f"{path}: {must} have a line '{CHECKS}', and checks below it")
        if not any(name.startswith("check_") for name in functions(tree)):
            raise UsageError(f"{path}: {must} have a function check_…(mine) below '{CHECKS}'")
        if not made.blanks:
            raise UsageError(
                f"{path}: {must} have a part of a function between '{BEGIN}' and '{END}'"
            )
        return made

    @cached_property
    def _divided(self) -> tuple[list[str], list[str]]:
        """The lines above the checks, and those from there on."""
        lines = self.source.splitlines()
        at = next((n for n, line in enumerate(lines) if line.startswith(CHECKS)), len(lines))
        return lines[:at], lines[at:]

    @cached_property
    def text(self) -> str:
        """Title and text."""
        return ast.get_docstring(ast.parse(self.source)) or ""

    @property
    def title(self) -> str:
        """The first line of the text."""
        return self.text.split("\n", 1)[0].rstrip(".")

    @cached_property
    def solution(self) -> str:
        """The learner's file with our solution."""
        kept = [line for line in self._divided[0] if line.strip() not in (BEGIN, END)]
        return "\n".join(kept).rstrip() + "\n"

    @cached_property
    def blank(self) -> str:
        """The learner's file as it is at first."""
        return "\n".join(line for line, _ in self._blanked()).rstrip() + "\n"

    @cached_property
    def blanks(self) -> tuple[str, ...]:
        """The functions with a part to be written, such as `Linear.backward`."""
        return tuple(name for name in functions(ast.parse(self.blank)) if name in self._marked())

    def _blanked(self) -> Iterator[tuple[str, bool]]:
        """Yield the lines of the blank file, and whether each is one to be replaced."""
        inside = False
        for number, line in enumerate(self._divided[0], 1):
            if line.strip() == BEGIN:
                if inside:
                    raise UsageError(f"{self.path}:{number}: '{BEGIN}' again before '{END}'")
                inside = True
                yield line[: len(line) - len(line.lstrip())] + BLANK, True
            elif line.strip() == END:
                if not inside:
                    raise UsageError(f"{self.path}:{number}: '{END}' without '{BEGIN}'")
                inside = False
            elif not inside:
                yield line, False
        if inside:
            raise UsageError(f"{self.path}: '{BEGIN}' without '{END}'")

    def _marked(self) -> set[str]:
        places = [number for number, (_, blank) in enumerate(self._blanked(), 1) if blank]
        return {
            name
            for name, node in functions(ast.parse(self.blank)).items()
            if any(node.lineno <= place <= (node.end_lineno or 0) for place in places)
        }

    def run(self) -> ModuleType:
        """Return the exercise's own file as a module: its solution and its checks."""
        return run(self.path, self.source)

    def checks(self) -> list[tuple[str, Callable[[Any], None]]]:
        """Return each check and its name, in the order of the file."""
        own = self.run()
        found = [
            (name, value)
            for name, value in vars(own).items()
            if name.startswith("check_") and inspect.isfunction(value)
            if value.__module__ == own.__name__
        ]
        return sorted(found, key=lambda pair: pair[1].__code__.co_firstlineno)


def run(path: Path, source: str) -> ModuleType:
    """Run a file and return it as a module; what it raises is handed on."""
    name = f"_exercise_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look a class's module up here
    exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    return module


def functions(tree: ast.AST) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file and the methods of its classes, by name: `Linear.backward`."""
    found = {}
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}": inner for name, inner in functions(node).items()}
    return found


def is_blank(function: ast.FunctionDef) -> bool:
    """Whether a part of the function is still to be written."""
    return any(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and node.value.value is ...
        for node in function.body
    )


def reason(fault: BaseException) -> str:
    """Return what an exception says, in one line."""
    if isinstance(fault, SyntaxError):
        return f"SyntaxError: {fault.msg}"
    if isinstance(fault, OSError):
        return fault.strerror or str(fault)
    return str(fault).strip().split("\n")[0] or type(fault).__name__
