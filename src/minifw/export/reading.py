"""Networks out of an exported file, ready for `minifw predict`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from minifw import nn
from minifw.config import loading
from minifw.config.model import Config
from minifw.data import Floats
from minifw.errors import UsageError
from minifw.experiment.prediction import Networks, dialect_of, networks_of
from minifw.export import c_file, onnx_file, source, weights
from minifw.export.columns import rows_of
from minifw.export.formats import BY_SUFFIX
from minifw.export.parcel import About
from minifw.reference.loading import code_of

Function = Callable[[Floats], Floats]
"""Rows `(n, columns)` to scores, or numbers in the target's own unit, `(n, outputs)`."""


@dataclass(frozen=True)
class Foreign(Networks):
    """A network in another program: `function` has normalisation and all else within."""

    function: Function = lambda rows: rows

    def outputs(self, samples: Floats) -> Tensor:
        return torch.from_numpy(np.array(self.function(rows_of(self.about.coded, samples))))[None]

    def scores(self, output: Tensor) -> Tensor:
        return output  # they are scores already

    @property
    def widest(self) -> int:
        return max(len(self.about.features), self.about.outputs)


def load(
    path: Path, seed: int | None = None, mode: str | None = None, *, allow_code: bool = False
) -> tuple[Networks, About]:
    """Return the networks of an exported file, and what goes with them.

    Args:
        path: the file.
        seed: only the network of this seed, which must be one of the file.
        mode: that of the networks, if it is to be checked.
        allow_code: whether code in the file may run.

    Raises:
        UsageError: the file is code and that is not allowed, or its name has no known ending.
        ArtefactError: it is of another program, or damaged.

    """
    networks, about = _loaded(path, seed, allow_code)
    if mode not in (None, about.mode):
        raise UsageError(f"--mode: the networks of {path} are of {about.mode}, got '{mode}'")
    return networks, about


def _loaded(path: Path, seed: int | None, allow_code: bool) -> tuple[Networks, About]:
    kind = BY_SUFFIX.get(path.suffix)
    if kind is None:
        raise UsageError(
            f"{path}: is neither a run nor an exported network, whose name ends in "
            f"{', '.join(BY_SUFFIX)}"
        )
    if kind in ("torch", "safetensors", "npz"):
        return _ours(path, kind, seed, allow_code)
    if kind == "onnx":
        about, function = onnx_file.read(path)
        _place_of(seed, about, path)
        return _foreign(about, function, path, allow_code), about
    read = source.read if kind == "torch-code" else c_file.read
    about, begin = read(path)
    _place_of(seed, about, path)
    if not allow_code:
        what = "runs the code" if kind == "torch-code" else "compiles and runs the code"
        raise UsageError(f"{path}: predicting {what} in this file; --allow-code permits it")
    return _foreign(about, begin(), path, allow_code), about


def _place_of(seed: int | None, about: About, path: Path) -> slice:
    """Return the place of a seed among those of a file; of all without one."""
    if seed is None:
        return slice(None)
    if seed not in about.seeds:
        raise UsageError(f"--seed: {path} has {', '.join(map(str, about.seeds))}, got {seed}")
    place = about.seeds.index(seed)
    return slice(place, place + 1)


def _ours(path: Path, kind: str, seed: int | None, allow_code: bool) -> tuple[Networks, About]:
    reader = {
        "torch": weights.read_torch,
        "safetensors": weights.read_safetensors,
        "npz": weights.read_npz,
    }[kind]
    about, tensors = reader(path)
    config = _config(about, path, allow_code)
    state = weights.state_of(about, tensors, config, path, torch_names=kind == "torch")
    which, where = _place_of(seed, about, path), str(path)
    prepared = about.prepared(where)
    networks = networks_of(
        config,
        about.inputs,
        about.seeds[which],
        {name: value[which] for name, value in state.items()},
        [numbers[which] for numbers in about.moved(where)],
        prepared and prepared.of(which),
        [],
        where,
    )
    return networks, about


def _config(about: About, path: Path, allow_code: bool) -> Config:
    config = loading.of_run(about.config, path, code_of(about.code, allow_code))
    return config.model_copy(update={"device": "cpu"})


def _foreign(about: About, function: Function, path: Path, allow_code: bool) -> Networks:
    """Return the one network of a program; its rows are those of the columns."""
    empty = np.zeros((1, 0))
    targets = len(about.inputs.targets)
    return Foreign(
        about.inputs,
        about.seeds,
        [],
        nn.Sequential(),
        torch.float64,
        shift=empty,
        scale=empty,
        target_shift=np.zeros((1, targets)),
        target_scale=np.ones((1, targets)),
        dialect=dialect_of(_config(about, path, allow_code), about.inputs),
        function=function,
    )
