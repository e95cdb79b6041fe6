"""Reused memory for the results of tensor operations.

A training step makes the same tensors, in the same order, thousands of times; allocating them
each time costs as much as computing them (docs/decisions.md). Inside

    with buffers.reuse(inputs.shape):
        output = network.forward(inputs)
        ...

the n-th result is written over the n-th result of the previous such block, so the results of a
block are valid until the next block begins. Outside such a block every result is a new tensor, and
nothing is overwritten. The formulas are the same in both cases: they pass `out=buffer(x)` to torch,
for which `None` means a new tensor.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

__all__ = ["Buffers"]


class _Pass:
    """One recurring block: its results in order, and the position of the next."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.zeros: dict[torch.dtype, Tensor] = {}
        self.position = 0
        self.stale = False
        self.outer: _Pass | None = None

    def __enter__(self) -> None:
        self.outer, _active.block = _active.block, self
        self.position = 0
        if self.stale:
            self.tensors, self.stale = [], False

    def __exit__(self, *exception: object) -> None:
        _active.block = self.outer


class _Active(threading.local):
    """The block that this thread is in, if any."""

    block: _Pass | None = None
    fused = False


_active = _Active()


class Buffers:
    """Keeps one sequence of tensors for each recurring block, by its `key`.

    Blocks with the same key must request the same sequence of shapes; the shape of a network's
    batch is such a key.
    """

    def __init__(self) -> None:
        self._passes: dict[Hashable, _Pass] = {}

    def reuse(self, key: Hashable) -> AbstractContextManager[None]:
        """Within this block, results overwrite those of the previous block with the same key."""
        if key not in self._passes:
            self._passes[key] = _Pass()
        return self._passes[key]

    def reuse_in_thread(self, key: Hashable) -> AbstractContextManager[None]:
        """Do the same, with separate memory for each thread."""
        return self.reuse((threading.get_ident(), key))


def buffer(like: Tensor) -> Tensor | None:
    """Return the tensor to write the next result to, None for a new one.

    The tensor has the dtype and device of `like`. It is empty at first; torch gives it the shape of
    the first result that is written to it.
    """
    block = _active.block
    if block is None:
        return None
    position = block.position
    block.position = position + 1
    tensors = block.tensors
    if position == len(tensors):
        tensors.append(torch.empty(0, dtype=like.dtype, device=like.device))
    elif tensors[position].dtype != like.dtype:  # this block computes something else than the last
        tensors[position] = torch.empty(0, dtype=like.dtype, device=like.device)
    return tensors[position]


def room(like: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a tensor of this shape to write to, which holds anything; in a block a reused one."""
    out = buffer(like)
    return like.new_empty(tuple(shape)) if out is None else out.resize_(tuple(shape))


@contextmanager
def unbuffered() -> Iterator[None]:
    """Within this block results are new tensors: what is computed differs from call to call."""
    usual, _active.block = _active.block, None
    try:
        yield
    finally:
        _active.block = usual


@contextmanager
def renewed() -> Iterator[None]:
    """Within this block results may differ from those of later times, which get new memory."""
    if _active.block is not None:
        _active.block.stale = True
    yield


def zeros(like: Tensor) -> Tensor:
    """Return zeros of the shape and dtype of `like`."""
    out = buffer(like)
    return torch.zeros_like(like) if out is None else out.resize_(like.shape).zero_()


def product(left: Tensor, right: Tensor, plus: Tensor | None = None) -> Tensor:
    """Matrix product over the last two dimensions, `(…, n, k) @ (…, k, m) -> (…, n, m)`.

    `plus`, `(…, m)`, is added to each of its rows. A stack of one network has the bits of a stack.
    """
    out = buffer(left)
    if left.ndim == right.ndim == 3:
        # What matmul would call for one leading dimension, without its overhead; and the result is
        # written only once, with `plus` in it (docs/decisions.md).
        if alone := is_alone(left, right):
            left, right = twice(left), twice(right)
        if plus is None:
            result = torch.bmm(left, right, out=out)
        else:
            result = torch.baddbmm(plus.unsqueeze(-2), left, right, out=out)
        return result[:1] if alone else result
    result = torch.matmul(left, right, out=out)
    return result if plus is None else result.add_(plus.unsqueeze(-2))


def product_to(out: Tensor, left: Tensor, right: Tensor, plus: Tensor | None = None) -> None:
    """Write the matrix product of two stacks of three dimensions to `out`, a view perhaps.

    `plus` is added to it, and broadcast.
    """
    alone = is_alone(left, right)
    to = None if alone else out
    if alone:
        left, right = twice(left), twice(right)
    if plus is None:
        result = torch.bmm(left, right, out=to)
    else:
        result = torch.baddbmm(plus, left, right, out=to)
    if alone:
        out.copy_(result[:1])


def is_alone(left: Tensor, right: Tensor) -> bool:
    """Whether the product of a single network has other bits than the same in a stack.

    torch takes another routine for it. Where one of the sizes is 1, that one adds in another order.
    """
    if len(left) > 1:  # quickly, since each product asks
        return False
    (_, rows, terms), columns = left.shape, right.shape[2]
    return rows == 1 or terms == 1 or columns == 1


def twice(value: Tensor) -> Tensor:
    """Return a single network's numbers as those of a stack of two, a view."""
    return value.expand(2, *value.shape[1:])


def sums(terms: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return sums over these dimensions, in rising order, which remain with size 1.

    The first dimension, that of samples, is summed last: torch's threads would share the sum to a
    single number, so that a network alone had other bits than in a stack. So it had of numbers that
    stand once in memory for several places, which torch sums in an order of its own. A compiler is
    given one sum, which follows the order in memory.
    """
    if _active.fused:
        return torch.sum(terms, dims, keepdim=True)
    if 0 in terms.stride():
        terms = terms.contiguous()
    if len(dims) > 1:
        terms = torch.sum(terms, dims[1:], keepdim=True, out=buffer(terms))
        dims = dims[:1]
    return torch.sum(terms, dims, keepdim=True, out=buffer(terms))


def sum_like(terms: Tensor, like: Tensor) -> Tensor:
    """Return `terms` summed over all dimensions in which `like`, of as many, has the size 1.

    So dL/db is summed where b was broadcast to the terms.
    """
    over = tuple(d for d, size in enumerate(like.shape) if size == 1 and terms.shape[d] != 1)
    return sums(terms, over) if over else terms


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add the matrix product of `left` and `right` to `total`, in place."""
    if left.ndim == right.ndim == 3:
        if is_alone(left, right):
            total.copy_(torch.baddbmm(twice(total), twice(left), twice(right))[:1])
        else:
            total.baddbmm_(left, right)
    else:
        total.add_(torch.matmul(left, right))


@contextmanager
def fused() -> Iterator[None]:
    """Within this block a step is recorded for a compiler and not executed.

    A compiler fuses elementwise operations and selects without branches. Code that is written for
    the speed of torch's own operations would prevent that.
    """
    usual, _active.fused = _active.fused, True
    try:
        yield
    finally:
        _active.fused = usual


def is_fused() -> bool:
    """Return whether a step is being recorded for a compiler."""
    return _active.fused


BITS = {torch.float32: torch.int32, torch.float64: torch.int64}

# For up to this many numbers torch.where is quicker than operations on bits. With more, the
# processor's branch prediction fails on random masks (docs/decisions.md).
_FEW = 128


def rectified(x: Tensor) -> Tensor:
    """Return max(0, x), of the shape of x; a NaN stays one. It is never -0, except in `fused`."""
    if (
        _active.fused
    ):  # one instruction; a threshold, with its comparison, made steps a third longer
        return torch.clamp(x, min=0)
    return torch.threshold(x, 0, 0, out=buffer(x))


def sigmoid(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return 1 / (1 + e⁻ˣ), in `out` if it is given, which may be x.

    torch.sigmoid takes another formula for what is left over behind its vectors, so that a network
    alone would have other bits than in a stack.
    """
    if _active.fused:
        return torch.sigmoid(x, out=out)
    return torch.neg(x, out=out).exp_().add_(1).reciprocal_()


def positive(x: Tensor) -> Tensor:
    """Return 1 where x > 0 and 0 elsewhere, as numbers of the dtype and shape of x."""
    out = buffer(x)
    return (x > 0).to(x.dtype) if out is None else torch.gt(x, _zero(x), out=out)


def picked(values: Tensor, where: Tensor) -> Tensor:
    """Return `values` where the tensor `where`, of the same shape, is not 0, and 0 elsewhere.

    Both are float32 or both float64; `where` has no numbers below 0 and no -0. A product with a
    mask would give NaN for an infinity or NaN times 0.
    """
    if _active.fused:  # a compiler vectorises the comparison, and not `bool`
        return torch.where(where <= 0, 0.0, values)
    if where.numel() <= _FEW:
        return torch.where(where.bool(), values, where, out=buffer(values))
    dtype = values.dtype
    bits = where.view(BITS[dtype])
    out = buffer(bits)
    mask = torch.ne(bits, _zero(bits), out=torch.empty_like(bits) if out is None else out)
    if dtype == torch.float32:  # integer product of the bits with 1 or 0: one operation less
        mask.mul_(values.view(bits.dtype))
    else:  # 64-bit products are slow; -1 has all bits set, so `and` keeps the number
        mask.neg_().bitwise_and_(values.view(bits.dtype))
    return mask.view(dtype)


def _zero(like: Tensor) -> Tensor | int:
    """Return 0; inside a block as a kept tensor, since torch would make one from the number."""
    block = _active.block
    if block is None:
        return 0
    if like.dtype not in block.zeros:
        block.zeros[like.dtype] = torch.zeros((), dtype=like.dtype, device=like.device)
    return block.zeros[like.dtype]
