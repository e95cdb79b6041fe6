"""Optimisers: they change parameters by their gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.held import contents
from minifw.nn.module import Module, Parameter, descend, described, of_networks
from minifw.nn.registry import Key, Twin, optimizer

__all__ = ["SGD", "Optimizer"]


class Optimizer:
    """Changes the parameters of a network by their gradients, one `step` at a time.

    `state` holds by name whatever is remembered from step to step; each tensor begins with the
    dimensions of the network's stack. It is complete after `__init__`; `step` changes it in place.
    A checkpoint keeps what is in it, and parts of a stack have views of it. So nothing that a step
    changes may stand elsewhere, and `step` finds the parameters in `self.network`.

        class RMSprop(Optimizer):
            def __init__(self, network):
                super().__init__(network)
                for name, value, _ in network.parameters():
                    self.state[name] = torch.zeros_like(value)

            def step(self, eta):
                for name, value, gradient in self.network.parameters():
                    mean = self.state[name].mul_(0.99).add_(0.01 * gradient**2)
                    value.sub_(eta * gradient / (mean.sqrt() + 1e-8))

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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            if name in ("network", "state"):
                raise ModuleError(
                    f"{kind}: has no {name}; __init__ must begin with super().__init__(network)"
                )
            raise AttributeError(f"'{kind}' object has no attribute '{name}'")

    def step(self, eta: float | Tensor) -> None:
        """Change every parameter once, in place, with the learning rate `eta`, at least 0.

        `SGD` also takes a tensor `(stack)`, one for each network.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    def with_state(self, network: Module, state: Mapping[str, Tensor]) -> Self:
        """Return a copy of this optimizer for `network`, with `state` instead of its own.

        The tensors themselves are used: views of this optimizer's state are changed in place.
        """
        copied = copy.copy(self)
        copied.network, copied.state = network, dict(state)
        return copied

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def check_state(optimizer: Optimizer, stack: tuple[int, ...]) -> None:
    """Raise unless all that the optimizer remembers is in its state, and a step changes it there.

    Parts of a stack have views of the state, and a checkpoint has a copy: what stands elsewhere, or
    what a step put in its place, would be lost. A step is tried with a copy of the state, and the
    weights are put back after it.

    Raises:
        ModuleError, ShapeError: what must hold, and what came.

    """
    network, state = optimizer.network, optimizer.state
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise DtypeError(
                f"{optimizer}: state['{name}'] must be a tensor, got {described(value)}; a number "
                "that changes is torch.zeros(network.stack)"
            )
        if tuple(value.shape[: len(stack)]) != stack:
            raise ShapeError(
                f"{optimizer}: state['{name}'] must begin with the stack {stack}, "
                f"got {tuple(value.shape)}"
            )
    weights = [(value, value.clone()) for _, value, _ in network.parameters()]
    begun = {name: value.clone() for name, value in state.items()}
    acting = optimizer.with_state(network, begun)
    _check_held(acting)
    numbers = _numbers(acting)
    try:
        acting.step(0.0)
    finally:
        for value, before in weights:
            value.copy_(before)
    if {n: id(value) for n, value in acting.state.items()} != {n: id(v) for n, v in begun.items()}:
        raise ModuleError(
            f"{optimizer}: the state must be complete after __init__, such as self.state[name] = "
            "torch.zeros_like(value), and changed in place by step, as by mul_, add_ or copy_; "
            f"got {_names(state)} before a step and {_names(acting.state)} after it"
        )
    _check_held(acting)
    for name, number in _numbers(acting).items():
        if name not in numbers or number != numbers[name]:
            raise ModuleError(
                f"{optimizer}: step changes the number '{name}', which would be lost in a "
                f"checkpoint and in parts of a stack; make it torch.zeros(network.stack) in "
                f"self.state['{name}']"
            )


def _check_held(optimizer: Optimizer) -> None:
    """Raise a ModuleError if numbers or modules stand beside network and state."""
    network = optimizer.network
    names = {id(tensor): name for name, *tensors in network.parameters() for tensor in tensors}
    known = {id(value) for value in optimizer.state.values()}
    bare = copy.copy(optimizer)
    bare.__dict__.pop("network"), bare.__dict__.pop("state")
    for place, value, _ in contents(bare, Module):
        if id(value) in names or isinstance(value, (Module, Optimizer)):
            what = f"the network's '{names[id(value)]}'" if id(value) in names else repr(value)
            raise ModuleError(
                f"{optimizer}: holds {what} in '{place}', so that a copy would not act on its own "
                "network; step finds all parameters by self.network.parameters()"
            )
        is_float = isinstance(value, Tensor) and value.dtype.is_floating_point
        if (is_float or isinstance(value, np.ndarray)) and id(value) not in known:
            raise ModuleError(
                f"{optimizer}: the tensor in '{place}' would be lost in a checkpoint and in parts "
                f"of a stack, got {described(value)}; keep what is remembered in "
                "self.state['name'], one tensor a name, made in __init__"
            )


def _numbers(optimizer: Optimizer) -> dict[str, float]:
    own = vars(optimizer).items()
    return {name: value for name, value in own if isinstance(value, (int, float))}


def _names(state: Mapping[str, Tensor]) -> str:
    return f"[{', '.join(f'{name}: {described(value)}' for name, value in state.items())}]"


def takes_rates(optimizer: Optimizer) -> bool:
    """Return whether a plain step takes one learning rate for each network of a stack.

    A step that a user has written is not asked to: its `eta * gradient` would fail, or give the
    rate of network k to feature k.
    """
    network = type(optimizer.network)
    return (
        type(optimizer).step is SGD.step and network.update_parameters is Module.update_parameters
    )


LARGEST = float(np.finfo(np.float64).max)

OfNetworks = float | Sequence[float] | Tensor
"""A number, or one for each network of a stack."""


@optimizer(
    "sgd",
    about="gradient descent",
    section="Gradient descent, with momentum and weight decay or without.",
    twin=Twin("SGD", momentum="momentum", weight_decay="weight_decay"),
    remembers=lambda keys: keys["momentum"] > 0,
)
class SGD(Optimizer):
    """Gradient descent: g <- g + λ w, v <- μ v + g, then w <- w - η v; λ decay, μ momentum.

    v starts at zero and has the shape of w, so each network of a stack has its own. Without
    momentum v is g, and without both this is `network.update_parameters(eta)`. Momentum and decay
    are numbers, or `(stack)` of numbers, one for each network: these are kept in the state.
    Source: the formula of torch.optim.SGD.

    Raises:
        ModuleError: momentum is not in [0, 1), weight decay is below 0 or not finite, or there is
            not one for each network.

    """

    def __init__(
        self,
        network: Module,
        momentum: Annotated[
            OfNetworks,
            Key(
                "fraction of the previous step that is added to the next",
                ge=0,
                lt=1,
                per_network=True,
            ),
        ] = 0.0,
        weight_decay: Annotated[
            OfNetworks,
            Key("fraction of a weight that is added to its gradient", ge=0, per_network=True),
        ] = 0.0,
    ) -> None:
        super().__init__(network)
        self.momentum = momentum
        self.weight_decay = weight_decay

    @property
    def momentum(self) -> float | Tensor:
        """The fraction of v that a step keeps; setting it above 0 creates missing v."""
        return self._number("momentum")

    @momentum.setter
    def momentum(self, value: OfNetworks) -> None:
        self._set("momentum", value, "at least 0 and below 1", lambda x: 0 <= x < 1)
        if isinstance(self.momentum, Tensor) or self.momentum:
            for name, _, gradient in self.network.parameters():
                self._velocity(name, gradient)

    @property
    def weight_decay(self) -> float | Tensor:
        """The fraction of a weight that a step adds to its gradient."""
        return self._number("weight_decay")

    @weight_decay.setter
    def weight_decay(self, value: OfNetworks) -> None:
        self._set("weight_decay", value, "at least 0 and finite", lambda x: 0 <= x <= LARGEST)

    def step(self, eta: float | Tensor) -> None:
        parameters, momentum, decay = self.network.parameters(), self.momentum, self.weight_decay
        has_momentum = isinstance(momentum, Tensor) or momentum
        if not parameters or not (has_momentum or isinstance(decay, Tensor) or decay):
            self.network.update_parameters(eta)
            return
        directions = self._decayed(parameters)
        if has_momentum:
            velocities = [self._velocity(name, gradient) for name, _, gradient in parameters]
            if isinstance(momentum, Tensor):
                for velocity in velocities:
                    velocity.mul_(of_networks(momentum, velocity))
            else:
                torch._foreach_mul_(velocities, momentum)
            torch._foreach_add_(velocities, directions)  # v <- μ v + g
            directions = velocities
        descend(parameters, directions, eta)  # w <- w - η v

    def _decayed(self, parameters: Sequence[Parameter]) -> list[Tensor]:
        """Return g + λ w of each parameter."""
        gradients = [gradient for _, _, gradient in parameters]
        decay = self.weight_decay
        if isinstance(decay, Tensor):
            return [
                gradient.addcmul(value, of_networks(decay, value))
                for _, value, gradient in parameters
            ]
        if not decay:
            return gradients
        values = [value for _, value, _ in parameters]
        return list(torch._foreach_add(gradients, values, alpha=decay))

    def _number(self, name: str) -> float | Tensor:
        """Return an option: one for each network from the state, or one for all."""
        return self.__dict__[name] if name in self.__dict__ else self.state[name]

    def _set(self, name: str, given: OfNetworks, must: str, fits: Callable[[Any], bool]) -> None:
        """Set an option.

        Raises:
            ModuleError: a value does not fit, or there is not one for each network.

        """
        several = isinstance(given, (Sequence, np.ndarray, Tensor)) and not isinstance(given, str)
        values: Any = given.tolist() if isinstance(given, (np.ndarray, Tensor)) else given
        table = np.array(values, dtype=object)  # of any shape; a wrong number stays as it is
        for number in table.flat:
            if not isinstance(number, (int, float, np.number)) or not fits(number):
                raise ModuleError(f"SGD: {name} must be {must}, got {number!r}")
        stack = tuple(self.network.stack or ())
        if several and (table.shape != stack or not stack):
            raise ModuleError(
                f"SGD: {name} must be a number, or one for each network of the stack {stack}, "
                f"got {table.shape}"
            )
        for _, like, _ in self.network.parameters()[:1]:
            if (most := max(table.flat)) > torch.finfo(like.dtype).max:
                kind = str(like.dtype).removeprefix("torch.")
                raise ModuleError(f"SGD: {name} must be finite in {kind}, got {most!r}")
        kept = None if name in self.__dict__ else self.state.get(name)
        if several:
            like = self.network.parameters()[0].value
            numbers = torch.tensor(table.astype(float).tolist(), dtype=torch.float64)
            if kept is None:
                self.state[name] = numbers.to(like.device, like.dtype)
            else:
                kept.copy_(numbers)  # in place, as parts of a stack have views of it
            self.__dict__.pop(name, None)
        else:
            if kept is not None:
                del self.state[name]
            self.__dict__[name] = given if isinstance(given, int) else float(table.item())

    def _velocity(self, name: str, gradient: Tensor) -> Tensor:
        """Return v of a parameter, new zeros if its shape or dtype has changed."""
        velocity = self.state.get(name)
        if velocity is None or (velocity.shape, velocity.dtype) != (gradient.shape, gradient.dtype):
            velocity = self.state[name] = torch.zeros_like(gradient)
        return velocity

    def __repr__(self) -> str:
        options = [f"momentum={_shown(self.momentum)}"]
        if isinstance(self.weight_decay, Tensor) or self.weight_decay:
            options.append(f"weight_decay={_shown(self.weight_decay)}")
        return f"SGD({', '.join(options)})"


def _shown(number: float | Tensor) -> str:
    return "one for each network" if isinstance(number, Tensor) else str(number)
