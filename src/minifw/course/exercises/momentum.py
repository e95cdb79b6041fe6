"""A step with momentum

Gradient descent takes a step against the gradient g = dL/dw, as long as the learning rate η says:

    w <- w - η g

In a narrow valley this zigzags: the gradient points across the valley, from one wall to the other,
and hardly along it. *Momentum* remembers earlier gradients in a velocity v, like a ball that rolls:

    v <- μ v + g          then          w <- w - η v          v begins at 0;  μ, say 0.9

What points to and fro cancels in v, what always points the same way adds up. With a gradient that
stays the same, v grows to g (1 + μ + μ² + …) = g / (1 - μ): for μ = 0.9 ten times the step. So a
learning rate that was just right without momentum is too large with it. With μ = 0, v is g, and
this is plain gradient descent.

**By hand.** w = 1, η = 0.1, μ = 0.5; the gradients of three steps are 2, 2 and -1.

    step 1    v = 0.5 · 0   + 2 = 2        w = 1   - 0.1 · 2   = 0.8
    step 2    v = 0.5 · 2   + 2 = 3        w = 0.8 - 0.1 · 3   = 0.5
    step 3    v = 0.5 · 3   - 1 = 0.5      w = 0.5 - 0.1 · 0.5 = 0.45

In the third step the gradient has changed its sign, but the ball still rolls on, only slower.

**Other forms.** Some books write v <- μ v - η g, then w <- w + v. While η stays the same both
walk the same way. When η changes during training they differ: here a new η acts at once, there only
bit by bit. Others weigh the gradient too, v <- μ v + (1 - μ) g. We want the form above, PyTorch's.

**In place.** Weights are tensors that others hold too: the layer, the network. A step must change
the numbers *in* the tensor, not make a new tensor under the same name. `w -= …`, `w.sub_(…)`,
`v.mul_(…)` do that; `w = w - …` inside of a function changes a local name and nothing else. On the
other hand the gradient is not ours: nothing may be written on it.

**What usually goes wrong**

- `w = w - eta * v`: the caller's weight does not change at all.
- The weight moves first, with the old v, and v changes afterwards.
- v is overwritten, v = g, and nothing is remembered; or w moves by g and v is never used.
- w + η v: uphill.

Write `step`: change `w` and `v` in place; it returns nothing.
"""

from __future__ import annotations

from torch import Tensor


def step(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    """Take one step: change the weight `w` and the velocity `v` in place; `g` is the gradient."""
    # --- your code
    v.mul_(mu).add_(g)
    w.sub_(eta * v)
    # --- end


# --- checks

from collections.abc import Callable
from typing import Any

import torch

from minifw import nn
from minifw.course.variants import like
from minifw.nn.checks import check_equal

IN_MINIFW = nn.SGD.step

ETAS = 0.1, 0.1, 0.03, 0.2
MU = 0.6
Step = Callable[[Tensor, Tensor, Tensor, float, float], Any]


def _walked(step: Step, count: int, shape: tuple[int, ...] = (3, 2)) -> tuple[Tensor, ...]:
    """Return w, v and the last gradient after some steps with different learning rates."""
    generator = torch.Generator().manual_seed(5)
    w, *gradients = torch.randn(len(ETAS) + 1, *shape, generator=generator, dtype=torch.float64)
    w, v, g = w.clone(), torch.zeros_like(w), w
    for g, eta in zip(gradients[:count], ETAS, strict=False):
        step(w, g, v, eta, MU)
    return w, v, g


def _nothing(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    pass


def _velocity_only(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).add_(g)


def _uphill(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).add_(g)
    w.add_(eta * v)


def _weight_first(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    w.sub_(eta * v)
    v.mul_(mu).add_(g)


def _forgetful(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.copy_(g)
    w.sub_(eta * v)


def _plain(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    w.sub_(eta * g)


def _velocity_new(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    w.sub_(eta * (mu * v + g))


def _moves_by_gradient(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).add_(g)
    w.sub_(eta * g)


def _with_eta(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).add_(eta * g)
    w.sub_(v)


def _with_eta_below(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).sub_(eta * g)
    w.add_(v)


def _with_eta_twice(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).add_(eta * g)
    w.sub_(eta * v)


def _weighed(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).add_((1 - mu) * g)
    w.sub_(eta * v)


def _without_mu(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.add_(g)
    w.sub_(eta * v)


def _nesterov(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    v.mul_(mu).add_(g)
    w.sub_(eta * (g + mu * v))


MISTAKES: dict[str, Step] = {
    "nothing has changed in place: is it w = w - …, which makes a new tensor?": _nothing,
    "the velocity has changed, the weight not: is it w = w - …, a new tensor?": _velocity_only,
    "the velocity never changes: is it v = …, which makes a new tensor?": _velocity_new,
    "the sign is wrong: it goes uphill": _uphill,
    "the weight moves by the old velocity: first v, then w": _weight_first,
    "the velocity is overwritten by the gradient, so it remembers nothing": _forgetful,
    "it is plain gradient descent, without velocity": _plain,
    "the weight moves by the gradient, and must move by the velocity": _moves_by_gradient,
    "the learning rate is inside of the velocity, and must act on the step alone": _with_eta,
    "the learning rate is inside of the velocity, v <- μ v - η g": _with_eta_below,
    "the learning rate acts twice: in the velocity, and in the step": _with_eta_twice,
    "the gradient is weighed with 1 - μ": _weighed,
    "μ is missing: the velocity never slows down": _without_mu,
    "it is Nesterov's form, g + μ v": _nesterov,
}


def check_step(mine: Any) -> None:
    """Weight and velocity after one step and after four, with learning rates that change."""
    for count in 4, 1:
        found, right = _walked(mine.step, count), _walked(step, count)
        mistakes = like(
            found, {words: _walked(made, count) for words, made in MISTAKES.items()}, right
        )
        after = f"after {count} step{'s' * (count > 1)}"
        for place, name in (0, "the weight"), (1, "the velocity"):
            check_equal(f"{name} {after}", found[place], right[place], mistakes=mistakes[place])


def check_step_leaves_gradient(mine: Any) -> None:
    """The gradient is as it was; a single number and a stack work too."""
    for shape in (), (1,), (2, 3, 4):
        _, _, g = _walked(mine.step, 4, shape)
        _, _, right = _walked(step, 4, shape)
        check_equal("the gradient after a step, which must not be changed in place,", g, right)
        w, *_ = _walked(mine.step, 4, shape)
        check_equal(f"a weight of shape {shape} after 4 steps", w, _walked(step, 4, shape)[0])
