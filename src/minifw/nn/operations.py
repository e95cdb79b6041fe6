"""Modules without parameters that join, scale and take apart tensors: sums, products, slices.

They are what the operators of variables call: `a + b` is `Add()(a, b)`, `x[..., :2]` is a `Slice`.
Tensors that meet have one shape and dtype: nothing is broadcast, which would hide mistakes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.buffers import buffer, product, zeros
from minifw.nn.module import Module, described
from minifw.nn.registry import Shape, Twin, layer

__all__ = [
    "Add",
    "Concat",
    "Divide",
    "MatMul",
    "Multiply",
    "Negate",
    "Operation",
    "Reciprocal",
    "Scale",
    "Shift",
    "Slice",
    "Subtract",
    "Transpose",
]


class Operation(Module):
    """An operator on variables; it has no parameters and need not be registered."""

    def check_alike(self, *inputs: Tensor, least: int = 2) -> None:
        """Raise unless there are enough inputs, all of one shape and dtype."""
        if len(inputs) < least:
            raise ShapeError(f"{self}.forward: expects {least} or more inputs, got {len(inputs)}")
        first = inputs[0]
        self.check_floating(first)
        for other in inputs[1:]:
            if not isinstance(other, Tensor) or (other.shape, other.dtype) != (
                first.shape, first.dtype,
            ):  # fmt: skip
                raise ShapeError(
                    f"{self}.forward: expects tensors of one shape and dtype, got "
                    f"{' and '.join(map(described, inputs))}"
                )


def _alike(word: str, inputs: Sequence[Shape]) -> Shape:
    """Return the shape of a sample that all inputs have.

    Raises:
        ModuleError: they differ, or there is only one.

    """
    if len(inputs) < 2 or len({*inputs}) > 1:
        came = " and ".join("x".join(map(str, shape)) for shape in inputs)
        raise ModuleError(f"{word}: expects two or more inputs of one shape, got {came}")
    return inputs[0]


@layer(
    "add",
    about="a + b + …, number by number",
    section="The sum of the layers in `from`.",
    outputs=lambda inputs, keys: _alike("add", inputs),
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: (len(inputs) - 1) * math.prod(inputs[0]),
    several=True,
    inferred={},
    twin=Twin("Add"),
    inputs=((5, 4), (5, 4)),
)
class Add(Operation):
    """y = a + b + …; dL/da = dL/db = … = dL/dy. Any shape, the same for all inputs and y."""

    def forward(self, *inputs: Tensor) -> Tensor:
        self.check_alike(*inputs)
        y = torch.add(inputs[0], inputs[1], out=buffer(inputs[0]))
        for other in inputs[2:]:
            y.add_(other)
        self.remember(inputs, (y,))
        return y

    def backward(self, gradient: Tensor) -> tuple[Tensor, ...]:
        return (gradient,) * len(self.recall(gradient).inputs)


class Subtract(Operation):
    """y = a - b; dL/da = dL/dy, dL/db = -dL/dy. Any shape, the same for a, b and y."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        self.check_alike(a, b)
        y = torch.sub(a, b, out=buffer(a))
        self.remember((a, b), (y,))
        return y

    def backward(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        self.recall(gradient)
        return gradient, torch.neg(gradient, out=buffer(gradient))


class Multiply(Operation):
    """y = a ⊙ b ⊙ …, number by number; dL/da = dL/dy ⊙ b ⊙ …: the product of the others.

    Any shape, the same for all inputs and y.
    """

    def forward(self, *inputs: Tensor) -> Tensor:
        self.check_alike(*inputs)
        y = _product(*inputs)
        self.remember(inputs, (y,))
        return y

    def backward(self, gradient: Tensor) -> tuple[Tensor, ...]:
        inputs = self.recall(gradient).inputs
        return tuple(_product(gradient, *inputs[:k], *inputs[k + 1 :]) for k in range(len(inputs)))


def _product(first: Tensor, second: Tensor, *others: Tensor) -> Tensor:
    """Return the product of tensors of one shape, number by number."""
    y = torch.mul(first, second, out=buffer(first))
    for other in others:
        y.mul_(other)
    return y


class Divide(Operation):
    """y = a / b, number by number; dL/da = dL/dy / b, dL/db = -y dL/dy / b.

    Any shape, the same for a, b and y.
    """

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        self.check_alike(a, b)
        y = torch.div(a, b, out=buffer(a))
        self.remember((a, b), (y,))
        return y

    def backward(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        call = self.recall(gradient)
        (_, b), (y,) = call.inputs, call.outputs or ()
        of_a = torch.div(gradient, b, out=buffer(b))
        return of_a, torch.mul(of_a, y, out=buffer(b)).neg_()


class Negate(Operation):
    """y = -x; dL/dx = -dL/dy. Any shape, kept."""

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        y = torch.neg(x, out=buffer(x))
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.recall(gradient)
        return torch.neg(gradient, out=buffer(gradient))


class Reciprocal(Operation):
    """y = 1 / x; dL/dx = -y² dL/dy. Any shape, kept."""

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        y = torch.reciprocal(x, out=buffer(x))
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (y,) = self.recall(gradient).outputs or ()
        return torch.mul(y, y, out=buffer(y)).neg_().mul_(gradient)


class Scale(Operation):
    """y = c x with a number c; dL/dx = c dL/dy. Any shape, kept."""

    def __init__(self, factor: float) -> None:
        self.factor = _number(self, factor)

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        y = torch.mul(x, self.factor, out=buffer(x))
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.recall(gradient)
        return torch.mul(gradient, self.factor, out=buffer(gradient))

    def __repr__(self) -> str:
        return f"Scale({self.factor})"


class Shift(Operation):
    """y = x + c with a number c; dL/dx = dL/dy. Any shape, kept."""

    def __init__(self, by: float) -> None:
        self.by = _number(self, by)

    def forward(self, x: Tensor) -> Tensor:
        self.check_floating(x)
        y = torch.add(x, self.by, out=buffer(x))
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.recall(gradient)
        return gradient

    def __repr__(self) -> str:
        return f"Shift({self.by})"


def _number(module: Module, value: Any) -> float:
    """Return a finite number, as it came."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ModuleError(f"{type(module).__name__}: expects a finite number, got {value!r}")
    number: float = value
    return number


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

    def __init__(self, dim: int = 0, *, sample_dims: int = 1) -> None:
        self.dim, self.sample_dims = dim, sample_dims
        self.place = _from_end(self, dim, sample_dims)

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
        return gradient.split([x.shape[self.place] for x in inputs], self.place)

    def __repr__(self) -> str:
        return f"Concat({self.dim})"


def _without(shape: Sequence[int], place: int) -> tuple[int, ...]:
    """Return a shape without the dimension at a place that counts from the end."""
    place += len(shape)
    return (*shape[:place], *shape[place + 1 :])


def _from_end(module: Module, dim: int, sample_dims: int) -> int:
    """Return a dimension of a sample as one that counts from the end: -1 is the last."""
    numbers = (dim, sample_dims)
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers) or (
        dim >= max(1, sample_dims)
    ):  # fmt: skip
        raise ShapeError(
            f"{type(module).__name__}: dim must be a dimension of a sample, below {sample_dims}, "
            f"got {dim!r}; sample_dims says how many a sample has, and -1 is the last"
        )
    return dim if dim < 0 else dim - sample_dims


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
        self, start: int = 0, stop: int | None = None, dim: int = 0, *, sample_dims: int = 1
    ) -> None:
        self.start, self.stop, self.dim, self.sample_dims = start, stop, dim, sample_dims
        place = _from_end(self, dim, sample_dims)
        self.index = (..., slice(start, stop), *[slice(None)] * (-1 - place))

    @classmethod
    def at(cls, index: Any) -> Slice:
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
            words.append("..." if one is ... else str(one))
    return ", ".join(words)


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
