"""`Wired`: a graph that is given as a table, as a config's network whose layers have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minifw.errors import ModuleError, ShapeError
from minifw.nn.graphs import Graph
from minifw.nn.module import Module
from minifw.nn.networks import Network
from minifw.nn.parts import Concat
from minifw.nn.variables import Variable

__all__ = ["Wired"]


class Wired(Graph):
    """A graph of one input whose modules take the values that a table says.

    Value 0 is the input, value k + 1 the output of the module at position k. `Wired([Linear(4, 4),
    Tanh(), Add()], [(0,), (1,), (0, 2)])` is y = x + tanh(W x + b). Shapes are its modules'.

    Args:
        modules: one for each call, in their order; a module that acts again stands here again.
        takes: for each of them the numbers of the values that it takes.
        ends: the numbers of the outputs; by default the output of the last module.
        joined: whether the network has one output, all of them side by side.

    """

    def __init__(
        self,
        modules: Sequence[Module],
        takes: Sequence[Sequence[int]],
        ends: Sequence[int] | None = None,
        joined: bool = False,
    ) -> None:
        if len(takes) != len(modules):
            raise ShapeError(
                f"Wired: expects the values that each of {len(modules)} modules takes, "
                f"got {len(takes)}"
            )
        self.takes = tuple(map(tuple, takes))
        self.ends = (len(modules),) if ends is None else tuple(ends)
        self.joined = joined
        for position, numbers in enumerate(self.takes):
            if not numbers or not all(0 <= number <= position for number in numbers):
                raise ModuleError(
                    f"Wired: module {position} must take values from 0, the input, to {position}, "
                    f"the output of the module before it, got {numbers}"
                )
        if not self.ends or not all(0 <= number <= len(modules) for number in self.ends):
            raise ModuleError(f"Wired: ends must be values from 0 to {len(modules)}")
        self.register_modules(*modules)

    def connect(self, x: Variable) -> Any:
        values = [x]
        for module, numbers in zip(self, self.takes, strict=True):
            values.append(module(*[values[number] for number in numbers]))
        ends = tuple(values[number] for number in self.ends)
        return Concat(-1)(*ends) if self.joined and len(ends) > 1 else ends


def table(network: Network) -> tuple[Sequence[Sequence[int]], Sequence[int]]:
    """Return which values each module of a network takes, and which are its outputs.

    A network that is not `Wired` counts as a chain of its modules.
    """
    if isinstance(network, Wired):
        return network.takes, network.ends
    return [(position,) for position in range(len(network))], (len(network),)
