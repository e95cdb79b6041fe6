"""Central differences of the loss of a step, for the numbers of its gradients that are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from minifw.explain.model import Gradient, Numbers, places
from minifw.nn import Loss, Network
from minifw.nn.differences import Element, elements
from minifw.nn.registry import LayerDeclaration, declaration_of
from minifw.nn.variables import Record


class Differences:
    """The loss of a network as a function of any tensor of a forward pass.

    The record of the pass is run again from the inputs; modules that draw random numbers draw
    those of the step, since their states are put back before.
    """

    def __init__(
        self,
        network: Network,
        record: Record,
        loss: Loss,
        inputs: Tensor,
        targets: Tensor,
        states: Mapping[str, Tensor],
    ) -> None:
        self.network, self.record, self.loss = network, record, loss
        self.inputs, self.targets, self.states = inputs, targets, states
        self.whole = self._of_whole_numbers()

    def _of_whole_numbers(self) -> set[int]:
        """Return the numbers of values that a module takes as whole numbers, or that lead there."""
        found: set[int] = set()
        for step in reversed(self.record.steps):
            said = declaration_of(type(step.module), LayerDeclaration)
            outputs = {*range(step.first, step.first + step.outputs)}
            if said.whole is not None or found & outputs:
                found |= {*step.inputs}
        return found

    def of_parameter(self, name: str, value: Tensor, gradient: Tensor) -> Gradient:
        """Compare the gradient of a parameter, which is moved in place and put back."""
        return self._compared(name, value, gradient, {}, {})

    def of_output(self, place: int, name: str, value: Tensor, gradient: Tensor) -> Gradient:
        """Compare the gradient of what the call at this place gave."""
        number = self.record.steps[place].first
        if number in self.whole:
            return _not_compared(name, gradient)
        moved = value.clone()
        return self._compared(name, moved, gradient, {number: moved}, {})

    def of_input(
        self, place: int, which: int, name: str, given: Sequence[Tensor], gradient: Tensor
    ) -> Gradient:
        """Compare the gradient of an input of the call at this place, by way of this call alone."""
        if self.record.steps[place].inputs[which] in self.whole:
            return _not_compared(name, gradient)
        moved = [value.clone() for value in given]
        return self._compared(name, moved[which], gradient, {}, {place: moved})

    def of_end(self, name: str, output: Tensor, gradient: Tensor) -> Gradient:
        """Compare the gradient of the network's output with differences of the loss alone."""
        moved = output.clone()
        found = elements(
            moved,
            gradient,
            lambda: [self.loss.function(moved, self.targets)],
            [torch.ones(1, dtype=moved.dtype)],
            [(0, *place) for place in places(tuple(moved.shape[1:]))],
        )
        return _gradient(name, gradient, found)

    def _compared(
        self,
        name: str,
        tensor: Tensor,
        gradient: Tensor,
        values: Mapping[int, Tensor],
        given: Mapping[int, Sequence[Tensor]],
    ) -> Gradient:
        found = elements(
            tensor,
            gradient,
            lambda: [self._loss(values, given)],
            [torch.ones(1, dtype=tensor.dtype)],
            [(0, *place) for place in places(tuple(tensor.shape[1:]))],
        )
        return _gradient(name, gradient, found)

    def _loss(self, values: Mapping[int, Tensor], given: Mapping[int, Sequence[Tensor]]) -> Tensor:
        """Return the loss where some values, or what some calls are given, are replaced."""
        for name, state in self.network.states():
            state.copy_(self.states[name])
        found: list[Tensor] = [self.inputs]
        for place, step in enumerate(self.record.steps):
            taken = given.get(place) or [found[number] for number in step.inputs]
            result = step.module.forward(*taken)
            found += result if isinstance(result, tuple) else [result]
            for number in range(step.first, step.first + step.outputs):
                found[number] = values.get(number, found[number])
        (end,) = self.record.ends
        return self.loss.function(found[end], self.targets)


def _not_compared(name: str, gradient: Tensor) -> Gradient:
    return Gradient(Numbers.of(name, gradient[0]), None, 0.0)


def _gradient(name: str, gradient: Tensor, found: Sequence[Element]) -> Gradient:
    """Return a gradient with the differences found, in rows."""
    numbers = Numbers.of(name, gradient[0])
    broken = [element.kind in ("kink", "jump") for element in found]
    numeric = [
        math.nan if is_broken else element.numeric
        for element, is_broken in zip(found, broken, strict=True)
    ]
    errors = [
        element.error for element, is_broken in zip(found, broken, strict=True) if not is_broken
    ]
    width = len(numbers.rows[0])
    rows = tuple(tuple(numeric[k : k + width]) for k in range(0, len(numeric), width))
    return Gradient(numbers, rows, max(errors, default=0.0), sum(broken))
