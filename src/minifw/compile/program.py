"""A compiled step: all steps of an epoch are one call into machine code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Step = Callable[[Sequence[Tensor], Tensor, Tensor, Tensor], Tensor]
"""`step(state, x, target, eta)` changes the tensors of `state` in place and returns the output."""

Named = Callable[[object], str | None]
"""The name of a module, loss or optimizer that is at work, None for any other object."""


class Program:
    """Takes the steps of an epoch, for any number of lanes, in any thread.

    Args:
        step: the step, recorded on a stack of two lanes.
        state: the tensors that a step changes, `(lanes, …)`; only shapes and dtypes are used.
        inputs: `(lanes, samples, features)`; only shape and dtype are used.
        targets: `(lanes, samples, …)`; only shape and dtype are used.
        batch: samples in a step.
        named: names what is at work, for comments and messages.

    Raises:
        CannotCompileError: the operation that is not covered, or the compiler's first error line.

    """

    def __init__(
        self,
        step: Step,
        state: Sequence[Tensor],
        inputs: Tensor,
        targets: Tensor,
        batch: int,
        named: Named = lambda thing: None,
    ) -> None:
        self._step, self._batch = step, batch  # a stand-in: not compiled yet
        self.text = "/* the C of the step */\n"

    def run(
        self,
        state: Sequence[Tensor],
        inputs: Tensor,
        targets: Tensor,
        order: Tensor | None,
        eta: Tensor,
        first: int = 0,
        steps: int | None = None,
    ) -> Tensor:
        """Take `steps` steps, in place, and return the output `(lanes, batch, …)` of the last one.

        Args:
            state: as for the constructor, contiguous in each lane.
            inputs: `(lanes, samples, features)`.
            targets: `(lanes, samples, …)`.
            order: `(lanes, samples)` of int64, the order in which samples are taken; None: as they
                stand.
            eta: learning rate, one number or one for each lane `(lanes,)`, of the state's dtype.
            first: the position, in the order, of the first sample of the first step.
            steps: by default as many as there are whole batches after `first`.

        """
        left = inputs.shape[1] - first
        for number in range(left // self._batch if steps is None else steps):
            at = slice(first + number * self._batch, first + (number + 1) * self._batch)
            if order is None:
                x, target = inputs[:, at], targets[:, at]
            else:
                lanes = torch.arange(len(inputs)).unsqueeze(-1)
                x, target = inputs[lanes, order[:, at]], targets[lanes, order[:, at]]
            output = self._step(state, x, target, eta)
        return output
