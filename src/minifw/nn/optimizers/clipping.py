"""What is done to gradients before an optimiser's own formula: clipping, and weight decay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minifw.nn.module import Parameter, of_networks
from minifw.nn.optimizers.arithmetic import Number, times

SMALL = 1e-6
"""Is added to the norm, as torch.nn.utils.clip_grad_norm_ does."""


def norms(gradients: Sequence[Tensor], stack: tuple[int, ...]) -> Tensor:
    """Return the norm of each network's gradient over all its parameters, `(stack)`."""
    rows = torch.cat([gradient.reshape(*stack, -1) for gradient in gradients], -1)
    return rows.mul(rows).sum(-1).sqrt()


def clipped(gradients: Sequence[Tensor], most: Number, stack: tuple[int, ...]) -> list[Tensor]:
    """Return gradients whose norm is at most `most`: g · min(1, most / (‖g‖ + 1e-6)).

    The norm is that of a network over all its parameters. `most` is a number, or one for each
    network; where it is infinite, nothing is changed. Source: the formula of
    torch.nn.utils.clip_grad_norm_.
    """
    norm = norms(gradients, stack).add_(SMALL)
    bound = most if isinstance(most, Tensor) else torch.full_like(norm, most)
    factor = torch.where(norm > bound, bound / norm, torch.ones_like(norm))
    return times(gradients, factor)


def decayed(
    parameters: Sequence[Parameter], gradients: list[Tensor], decay: Number
) -> list[Tensor]:
    """Return g + λ w of each parameter; `decay` λ is a number, or one for each network."""
    values = [value for _, value, _ in parameters]
    if isinstance(decay, Tensor):
        return [
            gradient.addcmul(value, of_networks(decay, value))
            for value, gradient in zip(values, gradients, strict=True)
        ]
    if not decay:
        return gradients
    return list(torch._foreach_add(gradients, values, alpha=decay))
