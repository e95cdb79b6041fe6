"""The forward pass of one network as C that stands alone: for `minifw export --format c`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from minifw.compile.emit import Emitter
from minifw.compile.plan import Machine, Plan
from minifw.compile.record import record
from minifw.compile.values import Named

ANYWHERE = Machine(vector_bytes=16, registers=16)
"""Vectors that every processor of the last twenty years has."""


class Forward:
    """The C of what a network computes of one sample.

    Args:
        function: `function(state, x)` returns the outputs `(lanes, samples, outputs)`; it must not
            change the state.
        state: parameters and states of a stack, `(lanes, …)`; only shapes and dtypes are used.
        inputs: `(lanes, samples, features)`; only shape and dtype are used.
        named: names what is at work, for comments and messages.

    Attributes:
        text: the types, the kernels, and `step(m, x, 0, 0, 0, 0, output)`, which computes the
            outputs of a sample in the memory `m`.
        loading: lines that copy `state[position]`, of network `lane`, into the memory `m`.
        memory: how many numbers the memory holds; they must be 0 at first.

    Raises:
        CannotCompileError: there is no C for an operation.

    """

    def __init__(
        self,
        function: Callable[[Sequence[Tensor], Tensor], Tensor],
        state: Sequence[Tensor],
        inputs: Tensor,
        named: Named = lambda thing: None,
    ) -> None:
        def step(values: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
            return function(values, x)

        no_target = inputs[..., :1]
        recording = record(step, state, inputs, no_target, 1, named)
        plan = Plan(recording, 1, ANYWHERE)
        emitter = Emitter(plan)
        self.text, self.loading = emitter.alone()
        self.memory = plan.memory
