"""Which values of a step share a kernel.

A *kernel* is one loop nest. Its root is a product or a reduction, and element-wise operations on
the root's result follow in the same loop (fusion), so that their operands are never stored. Values
that are cheap to compute again, such as σ'(y), are computed wherever they are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from minifw.compile.chunks import chunk_of, divide, find_of_samples
from minifw.compile.copies import Window, find_dense, same_numbers, window
from minifw.compile.loops import Kernel
from minifw.compile.ordering import in_order
from minifw.compile.values import ELEMENTWISE, IN_LOOPS, INPUTS, Operand, Recording, Value


class Kernels:
    """The kernels of a step in their order, and which values are computed where.

    Args:
        recording: the step; its values are changed if the batch is taken in chunks.
        batch: samples in a step.
        length: numbers in a vector.

    """

    def __init__(self, recording: Recording, batch: int, length: int) -> None:
        self.recording = recording
        self.batch = batch
        self.length = length
        """Numbers in a vector."""
        self.kernels: list[Kernel] = []
        """In the order of their first value, and later in that in which they run."""
        self._separate_results()
        self.dense = find_dense(recording, length)
        self.of_samples = find_of_samples(recording, batch)
        shapes = {value: value.shape for value in self.of_samples}
        if not self._arrange(chunk_of(batch)):
            for value, shape in shapes.items():
                value.shape = shape
            self._arrange(batch)

    def _arrange(self, chunk: int) -> bool:
        """Group and order all kernels; return whether the batch can be taken in such chunks."""
        self.chunk = chunk
        self._late: set[Kernel] = set()
        self._group()
        self._find_aliases()
        self.reads = {kernel: list(self._find_reads(kernel)) for kernel in self.kernels}
        if chunk < self.batch:
            late = divide(self, self.batch // chunk)
            if late is None:
                return False
            self._late = late
        self._find_stored()
        self.kernels, self.apart = in_order(self, self.stage if chunk < self.batch else None)
        stages = [self.stage(kernel) for kernel in self.kernels]
        return stages == sorted(stages)

    # ------------------------------------------------------------------------- what is computed

    def _separate_results(self) -> None:
        """Give each state that changes, and each output, a value of its own that is computed."""
        recording, taken = self.recording, set[Value]()
        values = []
        for value in recording.values:
            if value.op not in ELEMENTWISE:  # a constant has no memory to be read from
                operands = []
                for operand in value.operands:
                    if operand.value.op in ("constant", "eta"):
                        copied = Value("same", (1, 1), (operand,), origin=value.origin)
                        values.append(copied)
                        operand = Operand(copied, operand.view)
                    operands.append(operand)
                value.operands = tuple(operands)
            values.append(value)
        recording.values = values

        def own(value: Value) -> Value:
            if value.op not in INPUTS and value not in taken:
                taken.add(value)
                return value
            copied = Value("same", value.shape, (Operand(value),), origin=value.origin)
            recording.values.append(copied)
            taken.add(copied)
            return copied

        pairs = zip(recording.before, recording.after, strict=True)
        recording.after = [after if after is before else own(after) for before, after in pairs]
        recording.outputs = [own(value) for value in recording.outputs]
        self.results = {
            *(a for b, a in zip(recording.before, recording.after, strict=True) if a is not b),
            *recording.outputs,
        }

    def _group(self) -> None:
        """Divide the values among kernels, and find those that are computed where they are used."""
        values = self.recording.values
        uses: dict[Value, list[tuple[Value, str]]] = {value: [] for value in values}
        for value in values:
            for operand in value.operands:
                uses.setdefault(operand.value, []).append((value, operand.view))
            for piece in value.pieces:
                uses.setdefault(piece.value, []).append((value, "piece"))
        kept = {
            value
            for value, users in uses.items()
            if value.op in INPUTS
            or value in self.results
            or any(user.op not in IN_LOOPS for user, _ in users)
        }
        self.kernels = []
        self.kernel_of: dict[Value, Kernel] = {}
        self.floating: set[Value] = set()
        """Values that are computed where they are used."""
        number: dict[Kernel, int] = {}

        def kernels_before(value: Value) -> set[Kernel]:
            found: set[Kernel] = set()
            for source in value.sources:
                if source in self.kernel_of:
                    found.add(self.kernel_of[source])
                elif source in self.floating:
                    found |= kernels_before(source)
            return found

        def sources_of(value: Value) -> set[Value]:
            found: set[Value] = set()
            for source in value.sources:
                if source in self.floating:
                    found |= sources_of(source)
                elif source.op not in ("constant", "eta"):
                    found.add(source)
            return found

        def new(root: Value | None) -> Kernel:
            kernel = Kernel(root)
            number[kernel] = len(self.kernels)
            self.kernels.append(kernel)
            return kernel

        for value in values:
            if value.op in INPUTS:
                continue
            if value.op not in IN_LOOPS:
                self.kernel_of[value] = new(value)
                continue
            before = kernels_before(value)
            whole = all(view == "whole" for _, view in uses[value])
            if value not in kept and whole:
                sources = sources_of(value)
                again = len(sources) == 1 and next(iter(sources)) in kept
                as_it_is = all(
                    o.view == "whole" or o.value.op in ("constant", "eta") for o in value.operands
                )
                if not before or (again and as_it_is):
                    self.floating.add(value)
                    continue
            kernel = max(before, key=lambda k: number[k], default=None)
            if kernel is None or not self._fits(kernel, value):
                kernel = new(None)
            kernel.maps.append(value)
            self.kernel_of[value] = kernel

    def _find_aliases(self) -> None:
        """Find the copies that need no memory: their numbers are read where they stand.

        These are the same numbers in other rows, and windows that only products read.
        """
        self.alias: dict[Value, Value] = {}
        self.windows: dict[Value, Window] = {}
        users: dict[Value, list[Value]] = {}
        for value in self.recording.values:
            for used in value.sources:
                users.setdefault(used, []).append(value)
        apart = self.dense - self.results
        for kernel in [*self.kernels]:
            copy = kernel.root
            if copy is None or copy.op != "copy" or copy in self.results:
                continue
            source, found = same_numbers(copy), None
            if source is None or copy not in apart:
                found = window(copy, self.length)
                source = None if found is None else found.source
            if source is None or not (source in self.kernel_of and source in apart):
                continue
            if found is not None:
                if not all(_reads_windows(user, copy) for user in users[copy]):
                    continue
                self.windows[copy] = found
            self.alias[copy] = self.base(source)
            self.kernel_of[copy] = self.kernel_of[source]
            self.kernels.remove(kernel)

    def base(self, value: Value) -> Value:
        """Return the value whose memory a value has: usually itself."""
        return self.alias.get(value, value)

    def _fits(self, kernel: Kernel, value: Value) -> bool:
        """Whether an element-wise value can be computed in the loop of its latest operand."""
        root = kernel.root
        if value.shape != kernel.shape or (root is not None and root.op == "copy"):
            return False
        own = set(kernel.values)

        def only_whole(value: Value) -> bool:
            return all(
                (o.value not in own or o.view == "whole")
                and (o.value not in self.floating or only_whole(o.value))
                for o in value.operands
            )

        return only_whole(value)

    def _find_reads(self, kernel: Kernel) -> Iterator[Operand]:
        """Yield what a kernel reads from memory in its element-wise part, then in its root."""
        own, todo = set(kernel.values), [*kernel.maps]
        while todo:
            for operand in todo.pop().operands:
                if operand.value in self.floating:
                    todo.append(operand.value)
                elif operand.value not in own and operand.value.op not in ("constant", "eta"):
                    yield operand
        if kernel.root is not None:
            yield from kernel.root.operands
            yield from (Operand(piece.value) for piece in kernel.root.pieces)

    def separate_maps(self, kernel: Kernel) -> Kernel:
        """Give what follows a kernel's root a kernel of its own, and return that."""
        rest = Kernel(None, kernel.maps)
        kernel.maps = []
        self.kernels.insert(self.kernels.index(kernel) + 1, rest)
        self.kernel_of.update(dict.fromkeys(rest.maps, rest))
        for changed in (kernel, rest):
            self.reads[changed] = list(self._find_reads(changed))
        return rest

    def stage(self, kernel: Kernel) -> int:
        """Return 1 for what is computed once a chunk, 0 for what comes before, 2 for after."""
        if self.chunk == self.batch or kernel.totals or kernel.values[0] in self.of_samples:
            return 1
        return 2 if kernel in self._late else 0

    def _find_stored(self) -> None:
        self.stored = set(self.results)
        for kernel in self.kernels:
            own = set(kernel.values)
            self.stored |= {self.base(o.value) for o in self.reads[kernel] if o.value not in own}
        self.stored = {value for value in self.stored if value.op not in INPUTS}

    def inner(self, product: Value) -> int:
        """Return the number of terms in each sum of a product."""
        left = product.operands[0]
        return left.value.shape[0 if left.view == "transposed" else 1]


def _reads_windows(user: Value, copy: Value) -> bool:
    """Whether a value is a product of a copy that it can read where its numbers stand."""
    if user.op != "product":
        return False
    left, right = user.operands
    if right.value is copy:
        return right.view == "whole" and left.value is not copy
    return left.view == "whole" and right.view == "transposed" and is_long(user)


def is_long(product: Value) -> bool:
    """Whether a product has sums of so many terms that vectors should run along these."""
    rows, columns = product.shape
    left, right = product.operands
    terms = prod(left.value.shape) // rows
    return (
        (left.view, right.view) == ("whole", "transposed")
        and left.value.op not in INPUTS
        and right.value.op not in INPUTS
        and terms >= 512
        and 8 * max(rows, columns) <= terms
        and rows * (columns + 16) <= 8192
    )
