"""Operations on several tensors of one shape."""

from __future__ import annotations

import torch
from torch import Tensor

from minifw.errors import ShapeError
from minifw.nn.buffers import buffer
from minifw.nn.module import described
from minifw.nn.networks import Operation

__all__ = ["Add"]


class Add(Operation):
    """y = a + b; dL/da = dL/db = dL/dy. Any shape, the same for a, b and y."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        self.check_floating(a)
        if not isinstance(b, Tensor) or (a.shape, a.dtype) != (b.shape, b.dtype):
            raise ShapeError(
                f"{self}.forward: expects two tensors of one shape and dtype, got {described(a)} "
                f"and {described(b)}"
            )
        y = torch.add(a, b, out=buffer(a))
        self.remember((a, b), (y,))
        return y

    def backward(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        self.recall(gradient)
        return gradient, gradient
