"""A weighted sum of losses, one for each head of a network."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.losses.base import Loss
from minifw.nn.registry import loss as declare

__all__ = ["LossSum"]


@declare()
class LossSum(Loss):
    """Σ weight · loss(output[…, columns], target[…, columns]), a term for each head.

        nn.LossSum((nn.LossCrossEntropy(), 10, 1.0), (nn.LossMSE(), 64, 0.1))

    The heads stand side by side in `output`, `(…, samples, outputs)`, and their targets likewise in
    `target`, of the same shape: one-hot rows for a head of classes. Each part is a loss, the number
    of its columns, from left to right, and its weight. The gradient is that of the parts, each
    times its weight, side by side; the value is `(…)`. The reductions are those of the parts.

    Raises:
        ModuleError: there is no part, or one that is not a loss, a number of columns of at least
            1, and a finite weight of at least 0.

    """

    def __init__(self, *parts: tuple[Loss, int, float]) -> None:
        super().__init__()
        for part in parts:
            if not (
                isinstance(part, tuple)
                and len(part) == 3
                and isinstance(part[0], Loss)
                and type(part[1]) is int
                and part[1] > 0
                and isinstance(part[2], int | float)
                and 0 <= part[2] < math.inf
            ):
                raise ModuleError(
                    "LossSum: each part must be (loss, columns, weight), with at least 1 column "
                    f"and a finite weight of at least 0, got {part!r}"
                )
        if not parts:
            raise ModuleError("LossSum: must have at least one part (loss, columns, weight)")
        self.parts = parts

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        outputs, targets = self.columns(output, target)
        total: Tensor | None = None
        for (loss, _, weight), y, aim in zip(self.parts, outputs, targets, strict=True):
            value = loss.function(y, aim) * weight
            total = value if total is None else total + value
        assert total is not None
        return total

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        outputs, targets = self.columns(output, target)
        return torch.cat(
            [
                loss.grad(y, aim) * weight
                for (loss, _, weight), y, aim in zip(self.parts, outputs, targets, strict=True)
            ],
            -1,
        )

    def columns(self, output: Tensor, target: Tensor) -> list[tuple[Tensor, ...]]:
        """Return the columns of each part, of output and target.

        Raises:
            ShapeError, DtypeError: they have not as many columns as the parts together.

        """
        self.check_like(output, target)
        widths = [columns for _, columns, _ in self.parts]
        if output.shape[-1] != sum(widths):
            raise ShapeError(
                f"{self}: expects outputs of {' + '.join(map(str, widths))} = {sum(widths)} "
                f"columns, got {tuple(output.shape)}"
            )
        return [torch.split(values, widths, -1) for values in (output, target)]

    def __repr__(self) -> str:
        parts = ", ".join(f"{weight:g} · {loss!r} of {n}" for loss, n, weight in self.parts)
        return f"LossSum({parts})"
