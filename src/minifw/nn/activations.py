"""Activation functions: y = σ(x), number by number."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from minifw.nn.buffers import buffer, picked, rectified
from minifw.nn.module import Module
from minifw.nn.registry import Twin, layer

__all__ = ["ActivationFunction", "ReLU", "Sigmoid", "Tanh"]


class ActivationFunction(Module):
    """y = σ(x) for each number of a tensor of any shape; dL/dx = dL/dy ⊙ σ'(x).

    A subclass gives the formulas, `function` for σ and `derivative` for σ'; or its own `backward`,
    where that is no product.
    """

    def function(self, x: Tensor) -> Tensor:
        """Return σ(x), a tensor of the shape of x."""
        raise NotImplementedError(f"{type(self).__name__} does not define function")

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        """Return σ'(x), given x and y = σ(x), as a new tensor (or a reused one)."""
        raise NotImplementedError(f"{type(self).__name__} does not define derivative")

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        y = self.function(x)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        call = self.recall(gradient)
        (x,), (y,) = call.inputs, call.outputs or ()
        return self.derivative(x, y).mul_(gradient)


activation = partial(
    layer,
    about="the function, of each number",
    section="An activation function.",
    outputs=lambda inputs, keys: inputs,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: inputs,
)
"""Declares a function of each number, whose sizes follow from that."""


@activation("relu", twin=Twin("ReLU"))
class ReLU(ActivationFunction):
    """y = max(0, x); dL/dx = dL/dy where x > 0, else 0. Shapes: any, the output's is the input's.

    dL/dy is picked, not multiplied by σ'(x): where x <= 0, infinity and NaN become 0 too. A NaN
    of x goes through, and so does its dL/dy, as in PyTorch.
    """

    def function(self, x: Tensor) -> Tensor:
        return rectified(x)

    def backward(self, gradient: Tensor) -> Tensor:
        (y,) = self.recall(gradient).outputs or ()
        return picked(gradient, y)


@activation("tanh", twin=Twin("Tanh"))
class Tanh(ActivationFunction):
    """y = tanh x = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ); σ'(x) = 1 - y². Shapes: any, kept."""

    def function(self, x: Tensor) -> Tensor:
        return torch.tanh(x, out=buffer(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.mul(y, y, out=buffer(y)).neg_().add_(1)


@activation("sigmoid", twin=Twin("Sigmoid"))
class Sigmoid(ActivationFunction):
    """y = 1 / (1 + e⁻ˣ), without overflow for any x; σ'(x) = y (1 - y). Shapes: any, kept."""

    def function(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x, out=buffer(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.neg(y, out=buffer(y)).add_(1).mul_(y)
