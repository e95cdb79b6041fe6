"""The order of kernels: after what they read, and a state is overwritten after its last use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from minifw.compile.loops import Kernel
from minifw.compile.values import CannotCompileError, Value

if TYPE_CHECKING:
    from minifw.compile.grouping import Kernels

Before = dict[Kernel, set[Kernel]]
"""For each kernel those that must come before it."""


def in_order(
    groups: Kernels, stage: Callable[[Kernel], int] | None
) -> tuple[list[Kernel], set[Value]]:
    """Return the kernels in their order, and the new states that need memory of their own.

    A new state has the old one's memory if all can read that before. `stage` says what comes
    earlier where both orders are possible.
    """
    before: Before = {
        kernel: {
            groups.kernel_of[operand.value]
            for operand in groups.reads[kernel]
            if operand.value in groups.kernel_of
        }
        - {kernel}
        for kernel in groups.kernels
    }
    apart = _overwrite(groups, before)
    done: set[Kernel] = set()
    order: list[Kernel] = []
    while len(order) < len(groups.kernels):
        ready = [k for k in groups.kernels if k not in done and before[k] <= done]
        if not ready:
            raise CannotCompileError("the operations depend on each other in a circle")
        if stage is not None:
            ready.sort(key=stage)
        done.add(ready[0])
        order.append(ready[0])
    return order, apart


def _overwrite(groups: Kernels, before: Before) -> set[Value]:
    """Let states be overwritten after their last use; return the new ones for which none is."""
    recording, apart = groups.recording, set[Value]()
    for old, new in zip(recording.before, recording.after, strict=True):
        if new is old:
            continue
        writer = groups.kernel_of[new]
        reads = groups.reads
        readers = {
            k for k in groups.kernels if k is not writer and any(o.value is old for o in reads[k])
        }
        # Only element by element may a kernel write over what it reads.
        own = any(o.value is old and o.view != "whole" for o in reads[writer]) or (
            writer.root is not None and old in writer.root.sources
        )
        # A sum over chunks is set to 0 before the first of them.
        late = writer.totals or _reach(before, readers, writer)
        if own or (readers and late):
            apart.add(new)
        else:
            before[writer] |= readers
    return apart


def _reach(before: Before, kernels: set[Kernel], target: Kernel) -> bool:
    """Whether one of these kernels must come after the target."""
    todo, seen = [*kernels], set[Kernel]()
    while todo:
        kernel = todo.pop()
        if kernel is target:
            return True
        if kernel not in seen:
            seen.add(kernel)
            todo += before[kernel]
    return False
