"""Changes to Inductor, torch's compiler.

The memory of a loop is allocated once. Inductor writes C++ that allocates each intermediate tensor
in every turn of a `while_loop` and copies every handle, which costs small networks most of their
time (docs/performance.md). Here the allocations are before the loop, and handles are references.
That is right because every turn overwrites all tensors of the one before, except those that are
handed on, which are allocated as usual.

Products of small matrices are compiled for their sizes (products.h). Inductor calls a library for
large matrices, which is slower for them (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch._inductor.codegen import common
from torch._inductor.codegen.cpp import CppScheduling
from torch._inductor.codegen.cpp_utils import DTYPE_TO_CPP, cexpr
from torch._inductor.codegen.cpp_wrapper_cpu import CppWrapperCpu
from torch._inductor.codegen.wrapper import WrapperLine
from torch._inductor.cpu_vec_isa import pick_vec_isa
from torch._inductor.utils import DeferredLineBase, IndentedBuffer
from torch._inductor.virtualized import V


@contextmanager
def as_we_need_it() -> Iterator[None]:
    """Within this block, Inductor compiles with these changes, in all threads."""
    common.init_backend_registration()
    usual = common.device_codegens["cpu"]
    common.device_codegens["cpu"] = common.DeviceCodegen(
        _Scheduling, usual.wrapper_codegen, _Wrapper, usual.fx_wrapper_codegen
    )
    try:
        yield
    finally:
        common.device_codegens["cpu"] = usual


class _Scheduling(CppScheduling):
    """Writes kernels one after another if Inductor cannot merge them into one."""

    def codegen_outer_loop_node(self, node: Any) -> None:
        removed = V.graph.removed_buffers.copy()
        try:
            super().codegen_outer_loop_node(node)
        except KeyError:  # one kernel overwrites what another reads, as in one step with momentum
            V.graph.removed_buffers = removed  # buffers that only the merged kernel would not need
            for part in node.get_outer_nodes():
                self.codegen_node(part)


class _Later(DeferredLineBase):
    """A place in the code that is filled with `lines` at the end."""

    def __init__(self, lines: IndentedBuffer) -> None:
        super().__init__("")
        self.lines = lines

    def __call__(self) -> str:
        return str(self.lines.getvalue())

    def _new_line(self, line: str) -> _Later:  # the same place with any indentation
        return self


class _BeforeLoop(WrapperLine):
    """The place for the allocations of the next loop."""

    def __init__(self, wrapper: _Wrapper) -> None:
        self.wrapper = wrapper

    def codegen(self, code: IndentedBuffer) -> None:
        self.wrapper.before_loop = IndentedBuffer()
        code.writeline(_Later(self.wrapper.before_loop))


class _Wrapper(CppWrapperCpu):
    """Writes the C++ around the kernels, with changed loops and products."""

    def __init__(self) -> None:
        super().__init__()
        self.before_loop = IndentedBuffer()
        self._products: dict[tuple[Any, ...], str] = {}  # names by template arguments

    @staticmethod
    def create(*of_subgraph: Any, **more: Any) -> _Wrapper:
        return _Wrapper()

    @property
    def _in_loop(self) -> bool:
        return len(self.codegened_graph_stack) > 1

    def codegen_while_loop(self, while_loop: Any, stack_output: bool = False) -> None:
        self.writeline(_BeforeLoop(self))
        super().codegen_while_loop(while_loop, stack_output)

    def _handed_on(self, name: str) -> bool:
        """Whether this tensor is used by the next turn or after the loop."""
        return name in self.get_codegened_graph().get_output_names()

    def make_allocation(self, name: str, *of_what: Any, **more: Any) -> str:
        if not self._in_loop or self._handed_on(name):
            return str(super().make_allocation(name, *of_what, **more))
        inside, self.wrapper_call = self.wrapper_call, self.before_loop
        try:
            self.wrapper_call.writeline(super().make_allocation(name, *of_what, **more))
        finally:
            self.wrapper_call = inside
        return ""

    def codegen_subgraph_prefix(self, subgraph: Any, outer_inputs: Any, outer_outputs: Any) -> None:
        for inner, outer in zip(subgraph.graph.graph_inputs, outer_inputs, strict=True):
            self.writeline(f"auto&& {inner} = {outer};")

    def make_buffer_reuse(self, old: Any, new: Any, delete_old: bool) -> str:
        if self._in_loop and self._handed_on(new.get_name()):
            return str(self.make_buffer_allocation(new))  # the old one is needed in the next turn
        return str(super().make_buffer_reuse(old, new, delete_old))

    def codegen_exact_buffer_reuse(self, old_name: str, new_name: str, del_line: str) -> str:
        if self._in_loop:
            return f"auto& {new_name} = {old_name};"
        return str(super().codegen_exact_buffer_reuse(old_name, new_name, del_line))

    def generate_extern_kernel_out(self, node: Any) -> None:
        product = _small_product(node)
        if product is None:
            super().generate_extern_kernel_out(node)
            return
        if not self._products:  # the first product includes the header for all
            text = Path(__file__).with_name("products.h").read_text(encoding="utf-8")
            self.define_kernel("products", text, gpu=False, cpp_definition="")
        if product not in self._products:
            name = self._products[product] = f"products_{len(self._products)}"
            c_type = DTYPE_TO_CPP[node.get_dtype()]
            head = f'extern "C" void {name}(const {c_type}* a, const {c_type}* b, {c_type}* c)'
            sizes = ", ".join(map(str, product))
            body = f"{head} {{ minifw::products<{sizes}>(a, b, c); }}"
            self.define_kernel(name, body, gpu=False, cpp_definition=f"{head};")
        memory = ", ".join(map(_start, [*node.inputs, node]))
        self.writeline(f"{self._products[product]}({memory});")

    def make_buffer_free(self, buffer: Any) -> str:
        return "" if self._in_loop else str(super().make_buffer_free(buffer))

    def make_free_by_names(self, names_to_del: list[str]) -> str:
        return "" if self._in_loop else str(super().make_free_by_names(names_to_del))


# A product is small if at least two of its three sizes are at most this, and the inner size too if
# an operand must be copied (as many rows in products.h). MKL is as quick for larger products, since
# it packs its operands into the cache (docs/performance.md).
SMALL = 128


def _small_product(node: Any) -> tuple[Any, ...] | None:
    """Return the template arguments of `products` (products.h), None if the library is better.

    Without AVX-512 the library is always used: with shorter vectors it loses little.
    """
    if node.python_kernel_name != "extern_kernels.bmm" or pick_vec_isa().bit_width() < 512:
        return None
    left, right = node.inputs
    seeds, m, k = map(int, left.get_size())
    n = int(right.get_size()[2])
    strides = [int(stride) for matrix in (left, right) for stride in matrix.get_stride()]
    _, a_row, a_column, _, b_row, b_column = strides
    as_they_stand = a_row == b_column == 1
    if sorted([m, n, k])[1] > SMALL or (k > SMALL and not as_they_stand):
        return None
    known = (
        node.get_dtype() in (torch.float32, torch.float64)
        and 1 in (a_row, a_column)
        and 1 in (b_row, b_column)
        and list(node.get_stride()) == [m * n, n, 1]
    )
    return (seeds, m, n, k, *strides, DTYPE_TO_CPP[node.get_dtype()]) if known else None


def _start(tensor: Any) -> str:
    """Return the C++ expression for the address of a tensor's first number."""
    c_type = DTYPE_TO_CPP[tensor.get_dtype()]
    offset = cexpr(tensor.get_layout().offset)
    return f"static_cast<{c_type}*>({tensor.get_name()}.data_ptr()) + {offset}"
