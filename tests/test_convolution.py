"""Convolutions and pooling over a grid of options, beside PyTorch's; what a stack may not change."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cases import normal
from minifw import nn
from minifw.config.layers import LayerSection
from minifw.config.sections import section
from minifw.errors import ModuleError, ShapeError
from minifw.nn import buffers, columns
from minifw.nn.windows import Windows

PLACES = (7, 9)


def options(*lists: Any) -> Iterator[tuple[Any, ...]]:
    return product(*lists)


def gradients(module: nn.Module, x: Tensor, weights: Tensor) -> list[Tensor]:
    """Return y, dL/dx and the gradients of the parameters for L = Σ weights · y."""
    y = module.forward(x)
    module.reset_gradient()
    returned: Any = module.backward(weights)
    return [y, returned, *(gradient.clone() for _, _, gradient in module.parameters())]


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        assert float((mine - theirs).abs().max()) <= 1e-11 * float(theirs.abs().max())


def autograd(function: Any, leaves: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return weights for PyTorch's outputs, and what `gradients` returns for these."""
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # 'same' with even kernels takes a copy
        y = function(*leaves)
    weights = normal(*y.shape, seed=4)
    return weights, [y.detach(), *torch.autograd.grad((weights * y).sum(), leaves)]


@pytest.mark.parametrize("way", ["plain", "in small parts", "recorded"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_convolutions_equal_pytorchs(
    monkeypatch: pytest.MonkeyPatch, dimensions: int, way: str
) -> None:
    """For all of these options; as recorded for a compiler with other operations."""
    if way == "in small parts":
        monkeypatch.setattr(columns, "AT_ONCE", 100)
        monkeypatch.setattr(columns, "FEW", 0)
    kind: Any = (nn.Conv1d, nn.Conv2d)[dimensions - 1]
    theirs: Any = (functional.conv1d, functional.conv2d)[dimensions - 1]
    tried = 0
    for kernel, stride, padding, dilation, groups, bias, samples in options(
        (1, 2, 3, 5), (1, 2, 3), (0, 1, 4, "same"), (1, 2), (1, 2, 4), (True, False), (1, 3)
    ):
        if padding == "same" and stride > 1:
            continue
        module = kind(4, 8, kernel, stride, padding, dilation, groups, bias, dtype=torch.float64)
        x = normal(samples, 4, *PLACES[:dimensions])
        if padding != "same" and dilation * (kernel - 1) >= PLACES[0] + 2 * padding:
            with pytest.raises(ShapeError, match="must fit into the input"):
                module.forward(x)
            continue
        if (samples + groups + kernel + stride + dilation) % 3:  # a third of them, to save time
            continue
        more = stride, padding, dilation, groups
        parameters = [value for _, value, _ in module.parameters()]
        weights, expected = autograd(
            lambda x, w, b=None, more=more: theirs(x, w, b, *more), [x, *parameters]
        )
        with buffers.fused() if way == "recorded" else nullcontext():
            assert_close(gradients(module, x, weights), expected)
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"])
@pytest.mark.parametrize("way", ["plain", "recorded"])
def test_pooling_equals_pytorchs(name: str, way: str) -> None:
    dimensions, is_max = int(name[-2]), name.startswith("max")
    kind: Any = getattr(nn, f"{name[:3].capitalize()}Pool{dimensions}d")
    theirs: Any = getattr(functional, name)
    tried = 0
    for kernel, stride, padding, dilation, samples in options(
        (1, 2, 3, 4), (None, 1, 2, 3, 5), (0, 1, 2), (1, 2) if is_max else (1,), (1, 3)
    ):
        if padding > kernel // 2:
            with pytest.raises(ShapeError, match="padding must be at most half of kernel_size"):
                kind(kernel, stride, padding)
            continue
        more = (kernel, stride, padding, *((dilation,) if is_max else ()))
        # Rounded, many numbers of a window are equal: the first of them gets the derivative.
        for x in (
            normal(samples, 2, *PLACES[:dimensions]),
            normal(samples, 2, *PLACES[:dimensions]).round(),
        ):
            weights, expected = autograd(lambda x, more=more: theirs(x, *more), [x])
            with buffers.fused() if way == "recorded" else nullcontext():
                assert_close(gradients(kind(*more), x, weights), expected)
            tried += 1
    assert tried > 60


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_maxima_of_special_numbers_are_pytorchs(dtype: torch.dtype) -> None:
    """NaNs, infinities and zeros with signs, as inputs and as gradients; -inf beside padding."""
    rng = np.random.default_rng(0)
    numbers = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 1e30]
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1), (2, 1, 0)):
        for some in (numbers, numbers[2:], numbers[3:]):
            x = torch.from_numpy(rng.choice(some, (4, 3, 6, 7))).to(dtype)
            leaf = x.clone().requires_grad_()
            expected = functional.max_pool2d(leaf, kernel, stride, padding)
            module = nn.MaxPool2d(kernel, stride, padding)
            torch.testing.assert_close(module.forward(x), expected.detach(), equal_nan=True)
            for of_y in (rng.choice(some, tuple(expected.shape)), normal(*expected.shape).numpy()):
                gradient = torch.from_numpy(of_y).to(dtype)
                (theirs,) = torch.autograd.grad(expected, leaf, gradient, retain_graph=True)
                torch.testing.assert_close(module.backward(gradient), theirs, equal_nan=True)


@pytest.mark.filterwarnings("error")  # torch warns of a result of another shape in reused memory
def test_a_maximum_that_is_no_number_leaves_the_memory_of_others() -> None:
    """As in the step in which a network diverges."""
    module, more = nn.MaxPool2d(2), nn.Linear(3, 5, dtype=torch.float64)
    x, reused = normal(4, 3, 6, 6), nn.Buffers()
    for number in (1.0, math.nan, 2.0):
        x[0, 0, 0, 0] = number
        with reused.reuse("a step"):
            y = module.forward(x)
            module.backward(torch.ones_like(y))
            more.backward(more.forward(y[:, :, 0, 0]) * 0)


def image_network(stack: tuple[int, ...], dtype: torch.dtype) -> nn.Sequential:
    """All of it: columns by rows and with steps, groups, padding, and windows that overlap."""
    given: dict[str, Any] = {"stack": stack, "dtype": dtype}
    return nn.Sequential(
        nn.Unflatten((1, 12, 12)),
        nn.Conv2d(1, 4, 3, padding=1, **given),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 6, 3, groups=2, padding="same", **given),
        nn.Tanh(),
        nn.Conv2d(6, 4, 2, stride=2, **given),
        nn.AvgPool2d(2, stride=1),
        nn.Flatten(),
        nn.Linear(16, 3, **given),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("samples", [1, 5, 64])
@pytest.mark.parametrize("few", [0, 131_072])
@pytest.mark.parametrize("at_once", [5_000, 262_144])
def test_a_network_of_a_stack_is_as_alone_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, samples: int, dtype: torch.dtype, at_once: int, few: int
) -> None:
    """However many networks' columns are made at once, which depends on the stack."""
    monkeypatch.setattr(columns, "FEW", few)
    stack = (5,)
    whole = image_network(stack, dtype)
    x = normal(*stack, samples, 144, dtype=dtype)
    weights = normal(*stack, samples, 3, seed=1, dtype=dtype)
    monkeypatch.setattr(columns, "AT_ONCE", at_once)
    together = gradients(whole, x, weights)
    monkeypatch.setattr(columns, "AT_ONCE", 262_144)
    values = [value for _, value, _ in whole.parameters()]
    for one in range(5):
        part = slice(one, one + 1)
        alone = image_network((1,), dtype).with_parameters([value[part] for value in values])
        for mine, theirs in zip(gradients(alone, x[part], weights[part]), together, strict=True):
            assert torch.equal(mine, theirs[part])


def test_reused_memory_holds_one_network_s_columns_at_most() -> None:
    """That of a layer of large images is a few times its results, whatever the stack."""

    def bytes_of(stack: int) -> int:
        module = nn.Conv2d(2, 2, 5, padding=2, stack=(stack,))
        memory = nn.Buffers()
        with memory.reuse("step"):
            module.forward(torch.ones(stack, 40, 2, 32, 32))
            module.accumulate(torch.ones(stack, 40, 2, 32, 32))
        (kept,) = memory._passes.values()
        return sum(tensor.nbytes for tensor in kept.tensors)

    result = 40 * 2 * 32 * 32 * 4
    one, four = bytes_of(1), bytes_of(4)
    assert four - one < 3 * 5 * result  # each further network: padded input, output, gradient


def test_options_that_do_not_fit_are_named() -> None:
    wrong: Any = nn  # which no type checker looks into
    cases: list[tuple[Any, str]] = [
        (lambda: wrong.Conv2d(0, 2, 3), "Conv2d: in_channels must be a whole number of at least 1"),
        (lambda: wrong.Conv2d(2, True, 3), "Conv2d: out_channels must be a whole number"),
        (lambda: wrong.Conv2d(2, 2, 3, groups=0), "Conv2d: groups must be a whole number of at least"),
        (lambda: wrong.Conv2d(3, 2, 3, groups=2), "groups must divide in_channels and out_channels"),
        (lambda: wrong.Conv2d(2, 2, 0), "kernel_size must be a whole number of at least 1, or 2 of"),
        (lambda: wrong.Conv2d(2, 2, (3, 3, 3)), r"or 2 of them, got \(3, 3, 3\)"),
        (lambda: wrong.Conv1d(2, 2, (3, 3)), r"kernel_size must be a whole number of at least 1, got"),
        (lambda: wrong.Conv1d(2, 2, 3, stride=0), "stride must be a whole number of at least 1"),
        (lambda: wrong.Conv1d(2, 2, 3, padding=-1), "padding must be a whole number of at least 0"),
        (lambda: wrong.Conv2d(2, 2, 3, dilation=1.5), "dilation must be a whole number"),
        (lambda: wrong.Conv2d(2, 2, 3, padding="full"), "must be numbers, 'same' or 'valid', got"),
        (lambda: wrong.Conv2d(2, 2, 3, 2, padding="same"), "padding 'same' needs a stride of 1"),
        (lambda: wrong.Conv2d(2, 2, 3, stack=(0,)), "a stack must hold at least one network"),
        (lambda: wrong.Conv2d(2, 2, 3, dtype=torch.float16), "dtype must be torch.float32 or"),
        (lambda: wrong.Conv2d(2, 2, 3, init="zeroes"), "unknown initialiser 'zeroes'; did you mean"),
        (lambda: wrong.Conv2d(2, 2, 3, stack=(2,), generators=[]), "one generator for each of the 2"),
        (lambda: wrong.MaxPool2d(0), "MaxPool2d: kernel_size must be a whole number of at least 1"),
        (lambda: wrong.AvgPool1d(3, padding=2), "padding must be at most half of kernel_size, got 2"),
        (lambda: wrong.Flatten(0), "Flatten: sample_dims must be a whole number of at least 1, got 0"),
        (lambda: wrong.GlobalAvgPool(1), "sample_dims must be a whole number of at least 2, got 1"),
        (lambda: wrong.Unflatten(3), r"Unflatten: shape must be whole numbers, as \(1, 8, 8\), got 3"),
        (lambda: wrong.Unflatten((1, 0)), "shape must be a whole number of at least 1"),
    ]  # fmt: skip
    for make, message in cases:
        with pytest.raises(ModuleError, match=message) as raised:
            make()
        assert "\n" not in str(raised.value)


def test_weight_and_bias_must_fit_each_other() -> None:
    module = nn.Conv2d(2, 3, 3)
    module.bias = torch.zeros(4)
    with pytest.raises(ShapeError, match=r"expects weight \(…, 3, 2, 3, 3\) and bias \(…, 3\)"):
        module.forward(torch.ones(1, 2, 5, 5))


KEYS: list[tuple[str, dict[str, Any], tuple[int, ...], str]] = [
    ("conv2d", {"out_channels": 2, "kernel_size": 3}, (2,), r"samples \(channels, height, width\), got \(2,\)"),
    ("conv2d", {"out_channels": 2, "kernel_size": 7}, (1, 5, 9), "the kernel is 7 long and must fit into the input, got 5"),
    ("conv2d", {"out_channels": 2, "kernel_size": 3, "groups": 2}, (3, 8, 8), "groups must divide the channels of inputs and outputs, got 2 for 3 and 2"),
    ("conv1d", {"out_channels": 2, "kernel_size": 3}, (3, 8, 8), r"samples \(channels, length\), got \(3, 8, 8\)"),
    ("max-pool2d", {"kernel_size": 2}, (64,), r"samples \(channels, height, width\), got \(64,\)"),
    ("avg-pool1d", {"kernel_size": 2, "padding": 2}, (2, 8), "at most half of kernel_size"),
    ("global-avg-pool", {}, (8,), r"samples \(channels, \*places\), got \(8,\)"),
    ("unflatten", {"shape": [1, 8, 8]}, (63,), r"samples \(64,\) for the shape \(1, 8, 8\), got \(63,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "keys", "shape", "message"), KEYS)
def test_samples_that_do_not_fit_a_config_are_named(
    kind: str, keys: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ModuleError, match=message):
        section(LayerSection, kind, **keys).sizes(shape)


SIZED: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("conv1d", {"out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1}, (2, 9)),
    ("conv2d", {"out_channels": 4, "kernel_size": [3, 2], "groups": 2, "bias": False}, (2, 7, 9)),
    ("conv2d", {"out_channels": 4, "kernel_size": 3, "padding": "same", "dilation": 2}, (3, 7, 9)),
    ("max-pool1d", {"kernel_size": 2}, (2, 9)),
    ("max-pool2d", {"kernel_size": [2, 3], "stride": 1, "dilation": 2}, (2, 7, 9)),
    ("avg-pool1d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 9)),
    ("avg-pool2d", {"kernel_size": 3}, (2, 7, 9)),
    ("global-avg-pool", {}, (2, 7, 9)),
    ("global-avg-pool", {}, (2, 9)),
    ("flatten", {}, (2, 9)),
    ("unflatten", {"shape": [3, 2]}, (6,)),
]


@pytest.mark.parametrize(("kind", "keys", "shape"), SIZED)
def test_sizes_are_those_of_the_layer(
    kind: str, keys: dict[str, Any], shape: tuple[int, ...]
) -> None:
    layer = section(LayerSection, kind, **keys)
    assert layer.sizes(shape)[:2] == layer.trial(shape)


def test_operations_are_counted() -> None:
    """Of 4 x 5 places of 6 channels: 2 · 3 · 2 · 2 - 1 operations for the sum, one for the bias."""
    layer = section(LayerSection, "conv2d", out_channels=6, kernel_size=2)
    assert layer.sizes((3, 5, 6)).operations == 4 * 5 * 6 * (2 * 12 - 1 + 1)
    pool = section(LayerSection, "max-pool2d", kernel_size=[2, 3])
    assert pool.sizes((3, 6, 6)).operations == 3 * 3 * 2 * 6


def test_windows_say_what_meets_what() -> None:
    """By a loop over all places, beside what is computed of slices."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        kernel, stride, dilation = rng.integers(1, 4, 3).tolist()
        before, after = rng.integers(0, 4, 2).tolist()
        size = int(rng.integers(1, 9))
        windows = Windows("test", (kernel,), (stride,), ((before, after),), (dilation,))
        if size + before + after < dilation * (kernel - 1) + 1:
            continue
        (rows,) = windows.outputs((size,))
        expected = {
            (i, p, p * stride + i * dilation - before)
            for i in range(kernel)
            for p in range(rows)
            if 0 <= p * stride + i * dilation - before < size
        }
        found = set()
        for number, of_y, of_x in windows.slices((rows,), (size,)):
            places = zip(range(rows)[of_y[2]], range(size)[of_x[2]], strict=True)
            found |= {(number, p, r) for p, r in places}
        assert found == expected
