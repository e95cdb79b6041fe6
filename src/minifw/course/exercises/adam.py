"""A step of Adam

Weights differ in how large their gradients are: one learning rate is too large for some and too
small for others. Adam (Kingma and Ba, 2015) measures the size of each weight's own gradients and
divides by it. It keeps two moving averages for each number of the weight, both 0 at first:

    m <- β₁ m + (1 - β₁) g            of the gradient, β₁ = 0.9
    v <- β₂ v + (1 - β₂) g²           of its square, β₂ = 0.999;  g² number by number

**Bias correction.** Both begin at 0 and are too small at first. After one step m is (1 - β₁) g,
a tenth of g. After t steps with the same g, m = (1 - β₁ᵗ) g, since 1 - β₁ᵗ is the sum of the
weights (1 - β₁)(1 + β₁ + … + β₁ᵗ⁻¹). Divide by it, and the average is right from the first step:

    m̂ = m / (1 - β₁ᵗ)          v̂ = v / (1 - β₂ᵗ)          t = 1, 2, 3, … counts the steps

m and v themselves are kept without the correction.

**The step.**

    w <- w - η m̂ / (√v̂ + ε)

√v̂ is the size of the gradient, so m̂ / √v̂ is about -1 to 1: a weight moves by η at most, however
large or small its gradient is. ε = 10⁻⁸ keeps the division from 0/0; it stands outside of the root,
added to √v̂.

**By hand.** First step, t = 1: m̂ = g and v̂ = g², so the step is η g / (|g| + ε) ≈ η · sign(g).
With w = 1, g = 4, η = 0.1:

    m = 0.1 · 4 = 0.4          m̂ = 0.4 / (1 - 0.9) = 4
    v = 0.001 · 16 = 0.016     v̂ = 0.016 / (1 - 0.999) = 16         w = 1 - 0.1 · 4 / 4 = 0.9

Without the correction it would be 0.1 · 0.4 / √0.016 = 0.316: three times too far, since v is far
smaller, for its β, than m.

**What usually goes wrong**

- No bias correction, or of m alone. It learns all the same, but the first steps are too long.
- ε inside of the root, √(v̂ + ε): for small gradients that is 10⁻⁴ and not 10⁻⁸.
- The root is forgotten, or g is not squared.
- β₁ and β₂ exchanged; t begins at 0, and 1 - β⁰ = 0 divides by zero. Here t is given, from 1.
- The corrected m̂ is written back into m.
- `w = w - …` makes a new tensor; the caller's weight does not change. The gradient `g` is not ours.

Write `step`: change `w`, `m` and `v` in place; it returns nothing.
"""

from __future__ import annotations

from torch import Tensor


def step(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    t: int,
    eta: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """Take step t = 1, 2, …: change the weight `w` and the averages `m` and `v` in place."""
    # --- your code
    m.mul_(beta1).add_((1 - beta1) * g)
    v.mul_(beta2).add_((1 - beta2) * g * g)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    w.sub_(eta * m_hat / (v_hat.sqrt() + eps))
    # --- end


# --- checks

from collections.abc import Callable
from typing import Any

import torch

from minifw import nn
from minifw.course.variants import like
from minifw.nn.checks import check_equal

IN_MINIFW = nn.Adam.descend

ETAS = 0.1, 0.05, 0.2
B1, B2, EPS = 0.8, 0.95, 0.01
Step = Callable[..., Any]


def _walked(step: Step, count: int, shape: tuple[int, ...] = (3, 2)) -> tuple[Tensor, ...]:
    """Return w, m, v and the last gradient after some steps."""
    generator = torch.Generator().manual_seed(6)
    w, *gradients = torch.randn(len(ETAS) + 1, *shape, generator=generator, dtype=torch.float64)
    w, m, v, g = w.clone(), torch.zeros_like(w), torch.zeros_like(w), w
    for t, (g, eta) in enumerate(zip(gradients[:count], ETAS, strict=False), 1):
        step(w, g, m, v, t, eta, B1, B2, EPS)
    return w, m, v, g


def _variant(
    *,
    moves: Callable[..., Tensor] | None = None,
    mean: Callable[..., Tensor] = lambda m, g, b: b * m + (1 - b) * g,
    square: Callable[..., Tensor] = lambda v, g, b: b * v + (1 - b) * g * g,
    keep: str = "mv",
    exchanged: bool = False,
    later: int = 0,
) -> Step:
    """Return a step in which one thing is different."""

    def step(
        w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, eta: float, b1: float, b2: float,
        eps: float,
    ) -> None:  # fmt: skip
        if exchanged:
            b1, b2 = b2, b1
        t += later
        new_m, new_v = mean(m, g, b1), square(v, g, b2)
        if "m" in keep:
            m.copy_(new_m)
        if "v" in keep:
            v.copy_(new_v)
        right = new_m / (1 - b1**t) / ((new_v / (1 - b2**t)).sqrt() + eps)
        w.sub_(eta * (right if moves is None else moves(new_m, new_v, g, 1 - b1**t, 1 - b2**t)))

    return step


def _kept_corrected(
    w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, eta: float, b1: float, b2: float, eps: float
) -> None:
    m.mul_(b1).add_((1 - b1) * g).div_(1 - b1**t)
    v.mul_(b2).add_((1 - b2) * g * g).div_(1 - b2**t)
    w.sub_(eta * m / (v.sqrt() + eps))


MISTAKES: dict[str, Step] = {
    "nothing has changed in place: is it w = w - …, which makes a new tensor?": (
        _variant(moves=lambda m, *_: 0 * m, keep="")
    ),
    "the averages have changed, the weight not: is it w = w - …, a new tensor?": (
        _variant(moves=lambda m, *_: 0 * m)
    ),
    "the averages never change: is it m = … and v = …, which make new tensors?": (
        _variant(keep="")
    ),
    "there is no bias correction: divide m by 1 - β₁ᵗ and v by 1 - β₂ᵗ": (
        _variant(moves=lambda m, v, g, c1, c2: m / (v.sqrt() + EPS))
    ),
    "only m has a bias correction, v has none": (
        _variant(moves=lambda m, v, g, c1, c2: m / c1 / (v.sqrt() + EPS))
    ),
    "only v has a bias correction, m has none": (
        _variant(moves=lambda m, v, g, c1, c2: m / ((v / c2).sqrt() + EPS))
    ),
    "ε is inside of the root, and must be added to it": (
        _variant(moves=lambda m, v, g, c1, c2: m / c1 / (v / c2 + EPS).sqrt())
    ),
    "ε is missing": _variant(moves=lambda m, v, g, c1, c2: m / c1 / (v / c2).sqrt()),
    "the root of v is missing": _variant(moves=lambda m, v, g, c1, c2: m / c1 / (v / c2 + EPS)),
    "the sign is wrong: it goes uphill": (
        _variant(moves=lambda m, v, g, c1, c2: -m / c1 / ((v / c2).sqrt() + EPS))
    ),
    "the step is by the gradient g, and must be by its average m": (
        _variant(moves=lambda m, v, g, c1, c2: g / ((v / c2).sqrt() + EPS))
    ),
    "g is not squared in v, and its sign remains": (
        _variant(square=lambda v, g, b: b * v + (1 - b) * g)
    ),
    "g is not squared in v": _variant(square=lambda v, g, b: b * v + (1 - b) * g.abs()),
    "1 - β₁ is missing before g": _variant(mean=lambda m, g, b: b * m + g),
    "1 - β₂ is missing before g²": _variant(square=lambda v, g, b: b * v + g * g),
    "m is overwritten: β₁ m is missing": _variant(mean=lambda m, g, b: (1 - b) * g),
    "v is overwritten: β₂ v is missing": _variant(square=lambda v, g, b: (1 - b) * g * g),
    "β₁ and β₂ are exchanged": _variant(exchanged=True),
    "m is averaged with β₂, and must be with β₁": (
        _variant(mean=lambda m, g, b: B2 * m + (1 - B2) * g)
    ),
    "v is averaged with β₁, and must be with β₂": (
        _variant(square=lambda v, g, b: B1 * v + (1 - B1) * g * g)
    ),
    "t is one too large": _variant(later=1),
    "the corrected averages are written back into m and v": _kept_corrected,
}


def check_step(mine: Any) -> None:
    """Weight and averages after one step and after three."""
    for count in 3, 1:
        found, right = _walked(mine.step, count), _walked(step, count)
        mistakes = like(
            found, {words: _walked(made, count) for words, made in MISTAKES.items()}, right
        )
        after = f"after {count} step{'s' * (count > 1)}"
        for place, name in (1, "m"), (2, "v"), (0, "the weight"):
            check_equal(f"{name} {after}", found[place], right[place], mistakes=mistakes[place])


def check_step_leaves_gradient(mine: Any) -> None:
    """The gradient is as it was; a single number and a stack work too."""
    for shape in (), (1,), (2, 3, 4):
        w, _, _, g = _walked(mine.step, 3, shape)
        right, _, _, before = _walked(step, 3, shape)
        check_equal("the gradient after a step, which must not be changed in place,", g, before)
        check_equal(f"a weight of shape {shape} after 3 steps", w, right)
