"""Softmax and cross-entropy

A network that chooses among m classes gives one number for each, a *logit* z[c], of any size. The
softmax turns them into probabilities: above 0, with the sum 1.

    p[c] = exp(z[c]) / Σₖ exp(z[k])

The cross-entropy is small if the class that is right, t, has a large probability; for n samples it
is averaged:

    L = -1/n · Σₛ log p[s, t[s]]                   z (samples, classes), t (samples)

**The gradient** is simpler than the way to it. For one sample, insert p:

    -log p[t] = -z[t] + log Σₖ exp(z[k])

The first term has the derivative -1 for c = t and 0 for others. The second has

    d/dz[c] log Σₖ exp(z[k]) = exp(z[c]) / Σₖ exp(z[k]) = p[c]

Together, with 1/n and with y[c] = 1 for the class that is right and 0 for all others (*one-hot*):

    dL/dz[s, c] = 1/n · (p[s, c] - y[s, c])

Probability minus truth: nothing is left to learn from a sample where p is y already. Each row of
the gradient has the sum 0, since both p and y have the sum 1.

**By hand.** One sample, z = [0, 0, log 2] and the class t = 2:

    exp z = [1, 1, 2]      p = [1/4, 1/4, 1/2]      L = -log 1/2 = 0.693
    dL/dz = [1/4, 1/4, 1/2 - 1] = [0.25, 0.25, -0.5]

**Large logits.** exp(1000) is infinite in a computer, and ∞/∞ is not a number. But softmax does
not change if the same number is subtracted from all logits of a sample, because numerator and
denominator get the same factor. Subtract the largest: then the largest exponent is 0 and nothing
overflows. For the loss, log Σ exp(z - a) + a is the same as log Σ exp z; PyTorch has it as
`torch.logsumexp`, and `torch.softmax` subtracts the largest as well.

**A stack.** z is `(…, samples, classes)`, t `(…, samples)`; L has one value for each network,
`(…)`. Classes are the last dimension, samples the one before.

**What usually goes wrong**

- The softmax runs over samples (dimension 0 or -2) and not over classes (-1).
- 1/n is missing, or the average runs over classes too: divide by n, not by n m.
- Only the number of the right class gets a gradient, and p of the others is forgotten.
- An extra factor p (1 - p): that is the softmax's derivative, which is in p - y already.
- exp without the largest logit subtracted: it works until the network is sure of something.

Write `function`, which returns L, and `grad`, which returns dL/dz.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minifw import nn


class CrossEntropy(nn.Loss):
    """L = mean over samples of -log softmax(output)[class]."""

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        """Return L: `output` (…, samples, classes), `target` (…, samples), int64; L is `(…)`."""
        right = output.gather(-1, target.unsqueeze(-1)).squeeze(-1)  # z[s, t[s]], (…, samples)
        # --- your code
        return (torch.logsumexp(output, -1) - right).mean(-1)
        # --- end

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        """Return dL/d(output), of its shape."""
        samples, classes = output.shape[-2:]
        one_hot = torch.zeros_like(output).scatter_(-1, target.unsqueeze(-1), 1)
        # --- your code
        return (torch.softmax(output, -1) - one_hot) / samples
        # --- end


# --- checks

from typing import Any

from minifw.nn.checks import check_equal, check_loss

IN_MINIFW = nn.LossCrossEntropy.function, nn.LossCrossEntropy.grad

SHAPES = (6, 4), (1, 3), (2, 6, 4)


def _target(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    return torch.randint(shape[-1], shape[:-1], generator=generator)


def _numbers(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(shape, generator=generator, dtype=torch.float64), _target(*shape)


def check_function(mine: Any) -> None:
    """The value, for one network and for a stack."""
    for shape in SHAPES:
        output, target = _numbers(*shape)
        right = CrossEntropy().function(output, target)
        at = output.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        terms = torch.logsumexp(output, -1) - at
        mistakes = {
            "it is the mean over the whole stack: one value for each network": terms.mean(),
            "there is one value for each sample: the mean over samples is missing": terms,
            "the logarithm of the sum of exponentials is missing": -at.mean(-1),
            "the logarithm is missing": -(at - torch.logsumexp(output, -1)).exp().mean(-1),
            "softmax runs over samples, and must run over classes, the last dimension": -(
                output.log_softmax(-2).gather(-1, target.unsqueeze(-1)).mean((-2, -1))
            ),
        }
        sizes = {"samples": shape[-2], "classes": shape[-1]}
        value = mine.CrossEntropy().function(output, target)
        check_equal("function", value, right, sizes=sizes, mistakes=mistakes)


def check_function_of_large_logits(mine: Any) -> None:
    """Nothing overflows."""
    output = torch.tensor([[1000.0, 0.0], [-1000.0, 2000.0]], dtype=torch.float64)
    target = torch.tensor([0, 0])
    for name in "function", "grad":
        value = getattr(mine.CrossEntropy(), name)(output, target)
        right = getattr(CrossEntropy(), name)(output, target)
        assert torch.isfinite(torch.as_tensor(value)).all(), (
            f"{name} overflows for logits of 1000: subtract the largest of a sample before exp"
        )
        check_equal(f"{name} for logits of 1000", value, right)


def check_grad(mine: Any) -> None:
    """The gradient, by the formula."""
    for shape in SHAPES:
        output, target = _numbers(*shape)
        right = CrossEntropy().grad(output, target)
        softmax = torch.softmax(output, -1)
        one_hot = torch.zeros_like(output).scatter_(-1, target.unsqueeze(-1), 1)
        across = torch.softmax(output, -2)
        mistakes = {
            "softmax runs over samples, and must run over classes, the last dimension": (
                (across - one_hot) / shape[-2]
            ),
            "it is softmax alone: the target is not subtracted": softmax / shape[-2],
            "it is softmax alone, without the target, and 1 / the number of samples is missing": (
                softmax
            ),
            "only the right class has a gradient; those of the others are missing": (
                (softmax - one_hot) * one_hot / shape[-2]
            ),
            "the factor p (1 - p) is one too many: it is in softmax - target already": (
                (softmax - one_hot) * softmax * (1 - softmax) / shape[-2]
            ),
            "it is output - target: softmax is missing": (output - one_hot) / shape[-2],
            "1 / the number of samples is missing: a sum where a mean is meant": (
                softmax - one_hot
            ),
        }
        if shape[-2] == 1:
            mistakes = {words: mistakes[words] for words in list(mistakes)[1:2]}
        sizes = {"samples": shape[-2], "classes": shape[-1]}
        gradient = mine.CrossEntropy().grad(output, target)
        check_equal("grad", gradient, right, sizes=sizes, mistakes=mistakes)


def check_claims(mine: Any) -> None:
    """All that minifw claims of its own losses."""
    target = lambda stack: _target(*stack, 6, 4)  # noqa: E731
    check_loss(lambda reduction: mine.CrossEntropy(), (6, 4), target, reductions=("mean",))
