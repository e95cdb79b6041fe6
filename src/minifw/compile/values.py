"""What a recorded step consists of: values of one network (one *lane* of the stack).

Every value is a matrix (rows, columns) of one lane: a tensor `(lanes, …, a, b)` is (… a, b), a
vector `(lanes, n)` is one row, a number `(lanes,)` is 1 × 1. The steps of all lanes are the same,
so the lanes themselves do not appear. Numbers are of one dtype, float32 or float64; a class (int64
in torch) is a number too, and a comparison is a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor

Step = Callable[[Sequence[Tensor], Tensor, Tensor, Tensor], Tensor]
"""`step(state, x, target, eta)` changes the tensors of `state` in place and returns the output."""

Named = Callable[[object], str | None]
"""The name of a module, loss or optimizer that is at work, None for any other object."""

Shape = tuple[int, int]

INPUTS = ("state", "x", "target", "eta", "constant", "table")
"""Values that no kernel computes. A `constant` is one number; a `table` is a matrix of numbers that
all lanes share; `eta` is the learning rate, 1 × 1; `state` has a position."""

UNARY = (
    "neg", "abs", "sign", "floor", "trunc", "sqrt", "reciprocal",
    "exp", "log", "tanh", "sigmoid", "erf", "not",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "div", "maximum", "minimum",
    "lt", "le", "gt", "ge", "eq", "ne", "and", "or",
)  # fmt: skip
TERNARY = ("where",)
"""`where(mask, a, b)`. Meaning and special cases (NaN, infinities) are those of torch."""

MASKS = ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not")
"""Operations whose result is a mask."""

ELEMENTWISE = (*UNARY, *BINARY, *TERNARY)
IN_LOOPS = (*ELEMENTWISE, "same", "random")
"""What is computed number by number. `same` is a copy. `random` is `nn.random.uniform` of a stream,
1 × 6, in which a number's place is that in the matrix, row after row."""

REDUCTIONS = ("sum_rows", "sum_columns", "max_rows", "max_columns", "min_rows", "min_columns")
"""`sum_rows` adds all rows, (R, C) -> (1, C); `sum_columns` all columns, (R, C) -> (R, 1)."""

OTHERS = ("product", "copy")
"""`product` is a matrix product. `copy` is made of pieces of other values, see `Piece`."""


class CannotCompileError(Exception):
    """Why a step is not compiled, in one line: the operation, and the module and line it is in."""


class Origin(NamedTuple):
    """Where a value comes from: the module, and the line of its code that made it."""

    module: str = ""
    """As `2 Linear(25, 25).forward`; empty if no module is known."""
    line: str = ""
    """The line of source, stripped, with its comment."""
    formula: str = ""
    """What the module computes: the first sentence of its class's docstring, if a formula."""


View = Literal["whole", "transposed", "row", "column", "number", "stream"]
"""How an operand is read: as it is; transposed; its only row for every row; its only column for
every column; its only number everywhere; all numbers of a stream for each random number."""


class Operand(NamedTuple):
    """A value, and how it is read."""

    value: Value
    view: View = "whole"


class Piece(NamedTuple):
    """Numbers of one value that are copied to a place in a `copy`.

    Both sides are addressed in the value's own numbers, row after row without gaps. The number at
    index (i, j, …) < sizes is read at `start + Σ index · stride` and written at
    `to_start + Σ index · to_stride`. Later pieces overwrite earlier ones.
    """

    value: Value
    sizes: tuple[int, ...]
    start: int
    strides: tuple[int, ...]
    to_start: int
    to_strides: tuple[int, ...]


UNKNOWN = Origin()


@dataclass(eq=False)
class Value:
    """One matrix that a step computes or is given."""

    op: str
    shape: Shape
    operands: tuple[Operand, ...] = ()
    pieces: tuple[Piece, ...] = ()
    """Of a `copy`. Numbers that no piece writes are 0."""
    numbers: tuple[float, ...] = ()
    """Of a `constant` the number, of a `table` all numbers, row after row."""
    position: int = 0
    """Of a `state` its place among the tensors that a step changes."""
    origin: Origin = UNKNOWN

    @property
    def sources(self) -> tuple[Value, ...]:
        """The values that this one is computed from."""
        return (*(o.value for o in self.operands), *(piece.value for piece in self.pieces))

    @property
    def is_mask(self) -> bool:
        """Whether this is a mask: each entry true or false."""
        return self.op in MASKS

    def __repr__(self) -> str:
        return f"{self.op} {self.shape[0]} × {self.shape[1]}"


@dataclass
class Recording:
    """One training step of a lane, as values in the order of their computation.

    `values` holds nothing that the results do not need. A state that a step leaves alone is its own
    `after`.
    """

    values: list[Value]
    before: list[Value]
    after: list[Value]
    x: Value
    target: Value
    eta: Value
    outputs: list[Value] = field(default_factory=list)
    """What the step returns: its output, if anything."""
    double: bool = False
    """Whether numbers are float64."""
    classes: bool = False
    """Whether the target is one class for each sample, int64 in torch."""
