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
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from minifw.errors import ModuleError, near_miss
from minifw.nn.registry import Declaration, Key, initializer, kinds

Array = NDArray[np.float64]


class Initializer:
    """Draws the parameters of one linear layer."""

    def draw(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> tuple[Array, Array]:
        """Return a weight `(out_features, in_features)` and a bias `(out_features,)`."""
        weight = self.draw_weight(generator, out_features, in_features)
        return weight, np.zeros(out_features)

    def draw_weight(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> Array:
        """Return a weight `(out_features, in_features)`; all that most initialisers define."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw_weight")


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

    def draw(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> tuple[Array, Array]:
        bound = 1 / math.sqrt(in_features)
        weight = generator.uniform(-bound, bound, (out_features, in_features))
        return weight, generator.uniform(-bound, bound, out_features)


@plain("kaiming-uniform")
@dataclass(frozen=True)
class KaimingUniform(Initializer):
    """U(-a, a) with a = √(6 / n_in): variance 2 / n_in, which keeps ReLU activations in scale."""

    def draw_weight(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> Array:
        bound = math.sqrt(6 / in_features)
        return generator.uniform(-bound, bound, (out_features, in_features))


@plain("kaiming-normal")
@dataclass(frozen=True)
class KaimingNormal(Initializer):
    """N(0, 2 / n_in), which keeps ReLU activations in scale from layer to layer."""

    def draw_weight(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> Array:
        return generator.normal(0, math.sqrt(2 / in_features), (out_features, in_features))


@plain("xavier-uniform")
@dataclass(frozen=True)
class XavierUniform(Initializer):
    """U(-a, a) with a = √(6 / (n_in + n_out)), for Tanh and Sigmoid."""

    def draw_weight(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> Array:
        bound = math.sqrt(6 / (in_features + out_features))
        return generator.uniform(-bound, bound, (out_features, in_features))


@plain("xavier-normal")
@dataclass(frozen=True)
class XavierNormal(Initializer):
    """N(0, 2 / (n_in + n_out)), for Tanh and Sigmoid."""

    def draw_weight(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> Array:
        std = math.sqrt(2 / (in_features + out_features))
        return generator.normal(0, std, (out_features, in_features))


@initializer(
    "normal",
    about="normally distributed weights and biases",
    section="N(0, std²) for weights and biases.",
)
@dataclass(frozen=True)
class Normal(Initializer):
    """N(0, std²) for weights and biases, whatever the size of the layer."""

    std: Annotated[float, Key("their standard deviation", ge=0)] = 1.0

    def draw(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> tuple[Array, Array]:
        weight = generator.normal(0, self.std, (out_features, in_features))
        return weight, generator.normal(0, self.std, out_features)


@plain("zeros")
@dataclass(frozen=True)
class Zeros(Initializer):
    """All zero. Layers after the first never learn from it; for tests and last layers."""

    def draw_weight(
        self, generator: np.random.Generator, out_features: int, in_features: int
    ) -> Array:
        return np.zeros((out_features, in_features))


INITIALIZERS: dict[str, type[Initializer]] = {
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
        raise ModuleError(f"unknown initialiser {init!r}{near_miss(init, INITIALIZERS)}")
    return INITIALIZERS[init]()
