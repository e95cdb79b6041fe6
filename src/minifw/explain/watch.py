"""Watches the calls of a network's modules in a step: what goes in and out, forward and backward.

The step is the one that trains; the modules are asked as always, and copies are kept of what they
are given and give back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from minifw.explain.model import Phase
from minifw.nn import Module
from minifw.nn.module import Call, as_tuple
from minifw.nn.variables import Record


@dataclass
class Called:
    """What a module took and gave in one call, and the gradients of both; a stack of one."""

    module: Module
    inputs: tuple[Tensor, ...] = ()
    output: tuple[Tensor, ...] = ()
    came: tuple[Tensor, ...] = ()
    given: tuple[Tensor, ...] = ()
    call: Call | None = field(default=None, repr=False)


class Watch:
    """The calls of a record, in their order, and which of them is going on.

    `now` is the place of a call in the record while it is computed, forward or backward.
    """

    def __init__(self, record: Record) -> None:
        self.calls = [Called(step.module) for step in record.steps]
        self.now: int | None = None
        self.phase: Phase = "forward"
        self._next = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within this block, what the modules are given and give back is kept."""
        modules = {id(called.module): called.module for called in self.calls}.values()
        names = ("forward", "backward", "accumulate")
        for module in modules:
            for name in names:
                module.__dict__[name] = self._kept(module, name)
        try:
            yield
        finally:
            for module in modules:
                for name in names:
                    del module.__dict__[name]

    def _kept(self, module: Module, name: str) -> Callable[..., Any]:
        usual = getattr(module, name)

        def forward(*inputs: Tensor) -> Any:
            called = self.calls[self._next]
            called.inputs = _copies(inputs)
            self.now, self.phase, self._next = self._next, "forward", self._next + 1
            result = usual(*inputs)
            called.output, called.call = _copies(as_tuple(result)), module.call
            self.now = None
            return result

        def backward(*gradients: Tensor) -> Any:
            if self.now is not None:  # `accumulate` within `backward`
                return usual(*gradients)
            self.now = next(k for k, one in enumerate(self.calls) if one.call is module.call)
            self.phase, called = "backward", self.calls[self.now]
            called.came = _copies(gradients)
            result = usual(*gradients)
            if name == "backward":
                called.given = _copies(as_tuple(result))
            self.now = None
            return result

        return forward if name == "forward" else backward


def _copies(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.clone() for value in values)
