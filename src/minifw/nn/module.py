"""The interface of every building block: `Module`.

Tensors end in the dimensions of a sample: `(samples, features)`, or `(samples, channels, height,
width)`. The dimensions before the samples are a *stack* of independent networks that are trained
at once: `(seeds, samples, features)`. A single network has no leading dimensions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, overload

import numpy as np
import torch
from torch import Tensor

from minifw.errors import (
    DtypeError,
    ModuleError,
    OrderError,
    ShapeError,
    StateError,
    did_you_mean,
)
from minifw.nn.held import OF_CALLS, contents

if TYPE_CHECKING:
    from minifw.nn.variables import Variable

__all__ = ["Module", "Parameter"]

Tensors = Tensor | tuple[Tensor, ...]
"""One tensor, or several if a module has several inputs or outputs."""


FLOATING = (torch.float32, torch.float64)
"""The dtypes of all computation."""


class Parameter(NamedTuple):
    """One trainable tensor of a module: its name, its value, and the gradient of the loss."""

    name: str
    value: Tensor
    gradient: Tensor


class Call(NamedTuple):
    """What `backward` needs from the `forward` that it belongs to."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...] | None = None
    saved: Any = None


class Module:
    """A function with trainable parameters and its derivative.

    A subclass writes `forward` and `backward`, and gives its parameters to `register_parameter`:

        class PReLU(Module):
            def __init__(self, slope=0.25, stack=(), dtype=torch.float32):
                self.register_parameter("slope", torch.full((*stack, 1, 1), slope, dtype=dtype))

            def forward(self, x):
                y = torch.where(x > 0, x, self.slope * x)
                self.remember((x,), (y,))  # what backward needs
                return y

            def backward(self, gradient):
                (x,) = self.recall(gradient).inputs
                self.slope_grad += (gradient * x.clamp(max=0)).sum((-2, -1), keepdim=True)
                return torch.where(x > 0, gradient, self.slope * gradient)  # dL/dx

    Each parameter begins with the dimensions of the stack, and `backward` adds to its gradient. No
    call of `super().__init__()` is needed. All that `backward` needs belongs to the call and is
    handed to `remember`; a network keeps the call of each of its modules, so one module may stand
    in several places. A module that needs only its input may simply set `self.input = x`.

    Once a network or an optimizer is built from a module, its parameters remain the same tensors:
    `load_state_dict` and `copy_` change their values in place.

    `training` says whether the module is trained or used; dropout and batch normalization differ.
    """

    training: bool = True
    call: Call | None = None
    _names: tuple[str, ...] = ()  # names of the parameters
    _states: tuple[str, ...] = ()  # names of the tensors that forward changes
    _constants: tuple[str, ...] = ()  # names of the buffers
    _parameters: tuple[Parameter, ...] | None = None  # None: to be collected again
    _wired = False  # a network or an optimizer is built from this module

    if TYPE_CHECKING:
        # Tells type checkers of what register_parameter and register_buffer set.
        def __getattr__(self, name: str) -> Tensor: ...

    def register_parameter(self, name: str, value: Tensor) -> None:
        """Set a trainable tensor and its gradient `<name>_grad`, zeros of the same shape and dtype.

        Afterwards, `module.<name> = tensor` does the same, until a network or an optimizer is
        built from the module. An optional parameter that is absent is not registered.

        Raises:
            ModuleError: the name is taken, or a network or an optimizer is built from this module.
            DtypeError: `value` is not a tensor of float32 or float64, or requires_grad.

        """
        self._check_name("register_parameter", name)
        if self._wired:
            raise ModuleError(self._fixed(name))
        if not isinstance(value, Tensor) or value.dtype not in FLOATING:
            raise DtypeError(
                f"{type(self).__name__}: parameter '{name}' must be a tensor of float32 or "
                f"float64, got {described(value)}"
            )
        self._check_plain("parameter", name, value)
        if value.numel() > 1 and 0 in value.stride():  # expand: a step would change one for all
            value = value.clone(memory_format=torch.contiguous_format)
        names = tuple(dict.fromkeys((*self._names, name)))
        gradient = {f"{name}_grad": torch.zeros_like(value)}
        self.__dict__.update({name: value, **gradient, "_names": names, "_parameters": None})

    def register_state(self, name: str, value: Tensor) -> None:
        """Set a tensor that `forward` changes in place while training, such as a running mean.

        It begins with the dimensions of the stack, so that each network has its own. It is not
        trained, and it is kept with the parameters, in `state_dict` and in checkpoints.

        Raises:
            ModuleError: the name is taken, or a network or an optimizer is built from this module.
            DtypeError: `value` is not a tensor of float32 or float64, or requires_grad.

        """
        self._check_name("register_state", name)
        if self._wired or name in (*self._names, *self._constants):
            what = "is a parameter or a buffer" if not self._wired else "cannot be replaced"
            raise ModuleError(
                f"{type(self).__name__}.register_state: '{name}' {what}; a state is registered in "
                "__init__ and changed in place, as by copy_ or add_"
            )
        if not isinstance(value, Tensor) or value.dtype not in FLOATING:
            raise DtypeError(
                f"{type(self).__name__}: state '{name}' must be a tensor of float32 or float64, "
                f"got {described(value)}"
            )
        self._check_plain("state", name, value)
        if value.numel() > 1 and 0 in value.stride():  # expand: networks would share numbers
            value = value.clone(memory_format=torch.contiguous_format)
        names = tuple(dict.fromkeys((*self._states, name)))
        self.__dict__.update({name: value, "_states": names, "_parameters": None})

    def register_buffer(self, name: str, value: Tensor) -> None:
        """Set a tensor that is not trained, such as a constant.

        All networks of a stack and all copies of the module share it.
        """
        self._check_name("register_buffer", name)
        trained = name in (*self._names, *self._states)
        if trained or not isinstance(value, Tensor):
            what = "a parameter or state" if trained else described(value)
            raise ModuleError(
                f"{type(self).__name__}.register_buffer: '{name}' must be a tensor and not a "
                f"parameter, got {what}"
            )
        self._check_plain("buffer", name, value)
        names = tuple(dict.fromkeys((*self._constants, name)))
        self.__dict__.update({name: value, "_constants": names, "_parameters": None})

    def _check_plain(self, what: str, name: str, value: Tensor) -> None:
        """Raise a DtypeError for a tensor that autograd would follow through each step."""
        if value.requires_grad:
            raise DtypeError(
                f"{type(self).__name__}: {what} '{name}' must be a tensor without requires_grad, "
                f"since backward is written by hand, got a {type(value).__name__} with it; "
                "value.detach() is one without"
            )

    def _check_name(self, method: str, name: str) -> None:
        is_word = isinstance(name, str) and name.isidentifier()
        taken = is_word and (name == "call" or getattr(type(self), name, None) is not None)
        if taken or not is_word:
            raise ModuleError(
                f"{type(self).__name__}.{method}: the name must be a word that the class does not "
                f"use otherwise, got {name!r}"
            )
        registered = (*self._names, *self._states, *self._constants)
        if name.removesuffix("_grad") in {*self._names} - {name} or f"{name}_grad" in registered:
            raise ModuleError(
                f"{type(self).__name__}.{method}: '{name}' and another name differ by _grad alone, "
                "which is a gradient's; rename one"
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if value is self.__dict__.get(name, self):
            return  # the same tensor, as after `linear.weight *= 2`
        if name in self._names:
            self.register_parameter(name, value)
            return
        if name in self._states:
            self.register_state(name, value)
            return
        if self._wired and name.removesuffix("_grad") in self._names:
            raise ModuleError(self._fixed(name))
        if name not in ("call", "input"):
            self.__dict__["_parameters"] = None
        super().__setattr__(name, value)

    def _fixed(self, name: str) -> str:
        if name not in self._names and name.removesuffix("_grad") in self._names:
            return (
                f"{type(self).__name__}: '{name}' cannot be exchanged; backward adds to it, "
                f"self.{name} += …, and zero_ or copy_ change its values in place"
            )
        return (
            f"{type(self).__name__}: '{name}' cannot be replaced or added once a network or an "
            "optimizer is built from the module; load_state_dict, or copy_ on the tensor, changes "
            "values in place"
        )

    if TYPE_CHECKING:

        @overload
        def __call__(self, *inputs: Variable) -> Variable: ...
        @overload
        def __call__(self, *inputs: Tensor) -> Tensor: ...

    def __call__(self, *inputs: Any) -> Any:
        """Return the outputs for tensors; for variables, variables that remember this call."""
        for value in inputs:
            if not isinstance(value, Tensor) and hasattr(value, "node"):
                return value.act(self, *inputs)
        return self.forward(*inputs)

    # With `*inputs: Any, **more: Any` type checkers let subclasses name their own inputs.

    def forward(self, *inputs: Any, **more: Any) -> Any:
        """Compute the outputs from the inputs, and remember what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, *gradients: Any, **more: Any) -> Any:
        """Take dL/d(outputs), add dL/d(parameters) to the gradients, return dL/d(inputs).

        It belongs to the latest `forward`. It changes no tensor except the module's own gradients.

        Raises:
            OrderError: `forward` was not called before.
            ShapeError, DtypeError: a gradient differs in shape or dtype from its output.

        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def accumulate(self, *gradients: Any, **more: Any) -> None:
        """Do what `backward` does, without dL/d(inputs), which the first module need not give."""
        self.backward(*gradients)

    @property
    def input(self) -> Tensors | None:
        """The input of the latest `forward` (a tuple if there are several); None before it."""
        if self.call is None:
            return None
        return only(self.call.inputs)

    @input.setter
    def input(self, value: Tensors) -> None:
        self.__dict__["call"] = Call(as_tuple(value))

    @property
    def stack(self) -> tuple[int, ...] | None:
        """The leading dimensions of the parameters, `()` for one network; None: any stack fits."""
        return None

    def parameters(self) -> Sequence[Parameter]:
        """Return name, value and gradient of each trainable tensor; empty if there are none.

        Raises:
            ModuleError: this module holds a module whose parameters are not among them, or a tensor
                that is not registered: training would never change those.

        """
        # Every step needs them, so they are kept until an attribute is assigned.
        if self._parameters is None:
            parameters = tuple(self.list_parameters())
            self.check_parameters(parameters)
            self.__dict__["_parameters"] = parameters
        return self._parameters or ()

    def list_parameters(self) -> Iterable[Parameter]:
        """Yield the parameters, without the search for others that are not registered."""
        own = self.__dict__
        return [Parameter(name, own[name], own[f"{name}_grad"]) for name in self._names]

    def states(self) -> Sequence[tuple[str, Tensor]]:
        """Return name and value of each tensor that `forward` changes while training."""
        return tuple(self.list_states())

    def list_states(self) -> Iterable[tuple[str, Tensor]]:
        """Yield the states of this module and, in a network, of all modules in it."""
        return [(name, self.__dict__[name]) for name in self._states]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of this module and all modules in it: training, or (False) use."""
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Self:
        """Set the mode of this module and all modules in it to use; see `training`."""
        return self.train(False)

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers while training."""
        return type(self).reseed is not Module.reseed

    def without_chance(self) -> None:
        """Put all modules that are random in training in use: each call gives the same then."""
        for module in self.modules():
            if module.is_random:
                module.eval()

    def reseed(self, generators: Sequence[np.random.Generator]) -> None:
        """Begin new streams of random numbers: network k of the stack takes `generators[k]`.

        Only modules that are random while training, such as dropout, have one for each network.
        """

    def check_parameters(self, parameters: Sequence[Parameter]) -> None:
        """Raise a ModuleError if the module holds a parameter or tensor that is not registered.

        It holds what `contents` finds. A network around it does not count: that trains this module.
        """
        trained = {id(gradient) for _, _, gradient in parameters}
        if len({id(value) for _, value, _ in parameters}) < len(parameters):
            raise ModuleError(
                f"{type(self).__name__}: two of its parameters are one tensor, and copies would "
                "separate them; use one module in several places instead"
            )
        held = [(place, value) for place, value, _ in contents(self, Module)]
        known = trained | {id(value) for _, value, _ in parameters}
        for module in (self, *(value for _, value in held if isinstance(value, Module))):
            own = (*module._constants, *module._states)
            known |= {id(module.__dict__[name]) for name in own}
        for place, value in held:
            if isinstance(value, Module) and not is_around(value, self):
                for name, _, gradient in value.list_parameters():
                    if id(gradient) not in trained:
                        raise ModuleError(
                            f"{type(self).__name__}: holds {value} in '{place}', whose '{name}' "
                            f"would never be trained; {self.how_to_hold}"
                        )
            is_number = isinstance(value, Tensor) and value.dtype.is_floating_point
            if is_number and id(value) not in known:
                raise ModuleError(
                    f"{type(self).__name__}: the tensor in '{place}', {described(value)}, would "
                    "never be trained; register_parameter trains it, register_buffer keeps it as a "
                    "constant, register_state as what forward changes, self.remember keeps it for "
                    "backward"
                )

    how_to_hold: ClassVar[str] = (
        "a module made of modules must be a network that registers them: a Graph or a Sequential"
    )

    def wire(self) -> None:
        """Check everything that the module holds, and fix the tensors that are trained.

        An `Optimizer` or a network calls this when it is built. `parameters` says what is raised.
        """
        for module in self.modules():
            module.__dict__["_parameters"] = None
        self.parameters()
        if self.stack is not None:
            self.check_stack(self.stack)
        for module in self.modules():
            module.__dict__["_wired"] = True

    def check_stack(self, stack: tuple[int, ...]) -> None:
        """Raise a ShapeError unless each parameter begins with the dimensions of this stack.

        One that does not would be trained by all networks of the stack together.
        """
        parameters = [("parameter", name, value) for name, value, _ in self.parameters()]
        states = [("state", name, value) for name, value in self.states()]
        for what, name, value in (*parameters, *states):
            if tuple(value.shape[: len(stack)]) != tuple(stack):
                inner = (m for m in self.modules() for one in m.__dict__.values() if one is value)
                raise ShapeError(
                    f"{next(inner, self)}: {what} '{name}' must begin with the stack {stack}, "
                    f"so that each network has its own, got {described(value)}; make it with "
                    "stack=stack, as torch.full((*stack, …), …)"
                )

    def with_parameters(self, values: Iterable[Tensor], states: Iterable[Tensor] = ()) -> Self:
        """Return a copy with `values` as parameters and `states` as states, in their orders.

        The copy has its own gradients and uses the given tensors themselves: with views of this
        module's parameters, such as those of some seeds, it trains these in place. All modules in
        it are copied, with the lists, dicts and other containers that hold them; everything else is
        shared.

        Raises:
            ModuleError: there is not one tensor for each parameter and state, or the copy would
                still hold old parameters, for instance in a closure.

        """
        values, states = list(values), list(states)
        counts = len(self.parameters()), len(self.states())
        if (len(values), len(states)) != counts:
            raise ModuleError(
                f"{type(self).__name__}.with_parameters: expects {counts[0]} parameters and "
                f"{counts[1]} states, got {len(values)} and {len(states)}"
            )
        new: dict[int, Any] = {}  # objects of the copy, by the id of the original
        gradients = set()
        for (_, old, gradient), value in zip(self.parameters(), values, strict=True):
            new[id(old)], new[id(gradient)] = value, torch.zeros_like(value)
            gradients.add(id(gradient))
        new |= {id(old): value for (_, old), value in zip(self.states(), states, strict=True)}
        for _, value, is_leaf in [("", self, False), *contents(self, Module)]:
            if is_leaf:
                new.setdefault(id(value), value)
            elif isinstance(value, Module):
                own = value.__dict__  # a copy begins without calls
                new |= {id(own[name]): None for name in OF_CALLS if own.get(name) is not None}
        copied = copy.deepcopy(self, new)
        forget(copied)
        for place, value, _ in contents(copied, Module):
            if isinstance(value, Module):
                forget(value)
            elif id(value) in gradients:
                raise ModuleError(
                    f"{type(self).__name__}.with_parameters: the copy still holds old parameters "
                    f"in '{place}'; {self.how_to_hold}, in attributes, lists, tuples, dicts or sets"
                )
        return copied

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
            gradients = [gradient for _, _, gradient in parameters]
            descend(parameters, gradients, eta)  # w <- w - eta dL/dw

    def initialize(self, init: Any, generators: Sequence[np.random.Generator]) -> None:
        """Draw new parameters, those of network k of the stack from `generators[k]`.

        `init` is an `Initializer` or its name. A module without parameters does nothing.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """Return a copy of each parameter and state under its name."""
        return {name: value.clone() for name, value in self.tensors().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameters, then the states, by their names."""
        return {name: value for name, value, _ in self.parameters()} | dict(self.states())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy the values of `state` into parameters and states: all or, on an error, none.

        Raises:
            StateError: a name is missing or unknown, or a shape or dtype differs.

        """
        own = self.tensors()
        for name in state:
            if name not in own:
                raise StateError(
                    f"{self}.load_state_dict: unknown parameter '{name}'{did_you_mean(name, own)}"
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
        """Keep the inputs, outputs and anything else of this call for its `backward`."""
        self.__dict__["call"] = Call(inputs, outputs, saved)  # quicker than __setattr__

    def recall(self, *gradients: Tensor) -> Call:
        """Return the latest call, after checking that `gradients` have the form of its outputs."""
        if self.call is None:
            nothing = "forward has remembered nothing"
            if "call" not in self.__dict__:  # no network has put back what forward left
                nothing = f"call forward first; there is nothing to go back from, or {nothing}"
            raise OrderError(
                f"{self}.backward: {nothing}; self.remember((x,), (y,)) keeps what backward needs"
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

    def at(self, call: Call | None) -> Self:
        """Return this module, with `call`, of an earlier `forward`, as its latest call."""
        self.__dict__["call"] = call
        return self

    def check_floating(self, x: object) -> None:
        """Raise a DtypeError unless the input `x` is a tensor of float32 or float64."""
        if not isinstance(x, Tensor) or x.dtype not in FLOATING:
            raise DtypeError(
                f"{self}.forward: expects a tensor of float32 or float64, "
                f"got {described(x)}{as_called(x)}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@contextmanager
def in_mode(module: Module, training: bool) -> Iterator[None]:
    """Within this block a module and all modules in it are trained, or used; see `training`."""
    usual = [(inner, inner.training) for inner in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for inner, mode in usual:
            inner.__dict__["training"] = mode


def forget(module: Module) -> None:
    """Remove what a module keeps of its calls."""
    for name in OF_CALLS:
        module.__dict__.pop(name, None)


def is_around(network: Module, module: Module) -> bool:
    """Return whether `network` contains `module`."""
    return any(inner is module for inner in network.modules())


def descend(parameters: Sequence[Parameter], directions: list[Tensor], eta: float | Tensor) -> None:
    """Take the step `value -= eta * direction` for all parameters, in place.

    `eta` is a number, or a tensor with one for each network of the stack. Compiled code takes a
    tensor without dimensions, so that it is not compiled again for each learning rate.

    Raises:
        ModuleError: `eta` is a number below 0, infinite or NaN, or there is not one for each
            network.

    """
    values = [value for _, value, _ in parameters]
    if isinstance(eta, Tensor) and eta.ndim:
        for value, direction in zip(values, directions, strict=True):
            if value.shape[: eta.ndim] != eta.shape:
                raise ShapeError(
                    f"eta must be a number, or one for each network, got {tuple(eta.shape)} for "
                    f"a parameter {tuple(value.shape)}"
                )
            # Rounded once, as with one number for all, so that each network has the same bits.
            value.addcmul_(direction, of_networks(eta, value), value=-1)
    elif isinstance(eta, Tensor):
        for value, direction in zip(values, directions, strict=True):
            value.sub_(direction * eta)
    else:
        if not 0 <= eta < math.inf:
            raise ModuleError(f"eta must be a finite number of at least 0, got {eta!r}")
        torch._foreach_sub_(values, directions, alpha=eta)


def of_networks(numbers: Tensor, value: Tensor) -> Tensor:
    """Return one number for each network, `(stack)`, in a shape that is broadcast to `value`."""
    return numbers.reshape((*numbers.shape, *[1] * (value.ndim - numbers.ndim)))


def as_tuple(value: Tensors) -> tuple[Tensor, ...]:
    """Return a tuple of tensors for one tensor or several."""
    return value if isinstance(value, tuple) else (value,)


def only(values: tuple[Tensor, ...]) -> Tensors:
    """Return the only tensor if there is one, else the tuple."""
    return values[0] if len(values) == 1 else values


def as_called(value: object) -> str:
    """Return what to do with a variable of a `Graph`, for messages; "" for anything else."""
    if isinstance(value, Tensor) or not hasattr(value, "node"):
        return ""
    return "; with variables call the module itself, self.module(x), not its forward"


def described(value: object) -> str:
    """Return shape and dtype of a tensor in words, for messages."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__
