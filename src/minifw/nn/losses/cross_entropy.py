"""Cross-entropy of the softmax of the outputs: each sample has one class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.losses.base import Loss, OfReduction, declared
from minifw.nn.module import described
from minifw.nn.registry import Key, Twin

__all__ = ["LossCrossEntropy"]


def _weights(loss: LossCrossEntropy) -> Tensor | None:
    return None if loss.weights is None else torch.tensor(loss.weights)


@declared(
    "cross-entropy",
    twin=Twin("CrossEntropyLoss", label_smoothing="label_smoothing", weight=_weights),
    one_hot=False,
    score="probability",
    link="softmax",
    tasks=("classification",),
)
class LossCrossEntropy(Loss):
    """-scale · Σ w · t · log softmax(output): `output` holds logits, `(…, samples, classes)`.

    `target` is the class of each sample, `(…, samples)` of int64 from 0 to classes - 1, or
    one-hot or soft targets of the output's shape. With `label_smoothing` ε each row of targets
    becomes t = (1 - ε) · target + ε / classes; `weights` are a factor w for each class, otherwise
    1. The gradient is scale · (softmax(output) · Σ_c w_c t_c - w · t), for probabilities
    scale · (softmax - target). The largest logit is subtracted before the exponential, so that
    it cannot overflow. A target of 0 contributes 0, even if log softmax is -∞; PyTorch does the
    same for classes and gives NaN for probabilities.

    Each sample has one loss, so `mean` and `sample` both divide by the number of samples and equal
    PyTorch's default. With `weights` and classes, though, `mean` divides by the sum of the weights
    of the samples' classes, as PyTorch does; `sample`, and `mean` with rows of targets, divide by
    the number of samples. Source: Goodfellow et al., Deep Learning (2016), sections 6.2.2 and
    7.5.1; Szegedy et al., Rethinking the Inception Architecture (2016) for smoothing.

    Raises:
        ModuleError: `label_smoothing` is not from 0 to 1, or a weight not above 0.

    """

    def __init__(
        self,
        reduction: OfReduction = "mean",
        label_smoothing: Annotated[
            float, Key("share of each target that is spread evenly over all classes", ge=0, le=1)
        ] = 0.0,
        weights: Annotated[
            list[float] | None, Key("how much each class counts, in the order of classes")
        ] = None,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ModuleError(
                f"LossCrossEntropy: label_smoothing must be from 0 to 1, got {label_smoothing!r}"
            )
        if weights is not None and not all(0 < weight < torch.inf for weight in weights):
            raise ModuleError(
                f"LossCrossEntropy: weights must be finite numbers above 0, got {list(weights)}"
            )
        self.label_smoothing = label_smoothing
        self.weights: Sequence[float] | None = None if weights is None else [*weights]

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        rows, scale = self._rows(output, target)
        logs = torch.log_softmax(output, -1)
        if self._is_plain(target):  # each sample's class has log softmax, all others 0
            terms = rows.scatter_(-1, target.unsqueeze(-1), logs.gather(-1, target.unsqueeze(-1)))
        else:
            terms = (rows * logs).masked_fill_((rows == 0) & (logs == -torch.inf), 0)
        return -terms.sum((-2, -1)) * (scale if isinstance(scale, float) else scale[..., 0, 0])

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        rows, scale = self._rows(output, target)
        softmax = torch.softmax(output, -1)
        if not self._is_plain(target):  # one-hot rows of classes have the sum 1
            softmax *= rows.sum(-1, keepdim=True)
        return (softmax - rows) * scale

    def scale(self, output: Tensor) -> float:
        return 1.0 if self.reduction == "sum" else 1 / output.shape[-2]

    def _is_plain(self, target: Tensor) -> bool:
        """Whether each row of targets is 1 for the sample's class and 0 for all others."""
        return target.dtype == torch.int64 and not self.label_smoothing and self.weights is None

    def _rows(self, output: Tensor, target: Tensor) -> tuple[Tensor, float | Tensor]:
        """Return the factor w · t of each log softmax, like `output`, and the scale.

        With weights the scale may be one for each network, `(…, 1, 1)`.
        """
        rows, scale = self._probabilities(output, target), self.scale(output)
        if self._is_plain(target):
            return rows, scale
        of_classes = None
        if self.weights is not None:
            if len(self.weights) != output.shape[-1]:
                raise ShapeError(
                    f"{self}: has weights for {len(self.weights)} classes, the output "
                    f"{tuple(output.shape)} is for {output.shape[-1]}"
                )
            of_classes = output.new_tensor(self.weights)
        total: float | Tensor = scale
        if of_classes is not None and target.dtype == torch.int64 and self.reduction == "mean":
            total = (rows * of_classes).sum((-2, -1), keepdim=True).reciprocal()
        if self.label_smoothing:
            rows = rows * (1 - self.label_smoothing) + self.label_smoothing / output.shape[-1]
        return (rows if of_classes is None else rows * of_classes), total

    def _probabilities(self, output: Tensor, target: Tensor) -> Tensor:
        """Return `target` as a tensor like `output`: classes become one-hot rows."""
        self.check_output(output)
        if not isinstance(target, Tensor) or target.dtype not in (torch.int64, output.dtype):
            raise DtypeError(
                f"{self}: expects the target as classes of int64 or as probabilities of "
                f"{output.dtype}, got {described(target)}"
            )
        if target.dtype == output.dtype:
            self.check_like(output, target)
            return target
        if target.shape != output.shape[:-1]:
            raise ShapeError(
                f"{self}: expects classes of shape {tuple(output.shape[:-1])}, "
                f"got {tuple(target.shape)}"
            )
        one_hot = torch.zeros_like(output)
        try:
            return one_hot.scatter_(-1, target.unsqueeze(-1), 1)
        except RuntimeError:  # a class is out of range
            raise ShapeError(
                f"{self}: expects classes from 0 to {output.shape[-1] - 1}, "
                f"got {int(target.min())} to {int(target.max())}"
            ) from None
