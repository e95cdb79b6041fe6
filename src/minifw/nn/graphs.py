"""Networks of any shape: `Graph`, whose backward pass follows from the record of the forward pass.

In `connect` modules are called with variables. A `Variable` stands for a tensor in the graph and
knows the node that made it: one call of a module. The `Tape` is the list of nodes in their order.
The backward pass goes through the nodes from the last to the first and gives each module the
gradients of its outputs: `module.at(call).backward(*gradients)`. The gradients of a value that was
used several times are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.buffers import buffer
from minifw.nn.module import Call, Module, as_tuple, described, is_around, only
from minifw.nn.networks import Network
from minifw.nn.operations import Add, Operation

__all__ = ["Graph", "Variable"]


def _refused(operator: str) -> Callable[..., NoReturn]:
    """Return a method that says what variables know."""

    def method(self: Variable, *others: object) -> NoReturn:
        raise ModuleError(
            f"connect: a variable has no '{operator}', only + and registered modules that are "
            "called with it, as in self.tanh(x), not self.tanh.forward(x); any other formula "
            "belongs into a Module with forward and backward"
        )

    return method


class Variable:
    """A tensor on its way through a graph: the value of this number on its tape.

    Variables can be added, and modules act on them. All else that tensors know raises a
    ModuleError: it would have no way back.
    """

    __slots__ = ("number", "tape")

    def __init__(self, tape: Tape, number: int) -> None:
        self.tape, self.number = tape, number

    @property
    def value(self) -> Tensor:
        """The tensor."""
        return self.tape.values[self.number]

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor."""
        return self.value.shape

    @property
    def node(self) -> Node | None:
        """The call of a module that made this variable; None for an input of the graph."""
        return next((node for node in self.tape.nodes if self.number in node.outputs), None)

    def __add__(self, other: Variable) -> Variable:
        result: Variable = self.tape.act(Add(), self, other)
        return result

    def __iter__(self) -> Iterator[Variable]:
        """Raise: this is one output. A module with several gives a tuple of variables."""
        raise ModuleError(
            "connect: one variable cannot be taken apart; a module with several outputs returns a "
            "tuple of tensors from forward"
        )

    if not TYPE_CHECKING:
        __radd__ = _refused("+ with a number")
        __sub__ = __rsub__ = __neg__ = _refused("-")
        __mul__ = __rmul__ = _refused("*")
        __truediv__ = __rtruediv__ = _refused("/")
        __matmul__ = __rmatmul__ = _refused("@")
        __pow__ = __rpow__ = _refused("**")
        __lt__ = __le__ = __gt__ = __ge__ = _refused("<")
        __getitem__ = _refused("[]")
        __abs__ = _refused("abs")

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            _refused(getattr(function, "__name__", "function of torch").strip("_"))(None)

        def __getattr__(self, name):
            if hasattr(Tensor, name) and not name.startswith("_"):
                _refused(name)(self)
            raise AttributeError(f"'Variable' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"Variable({described(self.value)})"


class Node(NamedTuple):
    """One call of a module, with the numbers of its input and output values on the tape."""

    module: Module
    call: Call | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Tape:
    """The record of one forward pass: the values by number, inputs first, and the nodes.

    It refers to no variable and to no graph, so that the values are freed with the last call that
    holds it. `modules` are those that may be called.
    """

    def __init__(self, modules: Sequence[Module], inputs: Sequence[Tensor]) -> None:
        self.modules = modules
        self.values = [*inputs]
        self.inputs = len(inputs)
        self.nodes: list[Node] = []

    def act(self, module: Module, *inputs: Variable) -> Any:
        """Call a module with variables and record it; return one variable or a tuple."""
        numbers = self.numbers(module, inputs)
        if not isinstance(module, Operation) and not self._may_act(module):
            raise ModuleError(
                f"connect: {module} is used but not registered, so it would not be copied or "
                "trained; give it to register_modules"
            )
        values = as_tuple(module.forward(*(self.values[number] for number in numbers)))
        first = len(self.values)
        outputs = tuple(range(first, first + len(values)))
        self.values += values
        self.nodes.append(Node(module, module.call, numbers, outputs))
        if len(values) == 1:
            return Variable(self, first)
        return tuple(Variable(self, number) for number in outputs)

    def _may_act(self, module: Module) -> bool:
        if any(module is registered for registered in self.modules):
            return True
        return any(is_around(registered, module) for registered in self.modules)

    def numbers(self, what: object, variables: Sequence[Any]) -> tuple[int, ...]:
        """Return the numbers of variables, after checking that they are on this tape."""
        for variable in variables:
            if not isinstance(variable, Variable):
                raise DtypeError(
                    f"connect: {what} must be given inputs of connect or outputs of modules, "
                    f"got {described(variable)}"
                )
            if variable.tape is not self:
                raise ModuleError(
                    f"connect: {what} must be given variables of this forward pass, got one of "
                    "another graph or of an earlier pass"
                )
        return tuple(variable.number for variable in variables)

    def back(
        self, ends: Sequence[int], gradients: Sequence[Tensor], to_inputs: bool
    ) -> list[Tensor | None]:
        """Go back from `ends` with their gradients; return the gradients of the inputs, if wanted.

        The gradient is None for an input that no output depends on.
        """
        found: list[Tensor | None] = [None] * len(self.values)

        def add(number: int, gradient: Tensor) -> None:
            before = found[number]
            found[number] = (
                gradient
                if before is None
                else torch.add(
                    before, gradient, out=buffer(gradient)
                )  # not in place: a module may have returned its own tensor
            )

        for number, gradient in zip(ends, gradients, strict=True):
            add(number, gradient)
        for module, call, inputs, outputs in reversed(self.nodes):
            came = [found[number] for number in outputs]
            if all(gradient is None for gradient in came):
                continue
            of_outputs = [
                torch.zeros_like(self.values[number]) if gradient is None else gradient
                for number, gradient in zip(outputs, came, strict=True)
            ]
            module.at(call)
            if not to_inputs and all(number < self.inputs for number in inputs):
                module.accumulate(*of_outputs)
                continue
            of_inputs = as_tuple(module.backward(*of_outputs))
            self._check_returned(module, inputs, of_inputs)
            for number, gradient in zip(inputs, of_inputs, strict=True):
                add(number, gradient)
        return found[: self.inputs]

    def _check_returned(
        self, module: Module, inputs: tuple[int, ...], gradients: tuple[Tensor, ...]
    ) -> None:
        """Raise unless the gradients have the inputs' shapes; a sum would broadcast others."""
        shapes = [self.values[number].shape for number in inputs]
        if len(gradients) != len(shapes) or any(
            not isinstance(gradient, Tensor) or gradient.shape != shape
            for gradient, shape in zip(gradients, shapes, strict=True)
        ):
            raise ShapeError(
                f"{module}.backward: must return a gradient of the shape of each input, "
                f"{', '.join(str(tuple(shape)) for shape in shapes)}, got "
                f"{', '.join(map(described, gradients))}"
            )


class Graph(Network):
    """A network of any shape: branches, sums, several inputs and outputs, shared modules.

    A subclass registers its modules and connects them in `connect`:

        class Residual(Graph):
            def __init__(self, size):
                self.inner, self.tanh = Linear(size, size), Tanh()
                self.register_modules(self.inner, self.tanh)

            def connect(self, x):
                return x + self.tanh(self.inner(x))

    `connect` is called in each `forward` with a variable for each input, and returns one variable
    or a tuple. Shapes are those of its modules' inputs and outputs.
    """

    # With `*inputs: Any, **more: Any` type checkers let subclasses name their own inputs.
    def connect(self, *inputs: Any, **more: Any) -> Any:
        """Call the modules with the variables of the inputs; return those of the outputs."""
        raise NotImplementedError(f"{type(self).__name__} does not define connect")

    def forward(self, *inputs: Tensor) -> Any:
        tape = Tape(self._modules, inputs)
        ends = self.connect(*(Variable(tape, number) for number in range(len(inputs))))
        ends = ends if isinstance(ends, (tuple, list)) else (ends,)
        numbers = tape.numbers(f"the result of {type(self).__name__}", ends)
        outputs = tuple(tape.values[number] for number in numbers)
        self.remember(inputs, outputs, (tape, numbers))
        return only(outputs)

    def backward(self, *gradients: Tensor) -> Any:
        tape, ends = self.recall(*gradients).saved
        found = tape.back(ends, gradients, to_inputs=True)
        return only(
            tuple(
                torch.zeros_like(value) if gradient is None else gradient
                for value, gradient in zip(tape.values, found, strict=False)
            )
        )

    def accumulate(self, *gradients: Tensor) -> None:
        tape, ends = self.recall(*gradients).saved
        tape.back(ends, gradients, to_inputs=False)

    def results(self) -> Iterator[tuple[int, Tensor]]:
        """Yield what each module computed; an operation counts as the module called before it."""
        if self.call is None:
            return
        tape, _ = self.call.saved
        places: dict[int, int] = {}
        for position, registered in enumerate(self._modules):
            for module in registered.modules():
                places.setdefault(id(module), position)
        position = 0
        for node in tape.nodes:
            position = places.get(id(node.module), position)
            for number in node.outputs:
                yield position, tape.values[number]
