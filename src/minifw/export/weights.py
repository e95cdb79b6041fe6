"""Weights by their names: a state dict of PyTorch, safetensors, and npz."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from minifw.config.networks import build_network
from minifw.data.reading import read_bytes
from minifw.errors import ArtefactError, ModuleError
from minifw.export.parcel import KEY, About, Parcel, about_of, first_line, only_seed
from minifw.nn.module import described
from minifw.reference import twin
from minifw.reference.loading import as_ours, read_state


def torch_file(parcel: Parcel) -> bytes:
    """Return a state dict as `torch.save` writes it, with PyTorch's names and buffers.

    The JSON is an attribute of the dict, `state.minifw`, so that nothing is among the tensors.
    """
    only_seed(parcel, "torch")
    state: Any = twin(parcel.networks.network, 0).state_dict()
    state.minifw = parcel.about.text()
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def safetensors_file(parcel: Parcel) -> bytes:
    """Return a file of safetensors, the JSON in its metadata."""
    tensors = {name: value.contiguous() for name, value in parcel.weights.items()}
    return bytes(safetensors.torch.save(tensors, {KEY: parcel.about.text()}))


def npz_file(parcel: Parcel) -> bytes:
    """Return an archive of arrays, the JSON as one of text."""
    arrays: dict[str, Any] = {name: value.numpy() for name, value in parcel.weights.items()}
    arrays[KEY] = np.array(parcel.about.text())
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def read_torch(path: Path) -> tuple[About, dict[str, Tensor]]:
    """Return what goes with a state dict, and its tensors by PyTorch's names."""
    state, text = read_state(path)
    return about_of(text, path, "attribute 'minifw'"), state


def read_safetensors(path: Path) -> tuple[About, dict[str, Tensor]]:
    """Return what goes with the tensors of a file, and these."""
    state, text = read_state(path)
    return about_of(text, path, "metadata 'minifw'"), state


def read_npz(path: Path) -> tuple[About, dict[str, Tensor]]:
    """Return what goes with the arrays of a file, and these."""
    content, _ = read_bytes(path, None)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        text = arrays.pop(KEY, None)
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    except Exception as fault:  # zip, headers and dtypes each have their own
        raise ArtefactError(f"{path}: is no archive of arrays: {first_line(fault)}") from None
    return about_of(None if text is None else str(text), path, "array 'minifw'"), tensors


def state_of(
    about: About, found: Mapping[str, Tensor], config: Any, path: Path, *, torch_names: bool
) -> dict[str, Tensor]:
    """Return weights as the stack of networks takes them, `(seeds, …)` by our names.

    Raises:
        ArtefactError: they are not those of the config's network.

    """
    network = build_network(config, about.seeds, len(about.inputs.features))
    try:
        if torch_names:
            found = as_ours(found, network, str(path), 0)
    except ModuleError as fault:
        raise ArtefactError(fault.lines[0]) from None
    several = len(about.seeds) > 1
    state = {name: value if several else value[None] for name, value in found.items()}
    own = network.tensors()
    for name in {**own, **state}:
        mine, came = own.get(name), state.get(name)
        if mine is None or came is None or (mine.shape, mine.dtype) != (came.shape, came.dtype):
            must, has = ("nothing" if v is None else described(v) for v in (mine, came))
            raise ArtefactError(f"{path}: '{name}' must be {must}, as in its config, got {has}")
        if came.is_floating_point() and not came.isfinite().all():
            raise ArtefactError(f"{path}: '{name}' must be finite")
    return state
