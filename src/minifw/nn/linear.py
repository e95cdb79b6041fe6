"""`Linear`, the layer whose outputs are weighted sums of its inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from minifw.errors import DtypeError, ShapeError
from minifw.nn.buffers import add_product, buffer, product
from minifw.nn.initializers import Initializer, check_fit, draw_parameters, own_generators
from minifw.nn.module import FLOATING, Module, Parameter, as_called, described
from minifw.nn.registry import Key, Twin, layer

__all__ = ["Linear"]


@layer(
    "linear",
    about="y = x W^T + b",
    section="A linear layer; `in_features` is inferred, and checked if given.",
    short="out_features",
    outputs=lambda inputs, keys: keys["out_features"],
    parameters=lambda inputs, keys: (inputs[-1] + keys["bias"]) * keys["out_features"],
    operations=lambda inputs, keys: (
        math.prod(inputs[:-1]) * (2 * inputs[-1] - 1 + keys["bias"]) * keys["out_features"]
    ),
    twin=Twin(
        "Linear",
        in_features="in_features",
        out_features="out_features",
        bias=lambda ours: ours.bias is not None,
    ),
    case={"in_features": 4, "out_features": 3},
)
class Linear(Module):
    """y = x Wᵀ + b: each output is a weighted sum of the inputs, plus a bias.

    For x of shape `(…, samples, in_features)` the output y is `(…, samples, out_features)`;
    `…` is the stack and must equal that of the weights:

        weight  W  (…, out_features, in_features)      weight_grad  dL/dW = (dL/dy)ᵀ x
        bias    b  (…, out_features)                   bias_grad    dL/db = Σ over samples of dL/dy
                                                      returned     dL/dx = dL/dy W

    Source: section 2.1 of the report that minifw comes from (see README).

    Args:
        in_features: number of inputs of each sample, at least 1.
        out_features: number of outputs of each sample, at least 1.
        bias: False leaves out b; `bias` and `bias_grad` are then None.
        init: the initialiser of weights and biases, an `Initializer` or its name.
        stack: the leading dimensions, `(20,)` for twenty networks; `()` is one network.
        generators: one NumPy generator for each network of the stack. Without them the draw
            follows torch's global generator, as in PyTorch (`torch.manual_seed`).
        dtype: torch.float32 or torch.float64.
        device: the device of the tensors.

    """

    weight: Tensor
    weight_grad: Tensor
    bias: Tensor | None = None
    bias_grad: Tensor | None = None

    def __init__(
        self,
        in_features: int,
        out_features: Annotated[int, Key("number of outputs", ge=1, le=100_000)],
        bias: Annotated[bool, Key("whether outputs have a bias")] = True,
        *,
        init: Initializer | str = "pytorch",
        stack: Sequence[int] = (),
        generators: Sequence[np.random.Generator] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ShapeError(
                    f"Linear: {name} must be a whole number of at least 1, got {value!r}"
                )
        if dtype not in FLOATING:
            raise DtypeError(f"Linear: dtype must be torch.float32 or torch.float64, got {dtype}")
        self.in_features = in_features
        self.out_features = out_features
        stack = tuple(stack)
        if any(size < 1 for size in stack):
            raise ShapeError(f"Linear: a stack must hold at least one network, got {stack}")
        weight = torch.zeros(*stack, out_features, in_features, dtype=dtype, device=device)
        self.register_parameter("weight", weight)
        if bias:
            self.register_parameter("bias", weight.new_zeros(*stack, out_features))
        self.initialize(init, own_generators(stack) if generators is None else generators)

    @property
    def stack(self) -> tuple[int, ...]:
        return tuple(self.weight.shape[:-2])

    def initialize(
        self, init: Initializer | str, generators: Sequence[np.random.Generator]
    ) -> None:
        """Draw a new weight and bias, those of network k of the stack from `generators[k]`."""
        draw_parameters(self, init, generators, self.in_features, self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x)
        y = product(x, self.weight.mT, self.bias)  # y = x Wᵀ + b
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        return product(gradient, self.weight)  # dL/dx = dL/dy W

    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        add_product(self.weight_grad, gradient.mT, x)  # dL/dW += (dL/dy)ᵀ x
        if self.bias_grad is not None:
            of_bias = torch.sum(gradient, -2, out=buffer(gradient))  # Σ over samples of dL/dy
            self.bias_grad.add_(of_bias)  # dL/db += Σ over samples of dL/dy

    def _check_input(self, x: Tensor) -> None:
        if not isinstance(x, Tensor) or x.dtype != self.weight.dtype:
            raise DtypeError(
                f"{self}.forward: expects a tensor of {self.weight.dtype}, as the weight is, "
                f"got {described(x)}{as_called(x)}"
            )
        if self._parameters is None:  # assigned since the last check
            self.parameters()
        stack = self.weight.shape[:-2]
        if x.ndim < 2 or x.shape[-1] != self.in_features or x.shape[:-2] != stack:
            expected = ", ".join([*map(str, stack), "samples", str(self.in_features)])
            raise ShapeError(
                f"{self}.forward: expects an input of shape ({expected}), got {tuple(x.shape)}"
            )

    def check_parameters(self, parameters: Sequence[Parameter]) -> None:
        """Raise unless weight and bias fit each other."""
        super().check_parameters(parameters)
        check_fit(self, (self.out_features, self.in_features))

    def __repr__(self) -> str:
        bias = "" if self.bias is not None else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{bias})"
