"""Lanes: networks of different cells and seeds, trained as one stack.

A *cell* is a config. A *lane* is one network: a cell, and a seed for each purpose. Lanes of cells
with the same `structure` are trained together; each gets the bits of its own run.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from minifw import nn
from minifw.config import altered
from minifw.config.generated import Generated
from minifw.config.model import Config
from minifw.data import BatchOrder, Dataset
from minifw.data.encoding import Prepared
from minifw.data.table import Table
from minifw.experiment.build import build_data, build_loss, build_network
from minifw.experiment.drawing import samples_of


class Lane(NamedTuple):
    """One network: its cell, and the seeds of its samples, initial weights and orders."""

    cell: int
    data: int
    init: int
    order: int

    @classmethod
    def of(cls, cell: int, seed: int) -> Lane:
        """Return the lane that `minifw train` would train with this seed."""
        return cls(cell, seed, seed, seed)


def structure(config: Config) -> str:
    """Return as text what configs must have in common to be trained as one stack.

    A lane has its own seed, learning rate, initial weights, samples, and numbers of the optimiser.
    """
    content = config.model_dump(mode="json")
    for key in ("name", "seed", "seeds", "init", "sweep"):
        content.pop(key, None)
    for layer in content["network"]:
        layer.pop("init", None)
    for key in ("eta", "checkpoint_every", "record", "tensorboard"):
        del content["train"][key]
    for key in config.optimizer.per_network:
        number = content["optimizer"].pop(key)
        # None is another formula, as no clipping. A compiled step of one sample without momentum
        # or decay rounds in another order than one in which these are 0.
        if number is None or (number == 0 and _has_steps_of_one(config)):
            content["optimizer"][key] = number
    for key in altered.KEYS:  # of these only what changes the number of samples
        if key != "share" and (key != "imbalance" or isinstance(config.data, Generated)):
            content["data"].pop(key, None)
    data = config.data
    if isinstance(data, Generated):
        content["data"] = [
            len(data.feature_names), data.outputs, data.target_names,
            content["data"].get("unit"), content["data"].get("normalize_target"),
            data.train, data.test, content["data"].get("validation"), data.share,
        ]  # fmt: skip
    return json.dumps(content, sort_keys=True)


def _has_steps_of_one(config: Config) -> bool:
    """Return whether a step may be of a single sample, as the last of an epoch."""
    batch = config.train.batch_size
    if config.train.mode != "sgd" or batch is None:
        return False
    is_drawn = isinstance(config.data, Generated)
    return batch == 1 or (is_drawn and samples_of(config, None)[0] % batch == 1)


@dataclass(frozen=True)
class Stack:
    """A stack of lanes, ready to be trained by `fit`."""

    network: nn.Network
    loss: nn.Loss
    optimizer: nn.Optimizer
    data: Dataset
    order: BatchOrder | None
    eta: list[float]
    """The learning rate of each."""


def stack(
    lanes: Sequence[Lane],
    configs: Mapping[int, Config],
    tables: Mapping[int, Table | None],
    vectors: Sequence[str],
    *,
    validation: bool = False,
) -> Stack:
    """Return the networks and samples of these lanes, in their order.

    Args:
        lanes: those of a cell stand together.
        configs: the config of each cell; all have the same structure.
        tables: the data file of each cell, None for generated data.
        vectors: the optimiser's keys that differ between the cells of the study.
        validation: whether generated data have more samples for validation, unless the config
            keeps some.

    """
    by_cell = itertools.groupby(lanes, lambda lane: lane.cell)
    parts = [(cell, list(own)) for cell, own in by_cell]
    datasets = [
        _samples(configs[cell], [lane.data for lane in own], tables[cell], validation)
        for cell, own in parts
    ]
    data = joined(datasets)
    networks = [
        build_network(configs[cell], [lane.init for lane in own], len(data.features))
        for cell, own in parts
    ]
    network = networks[0]
    if len(networks) > 1:
        values = zip(*([*each.tensors().values()] for each in networks), strict=True)
        joined_values = [torch.cat(each) for each in values]
        trained = len(network.parameters())
        network = network.with_parameters(joined_values[:trained], joined_values[trained:])
    config = configs[lanes[0].cell]
    numbers = {
        key: [getattr(configs[lane.cell].optimizer, key) for lane in lanes]
        for key in vectors
        if getattr(config.optimizer, key) is not None
    }
    section = config.optimizer
    optimizer = section.declaration.make(network, **(section.keys | numbers))
    order = None
    if config.train.mode == "sgd":
        order = BatchOrder([lane.order for lane in lanes], data.train.count)
    return Stack(
        network,
        build_loss(config, len(data.features)),
        optimizer,
        data,
        order,
        [configs[lane.cell].train.eta for lane in lanes],
    )


def _samples(config: Config, seeds: Sequence[int], table: Table | None, extra: bool) -> Dataset:
    """Return the samples of each of these seeds; those of a seed that comes again are copies."""
    places = {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
    data = build_data(config, [*places], table, extra_validation=extra)
    return data if len(places) == len(seeds) else data.of([places[seed] for seed in seeds])


def joined(datasets: Sequence[Dataset]) -> Dataset:
    """Return stacks of samples as one stack; sizes, features and classes are those of the first."""
    if len(datasets) == 1:
        return datasets[0]

    def whole(name: str) -> Any:
        parts = [getattr(data, name) for data in datasets]
        if parts[0] is None:
            return None
        names = [n for n, value in vars(parts[0]).items() if isinstance(value, torch.Tensor)]
        return replace(parts[0], **{n: torch.cat([getattr(p, n) for p in parts]) for n in names})

    moved = ("shift", "scale", "target_shift", "target_scale")
    numbers: dict[str, Any] = {n: np.concatenate([getattr(d, n) for d in datasets]) for n in moved}
    return replace(
        datasets[0],
        train=whole("train"),
        test=whole("test"),
        validation=whole("validation"),
        prepared=Prepared.joined([known for data in datasets if (known := data.prepared)])
        if datasets[0].prepared
        else None,
        **numbers,
    )
