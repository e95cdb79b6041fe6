"""Torch's operations that put numbers in another place or shape: copies, joins, picks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minifw.compile.grammar import MIXES, apply, joined, reduce
from minifw.compile.views import Part, dense, matrix
from minifw.compile.vocabulary import named

if TYPE_CHECKING:
    from minifw.compile.recorder import Recorder


@named("clone", "contiguous", "lift_fresh_copy")
def _clone(r: Recorder, result: Tensor, x: Any, *_: Any) -> Part:
    return r.read(x)


@named("_to_copy")
def _to_copy(r: Recorder, result: Tensor, x: Tensor, *_: Any) -> Part:
    part = r.read(x)
    if result.dtype == torch.bool:
        return r.as_mask(part)
    if x.dtype.is_floating_point and not result.dtype.is_floating_point:
        return apply(r, "trunc", part)
    return part


@named("copy")
def _copy(r: Recorder, result: Tensor, *arguments: Any) -> Part:
    # copy_(self, src), and for lists _foreach_copy_(self, src)
    source = arguments[1]
    part = r.read(source, result.ndim)
    if isinstance(source, Tensor) and source.dtype != result.dtype:
        if result.dtype == torch.bool:
            return r.as_mask(part)
        if source.dtype.is_floating_point:
            return apply(r, "trunc", part)
    return part


@named("fill")
def _fill(r: Recorder, result: Tensor, x: Any, value: Any) -> Part:
    return r.read(value, result.ndim)


@named("zero")
def _zero(r: Recorder, result: Tensor, x: Any) -> Part:
    return r.number(0)


@named("reshape", "_unsafe_view", "view_copy", "_reshape_copy")
def _reshape(r: Recorder, result: Tensor, x: Any, *_: Any) -> Part:
    value = r.everything(r.read(x))
    sizes = tuple(result.shape)
    if r.lanes:
        sizes = (sizes[0] // r.stack, *sizes[1:])
    return Part(value, sizes, dense(sizes), 0, r.lanes)


@named("cat")
def _cat(r: Recorder, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Part:
    parts = [r.read(tensor, result.ndim) for tensor in tensors]
    dim %= result.ndim
    if r.lanes and dim == 0:
        raise r.refuse(MIXES)
    sizes = [*parts[0].sizes]
    sizes[dim] = sum(part.sizes[dim] for part in parts)
    strides, start, pieces = dense(sizes), 0, []
    for part in parts:
        pieces.append((part, start, strides))
        start += part.sizes[dim] * strides[dim]
    return joined(r, sizes, pieces, r.lanes)


@named("stack")
def _stack(r: Recorder, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Part:
    dim %= result.ndim
    if r.lanes and dim == 0:
        raise r.refuse(MIXES)
    parts = [r.read(tensor, result.ndim - 1).inserted(dim) for tensor in tensors]
    sizes = [*parts[0].sizes]
    sizes[dim] = len(parts)
    strides = dense(sizes)
    pieces = [(part, n * strides[dim], strides) for n, part in enumerate(parts)]
    return joined(r, sizes, pieces, r.lanes)


@named("repeat")
def _repeat(r: Recorder, result: Tensor, x: Any, repeats: Sequence[int]) -> Part:
    part = r.read(x)
    if part.lanes and (len(repeats) != len(part.sizes) or repeats[0] != 1):
        raise r.refuse(MIXES)
    while len(part.sizes) < len(repeats):
        part = part.inserted(0)
    twice = part
    for d in reversed(range(len(repeats))):
        twice = twice.inserted(d, repeats[d])
    sizes = tuple(times * n for times, n in zip(repeats, part.sizes, strict=True))
    value = r.operand(twice, matrix(sizes), ("whole",)).value
    return Part(value, sizes, dense(sizes), 0, part.lanes)


@named("flip")
def _flip(r: Recorder, result: Tensor, x: Any, dims: Sequence[int]) -> Part:
    part = r.read(x)
    for d in {d % len(part.sizes) for d in dims}:
        if part.lanes and d == 0:
            raise r.refuse(MIXES)
        strides = [*part.strides]
        start = part.start + (part.sizes[d] - 1) * strides[d]
        strides[d] = -strides[d]
        part = part._replace(start=start, strides=tuple(strides))
    return part


@named("constant_pad_nd")
def _pad(r: Recorder, result: Tensor, x: Any, pad: Sequence[int], value: float = 0) -> Part:
    part = r.read(x)
    sizes = [*part.sizes]
    start_at = [0] * len(sizes)
    for n in range(len(pad) // 2):
        before, after = pad[2 * n], pad[2 * n + 1]
        d = len(sizes) - 1 - n
        if before < 0 or after < 0 or (part.lanes and d == 0 and (before or after)):
            raise r.refuse("a pad of this form")
        sizes[d] += before + after
        start_at[d] = before
    strides = dense(sizes)
    start = sum(a * s for a, s in zip(start_at, strides, strict=True))
    filled = r.number(value)._replace(sizes=tuple(sizes), strides=(0,) * len(sizes))
    pieces = [(filled, 0, strides)] if value else []
    return joined(r, sizes, [*pieces, (part, start, strides)], part.lanes)


def _chosen(r: Recorder, result: Tensor, index: Any, sizes: Sequence[int], dim: int) -> Part:
    """Return where the last dimension has the one index that each row names."""
    part = r.read(index, result.ndim)
    if dim % len(sizes) != len(sizes) - 1 or part.sizes != (*sizes[:-1], 1):
        raise r.refuse("it is recorded along the last dimension, with one index for each row")
    columns = sizes[-1]
    numbers = [float(n) for n in range(columns)]
    if columns == 1:
        table = r.number(0)
    else:
        table = Part(r.value("table", (1, columns), numbers=numbers), (columns,), (1,))
    return apply(r, "eq", table, part)


@named("gather")
def _gather(
    r: Recorder, result: Tensor, x: Any, dim: int, index: Any, sparse: bool = False
) -> Part:
    part = r.read(x, result.ndim)
    chosen = _chosen(r, result, index, part.sizes, dim)
    picked = apply(r, "where", chosen, part, r.number(0))
    return reduce(r, "sum", picked, [-1], True)


@named("scatter.value", "scatter.src")
def _scatter(r: Recorder, result: Tensor, x: Any, dim: int, index: Any, source: Any) -> Part:
    part = r.read(x, result.ndim)
    chosen = _chosen(r, result, index, part.sizes, dim)
    if isinstance(source, Tensor) and source.shape[-1] != 1:
        source = source[..., :1]
    return apply(r, "where", chosen, r.read(source, result.ndim), part)
