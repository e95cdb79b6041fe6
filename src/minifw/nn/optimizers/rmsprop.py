"""RMSprop: steps divided by a moving average of the gradient's size."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from minifw.nn.module import Module, descend
from minifw.nn.optimizers.adam import MEAN, SQUARE, Eps
from minifw.nn.optimizers.arithmetic import average_, plus_, times_
from minifw.nn.optimizers.optimizer import of_each_network
from minifw.nn.optimizers.options import AMOUNT, FRACTION, OfNetworks, Option, with_options
from minifw.nn.optimizers.sgd import Clip, Decay, Descent, Momentum
from minifw.nn.registry import Key, Twin, optimizer

__all__ = ["RMSprop"]

VELOCITY = ".velocity"


@optimizer(
    "rmsprop",
    about="each weight's step is divided by the size of its own gradients so far",
    section="RMSprop: the step of a weight is divided by the size of its own gradients so far.",
    twin=Twin(
        "RMSprop", alpha="alpha", eps="eps", weight_decay="weight_decay", momentum="momentum",
        centered="centered",
    ),
    remembers=lambda keys: 1 + int(keys["momentum"] > 0) + int(keys["centered"]),
)  # fmt: skip
class RMSprop(Descent):
    """RMSprop: s <- α s + (1-α) g², w <- w - η g / (√s + ε), or with momentum μ w <- w - η v.

    There v <- μ v + g / (√s + ε). If `centered`, the square of the moving average of g is taken off
    s under the root, which leaves its variance. g is the gradient, clipped, plus λ w. Each number
    may be `(stack)` of numbers, one for each network. Source: Tieleman and Hinton, 2012, lecture
    6.5 of Neural Networks for Machine Learning, in the form of torch.optim.RMSprop.

    Raises:
        ModuleError: alpha or momentum is not in [0, 1), another number is below 0 or not finite,
            clip_norm is not above 0, or there is not one for each network.

    """

    alpha = Option(FRACTION, with_rest=True)
    eps = Option(AMOUNT)
    momentum = Option(FRACTION, then=lambda rmsprop: rmsprop.create_velocities())

    def __init__(
        self,
        network: Module,
        alpha: Annotated[
            OfNetworks,
            Key("how much the moving average of the square keeps", ge=0, lt=1, per_network=True),
        ] = 0.99,
        eps: Eps = 1e-8,
        momentum: Momentum = 0.0,
        weight_decay: Decay = 0.0,
        centered: Annotated[
            bool, Key("divide by the deviation of gradients, not their size")
        ] = False,
        clip_norm: Clip = None,
    ) -> None:
        super().__init__(network, weight_decay, clip_norm)
        self.alpha, self.eps, self.centered = alpha, eps, centered
        self.remember(SQUARE, *([MEAN] if centered else []))
        self.momentum = momentum

    def create_velocities(self) -> None:
        """Create v where it is missing, if there is momentum."""
        if RMSprop.momentum.is_used(self):
            self.remember(VELOCITY)

    @of_each_network
    def step(self, eta: float | Tensor) -> None:
        parameters = self.network.parameters()
        if not parameters:
            return
        gradients = self.gradients(parameters)
        square = self.remembered(parameters, SQUARE)
        squares = torch._foreach_mul(gradients, gradients)
        times_(squares, RMSprop.alpha.rest(self))
        times_(square, self.alpha)
        torch._foreach_add_(square, squares)  # s <- α s + (1-α) g²
        size = square
        if self.centered:
            mean = self.remembered(parameters, MEAN)
            average_(mean, gradients, RMSprop.alpha.rest(self))
            size = list(torch._foreach_sub(square, torch._foreach_mul(mean, mean)))
        size = list(torch._foreach_sqrt(size))
        plus_(size, self.eps)
        directions = list(torch._foreach_div(gradients, size))  # g / (√s + ε)
        if RMSprop.momentum.is_used(self):
            velocity = self.remembered(parameters, VELOCITY)
            times_(velocity, self.momentum)
            torch._foreach_add_(velocity, directions)
            directions = velocity
        descend(parameters, directions, eta)

    def __repr__(self) -> str:
        return with_options(self)
