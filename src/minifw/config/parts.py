"""Losses, optimisers, schedules and initialisers as sections of a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, get_args
from typing import get_type_hints as hints_of

import numpy as np
import torch
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from minifw import nn
from minifw.config.blame import blamed, check_shape
from minifw.config.declared import Declared
from minifw.errors import ModuleError
from minifw.nn import Key
from minifw.nn.optimizers import check_state
from minifw.nn.registry import (
    Declaration,
    LossDeclaration,
    OptimizerDeclaration,
    ScheduleDeclaration,
)
from minifw.nn.schedules import factors_of


class LossSection(Declared):
    """A loss."""

    family = LossDeclaration

    def check(self) -> None:
        output = torch.zeros(2, 3, 2, dtype=torch.float64)
        target = output.clone()
        if not self.declaration.one_hot:
            target = torch.zeros(2, 3, dtype=torch.int64)
        with blamed(self.word):
            loss = self.make()
            value, gradient = loss.function(output, target), loss.grad(output, target)
        check_shape(self.word, "function", value, (2,))
        check_shape(self.word, "grad", gradient, (2, 3, 2))

    @property
    def predicts(self) -> bool:
        """Whether the output predicts what the data are about, as it does unless it is a head."""
        return True

    def fits(self, outputs: int) -> None:
        """Raise a MinifwError unless the loss can be made, and takes so many outputs."""
        output = torch.zeros(1, outputs, dtype=torch.float64)
        target = torch.zeros(1, dtype=torch.int64)
        with blamed(self.word):
            self.make().function(output, output if self.declaration.one_hot else target)


class OptimizerSection(Declared):
    """An optimiser."""

    family = OptimizerDeclaration
    given = ("network",)

    def check(self) -> None:
        with blamed(self.word):
            optimizer = self.make(nn.Sequential(nn.Linear(2, 2, stack=(2,))))
            check_state(optimizer, (2,))
            optimizer.step(0.1)

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        """Refuse numbers that do not fit each other."""
        if self.declaration.kind:
            rngs = [np.random.default_rng(0)]
            try:
                self.make(nn.Sequential(nn.Linear(1, 1, generators=rngs, dtype=torch.float64)))
            except ModuleError as fault:
                raise PydanticCustomError("unfit", "{wrong}", {"wrong": str(fault)}) from None
        return self

    @property
    def per_network(self) -> tuple[str, ...]:
        """The keys that may be one number for each network of a stack."""
        return per_network(self.declaration.make)

    @property
    def remembers(self) -> int:
        """How many tensors it keeps for each parameter between steps."""
        return int(self.declaration.remembers(self.keys))


class ScheduleSection(Declared):
    """A schedule of the learning rate."""

    family = ScheduleDeclaration

    @property
    def keys(self) -> dict[str, Any]:
        inner = super().keys
        is_made = {k: v.make() for k, v in inner.items() if isinstance(v, ScheduleSection)}
        return inner | is_made

    def check(self) -> None:
        with blamed(self.word):
            factors_of(self.make(), range(30), 30, 10)

    @property
    def is_constant(self) -> bool:
        """Whether the learning rate is the same in all steps."""
        return bool(self.declaration.make.is_constant)


class InitSection(Declared):
    """An initialiser."""

    family = Declaration

    def check(self) -> None:
        generator = np.random.default_rng(0)
        with blamed(self.word):
            init = self.make()
            weight = init.draw_weight(generator, (3, 2), 2, 3)
            bias = init.draw_bias(generator, (3,), 2, 3)
        check_shape(self.word, "draw_weight", weight, (3, 2))
        check_shape(self.word, "draw_bias", bias, (3,))


def per_network(make: Any) -> tuple[str, ...]:
    """Return the arguments of an optimiser that may be one number for each network of a stack.

    A class that inherits the constructor, but not `step`, may use them as numbers, so it has none.
    """

    def has(name: str) -> type:
        bases: Sequence[type] = make.__mro__
        return next(base for base in bases if name in vars(base))

    if not issubclass(has("__init__"), has("step")):
        return ()
    hints = hints_of(make.__init__, include_extras=True)
    return tuple(
        name
        for name, kind in hints.items()
        if any(isinstance(said, Key) and said.per_network for said in get_args(kind)[1:])
    )
