"""Copies of a step: which need not be made, since their numbers can be read where they stand.

Many copies only see the same numbers in other rows, as when images become rows. Where rows are
whole vectors, these have the same memory. The columns of a convolution, which are many times as
large as its input, are windows of it: a product reads them there.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minifw.compile.values import Recording, Value


def find_dense(recording: Recording, length: int) -> set[Value]:
    """Return what is copied, or made by copying, and has rows of whole vectors.

    Their rows follow each other without gaps.
    """
    copies = [value for value in recording.values if value.op == "copy"]
    found = {*copies, *(piece.value for value in copies for piece in value.pieces)}
    return {value for value in found if value.shape[1] % length == 0}


def same_numbers(copy: Value) -> Value | None:
    """Return the value of which a copy has all numbers in the same order, if there is one."""
    if len(copy.pieces) != 1:
        return None
    (piece,) = copy.pieces
    count = prod(copy.shape)
    whole = (piece.sizes, piece.start, piece.strides, piece.to_start, piece.to_strides)
    fits = whole == ((count,), 0, (1,), 0, (1,)) and prod(piece.value.shape) == count
    return piece.value if fits else None


def is_covered(copy: Value) -> bool:
    """Whether pieces write each number of a copy: otherwise some are 0."""
    count = prod(copy.shape)
    if sum(prod(piece.sizes) for piece in copy.pieces) < count:
        return False
    written = np.zeros(count, bool)
    for piece in copy.pieces:
        strides = piece.to_strides
        as_strided(written[piece.to_start :], piece.sizes, strides)[...] = True  # of one byte each
    return bool(written.all())


class Window(NamedTuple):
    """Where the numbers of a copy stand in the value that it is made of, in whole vectors.

    The number in row r and column (o, p, …, v) is at `rows[r] + o · stride of o + … + v`.
    """

    source: Value
    rows: tuple[int, ...]
    outer: tuple[tuple[int, int], ...]
    """Size and stride of all dimensions of the columns but the last."""
    run: int
    """The size of the last dimension of the columns."""


def window(copy: Value, length: int) -> Window | None:
    """Return where a copy's numbers stand, if they stand there in whole vectors."""
    if len(copy.pieces) != 1:
        return None
    (piece,) = copy.pieces
    if prod(piece.sizes) != prod(copy.shape) or piece.to_start != 0:
        return None
    rows, size = 0, 1
    while size < copy.shape[0] and rows < len(piece.sizes):
        size *= piece.sizes[rows]
        rows += 1
    is_dense, step = True, 1
    for n, to in zip(reversed(piece.sizes), reversed(piece.to_strides), strict=True):
        is_dense &= to == step
        step *= n
    if size != copy.shape[0] or not is_dense or rows == len(piece.sizes):
        return None
    run, outer = piece.sizes[-1], [*zip(piece.sizes, piece.strides, strict=True)][rows:-1]
    numbers = [run, *piece.strides[:-1], piece.start]
    if piece.strides[-1] != 1 or any(number % length for number in numbers):
        return None
    steps = (
        [n * stride for n in range(size)]
        for size, stride in zip(piece.sizes[:rows], piece.strides[:rows], strict=True)
    )
    starts = tuple(piece.start + sum(each) for each in product(*steps))
    return Window(piece.value, starts, tuple(outer), run)
