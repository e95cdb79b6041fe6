"""Pooling: the maximum or the average of each window of a signal or an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, TypeVar

import torch
from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.buffers import buffer, is_fused, room
from minifw.nn.module import Module
from minifw.nn.registry import Key, Keys, Twin, layer
from minifw.nn.windows import (
    Shape,
    Sizes,
    Slices,
    Windows,
    contiguous,
    samples_first,
    samples_last,
    sizes,
)

__all__ = ["AvgPool1d", "AvgPool2d", "GlobalAvgPool", "MaxPool1d", "MaxPool2d"]


def check_dimensions(module: Module, x: Tensor, least: int, shape: str) -> None:
    """Raise a ShapeError if the input has too few dimensions."""
    if x.ndim < least:
        raise ShapeError(
            f"{module}.forward: expects an input of shape {shape}, got {tuple(x.shape)}"
        )


def give(total: Tensor, addend: Tensor, apart: bool) -> None:
    """Add to numbers that nothing was added to yet if windows are `apart`."""
    if apart:
        total.copy_(addend)
    else:
        total.add_(addend)


P = TypeVar("P", bound="Pooling")


class Pooling(Module):
    """What all kinds of pooling share; `dimensions` is that of a window."""

    dimensions: ClassVar[int]
    windows: Windows

    def started(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x with its samples last, and room for the output."""
        self.check_floating(x)
        places = "length" if self.dimensions == 1 else "height, width"
        check_dimensions(self, x, self.dimensions + 2, f"(…, samples, channels, {places})")
        inside = contiguous(samples_last(x, self.dimensions))
        outputs = self.windows.outputs(inside.shape[2:-1])
        return inside, room(inside, (*inside.shape[:2], *outputs, inside.shape[-1]))

    def done(self, x: Tensor, y: Tensor, inside: Tensor) -> Tensor:
        """Return the output as it is from outside, and remember what `backward` needs."""
        result = samples_first(y, x.shape[: -self.dimensions - 2])
        self.remember((x,), (result,), (inside, y))
        return result

    def places(self, inside: Tensor, y: Tensor) -> list[Slices]:
        """Return what meets what, for each place of a window; see `Windows.slices`."""
        return self.windows.slices(tuple(y.shape[2:-1]), tuple(inside.shape[2:-1]))

    def gradients(self, gradient: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Return dL/dy with its samples last, room for dL/dx, and whether no windows overlap.

        The room holds 0, but where each of its numbers will be written once.
        """
        inside: Tensor = self.recall(gradient).saved[0]
        gradient = contiguous(samples_last(gradient, self.dimensions))
        apart, all_met = self.windows.apart(inside.shape[2:-1])
        total = room(inside, inside.shape)
        return gradient, total if apart and all_met else total.zero_(), apart

    def __repr__(self) -> str:
        windows = self.windows
        said = [f"kernel_size={_shown(windows.kernel)}", f"stride={_shown(windows.stride)}"]
        if windows.is_padded:
            said.append(f"padding={_shown(tuple(before for before, _ in windows.padding))}")
        if max(windows.dilation) > 1:
            said.append(f"dilation={_shown(windows.dilation)}")
        return f"{type(self).__name__}({', '.join(said)})"


def _shown(each: Shape) -> str:
    return str(each[0] if len({*each}) == 1 else each)


class MaxPooling(Pooling):
    """What `MaxPool1d` and `MaxPool2d` share."""

    def __init__(
        self,
        kernel_size: Annotated[Sizes, Key("size of a window, or one for each dimension")],
        stride: Annotated[Sizes | None, Key("step between windows; by default their size")] = None,
        padding: Annotated[Sizes, Key("places around the input that never are the maximum")] = 0,
        dilation: Annotated[Sizes, Key("step between two numbers of a window")] = 1,
    ) -> None:
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride
        name = type(self).__name__
        self.windows = Windows.of(
            name, self.dimensions, kernel_size, self.stride, padding, dilation
        )
        self.windows.check_half()

    def forward(self, x: Tensor) -> Tensor:
        inside, y = self.started(x)
        (_, of_y, of_x), *others = self.places(inside, y)
        if self.windows.is_padded:
            y.fill_(-math.inf)
        y[of_y].copy_(inside[of_x])
        for _, of_y, of_x in others:
            part = y[of_y]
            torch.maximum(inside[of_x], part, out=part)
        return self.done(x, y, inside)

    def backward(self, gradient: Tensor) -> Tensor:
        inside, y = self.recall(gradient).saved
        of_y, total, apart = self.gradients(gradient)
        if is_fused():
            self._by_choice(inside, y, of_y, total, apart)
        else:
            # Taken in any case, so that what follows finds its own reused memory.
            rooms = [room(y, y.shape) for _ in range(3)]
            if math.isfinite(float(y.sum() + of_y.sum())):
                self._by_products(inside, y, of_y, total, apart, rooms)
            else:  # 0 times an infinity is NaN, and NaN is not equal to itself
                self._with_nan(inside, y, of_y, total)
        return samples_first(total, gradient.shape[: -self.dimensions - 2])

    def _by_products(
        self,
        inside: Tensor,
        y: Tensor,
        left: Tensor,
        total: Tensor,
        apart: bool,
        rooms: Sequence[Tensor],
    ) -> None:
        """Give each dL/dy to the first place that holds the maximum; all numbers are finite.

        What is left of a gradient is all of it or 0. `rooms` are three like y to write to.
        """
        is_first, taken, rest = rooms
        if self.windows.is_padded:  # a place does not meet all windows
            left = rest.copy_(left)
        *others, (_, of_y, of_x) = self.places(inside, y)
        for _, some, met in others:
            here = torch.eq(inside[met], y[some], out=is_first[some])  # 1 or 0
            got = total[met] if apart else taken[some]
            torch.mul(here, left[some], out=got)
            torch.sub(left[some], got, out=rest[some])
            left = rest
            if not apart:
                total[met].add_(got)
        give(total[of_x], left[of_y], apart)  # the last place gets what is left

    def _by_choice(
        self, inside: Tensor, y: Tensor, left: Tensor, total: Tensor, apart: bool
    ) -> None:
        """Do the same for any numbers with selections, which a compiler makes masks of.

        The gradient of a maximum that is NaN goes to the first place.
        """
        for _, some, met in self.places(inside, y):
            less = inside[met] < y[some]
            give(total[met], torch.where(less, 0.0, left[some]), apart)
            rest = torch.where(less, left[some], 0.0)
            if self.windows.is_padded:
                left = left.clone()
                left[some] = rest
            else:
                left = rest

    def _with_nan(self, inside: Tensor, y: Tensor, left: Tensor, total: Tensor) -> None:
        """Do the same for any numbers; that of a NaN goes to the last NaN, as in PyTorch."""
        total.zero_()
        left = left.clone()
        places = self.places(inside, y)
        for order, is_nan in ((places, False), (places[::-1], True)):
            for _, some, met in order:
                x = inside[met]
                hit = x.isnan() if is_nan else x == y[some]
                total[met].add_(torch.where(hit, left[some], 0.0))
                left[some] = torch.where(hit, 0.0, left[some])


class AveragePooling(Pooling):
    """What `AvgPool1d` and `AvgPool2d` share."""

    def __init__(
        self,
        kernel_size: Annotated[Sizes, Key("size of a window, or one for each dimension")],
        stride: Annotated[Sizes | None, Key("step between windows; by default their size")] = None,
        padding: Annotated[Sizes, Key("zeros around the input, which count")] = 0,
    ) -> None:
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.windows = Windows.of(
            type(self).__name__, self.dimensions, kernel_size, self.stride, padding
        )
        self.windows.check_half()

    def forward(self, x: Tensor) -> Tensor:
        inside, y = self.started(x)
        y.zero_()
        for _, of_y, of_x in self.places(inside, y):
            y[of_y].add_(inside[of_x])
        return self.done(x, y.div_(math.prod(self.windows.kernel)), inside)

    def backward(self, gradient: Tensor) -> Tensor:
        inside, y = self.recall(gradient).saved
        of_y, total, apart = self.gradients(gradient)
        each = torch.div(of_y, math.prod(self.windows.kernel), out=buffer(of_y))
        for _, some, met in self.places(inside, y):
            give(total[met], each[some], apart)
        return samples_first(total, gradient.shape[: -self.dimensions - 2])


def pooling(
    name: str, dimensions: int, inputs: Shape, *arguments: str
) -> Callable[[type[P]], type[P]]:
    """Declare a kind of pooling, with inputs of this shape in the tests."""

    def outputs(shape: Shape, keys: Keys) -> Shape:
        said = {key: keys[key] for key in arguments}
        said["stride"] = keys["kernel_size"] if keys["stride"] is None else keys["stride"]
        windows = Windows.of(name, dimensions, **said)
        windows.check_half()
        return shape[0], *windows.check(shape)

    def operations(shape: Shape, keys: Keys) -> int:
        size = keys["kernel_size"]
        kernel = size**dimensions if isinstance(size, int) else math.prod(size)
        return math.prod(outputs(shape, keys)) * kernel

    called = name.removesuffix(f"-pool{dimensions}d").capitalize()
    return layer(
        name,
        about="one number for each window of a signal or an image",
        section="Pooling of windows; `stride` is their size if not given.",
        short="kernel_size",
        outputs=outputs,
        parameters=lambda shape, keys: 0,
        operations=operations,
        twin=Twin(f"{called}Pool{dimensions}d", **{each: each for each in arguments}),
        case={"kernel_size": 3, "stride": 2, "padding": 1},
        inputs=inputs,
    )


WINDOW = ("kernel_size", "stride", "padding")


@pooling("max-pool1d", 1, (5, 2, 7), *WINDOW, "dilation")
class MaxPool1d(MaxPooling):
    """y[c, p] = max over i of x[c, p stride + i dilation - padding], of what is inside x.

    `(…, samples, channels, length)` gives `(…, samples, channels, places)`. dL/dy goes to the first
    number that is the maximum, as in PyTorch, and if a window has NaNs to the last of them.
    Arguments and numbers of places are those of torch.nn.MaxPool1d.

    Source: Riesenhuber and Poggio, Nature Neuroscience 2, 1019 (1999).
    """

    dimensions = 1


@pooling("max-pool2d", 2, (3, 2, 5, 6), *WINDOW, "dilation")
class MaxPool2d(MaxPooling):
    """y[c, p, q] = max over i, j of x[c, p stride + i dilation - padding, …], of what is inside x.

    `(…, samples, channels, height, width)` gives `(…, samples, channels, places, places)`. dL/dy
    goes to the first number that is the maximum, row by row, as in PyTorch, and if a window has
    NaNs to the last of them. Arguments and numbers of places are those of torch.nn.MaxPool2d.

    Source: Riesenhuber and Poggio, Nature Neuroscience 2, 1019 (1999).
    """

    dimensions = 2


@pooling("avg-pool1d", 1, (5, 2, 7), *WINDOW)
class AvgPool1d(AveragePooling):
    """y[c, p] = 1/kernel Σ over i of x[c, p stride + i - padding], which is 0 outside.

    `(…, samples, channels, length)` gives `(…, samples, channels, places)`; dL/dy goes in equal
    parts to all of the window. Arguments and places are those of torch.nn.AvgPool1d.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86, 2278 (1998).
    """

    dimensions = 1


@pooling("avg-pool2d", 2, (3, 2, 5, 6), *WINDOW)
class AvgPool2d(AveragePooling):
    """y[c, p, q] = 1/kernel Σ over i, j of x[c, p stride + i - padding, q …], which is 0 outside.

    `(…, samples, channels, height, width)` gives `(…, samples, channels, places, places)`; dL/dy
    goes in equal parts to all of the window. Arguments and places are those of torch.nn.AvgPool2d.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86, 2278 (1998).
    """

    dimensions = 2


def _averaged(shape: Shape) -> Shape:
    if len(shape) < 2:
        raise ModuleError(f"global-avg-pool: expects samples (channels, *places), got {shape}")
    return shape[:1]


@layer(
    "global-avg-pool",
    about="the average of each channel",
    section="The average of all places of each channel.",
    outputs=lambda shape, keys: _averaged(shape),
    parameters=lambda shape, keys: 0,
    operations=lambda shape, keys: math.prod(shape),
    inferred={"sample_dims": len},
    twin=Twin("GlobalAvgPool"),
    case={},
    inputs=(3, 2, 5, 6),
)
class GlobalAvgPool(Module):
    """y[c] = the average of x[c] over all its places; dL/dx[c] = dL/dy[c] / places everywhere.

    `(…, samples, channels, *places)` gives `(…, samples, channels)`.

    Source: Lin, Chen and Yan, Network in network, arXiv:1312.4400.

    Args:
        sample_dims: number of dimensions of a sample: 3 for images, `(channels, height, width)`,
            and 2 for signals.

    """

    def __init__(self, sample_dims: int = 3) -> None:
        (self.sample_dims,) = sizes("GlobalAvgPool", "sample_dims", sample_dims, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        places = ("height", "width") if self.sample_dims == 3 else ("length",)
        words = places if self.sample_dims < 4 else ("places",) * (self.sample_dims - 1)
        check_dimensions(
            self, x, self.sample_dims + 1, f"(…, samples, channels, {', '.join(words)})"
        )
        y = x.flatten(1 - self.sample_dims).mean(-1)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (x,) = self.recall(gradient).inputs
        places = x.shape[1 - self.sample_dims :]
        each = gradient / math.prod(places)
        return each.reshape(*each.shape, *[1] * len(places)).expand(x.shape)

    def __repr__(self) -> str:
        return "GlobalAvgPool()" if self.sample_dims == 3 else f"GlobalAvgPool({self.sample_dims})"
