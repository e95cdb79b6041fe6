"""Layers that PyTorch has no class for, written with it, as twins of ours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

__all__ = ["Add", "Concat", "GlobalAvgPool", "Multiply", "Slice"]


class GlobalAvgPool(nn.Module):
    """The average of each channel of `(samples, channels, *places)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(-1)


class Add(nn.Module):
    """a + b + …"""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.add, inputs)


class Multiply(nn.Module):
    """a * b * …"""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.mul, inputs)


class Concat(nn.Module):
    """Side by side; `dim` counts from the end."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, self.dim)


class Slice(nn.Module):
    """x[index], which begins with `...`."""

    def __init__(self, index: Sequence[object]) -> None:
        super().__init__()
        self.index = tuple(index)

    def forward(self, x: Tensor) -> Tensor:
        part: Tensor = x[self.index]
        return part
