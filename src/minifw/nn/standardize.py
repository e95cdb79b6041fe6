"""Numbers of mean 0 and variance 1, and the way back: what `LayerNorm` and `BatchNorm` share."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from minifw.nn.buffers import buffer, sums

__all__: list[str] = []


class Standardized(NamedTuple):
    """x̂ = (x - μ) / √(v + ε), and 1 / √(v + ε), μ and v, which have size 1 in some dimensions."""

    x: Tensor
    scale: Tensor
    mean: Tensor
    variance: Tensor


def standardized(x: Tensor, dims: tuple[int, ...], eps: float) -> Standardized:
    """Return x̂ = (x - μ) / √(v + ε), with the mean μ and the variance v over these dimensions.

    The variance is the mean of squares, after μ is subtracted: torch.var_mean takes many times as
    long.
    """
    count = math.prod(x.shape[d] for d in dims)
    mean = sums(x, dims).div_(count)
    centred = torch.sub(x, mean, out=buffer(x))
    squares = torch.mul(centred, centred, out=buffer(x))
    variance = sums(squares, dims).div_(count)
    scale = torch.add(variance, eps, out=buffer(x)).rsqrt_()
    return Standardized(centred.mul_(scale), scale, mean, variance)


def of_standardized(
    gradient: Tensor, of_mean: Tensor, of_variance: Tensor, normal: Tensor, scale: Tensor
) -> Tensor:
    """Return dL/dx = (g - mean g - x̂ mean(g x̂)) / √(v + ε) from g = dL/dx̂.

    `of_mean` is mean g, `of_variance` mean(g x̂), `normal` x̂ and `scale` 1 / √(v + ε).
    """
    back = torch.sub(gradient, of_mean, out=buffer(gradient))
    return back.addcmul_(normal, of_variance, value=-1).mul_(scale)
