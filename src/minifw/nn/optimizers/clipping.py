"""What is done to gradients before an optimiser's own formula: clipping, and weight decay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minifw.nn.module import Parameter, of_networks
from minifw.nn.optimizers.arithmetic import Number, like_each

SMALL = 1e-6
"""Is added to the norm, as torch.nn.utils.clip_grad_norm_ does."""

PIECE = 2**14
"""So many numbers are added at once: torch divides a larger sum among its threads, but only if it
is that of a single network, so a network alone would have other bits than in a stack."""


def norms(gradients: list[Tensor], stack: tuple[int, ...]) -> Tensor:
    """Return the norm of each network's gradient over all its parameters, `(stack)`."""
    rows = torch.cat([gradient.reshape(*stack, -1) for gradient in gradients], -1)
    squares = rows.mul(rows)
    count = squares.shape[-1]
    total = squares.narrow(-1, 0, min(PIECE, count)).sum(-1)
    for first in range(PIECE, count, PIECE):
        total.add_(squares.narrow(-1, first, min(PIECE, count - first)).sum(-1))
    return total.sqrt()


def clipped(gradients: list[Tensor], most: Number, stack: tuple[int, ...]) -> list[Tensor]:
    """Return gradients whose norm is at most `most`: g / max(1, (‖g‖ + 1e-6) / most).

    The norm is that of a network over all its parameters. `most` is a number, or one for each
    network; where it is infinite, nothing is changed. Source: the formula of
    torch.nn.utils.clip_grad_norm_.
    """
    norm = norms(gradients, stack).add_(SMALL)
    bound = most if isinstance(most, Tensor) else torch.full_like(norm, most)
    # Divided, not multiplied: a compiler may round a product and a sum that follows once, so that
    # where nothing is clipped a network would have other bits than without clipping.
    divisor = torch.where(norm > bound, norm / bound, torch.ones_like(norm))
    return list(torch._foreach_div(gradients, like_each(divisor, gradients)))


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
