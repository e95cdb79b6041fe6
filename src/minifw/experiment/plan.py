"""A config becomes objects: samples, network and loss, for all seeds, and all of it checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from minifw import data as points
from minifw.config.loading import note_chain
from minifw.config.model import Config
from minifw.config.sections import Generated
from minifw.config.source import Source
from minifw.data.dataset import Dataset
from minifw.data.files import Table
from minifw.errors import DataError
from minifw.experiment import memory
from minifw.experiment.build import DTYPES, build_data, names, read_table
from minifw.train import compiled


@dataclass(frozen=True)
class Experiment:
    """A config with seeds and their data: all that can be wrong has been checked."""

    config: Config
    seeds: list[int]
    data: Dataset

    def of(self, some: slice) -> Experiment:
        """Return the experiment with some of the seeds."""
        return Experiment(self.config, self.seeds[some], self.data.of(some))


@dataclass(frozen=True)
class Plan:
    """A config that fits its data and the machine; nothing is drawn yet.

    `together` is how many seeds are drawn and trained at once; others follow in further groups.
    """

    config: Config
    source: Source
    table: Table | None
    sizes: memory.Sizes
    together: int

    @property
    def seeds(self) -> list[int]:
        """All seeds."""
        return list(range(self.config.seed, self.config.seed + self.sizes.seeds))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in their order."""
        return names(self.config, self.table)[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in their order."""
        return names(self.config, self.table)[1]

    @property
    def groups(self) -> list[list[int]]:
        """The seeds that are trained at once, group for group."""
        seeds, size = self.seeds, self.together
        return [seeds[first : first + size] for first in range(0, len(seeds), size)]

    def draw(self, seeds: Sequence[int]) -> Experiment:
        """Return these seeds with their samples.

        Raises:
            DataError: numbers are too large for the dtype, which `plan` has told before.

        """
        return Experiment(self.config, list(seeds), build_data(self.config, seeds, self.table))


def build(
    config: Config, default_seeds: int, modes: Sequence[str], source: Source | None = None
) -> Experiment:
    """Check the config as `plan` does, and draw the data for all seeds.

    Raises:
        ConfigError, DataError: what does not fit. Nothing has been written then.

    """
    checked = plan(config, default_seeds, modes, source)
    return checked.draw(checked.seeds)


def plan(
    config: Config,
    default_seeds: int,
    modes: Sequence[str],
    source: Source | None = None,
    *,
    arms: Sequence[str] = ("minifw",),
    data_checksum: str | None = None,
) -> Plan:
    """Read a data file, and check that network, modes and memory fit the samples.

    `source` knows the lines of the config, for the places of faults; `arms` are those that will be
    trained, by their names in `experiment.ARMS`; `data_checksum` is what the data file must have
    where a run goes on.

    Raises:
        ConfigError, DataError: what does not fit.
        ArtefactError: the data file is not the one that the run began with.

    """
    source = source or Source(config.name)
    _check_device(config, source)
    seeds = config.seeds or default_seeds
    config = config.model_copy(update={"seeds": seeds})
    section = config.data
    table = None
    if isinstance(section, Generated):
        train, test = section.train, section.test
    else:
        table = read_table(section, data_checksum)
        try:
            train, test = points.split_sizes(len(table.labels), section.train, section.test)
        except DataError as fault:
            source.add(("data", "train"), str(fault))
            raise source.error() from None
    features, classes = map(len, names(config, table))
    note_chain(config, source, features, classes)
    batch_size = config.train.batch_size or 0
    if "sgd" in modes and batch_size > train:
        what = f"must be at most the {train} training samples, got {batch_size}"
        source.add(("train", "batch_size"), what)
    sizes = [
        memory.fitted(
            memory.sizes(
                config,
                mode,
                seeds,
                features,
                classes,
                train,
                test,
                ensemble="vmap" in arms,
                trained=len(arms) * len(modes),
                threads=torch.get_num_threads() if config.device == "cpu" else 1,
            )
        )
        for mode in modes
    ]
    largest = max(sizes, key=lambda size: size.bytes())
    if not source.faults:
        memory.check(config, source, largest)
    if source.faults:
        raise source.error()
    plan = Plan(config, source, table, largest, min(size.together() for size in sizes))
    if table is not None and _may_overflow(table, section.normalize, DTYPES[config.dtype]):
        try:
            for seed in plan.seeds:
                plan.draw([seed])
        except DataError as fault:
            source.add(("data",), str(fault))
            raise source.error() from None
    return plan


def _may_overflow(table: Table, normalize: bool, dtype: torch.dtype) -> bool:
    """Return whether the samples of some seed could be beyond the dtype.

    That depends on which samples are drawn, so only drawing tells; it is hardly ever needed.
    """
    largest = torch.finfo(dtype).max
    for column in table.inputs.T:
        with np.errstate(over="ignore"):
            if not normalize:
                reach = np.abs(column).max()
            else:
                # No two numbers are nearer than rounding allows: so small may a deviation be, and
                # so far may a sample be from the mean.
                sizes = np.abs(column[column != 0])
                nearest = sizes.min(initial=np.inf) * np.finfo(np.float64).eps / 2
                span = column.max() - column.min()
                reach = max(span, span / max(nearest, 5e-324) * len(column))
        if reach > largest:
            return True
    return False


def _check_device(config: Config, source: Source) -> None:
    if config.device == "cuda" and not torch.cuda.is_available():
        version = torch.__version__
        what = f"'cuda' needs a GPU and a CUDA build of torch, and torch {version} finds none"
        source.add(("device",), f"{what}; cpu works everywhere")
    if config.device == "cuda" and config.train.compile is True:
        what = "true is for device: cpu only; auto or false on a GPU"
        source.add(("train", "compile"), what)
    if source.faults:
        raise source.error()
    if config.train.compile is True:
        compiled.require_compiler()
