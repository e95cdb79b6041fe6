"""A user's own modules and networks, as mypy --strict reads them: no cast, and nothing ignored.

`make lint` runs mypy on this file, whose settings are those of a user's: pyproject.toml makes no
exception for it.
"""

from __future__ import annotations

from typing import assert_type

import torch
from torch import Tensor

from minifw.nn import SGD, Graph, Linear, LossMSE, Module, Sequential, Tanh, Variable


class PReLU(Module):
    """y = max(0, x) + a min(0, x), with one trainable a for each network of a stack."""

    slope: Tensor
    slope_grad: Tensor

    def __init__(self, slope: float = 0.25, stack: tuple[int, ...] = ()) -> None:
        self.register_parameter("slope", torch.full((*stack, 1, 1), slope))

    def forward(self, x: Tensor) -> Tensor:
        y = x.clamp(min=0) + self.slope * x.clamp(max=0)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (x,) = self.recall(gradient).inputs
        self.slope_grad += (gradient * x.clamp(max=0)).sum((-2, -1), keepdim=True)
        return torch.where(x > 0, gradient, self.slope * gradient)


class Residual(Graph):
    """x + tanh(W x + b)."""

    def __init__(self, size: int, stack: tuple[int, ...] = ()) -> None:
        self.inner, self.tanh = Linear(size, size, stack=stack), Tanh()
        self.register_modules(self.inner, self.tanh)

    def connect(self, x: Variable) -> Variable:
        return x + self.tanh(self.inner(x))


class Both(Module):
    """(a + b, a b): two outputs."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        self.remember((a, b), (a + b, a * b))
        return a + b, a * b

    def backward(self, total: Tensor, product: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.recall(total, product).inputs
        return total + product * b, total + product * a


class Branches(Graph):
    """Two inputs and outputs."""

    def __init__(self) -> None:
        self.both = Both()
        self.register_modules(self.both)

    def connect(self, a: Variable, b: Variable) -> tuple[Variable, Variable]:
        total, product = self.both(a, b)
        return total + a, product


def test_modules_that_are_called_are_typed() -> None:
    x = torch.ones(2, 2)
    assert_type(Tanh()(x), Tensor)
    total, product = Branches().forward(x, 2 * x)
    assert torch.equal(total, 4 * x)
    assert torch.equal(product, 2 * x)


def test_a_network_of_a_users_own_is_trained_and_typed() -> None:
    torch.manual_seed(0)
    network = Sequential(Linear(2, 4, stack=(3,)), PReLU(stack=(3,)), Residual(4, (3,)))
    network.register_modules(*network, Linear(4, 1, stack=(3,)))
    assert_type(network[0], Module)
    assert_type(network[0].weight, Tensor)
    assert_type(network[1].slope_grad, Tensor)
    assert network[0].weight.shape == (3, 4, 2)
    loss, optimizer = LossMSE(), SGD(network, momentum=0.9)
    x = torch.rand(3, 50, 2)
    target = (x - 0.5).prod(-1, keepdim=True)
    losses = []
    for _ in range(300):
        network.reset_gradient()
        output = network.forward(x)
        losses.append(loss.function(output, target))
        network.backward(loss.grad(output, target))
        optimizer.step(0.1)
    assert (losses[-1] < 0.5 * losses[0]).all()
    assert (network[1].slope != 0.25).all()
