"""Claims about a loss in one reduction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Loss
from minifw.nn.checks.calls import Stack, given
from minifw.nn.checks.equality import Unchanged, check_same, check_shape, complain
from minifw.nn.checks.subject import MakeLoss
from minifw.nn.diagnosis import Mistakes
from minifw.nn.differences import compare


@dataclass(frozen=True)
class LossClaims:
    """A loss to be checked in one reduction, with an output and a target in float64."""

    make: MakeLoss
    reduction: str
    shape: Stack | Tensor
    aim: Tensor | Callable[[Stack], Tensor]
    tolerance: float
    wrong: Mapping[str, MakeLoss] = field(default_factory=dict)  # losses with a mistake each

    def started(self, stack: Stack = ()) -> tuple[Loss, Tensor, Tensor]:
        loss = self.make(self.reduction)
        if not isinstance(loss, Loss):
            raise TypeError(f"make must return a loss, got {type(loss).__name__}")
        target = given(self.aim, stack, 1) if isinstance(self.aim, Tensor) else self.aim(stack)
        return loss, given(self.shape, stack, 2), target

    # ---- the claims

    def gradient(self) -> None:
        """`grad` is the derivative of `function`."""
        loss, output, target = self.started()
        gradient = loss.grad(output, target)
        check_shape(loss, "grad", gradient, tuple(output.shape), "the output's")
        value = loss.function(output, target)
        check_shape(loss, "function", value, (), "one value a network:")
        found = compare(
            "the output",
            output,
            gradient.clone(),
            lambda: [loss.function(output, target)],
            [torch.ones_like(value)],
            mistakes=lambda: self._mistakes(output, target),
            tolerance=self.tolerance,
        )
        if not found.ok or found.kinks:
            complain(loss, [found])

    def _mistakes(self, output: Tensor, target: Tensor) -> Mistakes:
        sizes = {"samples": output.shape[-2], "outputs": output.shape[-1]}
        gives = {
            words: make(self.reduction).grad(output, target) for words, make in self.wrong.items()
        }
        return Mistakes(gives, sizes=sizes)

    def stacked(self, stack: Stack) -> None:
        """A stack gives one value for each network, which no other network changes."""
        loss, output, target = self.started(stack)
        values, gradients = loss.function(output, target), loss.grad(output, target)
        check_shape(loss, "function", values, stack, "one value a network:")
        check_shape(loss, "grad", gradients, tuple(output.shape), "the output's")
        for lane in np.ndindex(*stack):
            alone = output[lane], target[lane]
            for what, found, right in (
                ("the loss", values[lane], loss.function(*alone)),
                ("grad", gradients[lane], loss.grad(*alone)),
            ):
                where = f"in a stack {stack}, network {list(lane)}: {what}"
                check_same(loss, where, found, right, "a loss must not mix networks", "alone")

    def changes_nothing(self) -> None:
        """`function` and `grad` do not change output or target."""
        loss, output, target = self.started()
        for method in (loss.function, loss.grad):
            with Unchanged(loss, method.__name__, [("output", output), ("target", target)]):
                method(output, target)

    def stays_float32(self) -> None:
        """For a float32 output, value and gradient are float32."""
        loss, output, target = self.started()
        target = target.float() if target.is_floating_point() else target
        for method in (loss.function, loss.grad):
            found = method(output.float(), target).dtype
            if found != torch.float32:
                raise CheckError(
                    f"{loss}: for a float32 output {method.__name__} must be of torch.float32, "
                    f"got {found}"
                )
