"""Reused memory for the results of tensor operations.

A training step makes the same tensors, in the same order, thousands of times; at full batch
allocating them anew costs as much as computing them. Inside

    with buffers.reuse(inputs.shape):
        output = network.forward(inputs)
        ...

the n-th result is written over the n-th result of the previous such block, so what one block
returned is valid until the next begins. Outside such a block every result is a new tensor, and
nothing is ever overwritten. The formulas are the same in both cases: they pass `out=buffer(x)`
to torch, which takes `None` to mean a new tensor.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

__all__ = ["Buffers"]


class _Pass:
    """One recurring block: its results in order, and which of them is next."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.zeros: dict[torch.dtype, Tensor] = {}
        self.position = 0
        self.outer: _Pass | None = None

    def __enter__(self) -> None:
        self.outer, _active.block = _active.block, self
        self.position = 0

    def __exit__(self, *exception: object) -> None:
        _active.block = self.outer


class _Active(threading.local):
    """The block that this thread is in, if any."""

    block: _Pass | None = None
    fused = False


_active = _Active()


class Buffers:
    """Keeps one sequence of tensors for each kind of block that recurs (`key`).

    A block must ask for the same sequence of shapes whenever it has the same key; the shape of
    the batch that goes through a network is such a key.
    """

    def __init__(self) -> None:
        self._passes: dict[Hashable, _Pass] = {}

    def reuse(self, key: Hashable) -> AbstractContextManager[None]:
        """Within this block, results overwrite those of the previous block with the same key."""
        if key not in self._passes:
            self._passes[key] = _Pass()
        return self._passes[key]

    def reuse_in_thread(self, key: Hashable) -> AbstractContextManager[None]:
        """Do the same, with memory of its own for each thread."""
        return self.reuse((threading.get_ident(), key))


def buffer(like: Tensor) -> Tensor | None:
    """Return where the next result goes: a reused tensor, or None for a new one.

    The tensor has the dtype and device of `like`. It starts empty; torch gives it the shape of
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
    elif tensors[position].dtype != like.dtype:  # this block takes another way than those before
        tensors[position] = torch.empty(0, dtype=like.dtype, device=like.device)
    return tensors[position]


def product(left: Tensor, right: Tensor, plus: Tensor | None = None) -> Tensor:
    """Matrix product over the last two dimensions, `(…, n, k) @ (…, k, m) -> (…, n, m)`.

    `plus`, `(…, m)`, is added to each of its rows.
    """
    out = buffer(left)
    if left.ndim == right.ndim == 3:
        # What matmul ends up calling for one leading dimension, after 2 us of looking; and the sum
        # is written once, where adding it to a finished product would take a tenth more.
        if plus is None:
            return torch.bmm(left, right, out=out)
        return torch.baddbmm(plus.unsqueeze(-2), left, right, out=out)
    result = torch.matmul(left, right, out=out)
    return result if plus is None else result.add_(plus.unsqueeze(-2))


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add the matrix product of `left` and `right` to `total`, in place."""
    if left.ndim == right.ndim == 3:
        total.baddbmm_(left, right)
    else:
        total.add_(torch.matmul(left, right))


@contextmanager
def fused() -> Iterator[None]:
    """Within this block a step is recorded for a compiler, not taken.

    A compiler fuses operations on single numbers, and chooses between two without a branch. What is
    written for the sake of torch's own operations would be in its way.
    """
    usual, _active.fused = _active.fused, True
    try:
        yield
    finally:
        _active.fused = usual


_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}

# For so few numbers torch.where is quicker than operations on bits. It guesses each number
# of the mask in advance, and with random ones takes seven times as long as a product.
_FEW = 128


def rectified(x: Tensor) -> Tensor:
    """Return max(0, x), of the shape of x; a NaN stays one. It is never -0, except in `fused`."""
    if (
        _active.fused
    ):  # one instruction; a threshold, with its comparison, made steps a third longer
        return torch.clamp(x, min=0)
    return torch.threshold(x, 0, 0, out=buffer(x))


def picked(values: Tensor, where: Tensor) -> Tensor:
    """Return `values` where the tensor `where`, of the same shape, is not 0; and 0 elsewhere.

    Both are float32 or both float64; nothing in `where` is below 0, or -0. A product with a mask
    would be NaN where infinity or NaN meets a 0.
    """
    if _active.fused:  # a comparison becomes a mask of vectors there; `bool` would be a loop
        return torch.where(where <= 0, 0.0, values)
    if where.numel() <= _FEW:
        return torch.where(where.bool(), values, where, out=buffer(values))
    dtype = values.dtype
    bits = where.view(_BITS[dtype])
    out = buffer(bits)
    mask = torch.ne(bits, _zero(bits), out=torch.empty_like(bits) if out is None else out)
    if dtype == torch.float32:  # bits times 1 or 0, as whole numbers: one operation less
        mask.mul_(values.view(bits.dtype))
    else:  # products of 64 bits are slow; -1 has all bits set, so that a number is kept whole
        mask.neg_().bitwise_and_(values.view(bits.dtype))
    return mask.view(dtype)


def _zero(like: Tensor) -> Tensor | int:
    """Return 0, inside a block as a tensor that is kept: torch makes one of a number, in 1 us."""
    block = _active.block
    if block is None:
        return 0
    if like.dtype not in block.zeros:
        block.zeros[like.dtype] = torch.zeros((), dtype=like.dtype, device=like.device)
    return block.zeros[like.dtype]
