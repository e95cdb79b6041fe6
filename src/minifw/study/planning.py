"""What a study trains: cells grouped by structure, their lanes, and jobs for these."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from minifw.config import loading
from minifw.config.model import Config
from minifw.config.source import MAX_FAULTS, Source
from minifw.errors import ConfigError, DataError, UsageError
from minifw.experiment import plan as planning
from minifw.experiment.drawing import samples_of
from minifw.runs.results import CrossValidation
from minifw.runs.studies import Cell, Study
from minifw.statistics.measure import Measure
from minifw.study.jobs import Job, Place, grouped
from minifw.study.lanes import Lane, structure
from minifw.system import machine

BYTES = 1000
"""Of memory for the records of a network, about, beside the network itself."""


@dataclass(frozen=True)
class Shape:
    """Cells with the same structure, and how they are trained.

    `most` is the number of lanes that fit in memory at once; `features`, `measure` (of errors),
    `test` (how many samples), `checksum` and `notes` (what was noticed) are those of the data.
    """

    cells: tuple[int, ...]
    vectors: tuple[str, ...]
    compiled: bool
    or_plain: bool
    why_plain: str | None
    most: int
    features: tuple[str, ...]
    measure: Measure
    test: int
    checksum: str | None
    notes: tuple[str, ...] = ()
    cross_validation: CrossValidation | None = None


@dataclass(frozen=True)
class Plan:
    """A study with all its decisions; nothing is drawn yet."""

    study: Study
    configs: tuple[Config, ...]
    shapes: tuple[Shape, ...]
    code: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What was noticed in the data of any cell, each once."""
        return [*dict.fromkeys(note for shape in self.shapes for note in shape.notes)]

    @property
    def lanes(self) -> list[Lane]:
        """All lanes, those of a cell together; of a part of a study only its own."""
        every = all_lanes(self.study)
        if self.study.part is None:
            return every
        k, n = self.study.part
        return every[(k - 1) * len(every) // n : k * len(every) // n]

    def jobs(
        self,
        lanes: Sequence[Lane],
        *,
        pieces: int = 1,
        label: str = "",
        until: Mapping[int, int] | None = None,
        begun: Mapping[Lane, Place] | None = None,
        keeps: bool = False,
    ) -> list[Job]:
        """Return jobs for these lanes: for each shape, about equal ones.

        Args:
            lanes: in the order of `self.lanes`.
            pieces: at least so many for each shape, if there are as many lanes.
            label: the beginning of their names.
            until: the epoch in which the training of a cell ends; by default that of its config.
            begun: where each lane's earlier result is, if training continues from it.
            keeps: whether other jobs continue from these.

        """
        made = []
        for number, shape in enumerate(self.shapes):
            of_shape = {*shape.cells}
            own = [lane for lane in lanes if lane.cell in of_shape]
            count = min(len(own), max(pieces, -(-len(own) // shape.most)))
            for piece in range(count):
                some = own[piece * len(own) // count : (piece + 1) * len(own) // count]
                cells, first = dict.fromkeys(lane.cell for lane in some), some[0].cell
                job = Job(
                    id=f"{label}shape-{number}.{piece + 1}-of-{count}",
                    cells={cell: self.study.cells[cell].config for cell in cells},
                    lanes=tuple(some),
                    vectors=shape.vectors,
                    epochs=self.configs[first].train.epochs if until is None else until[first],
                    compiled=shape.compiled,
                    or_plain=shape.or_plain,
                    start=() if begun is None else grouped([begun[lane] for lane in some]),
                    validation=self.study.kind == "sweep",
                    keeps=keeps,
                    code=dict(self.code),
                    checksum=shape.checksum,
                )
                made.append(job)
        return made


def all_lanes(study: Study) -> list[Lane]:
    """Return the lanes of a study, those of a cell together."""
    if study.crossing is None:
        return [Lane.of(cell, seed) for cell in range(len(study.cells)) for seed in study.seeds]
    first, crossing = study.seeds[0], study.crossing
    counts = (crossing.data, crossing.init, crossing.order)
    places = itertools.product(*(range(first, first + count) for count in counts))
    return [Lane(0, *place) for place in places]


def _count(study: Study) -> int:
    """Return the number of lanes of a study."""
    crossed = study.crossing
    if crossed is None:
        return len(study.cells) * len(study.seeds)
    return crossed.data * crossed.init * crossed.order


def plan(
    study: Study,
    configs: Sequence[Config],
    sources: Sequence[Source],
    code: Mapping[str, bytes] | None = None,
) -> Plan:
    """Check each structure as a run of its own would be, and decide how it is trained.

    The plan's study has the checksums of the present data files.

    Raises:
        ConfigError, DataError: cells do not fit their data, or the machine, a line for each fault.
        UsageError: there are more parts than networks, or more networks than can be listed.

    """
    networks = _count(study)
    if study.part is not None and study.part[1] > networks:
        what = f"expects at most as many parts as there are networks, {networks}"
        raise UsageError(f"--part: {what}, got {study.part[1]}")
    if (needed := networks * BYTES) > (free := machine.available()):
        raise UsageError(
            f"{study.kind}: the records of {networks} networks need about "
            f"{machine.gigabytes(needed)} of memory, {machine.gigabytes(free)} are free; "
            "fewer cells or seeds would help"
        )
    groups: dict[str, list[int]] = {}
    for cell, config in enumerate(configs):
        groups.setdefault(structure(config), []).append(cell)
    shapes = []
    faults: list[ConfigError | DataError] = []
    for cells in groups.values():
        # If one cell has momentum, the whole stack needs the memory for it.
        one = next((cell for cell in cells if configs[cell].optimizer.remembers), cells[0])
        mode = configs[one].train.mode
        config = configs[one].model_copy(update={"seeds": len(study.seeds)})
        try:
            made = planning.plan(config, 1, [mode], sources[one])
        except (ConfigError, DataError) as fault:
            faults.append(fault)
            continue
        compiling, sizes = made.compiling[mode], made.sizes_of[mode]
        shapes.append(
            Shape(
                tuple(cells),
                _differing(configs, cells),
                compiling.compiled,
                compiling.or_plain,
                compiling.why if compiling.is_fault else None,
                sizes.most_at_once,
                made.features,
                made.measure,
                samples_of(config, made.table)[1],
                None if made.table is None else made.table.checksum,
                made.notes,
                made.cross_validation,
            )
        )
    if faults:
        lines = dict.fromkeys(line for fault in faults for line in fault.lines)
        raise ConfigError(at_most(list(lines))) if len(faults) > 1 else faults[0]
    checksums = {cell: shape.checksum for shape in shapes for cell in shape.cells}
    known = [
        cell.model_copy(update={"checksum": checksums[number]})
        for number, cell in enumerate(study.cells)
    ]
    study = study.model_copy(update={"cells": known})
    return Plan(study, tuple(configs), tuple(shapes), code or {})


def at_most(faults: Sequence[str]) -> Iterator[str]:
    """Yield the faults of cells, and instead of those that nobody reads how many there are."""
    yield from faults[:MAX_FAULTS]
    if len(faults) > MAX_FAULTS:
        yield f"sweep: and {len(faults) - MAX_FAULTS} more faults"


def _differing(configs: Sequence[Config], cells: Sequence[int]) -> tuple[str, ...]:
    """Return the keys of the optimiser that may be one number a lane, and differ between cells."""
    keys = configs[cells[0]].optimizer.per_network
    values = {key: {getattr(configs[cell].optimizer, key) for cell in cells} for key in keys}
    return tuple(key for key, different in values.items() if len(different) > 1)


def cell(name: str, changes: Mapping[str, object], config: Config) -> Cell:
    """Return the record of a cell."""
    return Cell.model_validate(
        {"name": name, "set": dict(changes), "config": loading.compact(config)}
    )
