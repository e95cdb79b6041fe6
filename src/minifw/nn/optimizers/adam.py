"""Adam and AdamW: steps of moving averages of the gradient and of its square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from minifw.nn.module import Module, Parameter
from minifw.nn.optimizers.arithmetic import average_, plus_, rate, times_
from minifw.nn.optimizers.optimizer import of_each_network
from minifw.nn.optimizers.options import AMOUNT, FRACTION, OfNetworks, Option, with_options
from minifw.nn.optimizers.sgd import Clip, Decay, Descent
from minifw.nn.registry import Key, Twin, optimizer

__all__ = ["Adam", "AdamW"]

Beta1 = Annotated[
    OfNetworks,
    Key("how much the moving average of the gradient keeps", ge=0, lt=1, per_network=True),
]
Beta2 = Annotated[
    OfNetworks,
    Key("how much the moving average of its square keeps", ge=0, lt=1, per_network=True),
]
Eps = Annotated[
    OfNetworks, Key("is added to the root by which a step is divided", ge=0, per_network=True)
]

MEAN, SQUARE = ".mean", ".square"
"""What the state of a parameter's moving averages is called, after the parameter."""


def _twin(name: str) -> Twin:
    return Twin(
        name,
        betas=lambda ours: (ours.beta1, ours.beta2),
        eps="eps",
        weight_decay="weight_decay",
    )


@optimizer(
    "adam",
    about="Adam: each weight's step is scaled by its own gradients so far",
    section="Adam: the step of a weight is scaled by the size of its own gradients so far.",
    twin=_twin("Adam"),
    remembers=lambda keys: 2,
)
class Adam(Descent):
    """Adam: m <- β₁ m + (1-β₁) g, v <- β₂ v + (1-β₂) g², w <- w - η (m/c₁) / (√(v/c₂) + ε).

    m and v start at zero, so they are too small at first; c₁ = 1 - β₁ᵗ and c₂ = 1 - β₂ᵗ of step t
    correct that. They are the moving averages of ones, which is how they are kept, one for each
    network. g is the gradient, clipped, plus λ w. Each number may be `(stack)` of numbers, one for
    each network. Source: Kingma and Ba, 2015, arXiv:1412.6980, in the form of torch.optim.Adam.

    Raises:
        ModuleError: a beta is not in [0, 1), another number is below 0 or not finite, clip_norm is
            not above 0, or there is not one for each network.

    """

    beta1 = Option(FRACTION, with_rest=True)
    beta2 = Option(FRACTION, with_rest=True)
    eps = Option(AMOUNT)

    def __init__(
        self,
        network: Module,
        beta1: Beta1 = 0.9,
        beta2: Beta2 = 0.999,
        eps: Eps = 1e-8,
        weight_decay: Decay = 0.0,
        clip_norm: Clip = None,
    ) -> None:
        super().__init__(network, weight_decay, clip_norm)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.remember(MEAN, SQUARE)
        for _, value, _ in network.parameters()[:1]:
            for what in (MEAN, SQUARE):
                self.state[f"1{what}"] = value.new_zeros(network.stack or ())

    @of_each_network
    def step(self, eta: float | Tensor) -> None:
        parameters = self.network.parameters()
        if parameters:
            self.descend(parameters, self.gradients(parameters), eta)

    def descend(
        self, parameters: Sequence[Parameter], gradients: list[Tensor], eta: float | Tensor
    ) -> None:
        """Take the step for these gradients."""
        mean, square = (self.remembered(parameters, what) for what in (MEAN, SQUARE))
        ones = self.state[f"1{MEAN}"], self.state[f"1{SQUARE}"]  # c₁ and c₂
        for average, option in zip(ones, (Adam.beta1, Adam.beta2), strict=True):
            average.add_((1 - average).mul_(option.rest(self)))
        average_(mean, gradients, Adam.beta1.rest(self))  # m
        squares = torch._foreach_mul(gradients, gradients)
        times_(squares, Adam.beta2.rest(self))
        times_(square, self.beta2)
        torch._foreach_add_(square, squares)  # v
        # (m/c₁) / (√(v/c₂) + ε) is m (√c₂/c₁) / (√v + ε √c₂), with fewer operations on all weights.
        root = ones[1].sqrt()
        size = torch._foreach_sqrt(square)
        plus_(size, root * self.eps)
        directions = list(torch._foreach_div(mean, size))
        times_(directions, rate(eta, root) / ones[0] * root)
        torch._foreach_sub_([value for _, value, _ in parameters], directions)

    def __repr__(self) -> str:
        return with_options(self)


@optimizer(
    "adamw",
    about="Adam, with weight decay that does not go through its averages",
    section="AdamW: as Adam, but weights shrink by η λ of themselves in each step.",
    twin=_twin("AdamW"),
    remembers=lambda keys: 2,
)
class AdamW(Adam):
    """AdamW: w <- w - η λ w, then the step of Adam without weight decay.

    Source: Loshchilov and Hutter, 2019, arXiv:1711.05101, in the form of torch.optim.AdamW.

    Raises:
        ModuleError: as for Adam.

    """

    def __init__(
        self,
        network: Module,
        beta1: Beta1 = 0.9,
        beta2: Beta2 = 0.999,
        eps: Eps = 1e-8,
        weight_decay: Annotated[
            OfNetworks,
            Key("fraction of a weight, times eta, by which it shrinks", ge=0, per_network=True),
        ] = 0.01,
        clip_norm: Clip = None,
    ) -> None:
        super().__init__(network, beta1, beta2, eps, weight_decay, clip_norm)

    @of_each_network
    def step(self, eta: float | Tensor) -> None:
        parameters = self.network.parameters()
        if not parameters:
            return
        values = [value for _, value, _ in parameters]
        times_(values, 1 - rate(eta, self.state[f"1{MEAN}"]) * self.weight_decay)
        self.descend(parameters, self.clipped(parameters), eta)
