"""`Softmax`: numbers above 0 that sum to 1."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from minifw.errors import ShapeError
from minifw.nn.buffers import buffer
from minifw.nn.module import Module, described
from minifw.nn.registry import Key, Shape, Twin, layer

__all__ = ["Softmax"]


def _outputs(inputs: Shape, dim: int) -> Shape:
    if -dim > len(inputs):
        raise ShapeError(f"softmax: a sample {inputs} has no dimension {dim}")
    return inputs


@layer(
    "softmax",
    about="exp(x), divided by its sum over the features",
    section="Numbers above 0 that sum to 1. Before cross-entropy none is needed: it has one.",
    short="dim",
    outputs=lambda inputs, keys: _outputs(inputs, keys["dim"]),
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: 3 * math.prod(inputs),
    twin=Twin("Softmax", dim="dim"),
    case={"dim": -1},
)
class Softmax(Module):
    """y = eˣ / Σ eˣ, with the sum over one dimension of a sample; dL/dx = y (g - Σ g y), g = dL/dy.

    The largest x is subtracted first, so nothing overflows. Any shape, `(…, samples, features)`,
    which y has too. Before `LossCrossEntropy` no softmax is needed: that has one in it. Source:
    Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.

    Args:
        dim: the dimension, from the end: -1 for features, -3 for the channels of images.

    """

    def __init__(self, dim: Annotated[int, Key("the dimension, from the end", le=-1)] = -1) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or dim >= 0:
            raise ShapeError(
                f"Softmax: dim must count from the end, as -1, whatever the stack, got {dim!r}"
            )
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        if x.ndim <= -self.dim:
            raise ShapeError(
                f"{self}.forward: expects samples with a dimension {self.dim}, got {described(x)}"
            )
        y = torch.softmax(x, self.dim, out=buffer(x))
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (y,) = self.recall(gradient).outputs or ()
        products = torch.mul(gradient, y, out=buffer(y))
        total = torch.sum(products, self.dim, keepdim=True, out=buffer(y))  # Σ g y
        return torch.sub(gradient, total, out=buffer(y)).mul_(y)

    def __repr__(self) -> str:
        return f"Softmax({self.dim})"
