"""Activation functions: y = σ(x), elementwise."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.buffers import buffer, picked, rectified, sigmoid
from minifw.nn.module import Module
from minifw.nn.registry import Key, Twin, layer

__all__ = ["ActivationFunction", "Identity", "ReLU", "Sigmoid", "Softplus", "Tanh"]


class ActivationFunction(Module):
    """y = σ(x), elementwise on a tensor of any shape; dL/dx = dL/dy ⊙ σ'(x).

    A subclass defines `function` for σ and `derivative` for σ', or its own `backward` if that is
    not a product.
    """

    def function(self, x: Tensor) -> Tensor:
        """Return σ(x), of the shape of x."""
        raise NotImplementedError(f"{type(self).__name__} does not define function")

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        """Return σ'(x) from x and y = σ(x), in a new tensor or a buffer."""
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
    about="the function, applied to each number",
    section="An activation function.",
    outputs=lambda inputs, keys: inputs,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: math.prod(inputs),
)
"""Declares an elementwise function: its outputs have the shape of its inputs."""


@activation("relu", twin=Twin("ReLU"))
class ReLU(ActivationFunction):
    """y = max(0, x); dL/dx = dL/dy where x > 0, else 0. Any shape, which the output has too.

    dL/dy is selected, not multiplied by σ'(x): where x <= 0, an infinity or NaN of dL/dy becomes 0
    too. A NaN of x remains NaN and lets dL/dy pass, as in PyTorch.

    Source: Nair and Hinton, Rectified linear units, ICML 2010.
    """

    def function(self, x: Tensor) -> Tensor:
        return rectified(x)

    def backward(self, gradient: Tensor) -> Tensor:
        (y,) = self.recall(gradient).outputs or ()
        return picked(gradient, y)


@activation("tanh", twin=Twin("Tanh"))
class Tanh(ActivationFunction):
    """y = tanh x = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ); σ'(x) = 1 - y². Any shape, kept.

    Source: LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.4.
    """

    def function(self, x: Tensor) -> Tensor:
        return torch.tanh(x, out=buffer(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.mul(y, y, out=buffer(y)).neg_().add_(1)


@activation("sigmoid", twin=Twin("Sigmoid"))
class Sigmoid(ActivationFunction):
    """y = 1 / (1 + e⁻ˣ), without overflow for any x; σ'(x) = y (1 - y). Any shape, kept.

    Source: LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.4.
    """

    def function(self, x: Tensor) -> Tensor:
        return sigmoid(x, buffer(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.neg(y, out=buffer(y)).add_(1).mul_(y)


@activation(
    "softplus",
    short="beta",
    twin=Twin("Softplus", beta="beta", threshold="threshold"),
    case={"beta": 1.5, "threshold": 2.0},
)
class Softplus(ActivationFunction):
    """y = log(1 + exp(β x)) / β, and x where β x > threshold; σ'(x) = 1 / (1 + exp(-β x)), and 1.

    A smooth max(0, x): the larger β, the sharper its bend. Any shape, kept. Source: Dugas et al.,
    "Incorporating second-order functional knowledge for better option pricing", 2000.
    """

    def __init__(
        self,
        beta: Annotated[float, Key("β, the sharpness of the bend", gt=0)] = 1.0,
        threshold: Annotated[float, Key("above it β x is so large that y is x")] = 20.0,
    ) -> None:
        if not beta > 0:
            raise ModuleError(f"Softplus: beta must be above 0, got {beta!r}")
        self.beta, self.threshold = beta, threshold

    def function(self, x: Tensor) -> Tensor:
        scaled = torch.mul(x, self.beta, out=buffer(x))
        is_large = scaled > self.threshold
        return torch.where(is_large, x, scaled.exp_().log1p_().div_(self.beta), out=buffer(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        scaled = torch.mul(x, self.beta, out=buffer(x))
        is_large = scaled > self.threshold
        return sigmoid(scaled, scaled).masked_fill_(is_large, 1)

    def __repr__(self) -> str:
        return f"Softplus(beta={self.beta}, threshold={self.threshold})"


@activation(
    "identity",
    about="the input as it is",
    section="A layer that changes nothing.",
    twin=Twin("Identity"),
)
class Identity(ActivationFunction):
    """y = x; dL/dx = dL/dy. Any shape, kept: input and output are the same tensor."""

    def function(self, x: Tensor) -> Tensor:
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        self.recall(gradient)
        return gradient
