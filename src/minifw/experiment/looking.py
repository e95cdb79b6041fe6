"""What is in the data of a config: columns, classes, duplicates, and how they will be used.

Unlike a plan it asks nothing of the network, which may not fit the data yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from minifw.config.columned import Columned, Npz
from minifw.config.generated import Generated
from minifw.config.model import Config
from minifw.config.tabled import Tabled
from minifw.data import Floats, Integers, Points, frames
from minifw.data.dialect import Dialect
from minifw.data.division import Sizes
from minifw.data.facts import ColumnFacts, Repeats, facts_of, nearly_constant, repeats, seen_before
from minifw.data.files import useless
from minifw.data.frame import Frame
from minifw.data.kinds import Column, column_of
from minifw.data.roles import roles_of
from minifw.data.table import Table
from minifw.experiment import sources
from minifw.experiment.build import measure, names, read_table
from minifw.experiment.drawing import check_division, drawn, sizes_of, trained_on
from minifw.experiment.opening import encoding_key

Use = Literal["feature", "target", "group", "not used"]


@dataclass(frozen=True)
class Looked:
    """What is in the data, and how they will be used.

    Attributes:
        config: that of the data.
        rows: how many there are in the file, or in all parts of generated data.
        columns: what each column holds, and what it is used for.
        features: the names of the features, after words became one-hot.
        classes: how many samples each class has; none of a regression.
        targets: what the numbers of a regression are.
        samples: inputs and labels of all rows that are used.
        same: how many samples repeat another.
        sizes: how many samples are for what.
        seen: how many test samples of the first seed have the features of a training sample.
        groups: how many groups there are, if a column says so.
        notes: what was noticed, a line each.

    """

    config: Config
    rows: int
    columns: tuple[tuple[ColumnFacts, Use], ...]
    features: tuple[str, ...]
    classes: dict[str, int]
    targets: tuple[ColumnFacts, ...]
    samples: Points = field(repr=False)
    same: Repeats
    sizes: Sizes
    seen: int
    groups: int | None
    notes: tuple[str, ...]

    @property
    def target(self) -> str:
        """The name of what is predicted."""
        return ", ".join(facts.name for facts, use in self.columns if use == "target")

    @property
    def is_generated(self) -> bool:
        """Whether each seed draws samples of its own."""
        return isinstance(self.config.data, Generated)

    @property
    def guess(self) -> float:
        """The error of guessing: the most frequent class, in percent, or the mean (RMSE)."""
        if self.targets:
            deviations = [each.deviation or 0.0 for each in self.targets]
            return math.hypot(*deviations) / math.sqrt(len(deviations))
        return 100 * (1 - max(self.classes.values()) / sum(self.classes.values()))


def look(
    config: Config,
    of_file: tuple[Frame, int] | None = None,
    notes: Sequence[str] | None = None,
) -> Looked:
    """Look at the data of a config.

    `of_file` are its columns, and `notes` what was noticed in them, if that is known already.

    Raises:
        DataError: a file cannot be read, or not be divided so.

    """
    section, table, columns = config.data, None, None
    if isinstance(section, Columned | Npz):
        frame, tests = of_file or sources.columns_of(section, None)
        table = sources.samples_of(section, frame, tests)
        columns = _columns(section, frame)
    elif isinstance(section, Tabled):
        table = read_table(section, None)
    if isinstance(section, Tabled) and table is not None:
        check_division(section, table)
    classes = names(config, table)[1]
    (parts,) = drawn(section, [config.seed], table, classes)
    samples = _together(parts) if table is None else (table.inputs, table.labels)
    features = names(config, table)[0]
    if columns is None:
        columns = _of_samples(config, table, features, classes, samples)
    inputs, labels = samples
    targets: tuple[ColumnFacts, ...] = ()
    counts: dict[str, int] = {}
    if said := measure(config, table).targets:
        numbers = np.asarray(labels, np.float64).reshape(len(labels), -1).T
        targets = tuple(map(facts_of, map(_numeric, said, numbers)))
    else:
        found = np.bincount(labels.astype(np.int64), minlength=len(classes))
        counts = dict(zip(classes, found.tolist(), strict=True))
    facts = [(facts_of(column), use) for column, use in columns]
    if notes is None:
        notes = () if table is None else table.notes
    nearly = nearly_constant([each for each, use in facts if use == "feature"])
    sizes = sizes_of(section, table)
    groups = None if table is None or table.groups is None else len(np.unique(table.groups))
    return Looked(
        config,
        facts[0][0].rows,
        tuple(facts),
        features,
        counts,
        targets,
        samples,
        repeats(inputs, labels),
        sizes._replace(train=trained_on(section, config.seed, table, sizes.train)),
        seen_before(parts[0][0], parts[1][0]),
        groups,
        (*notes, *nearly),
    )


def columns_alone(path: Path) -> list[ColumnFacts]:
    """Return what is in the columns of a file, whatever they may be used for.

    Raises:
        DataError: it cannot be read.

    """
    keys = encoding_key(path.read_bytes())
    frame = frames.read_frame(path, Dialect(**keys))
    return [
        facts_of(column_of(name, values))
        for name, values in zip(frame.names, frame.columns, strict=True)
    ]


Used = Iterator[tuple[Column, Use]]


def _columns(section: Columned | Npz, frame: Frame) -> Used:
    """Yield the columns of a file, in its order, and what each is used for."""
    choice = sources.choice_of(section, frame)
    roles = roles_of(frame, choice)
    for name, values in zip(frame.names, frame.columns, strict=True):
        as_number = choice.regression and name in roles.targets
        kind = "words" if name in roles.words else "number" if as_number else None
        column = column_of(name, values, kind)  # type: ignore[arg-type]
        use: Use = "not used"
        if name in roles.targets:
            use = "target"
        elif name == roles.group:
            use = "group"
        elif name in roles.features:
            left_out = choice.features is None and name not in roles.words and useless(column)
            use = "not used" if left_out else "feature"
        yield column, use


def _of_samples(
    config: Config,
    table: Table | None,
    features: Sequence[str],
    classes: Sequence[str],
    samples: Points,
) -> Used:
    """Yield the columns of data that are no file, as one may have a thousand."""
    inputs, labels = samples
    for name, values in zip(features, inputs.T, strict=True):
        yield _numeric(name, values), "feature"
    if said := measure(config, table).targets:
        numbers = np.asarray(labels, np.float64).reshape(len(labels), -1).T
        for name, values in zip(said, numbers, strict=True):
            yield _numeric(name, values), "target"
        return
    name = "class" if table is None else table.target
    yield replace(_numeric(name, labels), kind="words", categories=tuple(classes)), "target"


def _numeric(name: str, values: Floats | Integers) -> Column:
    numbers, none = np.asarray(values, np.float64), np.zeros(len(values), bool)
    return Column(name, "number", numbers, (), np.isnan(numbers), none)


def _together(parts: Sequence[Points]) -> Points:
    """Return the samples of all parts as one."""
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
