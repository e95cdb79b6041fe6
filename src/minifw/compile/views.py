"""How the numbers of a value are seen: any tensor is a strided view of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from minifw.compile.values import Shape, Value, View


def matrix(sizes: Sequence[int]) -> Shape:
    """Return the shape of a value with these dimensions: all but the last are rows."""
    return (prod(sizes[:-1]), sizes[-1]) if sizes else (1, 1)


def dense(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a tensor of these sizes whose numbers stand without gaps."""
    strides, step = [], 1
    for size in reversed(sizes):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def is_dense(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether numbers stand without gaps; where there is one index, its stride does not matter."""
    pairs = zip(sizes, strides, dense(sizes), strict=True)
    return all(a == b for n, a, b in pairs if n != 1)


def whole(value: Value, sizes: Sequence[int], lanes: bool = False) -> Part:
    """Return all numbers of a value, in their order, as a tensor of these sizes."""
    return Part(value, tuple(sizes), dense(sizes), 0, lanes)


class Part(NamedTuple):
    """Numbers of a value, seen in any shape: index (i, j, …) is at `start + Σ index · stride`."""

    value: Value
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    start: int = 0
    lanes: bool = False
    """Whether dimension 0 is a lane's share of the dimension of lanes (see `record`)."""

    @property
    def is_everything(self) -> bool:
        """Whether these are all numbers of the value, in their order."""
        return (
            self.start == 0
            and prod(self.sizes) == prod(self.value.shape)
            and is_dense(self.sizes, self.strides)
        )

    def permuted(self, order: Sequence[int]) -> Part:
        """Return the part with its dimensions in this order."""
        return self._replace(
            sizes=tuple(self.sizes[d] for d in order), strides=tuple(self.strides[d] for d in order)
        )

    def selected(self, dimension: int, index: int) -> Part:
        """Return one index of a dimension, which goes."""
        rest = [d for d in range(len(self.sizes)) if d != dimension]
        return self.permuted(rest)._replace(start=self.start + index * self.strides[dimension])

    def inserted(self, dimension: int, size: int = 1) -> Part:
        """Return the part with a new dimension in which nothing changes."""
        sizes, strides = [*self.sizes], [*self.strides]
        sizes.insert(dimension, size)
        strides.insert(dimension, 0)
        return self._replace(sizes=tuple(sizes), strides=tuple(strides))

    def expanded(self, sizes: Sequence[int]) -> Part | None:
        """Return the part broadcast to these sizes, None if it does not fit."""
        missing = len(sizes) - len(self.sizes)
        own = (1,) * missing + self.sizes
        if missing < 0 or any(a not in (1, b) for a, b in zip(own, sizes, strict=True)):
            return None
        strides = (0,) * missing + self.strides
        kept = [0 if a == 1 else s for a, s in zip(own, strides, strict=True)]
        return self._replace(sizes=tuple(sizes), strides=tuple(kept))


def view_as(part: Part, shape: Shape) -> View | None:
    """Return how an operand of this shape reads the part, None if it takes a copy."""
    grid = _grid(part, shape)
    if part.value.shape == (1, 1):
        return "whole" if shape == (1, 1) else "number"
    if grid is None or part.start != 0:
        return None
    (row, column), (rows, columns), (r, c) = grid, shape, part.value.shape

    def is_(row_stride: int, column_stride: int) -> bool:
        return row in (row_stride, None) and column in (column_stride, None)

    if shape == (r, c) and is_(c, 1):
        return "whole"
    if shape == (c, r) and is_(1, c):
        return "transposed"
    if (r, c) == (1, columns) and is_(0, 1):
        return "row"
    if (r, c) == (rows, 1) and is_(1, 0):
        return "column"
    return None


def _grid(part: Part, shape: Shape) -> tuple[int | None, int | None] | None:
    """Return the strides of rows and columns of a part that is seen as a matrix of this shape.

    A stride is None where there is only one row or column. None if rows, or columns, do not follow
    each other in equal steps.
    """
    merged: list[tuple[int, int]] = []
    for size, stride in zip(part.sizes, part.strides, strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    rows, columns = shape
    if rows > 1 and columns > 1 and len(merged) == 1:
        (_, stride) = merged[0]
        return stride * columns, stride
    expected = [n for n in shape if n > 1]
    if [n for n, _ in merged] != expected:
        return None
    strides = iter(s for _, s in merged)
    return (next(strides) if rows > 1 else None), (next(strides) if columns > 1 else None)
