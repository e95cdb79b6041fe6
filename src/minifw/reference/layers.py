"""Layers that PyTorch has no class for, written with it, as twins of ours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "Add",
    "Concat",
    "Divide",
    "Embedding",
    "GlobalAvgPool",
    "MatMul",
    "Multiply",
    "Negate",
    "Reciprocal",
    "Scale",
    "Shift",
    "Slice",
    "Subtract",
    "Transpose",
]


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


class Subtract(nn.Module):
    """a - b"""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


class Divide(nn.Module):
    """a / b"""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a / b


class Negate(nn.Module):
    """-x"""

    def forward(self, x: Tensor) -> Tensor:
        return -x


class Reciprocal(nn.Module):
    """1 / x"""

    def forward(self, x: Tensor) -> Tensor:
        return x.reciprocal()


class Scale(nn.Module):
    """factor * x"""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Shift(nn.Module):
    """x + by"""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


class MatMul(nn.Module):
    """a @ b, for each sample"""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b


class Transpose(nn.Module):
    """x.mT, for each sample"""

    def forward(self, x: Tensor) -> Tensor:
        return x.mT


class Concat(nn.Module):
    """Side by side; `dim` counts from the end."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, self.dim)


class Slice(nn.Module):
    """x[index], which begins with `...`."""

    def __init__(self, index: Sequence[Any]) -> None:
        super().__init__()
        self.index = tuple(index)

    def forward(self, x: Tensor) -> Tensor:
        part: Tensor = x[self.index]
        return part


class Embedding(nn.Embedding):
    """PyTorch's, for whole numbers of any dtype."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.long())
