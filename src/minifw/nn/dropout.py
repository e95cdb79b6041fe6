"""Dropout: while training each number is 0 with a probability, and the others are larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn import random
from minifw.nn.activations import activation
from minifw.nn.buffers import buffer
from minifw.nn.module import Module, described
from minifw.nn.registry import Key, Twin

__all__ = ["Dropout"]


@activation(
    "dropout",
    about="while training some numbers, drawn anew in each step, are 0",
    section="Dropout.",
    short="p",
    twin=Twin("Dropout", p="p"),
    case={"p": 0.3},
)
class Dropout(Module):
    """y = x m / (1 - p), where each m is 0 with probability p, else 1; dL/dx = dL/dy m / (1 - p).

    The mean of y is x. In use (`eval`) y = x. Any shape behind the stack, kept. Each network of a
    stack draws its own m anew in each `forward`, from its own stream (see `random`), so that it is
    trained as it would be alone.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
    2014; with the factor in training, as in PyTorch.

    Args:
        p: probability of 0, from 0 to 1; it is rounded to a multiple of 2^-24.
        stack: the leading dimensions of the stack of networks.
        dtype: of the stream, that of the network.

    Raises:
        ModuleError: p is not a number from 0 to 1.

    """

    def __init__(
        self,
        p: Annotated[float, Key("probability that a number is 0 while training", ge=0, le=1)] = 0.5,
        *,
        stack: Sequence[int] = (),
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
            raise ModuleError(f"Dropout: p must be a number from 0 to 1, got {p!r}")
        self.p = p
        like = torch.empty(0, dtype=dtype, device=device)
        self.register_state("stream", random.new_streams(stack, None, like))

    @property
    def stack(self) -> tuple[int, ...]:
        return tuple(self.stream.shape[:-1])

    def reseed(self, generators: Sequence[np.random.Generator]) -> None:
        self.stream.copy_(random.new_streams(self.stack, generators, self.stream))

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        stack = self.stream.shape[:-1]
        if x.dtype != self.stream.dtype or x.shape[: len(stack)] != stack:
            expected = ", ".join([*map(str, stack), "…"])
            raise ShapeError(
                f"{self}.forward: expects an input of shape ({expected}) of "
                f"{str(self.stream.dtype).removeprefix('torch.')}, got {described(x)}"
            )
        if not self.training or self.p == 0:
            self.remember((x,), (x,))
            return x
        random.advance(self.stream)
        mask = random.mask(self.stream, 1 - self.p, x.shape[len(stack) :])
        y = torch.mul(x, mask, out=buffer(x))
        self.remember((x,), (y,), mask)
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        mask = self.recall(gradient).saved
        if mask is None:
            return gradient
        return torch.mul(gradient, mask, out=buffer(gradient))

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
