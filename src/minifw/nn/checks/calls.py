"""Calls of a module that is checked: what goes in is copied, and what comes out is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Module
from minifw.nn.module import as_tuple

Stack = tuple[int, ...]


def normal(shape: Stack, seed: int) -> Tensor:
    """Return normal numbers, the same for the same shape and seed."""
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def given(shape: Stack | Tensor, stack: Stack, seed: int) -> Tensor:
    """Return normal numbers or the given tensor, different for each network of a stack."""
    if not isinstance(shape, Tensor):
        return normal((*stack, *shape), seed)
    tensor = shape.double() if shape.is_floating_point() else shape
    count = int(np.prod(stack))  # each network has the samples in a different order
    lanes = [tensor.roll(k, 0) if tensor.ndim else tensor for k in range(count)]
    return torch.stack(lanes).reshape(*stack, *tensor.shape)


# Inputs and outputs of modules are copied, so that a module that changes its input fails only the
# claim about that. States are put back after each forward, so that the next one draws the same
# random numbers.


@contextmanager
def states_again(module: Module) -> Iterator[None]:
    """After this block a module's states are as they were before."""
    before = [(value, value.clone()) for _, value in module.states()]
    try:
        yield
    finally:
        for value, old in before:
            value.copy_(old)


def copy_of(module: Module, values: Sequence[Tensor], dtype: torch.dtype) -> Module:
    """Return a copy of a module with other parameters, and with copies of its states."""
    return module.with_parameters(
        values, [value.to(dtype, copy=True) for _, value in module.states()]
    )


def forward_of(module: Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the outputs for these inputs."""
    with states_again(module):
        outputs = as_tuple(module.forward(*(x.clone() for x in inputs)))
    for output in outputs:
        if not isinstance(output, Tensor):
            raise CheckError(
                f"{module}: forward must return a tensor, or a tuple of tensors, "
                f"got {type(output).__name__}"
            )
    return tuple(output.clone() for output in outputs)


def weights_of(outputs: Sequence[Tensor], seed: int = 3) -> list[Tensor]:
    """Return a gradient for each output."""
    return [
        normal(tuple(output.shape), seed + 10 * place).to(output.dtype)
        for place, output in enumerate(outputs)
    ]


def backward_of(module: Module, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the gradients of the inputs for those of the outputs."""
    returned = as_tuple(module.backward(*(weight.clone() for weight in weights)))
    if not all(isinstance(gradient, Tensor) for gradient in returned):
        raise CheckError(
            f"{module}: backward must return a tensor for each input, "
            f"got {', '.join(type(gradient).__name__ for gradient in returned)}"
        )
    return tuple(gradient.clone() for gradient in returned)


def checked_returned(
    module: Module, inputs: Sequence[Tensor], returned: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Check that `backward` returned one gradient for each input, of its shape."""
    if len(returned) != len(inputs):
        raise CheckError(
            f"{module}: backward must return {len(inputs)} gradient(s), one for each input, "
            f"got {len(returned)}"
        )
    names = names_of("input", len(inputs))
    for name, x, gradient in zip(names, inputs, returned, strict=True):
        if gradient.shape != x.shape:
            turned = x.ndim > 1 and gradient.shape == x.mT.shape
            raise CheckError(
                f"{module}: the gradient of {name} must have its shape {tuple(x.shape)}, got "
                f"{tuple(gradient.shape)}{': it is transposed' if turned else ''}"
            )
        if x.is_floating_point() and gradient.dtype != x.dtype:
            raise CheckError(
                f"{module}: the gradient of {name} must be of {x.dtype}, as it is, got "
                f"{gradient.dtype}; tensors that backward makes need dtype=x.dtype"
            )
    return returned


def clear(module: Module) -> None:
    """Set the gradients to zero, without `reset_gradient`, for which there is a claim."""
    for _, _, gradient in module.parameters():
        gradient.zero_()


def gradients_of(module: Module) -> list[Tensor]:
    """Return the gradients of the parameters."""
    return [gradient.clone() for _, _, gradient in module.parameters()]


def states_of(module: Module) -> list[Tensor]:
    """Return the states."""
    return [value.clone() for _, value in module.states()]


def moved(module: Module, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the states after another `forward`, by their names in messages."""
    module.forward(*inputs)
    return {f"'{name}' after forward": value.clone() for name, value in module.states()}


def results_of(
    module: Module, outputs: Sequence[Tensor], returned: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return outputs and gradients of inputs and parameters, by their names in messages."""
    inputs = names_of("input", len(returned))
    return {
        **dict(zip(names_of("output", len(outputs)), outputs, strict=True)),
        **{f"the gradient of {name}": x for name, x in zip(inputs, returned, strict=True)},
        **{f"the gradient of '{name}'": x.clone() for name, _, x in module.parameters()},
    }


def names_of(word: str, count: int) -> list[str]:
    """Return "the input", or "input 0", "input 1" where there are several."""
    return [f"the {word}"] if count == 1 else [f"{word} {place}" for place in range(count)]
