"""What layers need of samples besides their shape: whole numbers, and enough of them in a batch.

Found before a run begins, which would otherwise end in the middle of its first epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from minifw.config.layers import LayerSection
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.config.wiring import wiring
from minifw.runs import Mode

__all__ = ["note_batches", "note_tokens", "takes_tokens"]


def note_batches(
    config: Config, source: Source, features: int, train: int, modes: Sequence[Mode]
) -> None:
    """Note the batch size if the last batch is too small for a layer: a mean needs two samples."""
    wired = wiring(config)
    shapes = wired.shapes(features)
    size = config.train.batch_size or train
    for mode in modes:
        batch = train if mode == "full-batch" else (train % size or size)
        for position, layer in enumerate(wired.layers):
            least = layer.declaration.least
            needed = 1 if least is None else least(wired.taken(position, shapes)[0], layer.keys)
            if needed <= batch:
                continue
            where = f"network.{position}{source.line(('network', position))}, {layer.word}"
            what = f"{where}, needs {needed} or more samples in training"
            if mode == "full-batch":
                source.add(("data",), f"{what}, got {batch}")
            else:
                left = f"{train} samples in batches of {size} leave {batch} for the last"
                source.add(("train", "batch_size"), f"{what}; {left}")
            return


def takes_tokens(config: Config) -> Iterator[tuple[int, LayerSection]]:
    """Yield the layers that take the data's numbers and need whole ones, with their positions."""
    wired = wiring(config)
    for position, layer in enumerate(wired.layers):
        if layer.declaration.whole is not None and wired.inputs[position] == (0,):
            yield position, layer


def note_tokens(config: Config, source: Source, inputs: NDArray[np.float64]) -> None:
    """Note each layer that needs whole numbers below some other, and takes inputs that are not."""
    for position, layer in takes_tokens(config):
        most = layer.declaration.whole(layer.keys) - 1
        whole = (inputs == np.floor(inputs)) & (inputs >= 0) & (inputs <= most)
        if not np.all(whole | np.isnan(inputs)):  # gaps are filled by each seed
            normalized = "; data.normalize must be false" if config.data.normalize else ""
            source.add(
                ("network", position),
                f"takes whole numbers from 0 to {most}, but the data has numbers from "
                f"{np.nanmin(inputs):g} to {np.nanmax(inputs):g}{normalized}",
            )


def note_tensorboard(config: Config, source: Source) -> None:
    """Note a fault if the config wants event files and TensorBoard is not installed."""
    if config.train.tensorboard and find_spec("tensorboard") is None:
        what = 'needs TensorBoard, which is not installed: pip install "minifw[tensorboard]"'
        source.add(("train", "tensorboard"), f"{what}; false trains without")
