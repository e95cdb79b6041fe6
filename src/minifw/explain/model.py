"""A step of training explained: what each layer took, gave and got back, with every number shown.

A large tensor is shown by a corner: its first rows and columns, of the first sample and channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Tensor

ROWS, COLUMNS = 4, 6
"""How much of a tensor is shown: the first numbers of its first rows."""


@dataclass(frozen=True)
class Numbers:
    """A tensor of one network: its shape, its norm, and a corner of its numbers.

    `rows` are those of its last two dimensions; of the dimensions before, index 0 is shown.
    """

    name: str
    shape: tuple[int, ...]
    norm: float
    rows: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, name: str, tensor: Tensor) -> Numbers:
        """Return what is shown of a tensor without a stack."""
        values = tensor.double()
        matrix = values
        while matrix.ndim > 2:
            matrix = matrix[0]
        matrix = matrix.reshape(-1, matrix.shape[-1]) if matrix.ndim else matrix.reshape(1, 1)
        rows = tuple(tuple(row) for row in matrix[:ROWS, :COLUMNS].tolist())
        return cls(name, tuple(tensor.shape), float(values.norm()), rows)

    @property
    def size(self) -> int:
        """How many numbers the tensor has."""
        return math.prod(self.shape)

    @property
    def shown(self) -> int:
        """How many of them are shown."""
        return sum(map(len, self.rows))


def places(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the indices of the numbers of a tensor of this shape that `Numbers` shows."""
    *first, rows, columns = (1, *shape) if len(shape) == 1 else shape
    for row in range(min(rows, ROWS)):
        for column in range(min(columns, COLUMNS)):
            yield (column,) if len(shape) == 1 else (*[0] * len(first), row, column)


@dataclass(frozen=True)
class Gradient:
    """dL/d(a tensor) as a backward pass gave it, and central differences of the same numbers.

    `numeric` are the rows of the numbers shown; NaN on a kink, where there is no derivative, and
    where the loss is not finite. It is None where the tensor holds whole numbers. `error` is the
    largest relative error of those that are compared.
    """

    numbers: Numbers
    numeric: tuple[tuple[float, ...], ...] | None
    error: float
    kinks: int = 0

    @property
    def compared(self) -> int:
        """How many numbers are compared."""
        return 0 if self.numeric is None else self.numbers.shown - self.kinks


@dataclass(frozen=True)
class Trained:
    """A parameter of a layer: its values, its gradient, and how the step changed it.

    `share` is its part in the squared norm of the whole update.
    """

    name: str
    value: Numbers
    gradient: Gradient
    change: Numbers
    share: float


@dataclass(frozen=True)
class Dead:
    """Units of an activation function that are 0 for all samples: of the step, of all looked at."""

    units: int
    in_step: int
    always: int
    samples: int


@dataclass(frozen=True)
class Layer:
    """A call of a module in the step.

    `position` is that of the module in the network, None for one that only joins heads; `takes`
    says where its inputs come from. `came` is dL/dy; `given` has dL/dx for each input, and is empty
    where it is not made, since nothing before is trained. `parameters` stand at the first call of a
    module that is used several times.
    """

    position: int | None
    name: str | None
    module: str
    formula: str
    takes: tuple[str, ...]
    inputs: tuple[Numbers, ...]
    output: Numbers
    came: Gradient | None
    given: tuple[Gradient, ...]
    parameters: tuple[Trained, ...]
    again: bool = False
    dead: Dead | None = None

    @property
    def kind(self) -> str:
        """The class of the module."""
        return self.module.partition("(")[0]

    @property
    def where(self) -> str:
        """The layer in words."""
        return self.kind if self.position is None else f"layer {self.position}, {self.module}"

    @property
    def gradients(self) -> list[Gradient]:
        """All gradients of the layer."""
        came = [] if self.came is None else [self.came]
        return [*came, *self.given, *(each.gradient for each in self.parameters)]

    @property
    def share(self) -> float:
        """Its part in the squared norm of the update."""
        return sum(each.share for each in self.parameters)


@dataclass(frozen=True)
class Cost:
    """The loss of the step: what it took, its value, and the gradient that it began with."""

    module: str
    formula: str
    value: float
    output: Numbers
    target: Numbers
    gradient: Gradient


Phase = Literal["forward", "loss", "gradient of the loss", "backward", "update"]
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True)
class Moment:
    """A line of code that made a tensor: in which layer, on the way forward or backward.

    `line` is its place in the lines of `Explained.code`; `layer` is the place of the call, None for
    the loss and the optimiser. `more` tensors were made that are not shown.
    """

    phase: Phase
    layer: int | None
    line: int
    made: tuple[Numbers, ...]
    more: int = 0


@dataclass(frozen=True)
class Explained:
    """One step of training on a few samples, layer by layer, in float64."""

    config: str
    seed: int
    step: int
    samples: int
    mode: str
    features: int
    layers: tuple[Layer, ...]
    cost: Cost
    optimizer: str
    rule: str
    eta: float
    update: float
    """The norm of the update of all parameters."""
    code: tuple[str, ...] = field(default=(), repr=False)
    moments: tuple[Moment, ...] = field(default=(), repr=False)

    @property
    def finite(self) -> bool:
        """Whether all values and gradients are finite, so that gradients can be compared."""
        norms = [layer.output.norm for layer in self.layers]
        norms += [gradient.numbers.norm for gradient in self.gradients]
        return all(map(math.isfinite, (self.cost.value, self.update, *norms)))

    @property
    def gradients(self) -> list[Gradient]:
        """All gradients that are shown."""
        return [*(each for layer in self.layers for each in layer.gradients), self.cost.gradient]
