"""One weight in two places: gradients add

A module may stand in several places of a network: the same filter on the left and the right image,
the same step of a recurrent network at each time. It has one weight, and what that weight does to
the loss it does on several paths. The chain rule sums over all paths from a number to the loss:

    dL/dW = (dL/dW on the path of the first use) + (dL/dW on the path of the second use)

Here the layer is used twice, one after the other. G is dL/dy, the gradient that comes in.

    a = x Wᵀ          h = tanh(a)          b = h Wᵀ          y = tanh(b)

W is square: as many outputs as inputs. We go backwards and note what each step needs. Recall the
linear layer (dL/dW = Gᵀ x and dL/dx = G W) and tanh (dL/dx = dL/dy ⊙ (1 - y²)):

    dL/db = G ⊙ (1 - y²)
    second use    dL/dW₂ = (dL/db)ᵀ h          dL/dh = dL/db W
    dL/da = dL/dh ⊙ (1 - h²)
    first use     dL/dW₁ = (dL/da)ᵀ x          dL/dx = dL/da W

and dL/dW = dL/dW₁ + dL/dW₂. Each use needs its own input: the first x, the second h.

**By hand.** Without tanh, with numbers: h = w x, y = w h, so y = w² x. With w = 3, x = 2: h = 6,
y = 18; let dL/dy = 1. The second use gives dL/dy · h = 6 and hands back dL/dh = 3; the first gives
dL/dh · x = 6. Together 12, and indeed d(w² x)/dw = 2 w x = 12.

**Why backward adds.** A framework calls `backward` of the layer once for each use. If it wrote
`weight_grad = …`, the second call would wipe out the first. With `+=` the sum comes by itself, and
whoever trains sets the gradient to zero before each step. So never assign a gradient.

**What belongs to the call.** If a layer keeps its input in `self.x`, the second call of `forward`
overwrites what the first one will need. In minifw `remember` keeps it with the call. Here all is in
one module, and `forward` remembers x, h and y together.

**What usually goes wrong**

- One of the two gradients is lost: `=` for `+=`, or the first use is forgotten.
- Both uses take the same input (x twice, or h twice).
- (1 - h²) between the two uses is forgotten.
- dL/dy is changed in place on the way: `gradient *= 1 - y * y`.

Write `backward`: add dL/dW to `self.weight_grad`, and return dL/dx.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minifw import nn


class Twice(nn.Module):
    """h = tanh(x Wᵀ), y = tanh(h Wᵀ): one weight, used twice."""

    def __init__(
        self, size: int, stack: tuple[int, ...] = (), dtype: torch.dtype = torch.float32
    ) -> None:
        self.register_parameter("weight", torch.randn(*stack, size, size, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return y `(…, samples, size)`, and remember x, h and y."""
        h = torch.tanh(x @ self.weight.mT)
        y = torch.tanh(h @ self.weight.mT)
        self.remember((x,), (y,), saved=(x, h, y))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        """Take dL/dy, add dL/dW to `self.weight_grad`, return dL/dx."""
        x, h, y = self.recall(gradient).saved
        # --- your code
        of_b = gradient * (1 - y * y)
        self.weight_grad += of_b.mT @ h
        of_a = (of_b @ self.weight) * (1 - h * h)
        self.weight_grad += of_a.mT @ x
        return of_a @ self.weight
        # --- end


# --- checks

from collections.abc import Callable
from typing import Any

from minifw.course.variants import maker, with_mistakes
from minifw.nn.checks import check_module
from minifw.nn.variables import Record

IN_MINIFW = (Record.back,)

Steps = Callable[[Any, Tensor, Tensor, Tensor, Tensor], Tensor]


def _backward(wrong: Steps) -> Callable[[Any, Tensor], Tensor]:
    def backward(self: Any, gradient: Tensor) -> Tensor:
        return wrong(self, gradient, *self.recall(gradient).saved)

    return backward


def _first_only(self: Any, g: Tensor, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
    of_a = ((g * (1 - y * y)) @ self.weight) * (1 - h * h)
    self.weight_grad += of_a.mT @ x
    return of_a @ self.weight


def _second_only(self: Any, g: Tensor, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
    of_b = g * (1 - y * y)
    self.weight_grad += of_b.mT @ h
    return ((of_b @ self.weight) * (1 - h * h)) @ self.weight


def _x_twice(self: Any, g: Tensor, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
    self.weight_grad += (g * (1 - y * y)).mT @ x
    return _first_only(self, g, x, h, y)


def _h_twice(self: Any, g: Tensor, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
    of_a = ((g * (1 - y * y)) @ self.weight) * (1 - h * h)
    self.weight_grad += (g * (1 - y * y)).mT @ h + of_a.mT @ h
    return of_a @ self.weight


def _without_middle(self: Any, g: Tensor, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
    of_b = g * (1 - y * y)
    of_a = of_b @ self.weight
    self.weight_grad += of_b.mT @ h + of_a.mT @ x
    return of_a @ self.weight


def _without_last(self: Any, g: Tensor, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
    of_a = (g @ self.weight) * (1 - h * h)
    self.weight_grad += g.mT @ h + of_a.mT @ x
    return of_a @ self.weight


def _without_second_weight(self: Any, g: Tensor, x: Tensor, h: Tensor, y: Tensor) -> Tensor:
    return (g * (1 - y * y)) @ self.weight * (1 - h * h)


MISTAKES: dict[str, Steps] = {
    "it is the gradient of the first use alone: that of the second is missing": _first_only,
    "it is the gradient of the second use alone: that of the first is missing": _second_only,
    "the second use is given x, the input of the first": _x_twice,
    "the first use is given h, the input of the second": _h_twice,
    "the derivative of the tanh between both uses, 1 - h², is missing": _without_middle,
    "the derivative of the last tanh, 1 - y², is missing": _without_last,
    "the last step back, through the weight to x, is missing": _without_second_weight,
}


def check_backward(mine: Any) -> None:
    """All that minifw claims of its own modules."""
    wrong = {words: _backward(steps) for words, steps in MISTAKES.items()}
    for size, samples in (3, 5), (4, 1):
        check_module(
            maker(mine.Twice, size),
            [(samples, size)],
            mistakes=with_mistakes(Twice, "backward", wrong, size),
        )
