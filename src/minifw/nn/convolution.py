"""`Conv1d` and `Conv2d`: the same small linear map at every place of a signal or an image.

Both are one matrix product for each network: the *columns* of an input hold, for each place of the
output, the numbers that the kernel meets there, so that y = W columns + b.

In memory the samples stand last: `(channels, height, width, samples)`. Each row of the columns, of
a maximum or a sum of windows is then made of whole runs of samples, which is several times as quick
as runs of a few pixels (docs/decisions.md). The shapes stay as described: a tensor is permuted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.buffers import add_product, buffer, is_fused, product_to, room
from minifw.nn.columns import Columns
from minifw.nn.initializers import Initializer, check_fit, draw_parameters, own_generators
from minifw.nn.module import FLOATING, Module, Parameter, as_called, described
from minifw.nn.registry import Key, Keys, Twin, layer
from minifw.nn.windows import (
    Shape,
    Sizes,
    Windows,
    contiguous,
    samples_first,
    samples_last,
    sizes,
    spare_samples,
)

__all__ = ["Conv1d", "Conv2d"]

C = TypeVar("C", bound="Convolution")
Saved = tuple[Columns, list[Tensor], list[Tensor] | None]
"""What backward needs: columns of the input, weights, and what was gathered if that is kept."""


class Convolution(Module):
    """What `Conv1d` and `Conv2d` share; `dimensions` is that of a kernel."""

    dimensions: ClassVar[int]

    weight: Tensor
    weight_grad: Tensor
    bias: Tensor | None = None
    bias_grad: Tensor | None = None

    def __init__(
        self,
        in_channels: int,
        out_channels: Annotated[int, Key("number of output channels", ge=1, le=100_000)],
        kernel_size: Annotated[Sizes, Key("size of the kernel, or one for each dimension")],
        stride: Annotated[Sizes, Key("step between two places of the kernel")] = 1,
        padding: Annotated[
            Sizes | Literal["same", "valid"],
            Key("zeros at both ends; same: as many outputs as inputs; valid: none"),
        ] = 0,
        dilation: Annotated[Sizes, Key("step between two numbers that the kernel meets")] = 1,
        groups: Annotated[
            int, Key("number of parts of the channels, each for itself", ge=1, le=100_000)
        ] = 1,
        bias: Annotated[bool, Key("whether outputs have a bias")] = True,
        *,
        init: Initializer | str = "pytorch",
        stack: Sequence[int] = (),
        generators: Sequence[np.random.Generator] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        name = type(self).__name__
        given = {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}
        for key, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ShapeError(
                    f"{name}: {key} must be a whole number of at least 1, got {value!r}"
                )
        if dtype not in FLOATING:
            raise DtypeError(f"{name}: dtype must be torch.float32 or torch.float64, got {dtype}")
        stack = tuple(stack)
        if any(size < 1 for size in stack):
            raise ShapeError(f"{name}: a stack must hold at least one network, got {stack}")
        if in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{name}: groups must divide in_channels and out_channels, got {groups} for "
                f"{in_channels} and {out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation = dilation
        self.windows = Windows.of(name, self.dimensions, kernel_size, stride, padding, dilation)
        shape = (*stack, out_channels, in_channels // groups, *self.windows.kernel)
        self.register_parameter("weight", torch.zeros(shape, dtype=dtype, device=device))
        if bias:
            self.register_parameter("bias", self.weight.new_zeros(*stack, out_channels))
        self.initialize(init, own_generators(stack) if generators is None else generators)

    @property
    def stack(self) -> Shape:
        return tuple(self.weight.shape[: -self.dimensions - 2])

    @property
    def fans(self) -> tuple[int, int]:
        """The inputs of each output, and the outputs that each input enters, as PyTorch counts."""
        kernel = math.prod(self.windows.kernel)
        return self.in_channels // self.groups * kernel, self.out_channels * kernel

    def initialize(
        self, init: Initializer | str, generators: Sequence[np.random.Generator]
    ) -> None:
        """Draw a new weight and bias, those of network k of the stack from `generators[k]`."""
        draw_parameters(self, init, generators, *self.fans)

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x)
        inside = samples_last(x, self.dimensions)
        whole = self.windows.padded(inside, spare_samples(inside))
        columns = Columns(self.windows, self.groups, whole)
        space, weights = columns.room(), columns.weights(self.weight)
        places = self.windows.outputs_of(whole)
        y = room(x, (len(whole), self.out_channels, *places, whole.shape[-1]))
        rows = self._matrices(y)
        bias = None if self.bias is None else self.bias.reshape(*rows.shape[:2], 1)
        met: list[Tensor] = []
        for part, own in columns.parts():
            met, out = columns.gathered(part, space), rows[own]
            plus = None if bias is None else bias[own]
            product_to(out, weights[0][own], met[0], plus)  # y = W columns + b
            for weight, more in zip(weights[1:], met[1:], strict=True):
                add_product(out, weight[own], more)
        if y.shape[-1] > inside.shape[-1]:
            y = y[..., : inside.shape[-1]]
        y = samples_first(y, self.stack)
        self.remember((x,), (y,), (columns, weights, met if is_fused() else None))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        call, gradient = self.recall(gradient), self._inside(gradient)
        self._accumulate(call.saved, gradient)
        places = samples_last(call.inputs[0], self.dimensions).shape
        if is_fused():
            total = self._transposed(gradient, (*places[:-1], gradient.shape[-1]))
            return samples_first(total[..., : places[-1]], self.stack)
        columns, weights, _ = call.saved
        space, rows = columns.room(), self._matrices(gradient)
        total = room(gradient, places).zero_()
        for part, own in columns.parts():
            of_part = space[: part.stop - part.start]
            pieces = columns.pieces(of_part)
            if columns.rows == 1:
                product_to(pieces[0], weights[0][own].mT, rows[own])  # Wᵀ dL/dy
            else:  # the rows of the kernel meet the same columns: a sum
                of_part.zero_()
                for weight, piece in zip(weights, pieces, strict=True):
                    # torch's product of stacks is slow where results have gaps.
                    for one, to, by in zip(piece, rows[own], weight[own], strict=True):
                        one.addmm_(by.mT, to)
            columns.add_to(total[part], of_part)
        return samples_first(total, self.stack)

    def _transposed(self, gradient: Tensor, places: Shape) -> Tensor:
        """Return dL/dx as a convolution of dL/dy between zeros with the kernel turned round.

        It is the same sum, in one product: compiled code writes each number once, whereas sums of
        slices would be quicker in single operations.
        """
        whole = self.windows.spread(gradient, places[2:-1])
        columns = self.windows.dense().columns(whole)
        groups = places[0] * self.groups
        kernel = self.weight.shape[-self.dimensions :]
        weight = self.weight.reshape(groups, -1, self.in_channels // self.groups, *kernel)
        turned = weight.flip(*range(-self.dimensions, 0)).transpose(1, 2).flatten(2)
        return torch.bmm(turned, columns.reshape(groups, turned.shape[2], -1)).view(places)

    def accumulate(self, gradient: Tensor) -> None:
        self._accumulate(self.recall(gradient).saved, self._inside(gradient))

    def _accumulate(self, saved: Saved, gradient: Tensor) -> None:
        columns, _, kept = saved
        rows, space = self._matrices(gradient), columns.room()
        total = room(rows, (columns.rows, len(rows), columns.terms, rows.shape[1]))
        for part, own in columns.parts():
            met = columns.gathered(part, space) if kept is None else kept
            for product, piece in zip(total, met, strict=True):
                product_to(product[own], piece, rows[own].mT)  # columns (dL/dy)ᵀ
        of_weight = columns.weight_of(total).reshape(self.weight.shape)
        self.weight_grad.add_(of_weight)  # dL/dW += dL/dy columnsᵀ
        if self.bias_grad is not None:
            of_bias = torch.sum(gradient.flatten(2), -1, out=buffer(gradient))
            self.bias_grad.add_(of_bias.view(self.bias_grad.shape))  # dL/db += Σ dL/dy

    def _matrices(self, y: Tensor) -> Tensor:
        """Return outputs as `(networks · groups, outputs, places · samples)`, a view."""
        return y.view(len(y) * self.groups, self.out_channels // self.groups, -1)

    def _inside(self, gradient: Tensor) -> Tensor:
        """Return dL/dy as `(networks, channels, *places, samples)`, contiguous."""
        inside = samples_last(gradient, self.dimensions)
        if spare := spare_samples(inside):
            whole = inside.new_zeros(*inside.shape[:-1], inside.shape[-1] + spare)
            whole[..., : inside.shape[-1]].copy_(inside)
            return whole
        return contiguous(inside)

    def _check_input(self, x: Tensor) -> None:
        if not isinstance(x, Tensor) or x.dtype != self.weight.dtype:
            raise DtypeError(
                f"{self}.forward: expects a tensor of {self.weight.dtype}, as the weight is, "
                f"got {described(x)}{as_called(x)}"
            )
        if self._parameters is None:  # assigned since the last check
            self.parameters()
        stack = self.weight.shape[: -self.dimensions - 2]
        before = len(stack) + 1
        if (
            x.ndim != before + self.dimensions + 1
            or x.shape[: before - 1] != stack
            or x.shape[before] != self.in_channels
        ):
            places = ("length",) if self.dimensions == 1 else ("height", "width")
            expected = ", ".join([*map(str, stack), "samples", str(self.in_channels), *places])
            raise ShapeError(
                f"{self}.forward: expects an input of shape ({expected}), got {tuple(x.shape)}"
            )
        self.windows.outputs(x.shape[before + 1 :])

    def check_parameters(self, parameters: Sequence[Parameter]) -> None:
        """Raise unless weight and bias fit each other."""
        super().check_parameters(parameters)
        check_fit(self, (self.out_channels, self.in_channels // self.groups, *self.windows.kernel))

    def __repr__(self) -> str:
        said = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}"]
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        for name, least in usual.items():
            value = getattr(self, name)
            if value not in (least, (least,) * self.dimensions):
                said.append(f"{name}={value!r}")
        if self.bias is None:
            said.append("bias=False")
        return f"{type(self).__name__}({', '.join(said)})"


def _made(name: str, dimensions: int, inputs: Shape, keys: Keys) -> tuple[Shape, int]:
    """Return a sample's shape after a convolution, and the terms of each sum."""
    parts = {key: keys[key] for key in ("kernel_size", "stride", "padding", "dilation")}
    places = Windows.of(name, dimensions, **parts).check(inputs)
    kernel = sizes(name, "kernel_size", keys["kernel_size"], dimensions, 1)
    groups = keys["groups"]
    if inputs[0] % groups or keys["out_channels"] % groups:
        raise ModuleError(
            f"{name}: groups must divide the channels of inputs and outputs, got {groups} for "
            f"{inputs[0]} and {keys['out_channels']}"
        )
    return (keys["out_channels"], *places), inputs[0] // groups * math.prod(kernel)


def convolution(name: str, dimensions: int, inputs: Shape) -> Callable[[type[C]], type[C]]:
    """Declare a convolution, with inputs of this shape in the tests."""

    def parameters(shape: Shape, keys: Keys) -> int:
        (channels, *_), terms = _made(name, dimensions, shape, keys)
        return channels * (terms + bool(keys["bias"]))

    def operations(shape: Shape, keys: Keys) -> int:
        outputs, terms = _made(name, dimensions, shape, keys)
        return math.prod(outputs) * (2 * terms - 1 + bool(keys["bias"]))

    arguments = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    return layer(
        name,
        about="the same weights at each place of a signal or an image",
        section="A convolution; `in_channels` is inferred, and checked if given.",
        short="out_channels",
        outputs=lambda shape, keys: _made(name, dimensions, shape, keys)[0],
        parameters=parameters,
        operations=operations,
        inferred={"in_channels": lambda shape: shape[0]},
        twin=Twin(
            f"Conv{dimensions}d",
            **{each: each for each in (*arguments, "groups")},
            bias=lambda ours: ours.bias is not None,
        ),
        case={"in_channels": inputs[1], "out_channels": 4, "kernel_size": 3, "padding": 1},
        inputs=inputs,
    )


@convolution("conv1d", 1, (5, 2, 7))
class Conv1d(Convolution):
    """y[o, p] = b[o] + Σ over c, i of W[o, c, i] x[c, p stride + i dilation - padding].

    For x of shape `(…, samples, in_channels, length)` the output y is
    `(…, samples, out_channels, places)`; x is 0 outside, and `…` is the stack, which must equal
    that of the weights:

        weight  W  (…, out_channels, in_channels / groups, kernel_size)
        bias    b  (…, out_channels)

    Arguments, shapes and numbers of places are those of torch.nn.Conv1d; see `Conv2d`.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86, 2278 (1998).
    """

    dimensions = 1


@convolution("conv2d", 2, (3, 2, 5, 6))
class Conv2d(Convolution):
    """y[o, p, q] = b[o] + Σ over c, i, j of W[o, c, i, j] x[c, p + i, q + j].

    For x of shape `(…, samples, in_channels, height, width)` the output y is
    `(…, samples, out_channels, places, places)`; `…` is the stack and must equal that of the
    weights. With the columns, what the kernel meets at each place of each sample, as a matrix
    `(in_channels / groups · kernel, places · samples)`:

        weight  W  (…, out_channels, in_channels / groups, *kernel)    y     = W columns + b
        bias    b  (…, out_channels)                                   dL/dW = dL/dy columnsᵀ
                                                                       dL/db = Σ of dL/dy
        returned   dL/dx, the sum of what Wᵀ dL/dy gives to each number of x

    A place p of the output meets p stride + i dilation - padding of the input, which is 0 outside.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86, 2278 (1998).

    Args:
        in_channels: number of channels of a sample, at least 1.
        out_channels: number of channels of the output, at least 1.
        kernel_size: a number, or one for each dimension.
        stride: step from one place to the next.
        padding: zeros on each side; "same" for as many places as inputs, "valid" for none.
        dilation: step from one number that the kernel meets to the next.
        groups: channels fall into so many parts, each of which sees itself alone.
        bias: False leaves out b; `bias` and `bias_grad` are then None.
        init: the initialiser of weights and biases, an `Initializer` or its name.
        stack: the leading dimensions, `(20,)` for twenty networks; `()` is one network.
        generators: one NumPy generator for each network of the stack. Without them the draw
            follows torch's global generator, as in PyTorch (`torch.manual_seed`).
        dtype: torch.float32 or torch.float64.
        device: the device of the tensors.

    """

    dimensions = 2
