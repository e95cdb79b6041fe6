"""Arithmetic of lists of tensors with a number, or with one number for each network.

Each operation here rounds once, so that a network has the same bits whether its number is one for
all or its own, alone and in any stack.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minifw.nn.module import of_networks

Number = float | Tensor
"""A number, or one for each network, `(stack)`."""

Tensors = list[Tensor] | tuple[Tensor, ...]


def like_each(number: Tensor, tensors: Tensors) -> list[Tensor]:
    """Return one number for each network in a shape that is broadcast to each of the tensors."""
    by_ndim = {tensor.ndim: tensor for tensor in tensors}
    shaped = {ndim: of_networks(number, tensor) for ndim, tensor in by_ndim.items()}
    return [shaped[tensor.ndim] for tensor in tensors]


def times(tensors: Tensors, number: Number) -> list[Tensor]:
    """Return each tensor times the number."""
    if isinstance(number, Tensor):
        return list(torch._foreach_mul(tensors, like_each(number, tensors)))
    return list(torch._foreach_mul(tensors, number))


def times_(tensors: Tensors, number: Number) -> None:
    """Multiply each tensor by the number, in place."""
    torch._foreach_mul_(
        tensors, like_each(number, tensors) if isinstance(number, Tensor) else number
    )


def plus_(tensors: Tensors, number: Number) -> None:
    """Add the number to each tensor, in place."""
    torch._foreach_add_(
        tensors, like_each(number, tensors) if isinstance(number, Tensor) else number
    )


def average_(averages: Tensors, values: Tensors, rest: Number) -> None:
    """Take a step of moving averages, in place: m <- m + (1 - β)(x - m), where `rest` is 1 - β."""
    change = torch._foreach_sub(values, averages)
    times_(change, rest)
    torch._foreach_add_(averages, change)


def rate(eta: float | Tensor, like: Tensor) -> Tensor:
    """Return a learning rate as a tensor, of the dtype of `like`."""
    return torch.as_tensor(eta, dtype=like.dtype, device=like.device)
