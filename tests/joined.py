"""A module of any number of inputs and outputs of any shape, as a network of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cases import normal
from minifw import nn
from minifw.nn.module import as_tuple

Shape = tuple[int, ...]


def rows(inputs: Sequence[Shape | Tensor], stack: Shape, samples: int) -> Tensor:
    """Return inputs side by side, `(*stack, samples, features)`: normal numbers, or those given."""
    pieces = []
    for place, given in enumerate(inputs):
        if isinstance(given, Tensor):  # whole numbers, others for each network and sample
            count = math.prod(stack) * samples
            numbers = given.repeat(count // len(given) + 1, *[1] * (given.ndim - 1))[:count]
            pieces.append(numbers.reshape(*stack, samples, -1).double())
        else:
            pieces.append(normal(*stack, samples, math.prod(given[1:]), seed=place))
    return torch.cat(pieces, -1)


def shapes(inputs: Sequence[Shape | Tensor]) -> list[Shape]:
    """Return the shape of a sample of each input."""
    return [tuple(one.shape if isinstance(one, Tensor) else one)[1:] for one in inputs]


class Split(nn.Module):
    """Rows as several tensors of these shapes of a sample."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = [tuple(shape) for shape in shapes]
        self.widths = [math.prod(shape) for shape in shapes]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        self.input = x
        pieces: tuple[Tensor, ...] = torch.split(x, self.widths, -1)
        return tuple(
            piece.reshape(*piece.shape[:-1], *shape)
            for piece, shape in zip(pieces, self.shapes, strict=True)
        )

    def backward(self, *gradients: Tensor) -> Tensor:
        pairs = zip(gradients, self.shapes, strict=True)
        return torch.cat([g.flatten(g.ndim - len(shape)) for g, shape in pairs], -1)


class Flat(nn.Module):
    """Several tensors side by side, each as one row for each sample of what `split` was given."""

    def __init__(self, split: Split) -> None:
        self.rows = [split]  # in a list: whose rows they are

    @property
    def leading(self) -> int:
        """How many dimensions stand before those of a sample."""
        x = self.rows[0].input
        assert isinstance(x, Tensor)
        return x.ndim - 1

    def forward(self, *inputs: Tensor) -> Tensor:
        self.input = inputs
        return torch.cat([x.flatten(self.leading) for x in inputs], -1)

    def backward(self, gradient: Tensor) -> tuple[Tensor, ...]:
        assert self.input is not None
        inputs = as_tuple(self.input)
        widths = [math.prod(x.shape[self.leading :]) for x in inputs]
        pieces = zip(torch.split(gradient, widths, -1), inputs, strict=True)
        return tuple(piece.reshape(x.shape) for piece, x in pieces)


class Joined(nn.Graph):
    """A module as a network: its inputs stand side by side in rows, and its outputs do.

    `inputs` are examples of its inputs, `(…, samples, *sample)` behind a stack of `lanes`.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[Tensor], lanes: int = 1) -> None:
        self.split, self.module = Split([tuple(x.shape[lanes + 1 :]) for x in inputs]), module
        self.join = Flat(self.split)
        self.register_modules(self.split, self.module, self.join)

    def connect(self, x: nn.Variable) -> nn.Variable:
        pieces = self.split(x)
        y: Any = self.module(*(pieces if isinstance(pieces, tuple) else (pieces,)))
        joined: nn.Variable = self.join(*(y if isinstance(y, tuple) else (y,)))
        return joined


def rows_of(inputs: Sequence[Tensor], lanes: int = 1) -> Tensor:
    """Return the rows that a `Joined` takes apart into these inputs."""
    return torch.cat([x.flatten(lanes + 1).double() for x in inputs], -1)
