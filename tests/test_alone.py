"""A network alone has its bits in a stack: sizes and layouts where torch adds otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import normal
from minifw import nn

STACK = 3
MODULES: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "one output": (lambda **given: nn.Linear(24, 1, **given), (19, 24)),
    "many samples, one output": (lambda **given: nn.Linear(64, 1, **given), (353, 64)),
    "one input": (lambda **given: nn.Linear(1, 25, **given), (19, 1)),
    "one sample": (lambda **given: nn.Linear(64, 64, **given), (1, 64)),
    "kernel of one number": (lambda **given: nn.Conv1d(1, 5, 1, **given), (18, 1, 8)),
    "convolution, one output": (lambda **given: nn.Conv1d(3, 1, 3, **given), (18, 3, 6)),
    "images, one output": (lambda **given: nn.Conv2d(3, 1, (7, 5), **given), (19, 3, 8, 5)),
    "rows of a kernel": (lambda **given: nn.Conv2d(1, 1, 3, **given), (99, 1, 24, 24)),
    "sigmoid": (lambda **given: nn.Sigmoid(), (3, 5)),
    "silu": (lambda **given: nn.SiLU(), (3, 5)),
    "softplus": (lambda **given: nn.Softplus(), (3, 5)),
    "batch norm": (lambda **given: nn.BatchNorm2d(2, **given), (5, 2, 5, 3)),
}


def results(module: nn.Module, x: Tensor, gradient: Tensor) -> list[Tensor]:
    """Return outputs, dL/dx, and all gradients and states, after a pass."""
    module.reset_gradient()
    y = module.forward(x).clone()
    dx = module.backward(gradient)
    states = (value for _, value in module.states())
    return [y, dx, *(each.gradient for each in module.parameters()), *states]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "broadcast"), [*((name, False) for name in MODULES), ("batch norm", True)]
)
def test_alone_as_in_a_stack(name: str, broadcast: bool, dtype: torch.dtype) -> None:
    """Also for a gradient whose numbers stand in memory once for several places."""
    make, shape = MODULES[name]

    def made(*stack: int) -> tuple[nn.Module, dict[str, Tensor]]:
        module = make(stack=stack, dtype=dtype)
        return module, {each.name: each.value for each in module.parameters()}

    x = normal(STACK, *shape, dtype=dtype)
    together, numbers = made(STACK)
    gradient = normal(*made(STACK)[0].forward(x).shape, seed=1, dtype=dtype)
    if broadcast:
        gradient = gradient[..., :1].expand(gradient.shape)
    for key, value in numbers.items():
        value.copy_(normal(*value.shape, seed=len(key), dtype=dtype))
    expected = results(together, x, gradient)
    for network in range(STACK):
        alone, own = made(1)
        for key, value in own.items():
            value.copy_(numbers[key][network : network + 1])
        part = gradient[network : network + 1]
        part = part[..., :1].clone().expand(part.shape) if broadcast else part.clone()
        found = results(alone, x[network : network + 1].clone(), part)
        for one, all_ in zip(found, expected, strict=True):
            assert torch.equal(one[0], all_[network])


@pytest.mark.parametrize("pos_weight", [1.0, 3.0])
def test_binary_cross_entropy_alone_as_in_a_stack(pos_weight: float) -> None:
    loss = nn.LossBCE(pos_weight=pos_weight)
    output, target = normal(STACK, 9, 5), normal(STACK, 9, 5, seed=1).sigmoid()
    together = loss.grad(output, target)
    for network in range(STACK):
        part = slice(network, network + 1)
        alone = loss.grad(output[part].clone(), target[part].clone())
        assert torch.equal(alone[0], together[network])


@pytest.mark.parametrize("make", [lambda: nn.Conv1d(2, 3, 3), lambda: nn.Conv2d(2, 3, 3)])
def test_convolutions_of_no_samples(make: Callable[[], Any]) -> None:
    layer = make()
    x = torch.zeros(0, 2, *[5] * layer.dimensions)
    assert layer.forward(x).shape == (0, 3, *[3] * layer.dimensions)
    assert layer.backward(torch.zeros(0, 3, *[3] * layer.dimensions)).shape == x.shape
    assert not layer.weight_grad.any()
