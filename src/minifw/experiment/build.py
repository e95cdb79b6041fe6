"""What a config names becomes objects: samples, network and loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from minifw import config as configs
from minifw import data as points
from minifw import nn
from minifw.config.model import Config
from minifw.data import files
from minifw.data.dataset import Dataset
from minifw.data.files import Table

DTYPES = {"float32": torch.float32, "float64": torch.float64}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
LOSSES = {"mse": nn.LossMSE, "cross-entropy": nn.LossCrossEntropy}


def names(config: Config, table: Table | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of features and classes: a file's, or those of generated points."""
    if table is not None:
        return table.features, table.classes
    return ("x", "y"), tuple(map(str, range(getattr(config.data, "classes", 2))))


def build_data(config: Config, seeds: Sequence[int], table: Table | None) -> Dataset:
    """Return training and test samples for each seed, stacked; `table` is the data file's."""
    section = config.data
    features, classes = names(config, table)
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


def read_table(section: configs.FromFile, expected: str | None) -> Table:
    """Return the samples of a data file; its checksum must be `expected`, if that is given."""
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
