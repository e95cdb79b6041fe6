"""`Network`: a module made of modules, whose backward pass is read off the record of calls."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError
from minifw.nn.buffers import unbuffered
from minifw.nn.module import Call, Module, Parameter, described, is_around, only
from minifw.nn.operations import Operation
from minifw.nn.variables import Record, Variable, record

__all__ = ["Network"]


class Network(Module):
    """A module made of modules, over which it iterates. Networks can contain networks.

    A subclass sets its modules in attributes and gives them to `register_modules`. It writes
    `forward` as in PyTorch and no backward pass, which follows from the record of the calls:

        class Deep(Network):
            def __init__(self):
                self.first, self.layer, self.relu = Linear(2, 25), Linear(25, 25), ReLU()
                self.last = Linear(25, 2)
                self.register_modules(self.first, self.layer, self.relu, self.last)

            def forward(self, x):
                x = self.relu(self.first(x))
                while x.value.norm() < 10:
                    x = x + self.relu(self.layer(x))
                return self.last(x)

    `forward` gets a `Variable` for each input and is recorded in each call, so Python's control
    flow may differ from call to call. A `Graph` is recorded once. Parameters are named after the
    position of their module, "0.weight", as in PyTorch's Sequential. A module that is registered
    several times counts once, at its first position.
    """

    _modules: tuple[Module, ...] = ()
    _is_recorded_anew: ClassVar[bool] = False  # in each call, by a user's `forward`

    def __init__(self, *modules: Module) -> None:
        if modules:
            self.register_modules(*modules)

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        fixed = any(base.__module__ == "minifw.nn.graphs" for base in cls.__mro__)
        for name in ("forward", "backward", "accumulate"):
            owner: Any = next(base for base in cls.__mro__ if name in vars(base))
            if owner.__module__.startswith("minifw.nn."):
                continue
            if name == "forward" and not fixed:
                if not hasattr(owner.forward, "recorded"):
                    cls.forward = _recorded(owner.forward)  # type: ignore[method-assign]
                cls._is_recorded_anew = True
                continue
            # A backward pass by hand would be wrong for a module that is used twice.
            raise ModuleError(
                f"{cls.__name__}: a {'Graph' if fixed else 'network'} must not define {name}, as "
                f"{owner.__name__} does; a Graph connects its modules in connect(self, x), a class "
                "derived from nn.Network in forward(self, x), and both derive their backward; a "
                "formula of your own belongs in a Module"
            )
        connecting = [base for base in cls.__mro__ if "connect" in vars(base)]
        chain = any(base.__name__ == "Sequential" for base in cls.__mro__ if base in _own())
        if connecting and (not fixed or (chain and connecting[0] not in _own())):
            raise ModuleError(
                f"{cls.__name__}: a {'chain' if fixed else 'network'} does not look at connect, "
                f"which {connecting[0].__name__} defines; derive it from Graph: class "
                f"{cls.__name__}(nn.Graph)"
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

    def list_states(self) -> Iterable[tuple[str, Tensor]]:
        found: dict[int, tuple[str, Tensor]] = {}
        for position, module in enumerate(self._modules):
            for name, value in module.list_states():
                found.setdefault(id(value), (f"{position}.{name}", value))
        return found.values()

    @property
    def is_random(self) -> bool:
        return False  # the modules in it may be

    def reseed(self, generators: Sequence[np.random.Generator]) -> None:
        for module in {id(module): module for module in self._modules}.values():
            module.reseed(generators)

    def record(
        self,
        function: Callable[..., Any],
        inputs: tuple[Tensor, ...],
        kind: type[Variable] = Variable,
        key: Hashable = None,
    ) -> Any:
        """Call a function of variables with these inputs, and remember what it did.

        With a `key` the record is kept as well.
        """
        given = [kind(value) for value in inputs]
        ends = function(*given)
        ends = tuple(ends) if isinstance(ends, (tuple, list)) else (ends,)
        name = type(self).__name__
        for end in ends:
            if not isinstance(end, Variable):
                raise DtypeError(
                    f"{name}: must return inputs, or outputs of modules that were called with "
                    f"variables, got {described(end)}"
                )
        try:
            made = record(ends, given, fixed=True)
        except ModuleError as fault:
            raise ModuleError(f"{name}: {fault}") from None
        registered = {id(module) for module in self.modules()}
        for step in made.record.steps:
            if id(step.module) not in registered and not isinstance(step.module, Operation):
                raise ModuleError(
                    f"{name}: {step.module} is used but not registered, so it would not be copied "
                    "or trained; give it to register_modules"
                )
        if key is not None:
            self.keep(key, made.record)
        return self.finish(inputs, *made)

    def keep(self, key: Hashable, record: Record) -> None:
        """Keep a record, to run it again."""

    def finish(
        self,
        inputs: tuple[Tensor, ...],
        record: Record,
        values: Sequence[Tensor],
        calls: Sequence[Call | None],
    ) -> Any:
        """Remember a forward pass and return its outputs."""
        outputs = tuple([values[number] for number in record.ends])
        self.remember(inputs, outputs, (record, values, calls))
        return only(outputs)

    def forward(self, *inputs: Any, **more: Any) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__}: a class derived from nn.Network defines forward(self, x), one "
            "derived from nn.Graph connect(self, x)"
        )

    def backward(self, *gradients: Tensor) -> Any:
        values, found = self._back(gradients, to_inputs=True)
        return only(
            tuple(
                torch.zeros_like(value) if gradient is None else gradient
                for value, gradient in zip(values, found, strict=False)
            )
        )

    def accumulate(self, *gradients: Tensor) -> None:
        self._back(gradients, to_inputs=False)

    def _back(
        self, gradients: tuple[Tensor, ...], to_inputs: bool
    ) -> tuple[Sequence[Tensor], list[Tensor | None]]:
        """Go back through the latest call; return its values, and the gradients of its inputs."""
        record, values, calls = self.recall(*gradients).saved
        if not self._is_recorded_anew:
            return values, record.back(values, calls, gradients, to_inputs)
        with unbuffered():  # what is computed may differ from call to call
            return values, record.back(values, calls, gradients, to_inputs)

    def results(self) -> Iterator[tuple[int, Tensor]]:
        """Yield what each module computed in the latest `forward`: (its position, a tensor).

        An operation counts as the module called before it.
        """
        if self.call is None:
            return
        record, values, _ = self.call.saved
        places: dict[int, int] = {}
        for position, registered in enumerate(self._modules):
            for module in registered.modules():
                places.setdefault(id(module), position)
        position = 0
        for step in record.steps:
            position = places.get(id(step.module), position)
            for number in range(step.first, step.first + step.outputs):
                yield position, values[number]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._modules))})"


def _own() -> set[Any]:
    """Return minifw's own networks."""
    own: list[Any] = [Network, *Network.__subclasses__()]
    own += [cls for base in own[1:] for cls in base.__subclasses__()]
    return {cls for cls in own if cls.__module__.startswith("minifw.nn.")}


def _recorded(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a user's `forward`, which is written for variables, as one for tensors as well."""

    @functools.wraps(forward)
    def acting(self: Network, *inputs: Any) -> Any:
        if any(isinstance(value, Variable) for value in inputs):
            return forward(self, *inputs)  # within another pass: super().forward(x)
        with unbuffered():  # what is computed may differ from call to call
            return self.record(functools.partial(forward, self), inputs)

    acting.recorded = True  # type: ignore[attr-defined]
    return acting
