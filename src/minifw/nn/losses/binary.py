"""Binary cross-entropy: each output is a yes or no of its own."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.buffers import sigmoid
from minifw.nn.losses.base import Loss, OfReduction, declared
from minifw.nn.registry import Key, Twin

__all__ = ["LossBCE"]


def _pos_weight(loss: LossBCE) -> Tensor | None:
    return None if loss.pos_weight == 1 else torch.tensor(loss.pos_weight)


@declared(
    "bce",
    twin=Twin("BCEWithLogitsLoss", pos_weight=_pos_weight),
    link="sigmoid",
    tasks=("classification",),
)
class LossBCE(Loss):
    """-scale · Σ (p · target · log σ(output) + (1 - target) · log σ(-output)), p = `pos_weight`.

    `output` holds logits and `target` probabilities, such as one-hot rows, both
    `(…, samples, outputs)`; the value is `(…)`. Because log σ(-x) = log σ(x) - x, this is
    scale · Σ ((1 - t) · x - (1 + (p - 1) · t) · log σ(x)), and because
    log σ(x) = min(x, 0) - log(1 + e^-|x|), no logit overflows. The gradient is
    scale · (1 - t - (1 + (p - 1) · t) · σ(-x)), for p = 1: scale · (σ(x) - t). Source: PyTorch,
    `BCEWithLogitsLoss`.

    Raises:
        ModuleError: `pos_weight` is not above 0.

    """

    def __init__(
        self,
        reduction: OfReduction = "mean",
        pos_weight: Annotated[
            float, Key("how many times a target of 1 counts as much as one of 0", gt=0)
        ] = 1.0,
    ) -> None:
        super().__init__(reduction)
        if not pos_weight > 0:
            raise ModuleError(f"LossBCE: pos_weight must be above 0, got {pos_weight!r}")
        self.pos_weight = pos_weight

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        logs = output.clamp(max=0) - output.abs().neg().exp().log1p()
        terms = (1 - target) * output - self._weights(target) * logs
        return terms.sum((-2, -1)) * self.scale(output)

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        self.check_like(output, target)
        if self.pos_weight == 1:
            return (sigmoid(output) - target) * self.scale(output)
        others = self._weights(target) * sigmoid(-output)
        return (1 - target - others) * self.scale(output)

    def _weights(self, target: Tensor) -> Tensor | float:
        """Return how much each term counts: `pos_weight` where the target is 1, and 1 where 0."""
        return 1.0 if self.pos_weight == 1 else 1 + (self.pos_weight - 1) * target
