"""Numbers times a gate that opens for large ones: `GELU` and `SiLU`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.activations import ActivationFunction, activation
from minifw.nn.buffers import buffer, sigmoid
from minifw.nn.registry import Key, Twin

__all__ = ["GELU", "SiLU"]


class Gate(ActivationFunction):
    """y = x Φ(x), where the gate Φ goes from 0 to 1; σ'(x) = Φ(x) + x Φ'(x). Any shape, kept.

    A subclass defines `gate` for Φ, and `rise` for x Φ'. The gate is kept for `backward`.
    """

    def gate(self, x: Tensor) -> Tensor:
        """Return Φ(x), in a new tensor or a buffer."""
        raise NotImplementedError(f"{type(self).__name__} does not define gate")

    def rise(self, x: Tensor, gate: Tensor) -> Tensor:
        """Return x Φ'(x) from x and Φ(x), in a new tensor or a buffer."""
        raise NotImplementedError(f"{type(self).__name__} does not define rise")

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        gate = self.gate(x)
        y = torch.mul(x, gate, out=buffer(x))
        self.remember((x,), (y,), gate)
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        call = self.recall(gradient)
        (x,), gate = call.inputs, call.saved
        return self.rise(x, gate).add_(gate).mul_(gradient)  # dL/dx = dL/dy (Φ + x Φ')


@activation("silu", twin=Twin("SiLU"))
class SiLU(Gate):
    """y = x s with s = 1 / (1 + e⁻ˣ); σ'(x) = s + x s (1 - s). Any shape, kept.

    Source: Elfwing, Uchibe and Doya, arXiv:1702.03118; also called swish.
    """

    def gate(self, x: Tensor) -> Tensor:
        return sigmoid(x, buffer(x))

    def rise(self, x: Tensor, gate: Tensor) -> Tensor:
        return torch.neg(gate, out=buffer(gate)).add_(1).mul_(gate).mul_(x)


# tanh(k (x + c x³)) is near erf(x / √2)
K, C = math.sqrt(2 / math.pi), 0.044715


@activation("gelu", short="approximate", twin=Twin("GELU", approximate="approximate"))
class GELU(Gate):
    """y = x Φ(x) with the normal distribution's Φ; σ'(x) = Φ(x) + x φ(x). Any shape, kept.

    Φ(x) = (1 + erf(x / √2)) / 2 and φ(x) = exp(-x²/2) / √(2π); with `approximate="tanh"` it is
    Φ(x) = (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³). Far below 0 Φ is as exact as 1 is,
    not as itself, as in PyTorch. Source: Hendrycks and Gimpel, arXiv:1606.08415.

    Args:
        approximate: "none" or "tanh".

    """

    def __init__(
        self,
        approximate: Annotated[
            Literal["none", "tanh"], Key("tanh approximates the normal distribution")
        ] = "none",
    ) -> None:
        if approximate not in ("none", "tanh"):
            raise ModuleError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def gate(self, x: Tensor) -> Tensor:
        if self.approximate == "none":
            argument = torch.mul(x, math.sqrt(0.5), out=buffer(x))
            return argument.erf_().add_(1).mul_(0.5)
        square = torch.mul(x, x, out=buffer(x))
        return square.mul_(K * C).add_(K).mul_(x).tanh_().add_(1).mul_(0.5)

    def rise(self, x: Tensor, gate: Tensor) -> Tensor:
        square = torch.mul(x, x, out=buffer(x))
        if self.approximate == "none":
            return square.mul_(-0.5).exp_().mul_(1 / math.sqrt(2 * math.pi)).mul_(x)  # x φ(x)
        # Φ' = (1 - tanh² u) u' / 2 = 2 Φ (1 - Φ) u', and u' = k (1 + 3 c x²)
        both = torch.neg(gate, out=buffer(gate)).add_(1).mul_(gate)
        return square.mul_(6 * K * C).add_(2 * K).mul_(both).mul_(x)

    def __repr__(self) -> str:
        return f"GELU({self.approximate!r})" if self.approximate != "none" else "GELU()"
