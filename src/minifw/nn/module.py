"""The contract that every building block keeps: `Module`.

Tensors end in two dimensions, `(samples, features)`. Whatever stands before them is a *stack* of
independent networks that are trained at once: `(seeds, samples, features)`. One network is the
case without leading dimensions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np
import torch
from torch import Tensor

from minifw.errors import (
    DtypeError,
    ModuleError,
    OrderError,
    ShapeError,
    StateError,
    near_miss,
)

Tensors = Tensor | tuple[Tensor, ...]
"""One tensor, or several where a module takes or gives several."""


FLOATING = (torch.float32, torch.float64)
"""The dtypes of all computation."""


class Parameter(NamedTuple):
    """One trainable tensor of a module: its name, its value, and the gradient of the loss."""

    name: str
    value: Tensor
    gradient: Tensor


class Call(NamedTuple):
    """What one `forward` leaves for the `backward` that belongs to it."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...] | None = None
    saved: Any = None


class _Tracked:
    """An attribute whose assignments are counted, so that a list of tensors can be kept.

    Reading it is as quick as reading any attribute: the value stands in the instance's dict.
    """

    def __set_name__(self, owner: type[Module], name: str) -> None:
        self.name = name

    def __set__(self, module: Module, value: Tensor | None) -> None:
        note_assignment()
        module.__dict__[self.name] = value


class _Trainable(_Tracked):
    """A trainable tensor; assigning it makes the gradient beside it, `<name>_grad`."""

    def __set_name__(self, owner: type[Module], name: str) -> None:
        super().__set_name__(owner, name)
        owner.parameter_names = (*owner.parameter_names, name)
        gradient = _Tracked()
        gradient.__set_name__(owner, f"{name}_grad")
        setattr(owner, gradient.name, gradient)

    def __set__(self, module: Module, value: Tensor | None) -> None:
        super().__set__(module, value)
        setattr(module, f"{self.name}_grad", None if value is None else torch.zeros_like(value))


def trainable() -> Any:
    """Declare a trainable tensor, in the body of a module's class.

    After `weight: Tensor = trainable()`, assigning `linear.weight = tensor` makes the gradient
    beside it, `linear.weight_grad`: zeros of the same shape, dtype and device. None leaves the
    parameter out.
    """
    return _Trainable()


class Module:
    """A function with trainable parameters that knows its own derivative.

    A subclass writes `forward` and `backward`, and declares its parameters by `trainable()`.

    All that `backward` needs belongs to the call and is handed to `remember`; a network keeps
    the call of each of its modules, so one module may stand in several places. A module that
    needs only its input may simply set `self.input = x`.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ()
    call: Call | None = None
    _sound = -1  # the number of assignments when `check_held` found nothing wrong
    _checking = False

    def forward(self, *inputs: Tensor) -> Any:
        """Compute the outputs from the inputs, and remember what `backward` will need."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, *gradients: Tensor) -> Any:
        """Take dL/d(outputs), add dL/d(parameters) to their gradients, return dL/d(inputs).

        Belongs to the latest `forward`. Changes no tensor but the module's own gradients.

        Raises:
            OrderError: no `forward` came before.
            ShapeError, DtypeError: a gradient is not like the output that it belongs to.

        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def accumulate(self, *gradients: Tensor) -> None:
        """Do what `backward` does but for dL/d(inputs), which the first module of all can spare."""
        self.backward(*gradients)

    @property
    def input(self) -> Tensors | None:
        """What the latest `forward` was given (a tuple if several tensors); None before it."""
        if self.call is None:
            return None
        return only(self.call.inputs)

    @input.setter
    def input(self, value: Tensors) -> None:
        self.call = Call(as_tuple(value))

    def parameters(self) -> Sequence[Parameter]:
        """Return name, value and gradient of each trainable tensor; empty if there are none.

        Raises:
            ModuleError: this module holds another one whose parameters are not among them, so
                that no step would ever change those.

        """
        parameters = self.own_parameters()
        if self._sound != assignments():
            self.check_held(parameters)
        return parameters

    def own_parameters(self) -> list[Parameter]:
        """Return the parameters that this module declares itself, by `trainable()`."""
        return [
            Parameter(name, value, getattr(self, f"{name}_grad"))
            for name in self.parameter_names
            if (value := getattr(self, name)) is not None
        ]

    def check_held(self, parameters: Iterable[Parameter]) -> None:
        """Raise a ModuleError unless `parameters` are those of all modules that this one holds.

        It holds what its attributes are, or the lists, tuples, dicts and sets in them; a network
        around it, to which it refers, trains it and not the other way round.
        """
        if self._checking:  # two modules may hold each other
            return
        self._checking = True
        try:
            trained = {id(gradient) for _, _, gradient in parameters}
            for place, module in _held(self):
                if self in module.modules():
                    continue
                for name, _, gradient in module.parameters():
                    if id(gradient) not in trained:
                        raise ModuleError(
                            f"{type(self).__name__}: holds {module} in '{place}', whose '{name}' "
                            f"would never be trained; {self.how_to_hold}"
                        )
        finally:
            self._checking = False
        self._sound = assignments()

    how_to_hold: ClassVar[str] = (
        "a module made of modules must be a Network that iterates over them, such as Sequential"
    )

    def with_parameters(self, values: Iterable[Tensor]) -> Self:
        """Return a copy of this module that holds `values`, in the order of `parameters()`.

        The copy has gradients of its own, and uses the tensors as they are: given views of this
        module's parameters, such as some of its seeds, it trains those in place.
        """
        own = [gradient for _, _, gradient in self.parameters()]
        # A gradient belongs to one module, so it tells whose value is meant.
        new = dict(zip(map(id, own), values, strict=True))
        twin = self.copied(new, {})
        if any(a is not b for (_, a, _), b in zip(twin.parameters(), new.values(), strict=True)):
            raise ModuleError(
                f"{type(self).__name__}.with_parameters: the copy still holds old parameters; "
                f"{Module.how_to_hold}, in attributes, lists, tuples or dicts"
            )
        return twin

    def copied(self, values: Mapping[int, Tensor], copies: dict[Module, Module]) -> Self:
        """Return this module's copy out of `copies`, or make it there; see `with_parameters`.

        `values` holds the new parameters, by the `id` of the gradients of the old ones.
        """
        if self not in copies:
            twin = copies[self] = copy.copy(self)
            twin.call = None
            for name in self.parameter_names:
                if getattr(self, name) is not None:
                    setattr(twin, name, values[id(getattr(self, f"{name}_grad"))])
        return cast(Self, copies[self])

    def modules(self) -> Iterator[Module]:
        """Iterate over this module and, in a network, all modules in it."""
        yield self

    def reset_gradient(self) -> None:
        """Set all gradients to zero, in place."""
        if parameters := self.parameters():
            torch._foreach_zero_([gradient for _, _, gradient in parameters])

    def update_parameters(self, eta: float | Tensor) -> None:
        """Take one step of gradient descent, `value -= eta * gradient`, in place."""
        if parameters := self.parameters():
            descend(parameters, [gradient for _, _, gradient in parameters], eta)

    def initialize(self, init: Any, generators: Sequence[np.random.Generator]) -> None:
        """Draw the parameters anew, network k of the stack from `generators[k]`.

        `init` is an `Initializer` or the name of one. Modules without parameters do nothing.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """Return a copy of each parameter under its name."""
        return {name: value.clone() for name, value, _ in self.parameters()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy the values of `state` into the parameters; all of them or, on an error, none.

        Raises:
            StateError: a name is missing or unknown, or a shape or dtype differs.

        """
        own = {name: value for name, value, _ in self.parameters()}
        for name in state:
            if name not in own:
                raise StateError(
                    f"{self}.load_state_dict: unknown parameter '{name}'{near_miss(name, own)}"
                )
        for name, value in own.items():
            if name not in state:
                raise StateError(f"{self}.load_state_dict: parameter '{name}' is missing")
            came = state[name]
            if came.shape != value.shape or came.dtype != value.dtype:
                raise StateError(
                    f"{self}.load_state_dict: '{name}' must be {described(value)}, "
                    f"got {described(came)}"
                )
        for name, value in own.items():
            value.copy_(state[name])

    def remember(
        self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], saved: Any = None
    ) -> None:
        """Keep this call's inputs, outputs and anything else for the `backward` that follows."""
        self.call = Call(inputs, outputs, saved)

    def recall(self, *gradients: Tensor) -> Call:
        """Return the latest call, having checked that `gradients` are like its outputs."""
        if self.call is None:
            raise OrderError(
                f"{self}.backward: call forward first; there is nothing to go back from"
            )
        outputs = self.call.outputs
        if outputs is None:
            return self.call
        if len(gradients) != len(outputs):
            raise ShapeError(
                f"{self}.backward: expects {len(outputs)} gradient(s), one for each output, "
                f"got {len(gradients)}"
            )
        for gradient, output in zip(gradients, outputs, strict=True):
            if not isinstance(gradient, Tensor) or gradient.dtype != output.dtype:
                raise DtypeError(
                    f"{self}.backward: expects a gradient like the output, {described(output)}, "
                    f"got {described(gradient)}"
                )
            if gradient.shape != output.shape:
                raise ShapeError(
                    f"{self}.backward: expects a gradient of the output's shape "
                    f"{tuple(output.shape)}, got {tuple(gradient.shape)}"
                )
        return self.call

    def check_floating(self, x: object) -> None:
        """Raise a DtypeError unless the input `x` is a tensor of float32 or float64."""
        if not isinstance(x, Tensor) or x.dtype not in FLOATING:
            raise DtypeError(
                f"{self}.forward: expects a tensor of float32 or float64, got {described(x)}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _held(module: Module) -> Iterator[tuple[str, Module]]:
    """Give each module that this one holds, with the name of the attribute in which it stands.

    Raises:
        ModuleError: an attribute is a list or dict that contains itself, and so has no end.

    """
    for owner in (module, *type(module).__mro__):
        for name, attribute in list(vars(owner).items()):
            if name not in ("call", "_kept_parameters"):  # of the latest use, not of its parts
                for item in _items(attribute, f"{type(module).__name__}: '{name}'"):
                    yield name, item


def _items(attribute: Any, where: str, around: tuple[int, ...] = ()) -> Iterator[Module]:
    if isinstance(attribute, Module):
        yield attribute
    elif isinstance(attribute, (list, tuple, set, frozenset, dict)):
        if id(attribute) in around:
            raise ModuleError(f"{where} must hold no {type(attribute).__name__} that holds itself")
        for item in attribute.values() if isinstance(attribute, dict) else attribute:
            yield from _items(item, where, (*around, id(attribute)))


def descend(parameters: Sequence[Parameter], directions: list[Tensor], eta: float | Tensor) -> None:
    """Take the step `value -= eta * direction` for all parameters, in place.

    `eta` is a number; compiled code takes a tensor without dimensions, so that it need not be
    compiled anew for each learning rate.

    Raises:
        ModuleError: `eta` is a number below 0, infinite or NaN.

    """
    values = [value for _, value, _ in parameters]
    if isinstance(eta, Tensor):
        for value, direction in zip(values, directions, strict=True):
            value.sub_(direction * eta)
    else:
        if not 0 <= eta < math.inf:
            raise ModuleError(f"eta must be a finite number of at least 0, got {eta!r}")
        torch._foreach_sub_(values, directions, alpha=eta)


_assignments = 0


def assignments() -> int:
    """Return how often a parameter, gradient or chain of any module has been assigned so far."""
    return _assignments


def note_assignment() -> None:
    """Count one more."""
    global _assignments
    _assignments += 1


def as_tuple(value: Tensors) -> tuple[Tensor, ...]:
    """Return a tuple of tensors, whether one or several came."""
    return value if isinstance(value, tuple) else (value,)


def only(values: tuple[Tensor, ...]) -> Tensors:
    """Return the tensor if there is one, else the tuple."""
    return values[0] if len(values) == 1 else values


def described(value: object) -> str:
    """Return shape and dtype of a tensor in words, for messages."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__
