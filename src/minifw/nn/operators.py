"""What the operators on variables do: a module for each, for two variables or one and a number."""

from __future__ import annotations

import math
from typing import Any

from minifw.errors import ModuleError
from minifw.nn import operations, parts
from minifw.nn.module import described
from minifw.nn.variables import Variable


def add(x: Variable, other: Any, turned: bool) -> Any:
    """Return x + other."""
    if is_number(other):
        return operations.Shift(other)(x)
    return operations.Add()(x, needs_variable("+", other))


def subtract(x: Variable, other: Any, turned: bool) -> Any:
    """Return x - other, or other - x if `turned`."""
    if is_number(other):
        return operations.Shift(other)(-x) if turned else operations.Shift(-other)(x)
    return operations.Subtract()(x, needs_variable("-", other))


def multiply(x: Variable, other: Any, turned: bool) -> Any:
    """Return x * other."""
    if is_number(other):
        return operations.Scale(other)(x)
    return operations.Multiply()(x, needs_variable("*", other))


def divide(x: Variable, other: Any, turned: bool) -> Any:
    """Return x / other, or other / x if `turned`."""
    if is_number(other):
        if turned:
            return multiply(operations.Reciprocal()(x), other, turned=False)
        if other == 0:
            raise ModuleError("a variable cannot be divided by 0")
        return operations.Scale(1 / other)(x)
    return operations.Divide()(x, needs_variable("/", other))


def matmul(x: Variable, other: Any, turned: bool) -> Any:
    """Return x @ other."""
    return parts.MatMul()(x, needs_variable("@", other))


def part(x: Variable, index: Any, turned: bool) -> Any:
    """Return x[index]."""
    return parts.Slice.of(index)(x)


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, which an operator may take."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if not math.isfinite(value):
        raise ModuleError(f"an operator on variables takes finite numbers, got {value!r}")
    return True


def needs_variable(operator: str, other: Any) -> Variable:
    """Return a variable as it is.

    Raises:
        ModuleError: it is something else, such as a tensor.

    """
    if isinstance(other, Variable):
        return other
    raise ModuleError(
        f"{operator}: expects variables or numbers, got {described(other)}; a constant tensor "
        "belongs into a module, as register_buffer"
    )
