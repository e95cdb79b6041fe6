"""Variables: tensors that remember how they were made, and the backward pass over that record.

A `Variable` wraps a tensor and remembers its `Node`: the module and the call that made it. Modules
act on variables as on tensors, `y = layer(x)`, and operators are modules too: `x + y` is
`Add()(x, y)`. So every derivative stands in one class, and is written by hand.

A `Record` lists the nodes that some variables came from, in their order, with all values numbered.
Its `back` is the one backward pass of minifw: it goes through the calls from the last to the first,
gives each module the gradients of its outputs, and sums the gradients of a value that was used
several times. `run` takes the same calls again with other tensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.buffers import buffer
from minifw.nn.module import Call, Module, as_tuple, described

__all__ = ["Variable"]

_numbers = itertools.count()


class Node:
    """One call of a module: the variables that it took, and the tensors that it gave."""

    __slots__ = ("call", "inputs", "module", "number", "outputs")

    def __init__(
        self, module: Module, inputs: tuple[Variable, ...], outputs: tuple[Tensor, ...]
    ) -> None:
        self.module, self.call = module, module.call
        self.inputs, self.outputs = inputs, outputs
        self.number = next(_numbers)  # calls are in the order of these

    def __repr__(self) -> str:
        return f"Node({self.module})"


def _refused(operator: str, instead: str = "") -> Callable[..., NoReturn]:
    """Return a method that says what variables know."""

    def method(self: Variable, *others: object) -> NoReturn:
        raise ModuleError(
            f"a variable has no '{operator}'; modules that are called with it, as in self.tanh(x), "
            f"not self.tanh.forward(x), and + - * / @ [] have a way back; "
            + (instead or "any other formula belongs into a Module with forward and backward")
        )

    return method


def _operator(name: str, turned: bool = False) -> Callable[[Variable, Any], Variable]:
    """Return a method that lets a module act on two variables, or on one and a number."""

    def method(self: Variable, other: Any) -> Variable:
        from minifw.nn import operators  # whose modules are called with variables

        result: Variable = getattr(operators, name)(self, other, turned)
        return result

    return method


class Variable:
    """A tensor that remembers the call of a module that made it.

        x = Variable(torch.ones(3, 2))
        y = tanh(linear(x)) + x
        y.backward(torch.ones(3, 2))  # adds to linear.weight_grad; x.gradient is dL/dx

    Modules act on variables, also with several inputs and outputs; `+ - * / @` and slices are
    modules. All else that tensors know raises a ModuleError: it would have no way back.
    """

    __slots__ = ("_value", "gradient", "node", "place")
    __array_ufunc__ = None  # NumPy's numbers leave operators to this class

    def __init__(self, value: Tensor, node: Node | None = None, place: int = 0) -> None:
        if not isinstance(value, Tensor):
            raise DtypeError(f"Variable: expects a tensor, got {described(value)}")
        self._value = value
        self.node = node  # None: it was not made by a module
        self.place = place  # among the outputs of the node
        self.gradient: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """The tensor."""
        return self._value

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor."""
        return self._value.shape

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the tensor."""
        return self._value.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions of the tensor."""
        return self._value.ndim

    def act(self, module: Module, *inputs: Any) -> Any:
        """Call a module with variables, of which this is one; return one variable or a tuple."""
        for value in inputs:
            if not isinstance(value, Variable):
                raise DtypeError(
                    f"{module}: must be given variables alone, got {described(value)}; a constant "
                    "tensor belongs into a module, as register_buffer"
                )
        outputs = as_tuple(module.forward(*(value._value for value in inputs)))
        node = Node(module, inputs, outputs)
        if len(outputs) == 1:
            return type(self)(outputs[0], node)
        return tuple(type(self)(value, node, place) for place, value in enumerate(outputs))

    def backward(self, gradient: Tensor) -> None:
        """Go back from this variable to all that it was made of; see `backward`."""
        backward((self,), (gradient,))

    __add__ = _operator("add")
    __radd__ = _operator("add", turned=True)
    __sub__ = _operator("subtract")
    __rsub__ = _operator("subtract", turned=True)
    __mul__ = _operator("multiply")
    __rmul__ = _operator("multiply", turned=True)
    __truediv__ = _operator("divide")
    __rtruediv__ = _operator("divide", turned=True)
    __matmul__ = _operator("matmul")
    __getitem__ = _operator("part")

    def __neg__(self) -> Variable:
        return self * -1

    def __iter__(self) -> Iterator[Variable]:
        """Raise: this is one output. A module with several gives a tuple of variables."""
        raise ModuleError(
            "one variable cannot be taken apart; a module with several outputs returns a tuple of "
            "tensors from forward, and x[..., 0:1] is a part of a variable"
        )

    if not TYPE_CHECKING:
        __rmatmul__ = _refused("@ with a tensor")
        __pow__ = _refused("**")
        __lt__ = __le__ = __gt__ = __ge__ = _refused("<", "compare x.value")
        __bool__ = _refused("bool", "ask x.value")
        __float__ = __int__ = _refused("float", "ask x.value")
        __abs__ = _refused("abs")

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            _refused(getattr(function, "__name__", "function of torch").strip("_"))(None)

        def __getattr__(self, name):
            if hasattr(Tensor, name) and not name.startswith("_"):
                _refused(name)(self)
            raise AttributeError(f"'Variable' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"Variable({described(self._value)})"


def backward(ends: Sequence[Variable], gradients: Sequence[Tensor]) -> None:
    """Go back from variables with dL/d(each): the gradients of all parameters on the way are added.

    Variables that no module made get their own in `gradient`, which is added to as well.

    Raises:
        ShapeError: a gradient differs in shape or dtype from its variable.

    """
    for end, gradient in zip(ends, gradients, strict=True):
        if not isinstance(gradient, Tensor) or (gradient.shape, gradient.dtype) != (
            end.shape,
            end.dtype,
        ):
            raise ShapeError(
                f"Variable.backward: expects a gradient like the variable, "
                f"{described(end._value)}, got {described(gradient)}"
            )
    leaves: list[Variable] = []
    pass_ = record(ends, leaves)
    found = pass_.record.back(pass_.values, pass_.calls, gradients, to_inputs=True)
    for leaf, gradient_ in zip(leaves, found, strict=True):
        if gradient_ is not None:
            before = leaf.gradient
            leaf.gradient = gradient_.clone() if before is None else before + gradient_


class Step(NamedTuple):
    """One call in a record: its module, and the numbers of the values that it takes and gives."""

    module: Module
    inputs: tuple[int, ...]
    first: int  # number of the first output
    outputs: int  # how many there are
    is_first: bool  # it takes nothing that depends on parameters


class Record:
    """The calls of a forward pass: which module acts on which values.

    Values are numbered: the inputs first, then the outputs of each call. It holds no tensors.
    """

    __slots__ = ("ends", "inputs", "size", "steps")

    def __init__(self, inputs: int, steps: Sequence[Step], ends: tuple[int, ...]) -> None:
        self.inputs, self.steps, self.ends = inputs, steps, ends
        self.size = inputs + sum(step.outputs for step in steps)

    def run(self, inputs: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Call | None]]:
        """Take the calls with these inputs; return all values and the calls."""
        values, calls = [*inputs], []
        for module, sources, _, _, _ in self.steps:
            if len(sources) == 1:  # the usual case
                result = module.forward(values[sources[0]])
            else:
                result = module.forward(*[values[number] for number in sources])
            if isinstance(result, tuple):
                values.extend(result)
            else:
                values.append(result)
            calls.append(module.call)
        if len(values) != self.size:
            raise ModuleError(
                "a module gave another number of outputs than in the call that was recorded; a "
                "class derived from nn.Network, with forward in place of connect, is recorded anew "
                "in each call"
            )
        return values, calls

    def back(
        self,
        values: Sequence[Tensor],
        calls: Sequence[Call | None],
        gradients: Sequence[Tensor],
        to_inputs: bool,
    ) -> list[Tensor | None]:
        """Go back from the ends with their gradients; return the gradients of the inputs, if asked.

        The gradient is None for an input that no end depends on.
        """
        found: list[Tensor | None] = [None] * self.size
        gradient: Tensor | None
        for number, gradient in zip(self.ends, gradients, strict=True):
            _add(found, number, gradient)
        came: tuple[Tensor, ...] = ()
        position = len(self.steps)
        try:
            while position:
                position -= 1
                module, sources, first, outputs, is_first = self.steps[position]
                if outputs == 1:
                    gradient = found[first]
                    if gradient is None:
                        continue
                    came = (gradient,)
                else:
                    of_outputs = found[first : first + outputs]
                    if all(gradient is None for gradient in of_outputs):
                        continue
                    came = tuple(
                        torch.zeros_like(values[first + place]) if gradient is None else gradient
                        for place, gradient in enumerate(of_outputs)
                    )
                module.__dict__["call"] = calls[position]
                if is_first and not to_inputs:
                    module.accumulate(*came)
                    continue
                returned = module.backward(*came)
                if len(sources) == 1 and isinstance(returned, Tensor):
                    number = sources[0]
                    if found[number] is None:
                        found[number] = returned
                        continue
                returned = as_tuple(returned)
                self._check(module, sources, values, returned)
                for number, gradient in zip(sources, returned, strict=True):
                    before = found[number]
                    if before is not None and before.shape != values[number].shape:
                        self._check_returned(number, values, before)
                    _add(found, number, gradient)
        except Exception:
            # Whoever cannot use a gradient is not to blame for it: the one that gave it is.
            self._blame(position, values, came)
            raise
        if to_inputs:
            for number, gradient in enumerate(found[: self.inputs]):
                if gradient is not None and gradient.shape != values[number].shape:
                    self._check_returned(number, values, gradient)
        return found[: self.inputs]

    def _blame(self, position: int, values: Sequence[Tensor], came: Sequence[Tensor]) -> None:
        """Raise a ShapeError if a gradient that came to a call is not like the call's output."""
        step = self.steps[position]
        for place, gradient in enumerate(came):
            number = step.first + place
            if gradient.shape != values[number].shape:
                self._check_returned(number, values, gradient)

    def _check_returned(self, number: int, values: Sequence[Tensor], gradient: Tensor) -> None:
        """Raise a ShapeError that names the module that returned this gradient of a value.

        Of the modules that take this value alone, the last is the first to return one; what others
        return is checked before it is added.
        """
        for step in reversed(self.steps):
            if step.inputs == (number,):
                self._check(step.module, step.inputs, values, (gradient,))

    def _check(
        self,
        module: Module,
        inputs: tuple[int, ...],
        values: Sequence[Tensor],
        gradients: tuple[Tensor, ...],
    ) -> None:
        """Raise unless the gradients have the inputs' shapes; a sum would broadcast others."""
        if not all(isinstance(gradient, Tensor) for gradient in gradients):
            came = ", ".join(map(described, gradients))
            raise DtypeError(
                f"{module}.backward: must return dL/dx, a tensor for each input of forward, "
                f"got {came}"
            )
        shapes = [values[number].shape for number in inputs]
        if len(gradients) != len(shapes) or any(
            gradient.shape != shape for gradient, shape in zip(gradients, shapes, strict=True)
        ):
            raise ShapeError(
                f"{module}.backward: must return a gradient of the shape of each input, "
                f"{', '.join(str(tuple(shape)) for shape in shapes)}, got "
                f"{', '.join(map(described, gradients))}"
            )


def _add(found: list[Tensor | None], number: int, gradient: Any) -> None:
    """Add a gradient to that of a value; not in place, for a module may have returned its own."""
    before = found[number]
    found[number] = (
        gradient if before is None else torch.add(before, gradient, out=buffer(gradient))
    )


class Pass(NamedTuple):
    """A forward pass: its record, and the values and calls of this time."""

    record: Record
    values: Sequence[Tensor]
    calls: Sequence[Call | None]


def record(ends: Sequence[Variable], inputs: list[Variable], *, fixed: bool = False) -> Pass:
    """Return the pass that variables came from.

    Args:
        ends: the results.
        inputs: what was given; variables that no module made are added to it, unless it is `fixed`.

    Raises:
        ModuleError: with `fixed`, a variable was not made from the inputs.

    """
    nodes: dict[int, Node] = {}
    numbers: dict[Any, int] = {id(variable): place for place, variable in enumerate(inputs)}
    to_do = list(ends)
    while to_do:
        variable = to_do.pop()
        node = variable.node
        if node is not None:
            if node.number not in nodes:
                nodes[node.number] = node
                to_do += reversed(node.inputs)
        elif id(variable) not in numbers:
            if fixed:
                raise ModuleError(
                    "must be given variables of this forward pass, got one of another pass or a "
                    "new one"
                )
            numbers[id(variable)] = len(inputs)
            inputs.append(variable)
    values = [variable._value for variable in inputs]
    steps: list[Step] = []
    calls: list[Call | None] = []
    given = len(inputs)
    trained: set[int] = set()  # values that depend on parameters

    def number_of(variable: Variable) -> int:
        node = variable.node
        return numbers[id(variable) if node is None else (node.number, variable.place)]

    for key in sorted(nodes):
        node = nodes[key]
        first = len(values)
        numbers |= {(key, place): first + place for place in range(len(node.outputs))}
        values += node.outputs
        sources = tuple(number_of(variable) for variable in node.inputs)
        is_first = trained.isdisjoint(sources)
        if not is_first or any(True for _ in node.module.list_parameters()):
            trained.update(range(first, len(values)))
        steps.append(Step(node.module, sources, first, len(node.outputs), is_first))
        calls.append(node.call)
    return Pass(Record(given, steps, tuple(map(number_of, ends))), values, calls)
