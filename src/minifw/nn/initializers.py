"""Initial weights and biases, drawn from explicit generators.

For n_in inputs and n_out outputs; biases are zero unless said otherwise:

    pytorch           U(-a, a), a = 1/√n_in, biases too   what torch's nn.Linear does
    kaiming-uniform   U(-a, a), a = √(6 / n_in)           He et al. 2015, for ReLU
    kaiming-normal    N(0, 2 / n_in)                      He et al. 2015, for ReLU
    xavier-uniform    U(-a, a), a = √(6 / (n_in + n_out)) Glorot and Bengio 2010
    xavier-normal     N(0, 2 / (n_in + n_out))            Glorot and Bengio 2010
    normal            N(0, std²), biases too
    zeros             0

Draws are float64 for any dtype of the network, so that a float32 and a float64 network from the
same generator start from the same numbers, except for rounding.
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

    `fan_in` is the number of inputs of each output, `fan_out` the number of outputs that each input
    enters. For a linear layer these are `in_features` and `out_features`.
    """

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        """Return a weight of this shape. Most initialisers define only this method."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw_weight")

    def draw_bias(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        """Return a bias of this shape; it is drawn after the weight."""
        return np.zeros(shape)


plain = partial(
    initializer,
    about="initial weights; pytorch is the default of torch's Linear",
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
    """N(0, std²) for weights and biases, for any size of the layer."""

    std: Annotated[float, Key("standard deviation", ge=0)] = 1.0

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return generator.normal(0, self.std, shape)

    draw_bias = draw_weight


@plain("zeros")
@dataclass(frozen=True)
class Zeros(Initializer):
    """All zero. Layers before a layer of zeros get zero gradients at first; for last layers."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return np.zeros(shape)


INITIALIZERS: dict[str, Callable[..., Initializer]] = {
    kind: declaration.make for kind, declaration in kinds(Declaration).items()
}


def find_initializer(init: Initializer | str) -> Initializer:
    """Return `init` itself, or the initialiser of that name.

    Raises:
        ModuleError: there is none of that name.

    """
    if isinstance(init, Initializer):
        return init
    if init not in INITIALIZERS:
        raise ModuleError(f"unknown initialiser {init!r}{did_you_mean(init, INITIALIZERS)}")
    return INITIALIZERS[init]()
