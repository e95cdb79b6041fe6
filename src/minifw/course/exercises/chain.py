"""The backward pass of a chain of layers

A network in its simplest form is a chain: the output of each layer is the input of the next.

    x ──> layer 1 ──h₁──> layer 2 ──h₂──> layer 3 ──> y ──> loss L

`forward` goes from the first to the last. The loss gives dL/dy. Now each layer can tell, from the
gradient of its own output, the gradient of its own input; and the input of layer 3 is the output of
layer 2. So the gradient walks back through the chain, from the last layer to the first:

    dL/dh₂ = layer3.backward(dL/dy)
    dL/dh₁ = layer2.backward(dL/dh₂)
    dL/dx  = layer1.backward(dL/dh₁)

That is the chain rule, and *backpropagation* is no more than this: each derivative is written once,
in the layer to which it belongs, and the chain only hands them on. On the way each layer adds the
gradients of its own weights to `weight_grad` and `bias_grad`.

**Why backwards?** The chain rule is a product of matrices (of derivatives), dL/dy · J₃ · J₂ · J₁.
Multiplied from the left it is always a vector times a matrix; multiplied from the right it would be
matrix times matrix, each as large as the square of a layer. With one loss and a million weights,
going backwards costs about two forward passes, and forwards a million.

**By hand.** Two layers of one number each, without bias: h = 2 x, then y = 3 h. With x = 5 we
have h = 10 and y = 30. Let dL/dy = 1.

    layer 2:  weight_grad = dL/dy · h = 10        returns dL/dh = 1 · 3 = 3
    layer 1:  weight_grad = dL/dh · x = 15        returns dL/dx = 3 · 2 = 6

Indeed y = 6 x. And if the weight of layer 1 grows from 2 to 2.1, y grows from 30 to 31.5: by
0.1 · 15.

**What each layer remembers.** `backward` of a layer needs what `forward` saw (x and h above), so
`forward` must have been called before, on this same input. Layers remember their latest call.

**What usually goes wrong**

- Going forwards through the layers, from the first. With layers of equal sizes nothing complains.
- Giving dL/dy to each layer, instead of what the layer behind it has returned.
- Stopping one layer too early: the first layer's weights never learn.
- Returning dL/dy as it was, not the gradient of the input.
- `modules.reverse()` turns round the list itself, which belongs to the network: the next forward
  pass then runs in the wrong order. `reversed(modules)` leaves it as it is.

Write `backward`: hand the gradient back through all modules and return dL/dx. Each module has the
method `backward(gradient)`.
"""

from __future__ import annotations

from torch import Tensor

from minifw import nn


def forward(modules: list[nn.Module], x: Tensor) -> Tensor:
    """Return the output of a chain of modules, from the first to the last."""
    for module in modules:
        x = module.forward(x)
    return x


def backward(modules: list[nn.Module], gradient: Tensor) -> Tensor:
    """Take dL/d(output) of the chain, call `backward` of each module, return dL/d(input)."""
    # --- your code
    for module in reversed(modules):
        gradient = module.backward(gradient)
    return gradient
    # --- end


# --- checks

from collections.abc import Callable
from typing import Any

import torch

from minifw.errors import CheckError
from minifw.nn.checks import check_equal
from minifw.nn.variables import Record

IN_MINIFW = (Record.back,)

Backward = Callable[[list[nn.Module], Tensor], Tensor]


def _modules(sizes: tuple[int, ...]) -> list[nn.Module]:
    generators = [torch.Generator().manual_seed(n) for n in range(len(sizes))]
    modules: list[nn.Module] = []
    for here, there, generator in zip(sizes, sizes[1:], generators, strict=False):
        linear = nn.Linear(here, there, bias=False, dtype=torch.float64)
        linear.weight.copy_(torch.randn(there, here, generator=generator, dtype=torch.float64))
        modules += [linear, nn.Tanh()]
    return modules[:-1]


def _gradients(backward: Backward, sizes: tuple[int, ...]) -> dict[str, Tensor]:
    """Return all gradients, by name, with one pass of this backward."""
    modules = _modules(sizes)
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(5, sizes[0], generator=generator, dtype=torch.float64)
    y = forward(modules, x)
    incoming = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    before, order = incoming.clone(), list(modules)
    returned = backward(modules, incoming)
    if any(a is not b for a, b in zip(modules, order, strict=True)):
        raise CheckError("backward must not turn round the list of modules itself; use reversed()")
    check_equal("dL/dy after backward, which must not be changed,", incoming, before)
    found = {
        f"the gradient of the weight of module {place} (of 0 to {len(modules) - 1})":
            module.weight_grad
        for place, module in enumerate(modules)
        if isinstance(module, nn.Linear)
    }  # fmt: skip
    return {"what backward returns": returned} | dict(reversed(found.items()))


def _forwards(modules: list[nn.Module], gradient: Tensor) -> Tensor:
    for module in modules:
        gradient = module.backward(gradient)
    return gradient


def _same_for_all(modules: list[nn.Module], gradient: Tensor) -> Tensor:
    last = gradient
    for module in reversed(modules):
        last = module.backward(gradient)
    return last


def _without_first(modules: list[nn.Module], gradient: Tensor) -> Tensor:
    return backward(modules[1:], gradient)


def _without_last(modules: list[nn.Module], gradient: Tensor) -> Tensor:
    return backward(modules[:-1], gradient)


def _returns_given(modules: list[nn.Module], gradient: Tensor) -> Tensor:
    backward(modules, gradient)
    return gradient


MISTAKES: dict[str, Backward] = {
    "the modules are gone through forwards, from the first to the last": _forwards,
    "each module was given dL/dy, and not what the one behind it returned": _same_for_all,
    "the first module is left out": _without_first,
    "the last module is left out": _without_last,
    "it is dL/dy as it came, and not the gradient of the input": _returns_given,
}


def check_backward(mine: Any) -> None:
    """Every gradient is that of our backward pass; first for layers of one size, then for any."""
    for sizes in (3, 3, 3, 3), (3, 3), (4, 3, 5, 2):
        right = _gradients(backward, sizes)
        wrong = {}
        if len(set(sizes)) == 1 and len(sizes) > 2:
            wrong = {words: _gradients(made, sizes) for words, made in MISTAKES.items()}
        for name, gradient in _gradients(mine.backward, sizes).items():
            mistakes = {
                words: gradients[name]
                for words, gradients in wrong.items()
                if not torch.equal(gradients[name], right[name])
            }
            check_equal(name, gradient, right[name], mistakes=mistakes)
