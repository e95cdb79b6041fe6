"""Initial weights and biases, drawn from explicit generators.

For n_in inputs and n_out outputs; biases are zero unless said otherwise:

    pytorch           U(-a, a), a = 1/√n_in, biases too   what torch's Linear and Conv2d do;
                      N(0, 1) for an Embedding, as torch's
    kaiming-uniform   U(-a, a), a = √(6 / n_in)           He et al. 2015, for ReLU
    kaiming-normal    N(0, 2 / n_in)                      He et al. 2015, for ReLU
    xavier-uniform    U(-a, a), a = √(6 / (n_in + n_out)) Glorot and Bengio 2010
    xavier-normal     N(0, 2 / (n_in + n_out))            Glorot and Bengio 2010
    orthogonal        gain Q, QᵀQ = 1 or QQᵀ = 1          Saxe, McClelland and Ganguli 2014
    uniform           U(-bound, bound), biases too
    normal            N(0, std²), biases too
    constant          value, biases apart
    zeros             0

Draws are float64 for any dtype of the network, so that a float32 and a float64 network from the
same generator start from the same numbers, except for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from minifw.errors import DtypeError, ModuleError, ShapeError, did_you_mean
from minifw.nn.module import Module
from minifw.nn.registry import Declaration, Key, initializer, kinds

__all__ = [
    "INITIALIZERS",
    "Constants",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "Normal",
    "Orthogonal",
    "PyTorchDefault",
    "Uniform",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]

Array = NDArray[np.float64]
Shape = tuple[int, ...]


class Initializer:
    """Draws the parameters of one layer of one network.

    `fan_in` is the number of inputs of each output, `fan_out` the number of outputs that each input
    enters. For a linear layer these are `in_features` and `out_features`, for a convolution
    `in_channels / groups` and `out_channels`, each times the size of the kernel, as in PyTorch.
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

    def draw_table(self, generator: np.random.Generator, shape: tuple[int, int]) -> Array:
        """Return a table with a row for each token: by default the weight for one-hot inputs."""
        return self.draw_weight(generator, shape, *shape)


plain = partial(
    initializer,
    about="initial weights; pytorch is the default of torch's Linear and Conv2d",
    section="An initialiser without parameters of its own.",
)
"""Declares an initialiser without arguments."""


@plain("pytorch")
@dataclass(frozen=True)
class PyTorchDefault(Initializer):
    """U(-1/√n_in, 1/√n_in) for weights and biases, N(0, 1) for embeddings: torch's defaults."""

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        bound = 1 / math.sqrt(fan_in)
        return generator.uniform(-bound, bound, shape)

    draw_bias = draw_weight

    def draw_table(self, generator: np.random.Generator, shape: tuple[int, int]) -> Array:
        return generator.normal(0, 1, shape)


@plain("kaiming-uniform")
@dataclass(frozen=True)
class KaimingUniform(Initializer):
    """U(-a, a) with a = √(6 / n_in): variance 2 / n_in, which keeps ReLU activations in scale.

    Source: He et al., arXiv:1502.01852.
    """

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        bound = math.sqrt(6 / fan_in)
        return generator.uniform(-bound, bound, shape)


@plain("kaiming-normal")
@dataclass(frozen=True)
class KaimingNormal(Initializer):
    """N(0, 2 / n_in), which keeps ReLU activations in scale from layer to layer.

    Source: He et al., arXiv:1502.01852.
    """

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return generator.normal(0, math.sqrt(2 / fan_in), shape)


@plain("xavier-uniform")
@dataclass(frozen=True)
class XavierUniform(Initializer):
    """U(-a, a) with a = √(6 / (n_in + n_out)), for Tanh and Sigmoid.

    Source: Glorot and Bengio, AISTATS 2010.
    """

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        bound = math.sqrt(6 / (fan_in + fan_out))
        return generator.uniform(-bound, bound, shape)


@plain("xavier-normal")
@dataclass(frozen=True)
class XavierNormal(Initializer):
    """N(0, 2 / (n_in + n_out)), for Tanh and Sigmoid.

    Source: Glorot and Bengio, AISTATS 2010.
    """

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


@initializer(
    "uniform",
    about="uniformly distributed weights and biases",
    section="U(-bound, bound) for weights and biases.",
)
@dataclass(frozen=True)
class Uniform(Initializer):
    """U(-bound, bound) for weights and biases, for any size of the layer."""

    bound: Annotated[float, Key("largest weight", ge=0)] = 1.0

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return generator.uniform(-self.bound, self.bound, shape)

    draw_bias = draw_weight


@initializer(
    "orthogonal",
    about="orthogonal weights, which keep the length of what they are applied to",
    section="Orthogonal weights, times a gain.",
)
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain Q with orthonormal rows, or columns if there are fewer, of `(outputs, all others)`.

    Q is uniformly distributed over all such matrices: of the QR decomposition of a normal matrix,
    with R's diagonal made positive. Source: Saxe, McClelland and Ganguli 2014; Mezzadri 2007.
    """

    gain: Annotated[float, Key("factor of the orthogonal matrix", ge=0)] = 1.0

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        rows, columns = shape[0], math.prod(shape[1:])
        tall = generator.normal(0, 1, (max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        weight: Array = self.gain * (q if rows >= columns else q.T)
        return weight.reshape(shape)


@initializer(
    "constant",
    about="the same number everywhere",
    section="One number for all weights, and one for all biases.",
)
@dataclass(frozen=True)
class Constants(Initializer):
    """One value for all weights, another for all biases. Units that are alike remain alike."""

    value: Annotated[float, Key("each weight")] = 0.0
    bias: Annotated[float, Key("each bias")] = 0.0

    def draw_weight(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return np.full(shape, self.value)

    def draw_bias(
        self, generator: np.random.Generator, shape: Shape, fan_in: int, fan_out: int
    ) -> Array:
        return np.full(shape, self.bias)


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


def own_generators(stack: Sequence[int]) -> list[np.random.Generator]:
    """Return a generator for each network, which follow torch's global one, as PyTorch's draws."""
    entropy = torch.randint(2**62, (math.prod(stack),)).tolist()
    return [np.random.default_rng(number) for number in entropy]


def check_fit(module: Module, weight_shape: Shape) -> None:
    """Raise unless weight and bias of a module, `(…, outputs, …)` and `(…, outputs)`, fit.

    Args:
        module: has `stack`, `weight` and `bias`, which may be None.
        weight_shape: of one network.

    Raises:
        ShapeError, DtypeError: they do not fit each other.

    """
    weight, bias = module.weight, module.__dict__.get("bias")
    stack, outputs = tuple(module.stack or ()), weight_shape[0]
    if weight.shape != (*stack, *weight_shape) or (
        bias is not None and bias.shape != (*stack, outputs)
    ):
        shape = ", ".join(map(str, weight_shape))
        raise ShapeError(
            f"{module}: expects weight (…, {shape}) and bias (…, {outputs}) with the same stack …, "
            f"got {tuple(weight.shape)} and {None if bias is None else tuple(bias.shape)}"
        )
    if bias is not None and bias.dtype != weight.dtype:
        raise DtypeError(
            f"{module}: expects weight and bias of one dtype, got {weight.dtype} and {bias.dtype}"
        )


def draw_parameters(
    module: Module,
    init: Initializer | str,
    generators: Sequence[np.random.Generator],
    fan_in: int,
    fan_out: int,
) -> None:
    """Draw `weight`, and then `bias` if there is one, of network k from `generators[k]`.

    Raises:
        ShapeError: there is not one generator for each network of the stack.
        ModuleError: there is no initialiser of that name.

    """
    stack = module.stack or ()
    if len(generators) != math.prod(stack):
        raise ShapeError(
            f"{module}.initialize: expects one generator for each of the {math.prod(stack)} "
            f"network(s) of the stack, got {len(generators)}"
        )
    init = find_initializer(init)
    values = {name: value for name, value, _ in module.parameters()}
    drawn: dict[str, list[Array]] = {name: [] for name in values}
    for generator in generators:
        for name, draws in drawn.items():
            draw = init.draw_weight if name == "weight" else init.draw_bias
            draws.append(draw(generator, tuple(values[name].shape[len(stack) :]), fan_in, fan_out))
    for name, draws in drawn.items():  # float64, rounded here
        values[name].copy_(torch.from_numpy(np.stack(draws)).reshape(values[name].shape))
