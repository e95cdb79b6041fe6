"""The cells of a sweep: from a config and what varies to checked configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minifw.config import axes
from minifw.config.axes import Axes, Point
from minifw.config.loading import Parsed
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.config.tabled import Tabled
from minifw.errors import ConfigError, UsageError
from minifw.runs.studies import Cell
from minifw.study import planning

SEEDS = 20
"""How many seeds a sweep has if neither the config nor an option says it."""


@dataclass(frozen=True)
class Cells:
    """The cells of a sweep; `base` is the config from which they were made, or the first of them.

    `sources` have the places of their values, `code` the user's Python files that they name.
    `notes` are for the user, a line each.
    """

    base: Config
    cells: list[Cell]
    configs: list[Config]
    sources: list[Source]
    varied: Axes
    code: Mapping[str, bytes] = field(default_factory=dict)
    notes: Sequence[str] = ()


def make(parsed: Parsed, overrides: Sequence[str] = (), varied: Axes | None = None) -> Cells:
    """Return the cells of a sweep, each checked as a config of its own.

    Args:
        parsed: the text of the config.
        overrides: `section.key=value` each, for all cells.
        varied: what varies; by default what the config's section `sweep` says.

    Raises:
        ConfigError: with the faults of all cells, one line each.
        UsageError: nothing varies.

    """
    base: Config | None
    try:
        base, source = parsed.config(overrides)
    except ConfigError:
        if varied is None:
            raise
        base = None  # a key that it lacks may be one that varies
    if varied is None:
        assert base is not None
        if base.sweep is None:
            raise UsageError(
                f"{source.name}: nothing varies: give --over KEY=VALUES, as in "
                "--over train.eta=0.01,0.1 (in Python: over), or a section `sweep` in the config"
            )
        varied = axes.of_section(base.sweep, source)
    cells: dict[str, tuple[Cell, Config, Source]] = {}  # by the whole config
    faults: dict[str, None] = {}  # many cells have the same fault
    same = []
    for point in varied.points():
        try:
            config, source = parsed.config(overrides, point)
        except ConfigError as error:
            faults |= dict.fromkeys(error.faults)
            continue
        cell = planning.cell(name(point), {key: value.value for key, value in point}, config)
        if cell.config in cells:
            same.append(cell.name)
        else:
            cells[cell.config] = cell, config, source
    if faults:
        raise ConfigError(planning.at_most(list(faults)))
    return Cells(
        base or next(iter(cells.values()))[1],
        [cell for cell, _, _ in cells.values()],
        [config for _, config, _ in cells.values()],
        [source for _, _, source in cells.values()],
        varied,
        parsed.code.files,
        [*_about(same, varied.count), *_unranked([config for _, config, _ in cells.values()])],
    )


def varied(
    over: Sequence[str] | None, samples: int | None, trials: int | None = None
) -> Axes | None:
    """Return what the options of a command vary; None if it is what the config says.

    `trials` are those of a guided search, which needs no `samples`.

    Raises:
        ConfigError: with all faults, one line each.

    """
    if not over:
        if samples is not None:
            raise UsageError("--samples: is for --over with a draw; a config has sweep.samples")
        return None
    made = axes.of_words(over, samples or trials, 0)
    if samples is not None and not made.drawn:
        raise UsageError("--samples: nothing is drawn; a draw is train.eta=log-uniform(1e-3,1)")
    return made


def _about(same: list[str], count: int) -> list[str]:
    """Return the notes about cells that are left out."""
    if not same:
        return []
    more = f" and {len(same) - 3} more" if len(same) > 3 else ""
    which = f"{', '.join(f'({each})' for each in same[:3])}{more}"
    return [f"{len(same)} of {count} cells are the same as others and are left out: {which}"]


def _unranked(configs: Sequence[Config]) -> list[str]:
    """Return a note if there will be no best cell, since there is nothing to choose it by."""
    lacking = [isinstance(c.data, Tabled) and c.data.validation is None for c in configs]
    if not any(lacking):
        return []
    which = "there are" if all(lacking) else "some cells have"
    return [
        f"{which} no samples for validation, so no cell will be called the best; "
        "--set data.validation=0.2 keeps some of the training samples"
    ]


def name(point: Point) -> str:
    """Return the name of a cell: `train.eta=0.01, optimizer.momentum=0.9`."""
    return ", ".join(f"{key}={axes.in_one_line(value.value)}" for key, value in point)
