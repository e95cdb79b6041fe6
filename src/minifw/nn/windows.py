"""Windows: what a kernel meets at each place of its input, for convolution and pooling.

Inside, a tensor is `(networks, channels, *places, samples)`: one or two dimensions of places, and
the samples last, in memory too. Each slice of places then holds whole runs of samples, and all that
is done with windows (gathering, maxima, sums) goes through memory in runs. From outside a tensor is
`(stack…, samples, channels, *places)` as described everywhere else, and its strides say the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.buffers import is_fused, room

Shape = tuple[int, ...]
Slices = tuple[int, tuple[slice, ...], tuple[slice, ...]]
Sizes = int | Sequence[int]
"""A whole number for all dimensions, or one for each."""


def sizes(name: str, key: str, value: Any, dimensions: int, least: int) -> Shape:
    """Return one size for each dimension.

    Raises:
        ShapeError: there is not one for each, or one is no whole number of at least `least`.

    """
    several = isinstance(value, Sequence) and not isinstance(value, str)
    each = tuple(value) if several else (value,) * dimensions
    if len(each) != dimensions or not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= least for size in each
    ):
        number = f"a whole number of at least {least}"
        must = number if dimensions == 1 else f"{number}, or {dimensions} of them"
        raise ShapeError(f"{name}: {key} must be {must}, got {value!r}")
    return each


@dataclass(frozen=True)
class Windows:
    """The windows of a kernel: how large, how far apart, what is added around the input.

    In each dimension output place p meets the padded input's places p stride + i dilation, for i
    from 0 to kernel - 1. There are ⌊(size + padding - dilation (kernel - 1) - 1) / stride⌋ + 1
    places, as in PyTorch.
    """

    name: str  # of the module, for messages
    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]  # before and after
    dilation: Shape

    @classmethod
    def of(
        cls,
        name: str,
        dimensions: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
    ) -> Windows:
        """Return the windows for PyTorch's arguments.

        Raises:
            ShapeError: an argument is none of PyTorch's.

        """
        kernel = sizes(name, "kernel_size", kernel_size, dimensions, 1)
        strides = sizes(name, "stride", stride, dimensions, 1)
        dilations = sizes(name, "dilation", dilation, dimensions, 1)
        if padding == "same" and max(strides) > 1:
            raise ShapeError(f"{name}: padding 'same' needs a stride of 1, got {stride!r}")
        if padding == "same":
            missing = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
            around = tuple((total // 2, total - total // 2) for total in missing)
        elif isinstance(padding, str) and padding != "valid":
            raise ShapeError(f"{name}: padding must be numbers, 'same' or 'valid', got {padding!r}")
        else:
            numbers = 0 if padding == "valid" else padding
            around = tuple((p, p) for p in sizes(name, "padding", numbers, dimensions, 0))
        return cls(name, kernel, strides, around, dilations)

    @property
    def is_padded(self) -> bool:
        """Whether anything is added around the input."""
        return any(before or after for before, after in self.padding)

    def outputs(self, places: Sequence[int]) -> Shape:
        """Return the numbers of output places for an input's.

        Raises:
            ShapeError: the kernel does not fit into the padded input.

        """
        found = []
        for size, kernel, stride, around, dilation in zip(
            places, self.kernel, self.stride, self.padding, self.dilation, strict=True
        ):
            span, whole = dilation * (kernel - 1) + 1, size + sum(around)
            if size < 1 or whole < span:
                padded = f", {whole} with padding" if sum(around) else ""
                raise ShapeError(
                    f"{self.name}: the kernel is {span} long and must fit into the input, "
                    f"got {size}{padded}; a smaller kernel_size or more padding does"
                )
            found.append((whole - span) // stride + 1)
        return tuple(found)

    def check_half(self) -> None:
        """Raise a ShapeError if a window may meet padding alone; PyTorch's limit is the same."""
        for kernel, (before, _) in zip(self.kernel, self.padding, strict=True):
            if before > kernel // 2:
                raise ShapeError(
                    f"{self.name}: padding must be at most half of kernel_size, got {before} for "
                    f"{kernel}"
                )

    def apart(self, places: Sequence[int]) -> tuple[bool, bool]:
        """Return whether no windows overlap, and whether they meet each place of an input."""
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        apart = all(span <= step for span, step in zip(spans, self.stride, strict=True))
        whole = self.stride == self.kernel and not self.is_padded
        full = not any(size % step for size, step in zip(places, self.stride, strict=True))
        return apart, whole and full and max(self.dilation) == 1

    def check(self, inputs: Shape, channels: int | None = None) -> Shape:
        """Return the output places for a sample's shape, as `outputs` does.

        Raises:
            ModuleError: a sample is not `(channels, *places)`, or the kernel does not fit.

        """
        words = ", ".join(["channels", *("length", "height, width")[len(self.kernel) - 1 :][:1]])
        if len(inputs) != len(self.kernel) + 1 or (channels or inputs[0]) != inputs[0]:
            word = words.replace("channels", str(channels)) if channels else words
            raise ModuleError(f"{self.name}: expects samples ({word}), got {inputs}")
        return self.outputs(inputs[1:])

    def padded(self, x: Tensor, spare: int = 0) -> Tensor:
        """Return x, `(networks, channels, *places, samples)`, with zeros around it, contiguous.

        So many `spare` samples follow, of zeros.
        """
        if not self.is_padded and not spare:
            return contiguous(x)
        shape = [before + size + after for size, (before, after) in self._around(x)]
        whole = room(x, (*x.shape[:2], *shape, x.shape[-1] + spare)).zero_()
        self.middle(whole)[..., : x.shape[-1]].copy_(x)
        return whole

    def spread(self, gradient: Tensor, places: Shape) -> Tensor:
        """Return dL/dy between zeros, so that dL/dx for input places is a convolution of it.

        y[p] meets x[p stride + i dilation - padding], so x[r] meets what stands at
        r + (kernel - 1 - i) dilation here.
        """
        shape, here, there = [], [slice(None)] * 2, [slice(None)] * 2
        for dimension, size in enumerate(places):
            stride, rows = self.stride[dimension], gradient.shape[dimension + 2]
            span = self.dilation[dimension] * (self.kernel[dimension] - 1)
            offset = span - self.padding[dimension][0]
            low = max(0, -(offset // stride))
            high = min(rows, (size + span - 1 - offset) // stride + 1)
            start = low * stride + offset
            shape.append(size + span)
            here.append(slice(start, start + (high - low - 1) * stride + 1, stride))
            there.append(slice(low, high))
        whole = room(gradient, (*gradient.shape[:2], *shape, gradient.shape[-1])).zero_()
        whole[tuple(here)].copy_(gradient[tuple(there)])
        return whole

    def dense(self) -> Windows:
        """Return these windows at each place of an input that has its padding already."""
        ones = (1,) * len(self.kernel)
        return replace(self, stride=ones, padding=((0, 0),) * len(self.kernel))

    def middle(self, whole: Tensor) -> Tensor:
        """Return the part of a padded tensor that is the input, a view."""
        for dimension, (before, after) in enumerate(self.padding, 2):
            if before or after:
                size = whole.shape[dimension] - before - after
                whole = whole.narrow(dimension, before, size)
        return whole

    def _around(self, x: Tensor) -> Iterator[tuple[int, tuple[int, int]]]:
        return zip(x.shape[2:-1], self.padding, strict=True)

    def columns(self, whole: Tensor) -> Tensor:
        """Return what the kernel meets, `(networks, channels, *kernel, *places, samples)`.

        It is a view of a padded tensor.
        """
        networks, channel, *steps, sample = whole.stride()
        kernel = [step * dilation for step, dilation in zip(steps, self.dilation, strict=True)]
        strides = [step * stride for step, stride in zip(steps, self.stride, strict=True)]
        return whole.as_strided(
            (*whole.shape[:2], *self.kernel, *self.outputs_of(whole), whole.shape[-1]),
            (networks, channel, *kernel, *strides, sample),
            whole.storage_offset(),
        )

    def outputs_of(self, whole: Tensor) -> Shape:
        """Return the numbers of output places for a padded tensor."""
        return tuple(
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, dilation in zip(
                whole.shape[2:-1], self.kernel, self.stride, self.dilation, strict=True
            )
        )

    @lru_cache(maxsize=256)  # noqa: B019  of a few kinds of windows, at a tenth of a small step
    def slices(self, outputs: Shape, inputs: Shape) -> list[Slices]:
        """Return for each kernel place the outputs that meet the input there, and what they meet.

        Both index tensors `(networks, channels, *places, samples)`, with these numbers of places:
        outputs, and the input without padding. A place of the kernel has its number in the order of
        memory; one that meets padding alone is left out.
        """
        found = []
        for number, place in enumerate(product(*map(range, self.kernel))):
            of_y, of_x = [slice(None)] * 2, [slice(None)] * 2
            for dimension, at in enumerate(place):
                stride, rows = self.stride[dimension], outputs[dimension]
                # Output p meets the input at p stride + offset.
                offset = at * self.dilation[dimension] - self.padding[dimension][0]
                low = max(0, -(offset // stride))
                high = min(rows, (inputs[dimension] - 1 - offset) // stride + 1)
                if low >= high:
                    break
                of_y.append(slice(low, high))
                start = low * stride + offset
                of_x.append(slice(start, start + (high - low - 1) * stride + 1, stride))
            else:
                found.append((number, tuple(of_y), tuple(of_x)))
        return found


def samples_last(x: Tensor, dimensions: int) -> Tensor:
    """Return `(stack…, samples, channels, *places)` as `(networks, channels, *places, samples)`."""
    sample = x.shape[-dimensions - 2 :]
    return x.reshape(math.prod(x.shape[: -dimensions - 2]), *sample).movedim(1, -1)


def samples_first(y: Tensor, stack: Sequence[int]) -> Tensor:
    """Return `(networks, channels, *places, samples)` as `(stack…, samples, channels, *places)`."""
    y = y.movedim(-1, 1)
    return y.view(*stack, *y.shape[1:])


def spare_samples(x: Tensor) -> int:
    """Return by how many samples a compiler would have rows of whole vectors, of up to 64 bytes."""
    return -x.shape[-1] % (64 // x.element_size()) if is_fused() else 0


def contiguous(x: Tensor) -> Tensor:
    """Return x itself if its numbers stand in the order of its dimensions, else a copy that is."""
    return x if x.is_contiguous() else room(x, x.shape).copy_(x)
