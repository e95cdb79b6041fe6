"""The mean squared error and its gradient

A loss says with one number how far the outputs y of a network are from the targets t. The mean
squared error takes the differences of all samples and outputs, squares them, and averages:

    L = 1/(n m) · Σₛ Σₒ (y[s, o] - t[s, o])²        n samples, m outputs; y and t are (n, m)

Learning goes downhill on L, so everything begins with its gradient, dL/dy, of the shape of y. One
number y[s, o] stands in one term of the sum only, and the derivative of (y - t)² is 2 (y - t):

    dL/dy[s, o] = 2/(n m) · (y[s, o] - t[s, o])

The backward pass starts with this tensor; each layer then hands it on. All factors of the loss must
be in here: no layer divides by the number of samples, and none knows how many there are.

**By hand.** Two samples with two outputs, n m = 4:

    y = [[1, 2],      t = [[1, 0],      y - t = [[0, 2],      L = (0 + 4 + 1 + 9) / 4 = 3.5
         [3, 0]]           [2, 3]]               [1, -3]]

    dL/dy = 2/4 · (y - t) = [[0, 1], [0.5, -1.5]]

Is that right? Raise y[0, 1] from 2 to 2.1: L becomes (0 + 4.41 + 1 + 9) / 4 = 3.6025, which is
0.1025 more: about 0.1 · dL/dy[0, 1].

**Why the factor matters.** A step is w <- w - η dL/dw. If dL/dy is n times too large, so is each
step: it is as if the learning rate were n times larger, and training may diverge. Two programs that
disagree about this factor (a sum or a mean, over samples alone or over outputs too, with 2 or
without) learn differently at the same learning rate. It is the most frequent reason why somebody's
results cannot be reproduced. minifw calls the choice `reduction`: `mean` is the formula above.

**A stack.** Many networks may be trained at once: y is `(…, samples, outputs)`, and the loss has
one value for each network, of shape `(…)`. So sum over the last two dimensions, (-2, -1), and never
over all: networks must not be mixed.

**What usually goes wrong**

- The 2 of the derivative is forgotten, or 1/(n m), or a part of it: 1/n alone.
- t - y for y - t: the network then climbs instead of going down.
- The function and its gradient have different factors. Each may look fine alone.
- `.mean()` over a whole stack.

Write `MSE.function`, which returns L, and `MSE.grad`, which returns dL/dy.
"""

from __future__ import annotations

from torch import Tensor

from minifw import nn


class MSE(nn.Loss):
    """L = mean of (output - target)², over samples and outputs."""

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        """Return L of `(…, samples, outputs)`: one value for each network, `(…)`."""
        # --- your code
        return (output - target).square().mean((-2, -1))
        # --- end

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        """Return dL/d(output), of its shape."""
        samples, outputs = output.shape[-2:]
        # --- your code
        return 2 / (samples * outputs) * (output - target)
        # --- end


# --- checks

from typing import Any

import torch

from minifw.nn.checks import check_equal, check_loss

IN_MINIFW = nn.LossMSE.function, nn.LossMSE.grad


def _numbers(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    numbers = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return numbers[0], numbers[1]


def check_function(mine: Any) -> None:
    """The value, for one network and for a stack."""
    for shape in (5, 3), (1, 4), (2, 5, 3):
        output, target = _numbers(*shape)
        difference = output - target
        right = difference.square().mean((-2, -1))
        mistakes = {
            "it is the mean over the whole stack: one value for each network": (
                difference.square().mean()
            ),
            "there is one value for each sample: the mean over samples is missing": (
                difference.square().mean(-1)
            ),
            "there is one value for each output: the mean over outputs is missing": (
                difference.square().mean(-2)
            ),
            "it is the root of the right one": right.sqrt(),
            "differences must be squared, not made positive": difference.abs().mean((-2, -1)),
            "differences must be squared before the mean": difference.mean((-2, -1)).square(),
        }
        sizes = {"samples": shape[-2], "outputs": shape[-1]}
        value = mine.MSE().function(output, target)
        check_equal("MSE.function", value, right, sizes=sizes, mistakes=mistakes)


def check_grad(mine: Any) -> None:
    """The gradient, by the formula; it is also the derivative of the function."""
    for shape in (5, 3), (1, 4), (2, 5, 3):
        output, target = _numbers(*shape)
        right = 2 / (shape[-2] * shape[-1]) * (output - target)
        sizes = {"samples": shape[-2], "outputs": shape[-1]}
        mistakes = {
            "the 2 of the derivative is missing": right / 2,
            "it is divided by the number of samples alone, and must be by that of outputs too": (
                right * shape[-1]
            ),
            "it is divided by the number of outputs alone, and must be by that of samples too": (
                right * shape[-2]
            ),
        }
        mistakes = {words: wrong for words, wrong in mistakes.items() if 1 not in shape}
        gradient = mine.MSE().grad(output, target)
        check_equal("MSE.grad", gradient, right, sizes=sizes, mistakes=mistakes)


def check_claims(mine: Any) -> None:
    """All that minifw claims of its own losses."""
    target = lambda stack: _numbers(*stack, 5, 3)[1]  # noqa: E731
    check_loss(lambda reduction: mine.MSE(), (5, 3), target, reductions=("mean",))
