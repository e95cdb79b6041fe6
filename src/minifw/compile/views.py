"""How the numbers of a value are seen: any tensor is a strided view of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from minifw.compile.values import Piece, Shape, Value, View


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


def in_memory(sizes: Sequence[int], strides: Sequence[int]) -> tuple[int, ...] | None:
    """Return the order in which the dimensions stand in memory, None if there are gaps.

    Dimension 0, that of the lanes, must be the first. A dimension of size 1 stands anywhere, so it
    keeps its place: otherwise a batch of one sample would be a column, and products would not
    write what the next operation reads.
    """
    large = [d for d in range(1, len(sizes)) if sizes[d] > 1]
    by_stride = iter(sorted(large, key=lambda d: -strides[d]))
    order = [d if d == 0 or sizes[d] == 1 else next(by_stride) for d in range(len(sizes))]
    fits = is_dense([sizes[d] for d in order], [strides[d] for d in order])
    return tuple(order) if fits else None


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


def merged(piece: Piece) -> Piece:
    """Return a piece with as few dimensions as can be."""
    dimensions: list[tuple[int, int, int]] = []
    for size, stride, to in zip(piece.sizes, piece.strides, piece.to_strides, strict=True):
        if size == 1:
            continue
        if dimensions and dimensions[-1][1:] == (size * stride, size * to):
            size *= dimensions.pop()[0]
        dimensions.append((size, stride, to))
    sizes, strides, to_strides = (tuple(d[n] for d in dimensions) for n in range(3))
    return piece._replace(sizes=sizes, strides=strides, to_strides=to_strides)


def narrowed(part: Part, shape: Shape) -> tuple[Part, Shape] | None:
    """Return one row of a part whose rows are all the same, or one column, and its shape."""
    sizes, strides = part.sizes, part.strides
    for first in range(len(sizes) + 1):  # the first dimension of the columns
        if prod(sizes[:first]) == shape[0] and prod(sizes[first:]) == shape[1]:
            if shape[1] > 1 and not any(strides[first:]) and any(strides[:first]):
                return Part(part.value, sizes[:first], strides[:first], part.start), (shape[0], 1)
            if shape[0] > 1 and not any(strides[:first]) and any(strides[first:]):
                return Part(part.value, sizes[first:], strides[first:], part.start), (1, shape[1])
    return None


def transposed(part: Part, shape: Shape) -> Part | None:
    """Return a part of two dimensions transposed if that is all numbers in their order."""
    if len(part.sizes) != 2 or part.sizes != shape or part.is_everything:
        return None
    turned = part.permuted((1, 0))
    return turned if turned.is_everything else None
