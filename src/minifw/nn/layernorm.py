"""`LayerNorm`: each sample's features have mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.buffers import buffer, sum_like
from minifw.nn.module import Module, as_called, described
from minifw.nn.registry import Key, Twin, layer
from minifw.nn.standardize import of_standardized, standardized

__all__ = ["LayerNorm"]


@layer(
    "layer-norm",
    about="(x - mean) / standard deviation over the features of a sample, times w, plus b",
    section="Normalises the last dimension of a sample; before it, flatten makes one of several.",
    outputs=lambda inputs, keys: inputs,
    parameters=lambda inputs, keys: keys["elementwise_affine"] * (1 + keys["bias"]) * inputs[-1],
    operations=lambda inputs, keys: (
        math.prod(inputs) * (6 + keys["elementwise_affine"] * (1 + keys["bias"]))
    ),
    inferred={"normalized_shape": lambda inputs: inputs[-1]},
    twin=Twin(
        "LayerNorm",
        normalized_shape="normalized_shape",
        eps="eps",
        elementwise_affine="elementwise_affine",
        bias=lambda ours: ours.bias is not None,
    ),
    case={"normalized_shape": 4},
)
class LayerNorm(Module):
    """y = w ⊙ x̂ + b with x̂ = (x - μ) / √(v + ε): the features of each sample, normalised.

    μ and v are the mean and variance of a sample's features (without Bessel's correction). x and y
    are `(…, samples, features)`, or `(…, samples, positions, features)` with each position on its
    own; with a `normalized_shape` of several dimensions, these are normalised together:

        weight  w  (…, *normalized_shape)    weight_grad  dL/dw = Σ of dL/dy x̂
        bias    b  (…, *normalized_shape)    bias_grad    dL/db = Σ of dL/dy

    and returned is dL/dx = (g - mean g - x̂ mean(g x̂)) / √(v + ε)
    with g = w ⊙ dL/dy, and sums over samples and positions. `…` is the stack and must equal that of
    the weights. Source: Ba, Kiros and Hinton, "Layer normalization", arXiv:1607.06450.

    Args:
        normalized_shape: the number of features, or the last dimensions of a sample.
        eps: ε, added to the variance.
        elementwise_affine: False leaves out w and b, which are then None.
        bias: False leaves out b.
        stack: the leading dimensions, `(20,)` for twenty networks; `()` is one network.
        dtype: torch.float32 or torch.float64.
        device: the device of the tensors.

    """

    weight: Tensor | None = None
    weight_grad: Tensor | None = None
    bias: Tensor | None = None
    bias_grad: Tensor | None = None

    def __init__(
        self,
        normalized_shape: Annotated[int | Sequence[int], Key("the number of features")],
        eps: Annotated[float, Key("added to the variance", ge=0)] = 1e-5,
        elementwise_affine: Annotated[bool, Key("whether there are weights and biases")] = True,
        bias: Annotated[bool, Key("whether there are biases besides the weights")] = True,
        *,
        stack: Sequence[int] = (),
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else (*normalized_shape,)
        if not shape or not all(isinstance(n, int) and n >= 1 for n in shape):
            raise ShapeError(
                "LayerNorm: normalized_shape must be whole numbers of at least 1, "
                f"got {normalized_shape!r}"
            )
        if not 0 <= eps < math.inf:
            raise ModuleError(f"LayerNorm: eps must be a finite number of at least 0, got {eps!r}")
        self.normalized_shape, self.eps = shape, eps
        self.elementwise_affine = elementwise_affine
        self._over = tuple(range(-len(shape), 0))
        if elementwise_affine:
            ones = torch.ones(*stack, *shape, dtype=dtype, device=device)
            self.register_parameter("weight", ones)
            if bias:
                self.register_parameter("bias", torch.zeros_like(ones))

    @property
    def stack(self) -> tuple[int, ...] | None:
        if self.weight is None:
            return None
        return tuple(self.weight.shape[: -len(self.normalized_shape)])

    def initialize(self, init: Any, generators: Sequence[np.random.Generator]) -> None:
        """Set weights to 1 and biases to 0: nothing of them is drawn."""
        if self.weight is not None:
            self.weight.fill_(1)
        if self.bias is not None:
            self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x)
        normal, scale, _, _ = standardized(x, self._over, self.eps)
        y = normal
        if self.weight is not None:
            y = torch.mul(normal, self._like(x, self.weight), out=buffer(x))
        if self.bias is not None:
            y.add_(self._like(x, self.bias))
        self.remember((x,), (y,), (normal, scale))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        normal, scale = self.recall(gradient).saved
        g = gradient
        if self.weight is not None:
            g = torch.mul(gradient, self._like(gradient, self.weight), out=buffer(gradient))
        of_mean = torch.mean(g, self._over, keepdim=True, out=buffer(g))
        products = torch.mul(g, normal, out=buffer(g))
        of_variance = torch.mean(products, self._over, keepdim=True, out=buffer(g))
        return of_standardized(g, of_mean, of_variance, normal, scale)

    def accumulate(self, gradient: Tensor) -> None:
        normal, _ = self.recall(gradient).saved
        if self.weight is not None and self.weight_grad is not None:
            products = torch.mul(gradient, normal, out=buffer(gradient))
            of_weight = sum_like(products, self._like(gradient, self.weight))
            self.weight_grad.add_(of_weight.view_as(self.weight))  # dL/dw += Σ dL/dy x̂
        if self.bias is not None and self.bias_grad is not None:
            of_bias = sum_like(gradient, self._like(gradient, self.bias))
            self.bias_grad.add_(of_bias.view_as(self.bias))  # dL/db += Σ dL/dy

    def _like(self, x: Tensor, parameter: Tensor) -> Tensor:
        """Return a parameter in a shape that is broadcast to x."""
        stack = parameter.shape[: -len(self.normalized_shape)]
        ones = [1] * (x.ndim - parameter.ndim)
        return parameter.view(*stack, *ones, *self.normalized_shape)

    def _check_input(self, x: Tensor) -> None:
        weight = self.weight
        if weight is None:
            self.check_floating(x)
        elif not isinstance(x, Tensor) or x.dtype != weight.dtype:
            raise DtypeError(
                f"{self}.forward: expects a tensor of {weight.dtype}, as the weight is, "
                f"got {described(x)}{as_called(x)}"
            )
        shape, stack = self.normalized_shape, self.stack or ()
        if (
            x.ndim <= len(stack) + len(shape)
            or x.shape[-len(shape) :] != shape
            or x.shape[: len(stack)] != stack
        ):
            expected = ", ".join([*map(str, stack), "samples", "…", *map(str, shape)])
            raise ShapeError(
                f"{self}.forward: expects an input of shape ({expected}), got {tuple(x.shape)}"
            )

    def __repr__(self) -> str:
        return f"LayerNorm({', '.join(map(str, self.normalized_shape))})"
