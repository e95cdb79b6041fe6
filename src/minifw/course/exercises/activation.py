"""The derivatives of ReLU and tanh

An activation function works on each number alone: y = σ(x), for a tensor of any shape. Without one
between them, two linear layers are no more than one, since a product of matrices is a matrix.

    ReLU    y = max(0, x)
    tanh    y = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)          between -1 and 1

Each number of x reaches one number of y, so the chain rule has one path, and no sum:

    dL/dx = dL/dy ⊙ σ'(x)                          ⊙: number by number

`gradient` is dL/dy, of the shape of y; the result is dL/dx, of the shape of x, which is the same.

**ReLU** has the slope 1 where x > 0, and 0 where x < 0: it lets the gradient pass or stops it. At
x = 0 it has no derivative; by convention one takes 0, as PyTorch does. Whether x > 0 can be seen
from y as well: y > 0 there, and nowhere else.

**tanh.** Write t = u / v with u = eˣ - e⁻ˣ and v = eˣ + e⁻ˣ. Then u' = v and v' = u, and by the
rule for quotients

    t' = (u' v - u v') / v² = (v² - u²) / v² = 1 - t²

So the derivative follows from the result: σ'(x) = 1 - y². This is why `forward` remembers y. It
is 1 at most, at x = 0, and almost 0 where |x| is large: there the gradient vanishes.

**By hand.** With x = [-1, 2] and dL/dy = [10, 10]:

    ReLU    y = [0, 2]                 σ' = [0, 1]            dL/dx = [0, 10]
    tanh    y = [-0.762, 0.964]        σ' = [0.420, 0.071]    dL/dx = [4.20, 0.71]

**Check it with numbers.** The derivative is about (σ(x + h) - σ(x - h)) / 2h for a small h. At
x = 2 and h = 0.001, tanh gives (0.964098 - 0.963957) / 0.002 = 0.0707. Whoever writes a derivative
by hand does this, and so does the command that grades this file.

**What usually goes wrong**

- The derivative is forgotten, and dL/dy handed on as it came; or it is returned alone, and dL/dy
  forgotten.
- 1 - x² for 1 - y²: the formula wants the result, not the input.
- dL/dy is changed in place, as by `gradient[x < 0] = 0`. It belongs to whoever called `backward`,
  and the layer above may still need it. `torch.where`, or a product, makes a new tensor.
- ReLU's condition looks at the gradient (`gradient > 0`) and not at x.

Write `ReLU.backward` and `Tanh.backward`. Both find x and y in what `forward` has remembered.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minifw import nn


class ReLU(nn.Module):
    """y = max(0, x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return y, and remember x and y for `backward`."""
        y = x.clamp(min=0)
        self.remember((x,), (y,), saved=(x, y))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        """Take dL/dy, return dL/dx."""
        x, y = self.recall(gradient).saved
        # --- your code
        return torch.where(x > 0, gradient, 0)
        # --- end


class Tanh(nn.Module):
    """y = tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        """Return y, and remember x and y for `backward`."""
        y = torch.tanh(x)
        self.remember((x,), (y,), saved=(x, y))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        """Take dL/dy, return dL/dx."""
        x, y = self.recall(gradient).saved
        # --- your code
        return gradient * (1 - y * y)
        # --- end


# --- checks

from collections.abc import Callable
from typing import Any

from minifw.nn.checks import check_module

IN_MINIFW = nn.ReLU, nn.Tanh

SHAPES = [(5, 4)], [(1, 3)], [(2, 3, 4)]


def _module(module: type[nn.Module], wrong: Callable[..., Tensor]) -> Callable[[Any], nn.Module]:
    def backward(self: nn.Module, gradient: Tensor) -> Tensor:
        x, y = self.recall(gradient).saved
        return wrong(x, y, gradient)

    return lambda stack: type(module.__name__, (module,), {"backward": backward})()


OF_RELU = {
    "the condition is on the gradient, and must be on x": lambda x, y, g: g.clamp(min=0),
    "it is that where x < 0, and must be that where x > 0": lambda x, y, g: torch.where(
        x < 0, g, 0
    ),
    "it is multiplied by y, where the slope is 1": lambda x, y, g: g * y,
}
OF_TANH = {
    "it is 1 - x², and must be 1 - y²: the derivative follows from the result": (
        lambda x, y, g: g * (1 - x * x)
    ),
    "it is 1 - y, and must be 1 - y²": lambda x, y, g: g * (1 - y),
    "it is y (1 - y), the derivative of the sigmoid": lambda x, y, g: g * y * (1 - y),
    "it is 1 + y², and must be 1 - y²: a sign is wrong": lambda x, y, g: g * (1 + y * y),
}


def check_relu(mine: Any) -> None:
    """All that minifw claims of its own modules."""
    mistakes = {words: _module(ReLU, wrong) for words, wrong in OF_RELU.items()}
    for shape in SHAPES:
        check_module(lambda stack: mine.ReLU(), shape, mistakes=mistakes)


def check_relu_at_zero(mine: Any) -> None:
    """The gradient is 0 where x is 0."""
    relu = mine.ReLU()
    relu.forward(torch.zeros(2, 3))
    assert not relu.backward(torch.ones(2, 3)).any(), "ReLU(): the gradient at x = 0 must be 0"


def check_tanh(mine: Any) -> None:
    """All that minifw claims of its own modules."""
    mistakes = {words: _module(Tanh, wrong) for words, wrong in OF_TANH.items()}
    for shape in SHAPES:
        check_module(lambda stack: mine.Tanh(), shape, mistakes=mistakes)
