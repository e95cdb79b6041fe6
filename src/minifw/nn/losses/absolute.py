"""Losses that grow with the distance itself, so that single targets far off count less."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.buffers import buffer
from minifw.nn.losses.base import Loss, OfReduction, declared
from minifw.nn.registry import Key, Twin

__all__ = ["LossHuber", "LossL1"]


@declared("l1", twin=Twin("L1Loss"))
class LossL1(Loss):
    """scale · Σ |output - target|, with gradient scale · sign(output - target), which is 0 at 0.

    `output` and `target` are `(…, samples, outputs)`; the value is `(…)`. At the kink PyTorch takes
    0 too. Source: Goodfellow et al., Deep Learning (2016), section 6.2.1.2.
    """

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        return (output - target).abs().sum((-2, -1)) * self.scale(output)

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        return torch.sub(output, target, out=buffer(output)).sign_().mul_(self.scale(output))


@declared("huber", twin=Twin("HuberLoss", delta="delta"))
class LossHuber(Loss):
    """scale · Σ h(output - target), where h(z) = z² / 2 up to |z| = delta.

    Beyond, h(z) = delta · (|z| - delta / 2). So it is half of `mse` near the target and grows as
    `l1` far from it. With c = min(|z|, delta) both are h(z) = c · (|z| - c / 2); the derivative is
    z, cut at -delta and delta. `output` and `target` are `(…, samples, outputs)`; the value is
    `(…)`. Source: Huber, Robust estimation of a location parameter, Annals of Mathematical
    Statistics 35 (1964).

    Raises:
        ModuleError: `delta` is not above 0.

    """

    def __init__(
        self,
        reduction: OfReduction = "mean",
        delta: Annotated[
            float, Key("distance from the target where it begins to grow linearly", gt=0)
        ] = 1.0,
    ) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ModuleError(f"LossHuber: delta must be above 0, got {delta!r}")
        self.delta = delta

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        distance = (output - target).abs()
        near = distance.clamp(max=self.delta)
        return (near * (distance - near / 2)).sum((-2, -1)) * self.scale(output)

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        difference = torch.sub(output, target, out=buffer(output))
        return difference.clamp_(-self.delta, self.delta).mul_(self.scale(output))
