"""A residual block: a path past the layer

Deep chains are hard to train: the gradient goes through every layer, and each one may shrink it. A
*residual block* adds its input to what it computes:

    a = x Wᵀ          h = tanh(a)          y = x + h

The block has to learn only the difference ("residual") between output and input. With W = 0 it
is the identity, so that a hundred blocks in a row do no harm at the beginning. Two paths lead from
x to y: one past the layer, one through it.

**The sum.** y[s, i] grows by 1 if x[s, i] grows by 1, and by 1 if h[s, i] does. So the gradient of
a sum goes to both of its terms unchanged:

    dL/dh = dL/dy = G
    dL/dx = (past the layer)  G   +   (through the layer)  dL/da W

**The layer**, as in the exercises before:

    dL/da = G ⊙ (1 - h²)          dL/dW = (dL/da)ᵀ x          through the layer: dL/da W

Together

    dL/dx = G + (G ⊙ (1 - h²)) W

The first term is what makes the block worth it: G arrives at x whole, whatever the weights are. In
a chain of blocks the gradient of the loss reaches the first layer at its full size (He et al., Deep
residual learning, 2015, and Identity mappings, 2016).

**By hand.** One number, without tanh: y = x + w x with w = 0.1, x = 5: y = 5.5; let dL/dy = 2.

    dL/dw = 2 · 5 = 10          dL/dx = 2 + 2 · 0.1 = 2.2

Ten such blocks in a row multiply the gradient by 1.1¹⁰ = 2.6. Without the path past the layers it
would be 0.1¹⁰.

**A trap: memory.** It is tempting to write `gradient += of_a @ self.weight` and return `gradient`.
But that changes the tensor of the caller; the block above, or a second path, may still need it. If
a gradient goes two ways, none of them may write on it. Make a new tensor: `gradient + …`.

**What usually goes wrong**

- The identity is forgotten: only the gradient through the layer is returned.
- Only G is returned, and the path through the layer is forgotten.
- The derivative is taken of y, 1 - y²: tanh gave h, and y is another number. `forward` remembers h.
- dL/dy is changed in place.

Write `backward`: add dL/dW to `self.weight_grad`, and return dL/dx.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minifw import nn


class Residual(nn.Module):
    """y = x + tanh(x Wᵀ), with as many outputs as inputs."""

    def __init__(
        self, size: int, stack: tuple[int, ...] = (), dtype: torch.dtype = torch.float32
    ) -> None:
        self.register_parameter("weight", torch.randn(*stack, size, size, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return y `(…, samples, size)`, and remember x and h."""
        h = torch.tanh(x @ self.weight.mT)
        y = x + h
        self.remember((x,), (y,), saved=(x, h))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        """Take dL/dy, add dL/dW to `self.weight_grad`, return dL/dx."""
        x, h = self.recall(gradient).saved
        # --- your code
        of_a = gradient * (1 - h * h)
        self.weight_grad += of_a.mT @ x
        return gradient + of_a @ self.weight
        # --- end


# --- checks

from collections.abc import Callable
from typing import Any

from minifw.course.variants import maker, with_mistakes
from minifw.nn.checks import check_module

IN_MINIFW = nn.Add


def _without_identity(self: Any, gradient: Tensor) -> Tensor:
    return Residual.backward(self, gradient) - gradient


def _only_identity(self: Any, gradient: Tensor) -> Tensor:
    return gradient.clone()


def _of_y(self: Any, gradient: Tensor) -> Tensor:
    call = self.recall(gradient)
    (x,), (y,) = call.inputs, call.outputs
    of_a = gradient * (1 - y * y)
    self.weight_grad += of_a.mT @ x
    return gradient + of_a @ self.weight


def _without_derivative(self: Any, gradient: Tensor) -> Tensor:
    (x,) = self.recall(gradient).inputs
    self.weight_grad += gradient.mT @ x
    return gradient + gradient @ self.weight


def _transposed(self: Any, gradient: Tensor) -> Tensor:
    of_a = gradient * (1 - self.recall(gradient).saved[1] ** 2)
    return gradient + of_a @ self.weight.mT


MISTAKES: dict[str, Callable[..., Tensor]] = {
    "the identity is missing: dL/dy also goes past the layer, straight to x": _without_identity,
    "the path through the layer is missing: this is dL/dy alone": _only_identity,
    "the derivative of tanh is 1 - h², and here it is 1 - y²": _of_y,
    "the derivative of tanh, 1 - h², is missing": _without_derivative,
    "the weight is transposed on the way back to x": _transposed,
}


def check_backward(mine: Any) -> None:
    """All that minifw claims of its own modules."""
    for size, samples in (3, 5), (4, 1):
        check_module(
            maker(mine.Residual, size),
            [(samples, size)],
            mistakes=with_mistakes(Residual, "backward", MISTAKES, size),
        )
