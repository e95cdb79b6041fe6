"""Modules without parameters that join, take and turn parts of samples, and multiply matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.buffers import buffer, product, zeros
from minifw.nn.module import described
from minifw.nn.operations import Operation, in_words
from minifw.nn.registry import Key, Keys, Shape, Twin, layer

__all__ = ["Concat", "MatMul", "Slice", "Transpose"]


def _side_by_side(inputs: Sequence[Shape], keys: Keys) -> Shape:
    """Return the shape of a sample of the output.

    Raises:
        ModuleError: there is only one input, or they differ elsewhere than in `dim`.

    """
    place = _from_end("concat", keys["dim"], len(inputs[0]))
    first = _without(inputs[0], place)
    alike = all(
        len(shape) == len(inputs[0]) and _without(shape, place) == first for shape in inputs
    )
    if len(inputs) < 2 or not alike:
        raise ModuleError(
            f"concat: expects two or more inputs that differ in dimension {keys['dim']} of a "
            f"sample at most, got {in_words(inputs)}"
        )
    size = sum(shape[place] for shape in inputs)
    return tuple(size if d == len(first) + 1 + place else n for d, n in enumerate(inputs[0]))


@layer(
    "concat",
    about="inputs side by side, along the channels or features",
    section="The outputs of the layers in `from`, side by side.",
    outputs=_side_by_side,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: 0,
    several=True,
    inferred={"sample_dims": lambda inputs: len(inputs[0])},
    twin=Twin("Concat", dim="place"),
    case={"dim": 0, "sample_dims": 2},
    inputs=((5, 2, 4), (5, 1, 4)),
)
class Concat(Operation):
    """y = [a, b, …], side by side; dL/da, dL/db, … are the parts of dL/dy.

    Shapes: the inputs differ in one dimension of a sample at most, `dim`, which adds up:
    `(…, samples, 3)` and `(…, samples, 5)` give `(…, samples, 8)`.

    Args:
        dim: the dimension of a sample; 0 is the first, the features or channels. Negative ones
            count from the end, as in PyTorch.
        sample_dims: how many dimensions a sample has, 1 for features, 3 for images; with a
            negative `dim` it does not matter.

    """

    def __init__(
        self,
        dim: Annotated[
            int, Key("dimension of a sample that adds up; 0 is the channels or features")
        ] = 0,
        *,
        sample_dims: Annotated[int, Key("number of dimensions of a sample")] = 1,
    ) -> None:
        self.dim, self.sample_dims = dim, sample_dims
        self.place = _from_end("Concat", dim, sample_dims)

    def forward(self, *inputs: Tensor) -> Tensor:
        if not inputs:
            raise ShapeError(f"{self}.forward: expects at least one input, got none")
        first = inputs[0]
        self.check_floating(first)
        for x in inputs:
            if not isinstance(x, Tensor) or x.dtype != first.dtype or x.ndim < 1 - self.place or (
                _without(x.shape, self.place) != _without(first.shape, self.place)
            ):  # fmt: skip
                raise ShapeError(
                    f"{self}.forward: expects tensors of one dtype whose shapes differ in "
                    f"dimension {self.place} at most, got {' and '.join(map(described, inputs))}"
                )
        y = torch.cat(inputs, self.place, out=buffer(first))
        self.remember(inputs, (y,))
        return y

    def backward(self, gradient: Tensor) -> tuple[Tensor, ...]:
        inputs = self.recall(gradient).inputs
        return torch.split(gradient, [x.shape[self.place] for x in inputs], self.place)

    def __repr__(self) -> str:
        return f"Concat({self.dim})"


def _without(shape: Sequence[int], place: int) -> tuple[int, ...]:
    """Return a shape without the dimension at a place that counts from the end."""
    place += len(shape)
    return (*shape[:place], *shape[place + 1 :])


def _from_end(who: str, dim: int, sample_dims: int) -> int:
    """Return a dimension of a sample as one that counts from the end: -1 is the last."""
    numbers = (dim, sample_dims)
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers) or (
        dim >= max(1, sample_dims)
    ):  # fmt: skip
        raise ShapeError(
            f"{who}: dim must be a dimension of a sample, below {sample_dims}, got {dim!r}; "
            "sample_dims says how many a sample has, and -1 is the last"
        )
    return dim if dim < 0 else dim - sample_dims


def _sliced(inputs: Shape, keys: Keys) -> Shape:
    """Return the shape of a slice of a sample.

    Raises:
        ModuleError: the sample has no such dimension, or nothing of it is left.

    """
    place = _from_end("slice", keys["dim"], len(inputs))
    if -place > len(inputs):
        raise ModuleError(f"slice: a sample {in_words([inputs])} has no dimension {keys['dim']}")
    left = len(range(inputs[place])[keys["start"] : keys["stop"]])
    if not left:
        raise ModuleError(
            f"slice: keeps nothing of {inputs[place]} numbers from {keys['start']} to "
            f"{keys['stop']}"
        )
    return tuple(left if d == len(inputs) + place else n for d, n in enumerate(inputs))


@layer(
    "slice",
    about="a part of each sample, x[start:stop]",
    section="The numbers of a sample from `start` to before `stop`, along one dimension.",
    short="start",
    outputs=_sliced,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: 0,
    inferred={"sample_dims": len},
    twin=Twin("Slice", index="index"),
    case={"start": 1, "stop": 3},
)
class Slice(Operation):
    """y = x[..., start:stop] along one dimension of a sample; dL/dx = 0 but for dL/dy there.

    Shapes: `(…, samples, features)` gives `(…, samples, stop - start)`; the stack, samples and
    other dimensions are kept. On a variable, `x[..., 0, 2:4]` is a slice along several dimensions.

    Args:
        start: the first number that is kept; negative ones count from the end.
        stop: the first number that is no longer kept; None keeps the rest.
        dim: the dimension of a sample; 0 is the first, the features or channels. Negative ones
            count from the end.
        sample_dims: how many dimensions a sample has, 1 for features, 3 for images; with a
            negative `dim` it does not matter.

    """

    def __init__(
        self,
        start: Annotated[int, Key("first number that is kept; from the end if below 0")] = 0,
        stop: Annotated[
            int | None, Key("first number that is no longer kept; null keeps the rest")
        ] = None,
        dim: Annotated[int, Key("dimension of a sample; 0 is the channels or features")] = 0,
        *,
        sample_dims: Annotated[int, Key("number of dimensions of a sample")] = 1,
    ) -> None:
        self.start, self.stop, self.dim, self.sample_dims = start, stop, dim, sample_dims
        place = _from_end("Slice", dim, sample_dims)
        self.index = (..., slice(start, stop), *[slice(None)] * (-1 - place))

    @classmethod
    def of(cls, index: Any) -> Slice:
        """Return the slice of `x[index]`, which begins with `...`: the dimensions before are kept.

        Raises:
            ModuleError: the index would take samples or networks of the stack, or has anything but
                whole numbers and slices behind the `...`.

        """
        index = index if isinstance(index, tuple) else (index,)
        rest = index[1:]
        plain = all(
            (isinstance(one, int) and not isinstance(one, bool)) or isinstance(one, slice)
            for one in rest
        )
        if not index or index[0] is not ... or not plain or any(
            isinstance(one, slice) and (one.step or 1) < 1 for one in rest
        ):  # fmt: skip
            raise ModuleError(
                "x[…] takes numbers of a sample: it begins with '...', followed by whole "
                f"numbers and slices from left to right, as x[..., :2], got x[{_written(index)}]"
            )
        made = cls()
        made.index = index
        return made

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        taken = self.index[1:]
        try:
            if len(taken) >= x.ndim:
                raise IndexError
            y = x[self.index]
        except IndexError:
            raise ShapeError(
                f"{self}.forward: expects samples that have these numbers, got {tuple(x.shape)}"
            ) from None
        if 0 in y.shape and 0 not in x.shape:
            raise ShapeError(f"{self}.forward: keeps nothing of {tuple(x.shape)}")
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (x,) = self.recall(gradient).inputs
        of_x = zeros(x)
        of_x[self.index].copy_(gradient)
        return of_x

    def __repr__(self) -> str:
        return f"Slice[{_written(self.index)}]"


def _written(index: Sequence[Any]) -> str:
    """Return an index as it is written in Python."""
    words = []
    for one in index:
        if isinstance(one, slice):
            ends = ":".join("" if end is None else str(end) for end in (one.start, one.stop))
            words.append(ends if one.step is None else f"{ends}:{one.step}")
        else:
            plain = one is None or isinstance(one, int)
            words.append("..." if one is ... else str(one) if plain else described(one))
    return ", ".join(words)


def _matrices(inputs: Sequence[Shape], keys: Keys) -> Shape:
    """Return the shape of a sample of a product of matrices."""
    fits = len(inputs) == 2 and min(map(len, inputs)) > 1
    if not fits or (*inputs[0][:-2], inputs[0][-1]) != inputs[1][:-1]:
        raise ModuleError(f"matmul: expects samples (n, k) and (k, m), got {in_words(inputs)}")
    return (*inputs[0][:-1], inputs[1][-1])


@layer(
    "matmul",
    about="the product of two matrices of each sample",
    section="The matrix product of the outputs of two layers in `from`.",
    outputs=_matrices,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: (
        math.prod(inputs[0][:-1]) * (2 * inputs[0][-1] - 1) * inputs[1][-1]
    ),
    several=True,
    inferred={},
    twin=Twin("MatMul"),
    inputs=((5, 3, 4), (5, 4, 2)),
)
class MatMul(Operation):
    """Y = A B for each sample; dL/dA = dL/dY Bᵀ, dL/dB = Aᵀ dL/dY.

    Shapes: A `(…, samples, n, k)`, B `(…, samples, k, m)`, Y `(…, samples, n, m)`.
    """

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        self.check_floating(a)
        if not isinstance(b, Tensor) or a.dtype != b.dtype or min(a.ndim, b.ndim) < 3 or (
            (*a.shape[:-2], a.shape[-1]) != tuple(b.shape[:-1])
        ):  # fmt: skip
            raise ShapeError(
                f"{self}.forward: expects (…, samples, n, k) and (…, samples, k, m) of one dtype, "
                f"got {described(a)} and {described(b)}"
            )
        y = product(a, b)
        self.remember((a, b), (y,))
        return y

    def backward(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.recall(gradient).inputs
        return product(gradient, b.mT), product(a.mT, gradient)


def _turned(inputs: Shape, keys: Keys) -> Shape:
    """Return the shape of a sample whose last two dimensions change places."""
    if len(inputs) < 2:
        raise ModuleError(f"transpose: expects samples (n, m), got {in_words([inputs])}")
    return (*inputs[:-2], inputs[-1], inputs[-2])


@layer(
    "transpose",
    about="the last two dimensions of a sample change places",
    section="A matrix of each sample, turned: rows become columns.",
    outputs=_turned,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: 0,
    twin=Twin("Transpose"),
    inputs=(5, 3, 4),
)
class Transpose(Operation):
    """Y = Xᵀ for each sample; dL/dX = (dL/dY)ᵀ. Shapes: `(…, samples, n, m)` to `(…, m, n)`."""

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        if x.ndim < 3:
            raise ShapeError(f"{self}.forward: expects (…, samples, n, m), got {described(x)}")
        y = x.mT
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.recall(gradient)
        return gradient.mT
