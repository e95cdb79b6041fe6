"""What minifw changes about Inductor, torch's compiler: a loop's memory is allocated once.

Inductor writes C++ that allocates each intermediate tensor anew in every turn of a `while_loop`,
and copies every handle: for one network and batches of one that took three quarters of the time.
Here the allocations stand before the loop, and handles are references. That is right because a
turn's tensors are all overwritten by the next, but for those that it hands on, which stay as
they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch._inductor.codegen import common
from torch._inductor.codegen.cpp_wrapper_cpu import CppWrapperCpu
from torch._inductor.utils import DeferredLineBase, IndentedBuffer


@contextmanager
def allocating_once() -> Iterator[None]:
    """Within this block, Inductor compiles loops that allocate their memory before they begin."""
    common.init_backend_registration()
    usual = common.device_codegens["cpu"]
    common.device_codegens["cpu"] = common.DeviceCodegen(
        usual.scheduling, usual.wrapper_codegen, _Wrapper, usual.fx_wrapper_codegen
    )
    try:
        yield
    finally:
        common.device_codegens["cpu"] = usual


class _Later(DeferredLineBase):
    """A place in the code that is filled with `lines` when all code is known."""

    def __init__(self, lines: IndentedBuffer) -> None:
        super().__init__("")
        self.lines = lines

    def __call__(self) -> str:
        return str(self.lines.getvalue())

    def _new_line(self, line: str) -> _Later:  # indented or not, it is the same place
        return self


class _Wrapper(CppWrapperCpu):
    """Writes the C++ around the kernels; overrides what is written inside of a loop."""

    @staticmethod
    def create(*of_subgraph: Any, **more: Any) -> _Wrapper:
        return _Wrapper()

    @property
    def _in_loop(self) -> bool:
        return len(self.codegened_graph_stack) > 1

    def codegen_while_loop(self, while_loop: Any, stack_output: bool = False) -> None:
        self._before_loop = IndentedBuffer()
        self.writeline(_Later(self._before_loop))
        super().codegen_while_loop(while_loop, stack_output)

    def make_allocation(self, name: str, *of_what: Any, **more: Any) -> str:
        handed_on = name in self.get_codegened_graph().get_output_names()
        if not self._in_loop or handed_on:
            return str(super().make_allocation(name, *of_what, **more))
        inside, self.wrapper_call = self.wrapper_call, self._before_loop
        try:
            self.wrapper_call.writeline(super().make_allocation(name, *of_what, **more))
        finally:
            self.wrapper_call = inside
        return ""

    def codegen_subgraph_prefix(self, subgraph: Any, outer_inputs: Any, outer_outputs: Any) -> None:
        for inner, outer in zip(subgraph.graph.graph_inputs, outer_inputs, strict=True):
            self.writeline(f"auto&& {inner} = {outer};")

    def codegen_exact_buffer_reuse(self, old_name: str, new_name: str, del_line: str) -> str:
        if self._in_loop:
            return f"auto& {new_name} = {old_name};"
        return str(super().codegen_exact_buffer_reuse(old_name, new_name, del_line))

    def make_buffer_free(self, buffer: Any) -> str:
        return "" if self._in_loop else str(super().make_buffer_free(buffer))

    def make_free_by_names(self, names_to_del: list[str]) -> str:
        return "" if self._in_loop else str(super().make_free_by_names(names_to_del))
