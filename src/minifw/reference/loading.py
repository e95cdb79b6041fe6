"""PyTorch's weights in our networks, and ours as a state dict of PyTorch."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from minifw import nn as ours
from minifw.config import loading
from minifw.config.code import Code
from minifw.config.networks import build_network
from minifw.data.reading import read_bytes
from minifw.errors import ArtefactError, StateError, UsageError
from minifw.nn.module import described
from minifw.reference.twins import names, twin

SHOWN = 3
"""Names of tensors in a message."""


def load(
    path: str | os.PathLike[str], network: ours.Network | None = None, *, allow_code: bool = False
) -> ours.Network:
    """Load a state dict of PyTorch into a network of minifw, and return the network.

    The file is that of `torch.save(net.state_dict(), path)`, or of `safetensors`. It is read with
    `weights_only=True`: nothing in it is executed.

    Args:
        path: the file, `.safetensors`, or else as `torch.save` writes it.
        network: one network without a stack, whose weights become those of the file. The tensors
            must have the names and shapes of its PyTorch twin: for a `Sequential` those of an
            `nn.Sequential` of the same layers, `0.weight`, `0.bias`, `2.weight`, …; their numbers
            become those of the network's dtype. Without it the file must be one of `minifw
            export`, which says what the network is.
        allow_code: whether the network may consist of a user's own modules, which the file has.

    Raises:
        DataError: the file cannot be read.
        ArtefactError: it is no state dict, or does not say what its network is.
        StateError: names or shapes are not those of the network's twin.
        UsageError: a layer has no counterpart in PyTorch.

    """
    path = Path(path)
    state, about = read_state(path)
    if network is None:
        network = _described(path, about, allow_code)
    elif network.stack:
        raise UsageError(f"{network}: is a stack of networks; a state dict is that of one network")
    network.load_state_dict(as_ours(state, network, str(path)))
    return network


def _described(path: Path, about: str | None, allow_code: bool) -> ours.Network:
    """Return the network that a file of `minifw export` describes, without a stack."""
    what = f"{path}: does not say what its network is; give one: load(path, network)"
    if about is None:
        raise ArtefactError(what)
    try:
        known: dict[str, Any] = json.loads(about)
        text, features = str(known["config"]), len(known["inputs"]["features"])
        files = {str(name): str(content) for name, content in known.get("code", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ArtefactError(what) from None
    config = loading.of_run(text, path, code_of(files, allow_code))
    stack = build_network(config.model_copy(update={"device": "cpu"}), [config.seed], features)
    values = [value[0].clone() for _, value, _ in stack.parameters()]
    return stack.with_parameters(values, [value[0].clone() for _, value in stack.states()]).eval()


def code_of(files: Mapping[str, str], allowed: bool) -> Code:
    """Return the Python files that came with a config."""
    return Code(allowed, lambda name: files[name].encode() if name in files else None)


def read_state(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Return the tensors of a file by their names, and what minifw wrote about them, if it did.

    Raises:
        DataError: the file cannot be read.
        ArtefactError: it holds anything but tensors.

    """
    content, _ = read_bytes(path, None)
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.torch.load(content)
            size = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + size])
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as fault:
            raise ArtefactError(f"{path}: is no file of safetensors: {_first(fault)}") from None
        return tensors, header.get("__metadata__", {}).get("minifw")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as fault:  # pickle, zip, and torch each have their own
        raise ArtefactError(
            f"{path}: is no state dict that torch.load reads with weights_only=True: "
            f"{_first(fault)}"
        ) from None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise ArtefactError(
            f"{path}: must be a state dict, tensors by their names, as torch.save(net.state_dict(),"
            f" path) writes it, got {type(state).__name__}"
        )
    about = getattr(state, "minifw", None)
    return dict(state), about if isinstance(about, str) else None


def _first(fault: BaseException) -> str:
    """Return the first sentence of what PyTorch says: the next is advice to load without care."""
    return next(iter(str(fault).splitlines()), type(fault).__name__).partition(". ")[0]


def as_ours(
    state: Mapping[str, Tensor], network: ours.Network, where: str, seed: int | None = None
) -> dict[str, Tensor]:
    """Return a state dict of PyTorch under the names of our network.

    What only ours has, such as the random stream of a dropout, is as in the network.

    Args:
        state: by the names of the network's twin.
        network: one network, or a stack of which `seed` is one.
        where: where the state dict is from, for messages.
        seed: the place in the stack.

    Raises:
        StateError: the names are not those of the twin, or a shape differs.

    """
    net = twin(network, seed)
    theirs = net.state_dict()
    missing, unknown = ([n for n in a if n not in b] for a, b in ((theirs, state), (state, theirs)))
    if missing or unknown:
        parts = []
        if missing:
            parts.append(f"lacks {_some(missing)} of the network")
        if unknown:
            parts.append(f"has {_some(unknown)}, which the network has not")
        raise StateError(f"{where}: {', and '.join(parts)}")
    found = {name: value[seed] if seed is not None else value for name, value in
             network.tensors().items()}  # fmt: skip
    for mine, name in names(network, net).items():
        if state[name].shape != found[mine].shape:
            raise StateError(
                f"{where}: '{name}' must be {described(found[mine])}, as '{mine}' of the network, "
                f"got {described(state[name])}"
            )
        found[mine] = state[name].to(found[mine].dtype)
    return found


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
