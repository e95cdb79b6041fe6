"""Gradient descent, and what other optimisers share with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.module import Module, Parameter, descend
from minifw.nn.optimizers.arithmetic import times, times_
from minifw.nn.optimizers.clipping import clipped, decayed
from minifw.nn.optimizers.optimizer import Optimizer, of_each_network
from minifw.nn.optimizers.options import (
    ABOVE_0,
    AMOUNT,
    FRACTION,
    OfNetworks,
    Option,
    with_options,
)
from minifw.nn.registry import Key, Twin, optimizer

__all__ = ["SGD"]

MOMENTUM = Key("fraction of the previous step that is added to the next", ge=0, lt=1,
               per_network=True)  # fmt: skip
DECAY = Key("fraction of a weight that is added to its gradient", ge=0, per_network=True)
CLIP = Key(
    "the largest norm of a network's gradient over all its parameters, to which a larger one is "
    "scaled down; by default any",
    gt=0,
    per_network=True,
)

Momentum = Annotated[OfNetworks, MOMENTUM]
Decay = Annotated[OfNetworks, DECAY]
Clip = Annotated[OfNetworks | None, CLIP]


class Descent(Optimizer):
    """Base of minifw's optimisers: the gradient is clipped, then weight decay is added to it."""

    weight_decay = Option(AMOUNT)
    clip_norm = Option(ABOVE_0, optional=True)

    def __init__(self, network: Module, weight_decay: OfNetworks, clip_norm: OfNetworks | None):
        super().__init__(network)
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm

    def clipped(self, parameters: Sequence[Parameter]) -> list[Tensor]:
        """Return the gradient of each parameter, clipped by the norm of all of a network."""
        gradients = [gradient for _, _, gradient in parameters]
        most = self.clip_norm
        if most is not None:
            gradients = clipped(gradients, most, tuple(self.network.stack or ()))
        return gradients

    def gradients(self, parameters: Sequence[Parameter]) -> list[Tensor]:
        """Return the gradient of each parameter, clipped and with weight decay."""
        return decayed(parameters, self.clipped(parameters), self.weight_decay)

    def remembered(self, parameters: Sequence[Parameter], what: str) -> list[Tensor]:
        """Return what is kept of each parameter under this name."""
        return [self.state[f"{name}{what}"] for name, _, _ in parameters]

    def remember(self, *names: str) -> None:
        """Keep zeros like each parameter under each of these names, if nothing is kept there."""
        for what in names:
            for name, value, _ in self.network.parameters():
                self.state.setdefault(f"{name}{what}", torch.zeros_like(value))


@optimizer(
    "sgd",
    about="gradient descent",
    section="Gradient descent, with momentum and weight decay or without.",
    twin=Twin("SGD", momentum="momentum", nesterov="nesterov", weight_decay="weight_decay"),
    remembers=lambda keys: int(keys["momentum"] > 0),
)
class SGD(Descent):
    """Gradient descent: g <- g + λ w, v <- μ v + g, then w <- w - η v; λ decay, μ momentum.

    v starts at zero and has the shape of w, so each network of a stack has its own. Without
    momentum v is g, and without any option this is `network.update_parameters(eta)`. With
    `nesterov` the step is η (g + μ v). With `clip_norm` a larger norm of a network's gradient over
    all its parameters is first scaled down to it. Each number may be `(stack)` of numbers, one for
    each network: these are kept in the state. Source: the formula of torch.optim.SGD.

    Raises:
        ModuleError: momentum is not in [0, 1), weight decay is below 0 or not finite, clip_norm is
            not above 0, there is not one for each network, or nesterov has no momentum.

    """

    momentum = Option(FRACTION, then=lambda sgd: sgd.create_velocities())

    def __init__(
        self,
        network: Module,
        momentum: Momentum = 0.0,
        weight_decay: Decay = 0.0,
        nesterov: Annotated[bool, Key("take the step from where momentum leads")] = False,
        clip_norm: Clip = None,
    ) -> None:
        super().__init__(network, weight_decay, clip_norm)
        self.momentum = momentum
        self.nesterov = nesterov
        if nesterov and bool(torch.as_tensor(self.momentum).eq(0).any()):
            raise ModuleError(f"SGD: nesterov needs a momentum above 0, got {momentum!r}")

    def create_velocities(self) -> None:
        """Create v where it is missing, if there is momentum."""
        if SGD.momentum.is_used(self):
            for name, _, gradient in self.network.parameters():
                self._velocity(name, gradient)

    @of_each_network
    def step(self, eta: float | Tensor) -> None:
        parameters = self.network.parameters()
        has_momentum = SGD.momentum.is_used(self)
        if not parameters or not (
            has_momentum or SGD.weight_decay.is_used(self) or SGD.clip_norm.is_used(self)
        ):
            self.network.update_parameters(eta)
            return
        directions = self.gradients(parameters)
        if has_momentum:
            momentum = self.momentum
            velocities = [self._velocity(name, gradient) for name, _, gradient in parameters]
            times_(velocities, momentum)
            torch._foreach_add_(velocities, directions)  # v <- μ v + g
            if self.nesterov:
                ahead = times(velocities, momentum)
                directions = list(torch._foreach_add(ahead, directions))  # g + μ v
            else:
                directions = velocities
        descend(parameters, directions, eta)  # w <- w - η v

    def _velocity(self, name: str, gradient: Tensor) -> Tensor:
        """Return v of a parameter, new zeros if its shape or dtype has changed."""
        velocity = self.state.get(name)
        if velocity is None or (velocity.shape, velocity.dtype) != (gradient.shape, gradient.dtype):
            velocity = self.state[name] = torch.zeros_like(gradient)
        return velocity

    def __repr__(self) -> str:
        return with_options(self, "momentum")
