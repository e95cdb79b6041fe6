"""`Graph`: modules connected in any shape; recorded once, and run again without recording."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn.buffers import renewed
from minifw.nn.networks import Network
from minifw.nn.variables import Record, Variable

__all__ = ["Graph", "Sequential"]


class Placeholder(Variable):
    """A variable of a pass that is kept and run again: nothing may be decided by its value."""

    __slots__ = ()

    @property
    def value(self) -> Tensor:
        """Raise: the record would keep what was decided by the values of this time."""
        raise ModuleError(
            "connect is recorded once and run again with other tensors, so it must not look at "
            "values; a class derived from nn.Network, with forward in place of connect, may: it "
            "is recorded in each call"
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

    `connect` is called with a variable for each input, and returns one variable or a tuple. Its
    record is kept for inputs of these shapes, in training or in use, and run again without calling
    it; setting an attribute of the graph forgets the records. Shapes are those of its modules'
    inputs and outputs.
    """

    _records: dict[Any, Record] | None = None

    # With `*inputs: Any, **more: Any` type checkers let subclasses name their own inputs.
    def connect(self, *inputs: Any, **more: Any) -> Any:
        """Call the modules with the variables of the inputs; return those of the outputs."""
        raise NotImplementedError(f"{type(self).__name__} does not define connect")

    def forward(self, *inputs: Tensor) -> Any:
        key = (self.training, *[getattr(value, "shape", None) for value in inputs])
        records = self._records
        record = None if records is None else records.get(key)
        if record is None:
            with renewed():
                return self.record(self.connect, inputs, Placeholder, key)
        values, calls = record.run(inputs)
        return self.finish(inputs, record, values, calls)

    def keep(self, key: Any, record: Record) -> None:
        """Keep a record, to run it again."""
        if self._records is None or len(self._records) > 100:  # of ever other shapes
            self.__dict__["_records"] = {}
        self.__dict__["_records"][key] = record

    def register_modules(self, *modules: Any) -> None:
        super().register_modules(*modules)
        self.__dict__.pop("_records", None)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name not in ("call", "input"):
            self.__dict__.pop("_records", None)


class Sequential(Graph):
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

    def connect(self, *inputs: Variable) -> Any:
        if not self._modules:
            raise ModuleError(f"{self}.forward: no modules are registered")
        values = inputs
        for module in self._modules:
            result = module(*values)
            values = result if isinstance(result, tuple) else (result,)
        return values
