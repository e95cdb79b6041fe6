"""Initial weights that keep the signal alive

Before a network learns, its weights are random. How large may they be? A linear layer with n inputs
sums n products; take weights and inputs that are independent, with the mean 0:

    y[o] = Σᵢ W[o, i] x[i]            Var(y) = n · Var(W) · Var(x)

So each layer multiplies the variance by n · Var(W). If that is 2, ten layers make it 1024 times as
large, and training diverges; if it is 1/2, ten layers leave a thousandth, and with it of the
gradient. It should be 1: Var(W) = 1/n. That is the choice of LeCun.

**With ReLU** one half of the signal is lost. For a symmetric h with the mean 0, y = max(0, h) keeps
half of the squares: E(y²) = ½ E(h²). To make up for it, the weights get twice the variance:

    Var(W) = 2 / n            standard deviation  σ = √(2 / n)

where n is the number of *inputs* of the layer ("fan in"). This is the initialisation of He et al.
(Delving deep into rectifiers, 2015). Biases begin at 0.

**By hand.** A layer with 50 inputs: σ = √(2/50) = 0.2. Most weights are between -0.4 and 0.4. A
layer with 5000 inputs has σ = 0.02. With σ = 1 in a network of three layers of 25, squares grow by
12.5 in each layer, and the first step already goes wrong.

**Randomness that can be repeated.** The numbers come from a generator that somebody else has made
from a seed, `np.random.default_rng(seed)`. Use it and nothing else: the same seed must give the
same weights, whatever else has been drawn in the program. Each number is drawn once:
`generator.standard_normal(shape)` gives normal numbers with mean 0 and standard deviation 1; times
σ they have the standard deviation σ.

**What usually goes wrong**

- The variance is taken for the standard deviation: σ = 2/n without the root.
- The number of outputs for that of inputs. The shape of the weight is (outputs, inputs), so its
  *last* dimension counts.
- The 2 is missing. With tanh that is right, with ReLU half the signal dies in each layer.
- Uniform numbers from -σ to σ have the variance σ²/3, not σ².
- `np.random.randn` or `torch.randn`: another generator than the given one.

Write `he_normal`, which returns the weight of a layer, a tensor of float64 and of the shape
(outputs, inputs).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def he_normal(inputs: int, outputs: int, generator: np.random.Generator) -> Tensor:
    """Return normal weights (outputs, inputs) with the variance 2 / inputs."""
    # --- your code
    deviation = (2 / inputs) ** 0.5
    return torch.from_numpy(deviation * generator.standard_normal((outputs, inputs)))
    # --- end


# --- checks

from typing import Any

from minifw import nn

IN_MINIFW = (nn.KaimingNormal,)

INPUTS, OUTPUTS = 300, 700


def _drawn(mine: Any, inputs: int, outputs: int, seed: int = 0) -> Tensor:
    weight = mine.he_normal(inputs, outputs, np.random.default_rng(seed))
    assert isinstance(weight, Tensor), f"must return a tensor, got {type(weight).__name__}"
    came, wanted = tuple(weight.shape), (outputs, inputs)
    turned = ": it is transposed" if came == wanted[::-1] else ""
    assert came == wanted, f"the shape must be (outputs, inputs), {wanted}, got {came}{turned}"
    assert weight.dtype == torch.float64, f"must be of torch.float64, got {weight.dtype}"
    return weight


def check_shape(mine: Any) -> None:
    """The shape, also for a single number."""
    for inputs, outputs in (3, 5), (1, 1), (4, 1):
        _drawn(mine, inputs, outputs)


def check_variance(mine: Any) -> None:
    """The standard deviation is √(2 / inputs): that of 210,000 numbers is within 1 % of it."""
    found = float(_drawn(mine, INPUTS, OUTPUTS).std())
    right = (2 / INPUTS) ** 0.5
    if abs(found / right - 1) < 0.01:
        return
    n, m = INPUTS, OUTPUTS
    mistakes = {
        "the root is missing: 2 / inputs is the variance": 2 / n,
        "the 2 is missing": n**-0.5,
        "the number of outputs is taken for that of inputs": (2 / m) ** 0.5,
        "it is √(2 / (inputs + outputs)), of Glorot, for tanh": (2 / (n + m)) ** 0.5,
        "the numbers are not scaled at all": 1.0,
        "they are divided by the deviation, and must be multiplied": 1 / right,
        "uniform numbers from -σ to σ have the variance σ²/3": right / 3**0.5,
        "uniform numbers from 0 to σ have the variance σ²/12": right / 12**0.5,
        "the 2 is outside of the root": 2 * n**-0.5,
    }
    why = next((words for words, size in mistakes.items() if abs(found / size - 1) < 0.01), "")
    raise AssertionError(
        f"the standard deviation for {n} inputs must be √(2/{n}) = {right:.4g}, got {found:.4g}"
        f"{f'; {why}' if why else ''}"
    )


def check_normal(mine: Any) -> None:
    """The mean is 0, and as many numbers are far from it as normal ones are."""
    weight = _drawn(mine, INPUTS, OUTPUTS)
    scaled = weight / weight.std()
    assert abs(float(scaled.mean())) < 0.02, f"the mean must be 0, got {float(weight.mean()):.3g}"
    far = float((scaled.abs() > 2).double().mean())
    assert 0.04 < far < 0.05, (
        "the numbers must be normal: 4.6 % of them are more than two standard deviations from 0, "
        f"got {100 * far:.2g} %; {'are they uniform?' if far == 0 else 'another distribution?'}"
    )


def check_generator(mine: Any) -> None:
    """The same seed gives the same numbers, another seed others."""
    first, again, other = (_drawn(mine, 4, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again), (
        "the same seed must give the same weights: draw from the given generator alone"
    )
    assert not torch.equal(first, other), (
        "another seed must give other weights: draw from the given generator, not from a new one"
    )
