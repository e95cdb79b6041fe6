"""The C of one kernel: its loops, what they load, compute and store.

A `KernelText` writes the body of one function. Its parameters are pointers to values in memory,
named in the order of their first use, so that kernels that differ only in places share a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from minifw.compile.copies import is_covered
from minifw.compile.functions import expression, literal, mask_to_number, number_to_mask
from minifw.compile.loops import Kernel, Layout
from minifw.compile.plan import Plan
from minifw.compile.values import Operand, Piece, Value, View

WIDE = 4  # vectors side by side
CHAINS = 8  # sums that must be under way at the same time, to hide the latency of an addition


@dataclass
class Shared:
    """What the texts of all kernels of a step need in common."""

    operations: set[str] = field(default_factory=set)
    repeats: set[int] = field(default_factory=set)
    tables: dict[tuple[Value, Layout], str] = field(default_factory=dict)
    transposes: bool = False


class KernelText:
    """Writes the body of a kernel's function: `body`. A subclass defines the loops.

    Args:
        plan: the plan that the kernel is part of.
        kernel: the kernel.
        direction: along what its vectors run.
        shared: where it notes what it needs.

    """

    def __init__(self, plan: Plan, kernel: Kernel, direction: Layout, shared: Shared) -> None:
        self.plan, self.kernel, self.direction, self.shared = plan, kernel, direction, shared
        self.length = plan.length
        self.parameters: dict[str, str] = {}
        """The names of the parameters, by the arguments of the call."""
        self.notes: list[str] = []
        """What each parameter is, for the comment."""

    def body(self) -> list[str]:
        """Return the lines of the function."""
        raise NotImplementedError

    @property
    def root(self) -> Value:
        """The product, reduction or copy that the kernel begins with."""
        assert self.kernel.root is not None
        return self.kernel.root

    # --------------------------------------------------------------------------------- addresses

    def pointer(self, value: Value, layout: Layout) -> str:
        """Return the parameter that points at a value."""
        layout = self.plan.layout(value, layout)
        at = address(self.plan, value, layout, self.shared)
        if at not in self.parameters:
            self.parameters[at] = f"p{len(self.parameters)}"
            rows, columns = value.shape
            self.notes.append(f"{self.parameters[at]}: {value.op} {rows} x {columns} {layout}")
        return self.parameters[at]

    def number(self, value: Value, view: View, row: str, column: str) -> str:
        """Return the C of one number of a view."""
        if view == "transposed":
            row, column = column, row
        elif view != "whole":
            row = row if view == "column" else "0"
            column = column if view == "row" else "0"
        layouts = {*self.plan.need[value]}
        if value in self.plan.alias:
            layouts.add("across")
        layout: Layout = (
            "across" if "across" in layouts else "flat" if "flat" in layouts else "down"
        )
        if layout == "down":
            row, column = column, row
        return f"{self.pointer(value, layout)}[{self._offset(value, layout, row, column)}]"

    def vector(self, operand: Operand, direction: Layout, row: str, column: str) -> str:
        """Return the C of a vector of a view, from this row and column on."""
        value, view = operand
        layout = self.plan.layout_of_read(value, view, direction)
        if layout is None:
            return f"splat({self.number(value, view, row, column)})"
        major, minor = (row, column) if direction == "across" else (column, row)
        if view in ("row", "column"):
            major = "0"
        return f"LD({self.pointer(value, layout)} + {self._offset(value, layout, major, minor)})"

    def place(self, value: Value, row: str, column: str) -> str:
        """Return the address of the vector of a result, along the kernel's direction."""
        major, minor = (row, column) if self.direction == "across" else (column, row)
        offset = self._offset(value, self.direction, major, minor)
        return f"{self.pointer(value, self.direction)} + {offset}"

    def _offset(self, value: Value, layout: Layout, major: str, minor: str) -> str:
        terms = [times(major, self.plan.pitch(value, layout)), minor]
        return " + ".join(term for term in terms if term != "0") or "0"

    # -------------------------------------------------------------------- element-wise operations

    def result(self, row: str, column: str, root: str = "", value: Value | None = None) -> str:
        """Return the C of all element-wise operations on one vector, and of storing it.

        `root` is the C of a vector that the loops have computed: of `value`, by default the root.
        """
        lines: list[str] = []
        computed = value or self.kernel.root
        known: dict[Value, str] = {} if computed is None else {computed: root}
        own = {*self.kernel.values, *self.plan.floating}

        def compute(operand: Operand) -> str:
            value = operand.value
            if value in known:
                return known[value]
            if value.op == "constant":
                return f"splat({literal(value.numbers[0], self.plan.recording.double)})"
            if value.op == "eta":
                return "splat(eta)"
            if value not in own:
                text = self.vector(operand, self.direction, row, column)
                return number_to_mask(text) if is_mask(value) else text
            if value.op == "random":
                known[value] = f"t{len(lines)}"
                lines.append(f"V {known[value]} = {self.random(value, row, column)};")
                return known[value]
            arguments = [compute(one) for one in value.operands]
            text = arguments[0] if value.op == "same" else self.operation(value.op, *arguments)
            known[value] = f"t{len(lines)}"
            lines.append(f"{'VI' if is_mask(value) else 'V'} {known[value]} = {text};")
            return known[value]

        for value in self.kernel.maps:
            compute(Operand(value))
        for value in self.kernel.values:
            if value in self.plan.stored:
                text = mask_to_number(known[value]) if is_mask(value) else known[value]
                lines.append(f"ST({self.place(value, row, column)}) = {text};")
        return f"{{ {' '.join(lines)} }}"

    def random(self, value: Value, row: str, column: str) -> str:
        """Return the C of a vector of random numbers: their places follow from row and column."""
        ((stream, _),) = value.operands
        layouts = self.plan.need[stream]
        pointer = self.pointer(stream, "across" if "across" in layouts else "flat")
        place = plus(times(row, value.shape[1]), column)
        step = "IOTA" if self.direction == "across" else f"IOTA * (U){value.shape[1]}"
        self.shared.operations.add("random")
        return f"random_of({pointer}, (U){place} + {step})"

    def operation(self, op: str, *arguments: str) -> str:
        """Return the C of an operation, whose definition the text will have."""
        self.shared.operations.add(op)
        return expression(op, *arguments)

    def repeat(self, count: int, lines: Callable[[str, str], Sequence[str]]) -> list[str]:
        """Return lines for each of `count` numbers, given by `lines(name, number)`.

        From three on they are a macro, so that the text stays short.
        """
        if count < 3:
            return [line for n in range(count) for line in lines(str(n), str(n))]
        self.shared.repeats.add(count)
        body = lines("##n##", "n")
        start = "#define EACH(n) " + ("\\\n    " if len(body) > 1 else "")
        return [start + " \\\n    ".join(body), f"REPEAT_{count}(EACH)", "#undef EACH"]


class ElementWise(KernelText):
    """Operations on each number, without a root."""

    def body(self) -> list[str]:
        rows, columns = self.kernel.shape
        outer, inner = (rows, columns) if self.direction == "across" else (columns, rows)
        vectors = -(-inner // self.length)
        major = "i" if outer > 1 else "0"

        def at(minor: str) -> str:
            across = self.direction == "across"
            return self.result(major, minor) if across else self.result(minor, major)

        if vectors > WIDE:
            text = [f"for (Index v = 0; v < {vectors * self.length}; v += {self.length})", at("v")]
        else:
            text = [at(str(w * self.length)) for w in range(vectors)]
        return [f"for (Index i = 0; i < {outer}; i++) {{" if outer > 1 else "{", *text, "}"]


class Reduction(KernelText):
    """A sum, or the largest or smallest number, over the rows or over the columns."""

    def combined(self, a: str, b: str) -> str:
        """Return the C of two vectors as one."""
        op = {"sum": "add", "max": "maximum", "min": "minimum"}[self.root.op[:3]]
        return self.operation(op, a, b)


class OverRows(Reduction):
    """A reduction over the rows: of vectors along the columns, several rows at the same time."""

    def body(self) -> list[str]:
        vectors = -(-self.root.shape[1] // self.length)
        text = []
        for first in range(0, vectors, WIDE):
            some = range(first, min(first + WIDE, vectors))
            text += self._columns([str(w * self.length) for w in some])
        return text

    def _columns(self, places: list[str]) -> list[str]:
        """Return the C for these vectors of columns."""
        (operand,) = self.root.operands
        rows = operand.value.shape[1 if operand.view == "transposed" else 0]
        sets = max(1, min(rows, -(-CHAINS // len(places))))
        whole = rows - rows % sets
        text = ["{"]
        for s in range(sets):
            for w, at in enumerate(places):
                begin = "(V){0}"
                if self.kernel.totals and s == 0:
                    begin = f"LD({self.place(self.root, '0', at)})"
                elif self.root.op != "sum_rows":
                    begin = self.vector(operand, "across", str(s), at)
                text.append(f"V c{s}_{w} = {begin};")

        def add(s: int, row: str) -> list[str]:
            return [
                f"c{s}_{w} = {self.combined(f'c{s}_{w}', self.vector(operand, 'across', row, at))};"
                for w, at in enumerate(places)
            ]

        text.append(f"for (Index i = 0; i < {whole}; i += {sets}) {{")
        text += [line for s in range(sets) for line in add(s, plus("i", str(s)))]
        text.append("}")
        text += [line for s in range(rows - whole) for line in add(s, str(whole + s))]
        for w, at in enumerate(places):
            text += [f"c0_{w} = {self.combined(f'c0_{w}', f'c{s}_{w}')};" for s in range(1, sets)]
            text.append(self.result("0", at, f"c0_{w}"))
        return [*text, "}"]


class OverColumns(Reduction):
    """A reduction over the columns: of vectors along the rows, one column after another."""

    def body(self) -> list[str]:
        (operand,) = self.root.operands
        columns = operand.value.shape[0 if operand.view == "transposed" else 1]
        first, other = (self.vector(operand, "down", "i", column) for column in ("0", "j"))
        rows = self.plan.padded(self.root.shape[0])
        return [
            f"for (Index i = 0; i < {rows}; i += {self.length}) {{",
            f"V c = {first};",
            f"for (Index j = 1; j < {columns}; j++) c = {self.combined('c', other)};",
            self.result("i", "0", "c"),
            "}",
        ]


class AlongRows(Reduction):
    """A reduction over many columns: of vectors along each row, whose numbers are combined last."""

    def body(self) -> list[str]:
        (operand,) = self.root.operands
        rows, columns = operand.value.shape
        padded, vectors = self.plan.padded(rows), columns // self.length
        chains = next(n for n in (4, 2, 1) if vectors % n == 0)
        step = chains * self.length
        text = [
            f"T results[{padded}] ALIGNED;",
            f"for (Index i = {rows}; i < {padded}; i++) results[i] = 0;",
            f"for (Index i = 0; i < {rows}; i++) {{",
        ]
        for s in range(chains):
            text.append(f"V c{s} = {self.vector(operand, 'across', 'i', str(s * self.length))};")
        text.append(f"for (Index v = {step}; v < {columns}; v += {step}) {{")
        for s in range(chains):
            other = self.vector(operand, "across", "i", plus("v", str(s * self.length)))
            text.append(f"c{s} = {self.combined(f'c{s}', other)};")
        text.append("}")
        text += [f"c0 = {self.combined('c0', f'c{s}')};" for s in range(1, chains)]
        half = self.length // 2
        while half:  # the other half of the numbers, then of these, and so on
            turned = ", ".join(str((n + half) % self.length) for n in range(self.length))
            text.append(f"c0 = {self.combined('c0', f'SHUFFLE(c0, c0, {turned})')};")
            half //= 2
        text += ["T all[LENGTH] ALIGNED;", "ST(all) = c0;", "results[i] = all[0];", "}"]
        text.append(f"for (Index i = 0; i < {padded}; i += {self.length}) {{")
        return [*text, self.result("i", "0", "LD(results + i)"), "}"]


class Copy(KernelText):
    """Pieces of other values in a new order: whole runs of numbers where they stay side by side."""

    def body(self) -> list[str]:
        to = self.pointer(self.root, "flat")
        text = []
        if not is_covered(self.root):
            count = self.root.shape[0] * self.root.shape[1]
            text.append(f"for (Index i = 0; i < {count}; i++) {to}[i] = 0;")
        for piece in self.root.pieces:
            text += self._piece(piece, to, self.pointer(piece.value, "flat"))
        return text

    def _piece(self, piece: Piece, to: str, source: str) -> list[str]:
        """Return the C of one piece. The last loop writes numbers side by side, if any does."""
        loops = [*zip(piece.sizes, piece.strides, piece.to_strides, strict=True)]
        loops.sort(key=lambda loop: -loop[2])
        run = 1
        if loops and loops[-1][1:] == (1, 1):
            run = loops.pop()[0]
        indices = [f"i{n}" for n in range(len(loops))]
        text = [
            f"for (Index {index} = 0; {index} < {size}; {index}++)"
            for index, (size, _, _) in zip(indices, loops, strict=True)
        ]
        written = f"{to} + {_sum(piece.to_start, [loop[2] for loop in loops], indices)}"
        read = f"{source} + {_sum(piece.start, [loop[1] for loop in loops], indices)}"
        ends = [run, piece.start, piece.to_start, *(n for _, a, b in loops for n in (a, b))]
        if run == 1:
            return [*text, f"*({written}) = *({read});"]
        if all(number % self.length == 0 for number in ends):
            step = f"for (Index v = 0; v < {run}; v += {self.length})"
            return [*text, step, f"ST({written} + v) = LD({read} + v);"]
        return [*text, f"__builtin_memcpy({written}, {read}, {run} * sizeof(T));"]


def _sum(start: int, strides: Sequence[int], indices: Sequence[str]) -> str:
    terms = [times(index, stride) for index, stride in zip(indices, strides, strict=True)]
    return " + ".join([str(start), *(term for term in terms if term != "0")])


def address(plan: Plan, value: Value, layout: Layout, shared: Shared) -> str:
    """Return where a value stands, as the argument of a call in a step."""
    if value.op == "table":
        name = shared.tables.setdefault((value, layout), f"table_{len(shared.tables)}")
        return f"(T *){name}"
    if layout == "across":
        value = plan.base(value)
    return f"m + {plan.places[value, layout]}"


def is_mask(value: Value) -> bool:
    """Whether a value is a mask, or a copy of one."""
    return is_mask(value.operands[0].value) if value.op == "same" else value.is_mask


def times(index: str, factor: int) -> str:
    """Return the C of a product of an index and a constant."""
    if index.isdigit():
        return str(int(index) * factor)
    return "0" if factor == 0 else index if factor == 1 else f"{index} * {factor}"


def plus(index: str, number: str) -> str:
    """Return the C of a sum of an index and a number or another index."""
    if index.isdigit() and number.isdigit():
        return str(int(index) + int(number))
    return index if number == "0" else number if index == "0" else f"({index} + {number})"
