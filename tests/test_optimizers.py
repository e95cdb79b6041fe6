"""Optimisers and clipping: PyTorch's steps, and one number for each network of a stack."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minifw import nn
from minifw.reference.twins import optimizer_like

STEPS = 120


def grid(**values: list[Any]) -> list[dict[str, Any]]:
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


CASES: list[tuple[type[nn.Optimizer], dict[str, Any]]] = [
    *((nn.SGD, g) for g in grid(momentum=[0.0, 0.9], weight_decay=[0.0, 0.1])),
    *((nn.SGD, {"nesterov": True} | g) for g in grid(momentum=[0.5, 0.9], weight_decay=[0.0, 0.1])),
    *(
        (kind, g)
        for kind in (nn.Adam, nn.AdamW)
        for g in grid(
            beta1=[0.0, 0.3, 0.9], beta2=[0.0, 0.9, 0.999], eps=[1e-8, 0.1], weight_decay=[0.0, 0.1]
        )
        if g["beta2"] or not g["weight_decay"]  # λ w / |λ w|, which jumps where w is almost 0
    ),
    *(
        (nn.RMSprop, g)
        for g in grid(
            alpha=[0.0, 0.5, 0.99], eps=[1e-8, 0.1], momentum=[0.0, 0.9], centered=[False, True],
            weight_decay=[0.0, 0.1],
        )
        if not (g["alpha"] == 0 and g["centered"])  # 0 / 0, up to rounding
    ),
]  # fmt: skip


def network(lanes: list[int], dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Two layers for each of these lanes, whose weights do not depend on the others."""
    stack = {"stack": (len(lanes),), "dtype": dtype}
    rngs = [np.random.default_rng(lane) for lane in lanes]
    return nn.Sequential(
        nn.Linear(3, 4, generators=rngs, **stack),
        nn.ReLU(),
        nn.Linear(4, 2, generators=rngs, **stack),
    )


def gradients(lane: int, like: nn.Module, step: int) -> list[np.ndarray[Any, Any]]:
    """Gradients of a network in a step: sometimes 0, sometimes large, otherwise of any size."""
    rng = np.random.default_rng([lane, step])
    scale = rng.choice([0.0, 0.01, 1.0, 30.0], p=[0.05, 0.25, 0.6, 0.1])
    return [scale * rng.normal(size=value.shape[1:]) for _, value, _ in like.parameters()]


def steps(
    lanes: list[int], kind: type[nn.Optimizer], options: dict[str, Any], eta: Any = 0.01,
    dtype: torch.dtype = torch.float64, count: int = STEPS,
) -> list[list[Tensor]]:  # fmt: skip
    """Return the weights after each step."""
    net = network(lanes, dtype)
    optimizer = kind(net, **options)
    seen = []
    for step in range(count):
        of_lanes = [gradients(lane, net, step) for lane in lanes]
        for (_, _, gradient), values in zip(
            net.parameters(), zip(*of_lanes, strict=True), strict=True
        ):
            gradient.copy_(torch.from_numpy(np.stack(values)))
        optimizer.step(eta)
        seen.append([value.clone() for _, value, _ in net.parameters()])
    return seen


def of_torch(
    kind: type[nn.Optimizer], options: dict[str, Any], clip: float | None = None
) -> list[list[Tensor]]:
    net = network([0])
    values = [torch.nn.Parameter(value[0].clone()) for _, value, _ in net.parameters()]
    optimizer = optimizer_like(kind(net, **options), values, 0.01)
    seen = []
    for step in range(STEPS):
        for value, gradient in zip(values, gradients(0, net, step), strict=True):
            value.grad = torch.from_numpy(gradient)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(values, clip)
        optimizer.step()
        seen.append([value.detach().clone() for value in values])
    return seen


def assert_same(ours: list[list[Tensor]], theirs: list[list[Tensor]]) -> None:
    """Each weight after each step, within 1e-12 of the largest weight so far."""
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for mine, its in zip(a, b, strict=True):
            error = ((mine[0] - its).abs().max() / its.abs().max()).item()
            assert error < 1e-12, f"step {step + 1}: {error}"


def said(case: Any) -> str:
    if isinstance(case, type):
        return case.__name__
    return ",".join(f"{k}={v}" for k, v in case.items()) if isinstance(case, dict) else str(case)


@pytest.mark.parametrize(("kind", "options"), CASES, ids=said)
def test_steps_are_those_of_pytorch(kind: type[nn.Optimizer], options: dict[str, Any]) -> None:
    assert_same(steps([0], kind, options), of_torch(kind, options))


@pytest.mark.parametrize("kind", [nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop])
@pytest.mark.parametrize("clip", [0.03, 3.0, 1e6])
def test_clipping_is_that_of_pytorch(kind: type[nn.Optimizer], clip: float) -> None:
    options = {"weight_decay": 0.1}
    theirs = of_torch(kind, options, clip)
    assert_same(steps([0], kind, options | {"clip_norm": clip}), theirs)
