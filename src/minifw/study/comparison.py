"""Comparisons: some configs, each trained with the same seeds, put side by side in pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict

from minifw.config.model import Config
from minifw.config.source import Source
from minifw.errors import UsageError, short, short_word
from minifw.report import comparison, plots
from minifw.report.pairs import pairs, summary
from minifw.report.tables import write_table
from minifw.runs import Run, records
from minifw.runs.comparisons import Compared
from minifw.runs.fields import Line, Margin
from minifw.runs.results import of_measure
from minifw.runs.studies import CELLS, STUDY, CellResults, Study, StudyResults
from minifw.statistics.measure import Measure
from minifw.statistics.overlap import Overlap
from minifw.study import planning
from minifw.study.planning import Plan
from minifw.study.rounds import Kind, Rounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = Mapping[str, Any]
"""The keys and values of a config."""

SEEDS = 20
"""Seeds of a comparison, unless its configs or the user say otherwise."""

FIGURE = "comparison"
MARGIN, NOTES, RUNS = "margin", "notes", "runs"
"""The options of a comparison in study.json."""


@dataclass(frozen=True)
class Arm:
    """A config to be compared: its name, and the places of its values."""

    name: str
    config: Config
    source: Source


class Asked(BaseModel):
    """The options of a comparison in study.json; `runs` are those that are compared, if any."""

    model_config = ConfigDict(strict=True, extra="forbid")

    margin: Margin | None = None
    notes: list[Line] = []
    runs: list[Line] | None = None


class Comparison(Kind):
    """Trains all arms to the end, in one round, and compares them in pairs."""

    def rounds(self, plan: Plan, pieces: int) -> Rounds:
        if records.checked(Asked, plan.study.options, f"{STUDY}: options").runs is not None:
            raise UsageError("compare: this compares finished runs; minifw compare makes it anew")
        return super().rounds(plan, pieces)

    def outcome(self, plan: Plan, results: StudyResults) -> dict[str, object]:
        return compared(results.cells, plan.study, plan.shapes[0].measure).model_dump()

    def write(self, run: Run, plan: Plan, results: StudyResults) -> None:
        write(run, results)


def plan(arms: Sequence[Arm], seeds: int | None = None, margin: float | None = None) -> Plan:
    """Return the plan of a comparison of configs; nothing is written.

    Args:
        arms: at least two, with different names.
        seeds: how many; by default as many as all configs say, or 20 if none says any.
        margin: within which two arms count as the same, in points or the unit of the targets.

    Raises:
        UsageError: the configs say different seeds, or have different Python files of one name.
        ConfigError, DataError: a config does not fit its data, or the machine.

    """
    for arm in arms:
        if arm.config.sweep is not None:
            raise UsageError(
                f"{arm.source.name}: has a section `sweep`: minifw sweep {arm.source.name} trains "
                "its cells, and --set sweep=null takes the config without it"
            )
    first = _same("seed", {arm.name: arm.config.seed for arm in arms})
    if seeds is None:
        given = {arm.name: arm.config.seeds for arm in arms}
        if not any(given.values()):  # of cross-validation, one for each fold
            given = {arm.name: getattr(arm.config.data, "folds", None) for arm in arms}
        seeds = _same("seeds", {k: v for k, v in given.items() if v is not None}) or SEEDS
    contents = [arm.config.model_dump(mode="json") for arm in arms]
    study = Study(
        kind="compare",
        cells=[planning.cell(arm.name, {}, arm.config) for arm in arms],
        seeds=list(range(first or 0, (first or 0) + seeds)),
        threads=torch.get_num_threads(),
        options=options([(a.name, v) for a, v in zip(arms, contents, strict=True)], margin),
    )
    code: dict[str, bytes] = {}
    for arm in arms:
        for name, content in arm.source.code.items():
            if code.setdefault(name, content) != content:
                raise UsageError(
                    f"{arm.source.name}: {name} is another file than that of a config before it; "
                    "compare keeps both in one folder, so their names must differ"
                )
    configs, sources = [arm.config for arm in arms], [arm.source for arm in arms]
    made = planning.plan(study, configs, sources, code)
    cells = made.study.cells
    check_measures({arms[cell].name: s.measure for s in made.shapes for cell in s.cells})
    if len({data_of(v, cell.checksum) for v, cell in zip(contents, cells, strict=True)}) > 1:
        made.study.options[NOTES].append(OTHER_DATA)
    elif cells[0].checksum is not None:
        made.study.options[NOTES].append(ONE_FILE)
    return made


OTHER_DATA = "their data differ, so a seed has other samples in one arm than in another"
ONE_FILE = "all seeds divide the same samples: intervals and p are about these samples only"


def data_of(values: Values, checksum: str | None) -> str:
    """Return what samples are drawn from: arms with the same text have the same for a seed."""
    data = values.get("data")
    if isinstance(data, dict):
        data = {
            key: value for key, value in data.items() if key not in ("path", "test_path", "folder")
        }
    return json.dumps([data, checksum], sort_keys=True)


def check_margin(option: str, margin: object) -> None:
    """Raise a UsageError unless a margin is None or a number above 0."""
    if margin is not None and not (
        isinstance(margin, int | float) and not isinstance(margin, bool) and 0 < margin < math.inf
    ):
        raise UsageError(
            f"{option}: must be a number above 0, of percentage points or by regression in the "
            f"unit of the targets, got {margin}"
        )


def options(
    arms: Sequence[tuple[str, Values]], margin: float | None, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the options of a comparison, for study.json."""
    found: dict[str, Any] = {NOTES: [difference(arms), *notes]}
    return found if margin is None else {MARGIN: margin, **found}


SHOWN = 6
"""Keys that a line names, at most, of those that differ."""
_APART = ("name", "seed", "seeds")
"""Keys that may differ without a difference in training."""


def difference(arms: Sequence[tuple[str, Values]]) -> str:
    """Return in a line which keys differ between configs, and for two of them how."""
    flat = [dict(_flat(values, "")) for _, values in arms]
    alike = len({_kinds(values) for _, values in arms}) == 1  # layers can be put side by side
    keys = [
        key
        for key in dict.fromkeys(key for each in flat for key in each)
        if key not in _APART and any(each.get(key, ...) != flat[0].get(key, ...) for each in flat)
    ]
    shown = {
        key: f"{key} ({' and '.join(short(each[key]) if key in each else 'none' for each in flat)})"
        if len(arms) == 2
        else key
        for key in keys
        if alike or not key.startswith("network.")
    }
    parts = [*([] if alike else ["network"]), *shown.values()]
    who = " and ".join(name for name, _ in arms) if len(arms) == 2 else f"the {len(arms)} arms"
    if not parts:
        return f"{who} have the same config"
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return f"{who} differ in {', '.join(parts[:SHOWN])}{more}"


def _kinds(values: Values) -> str:
    """Return the kinds of all layers, as text."""
    layers = values.get("network")
    kinds = [each.get("kind") if isinstance(each, dict) else None for each in layers or []]
    return repr(kinds)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings and lists, with dotted keys."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _same(key: str, values: Mapping[str, int]) -> int | None:
    """Return the value of a key that all arms which have it must share."""
    if len({*values.values()}) > 1:
        said = ", ".join(f"{name} {value}" for name, value in values.items())
        mend = "--seeds N" if key == "seeds" else "--set seed=0"
        raise UsageError(f"compare: {key}: must be the same in all configs, got {said}; {mend}")
    return next(iter(values.values()), None)


def check_measures(measures: Mapping[str, Measure]) -> None:
    """Raise a UsageError if the errors of some arms are in another unit than those of others."""
    first, *others = measures.items()
    for name, other in others:
        if other != first[1]:
            said = [f"{short_word(n)}'s are {m.axis()}" for n, m in (first, (name, other))]
            raise UsageError(f"compare: arms must have errors of one kind: {'; '.join(said)}")


def compared(cells: Sequence[CellResults], study: Study, measure: Measure) -> Compared:
    """Return what the cells show: each alone, and in pairs over the same seeds."""
    margin = study.options.get(MARGIN)
    errors = {cell.name: cell.test_error for cell in cells}
    return Compared(
        margin=margin,
        arms={cell.name: summary(cell.test_error, cell.overlap) for cell in cells},
        pairs=pairs(errors, margin, measure, overlap=_overlap(cells)),
        **of_measure(measure),
        notes=study.options.get(NOTES, []),
    )


def _overlap(cells: Sequence[CellResults]) -> Overlap | None:
    """Return how much training samples have in common by cross-validation: the most of all arms."""
    known = [cell.overlap for cell in cells if cell.overlap is not None]
    return min(known, key=lambda each: each.effective(len(cells[0].seeds)), default=None)


def write(run: Run, results: StudyResults) -> None:
    """Write tables and figure of a comparison."""
    found = read(results, str(run.path / CELLS))
    for name, table in comparison.of_comparison(results.name, found).items():
        write_table(run, name, table)

    plots.write_figure(run, f"{plots.FOLDER}/{FIGURE}", lambda: draw(results, found))


def draw(results: StudyResults, found: Compared) -> Figure:
    """Return the figure of a comparison."""
    from minifw.report import pairings  # it brings matplotlib along

    return pairings.comparison(results, found)


def read(results: StudyResults, where: str) -> Compared:
    """Return what a comparison has found; `where` is the file of its results, for messages."""
    return records.checked(Compared, results.outcome, f"{where}: outcome")
