"""The backward pass of a linear layer

A linear layer makes each output a weighted sum of the inputs, plus a bias:

    y = x Wᵀ + b          x  (samples, inputs)      W  (outputs, inputs)
                          y  (samples, outputs)     b  (outputs)

For one number of y this reads y[s, o] = Σᵢ x[s, i] W[o, i] + b[o]. Somewhere behind the layer
stands the loss L, one number. `backward` is given the *gradient* G = dL/dy, which has the shape
of y: G[s, o] says how much L grows for each unit by which y[s, o] grows. From it we need three
derivatives, and each is the chain rule: a sum over all paths from a number to the loss.

**The weight.** W[o, i] is met once for each sample: y[s, o] grows by x[s, i] when W[o, i] grows
by 1, and no other output changes. The paths go through the samples, so we sum over them:

    dL/dW[o, i] = Σₛ G[s, o] x[s, i]            dL/dW = Gᵀ x       (outputs, inputs)

**The bias.** b[o] is added in each sample, with the factor 1:

    dL/db[o] = Σₛ G[s, o]                       dL/db = Σₛ G       (outputs)

**The input.** x[s, i] reaches all outputs of its own sample, by the factors W[o, i]:

    dL/dx[s, i] = Σₒ G[s, o] W[o, i]            dL/dx = G W        (samples, inputs)

Note that nothing is divided by the number of samples. If the loss is a mean, its own gradient G
holds the factor 1/n already; the layer knows nothing of that.

**By hand.** Two samples, two inputs, one output; W = [[2, 3]]:

    x = [[1, 0],     G = [[10],      dL/dW = [[10·1 + 1·4, 10·0 + 1·5]] = [[14, 5]]
         [4, 5]]          [ 1]]      dL/db = [10 + 1] = [11]
                                     dL/dx = [[10·2, 10·3], [1·2, 1·3]] = [[20, 30], [2, 3]]

**A stack.** In minifw many networks are trained at once: any dimensions may stand before those
above, x is `(…, samples, inputs)` and W `(…, outputs, inputs)`. So count dimensions from the end:
`.mT` (not `.T`) is the transpose of the last two, and the samples are dimension -2 (not 0).

**What usually goes wrong**

- `=` for `+=`. A layer that is used twice gets two gradients, and they add. `backward` adds to
  `self.weight_grad`; whoever trains sets it to zero before a step.
- A mean over samples for the sum, or a sum over the wrong dimension.
- W transposed in dL/dx. With as many inputs as outputs the shapes fit all the same, and the
  network still learns, only badly. Look at the shapes with three different sizes.
- x or G changed in place. They belong to somebody else, who may still need them.

Write `backward`: add to `self.weight_grad` and `self.bias_grad`, and return dL/dx.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minifw import nn


class Linear(nn.Module):
    """y = x Wᵀ + b."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stack: tuple[int, ...] = (),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        # Each also sets a gradient of its shape, zeros: self.weight_grad, self.bias_grad.
        self.register_parameter("weight", torch.randn(*stack, outputs, inputs, dtype=dtype))
        self.register_parameter("bias", torch.randn(*stack, outputs, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return y, and remember x for `backward`."""
        y = x @ self.weight.mT + self.bias.unsqueeze(-2)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        """Take dL/dy, add dL/dW and dL/db to the gradients, return dL/dx."""
        (x,) = self.recall(gradient).inputs  # what `forward` remembered
        # --- your code
        self.weight_grad += gradient.mT @ x
        self.bias_grad += gradient.sum(-2)
        return gradient @ self.weight
        # --- end


# --- checks

from typing import Any

from minifw.nn.checks import check_module

IN_MINIFW = nn.Linear.backward, nn.Linear.accumulate


def check_backward(mine: Any) -> None:
    """All that minifw claims of its own modules."""
    check_module(lambda stack: mine.Linear(4, 3, stack=stack), [(5, 4)], name="Linear")


def check_one_sample(mine: Any) -> None:
    """One sample, as many inputs as outputs."""
    check_module(lambda stack: mine.Linear(3, 3, stack=stack), [(1, 3)], name="Linear")
