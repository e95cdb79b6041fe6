"""Compiled convolutions: numbers that are read where they stand, and evaluation in parts."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import normal
from minifw import nn
from minifw.compile.compilers import find_compiler
from minifw.compile.plan import Machine, Plan
from minifw.compile.program import Program
from minifw.compile.record import record
from minifw.compile.values import Step
from minifw.data import Samples
from minifw.training.compiled import IMAGES, Outputs
from minifw.training.learner import Learner

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")


def images(*modules: nn.Module) -> nn.Sequential:
    """Return a network of two channels, 12 x 12, in a stack of two, in float64."""
    given: dict[str, Any] = {"stack": (2,), "dtype": torch.float64}
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, **given), nn.ReLU(), nn.MaxPool2d(2), *modules,
        nn.Conv2d(6, 5, 3, stride=2, **given), nn.Tanh(), nn.Dropout(0.2, **given),
        nn.Conv2d(5, 4, 1, groups=1, **given), nn.AvgPool2d(2, 1), nn.Flatten(),
        nn.Linear(4, 3, **given),
    )  # fmt: skip


def step_of(learner: Learner) -> Step:
    return lambda state, x, target, eta: learner.on(state).step(x, target, eta)


@needs_compiler
@pytest.mark.parametrize("batch", [16, 5])
@pytest.mark.parametrize("vector_bytes", [16, 64])
def test_images_are_trained_as_plainly(vector_bytes: int, batch: int) -> None:
    """Rows of whole vectors, and not; on processors with few registers and with many."""
    network = images(nn.BatchNorm2d(6, stack=(2,), dtype=torch.float64))
    learner = Learner(network, nn.LossMSE(), nn.SGD(network, 0.9))
    x, target = normal(2, 2 * batch, 2, 12, 12), normal(2, 2 * batch, 3)
    eta = torch.tensor(0.05, dtype=torch.float64)
    machine = Machine(vector_bytes, vector_bytes // 2)
    ours, theirs = ([value.clone() for value in learner.state] for _ in range(2))
    program = Program(step_of(learner), ours, x, target, batch, machine=machine)
    output = program.run(ours, x, target, None, eta)
    other = learner.on(theirs)
    for some, wanted in zip(torch.split(x, batch, 1), torch.split(target, batch, 1), strict=True):
        last = other.step(some, wanted, 0.05)
    torch.testing.assert_close([*ours, output], [*theirs, last], rtol=1e-11, atol=1e-12)


def plan_of(batch: int) -> Plan:
    network = images()
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    x, target = normal(2, batch, 2, 12, 12), normal(2, batch, 3)
    return Plan(record(step_of(learner), learner.state, x, target, batch), batch, Machine())


@pytest.mark.parametrize("batch", [16, 20])
def test_no_columns_are_made(batch: int) -> None:
    """Products read windows where they stand; without that columns are nine times the input."""
    plan = plan_of(batch)
    copied = [prod(k.root.shape) for k in plan.kernels if k.root and k.root.op == "copy"]
    columns = [prod(value.shape) for value in plan.windows]
    assert len(columns) >= 2
    assert max(copied) <= 6 * 12 * 12 * plan.padded(batch) < max(columns) / 2
    assert any(kernel.long for kernel in plan.kernels)  # the gradient of a weight


def test_elementwise_operations_follow_a_convolution_in_its_own_order() -> None:
    """ReLU is in the kernel of its product, or reads all numbers of it: nothing is transposed."""
    plan = plan_of(16)
    largest = 6 * 12 * 12 * 16  # numbers of the first result
    turned = [
        kernel
        for kernel in plan.kernels
        for value, source, to in kernel.conversions
        if {source, to} == {"across", "down"} and prod(value.shape) >= largest
    ]
    assert turned == []


def samples_of(x: Tensor) -> Samples:
    target = torch.zeros(*x.shape[:2], 3, dtype=x.dtype)
    return Samples(x, target, torch.zeros(x.shape[:2], dtype=torch.int64))


@needs_compiler
@pytest.mark.parametrize("depends", [False, True])
def test_images_are_evaluated_in_parts(depends: bool) -> None:
    """But not where the output of a sample depends on the other samples."""
    more = {"stack": (2,), "dtype": torch.float64, "track_running_stats": False}
    network = images(*([nn.BatchNorm2d(6, **more)] if depends else []))  # type: ignore[arg-type]
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    parts = [samples_of(normal(2, count, 2, 12, 12)) for count in (2 * IMAGES + 7, 10)]
    outputs = Outputs(learner, *parts)
    assert sorted(outputs.programs) == ([10, 2 * IMAGES + 7] if depends else [10, IMAGES])
    network.eval()
    for samples in parts:
        found, expected = outputs.of(learner, samples), network.forward(samples.inputs)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
