"""Large batches in chunks of samples: what is done once for each chunk, and what adds up over them.

A chunk goes forward and backward through the whole network, and its values fit the first cache.
What is summed over samples, as the gradients of weights, adds up over the chunks. That is right
only where each sample is for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minifw.compile.loops import OVER_ROWS, Kernel
from minifw.compile.values import INPUTS, Recording, Value

if TYPE_CHECKING:
    from minifw.compile.grouping import Kernels

# A chunk has about this many samples: its values fit the first cache (docs/compile.md).
CHUNK = 48
LARGEST_CHUNK = 128


def chunk_of(batch: int) -> int:
    """Return how many samples are taken at once: all, or a divisor of a large batch near CHUNK."""
    if batch <= LARGEST_CHUNK:
        return batch
    divisors = [n for n in range(CHUNK // 2, LARGEST_CHUNK + 1) if batch % n == 0]
    return min(divisors, key=lambda n: abs(n - CHUNK), default=batch)


def find_of_samples(recording: Recording, batch: int) -> set[Value]:
    """Return the values whose rows belong to samples, in the order of the samples."""
    found = {recording.x, recording.target}
    for value in recording.values:
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
        if of_samples and value.shape[0] % batch == 0:
            found.add(value)
    return found


def divide(groups: Kernels, parts: int) -> set[Kernel] | None:
    """Take a batch in `parts` chunks; return the kernels that come after all chunks.

    If a kernel neither works on samples one by one nor sums over them, nothing is changed, and the
    result is None.
    """
    of_samples, recording = groups.of_samples, groups.recording
    inside = [k for k in groups.kernels if k.values[0] in of_samples]
    totals = [k for k in groups.kernels if k not in inside and _sums_samples(groups, k)]
    after = _after(groups, inside, totals)
    chunked = {*inside, *totals}
    read_outside = any(
        operand.value in of_samples
        for kernel in groups.kernels
        if kernel not in chunked
        for operand in groups.reads[kernel]
    )
    lasting = not of_samples.isdisjoint(recording.after)  # a state lasts longer than a chunk
    alone = of_samples.issuperset(recording.outputs) and all(
        value.op in INPUTS or _is_each_for_itself(value, of_samples) for value in of_samples
    )
    if after & chunked or read_outside or lasting or not alone:
        return None
    for value in of_samples:
        value.shape = (value.shape[0] // parts, value.shape[1])
    for kernel in totals:
        kernel.totals = True
        if kernel.maps:  # what follows the total comes after the last chunk
            after.add(groups.separate_maps(kernel))
    return after


def _after(groups: Kernels, inside: list[Kernel], totals: list[Kernel]) -> set[Kernel]:
    """Return the kernels that need a total, or that change a state."""
    after: set[Kernel] = set()
    for kernel in groups.kernels:
        reads = [groups.kernel_of.get(operand.value) for operand in groups.reads[kernel]]
        late = any(k in after or k in totals for k in reads if k is not None)
        if late or (kernel not in inside and any(v in groups.results for v in kernel.values)):
            after.add(kernel)
    return after - {*totals}


def _is_each_for_itself(value: Value, of_samples: set[Value]) -> bool:
    """Whether each row depends on its own sample alone: on that row of values of samples.

    Of all other values it may use what is the same for each row.
    """
    if value.op == "copy":  # it may move samples
        return False
    if value.op == "product":
        return value.operands[1].value not in of_samples
    return all(
        operand.view in ("whole", "column")
        if operand.value in of_samples
        else operand.view in ("row", "number")
        for operand in value.operands
    )


def _sums_samples(groups: Kernels, kernel: Kernel) -> bool:
    """Whether a kernel adds up something of all samples, so that chunks can be added up."""
    root = kernel.root
    if root is None or root.op not in ("product", "sum_rows"):
        return False
    views = ["transposed", "whole"] if root.op == "product" else ["whole"]
    if [operand.view for operand in root.operands] != views:
        return False
    others = (operand for operand in groups.reads[kernel] if operand not in root.operands)
    return all(operand.value in groups.of_samples for operand in root.operands) and all(
        operand.value not in groups.of_samples for operand in others
    )
