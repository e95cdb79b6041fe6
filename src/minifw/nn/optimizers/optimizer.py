"""The interface of optimisers, and what is checked of a user's own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.held import contents
from minifw.nn.module import Module, described

__all__ = ["Optimizer"]


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

        minifw's own also take a tensor `(stack)`, one for each network.
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


Step = TypeVar("Step", bound=Callable[..., None])


def of_each_network(step: Step) -> Step:
    """Say of a `step` that it takes one learning rate for each network, a tensor `(stack)`.

    A step that a user has written is not asked to: its `eta * gradient` would fail, or give the
    rate of network k to feature k.
    """
    step.of_each_network = True  # type: ignore[attr-defined]
    return step


def takes_rates(optimizer: Optimizer) -> bool:
    """Return whether a plain step takes one learning rate for each network of a stack."""
    own_update = type(optimizer.network).update_parameters is not Module.update_parameters
    return getattr(type(optimizer).step, "of_each_network", False) and not own_update
