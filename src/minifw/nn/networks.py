"""Networks: modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.module import Module, Parameter, as_tuple, assignments, note_assignment, only


class Network(Module):
    """A module made of modules, over which it iterates; networks nest.

    A subclass defines `__iter__`, `forward` and `backward`. Parameters are named after the
    place of their module, "0.weight", as in PyTorch's Sequential. A module that stands in
    several places counts once, under its first.
    """

    def __iter__(self) -> Iterator[Module]:
        """Iterate over the modules, in the order in which they act."""
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")

    def modules(self) -> Iterator[Module]:
        """Iterate over this network and all modules in it, those of inner networks too."""
        yield self
        for module in self:
            yield from module.modules()

    how_to_hold = "a network trains what it iterates over: __iter__ must give that module too"
    _kept_parameters: tuple[Any, tuple[Parameter, ...]] = (None, ())

    def check_held(self, parameters: Iterable[Parameter]) -> None:
        for name, _, _ in self.own_parameters():
            raise ModuleError(
                f"{type(self).__name__}: its own '{name}' would never be trained; a network trains "
                "the modules that it iterates over: put it into one of those"
            )
        super().check_held(parameters)

    def parameters(self) -> Sequence[Parameter]:
        # Every step asks for them, so they are kept until a module or any tensor is exchanged.
        state = (assignments(), *self)
        if self._kept_parameters[0] != state:
            # A gradient belongs to one module: it tells which parameters have been seen already.
            found: dict[int, Parameter] = {}
            for position, module in enumerate(self):
                for name, value, gradient in module.parameters():
                    parameter = Parameter(f"{position}.{name}", value, gradient)
                    found.setdefault(id(gradient), parameter)
            parameters = tuple(found.values())
            self.check_held(parameters)
            self._kept_parameters = (state, parameters)
        return self._kept_parameters[1]

    def copied(self, values: Mapping[int, Tensor], copies: dict[Module, Module]) -> Self:
        if self in copies:
            return cast(Self, copies[self])
        twin = super().copied(values, copies)
        for name, attribute in vars(self).items():
            if name not in ("call", "_kept_parameters"):
                twin.__dict__[name] = _copied(attribute, values, copies)
        twin._kept_parameters = (None, ())
        return twin

    def results(self) -> Iterator[tuple[int, Tensor]]:
        """Give what each module computed in the latest `forward`: (its position, a tensor)."""
        for position, module in enumerate(self):
            for value in (module.call and module.call.outputs) or ():
                yield position, value

    def initialize(self, init: Any, generators: Sequence[np.random.Generator]) -> None:
        """Draw all parameters anew, in the order of the modules; network k from `generators[k]`."""
        for module in dict.fromkeys(self):
            module.initialize(init, generators)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self))})"


def _copied(attribute: Any, values: Mapping[int, Tensor], copies: dict[Module, Module]) -> Any:
    """Return an attribute of a network, with copies of the modules in it."""
    if isinstance(attribute, dict):
        return {name: _copied(item, values, copies) for name, item in attribute.items()}
    if isinstance(attribute, (tuple, list)):
        items = [_copied(item, values, copies) for item in attribute]
        named = hasattr(attribute, "_fields")  # a NamedTuple takes them one by one
        return type(attribute)(*items) if named else type(attribute)(items)
    is_module = isinstance(attribute, Module)
    return attribute.copied(values, copies) if is_module else attribute


class Sequential(Network):
    """Modules in a chain, each taking what the one before it gave.

    Shapes are those of the first module's inputs and the last module's outputs. Short form:
    `Sequential(Linear(2, 25), ReLU(), Linear(25, 2))`. As a subclass:

        class SimpleNet(Sequential):
            def __init__(self):
                self.hidden = Linear(2, 25)
                self.relu = ReLU()
                self.output = Linear(25, 2)
                self.register_modules(self.hidden, self.relu, self.output)
    """

    how_to_hold = "give it to register_modules as well"
    _modules: tuple[Module, ...] = ()

    def __init__(self, *modules: Module) -> None:
        if modules:
            self.register_modules(*modules)

    def register_modules(self, *modules: Module) -> None:
        """Set the chain: the modules in the order in which they act, one or more.

        Raises:
            ModuleError: none was given, or something that is not a module.

        """
        if not modules:
            raise ModuleError(
                f"{type(self).__name__}.register_modules: expects at least one module"
            )
        for position, module in enumerate(modules):
            if not isinstance(module, Module):
                raise ModuleError(
                    f"{type(self).__name__}.register_modules: expects modules, got "
                    f"{type(module).__name__} at position {position}"
                )
        self._modules = modules
        note_assignment()

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, position: int) -> Module:
        return self._modules[position]

    def forward(self, *inputs: Tensor) -> Any:
        if not self._modules:
            raise ModuleError(f"{self}.forward: no modules are registered")
        values = inputs
        calls = []
        for module in self._modules:
            values = as_tuple(module.forward(*values))
            calls.append(module.call)
        self.remember(inputs, values, calls)
        return only(values)

    def backward(self, *gradients: Tensor) -> Any:
        first, outer = self._back_to_first(*gradients)
        return first.backward(*outer)

    def accumulate(self, *gradients: Tensor) -> None:
        first, outer = self._back_to_first(*gradients)
        first.accumulate(*outer)

    def _back_to_first(self, *gradients: Tensor) -> tuple[Module, tuple[Tensor, ...]]:
        """Go back through all modules but the first; return that and the gradients for it."""
        calls = self.recall(*gradients).saved
        for position in range(len(self._modules) - 1, 0, -1):
            module = self._modules[position]
            module.call = calls[position]
            gradients = as_tuple(module.backward(*gradients))
        first = self._modules[0]
        first.call = calls[0]
        return first, gradients

    def results(self) -> Iterator[tuple[int, Tensor]]:
        if self.call is None:
            return
        # A module may have kept only its inputs, or nothing; what it gave is what the next took.
        following = [call and call.inputs for call in self.call.saved[1:]] + [self.call.outputs]
        for position, (call, after) in enumerate(zip(self.call.saved, following, strict=True)):
            for value in (call and call.outputs) or after or ():
                yield position, value
