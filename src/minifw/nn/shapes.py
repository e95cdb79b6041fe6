"""Layers that change shapes and no numbers: `Flatten` and `Unflatten`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.module import Module
from minifw.nn.registry import Key, Twin, layer
from minifw.nn.windows import Shape, sizes

__all__ = ["Flatten", "Unflatten"]


@layer(
    "flatten",
    about="all numbers of a sample in a row",
    section="All numbers of a sample in a row.",
    outputs=lambda shape, keys: (math.prod(shape),),
    parameters=lambda shape, keys: 0,
    operations=lambda shape, keys: 0,
    inferred={"sample_dims": len},
    twin=Twin("Flatten"),
    case={},
    inputs=(3, 2, 5, 6),
)
class Flatten(Module):
    """y = the numbers of x in a row: `(…, samples, *sample)` gives `(…, samples, numbers)`.

    Args:
        sample_dims: number of dimensions of a sample: 3 for images, `(channels, height, width)`.

    """

    def __init__(self, sample_dims: int = 3) -> None:
        (self.sample_dims,) = sizes("Flatten", "sample_dims", sample_dims, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        if x.ndim <= self.sample_dims:
            raise ShapeError(
                f"{self}.forward: expects samples of {self.sample_dims} dimensions, "
                f"(…, samples, *sample), got {tuple(x.shape)}"
            )
        y = x.flatten(-self.sample_dims)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (x,) = self.recall(gradient).inputs
        return gradient.reshape(x.shape)

    def __repr__(self) -> str:
        return "Flatten()" if self.sample_dims == 3 else f"Flatten({self.sample_dims})"


def _unflattened(inputs: Shape, shape: Sequence[int]) -> Shape:
    shape = sizes("unflatten", "shape", shape, len(shape), 1)
    if len(inputs) != 1 or inputs[0] != math.prod(shape):
        raise ModuleError(
            f"unflatten: expects samples ({math.prod(shape)},) for the shape {tuple(shape)}, "
            f"got {inputs}"
        )
    return shape


@layer(
    "unflatten",
    about="the numbers of a row in another shape",
    section="The numbers of a sample, which are a row, in another shape.",
    short="shape",
    outputs=lambda inputs, keys: _unflattened(inputs, keys["shape"]),
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: 0,
    twin=Twin("Unflatten", dim=lambda ours: -1, unflattened_size="shape"),
    case={"shape": (2, 2, 3)},
    inputs=(5, 12),
)
class Unflatten(Module):
    """y = the numbers of x in this shape: `(…, samples, numbers)` gives `(…, samples, *shape)`.

    Args:
        shape: of a sample, `(channels, height, width)` for images; its product is `numbers`.

    """

    def __init__(
        self, shape: Annotated[Sequence[int], Key("of a sample, as [channels, height, width]")]
    ) -> None:
        if not isinstance(shape, Sequence) or isinstance(shape, str) or not shape:
            raise ShapeError(f"Unflatten: shape must be whole numbers, as (1, 8, 8), got {shape!r}")
        self.shape = sizes("Unflatten", "shape", shape, len(shape), 1)

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        if x.ndim < 2 or x.shape[-1] != math.prod(self.shape):
            raise ShapeError(
                f"{self}.forward: expects an input of shape (…, samples, {math.prod(self.shape)}), "
                f"got {tuple(x.shape)}"
            )
        y = x.reshape(*x.shape[:-1], *self.shape)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (x,) = self.recall(gradient).inputs
        return gradient.reshape(x.shape)

    def __repr__(self) -> str:
        return f"Unflatten({self.shape})"
