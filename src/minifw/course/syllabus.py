"""`course.yaml`: which exercises a course has, in which order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minifw.config import yaml12
from minifw.config.source import Source, kind_of
from minifw.course.exercise import EXERCISES, Exercise
from minifw.errors import UsageError, did_you_mean

FILE = "course.yaml"

OURS = (
    "linear", "activation", "chain", "mse", "cross_entropy", "shared", "residual", "momentum",
    "adam", "he", "convolution",
)  # fmt: skip
"""minifw's own exercises, in their order."""

TIME_LIMIT = 20.0
"""Seconds of computing that one exercise may take, unless `time_limit` says otherwise."""


@dataclass(frozen=True)
class Course:
    """The folder of a course, its exercises in order, and the seconds of computing for each."""

    folder: Path
    exercises: tuple[Exercise, ...]
    time_limit: float = TIME_LIMIT

    def file(self, exercise: Exercise) -> Path:
        """Return the learner's file of an exercise."""
        return self.folder / f"{exercise.name}.py"

    def find(self, word: str) -> Exercise:
        """Return the exercise of this number, from 1, or name.

        Raises:
            UsageError: there is none.

        """
        names = [exercise.name for exercise in self.exercises]
        if word.removesuffix(".py") in names:
            return self.exercises[names.index(word.removesuffix(".py"))]
        if word.isdecimal() and 1 <= int(word[:9]) <= len(names):
            return self.exercises[int(word[:9]) - 1]
        raise UsageError(
            f"{self.folder / FILE}: has no exercise '{word}'; it has 1 to {len(names)}"
            f"{did_you_mean(word, names)}"
        )


def ours() -> tuple[Exercise, ...]:
    """Return minifw's own exercises in their order."""
    return tuple(Exercise.read(EXERCISES / f"{name}.py") for name in OURS)


def read(folder: Path) -> Course:
    """Read the course of a folder.

    Raises:
        UsageError: the folder has no course.yaml, or something in it is wrong, one line for each.
        ConfigError: it is not YAML.

    """
    path = folder / FILE
    if not path.is_file():
        raise UsageError(f"{path}: there is no course here; `minifw course init DIR` begins one")
    source = Source(str(path))
    raw = yaml12.parse(yaml12.read(path), source)
    if source.faults:
        raise source.error()
    if not isinstance(raw, dict):
        source.add((), "must be a mapping with the key 'exercises'")
        raise source.error()
    for key in raw:
        if key not in ("exercises", "time_limit"):
            what = f"unknown key{did_you_mean(key, ('exercises', 'time_limit'))}"
            source.add((key,), what, of_key=True)
    limit = raw.get("time_limit", TIME_LIMIT)
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not is_number or not 0 < limit <= 3600:
        source.add(("time_limit",), f"must be seconds above 0 and at most 3600, got {limit!r}")
    entries = raw.get("exercises")
    if not isinstance(entries, list) or not entries:
        what = "a list without any" if entries == [] else kind_of(entries)
        what = f"must be a list of exercises, got {what}"
        source.add(("exercises",), what if "exercises" in raw else "is missing: a list of names")
        raise source.error()
    found: list[Exercise] = []
    for place, entry in enumerate(entries):
        try:
            found.append(_entry(entry, folder, [one.name for one in found]))
        except UsageError as fault:
            for line in fault.lines:
                source.add(("exercises", place), line)
    if source.faults:
        raise source.error()
    return Course(folder, tuple(found), float(limit))


def _entry(entry: Any, folder: Path, before: list[str]) -> Exercise:
    """Return the exercise of an entry: a name of ours, or the path of a Python file."""
    if not isinstance(entry, str) or not entry:
        raise UsageError(
            f"must be the name of an exercise or the path of a Python file, got {kind_of(entry)}"
        )
    if entry in OURS:
        path = EXERCISES / f"{entry}.py"
    elif entry.endswith(".py"):
        path = folder / entry
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
        if path.resolve().parent == folder.resolve():
            raise UsageError(
                f"{entry} is where the learner's file will be; move it to a folder of its own"
            )
    else:
        raise UsageError(
            f"there is no exercise '{entry}', and a path ends in .py{did_you_mean(entry, OURS)}"
        )
    exercise = Exercise.read(path)
    if exercise.name in before:
        raise UsageError(f"'{exercise.name}' stands here twice")
    return exercise
