"""A module to be checked: how it is made, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Loss, Module
from minifw.nn.checks.calls import Stack, copy_of, forward_of, given, normal, weights_of

MakeModule = Callable[[Stack], Module]
"""Makes a module for a stack of networks, `(3,)`, or for one, `()`; float32 or float64."""

MakeLoss = Callable[[Any], Loss]
"""Makes a loss for a reduction: mean, sample or sum."""

STACKS: tuple[Stack, ...] = ((3,), (2, 3), (1,))
REDUCTIONS = ("mean", "sample", "sum")


@dataclass(frozen=True)
class Subject:
    """A module to be checked, in float64, with the inputs and gradients that it is tried with."""

    make: MakeModule
    shapes: list[Stack | Tensor]
    stack: Stack  # the largest stack that it can have
    jitter: float
    tolerance: float
    wrong: Mapping[str, MakeModule] = field(default_factory=dict)  # modules with a mistake each

    def module(self, stack: Stack = (), dtype: torch.dtype = torch.float64) -> Module:
        """Make the module anew: the same each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = self.make(stack)
        if not isinstance(module, Module):
            raise TypeError(f"make must return a module, got {type(module).__name__}")
        for name, value, _ in module.parameters():
            if tuple(value.shape[: len(stack)]) != stack:
                raise CheckError(
                    f"{module}: in a stack, parameter '{name}' must begin with the stack, {stack} "
                    f"here, got {tuple(value.shape)}; make must hand the stack on, as lambda "
                    f"stack: {type(module).__name__}(…, stack=stack), and __init__ use it, as "
                    "torch.full((*stack, …), …)"
                )
        for place, (_, value, _) in enumerate(module.parameters()):
            value.add_(self.jitter * normal(tuple(value.shape), 100 + place).to(value.dtype))
        for place, (_, value) in enumerate(() if module.is_random else module.states()):
            value.add_(self.jitter * normal(tuple(value.shape), 200 + place).abs().to(value.dtype))
        values = [value for _, value, _ in module.parameters()]
        if any(value.dtype != dtype for value in (*values, *(v for _, v in module.states()))):
            module = copy_of(module, [value.to(dtype) for value in values], dtype)
        return module

    def inputs(self, stack: Stack = ()) -> list[Tensor]:
        return [given(shape, stack, place) for place, shape in enumerate(self.shapes)]

    def started(
        self, stack: Stack = ()
    ) -> tuple[Module, list[Tensor], tuple[Tensor, ...], list[Tensor]]:
        """Return a module after `forward`, its inputs and outputs, and gradients for `backward`."""
        module, inputs = self.module(stack), self.inputs(stack)
        outputs = forward_of(module, inputs)
        return module, inputs, outputs, weights_of(outputs)
