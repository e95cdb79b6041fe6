"""Loss functions. `reduction` alone decides the scale of the loss and its gradient.

For n samples with m outputs each:

    mean     average over samples and outputs: the report's formula, PyTorch's default
    sample   sum over the outputs of a sample, average over the n samples
    sum      sum over everything

A loss over a stack of networks gives one value for each network; networks do not mix.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Annotated, Literal, get_args

from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError, did_you_mean
from minifw.nn.module import FLOATING, described
from minifw.nn.registry import Key, loss

__all__ = ["Loss"]

Reduction = Literal["mean", "sample", "sum"]
OfReduction = Annotated[
    Reduction,
    Key(
        "scale of the loss and of each step: mean over samples and outputs; sample, the "
        "sum over outputs and mean over samples; or sum over everything"
    ),
]
"""The type of the argument `reduction`, with its description for configs."""


class Loss:
    """The distance of an output from its target: `function`, and its derivative `grad`.

    Raises:
        ModuleError: `reduction` is none of mean, sample, sum.

    """

    parts: tuple[tuple[Loss, int, float], ...] = ()
    """The losses that this one sums, each with its number of columns and its weight."""

    def __init__(self, reduction: OfReduction = "mean") -> None:
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
        given = inspect.signature(type(self)).parameters
        options = [
            f"{name}={getattr(self, name)!r}"
            for name, argument in given.items()
            if name == "reduction" or getattr(self, name, argument.default) != argument.default
        ]
        return f"{type(self).__name__}({', '.join(options)})"


declared = partial(loss, about="the loss", section="The loss and its scale.")
