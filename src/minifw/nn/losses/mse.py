"""The mean squared error."""

from __future__ import annotations

import torch
from torch import Tensor

from minifw.nn.buffers import buffer
from minifw.nn.losses.base import Loss, declared
from minifw.nn.registry import Twin

__all__ = ["LossMSE"]


@declared("mse", twin=Twin("MSELoss"))
class LossMSE(Loss):
    """scale · Σ (output - target)², with gradient 2 · scale · (output - target).

    `output` and `target` are `(…, samples, outputs)`; the value is `(…)`. Source: section 2.2 of
    the report, whose formula is `reduction="mean"` and whose program used `sample`.
    """

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        return (output - target).square().sum((-2, -1)) * self.scale(output)

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        return torch.sub(output, target, out=buffer(output)).mul_(2 * self.scale(output))
