"""Options of optimisers: a number, or one for each network of a stack."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self, overload

import numpy as np
import torch
from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.optimizers.optimizer import Optimizer

OfNetworks = float | Sequence[float] | Tensor
"""A number, or one for each network of a stack."""

LARGEST = float(np.finfo(np.float64).max)


class Bound(NamedTuple):
    """What must hold of a number: in words, and as a function."""

    must: str
    fits: Callable[[Any], bool]


FRACTION = Bound("at least 0 and below 1", lambda x: 0 <= x < 1)
AMOUNT = Bound("at least 0 and finite", lambda x: 0 <= x <= LARGEST)
ABOVE_0 = Bound("above 0", lambda x: x > 0)


class Option:
    """An option of an optimiser: a number, or one for each network of its stack.

    One number is an attribute of the optimizer. Several are a tensor `(stack)`, of the dtype of the
    weights, in its state under the option's name: so parts of a stack, checkpoints and compiled
    steps have it, and setting several again changes it in place.

        class SGD(Optimizer):
            momentum = Option(FRACTION)

    Args:
        bound: what must hold of each number.
        with_rest: whether `rest`, 1 - number, is kept too. It is computed in float64: 1 - 0.999 is
            0.001, while 1 less the float32 that is nearest to 0.999 is 1.3e-5 of it off.
        optional: whether it may be None, for none. Among several, infinity does the same.
        then: called with the optimizer after each change.

    """

    def __init__(
        self,
        bound: Bound,
        *,
        with_rest: bool = False,
        optional: bool = False,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        self.bound, self.with_rest, self.optional, self.then = bound, with_rest, optional, then

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, optimizer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, optimizer: Optimizer, owner: type) -> float | Tensor: ...

    def __get__(self, optimizer: Optimizer | None, owner: type) -> Self | float | Tensor:
        """Return the number, or a tensor `(stack)` of numbers."""
        if optimizer is None:
            return self
        own: dict[str, Any] = optimizer.__dict__
        return own[self.name] if self.name in own else optimizer.state[self.name]

    def rest(self, optimizer: Optimizer) -> float | Tensor:
        """Return 1 - number, or a tensor `(stack)` of them."""
        number = optimizer.__dict__.get(self.name)
        return optimizer.state[f"1 - {self.name}"] if number is None else 1 - number

    def is_used(self, optimizer: Optimizer) -> bool:
        """Return whether it is neither 0 nor None; with one for each network it counts as used."""
        return optimizer.__dict__.get(self.name, True) not in (0, None)

    def __set__(self, optimizer: Optimizer, given: OfNetworks | None) -> None:
        """Set one number, or one for each network.

        Raises:
            ModuleError: a number does not fit, or there is not one for each network.

        """
        own = optimizer.__dict__
        if given is None and self.optional:
            self._forget(optimizer)
            own[self.name] = None
        else:
            table = self._checked(optimizer, given)
            if table.ndim:
                self._keep(optimizer, self.name, table)
                if self.with_rest:
                    self._keep(optimizer, f"1 - {self.name}", 1 - table)
                own.pop(self.name, None)
            else:
                self._forget(optimizer)
                own[self.name] = given if isinstance(given, int) else float(table.item())
        if self.then is not None:
            self.then(optimizer)

    def _forget(self, optimizer: Optimizer) -> None:
        """Take several numbers out of the state."""
        if self.name not in optimizer.__dict__ and self.name in optimizer.state:
            del optimizer.state[self.name]
            optimizer.state.pop(f"1 - {self.name}", None)

    def _keep(
        self, optimizer: Optimizer, name: str, table: np.ndarray[Any, np.dtype[np.float64]]
    ) -> None:
        """Put one number for each network into the state."""
        like = optimizer.network.parameters()[0].value
        numbers = torch.from_numpy(table)
        if self.name in optimizer.__dict__ or name not in optimizer.state:
            optimizer.state[name] = numbers.to(like.device, like.dtype)
        else:
            optimizer.state[name].copy_(numbers)  # in place, as parts of a stack have views of it

    def _checked(self, optimizer: Optimizer, given: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return what was given as an array, without dimensions for one number."""
        what = f"{type(optimizer).__name__}: {self.name} must be"
        several = isinstance(given, (Sequence, np.ndarray, Tensor)) and not isinstance(given, str)
        values: Any = given.tolist() if isinstance(given, (np.ndarray, Tensor)) else given
        table = np.array(values, dtype=object)  # of any shape; a wrong number stays as it is
        for number in table.flat:
            if not isinstance(number, (int, float, np.number)) or not self.bound.fits(number):
                raise ModuleError(f"{what} {self.bound.must}, got {number!r}")
        stack = tuple(optimizer.network.stack or ())
        if several and (table.shape != stack or not stack):
            raise ModuleError(
                f"{what} a number, or one for each network of the stack {stack}, got {table.shape}"
            )
        for _, like, _ in optimizer.network.parameters()[:1]:
            finite = [number for number in table.flat if number != math.inf]
            largest = torch.finfo(like.dtype).max
            if finite and (most := max(finite)) > largest:
                kind = str(like.dtype).removeprefix("torch.")
                raise ModuleError(f"{what} finite in {kind}, got {most!r}")
        return table.astype(np.float64)


def with_options(optimizer: Optimizer, *always: str) -> str:
    """Return name and options of an optimizer, without those that have their default value.

    The options are the arguments of its class; those in `always` are shown in any case.
    """

    def shown(value: object) -> str:
        return "one for each network" if isinstance(value, Tensor) else str(value)

    arguments = inspect.signature(type(optimizer)).parameters.values()
    values = [
        (each, getattr(optimizer, each.name))
        for each in arguments
        if each.name != "network" and hasattr(optimizer, each.name)
    ]
    options = [
        f"{each.name}={shown(value)}"
        for each, value in values
        if each.name in always or isinstance(value, Tensor) or value != each.default
    ]
    return f"{type(optimizer).__name__}({', '.join(options)})"
