"""How a step lies in memory: along what vectors run, the layouts and the places of all values.

Every stored value is a matrix in one or more *layouts*, so that vectors can be loaded along its
rows or its columns. A lane's weights stay in its private memory through an epoch. Memory is used
again when a value is dead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from minifw.compile.grouping import Kernels, is_long
from minifw.compile.loops import OVER_COLUMNS, Kernel, Layout
from minifw.compile.values import Recording, Value

Stored = tuple[Value, Layout]


PANEL = 2
"""Vectors of a panel."""


# A weight from this many bytes on is kept in one layout only: two of a layer of 512 would not fit
# the second cache. A product that needs the other one transposes it piece by piece (a panel), if it
# has samples enough to be worth it (docs/compile.md).
ONE_LAYOUT_BYTES = 64 * 1024
SAMPLES_FOR_PANELS = 8
LONG_ROWS = 128
"""Numbers of a row that are added up along the row: fewer are added column by column."""


class Machine(NamedTuple):
    """What the code is made for."""

    vector_bytes: int = 64
    """Bytes of a vector: 64 with AVX-512, 32 with AVX2, 16 elsewhere."""
    registers: int = 32
    """Vector registers, of which three quarters hold the sums of a product's tile."""


class Plan(Kernels):
    """The kernels of a step, and the layouts and places of all values.

    Args:
        recording: the step; its values are changed if the batch is taken in chunks.
        batch: samples in a step.
        machine: what the code is made for.

    """

    def __init__(self, recording: Recording, batch: int, machine: Machine) -> None:
        self.machine = machine
        self.number_bytes = 8 if recording.double else 4
        super().__init__(recording, batch, machine.vector_bytes // self.number_bytes)
        self._choose_layouts()
        self._place()

    # ------------------------------------------------------------------------------- the layouts

    def padded(self, count: int) -> int:
        """Return the numbers of the fewest whole vectors that hold `count` numbers."""
        return -(-count // self.length) * self.length

    def pitch(self, value: Value, layout: Layout) -> int:
        """Return the numbers from one row (`down`: column) to the next."""
        rows, columns = value.shape
        if layout == "flat":
            return columns
        if layout == "across" and value in self.dense:
            return columns
        count = self.padded(rows if layout == "down" else columns)
        # Rows a multiple of 1024 bytes apart would share few places of the first cache.
        return count + self.length * (count * self.number_bytes % 1024 == 0)

    def size(self, value: Value, layout: Layout) -> int:
        """Return how many numbers of memory a value takes, in whole vectors."""
        rows, columns = value.shape
        count = columns if layout == "down" else rows
        return self.padded(count * self.pitch(value, layout))

    def _twins(self) -> dict[Value, Value]:
        """Return for each state before a step the one after it, and the other way round."""
        pairs = [*zip(self.recording.before, self.recording.after, strict=True)]
        return {**dict(pairs), **{after: before for before, after in pairs}}

    def _choose_layouts(self) -> None:
        """Decide along what each kernel's vectors run, and in which layouts each value is needed.

        A kernel's direction follows from the layouts in which others need its result, and demands
        layouts of its operands; this is repeated until nothing changes.
        """
        need: dict[Value, set[Layout]] = {}
        twins, changed = self._twins(), True
        self._updated = {*self.recording.before} - {*self.recording.after}

        def demand(value: Value, layout: Layout) -> None:
            nonlocal changed
            layout = self.layout(value, layout)
            if layout == "across":
                value = self.base(value)
            for one in {value, twins.get(value, value)}:
                if layout not in need.setdefault(one, set()):
                    need[one].add(layout)
                    changed = True

        while changed:
            changed = False
            for kernel in self.kernels:
                directions = self._directions(kernel, need, twins)
                if directions != kernel.directions:
                    kernel.directions, changed = directions, True
                    self._choose_loops(kernel)
                for direction in directions:
                    for value, layout in self._vectors_read(kernel, direction):
                        demand(value, layout)
                    for value in kernel.values:
                        if value in self.stored:
                            demand(value, direction)
        for kernel in self.kernels:
            for operand in self.reads[kernel]:  # read number by number: in any layout
                if not need.get(operand.value):
                    outside = operand.value.op in ("x", "target")
                    demand(operand.value, "flat" if outside else "across")
        for value in (*self.recording.before, *self.recording.after):
            if not need.get(value):
                demand(value, "across")
        self.need = need
        for kernel in self.kernels:
            kernel.conversions = [
                (value, kernel.directions[0], layout)
                for value in kernel.values
                if value in self.stored
                for layout in sorted(need[value] - set(kernel.directions))
            ]
        for alias, value in self.alias.items():
            need.setdefault(alias, set()).discard("across")
            self.kernel_of[value].conversions += [
                (alias, "across", layout) for layout in sorted(need[alias])
            ]

    def layout(self, value: Value, layout: Layout) -> Layout:
        """Return a layout by its usual name: without gaps between rows `flat` is `across`."""
        return "across" if layout == "flat" and value in self.dense else layout

    def _directions(
        self, kernel: Kernel, need: dict[Value, set[Layout]], twins: dict[Value, Value]
    ) -> list[Layout]:
        root = kernel.root
        if root is not None and root.op == "copy":
            return [self.layout(root, "flat")]
        if root is not None and root.op in OVER_COLUMNS:
            return ["down"]
        if root is None and self._narrow(kernel):
            return ["down"]
        if root is None or root.op != "product" or kernel.values[0] in self.of_samples:
            return ["across"]
        if is_long(root) or root.operands[1].value in self.windows:
            return ["across"]
        if kernel.shape == (1, 1):  # one number is read from any of its layouts
            return ["across"]
        wanted: set[Layout] = set()
        for value in kernel.values:
            wanted |= need.get(value, set()) | need.get(twins.get(value, value), set())
        both = [layout for layout in ("across", "down") if layout in wanted]
        if len(both) < 2 or kernel.totals:
            return both[:1] or ["across"]  # type: ignore[return-value]
        # Computed twice, or once and transposed? A vector is transposed in about half the time of
        # a multiplication by a vector for each of its numbers.
        inner = self.inner(root)
        return ["across", "down"] if inner <= self.length else ["across"]

    def _narrow(self, kernel: Kernel) -> bool:
        """Whether vectors along the columns hold few numbers, and those along the rows many."""
        rows, columns = kernel.shape
        few = kernel.values[0] in self.of_samples and 2 * columns <= self.length <= rows
        return few or columns == 1 < rows

    def _vectors_read(self, kernel: Kernel, direction: Layout) -> Iterator[Stored]:
        """Yield what a kernel loads as vectors, and in which layout."""
        root = kernel.root
        in_root = 0 if root is None else len(root.operands) + len(root.pieces)
        reads = self.reads[kernel]
        for value, view in reads[: len(reads) - in_root]:
            if layout := self.layout_of_read(value, view, direction):
                yield value, layout
        if root is None:
            return
        if root.op == "copy":
            yield from ((piece.value, "flat") for piece in root.pieces)
        elif root.op == "product":
            left, right = root.operands
            if kernel.dots or kernel.long:
                yield left.value, _turned("across", left.view == "transposed")
                yield right.value, _turned("down", right.view == "transposed")
            elif kernel.panels:
                yield right.value, "across"
            else:
                side = right if direction == "across" else left
                yield side.value, _turned(direction, side.view == "transposed")
        else:
            (operand,) = root.operands
            along: Layout = "down" if root.op in OVER_COLUMNS and not kernel.long else "across"
            yield operand.value, _turned(along, operand.view == "transposed")

    def _choose_loops(self, kernel: Kernel) -> None:
        """Decide whether a product with a weight takes panels of it, or dots.

        In dots vectors run along the terms of a sum. With few columns they hold more than vectors
        along these. With one sample they take longer, but then the weight is kept, and updated, in
        one layout only.
        """
        kernel.panels = kernel.dots = kernel.long = False
        root = kernel.root
        if root is not None and root.op in OVER_COLUMNS:
            ((value, view),) = root.operands
            columns = value.shape[1]
            kernel.long = view == "whole" and columns % self.length == 0 and columns >= LONG_ROWS
        if root is None or root.op != "product" or kernel.directions != ["across"]:
            return
        if is_long(root):
            kernel.long = all(
                operand.value.shape[1] % self.length == 0 for operand in root.operands
            )
            return
        weight, view = root.operands[1]
        if weight not in self._updated:
            return
        rows, columns = root.shape
        kernel.panels = (
            view == "transposed"
            and weight.shape[0] * weight.shape[1] * self.number_bytes >= ONE_LAYOUT_BYTES
            and rows >= SAMPLES_FOR_PANELS
        )
        kernel.dots = (
            not kernel.panels
            and root in self.of_samples
            and 2 * self.inner(root) >= self.length
            and (4 * columns <= self.length or (rows == 1 and view == "whole"))
        )

    @staticmethod
    def layout_of_read(value: Value, view: str, direction: Layout) -> Layout | None:
        """Return the layout in which vectors of a view are loaded; None: numbers are read."""
        if value.shape == (1, 1) or view in ("number", "stream"):
            return None
        if view in ("whole", "transposed"):
            return _turned(direction, view == "transposed")
        along = "across" if view == "row" else "down"
        return direction if along == direction else None

    # -------------------------------------------------------------------------------- the memory

    def _place(self) -> None:
        """Give each stored value a place in memory, which is used again when the value is dead."""
        recording = self.recording
        self.places: dict[Stored, int] = {}
        self.memory = 0

        def fresh(value: Value, layout: Layout) -> int:
            at, self.memory = self.memory, self.memory + self.size(value, layout)
            return at

        for before, after in zip(recording.before, recording.after, strict=True):
            for layout in sorted(self.need[before]):
                self.places[before, layout] = fresh(before, layout)
                apart = after is not before and after in self.apart
                self.places[after, layout] = (
                    fresh(after, layout) if apart else self.places[before, layout]
                )
        for value in (recording.x, recording.target):
            for layout in sorted(self.need.get(value, ())):
                self.places[value, layout] = fresh(value, layout)
        last: dict[Value, int] = {}
        for position, kernel in enumerate(self.kernels):
            for operand in self.reads[kernel]:
                last[operand.value] = last[self.base(operand.value)] = position
        end = len(self.kernels)
        for kernel in self.kernels:
            if self.chunk < self.batch and (kernel.totals or self.stage(kernel) != 1):
                last.update(dict.fromkeys(kernel.values, end))  # it must outlive the loop
        last.update(dict.fromkeys(self.results, end))
        if any(kernel.panels for kernel in self.kernels):
            panel = max(self.inner(k.root) for k in self.kernels if k.panels and k.root)
            self.panel, self.memory = self.memory, self.memory + panel * PANEL * self.length
        free: list[tuple[int, int]] = []  # size, place
        aliases: dict[Value, list[Value]] = {}
        for alias, value in self.alias.items():
            aliases.setdefault(value, []).append(alias)
            last[value] = max(last[value], last.get(alias, 0))
        for position, kernel in enumerate(self.kernels):
            for value in kernel.values:
                if value not in self.stored:
                    continue
                made = [value, *aliases.get(value, ())]
                for one, layout in [(v, layout) for v in made for layout in sorted(self.need[v])]:
                    if (one, layout) in self.places:
                        continue
                    size = self.size(one, layout)
                    fitting = [pair for pair in free if pair[0] == size]
                    if fitting and not kernel.totals:
                        free.remove(fitting[-1])
                        self.places[one, layout] = fitting[-1][1]
                    else:
                        self.places[one, layout] = fresh(one, layout)
            read = (v for o in self.reads[kernel] for v in (o.value, self.base(o.value)))
            for value in dict.fromkeys(read):
                if last[value] == position and (value in self.stored or value in self.alias):
                    free += [
                        (self.size(value, layout), self.places[value, layout])
                        for layout in sorted(self.need[value])
                    ]


def _turned(direction: Layout, transposed: bool) -> Layout:
    if not transposed:
        return direction
    return "down" if direction == "across" else "across"
