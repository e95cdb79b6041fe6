"""The one table of everything that `minifw.nn` exports and that computes something.

A row says how to make the thing, what to feed it, what PyTorch calls it, and what must fail with
which message. `test_cases.py` runs every claim on every row, and fails if an exported module or
loss has no row.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minifw import nn as ours
from minifw.nn.registry import LayerDeclaration, kinds
from minifw.reference.twins import layer_like

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ModuleCase:
    """A module: `make(stack)` builds it in float64; `inputs` are shapes without the stack."""

    name: str
    make: Callable[[Shape], ours.Module]
    inputs: list[Shape | Tensor]  # or, if they must be whole numbers, those of one network
    # The same function in PyTorch, of the parameters (in order) and the inputs of one network.
    reference: Callable[..., Any]
    covers: set[type] = field(default_factory=set)
    # An input, or a tuple of several, for the float64 module without stack that must fail, and a
    # part of the message.
    bad_inputs: list[tuple[Any, str]] = field(default_factory=list)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def _whole(shape: Shape, below: int) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(0))


def inputs_of(case: ModuleCase, *stack: int) -> list[Tensor]:
    """Return the inputs of a row, for a stack."""
    return [
        given.expand(*stack, *given.shape)
        if isinstance(given, Tensor)
        else normal(*stack, *given, seed=k)
        for k, given in enumerate(case.inputs)
    ]


def linear(n_in: int, n_out: int, stack: Shape, **more: Any) -> ours.Linear:
    return ours.Linear(n_in, n_out, stack=stack, dtype=torch.float64, **more)


class SimpleNet(ours.Sequential):
    """The report's network, as the report writes one: attributes, then register_modules."""

    def __init__(self, stack: Shape = (), dtype: torch.dtype = torch.float64) -> None:
        self.first = ours.Linear(2, 25, stack=stack, dtype=dtype)
        self.second = ours.Linear(25, 25, stack=stack, dtype=dtype)
        self.third = ours.Linear(25, 25, stack=stack, dtype=dtype)
        self.last = ours.Linear(25, 2, stack=stack, dtype=dtype)
        self.relu = ours.ReLU()  # one object between all layers
        self.register_modules(
            self.first, self.relu, self.second, self.relu, self.third, self.relu, self.last
        )


class SplitAdd(ours.Module):
    """(a, b) -> (a + b, a b): a module with several inputs and outputs, as a user writes it."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        self.input = (a, b)
        return a + b, a * b

    def backward(self, total: Tensor, product: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(self.input, tuple)
        a, b = self.input
        return total + product * b, total + product * a


class Residual(ours.Graph):
    """x + tanh(W x + b)."""

    def __init__(self, stack: Shape = ()) -> None:
        self.inner, self.tanh = linear(4, 4, stack), ours.Tanh()
        self.register_modules(self.inner, self.tanh)

    def connect(self, x: ours.Variable) -> ours.Variable:
        return x + self.tanh(self.inner(x))


class Branches(ours.Graph):
    """Modules used again, branches, a network in it, two inputs and outputs, and dead ends."""

    def __init__(self, stack: Shape = ()) -> None:
        self.layers = {"first": linear(4, 4, stack), "second": linear(4, 4, stack, bias=False)}
        self.split, self.tanh, self.block = SplitAdd(), ours.Tanh(), Residual(stack)
        self.register_modules(*self.layers.values(), self.split, self.tanh, self.block)

    def connect(self, a: ours.Variable, b: ours.Variable) -> tuple[ours.Variable, ours.Variable]:
        first, second = self.layers.values()
        y = self.tanh(first(a))
        total, _ = self.split(y, first(b))  # of two outputs one leads nowhere
        self.tanh(b)
        z = self.block(self.block(total)) + self.block.tanh(second(total) + a)
        return z + y, y


def _residual(w: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return x + nn.functional.linear(x, w, b).tanh()


def _branches(*values: Tensor) -> tuple[Tensor, Tensor]:
    w, bias, v, u, c, a, b = values
    y = nn.functional.linear(a, w, bias).tanh()
    total = y + nn.functional.linear(b, w, bias)
    z = _residual(u, c, _residual(u, c, total)) + (nn.functional.linear(total, v) + a).tanh()
    return z + y, y


def _residuals(stack: Shape) -> ours.Sequential:
    block = Residual(stack)
    return ours.Sequential(block, ours.Sequential(linear(4, 4, stack), block), block)


class Constant(ours.Graph):
    """(a, b) -> (b + b, b): an input that leads nowhere, and one that is an output."""

    def connect(self, a: ours.Variable, b: ours.Variable) -> tuple[ours.Variable, ours.Variable]:
        return b + b, b


def _mlp(*values: Tensor) -> Tensor:
    *parameters, x = values
    for i in range(0, len(parameters), 2):
        x = nn.functional.linear(x, parameters[i], parameters[i + 1])
        if i + 2 < len(parameters):
            x = x.relu()
    return x


def _twice(w: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return nn.functional.linear(nn.functional.linear(x, w, b).tanh(), w, b).tanh()


def _shared_linear(stack: Shape) -> ours.Sequential:
    layer, tanh = linear(4, 4, stack), ours.Tanh()
    return ours.Sequential(layer, tanh, layer, tanh)


def _linear_in_two_networks(stack: Shape) -> ours.Sequential:
    layer, tanh = linear(4, 4, stack), ours.Tanh()
    return ours.Sequential(layer, tanh, ours.Sequential(layer, tanh))


def _shared_network(stack: Shape) -> ours.Sequential:
    inner = ours.Sequential(linear(4, 4, stack), ours.Tanh())
    return ours.Sequential(inner, inner)


_X = normal(5, 4)
NOT_FLOAT = (torch.ones(5, 4, dtype=torch.int64), "expects a tensor of (torch.)?float.*of int64")
HALF = (torch.ones(5, 4, dtype=torch.float16), "expects a tensor of (torch.)?float.*of float16")
NOT_TENSOR = ([[1.0, 2.0, 3.0, 4.0]], "got list")


def declared(declaration: LayerDeclaration) -> ModuleCase:
    """The row of a layer that a config can name, of its declaration and its PyTorch twin."""

    def make(stack: Shape) -> ours.Module:
        arguments = inspect.signature(declaration.make).parameters
        given = {"stack": stack, "dtype": torch.float64}
        of_stack = {name: value for name, value in given.items() if name in arguments}
        module: ours.Module = declaration.make(**declaration.case, **of_stack)
        return module.eval() if module.is_random else module  # PyTorch draws other numbers

    def reference(*values: Tensor) -> Any:
        module = make(())
        count = len(module.parameters())
        parameters, inputs = values[:count], values[count:]
        names = [name for name, _, _ in module.parameters()]
        weights = dict(zip(names, parameters, strict=True))
        layer = layer_like(module, None).train(module.training)
        return torch.func.functional_call(layer, weights, inputs)

    inputs: list[Shape | Tensor] = [*declaration.input_shapes]
    if declaration.whole is not None:
        numbers = range(declaration.whole(declaration.case))
        inputs = [_whole(shape, len(numbers)) for shape in declaration.input_shapes]
    name = f"{declaration.make.__name__} as declared"
    bad = [] if declaration.several else [HALF, NOT_TENSOR]
    if bad and declaration.whole is None:
        bad.append(NOT_FLOAT)
    return ModuleCase(name, make, inputs, reference, {type(make(()))}, bad)


UNLIKE = (normal(5, 4), normal(5, 1)), "expects tensors of one shape and dtype, got .*4.* and .*1"


def operation(
    make: Callable[[], ours.Module],
    reference: Callable[..., Any],
    *inputs: Shape,
    bad: Sequence[tuple[Any, str]] = (),
) -> ModuleCase:
    module = make()
    more = [] if len(inputs) > 1 else [NOT_FLOAT, HALF, NOT_TENSOR]
    return ModuleCase(
        f"{module!r} of {len(inputs)}",
        lambda stack: make(),
        [*inputs],
        reference,
        {type(module)},
        [*bad, *more],
    )


OPERATIONS = [
    operation(ours.Add, torch.add, (5, 4), (5, 4), bad=[UNLIKE, ((_X,), "2 or more inputs")]),
    operation(ours.Add, lambda a, b, c: a + b + c, (5, 2, 3), (5, 2, 3), (5, 2, 3)),
    operation(ours.Subtract, torch.sub, (5, 4), (5, 4), bad=[UNLIKE]),
    operation(ours.Multiply, torch.mul, (5, 4), (5, 4), bad=[UNLIKE]),
    operation(ours.Multiply, lambda a, b, c: a * b * c, (5, 4), (5, 4), (5, 4)),
    operation(ours.Divide, torch.div, (5, 4), (5, 4), bad=[UNLIKE]),
    operation(ours.Negate, torch.neg, (5, 4)),
    operation(ours.Reciprocal, torch.reciprocal, (5, 4)),
    operation(lambda: ours.Scale(-1.5), lambda x: -1.5 * x, (5, 4)),
    operation(lambda: ours.Shift(0.25), lambda x: x + 0.25, (5, 4)),
    operation(
        ours.Concat,
        lambda a, b, c: torch.cat((a, b, c), 1),
        (5, 4),
        (5, 1),
        (5, 2),
        bad=[
            ((normal(5, 4), normal(4, 4)), "differ in dimension -1 at most, got .*5, 4.* and .*4"),
            ((normal(5, 4), normal(5, 4).float()), "of one dtype"),
            ((), "at least one input"),
        ],
    ),
    operation(
        lambda: ours.Concat(sample_dims=3),
        lambda a, b: torch.cat((a, b), 1),
        (5, 2, 3, 2),
        (5, 1, 3, 2),
        bad=[((normal(4, 4), normal(4, 4)), "differ in dimension -3 at most")],
    ),
    operation(
        lambda: ours.Concat(-2), lambda a, b: torch.cat((a, b), 2), (5, 1, 2, 3), (5, 1, 1, 3)
    ),
    operation(
        lambda: ours.Slice(1, 3),
        lambda x: x[:, 1:3],
        (5, 4),
        bad=[((normal(5, 1),), "keeps nothing of"), ((normal(4).sum(),), "got ()")],
    ),
    operation(lambda: ours.Slice(-2, dim=1, sample_dims=2), lambda x: x[:, :, -2:], (5, 3, 4)),
    operation(
        lambda: ours.Slice.of((..., -1, slice(None, None, 2))),
        lambda x: x[:, -1, ::2],
        (5, 3, 4),
        bad=[((normal(5, 4),), "expects samples that have these numbers")],
    ),
    operation(
        ours.MatMul,
        torch.matmul,
        (5, 3, 4),
        (5, 4, 2),
        bad=[((normal(5, 3, 4), normal(5, 3, 4)), "k, m"), ((_X, normal(4, 4)), "k, m")],
    ),
    operation(ours.MatMul, torch.matmul, (2, 5, 3, 4), (2, 5, 4, 2)),
    operation(ours.Transpose, lambda x: x.mT, (5, 3, 4), bad=[((_X,), "expects .*n, m")]),
]


def _float64(kind: Any, *given: Any, **more: Any) -> Callable[[Shape], ours.Module]:
    return lambda stack: kind(*given, stack=stack, dtype=torch.float64, **more)


def _used(kind: Any, count: int, **more: Any) -> Callable[[Shape], ours.Module]:
    """Return what makes a batch norm in evaluation, with another mean and variance than at first."""

    def make(stack: Shape) -> ours.Module:
        module = _float64(kind, count, **more)(stack)
        module.running_mean.copy_(normal(count, seed=1))
        module.running_var.copy_(normal(count, seed=2).exp())
        return module.eval()

    return make


def _batch_norm(x: Tensor, w: Tensor | None = None, b: Tensor | None = None, *, used: bool = False,
                eps: float = 1e-5) -> Tensor:  # fmt: skip
    count = x.shape[1]
    mean, var = (normal(count, seed=1), normal(count, seed=2).exp()) if used else (None, None)
    return nn.functional.batch_norm(x, mean, var, w, b, training=not used, eps=eps)


NORMS = [
    ModuleCase(
        "BatchNorm1d of sequences",
        _float64(ours.BatchNorm1d, 3, eps=0.1, momentum=0.5),
        [(4, 3, 5)],
        lambda w, b, x: _batch_norm(x, w, b, eps=0.1),
        {ours.BatchNorm1d},
        [
            (
                normal(4, 5, 3),
                r"expects an input of shape \(samples, 3\) or \(samples, 3, length\)",
            ),
            (normal(4, 3, 2, 2), r"got \(4, 3, 2, 2\) of float64"),
            (normal(1, 3, 1), "2 or more numbers of each channel in training.*batch_size"),
            (normal(4, 3).float(), "expects a tensor of torch.float64, as its own are"),
        ],
    ),
    ModuleCase(
        "BatchNorm1d in use",
        _used(ours.BatchNorm1d, 4),
        [(5, 4)],
        lambda w, b, x: _batch_norm(x, w, b, used=True),
        {ours.BatchNorm1d},
    ),
    ModuleCase(
        "BatchNorm2d in use, without weights",
        _used(ours.BatchNorm2d, 3, affine=False),
        [(2, 3, 2, 4)],
        lambda x: _batch_norm(x, used=True),
        {ours.BatchNorm2d},
    ),
    ModuleCase(
        "BatchNorm2d without running numbers, in use",
        lambda stack: _float64(ours.BatchNorm2d, 3, track_running_stats=False)(stack).eval(),
        [(2, 3, 2, 4)],
        lambda w, b, x: _batch_norm(x, w, b),
        {ours.BatchNorm2d},
    ),
    ModuleCase(
        "BatchNorm2d without any tensor",
        _float64(ours.BatchNorm2d, 3, affine=False, track_running_stats=False),
        [(2, 3, 2, 4)],
        lambda x: _batch_norm(x),
        {ours.BatchNorm2d},
        [NOT_FLOAT, HALF, NOT_TENSOR],
    ),
    ModuleCase(
        "LayerNorm over two dimensions",
        _float64(ours.LayerNorm, (3, 4), eps=0.1),
        [(2, 5, 3, 4)],
        lambda w, b, x: nn.functional.layer_norm(x, (3, 4), w, b, 0.1),
        {ours.LayerNorm},
        [
            (normal(3, 4), r"expects an input of shape \(samples, …, 3, 4\), got \(3, 4\)"),
            (normal(5, 4, 3), r"got \(5, 4, 3\)"),
        ],
    ),
    ModuleCase(
        "LayerNorm without bias",
        _float64(ours.LayerNorm, 4, bias=False),
        [(2, 3, 4)],
        lambda w, x: nn.functional.layer_norm(x, (4,), w),
        {ours.LayerNorm},
    ),
    ModuleCase(
        "LayerNorm without weights",
        _float64(ours.LayerNorm, 4, elementwise_affine=False),
        [(5, 4)],
        lambda x: nn.functional.layer_norm(x, (4,)),
        {ours.LayerNorm},
        [NOT_FLOAT, HALF, NOT_TENSOR],
    ),
    ModuleCase(
        "PReLU of channels",
        _float64(ours.PReLU, 3, slope=-0.5),
        [(5, 3, 2, 2)],
        lambda a, x: nn.functional.prelu(x, a),
        {ours.PReLU},
        [
            (normal(5, 4), r"expects an input of shape \(samples, 3\), got \(5, 4\)"),
            (normal(5), r"got \(5,\)"),
        ],
    ),
    ModuleCase(
        "PReLU of all",
        _float64(ours.PReLU),
        [(5, 3, 2)],
        lambda a, x: nn.functional.prelu(x, a),
        {ours.PReLU},
    ),
    ModuleCase(
        "Softmax of channels",
        lambda stack: ours.Softmax(-3),
        [(5, 3, 2, 2)],
        lambda x: x.softmax(1),
        {ours.Softmax},
        [(normal(5, 4), r"expects samples with a dimension -3, got \(5, 4\)")],
    ),
    ModuleCase(
        "Embedding of positions in two dimensions",
        _float64(ours.Embedding, 7, 2),
        [_whole((4, 3, 2), 7)],
        lambda w, x: w[x],
        {ours.Embedding},
        [
            (torch.tensor([[0, 7]]), "whole numbers from 0 to 6, got numbers from 0 to 7; num_emb"),
            (torch.tensor([[-1.0, 3.0]]).double(), "got numbers from -1 to 3"),
            (torch.tensor([[0.5, 3.0]]).double(), "got numbers from 0.5 to 3; .* normalised"),
            (torch.tensor([[math.nan, 3.0]]).double(), "got numbers from nan to nan"),
            (torch.tensor([[0.0, 3.0]]), "expects a tensor of torch.float64, as the weight is, or"),
            (torch.tensor([0, 3]), r"expects an input of shape \(samples, positions\), got \(2,\)"),
        ],
    ),
    ModuleCase(
        "GELU by tanh",
        lambda stack: ours.GELU("tanh"),
        [(5, 4)],
        lambda x: nn.functional.gelu(x, approximate="tanh"),
        {ours.GELU},
    ),
    ModuleCase(
        "ELU as in its source", lambda stack: ours.ELU(), [(5, 4)], nn.functional.elu, {ours.ELU}
    ),
    ModuleCase(
        "Softplus by default",
        lambda stack: ours.Softplus(),
        [(5, 4)],
        nn.functional.softplus,
        {ours.Softplus},
    ),
]


def convolution(
    sizes: tuple[Any, ...], shape: Shape, *, bad: Sequence[tuple[Any, str]] = (), **options: Any
) -> ModuleCase:
    """A convolution of channels in, channels out and a kernel, with inputs of this shape."""
    one = len(shape) == 3
    kind: Any = ours.Conv1d if one else ours.Conv2d
    theirs: Any = nn.functional.conv1d if one else nn.functional.conv2d
    has_bias = options.get("bias", True)
    rest = {key: value for key, value in options.items() if key != "bias"}

    def make(stack: Shape) -> ours.Module:
        module: ours.Module = kind(*sizes, stack=stack, dtype=torch.float64, **options)
        return module

    def reference(*values: Tensor) -> Any:
        w, *bias, x = values
        return theirs(x, w, bias[0] if has_bias else None, **rest)

    return ModuleCase(f"{make(())!r} of {shape}", make, [shape], reference, {kind}, [*bad])


def pooling(
    name: str, shape: Shape, *sizes: Any, bad: Sequence[tuple[Any, str]] = (), **options: Any
) -> ModuleCase:
    """A kind of pooling, `max_pool2d` as torch.nn.functional calls it."""
    words = name.split("_")
    kind: Any = getattr(ours, words[0].capitalize() + words[1].capitalize())
    return ModuleCase(
        f"{kind(*sizes, **options)!r} of {shape}",
        lambda stack: kind(*sizes, **options),
        [shape],
        lambda x: getattr(nn.functional, name)(x, *sizes, **options),
        {kind},
        [*bad],
    )


_IMAGE = normal(2, 3, 5, 6)
IMAGES = [
    convolution((2, 3, 2), (3, 2, 7)),
    convolution((2, 4, 3), (1, 2, 8), stride=2, padding=1, bias=False),
    convolution(
        (4, 6, 3),
        (3, 4, 9),
        dilation=2,
        groups=2,
        padding="same",
        bad=[
            (normal(3, 2, 9), r"Conv1d\(4, 6, .*expects an input of shape \(samples, 4, length\)"),
            (normal(2, 3, 4, 9), r"got \(2, 3, 4, 9\)"),
        ],
    ),
    convolution((3, 5, 7), (2, 3, 7)),  # as large as the input
    convolution(
        (3, 4, (2, 3)),
        (3, 3, 5, 6),
        bad=[
            NOT_FLOAT,
            NOT_TENSOR,
            (normal(5, 4), r"Conv2d\(3, 4, kernel_size=\(2, 3\)\).forward: expects an input"),
            (normal(2, 4, 5, 6), r"shape \(samples, 3, height, width\), got \(2, 4, 5, 6\)"),
            (normal(2, 3, 1, 6), "the kernel is 2 long and must fit into the input, got 1; a"),
            (_IMAGE.float(), "expects a tensor of torch.float64"),
        ],
    ),
    convolution((1, 2, 3), (1, 1, 6, 5), padding=2),
    convolution((2, 4, 3), (2, 2, 7, 8), stride=(2, 3), padding=(1, 0), groups=2),
    convolution((2, 3, (3, 2)), (2, 2, 8, 5), stride=(1, 2), dilation=(2, 1), padding=1),
    convolution((3, 3, 3), (2, 3, 5, 4), groups=3, padding="same", bias=False),
    convolution((4, 2, 1), (3, 4, 3, 3)),
    convolution((2, 2, (4, 5)), (3, 2, 4, 5), padding="valid"),
    pooling("max_pool1d", (3, 2, 8), 3, stride=2, padding=1),
    pooling("max_pool1d", (3, 2, 9), 2, bad=[(normal(5, 4), r"\(…, samples, channels, length\)")]),
    pooling(
        "max_pool2d",
        (2, 3, 6, 7),
        2,
        bad=[
            (normal(5, 4, 3), r"MaxPool2d\(.*\(…, samples, channels, height, width\), got"),
            (normal(1, 1, 1, 5), "the kernel is 2 long and must fit into the input, got 1;"),
        ],
    ),
    pooling("max_pool2d", (2, 2, 7, 6), (3, 2), stride=(1, 2), padding=(1, 0), dilation=(2, 1)),
    pooling("max_pool2d", (1, 1, 3, 4), (3, 4)),
    pooling("avg_pool1d", (3, 2, 9), 3, stride=2, padding=1),
    pooling("avg_pool2d", (2, 3, 6, 7), 2),
    pooling("avg_pool2d", (2, 2, 7, 6), (3, 2), stride=(1, 3), padding=(1, 0)),
    ModuleCase(
        "GlobalAvgPool of signals",
        lambda stack: ours.GlobalAvgPool(2),
        [(3, 2, 5)],
        lambda x: x.mean(-1),
        {ours.GlobalAvgPool},
        [(normal(5, 4), r"GlobalAvgPool\(2\).forward: .*\(…, samples, channels, length\), got")],
    ),
    ModuleCase(
        "Flatten of signals",
        lambda stack: ours.Flatten(2),
        [(3, 2, 5)],
        lambda x: x.flatten(1),
        {ours.Flatten},
        [(normal(5, 4), r"Flatten\(2\).forward: expects samples of 2 dimensions")],
    ),
    ModuleCase(
        "Unflatten",
        lambda stack: ours.Unflatten((2, 3)),
        [(4, 6)],
        lambda x: x.unflatten(1, (2, 3)),
        {ours.Unflatten},
        [(normal(5, 4), r"expects an input of shape \(…, samples, 6\), got \(5, 4\)")],
    ),
]


def dropout(stack: Shape) -> ours.Module:
    module = ours.Dropout(0.3, stack=stack, dtype=torch.float64)
    count = math.prod(stack)
    module.reseed([np.random.default_rng(seed) for seed in range(count)])
    return module


MODULES = [
    *NORMS,
    *IMAGES,
    ModuleCase(
        "Dropout while training",
        dropout,
        [(5, 4)],
        lambda x: x * dropout(()).forward(torch.ones_like(x)),  # the mask is given
        {ours.Dropout},
    ),
    *map(declared, kinds(LayerDeclaration).values()),
    ModuleCase(
        "Linear",
        lambda stack: linear(4, 3, stack),
        [(5, 4)],
        lambda w, b, x: nn.functional.linear(x, w, b),
        {ours.Linear},
        [
            NOT_FLOAT,
            HALF,
            NOT_TENSOR,
            (
                normal(5, 3),
                r"Linear\(4, 3\).forward: expects an input of shape \(samples, 4\), got",
            ),
            (normal(4), r"got \(4,\)"),
            (normal(2, 5, 4), r"expects an input of shape \(samples, 4\), got \(2, 5, 4\)"),
            (normal(5, 4, dtype=torch.float32), "expects a tensor of torch.float64"),
        ],
    ),
    ModuleCase(
        "Linear without bias",
        lambda stack: linear(4, 3, stack, bias=False),
        [(5, 4)],
        lambda w, x: nn.functional.linear(x, w),
        {ours.Linear},
    ),
    ModuleCase(
        "Sequential",
        lambda stack: ours.Sequential(linear(4, 6, stack), ours.ReLU(), linear(6, 3, stack)),
        [(5, 4)],
        _mlp,
        {ours.Sequential, ours.Network},
        [(normal(5, 3), r"Linear\(4, 6\).forward: expects")],
    ),
    ModuleCase("SimpleNet", SimpleNet, [(7, 2)], _mlp, {ours.Sequential}),
    ModuleCase("one Linear twice", _shared_linear, [(5, 4)], _twice, {ours.Sequential}),
    ModuleCase(
        "one Linear in two networks", _linear_in_two_networks, [(5, 4)], _twice, {ours.Sequential}
    ),
    ModuleCase("one network twice", _shared_network, [(5, 4)], _twice, {ours.Sequential}),
    ModuleCase(
        "several inputs and outputs",
        lambda stack: ours.Sequential(SplitAdd(), SplitAdd()),
        [(5, 4), (5, 4)],
        lambda a, b: (a + b + a * b, (a + b) * (a * b)),
        {ours.Module, ours.Sequential},
    ),
    *OPERATIONS,
    ModuleCase(
        "Residual",
        Residual,
        [(5, 4)],
        _residual,
        {ours.Graph, ours.Network},
        [(normal(5, 3), r"Linear\(4, 4\).forward: expects")],
    ),
    ModuleCase(
        "Wired",
        lambda stack: ours.Wired(
            [linear(4, 4, stack), ours.Tanh(), ours.Add()], [(0,), (1,), (0, 2)]
        ),
        [(5, 4)],
        _residual,
        {ours.Wired},
    ),
    ModuleCase("Branches", Branches, [(5, 4), (5, 4)], _branches, {ours.Graph}),
    ModuleCase(
        "one Residual in two networks",
        _residuals,
        [(5, 4)],
        lambda w, b, v, c, x: _residual(
            w, b, _residual(w, b, nn.functional.linear(_residual(w, b, x), v, c))
        ),
        {ours.Graph, ours.Sequential},
    ),
    ModuleCase(
        "a dead end",
        lambda stack: Constant(),
        [(5, 4), (5, 4)],
        lambda a, b: (0 * a + b + b, b),
        {ours.Graph},
    ),
]
# Numbers at which a formula may go another way than PyTorch's: tests put them in as inputs and as
# gradients, each with each. A NaN may have a sign.
SPECIAL = [
    math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-310, -1e-310,
    3e38, -3e38, 1e308, -1e308, 1.0, -1.0, 20.0, -20.0, 0.3, -0.3,
]  # fmt: skip


def special(dtype: torch.dtype) -> Tensor:
    """The special numbers in this dtype, `(numbers,)`; what float32 cannot hold is 0 or infinite."""
    return torch.tensor(SPECIAL, dtype=torch.float64).to(dtype)


# What a row cannot make: the interfaces that the rows derive from.
ABSTRACT = {ours.Module, ours.Network, ours.Operation, ours.ActivationFunction, ours.Loss}


@dataclass(frozen=True)
class LossCase:
    """A loss with one kind of target; `target(stack)` makes it for 6 samples of 3 outputs."""

    name: str
    make: Callable[[Any], ours.Loss]
    target: Callable[[Shape], Tensor]
    # (output, target) of one network -> the loss of each sample and output, or of each sample
    reference: Callable[[Tensor, Tensor], Tensor]
    covers: set[type]
    bad: list[tuple[Any, Any, str]] = field(default_factory=list)
    # All targets of one sample of two outputs that special outputs are tried with.
    special: list[Any] = field(default_factory=list)
    of_two: Callable[[Any], ours.Loss] | None = None  # the loss for them, if it is another
    # (reduction, output, target) -> the loss, where it is not the mean or sum of `reference`
    total: Callable[[str, Tensor, Tensor], Tensor] | None = None


def _classes(stack: Shape) -> Tensor:
    return torch.randint(3, (*stack, 6), generator=torch.Generator().manual_seed(1))


_OUT = normal(6, 3)
_WEIGHTS = [0.5, 0.75, 3.0]  # of the largest numbers PyTorch adds w · log softmax


def _weights(output: Tensor) -> Tensor:
    return torch.tensor(_WEIGHTS[: output.shape[-1]]).to(output)


def _weighted(reduction: Any, classes: int = 3, smoothing: float = 0.0) -> ours.LossCrossEntropy:
    return ours.LossCrossEntropy(reduction, smoothing, _WEIGHTS[:classes])


def _weighted_total(reduction: str, output: Tensor, target: Tensor) -> Tensor:
    """PyTorch's own mean: for classes it divides by the sum of their weights."""
    if reduction == "sample":
        return _weighted_total("sum", output, target) / len(output)
    return nn.functional.cross_entropy(
        output, target, _weights(output), reduction=reduction, label_smoothing=0.25
    )


def _heads(reduction: Any) -> ours.LossSum:
    return ours.LossSum((ours.LossCrossEntropy(reduction), 2, 0.5), (ours.LossMSE(reduction), 1, 3))


def _heads_total(reduction: str, output: Tensor, target: Tensor) -> Tensor:
    count = {"mean": len(output), "sample": len(output), "sum": 1}[reduction]
    first = nn.functional.cross_entropy(output[:, :2], target[:, :2], reduction="sum")
    second = nn.functional.mse_loss(output[:, 2:], target[:, 2:], reduction="sum")
    return (0.5 * first + 3 * second) / count


LOSSES = [
    LossCase(
        "LossMSE",
        ours.LossMSE,
        lambda stack: normal(*stack, 6, 3, seed=5),
        lambda output, target: nn.functional.mse_loss(output, target, reduction="none"),
        {ours.LossMSE},
        [
            (_OUT, normal(6, 2), r"expects a target of the output's shape \(6, 3\), got \(6, 2\)"),
            (
                _OUT,
                normal(6, 3, dtype=torch.float32),
                "expects a target of the output's torch.float64",
            ),
            (normal(3), normal(3), r"got \(3,\)"),
            (torch.empty(0, 3), torch.empty(0, 3), r"at least one of each, got \(0, 3\)"),
            ([1.0], normal(6, 3), "got list"),
        ],
        [[a, b] for a in SPECIAL for b in (0.0, 1.0, math.inf, math.nan)],
    ),
    LossCase(
        "LossCrossEntropy, classes",
        ours.LossCrossEntropy,
        _classes,
        lambda output, target: nn.functional.cross_entropy(output, target, reduction="none"),
        {ours.LossCrossEntropy},
        [
            (_OUT, torch.full((6,), 3), "expects classes from 0 to 2, got 3 to 3"),
            (_OUT, torch.full((6,), -1), "got -1 to -1"),
            (
                _OUT,
                torch.zeros(5, dtype=torch.int64),
                r"expects classes of shape \(6,\), got \(5,\)",
            ),
            (_OUT, torch.zeros(6, dtype=torch.int32), "int64"),
        ],
        [0, 1],
    ),
    LossCase(
        "LossCrossEntropy, soft targets",
        ours.LossCrossEntropy,
        lambda stack: normal(*stack, 6, 3, seed=7).softmax(-1),
        lambda output, target: nn.functional.cross_entropy(output, target, reduction="none"),
        {ours.LossCrossEntropy},
        [(_OUT, normal(6, 2), r"got \(6, 2\)")],
        [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.25, 0.75]],
    ),
    LossCase(
        "LossCrossEntropy, targets that are no distribution",
        ours.LossCrossEntropy,
        lambda stack: normal(*stack, 6, 3, seed=9).exp(),
        lambda output, target: nn.functional.cross_entropy(output, target, reduction="none"),
        {ours.LossCrossEntropy},
        special=[[0.0, 0.0], [2.0, 0.0], [3.0, 0.5], [math.inf, 1.0], [math.nan, 1.0]],
    ),
    LossCase(
        "LossCrossEntropy, smoothed",
        lambda reduction: ours.LossCrossEntropy(reduction, label_smoothing=0.1),
        _classes,
        lambda output, target: nn.functional.cross_entropy(
            output, target, reduction="none", label_smoothing=0.1
        ),
        {ours.LossCrossEntropy},
        special=[[1.0, 0.0], [0.25, 0.75]],
    ),
    LossCase(
        "LossCrossEntropy, weights and classes",
        lambda reduction: _weighted(reduction, smoothing=0.25),
        _classes,
        lambda output, target: nn.functional.cross_entropy(
            output, target, _weights(output), reduction="none", label_smoothing=0.25
        ),
        {ours.LossCrossEntropy},
        [
            (
                _OUT[:, :2],
                torch.zeros(6, dtype=torch.int64),
                r"has weights for 3 classes, the output \(6, 2\) is for 2",
            )
        ],
        special=[0, 1],
        of_two=lambda reduction: _weighted(reduction, 2, 0.25),
        total=_weighted_total,
    ),
    LossCase(
        "LossCrossEntropy, weights and soft targets",
        _weighted,
        lambda stack: normal(*stack, 6, 3, seed=7).softmax(-1),
        lambda output, target: nn.functional.cross_entropy(
            output, target, _weights(output), reduction="none"
        ),
        {ours.LossCrossEntropy},
        special=[[1.0, 0.0], [0.25, 0.75]],
        of_two=lambda reduction: _weighted(reduction, 2),
    ),
    LossCase(
        "LossBCE",
        ours.LossBCE,
        lambda stack: normal(*stack, 6, 3, seed=8).sigmoid(),
        lambda output, target: nn.functional.binary_cross_entropy_with_logits(
            output, target, reduction="none"
        ),
        {ours.LossBCE},
        [(_OUT, normal(6, 2), r"got \(6, 2\)"), (_OUT, _classes(()), "got .*int64")],
        special=[[0.0, 1.0], [0.25, 1.0]],
    ),
    LossCase(
        "LossBCE, weighted",
        lambda reduction: ours.LossBCE(reduction, pos_weight=3),
        lambda stack: normal(*stack, 6, 3, seed=8).sigmoid(),
        lambda output, target: nn.functional.binary_cross_entropy_with_logits(
            output, target, reduction="none", pos_weight=torch.tensor(3).to(output)
        ),
        {ours.LossBCE},
        special=[[0.0, 1.0], [0.25, 1.0]],
    ),
    LossCase(
        "LossL1",
        ours.LossL1,
        lambda stack: normal(*stack, 6, 3, seed=5),
        lambda output, target: nn.functional.l1_loss(output, target, reduction="none"),
        {ours.LossL1},
        [(_OUT, normal(6, 2), r"got \(6, 2\)")],
        [[a, b] for a in SPECIAL for b in (0.0, 1.0, math.inf, math.nan)],
    ),
    LossCase(
        "LossHuber",
        lambda reduction: ours.LossHuber(reduction, delta=0.7),
        lambda stack: normal(*stack, 6, 3, seed=5),
        lambda output, target: nn.functional.huber_loss(
            output, target, reduction="none", delta=0.7
        ),
        {ours.LossHuber},
        [(_OUT, normal(6, 2), r"got \(6, 2\)")],
        [[a, b] for a in SPECIAL for b in (0.0, 1.0, math.inf, math.nan)],
    ),
    LossCase(
        "LossSum",
        _heads,
        lambda stack: normal(*stack, 6, 3, seed=5).softmax(-1),
        lambda output, target: nn.functional.mse_loss(output, target, reduction="none"),
        {ours.LossSum},
        [
            (_OUT[:, :2], _OUT[:, :2], r"expects outputs of 2 \+ 1 = 3 columns, got \(6, 2\)"),
            (_OUT, normal(6, 2), r"got \(6, 2\)"),
        ],
        special=[[0.5, 0.0], [-1.0, 2.0]],
        of_two=lambda reduction: ours.LossSum(
            (ours.LossMSE(reduction), 1, 1), (ours.LossMSE(reduction), 1, 1)
        ),
        total=_heads_total,
    ),
]
