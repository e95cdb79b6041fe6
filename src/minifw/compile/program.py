"""A compiled step: all steps of an epoch are one call into machine code."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from minifw.compile.build import Library, library, vector_bytes
from minifw.compile.emit import Emitter
from minifw.compile.plan import Machine, Plan
from minifw.compile.processor import is_arm
from minifw.compile.record import record
from minifw.compile.values import Named, Step

Index = ctypes.c_longlong
Address = ctypes.c_void_p


def this_machine() -> Machine:
    """Return what code for this processor is made for."""
    size = vector_bytes()
    return Machine(size, 32 if size == 64 or is_arm() else 16)


class Program:
    """Takes the steps of an epoch, for any number of lanes, in any thread.

    A lane's results do not depend on other lanes: they are bit for bit the same in any stack.

    Args:
        step: the step, recorded on a stack of two lanes.
        state: the tensors that a step changes, `(lanes, …)`; only shapes and dtypes are used.
        inputs: `(lanes, samples, features)`; only shape and dtype are used.
        targets: `(lanes, samples, …)`; only shape and dtype are used.
        batch: samples in a step.
        named: names what is at work, for comments and messages.
        machine: what the code is made for; by default this machine.
        sanitize: whether memory accesses are checked (`build.library`).

    Raises:
        CannotCompileError: the operation that is not covered.

    """

    def __init__(
        self,
        step: Step,
        state: Sequence[Tensor],
        inputs: Tensor,
        targets: Tensor,
        batch: int,
        named: Named = lambda thing: None,
        *,
        machine: Machine | None = None,
        sanitize: bool = False,
    ) -> None:
        started = time.perf_counter()
        recording = record(step, state, inputs, targets, batch, named)
        plan = Plan(recording, batch, machine or this_machine())
        emitter = Emitter(plan)
        self.text = emitter.text()
        """The C of the step."""
        self.kernels = len(emitter.names)
        """How many different kernels there are."""
        self.seconds = time.perf_counter() - started
        """How long recording, writing and compiling took, so far."""
        self._sanitize = sanitize
        self.batch = batch
        self.dtype = state[0].dtype if state else inputs.dtype
        self._vector_bytes = plan.machine.vector_bytes
        (output,) = recording.outputs
        self.output = (output.shape[0] * (batch // plan.chunk), output.shape[1])
        self._number_bytes = plan.number_bytes
        self._memory = threading.local()

    @cached_property
    def library(self) -> Library:
        """The machine code. It is compiled when it is first asked for, by `run` at the latest.

        Raises:
            CannotCompileError: there is no compiler, or its first error line.

        """
        started = time.perf_counter()
        made = library(self.text, sanitize=self._sanitize)
        self.seconds += time.perf_counter() - started
        return made

    @cached_property
    def function(self) -> Any:
        """The C function of all steps."""
        function = self.library.run
        function.restype = None
        return function

    def run(
        self,
        state: Sequence[Tensor],
        inputs: Tensor,
        targets: Tensor,
        order: Tensor | None,
        eta: Tensor,
        first: int = 0,
        steps: int | None = None,
        finite: Tensor | None = None,
    ) -> Tensor:
        """Take `steps` steps, in place, and return the output `(lanes, batch, …)` of the last one.

        Args:
            state: as for the constructor, contiguous in each lane.
            inputs: `(lanes, samples, features)`.
            targets: `(lanes, samples, …)`.
            order: `(lanes, samples)` of int64, the order in which samples are taken; None: as they
                stand.
            eta: learning rate, one number, one for each lane `(lanes,)`, or one for each step, for
                all lanes `(steps, 1)` or each `(steps, lanes)`.
            first: the position, in the order, of the first sample of the first step.
            steps: by default as many as there are whole batches after `first`.
            finite: `(lanes,)` of the state's dtype, becomes 0 for each lane whose changed state is
                finite, else NaN.

        """
        return self.on(state, inputs, targets).run(order, eta, first, steps, finite)

    def on(self, state: Sequence[Tensor], inputs: Tensor, targets: Tensor) -> Bound:
        """Return the program for these tensors, for many calls; they are those of `run`."""
        return Bound(self, state, inputs, targets)

    def scratch(self) -> int:
        """Return the address of this thread's memory, at which a vector may begin."""
        if not hasattr(self._memory, "tensor"):
            size = Index.in_dll(self.library, "memory").value * self._number_bytes
            size += self._vector_bytes
            self._memory.tensor = torch.zeros(size, dtype=torch.uint8)
        address: int = self._memory.tensor.data_ptr()
        return address + -address % self._vector_bytes


class Bound:
    """A program and the tensors that it reads and changes, whose addresses are looked up once.

    Inputs and targets must not change while it is used. See `Program.run` for the arguments.
    """

    def __init__(
        self, program: Program, state: Sequence[Tensor], inputs: Tensor, targets: Tensor
    ) -> None:
        self._program = program
        self._lanes, self._samples = inputs.shape[:2]
        state_of_lanes = [value.contiguous() for value in state]
        self._copies = [
            (value, copy)
            for value, copy in zip(state, state_of_lanes, strict=True)
            if copy is not value
        ]
        inputs, targets = _lanes_whole(inputs), _lanes_whole(targets)
        self._held = [*state_of_lanes, inputs, targets]  # what the addresses belong to
        addresses = (Address * len(state_of_lanes))(*(v.data_ptr() for v in state_of_lanes))
        self._tensors = (
            addresses,
            *(Address(inputs.data_ptr()), Index(inputs.stride(0))),
            *(Address(targets.data_ptr()), Index(targets.stride(0))),
        )

    def run(
        self,
        order: Tensor | None,
        eta: Tensor,
        first: int = 0,
        steps: int | None = None,
        finite: Tensor | None = None,
    ) -> Tensor:
        """Take steps as `Program.run` does, and return the last output."""
        program = self._program
        if steps is None:
            steps = (self._samples - first) // program.batch
        output = torch.empty(self._lanes, *program.output, dtype=program.dtype)
        order = None if order is None else _lanes_whole(order)
        eta = eta.to(program.dtype)
        for value, copy in self._copies:
            copy.copy_(value)
        program.function(
            Index(self._lanes), Index(steps), Index(first), *self._tensors,
            None if order is None else Address(order.data_ptr()),
            Index(0 if order is None else order.stride(0)),
            Address(eta.data_ptr()), *map(Index, _strides_of(eta)),
            Address(output.data_ptr()),
            None if finite is None else Address(finite.data_ptr()),
            Address(program.scratch()),
        )  # fmt: skip
        for value, copy in self._copies:
            value.copy_(copy)
        return output


def _strides_of(eta: Tensor) -> tuple[int, int]:
    """Return how far apart learning rates are, of lanes and of steps; 0 if they are the same."""
    lane = eta.stride(-1) if eta.ndim and eta.shape[-1] > 1 else 0
    return lane, eta.stride(0) if eta.ndim == 2 else 0


def _lanes_whole(values: Tensor) -> Tensor:
    """Return a tensor whose lanes are each contiguous, and may be the same memory."""
    return values if values[0].is_contiguous() else values.contiguous()
