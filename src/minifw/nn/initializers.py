"""How weights and biases start out, drawn from explicit generators.

With n_in inputs and n_out outputs, and biases zero unless said otherwise:

    pytorch           U(-a, a), a = 1/√n_in, biases too   what torch's nn.Linear does
    kaiming-uniform   U(-a, a), a = √(6 / n_in)           He et al. 2015, for ReLU
    kaiming-normal    N(0, 2 / n_in)                      He et al. 2015, for ReLU
    xavier-uniform    U(-a, a), a = √(6 / (n_in + n_out)) Glorot and Bengio 2010
    xavier-normal     N(0, 2 / (n_in + n_out))            Glorot and Bengio 2010
    normal            N(0, std²), biases too
    zeros             0

Draws are float64 whatever the dtype of the network, so that a float32 and a float64 network
from the same generator start from the same numbers, rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from minifw.errors import ModuleError, did_you_mean
from minifw.nn.registry import Declaration, Key, initializer, kinds

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "Normal",
    "PyTorchDefault",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]

Array = NDArray[np.float64]
Shape = tuple[int, ...]


class Initializer:
    """Draws the parameters of one layer of one network.

    `fan_in` is how many inputs go into each output, `fan_out` into how many outputs each input
    goes: for a linear layer its features, whatever the shape of its weight.
    """

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        """Return a weight of this shape; all that most initialisers define."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw_weight")

    def draw_bias(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        """Return a bias of this shape; it is drawn after the weight."""
        return np.zeros(shape)


plain = partial(
    initializer,
    about="how weights start; pytorch is what torch's Linear does",
    section="An initialiser without parameters of its own.",
)
"""Declares an initialiser without arguments."""


@plain("pytorch")
@dataclass(frozen=True)
class PyTorchDefault(Initializer):
    """U(-1/√n_in, 1/√n_in) for weights and biases, the default of torch's nn.Linear."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        bound = 1 / math.sqrt(fan_in)
        return generator.uniform(-bound, bound, shape)

    draw_bias = draw_weight


@plain("kaiming-uniform")
@dataclass(frozen=True)
class KaimingUniform(Initializer):
    """U(-a, a) with a = √(6 / n_in): variance 2 / n_in, which keeps ReLU activations in scale."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        bound = math.sqrt(6 / fan_in)
        return generator.uniform(-bound, bound, shape)


@plain("kaiming-normal")
@dataclass(frozen=True)
class KaimingNormal(Initializer):
    """N(0, 2 / n_in), which keeps ReLU activations in scale from layer to layer."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return generator.normal(0, math.sqrt(2 / fan_in), shape)


@plain("xavier-uniform")
@dataclass(frozen=True)
class XavierUniform(Initializer):
    """U(-a, a) with a = √(6 / (n_in + n_out)), for Tanh and Sigmoid."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        bound = math.sqrt(6 / (fan_in + fan_out))
        return generator.uniform(-bound, bound, shape)


@plain("xavier-normal")
@dataclass(frozen=True)
class XavierNormal(Initializer):
    """N(0, 2 / (n_in + n_out)), for Tanh and Sigmoid."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return generator.normal(0, math.sqrt(2 / (fan_in + fan_out)), shape)


@initializer(
    "normal",
    about="normally distributed weights and biases",
    section="N(0, std²) for weights and biases.",
)
@dataclass(frozen=True)
class Normal(Initializer):
    """N(0, std²) for weights and biases, whatever the size of the layer."""

    std: Annotated[float, Key("their standard deviation", ge=0)] = 1.0

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return generator.normal(0, self.std, shape)

    draw_bias = draw_weight


@plain("zeros")
@dataclass(frozen=True)
class Zeros(Initializer):
    """All zero. Layers after the first never learn from it; for tests and last layers."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return np.zeros(shape)


INITIALIZERS: dict[str, Callable[..., Initializer]] = {
    kind: declaration.make for kind, declaration in kinds(Declaration).items()
}


def find_initializer(init: Initializer | str) -> Initializer:
    """Return the initialiser itself or the one of that name.

    Raises:
        ModuleError: there is none of that name.

    """
    if isinstance(init, Initializer):
        return init
    if init not in INITIALIZERS:
        raise ModuleError(f"unknown initialiser {init!r}{did_you_mean(init, INITIALIZERS)}")
    return INITIALIZERS[init]()
