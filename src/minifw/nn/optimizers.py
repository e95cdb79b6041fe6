"""Optimisers: they change parameters by their gradients."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Self

import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError
from minifw.nn.module import Module, descend, described
from minifw.nn.registry import Key, Twin, optimizer

__all__ = ["SGD", "Optimizer"]


class Optimizer:
    """Changes the parameters of a network by their gradients, one `step` at a time.

    `state` holds by name all tensors that are kept between steps; the first dimensions of each are
    the network's stack. It is complete after `__init__`; `step` changes it in place.

    Raises:
        ModuleError: the network holds a module or a tensor that is not registered.
        DtypeError: `network` is not a module, but for example a list of parameters.

    """

    def __init__(self, network: Module) -> None:
        if not isinstance(network, Module):
            raise DtypeError(
                f"{type(self).__name__}: expects the network itself, got {described(network)}"
            )
        network.wire()
        self.network = network
        self.state: dict[str, Tensor] = {}

    def step(self, eta: float | Tensor) -> None:
        """Change every parameter once, in place, with the learning rate `eta`, at least 0."""
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    def with_state(self, network: Module, state: Mapping[str, Tensor]) -> Self:
        """Return a copy of this optimizer for `network`, with `state` instead of its own.

        The tensors themselves are used: views of this optimizer's state are changed in place.
        """
        copied = copy.copy(self)
        copied.network, copied.state = network, dict(state)
        return copied


@optimizer(
    "sgd",
    about="gradient descent",
    section="Gradient descent, with momentum or without.",
    twin=Twin("SGD", momentum="momentum"),
    remembers=lambda keys: keys["momentum"] > 0,
)
class SGD(Optimizer):
    """Gradient descent with momentum: v <- momentum v + g, then w <- w - eta v.

    v starts at zero and has the shape of w, so each network of a stack has its own. Without
    momentum this is `network.update_parameters(eta)`. Source: the formula of torch.optim.SGD.

    Raises:
        ModuleError: momentum is not in [0, 1).

    """

    def __init__(
        self,
        network: Module,
        momentum: Annotated[
            float, Key("fraction of the previous step that is added to the next", ge=0, lt=1)
        ] = 0.0,
    ) -> None:
        super().__init__(network)
        self.momentum = momentum

    @property
    def momentum(self) -> float:
        """The fraction of v that a step keeps; setting it above 0 creates missing v."""
        value: float = self.__dict__["momentum"]
        return value

    @momentum.setter
    def momentum(self, value: float) -> None:
        if not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ModuleError(f"SGD: momentum must be at least 0 and below 1, got {value!r}")
        self.__dict__["momentum"] = value
        if value:
            for name, _, gradient in self.network.parameters():
                self._velocity(name, gradient)

    def step(self, eta: float | Tensor) -> None:
        parameters = self.network.parameters()
        if not self.momentum or not parameters:
            self.network.update_parameters(eta)
            return
        velocities = [self._velocity(name, gradient) for name, _, gradient in parameters]
        torch._foreach_mul_(velocities, self.momentum)
        torch._foreach_add_(velocities, [gradient for _, _, gradient in parameters])
        descend(parameters, velocities, eta)

    def _velocity(self, name: str, gradient: Tensor) -> Tensor:
        """Return v of a parameter, new zeros if its shape or dtype has changed."""
        velocity = self.state.get(name)
        if velocity is None or (velocity.shape, velocity.dtype) != (gradient.shape, gradient.dtype):
            velocity = self.state[name] = torch.zeros_like(gradient)
        return velocity

    def __repr__(self) -> str:
        return f"SGD(momentum={self.momentum})"
