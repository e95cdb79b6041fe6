"""Networks, modules made of modules: `Sequential` is a chain, `graphs.Graph` has any shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from minifw.errors import DtypeError, ModuleError
from minifw.nn.module import Module, Parameter, as_tuple, described, is_around, only

__all__ = ["Network", "Sequential"]


class Network(Module):
    """A module made of modules, over which it iterates. Networks can contain networks.

    A subclass of `Sequential` or `Graph` sets its modules in attributes and gives them to
    `register_modules`. It writes no backward pass: that follows from the record of the calls.
    Parameters are named after the position of their module, "0.weight", as in PyTorch's Sequential.
    A module that is registered several times counts once, at its first position.
    """

    _modules: tuple[Module, ...] = ()

    def __init__(self, *modules: Module) -> None:
        if modules:
            self.register_modules(*modules)

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        for name in ("forward", "backward", "accumulate"):
            owner = next(base for base in cls.__mro__ if name in vars(base))
            if not owner.__module__.startswith("minifw.nn."):
                # A backward pass by hand would be wrong for a module that is used twice.
                raise ModuleError(
                    f"{cls.__name__}: a network must not define {name}, as {owner.__name__} does; "
                    "a Graph connects its modules in connect(self, x) and derives its backward; "
                    "a formula of your own belongs in a Module"
                )
        connecting = [base for base in cls.__mro__ if "connect" in vars(base)]
        if connecting and not any(base.__module__ == "minifw.nn.graphs" for base in connecting):
            raise ModuleError(
                f"{cls.__name__}: a chain does not look at connect, which {connecting[0].__name__} "
                f"defines; derive it from Graph: class {cls.__name__}(nn.Graph)"
            )

    def register_modules(self, *modules: Module) -> None:
        """Set the modules, one or more; in a `Sequential` in the order in which they act.

        From then on their parameters are fixed: see `Module`.

        Raises:
            ModuleError: no module was given, or something that is not a module, or a network that
                contains this one; or another network or an optimizer is built from this one.

        """
        where = f"{type(self).__name__}.register_modules"
        if not modules:
            raise ModuleError(f"{where}: expects at least one module")
        if self._wired:
            raise ModuleError(
                f"{where}: modules cannot be replaced once another network or an optimizer is "
                "built from this one; make a new network of them"
            )
        for position, module in enumerate(modules):
            if not isinstance(module, Module):
                raise ModuleError(
                    f"{where}: expects modules, got {type(module).__name__} at position {position}"
                )
            if is_around(module, self):
                raise ModuleError(
                    f"{where}: a network cannot contain itself, got {type(module).__name__} at "
                    f"position {position}"
                )
        self.__dict__.update({"_modules": modules, "_parameters": None})
        for module in modules:
            module.__dict__["_wired"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if value is not old and any(module is old for module in self._modules):
            raise ModuleError(
                f"{type(self).__name__}: '{name}', {old}, is registered and cannot be replaced; "
                "set it before register_modules, or load_state_dict to change its values"
            )
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Module]:
        """Iterate over the modules in the order of their registration."""
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, position: int) -> Module:
        return self._modules[position]

    def modules(self) -> Iterator[Module]:
        """Iterate over this network and all modules in it, those of inner networks too."""
        yield self
        for module in self._modules:
            yield from module.modules()

    @property
    def stack(self) -> tuple[int, ...] | None:
        stacks = (module.stack for module in self._modules)
        return next((stack for stack in stacks if stack is not None), None)

    how_to_hold = "give it to register_modules as well"

    def list_parameters(self) -> Iterable[Parameter]:
        # Each parameter has its own gradient, whose id shows whether it was seen already.
        found: dict[int, Parameter] = {}
        for position, module in enumerate(self._modules):
            for name, value, gradient in module.list_parameters():
                found.setdefault(id(gradient), Parameter(f"{position}.{name}", value, gradient))
        return found.values()

    def check_parameters(self, parameters: Sequence[Parameter]) -> None:
        for module in self._modules:
            module.parameters()  # a fault of a module is reported by that module
        for name in self._names:
            raise ModuleError(
                f"{type(self).__name__}: its own '{name}' would never be trained; a network trains "
                "the modules that it registers: put it into one of those"
            )
        super().check_parameters(parameters)

    def initialize(self, init: Any, generators: Sequence[np.random.Generator]) -> None:
        """Draw new parameters, in the order of the modules; network k from `generators[k]`."""
        for module in {id(module): module for module in self._modules}.values():
            module.initialize(init, generators)

    def results(self) -> Iterator[tuple[int, Tensor]]:
        """Yield what each module computed in the latest `forward`: (its position, a tensor)."""
        raise NotImplementedError(f"{type(self).__name__} does not define results")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._modules))})"


def _nothing_returned(module: Module, gradients: tuple[Any, ...] | None) -> ModuleError:
    came = ", ".join(map(described, gradients or (None,)))
    return DtypeError(
        f"{module}.backward: must return dL/dx, a tensor for each input of forward, got {came}"
    )


class Sequential(Network):
    """Modules in a chain: each takes the output of the one before.

    Shapes are those of the first module's inputs and the last module's outputs. Short form:
    `Sequential(Linear(2, 25), ReLU(), Linear(25, 2))`. As a subclass:

        class SimpleNet(Sequential):
            def __init__(self):
                self.hidden = Linear(2, 25)
                self.relu = ReLU()
                self.output = Linear(25, 2)
                self.register_modules(self.hidden, self.relu, self.output)
    """

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
        returned = self._back(gradients, to_input=True)
        if returned is None:
            raise _nothing_returned(self._modules[0], None)
        return returned

    def accumulate(self, *gradients: Tensor) -> None:
        self._back(gradients, to_input=False)

    def _back(self, gradients: tuple[Tensor, ...], to_input: bool) -> Any:
        """Go back through all modules; through the first by `backward` or by `accumulate`."""
        calls = self.recall(*gradients).saved
        modules = self._modules
        position = len(modules)
        try:
            for position in range(len(modules) - 1, 0, -1):
                gradients = as_tuple(modules[position].at(calls[position]).backward(*gradients))
            position = 0
            first = modules[0].at(calls[0])
            return first.backward(*gradients) if to_input else first.accumulate(*gradients)
        except Exception:
            # Whoever cannot use a gradient that is none is not to blame: the one that gave it is.
            if not all(isinstance(gradient, Tensor) for gradient in gradients):
                raise _nothing_returned(modules[position + 1], gradients) from None
            raise

    def results(self) -> Iterator[tuple[int, Tensor]]:
        if self.call is None:
            return
        # A module may not have kept its output, which is also the input of the next.
        following = [call and call.inputs for call in self.call.saved[1:]] + [self.call.outputs]
        for position, (call, after) in enumerate(zip(self.call.saved, following, strict=True)):
            for value in (call and call.outputs) or after or ():
                yield position, value
