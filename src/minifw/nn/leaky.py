"""Rectifiers that let a part of negative numbers through: `LeakyReLU`, `PReLU`, `ELU`.

Each is max(0, x) plus a function of min(0, x): choosing by a mask takes ten times as long where
signs are random, since the processor cannot foresee them (docs/decisions.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.activations import ActivationFunction, activation
from minifw.nn.buffers import buffer, positive, rectified, sum_like
from minifw.nn.module import Module, described
from minifw.nn.registry import Key, Keys, Shape, Twin, layer

__all__ = ["ELU", "LeakyReLU", "PReLU"]


@activation(
    "leaky-relu",
    short="negative_slope",
    twin=Twin("LeakyReLU", negative_slope="negative_slope"),
    case={"negative_slope": 0.1},
)
class LeakyReLU(ActivationFunction):
    """y = max(0, x) + a min(0, x); σ'(x) = 1 where x > 0, else a. Any shape, kept.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models",
    2013.
    """

    def __init__(
        self,
        negative_slope: Annotated[float, Key("a, the factor of negative numbers")] = 0.01,
    ) -> None:
        self.negative_slope = negative_slope

    def function(self, x: Tensor) -> Tensor:
        return _below(x).mul_(self.negative_slope).add_(rectified(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return positive(x).mul_(1 - self.negative_slope).add_(self.negative_slope)

    def __repr__(self) -> str:
        return f"LeakyReLU({self.negative_slope})"


def _below(x: Tensor) -> Tensor:
    """Return min(0, x), in a new tensor or a buffer."""
    return torch.clamp(x, max=0, out=buffer(x))


@activation("elu", short="alpha", twin=Twin("ELU", alpha="alpha"), case={"alpha": 0.7})
class ELU(ActivationFunction):
    """y = max(0, x) + α (exp(min(0, x)) - 1); σ'(x) = 1 where x > 0, else α eˣ. Any shape, kept.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", arXiv:1511.07289.
    """

    def __init__(
        self, alpha: Annotated[float, Key("α: for very negative numbers y is -α")] = 1.0
    ) -> None:
        self.alpha = alpha

    def function(self, x: Tensor) -> Tensor:
        return _below(x).expm1_().mul_(self.alpha).add_(rectified(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        slope = _below(x).exp_()  # 1 where x > 0
        if self.alpha == 1:
            return slope
        return positive(x).mul_(1 - self.alpha).add_(slope, alpha=self.alpha)

    def __repr__(self) -> str:
        return f"ELU({self.alpha})"


def _channels(inputs: Shape, keys: Keys) -> Shape:
    """Return the shape of a sample, after checking that it has so many channels."""
    if keys["num_parameters"] not in (1, inputs[0]):
        raise ModuleError(
            f"prelu: num_parameters must be 1, or {inputs[0]} for the channels of a sample, "
            f"got {keys['num_parameters']}"
        )
    return inputs


@layer(
    "prelu",
    about="max(0, x) + a min(0, x) with a trained a",
    section="A ReLU with a trained factor of negative numbers, for all or for each channel.",
    short="num_parameters",
    outputs=_channels,
    parameters=lambda inputs, keys: keys["num_parameters"],
    operations=lambda inputs, keys: 2 * math.prod(inputs),
    twin=Twin("PReLU", num_parameters="num_parameters"),
    case={"num_parameters": 4},
)
class PReLU(Module):
    """y = max(0, x) + a min(0, x) with a trained a; dL/dx = dL/dy where x > 0, else a dL/dy.

    x and y are `(…, samples, channels)` or `(…, samples, channels, length, …)`; `…` is the stack
    and must equal that of the weight:

        weight  a  (…, num_parameters)      weight_grad  dL/da = Σ of dL/dy min(0, x)

    summed over the samples, and over all that the same a is the factor of. Source: He et al.,
    "Delving deep into rectifiers", arXiv:1502.01852.

    Args:
        num_parameters: 1 for one a, or the number of channels (or features) for one each.
        slope: the value that each a begins with; PyTorch calls it init.
        stack: the leading dimensions, `(20,)` for twenty networks; `()` is one network.
        dtype: torch.float32 or torch.float64.
        device: the device of the tensors.

    """

    weight: Tensor
    weight_grad: Tensor

    def __init__(
        self,
        num_parameters: Annotated[
            int, Key("1, or the number of channels or features for one factor each", ge=1)
        ] = 1,
        slope: Annotated[float, Key("the value that factors begin with")] = 0.25,
        *,
        stack: Sequence[int] = (),
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        if isinstance(num_parameters, bool) or not isinstance(num_parameters, int) or (
            num_parameters < 1
        ):  # fmt: skip
            raise ShapeError(
                "PReLU: num_parameters must be a whole number of at least 1, "
                f"got {num_parameters!r}"
            )
        if not math.isfinite(slope):
            raise ModuleError(f"PReLU: slope must be a finite number, got {slope!r}")
        self.num_parameters, self.slope = num_parameters, slope
        weight = torch.full((*stack, num_parameters), float(slope), dtype=dtype, device=device)
        self.register_parameter("weight", weight)

    @property
    def stack(self) -> tuple[int, ...]:
        return tuple(self.weight.shape[:-1])

    def initialize(self, init: Any, generators: Sequence[np.random.Generator]) -> None:
        """Set the weight to the value that it begins with: nothing of it is drawn."""
        self.weight.fill_(self.slope)

    def forward(self, x: Tensor) -> Tensor:
        a = self._factors(x)
        y = _below(x).mul_(a).add_(rectified(x))
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        (x,) = self.recall(gradient).inputs
        a = self._factors(x)
        return positive(x).mul_(1 - a).add_(a).mul_(gradient)

    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        terms = _below(x).mul_(gradient)
        self.weight_grad.add_(sum_like(terms, self._factors(x)).view_as(self.weight))

    def _factors(self, x: Tensor) -> Tensor:
        """Return the weight in a shape that is broadcast to x."""
        self.check_floating(x)
        stack, count = self.weight.shape[:-1], self.num_parameters
        sample = x.shape[len(stack) + 1 :]
        if x.shape[: len(stack)] != stack or not sample or (count > 1 and sample[0] != count):
            expected = ", ".join([*map(str, stack), "samples", str(count) if count > 1 else "…"])
            raise ShapeError(
                f"{self}.forward: expects an input of shape ({expected}), got {described(x)}"
            )
        return self.weight.view(*stack, 1, count, *[1] * (len(sample) - 1))

    def __repr__(self) -> str:
        return f"PReLU({self.num_parameters})"
