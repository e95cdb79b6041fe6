"""Which values of a step share a kernel, and in which order the kernels run.

A *kernel* is one loop nest. Its root is a product or a reduction, and element-wise operations on
the root's result follow in the same loop (fusion), so that their operands are never stored. Values
that are cheap to compute again, such as σ'(y), are computed wherever they are used.

Large batches are taken in *chunks* of samples that fit the first cache: each chunk goes forward and
backward through the whole network, and what is summed over samples (the gradients of weights) adds
up over the chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from minifw.compile.values import (
    ELEMENTWISE,
    INPUTS,
    CannotCompileError,
    Operand,
    Recording,
    Shape,
    Value,
)

Layout = Literal["across", "down", "flat"]
"""`across`: row after row, each padded to whole vectors, so that vectors run along the columns.
`down`: the same for the transposed matrix. `flat`: row after row without gaps."""

OVER_ROWS = ("sum_rows", "max_rows", "min_rows")
OVER_COLUMNS = ("sum_columns", "max_columns", "min_columns")

# A chunk has about this many samples: its values fit the first cache (docs/compile.md).
CHUNK = 48
LARGEST_CHUNK = 128


def chunk_of(batch: int) -> int:
    """Return how many samples are taken at once: all, or a divisor of a large batch near CHUNK."""
    if batch <= LARGEST_CHUNK:
        return batch
    divisors = [n for n in range(CHUNK // 2, LARGEST_CHUNK + 1) if batch % n == 0]
    return min(divisors, key=lambda n: abs(n - CHUNK), default=batch)


@dataclass(eq=False)
class Kernel:
    """One loop nest: a root and the element-wise operations on its result."""

    root: Value | None
    """A product, a reduction or a copy; None if all is element-wise."""
    maps: list[Value] = field(default_factory=list)
    directions: list[Layout] = field(default_factory=list)
    """Along what its vectors run, `across` or `down`; both if it is computed twice."""
    totals: bool = False
    """Whether it adds to its result, once for each chunk of the batch."""
    panels: bool = False
    """Whether a product transposes the operand whose vectors it needs, piece by piece."""
    dots: bool = False
    """Whether the vectors of a product run along the terms of its sums."""
    conversions: list[tuple[Value, Layout, Layout]] = field(default_factory=list)
    """What is copied to another layout afterwards: (value, from, to)."""

    @property
    def values(self) -> list[Value]:
        """All values that it computes, in order."""
        return [*([] if self.root is None else [self.root]), *self.maps]

    @property
    def shape(self) -> Shape:
        """The shape of its result."""
        return self.values[0].shape


class Kernels:
    """The kernels of a step in their order, and which values are computed where.

    Args:
        recording: the step; its values are changed if the batch is taken in chunks.
        batch: samples in a step.

    """

    def __init__(self, recording: Recording, batch: int) -> None:
        self.recording = recording
        self.batch = batch
        self._separate_results()
        self.of_samples = self._find_of_samples()
        shapes = {value: value.shape for value in self.of_samples}
        try:
            self._arrange(chunk_of(batch))
        except _Undividable:
            for value, shape in shapes.items():
                value.shape = shape
            self._arrange(batch)

    def _arrange(self, chunk: int) -> None:
        """Group and order all kernels, for a batch that is taken in chunks."""
        self.chunk = chunk
        self._late: set[Kernel] = set()
        self._group()
        self.reads = {kernel: list(self._find_reads(kernel)) for kernel in self.kernels}
        if chunk < self.batch:
            self._divide_batch()
        self._find_stored()
        self._order()

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

    def _find_of_samples(self) -> set[Value]:
        """Return the values whose rows belong to samples, in the order of the samples."""
        found = {self.recording.x, self.recording.target}
        for value in self.recording.values:
            if value.op == "product":
                left = value.operands[0]
                of_samples = left.view == "whole" and left.value in found
            elif value.op in OVER_ROWS:
                of_samples = False
            elif value.op == "copy":
                of_samples = any(v in found for v in value.sources)
            else:
                of_samples = any(
                    o.value in found and o.view in ("whole", "column") for o in value.operands
                )
            if of_samples and value.shape[0] % self.batch == 0:
                found.add(value)
        return found

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
            or any(user.op not in ELEMENTWISE and user.op != "same" for user, _ in users)
        }
        self.kernels: list[Kernel] = []
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
            if value.op not in ELEMENTWISE and value.op != "same":
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

    def _divide_batch(self) -> None:
        """Take a large batch in chunks, if each kernel works on samples alone or sums over them."""
        inside = [k for k in self.kernels if k.values[0] in self.of_samples]
        totals = [k for k in self.kernels if k not in inside and self._sums_samples(k)]
        after: set[Kernel] = set()
        for kernel in self.kernels:
            reads = [self.kernel_of.get(operand.value) for operand in self.reads[kernel]]
            late = any(k in after or k in totals for k in reads if k is not None)
            if late or (kernel not in inside and any(v in self.results for v in kernel.values)):
                after.add(kernel)
        after -= {*totals}
        chunked = {*inside, *totals}
        of_samples_outside = any(
            o.value in self.of_samples
            for k in self.kernels
            if k not in chunked
            for o in self.reads[k]
        )
        kept = self.of_samples.isdisjoint(self.recording.after)  # a state lasts longer than a chunk
        alone = self.of_samples.issuperset(self.recording.outputs) and all(
            value.op in INPUTS or self._is_each_for_itself(value) for value in self.of_samples
        )
        if after & chunked or of_samples_outside or not kept or not alone:
            raise _Undividable
        parts = self.batch // self.chunk
        for value in self.of_samples:
            value.shape = (value.shape[0] // parts, value.shape[1])
        self._late = after
        for kernel in totals:
            kernel.totals = True
            if kernel.maps:  # what follows the total comes after the last chunk
                rest = Kernel(None, kernel.maps)
                kernel.maps = []
                self.kernels.insert(self.kernels.index(kernel) + 1, rest)
                self._late.add(rest)
                for value in rest.maps:
                    self.kernel_of[value] = rest
        self.reads = {kernel: list(self._find_reads(kernel)) for kernel in self.kernels}

    def _is_each_for_itself(self, value: Value) -> bool:
        """Whether each row depends on its own sample alone: on that row of values of samples.

        Of all other values it may use what is the same for each row.
        """
        if value.op == "copy":  # it may move samples
            return False
        if value.op == "product":
            return value.operands[1].value not in self.of_samples
        return all(
            operand.view in ("whole", "column")
            if operand.value in self.of_samples
            else operand.view in ("row", "number")
            for operand in value.operands
        )

    def _sums_samples(self, kernel: Kernel) -> bool:
        """Whether a kernel adds up something of all samples, so that chunks can be added up."""
        root = kernel.root
        if root is None or root.op not in ("product", "sum_rows"):
            return False
        views = ["transposed", "whole"] if root.op == "product" else ["whole"]
        if [operand.view for operand in root.operands] != views:
            return False
        return all(operand.value in self.of_samples for operand in root.operands) and all(
            operand.value not in self.of_samples
            for operand in self.reads[kernel]
            if operand not in root.operands
        )

    def stage(self, kernel: Kernel) -> int:
        """Return 1 for what is computed once a chunk, 0 for what comes before, 2 for after."""
        if self.chunk == self.batch or kernel.totals or kernel.values[0] in self.of_samples:
            return 1
        return 2 if kernel in self._late else 0

    def _find_stored(self) -> None:
        self.stored = set(self.results)
        for kernel in self.kernels:
            own = set(kernel.values)
            self.stored |= {o.value for o in self.reads[kernel] if o.value not in own}
        self.stored = {value for value in self.stored if value.op not in INPUTS}

    # --------------------------------------------------------------------------------- the order

    def _order(self) -> None:
        """Order the kernels: after what they read, and a state is overwritten after its last use.

        If that is not possible, the new state has memory of its own until the end of the step.
        """
        recording = self.recording
        before: dict[Kernel, set[Kernel]] = {
            k: {self.kernel_of[o.value] for o in self.reads[k] if o.value in self.kernel_of} - {k}
            for k in self.kernels
        }
        self.apart: set[Value] = set()
        pairs = [
            (old, new)
            for old, new in zip(recording.before, recording.after, strict=True)
            if new is not old
        ]
        overwrites: dict[Kernel, set[Kernel]] = {k: set() for k in self.kernels}
        for old, new in pairs:
            writer = self.kernel_of[new]
            others = [k for k in self.kernels if k is not writer]
            readers = {k for k in others if any(o.value is old for o in self.reads[k])}
            # Only element by element may a kernel write over what it reads.
            own = any(o.value is old and o.view != "whole" for o in self.reads[writer]) or (
                writer.root is not None and old in writer.root.sources
            )
            # A sum over chunks is set to 0 before the first of them.
            late = writer.totals or self._reach(before, overwrites, readers, writer)
            if own or (readers and late):
                self.apart.add(new)
            else:
                overwrites[writer] |= readers
        done: set[Kernel] = set()
        order: list[Kernel] = []
        while len(order) < len(self.kernels):
            ready = [k for k in self.kernels if k not in done and before[k] | overwrites[k] <= done]
            if not ready:
                raise CannotCompileError("the operations depend on each other in a circle")
            if self.chunk < self.batch:
                ready.sort(key=self.stage)
            done.add(ready[0])
            order.append(ready[0])
        self.kernels = order
        stages = [self.stage(kernel) for kernel in order]
        if self.chunk < self.batch and stages != sorted(stages):
            raise _Undividable

    def inner(self, product: Value) -> int:
        """Return the number of terms in each sum of a product."""
        left = product.operands[0]
        return left.value.shape[0 if left.view == "transposed" else 1]

    @staticmethod
    def _reach(
        before: dict[Kernel, set[Kernel]],
        overwrites: dict[Kernel, set[Kernel]],
        kernels: set[Kernel],
        target: Kernel,
    ) -> bool:
        """Whether one of these kernels must come after the target."""
        todo, seen = [*kernels], set[Kernel]()
        while todo:
            kernel = todo.pop()
            if kernel is target:
                return True
            if kernel not in seen:
                seen.add(kernel)
                todo += [*before[kernel], *overwrites[kernel]]
        return False


class _Undividable(Exception):  # noqa: N818, never leaves this file
    """The batch cannot be taken in chunks."""
