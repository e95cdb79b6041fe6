"""A config becomes objects: samples, network and loss, for all seeds, and all of it checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from minifw import config as configs
from minifw import data as points
from minifw import nn
from minifw.config.loading import note_chain
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.data import files
from minifw.data.dataset import Dataset
from minifw.data.files import Table
from minifw.errors import DataError
from minifw.experiment import memory
from minifw.training import compiled

DTYPES = {"float32": torch.float32, "float64": torch.float64}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
LOSSES = {"mse": nn.LossMSE, "cross-entropy": nn.LossCrossEntropy}


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
        return _names(self.config, self.table)[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in their order."""
        return _names(self.config, self.table)[1]

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
        return Experiment(self.config, list(seeds), _build_data(self.config, seeds, self.table))


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
    if isinstance(section, configs.Generated):
        train, test = section.train, section.test
    else:
        table = _read_table(section, data_checksum)
        try:
            train, test = points.split_sizes(len(table.labels), section.train, section.test)
        except DataError as fault:
            source.add(("data", "train"), str(fault))
            raise source.error() from None
    features, classes = map(len, _names(config, table))
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


def _names(config: Config, table: Table | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of features and classes: a file's, or those of generated points."""
    if table is not None:
        return table.features, table.classes
    return ("x", "y"), tuple(map(str, range(getattr(config.data, "classes", 2))))


def _build_data(config: Config, seeds: Sequence[int], table: Table | None) -> Dataset:
    """Return training and test samples for each seed, stacked; `table` is the data file's."""
    section = config.data
    features, classes = _names(config, table)
    return points.stack_seeds(
        (_draw(section, points.generator(seed, "data"), table) for seed in seeds),
        seeds=seeds,
        features=features,
        classes=classes,
        normalize=section.normalize,
        one_hot=config.loss.kind == "mse",
        dtype=DTYPES[config.dtype],
        device=config.device,
    )


def _draw(
    section: configs.Generated | configs.FromFile, rng: np.random.Generator, table: Table | None
) -> tuple[points.Points, points.Points]:
    """Return one seed's training and test points."""
    if table is not None:
        parts = points.split(rng, len(table.labels), section.train, section.test)
        train, test = ((table.inputs[part], table.labels[part]) for part in parts)
    else:
        assert isinstance(section, configs.Generated)
        train = _generate(section, rng, section.train)
        test = _generate(section, rng, section.test)
    return train, test


def _generate(section: configs.Generated, rng: np.random.Generator, samples: int) -> points.Points:
    match section:
        case configs.Disk():
            return points.disk(rng, samples, section.center, section.radius)
        case configs.HalfPlane():
            return points.half_plane(rng, samples)
        case configs.Moons():
            return points.moons(rng, samples, section.noise)
        case configs.Spirals():
            return points.spirals(rng, samples, section.noise, section.turns, section.classes)
    raise AssertionError(f"no generator for {section}")


def _read_table(section: configs.FromFile, expected: str | None) -> Table:
    path = Path(section.path)
    match section:
        case configs.Csv():
            return files.read_csv(path, section.features, section.target, expected=expected)
        case configs.Npz():
            return files.read_npz(path, section.features, section.target, expected=expected)
    raise AssertionError(f"no reader for {section}")


def build_network(config: Config, seeds: Sequence[int], features: int) -> nn.Sequential:
    """Return the stack of networks, one for each seed, with its initial weights."""
    generators = [points.generator(seed, "init") for seed in seeds]
    modules: list[nn.Module] = []
    for layer in config.network:
        if isinstance(layer, configs.LinearLayer):
            linear = nn.Linear(
                features,
                layer.out_features,
                bias=layer.bias,
                init=_initializer(layer.init or config.init),
                stack=(len(seeds),),
                generators=generators,
                dtype=DTYPES[config.dtype],
                device=config.device,
            )
            modules.append(linear)
            features = layer.out_features
        else:
            modules.append(ACTIVATIONS[layer.kind]())
    return nn.Sequential(*modules)


def _initializer(section: configs.PlainInit | configs.NormalInit) -> nn.Initializer:
    if isinstance(section, configs.NormalInit):
        return nn.Normal(section.std)
    return nn.INITIALIZERS[section.kind]()


def build_loss(config: Config) -> nn.Loss:
    """Return the loss with its reduction."""
    return LOSSES[config.loss.kind](config.loss.reduction)
