"""The place of each value of a config, and the faults that were found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from minifw.errors import ConfigError, harmless, short_word

MAX_FAULTS = 50
"""Lines of an error; the last says how many more there are."""

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A place: `file:line:column`, or `--set key=value`, which sorts after all lines."""

    text: str
    line: int = 0
    column: int = 0
    given: bool = False
    """Whether it replaces a value of the config: an override, or a value of a cell of a sweep.

    One with a line stands in the section `sweep` of the config, others on the command line."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Fault:
    """One line of an error. Within a stage, faults are shown in the order of the file."""

    place: Place
    path: KeyPath | None
    what: str
    late: bool = False
    """Shown after the others: a key may be missing because another is misspelt."""

    def __str__(self) -> str:
        return f"{self.place}: {'' if self.path is None else f'{dotted(self.path)}: '}{self.what}"

    @property
    def order(self) -> tuple[bool, bool, int, int]:
        """The key by which faults are sorted."""
        return self.late, self.place.given, self.place.line, self.place.column


@dataclass
class Source:
    """The place of each value of a config, by its path, and the faults so far.

    `bad` holds the paths of values that could not be read; None replaces them.
    """

    name: str
    places: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    bad: set[KeyPath] = field(default_factory=set)
    uncounted: int = 0
    """How many faults were not looked at, because there are too many."""
    given: bool = False
    code: dict[str, bytes] = field(default_factory=dict)
    """The user's Python files that the config has run, by their names."""
    lines: bool = True
    """Whether the config is text with lines; a Python mapping has none."""
    option: str = "--set"
    """The name of overrides in messages."""

    def __post_init__(self) -> None:
        self.name = harmless(self.name)

    def copy(self) -> Source:
        """Return a copy whose places and faults are its own."""
        return replace(
            self,
            places=dict(self.places),
            keys=dict(self.keys),
            faults=[*self.faults],
            bad={*self.bad},
        )

    def at(self, line: int, column: int) -> Place:
        """Return a place in this text; lines and columns count from 0."""
        if self.given or not self.lines:
            return Place(self.name, given=self.given)
        return Place(f"{self.name}:{line + 1}:{column + 1}", line + 1, column + 1)

    def mark(self, mark: Any) -> Place:
        """Return the place of one of PyYAML's marks."""
        return self.at(mark.line, mark.column)

    def place(self, path: KeyPath, of_key: bool = False) -> Place:
        """Return the place of the value (or key) at `path`, or of the nearest thing around it."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.name))

    def line(self, path: KeyPath) -> str:
        """Return ` (line 9)` for the value at `path`, to follow its name in a message."""
        place = self.place(path)
        return f" ({place})" if place.given else f" (line {place.line})" if place.line else ""

    def add(self, path: KeyPath, what: str, *, of_key: bool = False, late: bool = False) -> None:
        """Note a fault of the value (or key) at `path`."""
        self.faults.append(Fault(self.place(path, of_key), path, what, late))

    def error(self) -> ConfigError:
        """Return all faults as an error, in the order of the file."""
        lines = list(dict.fromkeys(map(str, sorted(self.faults, key=lambda fault: fault.order))))
        more = max(0, len(lines) - MAX_FAULTS) + self.uncounted
        if more:
            lines[MAX_FAULTS:] = [f"{self.name}: and {more} more faults"]
        return ConfigError(lines)


def dotted(path: KeyPath) -> str:
    """Return a path as a user writes it, `train.eta`."""
    return ".".join(short_word(str(part)) for part in path) or "config"


def kind_of(value: object) -> str:
    """Return the kind of a value, in words for a message."""
    for kind, name in ((bool, "true/false"), (dict, "a mapping"), (list, "a list"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "a number"
