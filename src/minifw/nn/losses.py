"""Loss functions. `reduction` alone decides the scale of the loss and its gradient.

For n samples with m outputs each:

    mean     average over samples and outputs: the report's formula, PyTorch's default
    sample   sum over the outputs of a sample, average over the n samples
    sum      sum over everything

A loss over a stack of networks gives one value for each network; networks do not mix.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, get_args

import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError, did_you_mean
from minifw.nn.buffers import buffer
from minifw.nn.module import FLOATING, described
from minifw.nn.registry import Key, Twin, loss

__all__ = ["Loss", "LossCrossEntropy", "LossMSE"]

Reduction = Literal["mean", "sample", "sum"]


class Loss:
    """The distance of an output from its target: `function`, and its derivative `grad`.

    Raises:
        ModuleError: `reduction` is none of mean, sample, sum.

    """

    def __init__(
        self,
        reduction: Annotated[
            Reduction,
            Key(
                "scale of the loss and of each step: mean over samples and outputs; sample, the "
                "sum over outputs and mean over samples; or sum over everything"
            ),
        ] = "mean",
    ) -> None:
        if reduction not in get_args(Reduction):
            raise ModuleError(
                f"{type(self).__name__}: unknown reduction {reduction!r}"
                f"{did_you_mean(reduction, get_args(Reduction))}"
            )
        self.reduction = reduction

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of `(…, samples, outputs)`: one value for each network, shape `(…)`."""
        raise NotImplementedError(f"{type(self).__name__} does not define function")

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the derivative of `function` with respect to `output`, of the same shape."""
        raise NotImplementedError(f"{type(self).__name__} does not define grad")

    def scale(self, output: Tensor) -> float:
        """Return the factor of `reduction` before the sum over samples and outputs."""
        samples, outputs = output.shape[-2:]
        if self.reduction == "mean":
            return 1 / (samples * outputs)
        return 1 / samples if self.reduction == "sample" else 1.0

    def check_output(self, output: Tensor) -> None:
        """Raise unless `output` is `(…, samples, outputs)` of float32 or float64, not empty."""
        if not isinstance(output, Tensor) or output.dtype not in FLOATING:
            raise DtypeError(
                f"{self}: expects the output as a tensor of float32 or float64, "
                f"got {described(output)}"
            )
        if output.ndim < 2 or output.numel() == 0:
            raise ShapeError(
                f"{self}: expects an output of shape (…, samples, outputs) with at least one of "
                f"each, got {tuple(output.shape)}"
            )

    def check_like(self, output: Tensor, target: Tensor) -> None:
        """Raise unless `target` has the shape and dtype of `output`."""
        self.check_output(output)
        if not isinstance(target, Tensor) or target.dtype != output.dtype:
            raise DtypeError(
                f"{self}: expects a target of the output's {output.dtype}, got {described(target)}"
            )
        if target.shape != output.shape:
            raise ShapeError(
                f"{self}: expects a target of the output's shape {tuple(output.shape)}, "
                f"got {tuple(target.shape)}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction='{self.reduction}')"


declared = partial(loss, about="the loss", section="The loss and its scale.")


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


@declared("cross-entropy", twin=Twin("CrossEntropyLoss"), one_hot=False, score="probability")
class LossCrossEntropy(Loss):
    """-scale · Σ target · log softmax(output): `output` holds logits, `(…, samples, classes)`.

    `target` is the class of each sample, `(…, samples)` of int64 from 0 to classes - 1, or
    one-hot or soft targets of the output's shape. The gradient is
    scale · (softmax(output) · Σ_c target_c - target), for probabilities
    scale · (softmax - target). The largest logit is subtracted before the exponential, so that
    it cannot overflow. A target of 0 contributes 0, even if log softmax is -∞; PyTorch does the
    same for classes and gives NaN for probabilities. Each sample has one loss, so `mean` and
    `sample` are equal here, and equal PyTorch's default. Source: Goodfellow et al., Deep
    Learning (2016), section 6.2.2.
    """

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        rows = self._probabilities(output, target)
        logs = torch.log_softmax(output, -1)
        if target.dtype == torch.int64:  # each sample's class has log softmax, all others 0
            terms = rows.scatter_(-1, target.unsqueeze(-1), logs.gather(-1, target.unsqueeze(-1)))
        else:
            terms = (rows * logs).masked_fill_((rows == 0) & (logs == -torch.inf), 0)
        return -terms.sum((-2, -1)) * self.scale(output)

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        rows = self._probabilities(output, target)
        softmax = torch.softmax(output, -1)
        if target.dtype != torch.int64:  # one-hot rows of classes have the sum 1
            softmax *= rows.sum(-1, keepdim=True)
        return (softmax - rows) * self.scale(output)

    def scale(self, output: Tensor) -> float:
        return 1.0 if self.reduction == "sum" else 1 / output.shape[-2]

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
