"""Makes the objects that a config describes: samples, network, loss and optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from minifw import nn
from minifw.config import heads
from minifw.config.columned import Columned, Idx, Npz
from minifw.config.generated import Generated
from minifw.config.model import Config
from minifw.config.networks import build_network as build_network
from minifw.config.own_table import OwnTable
from minifw.config.tabled import ModularAddition, Parity, Sklearn, Tabled
from minifw.config.wiring import wiring
from minifw.data import (
    DTYPES,
    Dataset,
    Samples,
    stack_seeds,
    tables,
)
from minifw.data.table import Table
from minifw.experiment import sources
from minifw.experiment.drawing import drawn
from minifw.runs import Run
from minifw.statistics.measure import Measure
from minifw.training import EarlyStopping


def names(config: Config, table: Table | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of features and classes, of a table or of generated points.

    Of regression there are no classes.
    """
    if table is not None:
        return table.features, table.classes
    assert isinstance(config.data, Generated)
    classes = () if config.data.target_names else map(str, range(config.data.classes_declared))
    return config.data.feature_names, tuple(classes)


def measure(config: Config, table: Table | None) -> Measure:
    """Return how errors are measured."""
    section = config.data
    targets = table.targets if table is not None else ()
    if isinstance(section, Generated):
        targets = section.target_names
    return Measure(tuple(targets), getattr(section, "unit", None) or "")


def outputs(config: Config, table: Table | None) -> int:
    """Return how many outputs a network has: one for each class, or for each target."""
    return len(measure(config, table).targets or names(config, table)[1])


def build_data(
    config: Config, seeds: Sequence[int], table: Table | None, *, extra_validation: bool = False
) -> Dataset:
    """Return the samples of all seeds, stacked; `table` holds those of a table.

    Where the config has no `data.validation`, `extra_validation` draws as many samples for
    validation as for testing, if they are generated; all others stay as they are. A table has no
    more samples, so it has none for validation then.
    """
    section = config.data
    features, classes = names(config, table)
    made = stack_seeds(
        drawn(section, seeds, table, classes, extra_validation=extra_validation),
        seeds=seeds,
        features=features,
        classes=classes,
        measure=measure(config, table),
        normalize=section.normalize,
        normalize_target=getattr(section, "normalize_target", None) is not False,
        one_hot=heads.one_hot(config.loss),
        dtype=DTYPES[config.dtype],
        device=config.device,
        encoding=None if table is None else table.encoding,
    )
    return _for_heads(config, made)


def _for_heads(config: Config, data: Dataset) -> Dataset:
    """Return the samples with the targets of all heads side by side."""
    several = heads.heads(config.loss)
    if not several:
        return data
    columns = heads.columns(config.loss, wiring(config).outputs(len(data.features)))

    def changed(part: Samples) -> Samples:
        targets = [part.targets if head.predicts else part.inputs for head in several]
        return replace(part, targets=torch.cat(targets, -1), columns=columns)

    validation = None if data.validation is None else changed(data.validation)
    train, test = changed(data.train), changed(data.test)
    return replace(data, train=train, test=test, validation=validation)


def data_of(run: Run, config: Config) -> Dataset:
    """Return the samples of all seeds of a run, as it has drawn them, on the CPU.

    Raises:
        DataError: a data file cannot be read.
        ArtefactError: it is not the one that the run was trained on.

    """
    on_cpu = config.model_copy(update={"device": "cpu"})
    table = None
    if isinstance(config.data, Tabled):
        table = read_table(config.data, run.manifest.data_checksum)
    return build_data(on_cpu, run.manifest.seeds, table)


def read_table(section: Tabled, expected: str | None) -> Table:
    """Return the samples of a table, whose checksum must be `expected` if that is given."""
    match section:
        case Columned() | Npz():
            return sources.table_of(section, expected)
        case Idx():
            return sources.table_of_idx(section, expected)
        case OwnTable():
            return sources.table_of_own(section, expected)
        case Sklearn():
            return tables.read_sklearn(section.name, expected=expected)
        case ModularAddition():
            return tables.modular_addition(section.modulus)
        case Parity():
            return tables.parity(section.bits)
    raise AssertionError(f"no reader for {section}")


def build_loss(config: Config, features: int | None = None) -> nn.Loss:
    """Return the loss of a config; that of several heads depends on the number of features."""
    if not heads.heads(config.loss):
        return heads.made(config.loss, ())
    assert features is not None
    return heads.made(config.loss, wiring(config).outputs(features))


def build_optimizer(config: Config, network: nn.Network) -> nn.Optimizer:
    """Return the optimiser of a network."""
    optimizer: nn.Optimizer = config.optimizer.make(network)
    return optimizer


def build_stopping(config: Config) -> EarlyStopping | None:
    """Return when a seed stops before the last epoch, None if none does."""
    section = config.train.early_stopping
    return None if section is None else EarlyStopping(**section.model_dump())
