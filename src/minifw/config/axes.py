"""What a sweep varies: from the command line, a config's section `sweep`, or Python.

An axis is a key with its values, or several keys whose values go together (zipped); or a key whose
values are drawn. `study/cells.py` makes the cells.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minifw.config import yaml12
from minifw.config.source import KeyPath, Place, Source, kind_of
from minifw.errors import ConfigError, did_you_mean, harmless, short

if TYPE_CHECKING:
    from minifw.config.model import SweepSection

MAX_CELLS = 10_000
"""The most cells of a sweep."""

_TWO = {"items": {"type": "number"}, "minItems": 2, "maxItems": 2}
DRAWS: dict[str, tuple[str, dict[str, Any]]] = {
    "log-uniform": ("[low, high]: the logarithm is uniform", _TWO),
    "uniform": ("[low, high]", _TWO),
    "integers": ("[low, high], both included", _TWO),
    "choice": ("a list, each of its items as likely", {"minItems": 1}),
}
"""The kinds of draws: what they take, and its JSON Schema."""

_SHARED = ("seed", "seeds")
"""Keys that all cells have in common, since their seeds are paired."""


@dataclass(frozen=True)
class Value:
    """A value of a key, and its place for messages."""

    value: Any
    place: Place


Point = tuple[tuple[str, Value], ...]
"""Values of some keys, by their dotted names."""


@dataclass(frozen=True)
class Grid:
    """An axis whose points are all taken; `keys` go together."""

    keys: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Drawn:
    """An axis whose values are drawn; `what` are two bounds, or the items of a choice."""

    key: str
    kind: str
    what: tuple[Any, ...]
    place: Place

    @property
    def keys(self) -> tuple[str, ...]:
        """The key, as one of an axis."""
        return (self.key,)

    def points(self, samples: int, seed: int) -> list[Point]:
        """Return so many draws; the first of them are the same if there are more.

        Each key has its own generator, so another key beside it changes nothing.
        """
        rng = np.random.default_rng([seed, *self.key.encode()])
        values = [self._draw(rng) for _ in range(samples)]
        return [((self.key, Value(value, self._place(value))),) for value in values]

    def _draw(self, rng: np.random.Generator) -> Any:
        if self.kind == "choice":
            return self.what[int(rng.integers(len(self.what)))]
        low, high = self.what
        if self.kind == "integers":
            return int(rng.integers(low, high, endpoint=True))
        # Six digits: short enough to be read, and the value is exactly the one that is shown.
        if self.kind == "log-uniform":
            value = float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.6g}")
        else:
            digits = 6 - math.ceil(math.log10(high - low)) if high > low else 15
            value = round(float(rng.uniform(low, high)), digits)
        return min(max(value, float(low)), float(high))

    def _place(self, value: Any) -> Place:
        if self.place.line:
            return self.place
        option = self.place.text.partition(" ")[0]
        return Place(f"{option} {self.key}={in_one_line(value)}", given=True)


Axis = Grid | Drawn


@dataclass(frozen=True)
class Axes:
    """All that a sweep varies; `samples` is the number of draws, None if there are none."""

    axes: tuple[Axis, ...]
    samples: int | None = None
    seed: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in order."""
        return tuple(key for axis in self.axes for key in axis.keys)

    @property
    def drawn(self) -> bool:
        """Whether something is drawn."""
        return any(isinstance(axis, Drawn) for axis in self.axes)

    @property
    def count(self) -> int:
        """How many points there are."""
        grids = [len(axis.points) for axis in self.axes if isinstance(axis, Grid)]
        return math.prod(grids) * ((self.samples or 1) if self.drawn else 1)

    def points(self) -> Iterator[Point]:
        """Yield all points, the last key varies first; each draw meets each point of the grid."""
        drawn = [axis.points(self.samples or 0, self.seed)
                 for axis in self.axes if isinstance(axis, Drawn)]  # fmt: skip
        draws = [tuple(itertools.chain(*parts)) for parts in zip(*drawn, strict=True)]
        grids = [axis.points for axis in self.axes if isinstance(axis, Grid)]
        sides = [draws, *grids] if drawn else grids
        order = {key: number for number, key in enumerate(self.keys)}
        for parts in itertools.product(*sides):
            yield tuple(sorted(itertools.chain(*parts), key=lambda item: order[item[0]]))


# --------------------------------------------------------------------------- a config's section


def of_section(section: SweepSection, source: Source) -> Axes:
    """Return the axes of a config's section, and note its faults in `source`."""
    axes = []
    for key, given in section.over.items():
        if axis := _of_values(key, given, ("sweep", "over", key), source):
            axes.append(axis)
    made = Axes(tuple(axes), section.samples, section.seed)
    for path, what in _faults(made):
        source.add(("sweep", *path), what)
    return made


def of_values(over: Mapping[str, Any], samples: int | None, seed: int, option: str) -> Axes:
    """Return the axes of a Python mapping with what stands in a section.

    Raises:
        ConfigError: with all faults, one line each.

    """
    source = Source(option, lines=False)
    axes = []
    for key, given in over.items():
        if axis := _of_values(key, given, (key,), source):
            axes.append(axis)
    made = Axes(tuple(axes), samples, seed)
    for path, what in _faults(made):
        source.add(path[-1:], what)
    if source.faults:
        raise source.error()
    return made


def _of_values(name: str, given: Any, path: KeyPath, source: Source) -> Axis | None:
    """Return an axis from a key and its list or draw; None after a fault."""
    keys = tuple(name.split(":"))
    if isinstance(given, dict) and len(given) == 1:
        ((kind, what),) = given.items()
        if kind not in DRAWS:
            source.add((*path, kind), f"unknown draw{did_you_mean(kind, DRAWS)}", of_key=True)
            return None
        what = tuple(what) if isinstance(what, list) else (what,)
        if wrong := _wrong_draw(keys, kind, what):
            source.add((*path, kind), wrong)
            return None
        return Drawn(name, kind, what, _given(source, (*path, kind), name, what))
    if not isinstance(given, list) or not given:
        kinds = ", ".join(DRAWS)
        source.add(
            path,
            f"must be a list of values or one of {kinds}, as {{log-uniform: [1e-3, 1]}}, "
            f"got {_came(given)}",
        )
        return None
    points = []
    for number, item in enumerate(given):
        parts = item if len(keys) > 1 else [item]
        here = (*path, number)
        if not isinstance(parts, list) or len(parts) != len(keys):
            source.add(here, f"must be a list of {len(keys)} values, one a key, got {_came(item)}")
            continue
        if any(not math.isfinite(x) for x in _floats(parts)):
            source.add(here, "must hold finite numbers only")
            continue
        inner = [(*here, k) if len(keys) > 1 else here for k in range(len(keys))]
        points.append(
            tuple(
                (key, Value(value, _given(source, place, key, value)))
                for key, value, place in zip(keys, parts, inner, strict=True)
            )
        )
    return Grid(keys, tuple(points)) if points else None


def _given(source: Source, path: KeyPath, key: str, value: Any) -> Place:
    """Return the place of a value of a cell."""
    place = source.place(path)
    if place.line:
        return Place(place.text, place.line, place.column, given=True)
    if source.lines:  # it came by `--set sweep.over=…`
        return Place(place.text, given=True)
    return Place(f"{source.name} {key}={_cut(in_one_line(value))}", given=True)


def section(axes: Axes) -> SweepSection:
    """Return a config's section that has these axes."""
    from minifw.config.model import SweepSection

    over: dict[str, Any] = {}
    for axis in axes.axes:
        if isinstance(axis, Drawn):
            over[axis.key] = {axis.kind: list(axis.what)}
        else:
            values = [[value.value for _, value in point] for point in axis.points]
            over[":".join(axis.keys)] = values if len(axis.keys) > 1 else [v for (v,) in values]
    return SweepSection(over=over, samples=axes.samples, seed=axes.seed)


# ------------------------------------------------------------------------------ the command line

_DRAW = re.compile(r"([a-z-]+)\((.*)\)", re.DOTALL)


def of_words(words: Sequence[str], samples: int | None, seed: int) -> Axes:
    """Return the axes of the command line: `KEY=V1,V2`, `KEY=log-uniform(1e-3,1)`, `A:B=1:2,3:4`.

    Raises:
        ConfigError: with all faults, one line each.

    """
    faults: list[str] = []
    axes = []
    for word in words:
        try:
            axes.append(_of_word(word))
        except ConfigError as fault:
            faults += fault.faults
    made = Axes(tuple(axes), samples, seed)
    for path, what in [] if faults else _faults(made):
        option = {"samples": "--samples", "over": "--over"}.get(path[-1], f"--over {path[-1]}")
        faults.append(f"{option}: {what}")
    if faults:
        raise ConfigError(faults)
    return made


def _of_word(word: str) -> Axis:
    shown = f"--over {_cut(harmless(word))}"
    name, equals, text = word.partition("=")
    if not equals or not name or not text.strip():
        raise ConfigError([f"{shown}: expects KEY=VALUES, as in train.eta=0.01,0.1"])
    keys = tuple(name.split(":"))
    if found := _DRAW.fullmatch(text.strip()):
        kind = found[1]
        if kind not in DRAWS:
            raise ConfigError([f"{shown}: unknown draw '{kind}'{did_you_mean(kind, DRAWS)}"])
        what = tuple(_read(part, shown) for part in _split(found[2], ","))
        if wrong := _wrong_draw(keys, kind, what):
            raise ConfigError([f"{shown}: {wrong}"])
        return Drawn(name, kind, what, Place(shown, given=True))
    points = []
    for piece in _split(text, ","):
        parts = _split(piece, ":") if len(keys) > 1 else [piece]
        if len(parts) != len(keys):
            wrong = f"'{harmless(piece)}' must be {len(keys)} values with : between them"
            raise ConfigError([f"{shown}: {wrong}, as in {name}={':'.join('12345'[: len(keys)])}"])
        points.append(
            tuple(
                (key, Value(_read(part, shown), _option(key, part)))
                for key, part in zip(keys, parts, strict=True)
            )
        )
    return Grid(keys, tuple(points))


def _option(key: str, text: str) -> Place:
    return Place(f"--over {_cut(harmless(f'{key}={text.strip()}'))}", given=True)


def _read(text: str, shown: str) -> Any:
    """Return a value that stands as YAML on the command line."""
    source = Source(shown, given=True)
    value = yaml12.parse(text, source)
    if source.faults:
        raise ConfigError([f"{shown}: {fault.what}" for fault in source.faults])
    return value


def _split(text: str, sign: str) -> list[str]:
    """Split a text at a sign that is neither in brackets nor in quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth += (letter in "[{(") - (letter in "]})")
        if letter == sign and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


# ------------------------------------------------------------------------------------- both


def _wrong_draw(keys: tuple[str, ...], kind: str, what: tuple[Any, ...]) -> str:
    """Return what is wrong with a draw, if anything."""
    if len(keys) > 1:
        return "keys that go together take a list of values, and are not drawn"
    if kind == "choice":
        return "" if what else "needs items to choose from"
    if any(not math.isfinite(x) for x in _floats(what)):
        return "must hold finite numbers only"
    numbers = [x for x in what if type(x) is int or (type(x) is float and kind != "integers")]
    if len(what) != 2 or len(numbers) != 2 or numbers[0] > numbers[1]:
        kinds = "two whole numbers" if kind == "integers" else "two numbers"
        return f"{kind} needs {kinds}, low and high, got {_cut(', '.join(map(short, what)))}"
    if kind == "log-uniform" and numbers[0] <= 0:
        return f"log-uniform needs numbers above 0, got {short(numbers[0])}"
    return (
        "" if max(map(abs, numbers)) < 2**62 or kind != "integers" else "the bounds are too large"
    )


def _faults(axes: Axes) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with all axes together, each with its path in the section."""
    seen: set[str] = set()
    for axis in axes.axes:
        name = ":".join(axis.keys)
        for key in axis.keys:
            if key in seen:
                yield ("over", name), f"{key} is varied twice"
            if key in _SHARED:
                yield ("over", name), f"{key}: all cells have the same seeds; --seeds says how many"
            if key.partition(".")[0] == "sweep":
                yield ("over", name), "a cell has no section sweep"
            seen.add(key)
    if axes.drawn and axes.samples is None:
        yield ("samples",), "this key is missing; it says how many cells to draw"
    if axes.count > MAX_CELLS:
        yield ("over",), f"makes {axes.count:,} cells; at most {MAX_CELLS:,} are allowed"


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _floats(inner)


def _came(value: Any) -> str:
    return kind_of(value) if isinstance(value, dict | list) or value is None else short(value)


def in_one_line(value: Any) -> str:
    """Return a value as YAML in one line, without the end mark that follows a bare word."""
    return yaml12.dump(value, flow=True).removesuffix("...\n").strip()


def _cut(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"
