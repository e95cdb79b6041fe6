"""Arithmetic of tensors, number by number, as modules: sums, products, quotients.

They are what the operators of variables call: `a + b` is `Add()(a, b)`, `2 * x` is `Scale(2)(x)`.
Tensors that meet have one shape and dtype: nothing is broadcast, which would hide mistakes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor

from minifw.errors import ModuleError, ShapeError
from minifw.nn.buffers import buffer
from minifw.nn.module import Module, described
from minifw.nn.registry import Key, Keys, Shape, Twin, layer

__all__ = [
    "Add",
    "Divide",
    "Multiply",
    "Negate",
    "Operation",
    "Reciprocal",
    "Scale",
    "Shift",
    "Subtract",
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


def in_words(shapes: Sequence[Shape]) -> str:
    """Return the shapes of samples as people write them, `3x8x8 and 25`."""
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def _alike(word: str, most: int = 1000) -> Callable[[Sequence[Shape], Keys], Shape]:
    """Return the function of a declaration that checks that all inputs have one shape."""

    def outputs(inputs: Sequence[Shape], keys: Keys) -> Shape:
        if not 2 <= len(inputs) <= most or len({*inputs}) > 1:
            count = "two" if most == 2 else "two or more"
            raise ModuleError(
                f"{word}: expects {count} inputs of one shape, got {in_words(inputs)}"
            )
        return inputs[0]

    return outputs


joining = partial(
    layer,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: (len(inputs) - 1) * math.prod(inputs[0]),
    several=True,
    inferred={},
    inputs=((5, 4), (5, 4)),
)
"""Declares an operation on several inputs of one shape, number by number."""

alone = partial(
    layer,
    outputs=lambda inputs, keys: inputs,
    parameters=lambda inputs, keys: 0,
    operations=lambda inputs, keys: math.prod(inputs),
)
"""Declares an operation on each number of one input."""


@joining(
    "add",
    about="a + b + …, number by number",
    section="The sum of the layers in `from`.",
    outputs=_alike("add"),
    twin=Twin("Add"),
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


@joining(
    "subtract",
    about="a - b, number by number",
    section="The first layer in `from`, less the second.",
    outputs=_alike("subtract", 2),
    twin=Twin("Subtract"),
)
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


@joining(
    "multiply",
    about="a b …, number by number",
    section="The product of the layers in `from`, number by number.",
    outputs=_alike("multiply"),
    twin=Twin("Multiply"),
)
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


@joining(
    "divide",
    about="a / b, number by number",
    section="The first layer in `from`, divided by the second.",
    outputs=_alike("divide", 2),
    twin=Twin("Divide"),
)
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


@alone("negate", about="-x", section="Each number with the other sign.", twin=Twin("Negate"))
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


@alone("reciprocal", about="1 / x", section="One divided by each number.", twin=Twin("Reciprocal"))
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


@alone(
    "scale",
    about="each number times a constant",
    section="Each number times a constant.",
    short="factor",
    twin=Twin("Scale", factor="factor"),
    case={"factor": -1.5},
)
class Scale(Operation):
    """y = c x with a number c; dL/dx = c dL/dy. Any shape, kept."""

    def __init__(self, factor: Annotated[float, Key("the constant")]) -> None:
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


@alone(
    "shift",
    about="each number plus a constant",
    section="Each number plus a constant.",
    short="by",
    twin=Twin("Shift", by="by"),
    case={"by": 0.25},
)
class Shift(Operation):
    """y = x + c with a number c; dL/dx = dL/dy. Any shape, kept."""

    def __init__(self, by: Annotated[float, Key("the constant")]) -> None:
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
