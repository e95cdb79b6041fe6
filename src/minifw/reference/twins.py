"""PyTorch twins: the same network, loss, optimiser and gradients in PyTorch.

The declaration of a layer, loss or optimiser names its twin, see `nn/registry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minifw import nn as ours
from minifw.errors import UsageError
from minifw.nn import Twin
from minifw.nn.registry import (
    Declaration,
    LayerDeclaration,
    LossDeclaration,
    OptimizerDeclaration,
    declaration_of,
)

Criterion = Callable[[Tensor, Tensor], Tensor]


def twin_of(thing: Any, family: type[Declaration]) -> Twin:
    """Return the declared PyTorch twin of a module, loss or optimiser.

    Raises:
        UsageError: its class declares none.

    """
    found = declaration_of(type(thing), family).twin
    if found is None:
        raise UsageError(
            f"{type(thing).__name__}: there is no PyTorch twin of it to compare with; "
            "declare one beside the class, as in @layer(twin=Twin('ReLU')), or use "
            "--reference none"
        )
    return found


def check(network: ours.Network, loss: ours.Loss, optimizer: ours.Optimizer) -> None:
    """Raise a UsageError unless there is a twin of every module, the loss and the optimiser."""
    for module in network:
        twin_of(module, LayerDeclaration)
    twin_of(loss, LossDeclaration)
    twin_of(optimizer, OptimizerDeclaration)


def twin(network: ours.Network, seed: int) -> nn.Sequential:
    """Return network number `seed` of a stack as an nn.Sequential, with weights copied by name."""
    return nn.Sequential(*(layer_like(module, seed) for module in network))


def layer_like(module: ours.Module, seed: int | None) -> nn.Module:
    """Return the PyTorch layer with the weights of one network of a stack, or of no stack."""
    called = twin_of(module, LayerDeclaration)
    arguments = called.arguments(module)
    parameters = module.parameters()
    if parameters:
        like = parameters[0].value
        arguments |= {"dtype": like.dtype, "device": like.device}
    layer: nn.Module = getattr(nn, called.name)(**arguments)
    if parameters:
        state = {name: value if seed is None else value[seed] for name, value, _ in parameters}
        layer.load_state_dict(state)
    return layer


def criterion_like(loss: ours.Loss, **changed: Any) -> Criterion:
    """Return the PyTorch loss with the formula and the scale of `loss`, for one network."""
    called = twin_of(loss, LossDeclaration)
    kind, arguments = getattr(nn, called.name), called.arguments(loss)
    reduction = changed.get("reduction", getattr(loss, "reduction", "mean"))
    if reduction != "sample":
        criterion: Criterion = kind(reduction=reduction, **arguments)
        return criterion
    total = kind(reduction="sum", **arguments)

    def per_sample(output: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = total(output, target)
        return loss / len(output)

    return per_sample


def optimizer_like(
    optimizer: ours.Optimizer, parameters: Iterable[Tensor], eta: float
) -> torch.optim.Optimizer:
    """Return the PyTorch optimiser with the same steps as `optimizer`, for these parameters."""
    called = twin_of(optimizer, OptimizerDeclaration)
    made: torch.optim.Optimizer = getattr(torch.optim, called.name)(
        parameters, lr=eta, **called.arguments(optimizer)
    )
    return made


def gradients(
    network: ours.Network, loss: ours.Loss, batches: Sequence[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """Return autograd's gradients of the loss on each seed's batch, stacked over seeds."""
    criterion = criterion_like(loss)
    per_seed: list[Any] = []
    for seed, (inputs, target) in enumerate(batches):
        net = twin(network, seed)
        criterion(net(inputs), target).backward()
        by_name = dict(net.named_parameters())
        per_seed.append([by_name[name].grad for name, _, _ in network.parameters()])
    return [torch.stack(same) for same in zip(*per_seed, strict=True)]
